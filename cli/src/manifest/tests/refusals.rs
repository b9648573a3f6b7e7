//! What is refused: the message with its place, and that no message shows a value.

use std::fmt::Write as _;

use super::*;

/// Each manifest and its refusal in full. `hunter2` stands where values are.
const CASES: &[(&str, &str)] = &[
    (
        "apiVersion: v1\nkind: Secret\nstringData:\n  a: &x hunter2\n  b: *x\n",
        "line 5, column 6 (document 1, stringData.b): an alias in a Secret",
    ),
    (
        "a: 1\n---\napiVersion: v1\nkind: Secret\nstringData:\n  <<: {a: hunter2}\n",
        "line 6, column 3 (document 2, stringData.?): a merge key (<<) in a Secret",
    ),
    (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  data: &d {a: hunter2}\n- {kind: A, data: *d}\n",
        "line 7, column 19 (document 1, items[1].data): an anchor in a Secret that an alias refers to",
    ),
    (
        "apiVersion: v1\nkind: List\nx: &s {apiVersion: v1, kind: Secret, data: {a: hunter2}}\nitems: [*s]\n",
        "line 4, column 9 (document 1, items[0]): an alias in a Secret",
    ),
    (
        "x: &l\n- {apiVersion: v1, kind: Secret}\napiVersion: v1\nkind: List\nitems: *l\n",
        "line 2, column 3 (document 1, x[0]): an alias in a Secret",
    ),
    (
        "x: &k Secret\napiVersion: v1\nkind: *k\nstringData: {a: hunter2}\n",
        "line 3, column 7 (document 1, kind): an alias in a Secret",
    ),
    (
        "kind: ConfigMap\n<<: {kind: Secret, apiVersion: v1}\nstringData: {a: hunter2}\n",
        "line 2, column 1 (document 1, ?): a merge key (<<) in a Secret",
    ),
    (
        "apiVersion: v1\nkind: !!binary U2VjcmV0\n!!binary ZGF0YQ==: {a: hunter2}\n",
        "line 3, column 1 (document 1, ?): kubectl reads this key as binary data, not as text",
    ),
    (
        "apiVersion: v1\nkind: Secret\nstringData:\n  on: hunter2\n",
        "line 4, column 3 (document 1, stringData.on): kubectl reads this key as a boolean, not as text",
    ),
    (
        "apiVersion: v1\nkind: Secret\nstringData:\n  1.0: hunter2\n",
        "line 4, column 3 (document 1, stringData[\"1.0\"]): kubectl reads this key as a number, not as text",
    ),
    (
        "apiVersion: v1\nkind: Secret\nstringData:\n  ? a\n  : hunter2\n",
        "line 4, column 5 (document 1, stringData.a): a key in a Secret that is not a simple name",
    ),
    (
        "apiVersion: v1\nkind: Secret\nstringData:\n  ? # c\n    !!str a\n  : hunter2\n",
        "line 5, column 5 (document 1, stringData.a): a key in a Secret that is not a simple name",
    ),
    (
        "apiVersion: v1\nkind: Secret\nstringData: {[hunter2]: a}\n",
        "line 3, column 14 (document 1, stringData.?): a key in a Secret that is not a simple name",
    ),
    (
        "apiVersion: v1\nkind: Secret\nstringData:\n  a: !vault hunter2\n",
        "line 4, column 6 (document 1, stringData.a): a tag in a Secret that parsers read differently",
    ),
    (
        "{apiVersion: v1, kind: Secret, stringData: {a: !!str hunter2}}\n",
        "line 1, column 48 (document 1, stringData.a): a tag in a Secret that parsers read differently",
    ),
    ("kind: Secret\nstringData: {a: hunter2}\n", "line 1, column 1 (document 1): kind Secret without an apiVersion"),
    (
        "apiVersion: v1\nkind: ConfigMapList\nitems:\n- {apiVersion: v1, kind: Secret}\n",
        "line 1, column 1 (document 1): a Secret inside a list of another kind, which kubectl takes apart all the same",
    ),
    (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items: [{apiVersion: v1, kind: Secret}]\n",
        "line 4, column 3 (document 1, items[0]): a Secret inside a list of another kind, which kubectl takes apart all the same",
    ),
    (
        "items:\n- kind: SecretList\n  items:\n  - {data: {a: hunter2}}\n",
        "line 1, column 1 (document 1): a Secret inside a list of another kind, which kubectl takes apart all the same",
    ),
    (
        "apiVersion: v1\nkind: Secret\ndata:\n  a: x\n  b: x\n  \"a\": hunter2\n",
        "line 6, column 3 (document 1, data.a): the key is there twice, first on line 4",
    ),
    (
        "items:\n- \tapiVersion: v1\n   kind: Secret\nkind: List\napiVersion: v1\n",
        "line 2, column 4 (document 1, items[0]): a tab in the indentation of a Secret",
    ),
    (
        "items:\n- kind: Secret\nkind: List\napiVersion: v1\n",
        "line 2, column 3 (document 1, items[0]): kind Secret without an apiVersion",
    ),
    (
        "{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"data\": \"hunter2\"}: x\n",
        "line 1, column 58 (document 1): kubectl reads the beginning as JSON and the rest otherwise than shown here",
    ),
    (
        "{\"a\": 1} # c\n...\n---\nb: 1\n",
        "line 1, column 9 (document 1): kubectl reads the beginning as JSON and the rest otherwise than shown here",
    ),
    (
        "\u{a0}{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{\"a\":\"hunter2\n\"}}\n",
        "line 1, column 1 (document 1): kubectl reads the beginning as JSON and the rest otherwise than shown here",
    ),
    ("kind: SecretList\nitems: [{}]\n", "line 1, column 1 (document 1): kind Secret without an apiVersion"),
    (
        "a: {{ .Values.hunter2 }}\n{{ if .x }}\nb: 1\n",
        "line 2, column 1 (document 1): not valid YAML: a key with its colon is expected here",
    ),
    ("a: 1\n---\nb: \"hunter2\n", "line 3, column 4 (document 2, b): not valid YAML: a quote is not closed"),
    ("a:\n  b: [x, hunter2\n", "line 2, column 6 (document 1, a.b[1]): not valid YAML: a [ is not closed"),
    ("a: *hunter2\n", "line 1, column 4 (document 1, a): not valid YAML: an alias whose anchor does not exist"),
    (
        "{\"a\": 1}\n{\"b\": hunter2}\n",
        "line 2, column 1 (document 1): not valid YAML: text after the end of the document; is a line of three dashes missing?",
    ),
];

