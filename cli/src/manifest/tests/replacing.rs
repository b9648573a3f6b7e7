//! Tricky documents: the exact bytes before and after.
//!
//! A case marks each Secret as ⟦…⟧ and the kind of a `SecretList` as ⟪…⟫. The input is the text without the marks; in the
//! output each mark has become the replacement and every other byte is the same.

use super::*;

/// The input of a case, and the spans that its marks enclose.
fn unmark(case: &str) -> (String, Vec<Range<usize>>) {
    let (mut text, mut spans, mut start) = (String::new(), Vec::new(), 0);
    for c in case.chars() {
        match c {
            '⟦' | '⟪' => start = text.len(),
            '⟧' | '⟫' => spans.push(start..text.len()),
            c => text.push(c),
        }
    }
    (text, spans)
}

fn check(name: &str, case: &str) {
    let (text, spans) = unmark(case);
    let source = source(&text);
    let documents = parse(&source).unwrap_or_else(|error| panic!("{name}: {error}"));
    let edits = edits(&documents, source.line_ending()).unwrap_or_else(|error| panic!("{name}: {error}"));
    let found: Vec<_> = edits.iter().map(|(span, _)| &text[span.clone()]).collect();
    let marked: Vec<_> = spans.iter().map(|span| &text[span.clone()]).collect();
    assert_eq!(found, marked, "{name}");
    assert!(edits.iter().map(|(span, _)| span).eq(&spans), "{name}");

    let mut wanted = String::new();
    let mut at = 0;
    for (span, replacement) in &edits {
        wanted.push_str(&text[at..span.start]);
        wanted.push_str(replacement);
        at = span.end;
    }
    wanted.push_str(&text[at..]);
    let edited = seal(&source).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(*edited, wanted, "{name}");

    let again = decode(edited.as_bytes().to_vec()).unwrap();
    for document in parse(&again).unwrap() {
        assert!(find_secrets(&document).unwrap().found.is_empty(), "{name}");
    }
    // The documents' spans cover the text.
    let ends: Vec<_> = documents.iter().map(Document::span).collect();
    assert!(ends.is_empty() || ends[0].start == 0 && ends[ends.len() - 1].end == text.len(), "{name}");
    assert!(ends.windows(2).all(|pair| pair[0].end == pair[1].start), "{name}");
}

