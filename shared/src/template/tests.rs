//! The grammar's refusals, each filter, and the property that a checked template renders whatever the values are.

use base64::Engine as _;
use proptest::prelude::*;

use super::*;

fn render(text: &str, value: &[u8]) -> Vec<u8> {
    let checked = Template::parse(text).unwrap().check(|_| Some(value.len())).unwrap();
    let output = checked.render(|_| value);
    assert!(output.len() <= checked.max_len() && output.capacity() == checked.max_len());
    output.to_vec()
}

fn refusal(text: &str) -> String {
    let result = Template::parse(text).and_then(|template| template.check(|item| (item == "a").then_some(3)));
    result.unwrap_err().to_string()
}

#[test]
fn text_and_substitutions() {
    for (text, output) in [
        ("", ""),
        ("plain }} text", "plain }} text"),
        ("postgres://app:{{ a | urlencode }}@db/app", "postgres://app:p%26%22@db/app"),
        ("{{a}}{{ a }}{{\ta\t}}", "p&\"p&\"p&\""),
        ("{{ \"{{\" }} a }}", "{{ a }}"),
        ("{{a|upper|json}}", "\"P&\\\"\""),
        ("{{ a | shellquote }}", "'p&\"'"),
    ] {
        assert_eq!(String::from_utf8(render(text, b"p&\"")).unwrap(), output, "{text}");
    }
}

#[test]
fn every_filter_on_hard_bytes() {
    let hard = b" \0'\"\\\n\xffA~\xc2\x85 ";
    for (filter, output) in [
        ("base64", &b"IAAnIlwK/0F+woUg"[..]),
        ("base64url", b"IAAnIlwK_0F-woUg"),
        ("hex", b"200027225c0aff417ec28520"),
        ("json", b"\" \\u0000'\\\"\\\\\\n\xef\xbf\xbdA~\\u0085 \""),
        ("quote", b"\" \\u0000'\\\"\\\\\\n\xef\xbf\xbdA~\\u0085 \""),
        ("shellquote", b"' \0'\\''\"\\\n\xffA~\xc2\x85 '"),
        ("urlencode", b"%20%00%27%22%5C%0A%FFA~%C2%85%20"),
        ("indent 2", b" \0'\"\\\n  \xffA~\xc2\x85 "),
        ("trim", b"\0'\"\\\n\xffA~\xc2\x85"),
        ("lower", b" \0'\"\\\n\xffa~\xc2\x85 "),
    ] {
        let rendered = render(&format!("{{{{ a | {filter} }}}}"), hard);
        assert_eq!(rendered, output, "{filter}: {}", rendered.escape_ascii());
    }
}

#[test]
fn refusals_say_where_and_what_to_write() {
    assert_eq!(refusal("x\n  {{ a"), "line 2, column 3: {{ without }} on the same line; a literal {{ is written {{ \"{{\" }}");
    assert_eq!(refusal("{{ a\n}}"), "line 1, column 1: {{ without }} on the same line; a literal {{ is written {{ \"{{\" }}");
    for text in ["{{}}", "{{ | json }}", "{{ a b }}", "{{ .. }}", "{{ if a }}"] {
        assert_eq!(refusal(text), "line 1, column 1: expected an item name after {{", "{text}");
    }
    for text in ["{{ a | }}", "{{ a | nope }}", "{{ a | Json }}"] {
        assert!(refusal(text).starts_with("line 1, column 1: unknown filter; there are base64, "), "{text}");
    }
    for text in [
        "{{ a | indent }}",
        "{{ a | indent 65 }}",
        "{{ a | indent -1 }}",
        "{{ a | indent +1 }}",
        "{{ a | json 1 }}",
        "{{ a | indent 1 2 }}",
    ] {
        assert!(refusal(text).contains("indent takes a number"), "{text}");
    }
    assert!(refusal(&format!("{{{{ a {}}}}}", "| trim ".repeat(9))).contains("more than 8 filters"));
    assert_eq!(refusal("{{ b }}"), "line 1, column 1: there is no item b");
    assert!(refusal(&"x".repeat(MAX_TEMPLATE + 1)).contains("longer than 65536 bytes"));
    assert!(refusal(&format!("{{{{ a {}}}}}", "| json ".repeat(8))).contains("could be longer"));
    assert!(refusal(&"{{ a | indent 64 | indent 64 | indent 64 }}".repeat(2)).contains("could be longer"));
}

#[test]
fn json_items_are_json_for_any_value() {
    let skeleton = |text: &str| Template::parse(text).unwrap().json_skeleton().map_err(|error| error.kind);
    assert_eq!(skeleton(r#"{"auths":{"r":{"auth":{{ a | base64 | json }}}}}"#), Ok(()));
    for text in [r#"{"a":{{ a }}}"#, r#"{"a":{{ a | json | trim }}}"#, r#"{"a":"{{ a | base64 }}"}"#] {
        assert_eq!(skeleton(text), Err(TemplateErrorKind::JsonFilter), "{text}");
    }
    for text in [r#"{"a":"{{ a | json }}"}"#, "{{ a | json }}", r#"{"a":{{ a | json }}"#, "[{{ a | json }}]", ""] {
        assert_eq!(skeleton(text), Err(TemplateErrorKind::JsonSkeleton), "{text}");
    }
}

const FILTERS: [&str; 11] =
    ["base64", "base64url", "hex", "json", "quote", "shellquote", "urlencode", "indent 7", "trim", "upper", "lower"];

proptest! {
    #[test]
    fn what_is_checked_renders(filters in prop::collection::vec(prop::sample::select(&FILTERS[..]), 0..4), value: Vec<u8>) {
        render(&format!("<{{{{ a {} }}}}>", filters.iter().fold(String::new(), |all, filter| all + "| " + filter)), &value);
    }

    #[test]
    fn json_reads_back(value: String) {
        let rendered = render("{{ a | json }}", value.as_bytes());
        prop_assert_eq!(serde_json::from_slice::<String>(&rendered).unwrap(), value);
    }

    #[test]
    fn json_of_any_bytes_is_json(value: Vec<u8>) {
        prop_assert!(serde_json::from_slice::<String>(&render("{{ a | json }}", &value)).is_ok());
    }

    #[test]
    fn base64_reads_back(value: Vec<u8>) {
        let rendered = render("{{ a | base64 }}", &value);
        prop_assert_eq!(base64::engine::general_purpose::STANDARD.decode(rendered).unwrap(), value);
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = Template::parse(&text).map(|template| (template.json_skeleton(), template.check(|_| Some(10))));
    }

    #[test]
    fn no_braces_panic(text in "[{} |a\"\n]{0,40}") {
        let _ = Template::parse(&text).map(|template| (template.json_skeleton(), template.check(|_| Some(10))));
    }
}