#[test]
fn refusals_name_the_place_and_no_value() {
    for (text, wanted) in CASES {
        let refusal = seal(&source(text)).err().map(|error| (error.to_string(), format!("{error:?}"), error.hint()));
        let (message, debug, _) = refusal.unwrap_or_default();
        assert_eq!(&message, wanted, "{text}");
        assert!(!message.contains("hunter2") && !debug.contains("hunter2"), "{message}");
    }
}

#[test]
fn templates_get_a_hint() {
    let error = seal(&source("{{ if .x }}\na: b\n{{ end }}\n")).unwrap_err();
    assert_eq!(error.hint(), "render the template first, for example with helm template");
}

#[test]
fn nesting_is_limited_without_recursion() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")] {
        let deep = |levels: usize| format!("{}x{}", open.repeat(levels), close.repeat(levels));
        assert!(parse(&source(&deep(crate::manifest::MAX_DEPTH))).is_ok(), "{open}");
        for levels in [crate::manifest::MAX_DEPTH + 1, 100_000] {
            let error = parse(&source(&deep(levels))).unwrap_err();
            assert_eq!(error.reason, crate::manifest::Reason::TooDeep, "{open} {levels}");
        }
    }
}

#[test]
fn nodes_are_limited() {
    let text = format!("[{}]", "a,".repeat(crate::manifest::MAX_NODES));
    assert_eq!(parse(&source(&text)).unwrap_err().reason, crate::manifest::Reason::TooManyNodes);
}

#[test]
fn references_cannot_multiply_work() {
    let mut text = String::from("a0: &a0 {x: 1}\n");
    for level in 1..60 {
        let below = level - 1;
        writeln!(text, "a{level}: &a{level} {{<<: [*a{below}, *a{below}, *a{below}]}}").unwrap();
    }
    text.push_str("<<: *a59\n");
    assert_eq!(seal(&source(&text)).unwrap_err().reason, crate::manifest::Reason::TooManyReferences);
    let cycle = "&r\nkind: A\nitems:\n- *r\n- *r\n";
    assert_eq!(seal(&source(cycle)).unwrap_err().reason, crate::manifest::Reason::TooManyReferences);
}

/// Nothing may look at the whole document, or at the whole line, for each Secret.
#[test]
fn long_lists_are_read_in_linear_time() {
    let count = |text: String| {
        let source = source(&text);
        find_secrets(&parse(&source).unwrap()[0]).unwrap().found.len()
    };
    let block = "- apiVersion: v1\n  kind: Secret\n".repeat(50_000);
    assert_eq!(count(format!("x: &a 1\ny: *a\napiVersion: v1\nkind: List\nitems:\n{block}")), 50_000);
    let compact = "{\"apiVersion\":\"v1\",\"kind\":\"Secret\"},".repeat(50_000);
    assert_eq!(count(format!("{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{compact}]}}")), 50_000);
    assert_eq!(count(format!("apiVersion: v1\nkind: List\nitems: [{}]", compact.replace(':', ":\n"))), 50_000);
}

#[test]
fn debug_of_a_document_shows_no_value() {
    let source = source("apiVersion: v1\nkind: Secret\nstringData: {hunter2: hunter2}\n");
    let documents = parse(&source).unwrap();
    let shown = format!("{documents:?} {:?}", find_secrets(&documents[0]).unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains("stringData"), "{shown}");
}