const CASES: &[(&str, &str)] = &[
    ("plain", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: b⟧\n"),
    ("no newline at the end", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: b⟧"),
    (
        "comments around",
        "# one\n\n# two\n⟦apiVersion: v1\nkind: Secret # three\n# four\nstringData:\n  # five\n  a: b⟧ # six\n# seven\n\n# eight\n",
    ),
    ("comment on the mark", "--- # a ? b | c > d\n⟦apiVersion: v1\nkind: Secret⟧\n--- # next\na: 1\n"),
    ("document ends", "a: 1\n...\n# between\n---\n⟦apiVersion: v1\nkind: Secret⟧\n...\n# after\n"),
    ("bare document after an end", "a: 1\n...\n⟦apiVersion: v1\nkind: Secret⟧\n...\nb: 1\n"),
    ("directive", "%YAML 1.1\n%TAG !y! tag:yaml.org,2002:\n---\n⟦apiVersion: v1\nkind: !y!str Secret⟧\n"),
    ("literal, strip", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: |-\n    b\n\n    c⟧\n\n\n# end\n---\na: 1\n"),
    ("literal, keep", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: |+\n    b⟧\n\n\n---\na: 1\n"),
    ("folded", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: >\n    b\n      c\n    # d⟧\n\n  # comment\n# comment\n"),
    ("literal with indentation digit", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: |2- # x | y\n     b⟧\n\n"),
    ("literal at the end of the text", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: |\n    b⟧"),
    ("literal with blank first lines", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: |\n\n  \n    b⟧\n---\na: 1\n"),
    ("empty literal", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: |-⟧\n\n---\na: 1\n"),
    ("empty literal with comment", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: |+1⟧ # >\n\n\n"),
    ("literal with tag and anchor", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: &x !!str # c\n    |\n    b⟧\n"),
    (
        "literal before a dash",
        "apiVersion: v1\nkind: List\nitems:\n  - ⟦apiVersion: v1\n    kind: Secret\n    stringData:\n      a: |\n        b⟧\n\n  # next\n  - ⟦apiVersion: v1\n    kind: Secret⟧\n",
    ),
    ("empty value last", "⟦apiVersion: v1\nkind: Secret\ndata:⟧ # none\n\n# c\n---\na: 1\n"),
    ("empty value with tag last", "⟦apiVersion: v1\nkind: Secret\ntype: !!str⟧\n\n---\na: 1\n"),
    ("empty value with anchor last", "⟦apiVersion: v1\nkind: Secret\ntype: &a⟧  \n\n---\na: 1\n"),
    ("empty value, spaces before its colon", "⟦apiVersion: v1\nkind: Secret\ndata  :⟧\n"),
    ("empty flow last", "⟦apiVersion: v1\nkind: Secret\ndata: {}⟧\n"),
    ("multi-line plain last", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: b\n    c\n\n    d⟧  # e\n"),
    ("multi-line quoted last", "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: \"b\n\n    c\\\n    d\"⟧\n"),
    ("quoted keys", "⟦\"apiVersion\": 'v1'\n'kind': \"Secret\"\n\"data\": {\"a\": \"Yg==\"}⟧\n"),
    ("folded kind", "⟦apiVersion: v1\nkind: >-\n  Secret⟧\n"),
    (
        "comment between key and value",
        "⟦apiVersion: v1\nkind:\n  # note\n  Secret\nstringData: # more\n\n  # more\n  a:\n    # more\n    b⟧\n",
    ),
    ("tagged keys", "# c\n⟦!!str apiVersion: v1\nkind: Secret⟧\n"),
    ("tagged root", "--- !!map\n⟦apiVersion: v1\nkind: Secret⟧\n"),
    ("unused anchors", "--- &doc\n⟦apiVersion: v1\nkind: &k Secret\ndata: &d {}⟧\n"),
    ("indented root", "---\n  ⟦apiVersion: v1\n  kind: Secret\n  data:\n    a: Yg==⟧\n---\na: 1\n"),
    ("non-ASCII", "a: \"日本\" # ß\n---\n⟦apiVersion: v1\nkind: Secret\nstringData:\n  é: \"日本\"⟧ # ß\n"),
    ("tabs between tokens", "⟦apiVersion:\tv1\nkind:\tSecret\t# c\nstringData:\t{\"a\":\t\"b\"}⟧\t\n"),
    ("empty documents", "---\n---\n# only a comment\n---\n⟦apiVersion: v1\nkind: Secret⟧\n---\n---\n"),
    ("only comments", "# nothing\n\n"),
    ("nothing", ""),
    ("trailing spaces", "⟦apiVersion: v1  \nkind: Secret⟧   \n   \n---   \na: 1\n"),
    ("indentless sequence inside", "⟦apiVersion: v1\nkind: Secret\nmetadata:\n  finalizers:\n  - a\n  - b⟧\n# c\n"),
    (
        "list, indented",
        "apiVersion: v1\nkind: List\nitems:\n  # first\n  - ⟦apiVersion: v1\n    kind: Secret\n    stringData:\n      a: b⟧\n  # second\n  - apiVersion: v1\n    kind: ConfigMap\n    data: {a: b}\n  -   ⟦kind: Secret\n      apiVersion: v1⟧ # third\n",
    ),
    (
        "list, not indented",
        "apiVersion: v1\nitems:\n- ⟦apiVersion: v1\n  kind: Secret⟧\n- apiVersion: v1\n  kind: ConfigMap\n- ⟦apiVersion: v1\n  kind: Secret\n  data:⟧\nkind: List\n",
    ),
    (
        "list, dash on its own line",
        "apiVersion: v1\nkind: List\nitems:\n-\n  # c\n  ⟦apiVersion: v1\n  kind: Secret⟧\n- &x\n  ⟦apiVersion: v1\n  kind: Secret⟧\n",
    ),
    (
        "SecretList",
        "apiVersion: v1\nkind: ⟪SecretList⟫ # c\nitems:\n- ⟦metadata:\n    name: a\n  data: {a: Yg==}⟧\n- ⟦apiVersion: v1\n  kind: Secret⟧\n",
    ),
    ("SecretList, key with a dash", "apiVersion: v1\nkind: ⟪SecretList⟫\nitems:\n- ⟦-metadata:\n    name: a⟧\n"),
    ("SecretList, other items", "apiVersion: v1\nkind: ⟪SecretList⟫\nitems:\n- # none\n- text\n- ⟦a: b⟧\n- [a]\n"),
    ("empty SecretList", "apiVersion: v1\nkind: SecretList\nitems: []\n"),
    ("SecretList as JSON", "{\"apiVersion\":\"v1\",\"kind\":⟪\"SecretList\"⟫,\"items\":[⟦{\"data\":{\"a\":\"Yg==\"}}⟧]}"),
    ("flow", "⟦{apiVersion: v1, kind: Secret, stringData: {a: b}}⟧ # c\n---\na: 1\n"),
    ("flow over lines", "---\n⟦{\n  apiVersion: v1, # c\n  kind: Secret,\n}⟧\n"),
    (
        "flow in a block list",
        "apiVersion: v1\nkind: List\nitems:\n- ⟦{apiVersion: v1, kind: Secret}⟧\n- ⟦{apiVersion: v1,\n   kind: Secret}⟧\n",
    ),
    ("flow on the mark", "--- ⟦{apiVersion: v1, kind: Secret}⟧\n"),
    ("JSON, compact", "⟦{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{\"a\":\"Yg==\"}}⟧\n"),
    ("JSON, pretty", "⟦{\n    \"apiVersion\": \"v1\",\n    \"kind\": \"Secret\"\n}⟧\n"),
    ("JSON, tabs", "⟦{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Secret\"\n}⟧\n"),
    (
        "JSON list",
        "{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"List\",\n  \"items\": [\n    ⟦{\n      \"apiVersion\": \"v1\",\n      \"kind\": \"Secret\"\n    }⟧,\n    {\n      \"kind\": \"ConfigMap\"\n    }\n  ]\n}\n",
    ),
    (
        "JSON, one after the other",
        "⟦{\"apiVersion\":\"v1\",\"kind\":\"Secret\"}⟧\n{\"kind\": \"A\"}\n\n⟦{\"apiVersion\": \"v1\", \"kind\": \"Secret\"}⟧{}\n",
    ),
    ("other kinds keep all of YAML", "a: &x !foo {? [1, 2] : *x}\n<<: *x\nb: !!binary aa\n---\n⟦apiVersion: v1\nkind: Secret⟧\n"),
    (
        "other groups and kinds",
        "apiVersion: v1\nkind: ConfigMap\ndata:\n  x: |\n    apiVersion: v1\n    kind: Secret\n---\napiVersion: example.com/v1\nkind: Secret\n---\napiVersion: v1\nkind: secret\n---\nkind: [Secret]\napiVersion: v1\n---\n- apiVersion: v1\n  kind: Secret\n",
    ),
];

#[test]
fn every_other_byte_stays() {
    for (name, case) in CASES {
        check(name, case);
    }
}

#[test]
fn with_windows_line_endings() {
    for (name, case) in CASES {
        check(&format!("{name}, CRLF"), &case.replace('\n', "\r\n"));
    }
}

#[test]
fn with_a_byte_order_mark() {
    for (name, case) in CASES {
        check(&format!("{name}, mark"), &format!("\u{FEFF}{case}"));
    }
}

#[test]
fn many_comments_between_key_and_value() {
    let comments = "  # note\n".repeat(500);
    check("comments", &format!("⟦apiVersion: v1\nkind: Secret\nstringData:\n{comments}  a:\n{comments}    b⟧\n{comments}"));
}

#[test]
fn long_keys_and_values() {
    let (key, value) = ("k".repeat(253), "dmFsdWU=".repeat(100_000));
    check("long", &format!("⟦{{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{{\"{key}\":\"{value}\"}}}}⟧\n"));
}

/// The replaced text itself, written out once for each layout.
#[test]
fn replacements_fit_their_place() {
    let sealed = |text: &str| seal(&source(text)).unwrap().to_string();
    assert_eq!(
        sealed("items:\n- apiVersion: v1\n  kind: Secret # c\nkind: List\napiVersion: v1\n"),
        "items:\n- apiVersion: bulla.dev/v1alpha1\n  kind: SealedSecret\n  spec:\n    encryptedData:\n      password: \"QUdF\" # c\nkind: List\napiVersion: v1\n"
    );
    assert_eq!(
        sealed("apiVersion: v1\r\nkind: Secret\r\n"),
        "apiVersion: bulla.dev/v1alpha1\r\nkind: SealedSecret\r\nspec:\r\n  encryptedData:\r\n    password: \"QUdF\"\r\n"
    );
    assert_eq!(
        sealed("[\n]\n---\n{\n \"kind\":\"Secret\",\n \"apiVersion\":\"v1\"\n}"),
        "[\n]\n---\n{\n \"apiVersion\": \"bulla.dev/v1alpha1\",\n \"kind\": \"SealedSecret\",\n \"spec\": {\n  \"encryptedData\": {\n   \"password\": \"QUdF\"\n  }\n }\n}"
    );
    assert_eq!(
        sealed("{kind: Secret, apiVersion: v1} # c"),
        "{\"apiVersion\": \"bulla.dev/v1alpha1\", \"kind\": \"SealedSecret\", \"spec\": {\"encryptedData\": {\"password\": \"QUdF\"}}} # c"
    );
}

#[test]
fn where_a_secret_stands_is_told() {
    let source = source(
        "apiVersion: v1\nkind: List\nitems:\n  -   apiVersion: v1\n      kind: Secret\n  -\n    apiVersion: v1\n    kind: Secret\n",
    );
    let documents = parse(&source).unwrap();
    let secrets = find_secrets(&documents[0]).unwrap();
    let told: Vec<_> = secrets.found.iter().map(|secret| (secret.column, secret.after_dash, secret.implied)).collect();
    assert_eq!(told, [(6, true, false), (4, false, false)]);
    assert_eq!(documents[0].place(secrets.found[1].node).path, "items[1]");
}
