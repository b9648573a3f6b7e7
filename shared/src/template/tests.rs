//! The grammar's refusals, each filter, and the property that a checked template renders whatever the values are.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

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
fn the_page_shows_what_each_filter_gives() {
    // In its table \| stands for |, ⏎ for a line feed and · for a space.
    let cells = |line: &str| -> Vec<String> {
        let line = line.replace("\\|", "\u{1f}").replace('⏎', "\n").replace('·', " ");
        line.split('|').map(|cell| cell.trim_matches([' ', '`']).replace('\u{1f}', "|")).collect()
    };
    let rows: Vec<_> = include_str!("../../../docs/sealed-secret.md").lines().map(cells).collect();
    let rows: Vec<_> = rows.iter().filter(|row| row.len() == 6 && row[3].contains("{{")).collect();
    let value = |item: &str| match item {
        "password" => &b"p@ss \"w0rd\""[..],
        "user" => b" App ",
        _ => b"a\nb",
    };
    for row in &rows {
        let checked = Template::parse(&row[3]).unwrap().check(|item| Some(value(item).len())).unwrap();
        assert_eq!(String::from_utf8(checked.render(value).to_vec()).unwrap(), row[4], "{}", row[1]);
    }
    assert_eq!(rows.iter().map(|row| row[1].as_str()).collect::<Vec<_>>().join(", "), Filter::NAMES);
}

#[test]
fn refusals_say_where_and_what_to_write() {
    assert_eq!(refusal("x\n  {{ a"), "line 2, column 3: {{ without }} on the same line; a literal {{ is written {{ \"{{\" }}");
    assert_eq!(refusal("{{ a\n}}"), "line 1, column 1: {{ without }} on the same line; a literal {{ is written {{ \"{{\" }}");
    for (text, column) in [
        ("{{}}", 3),
        ("{{ | json }}", 4),
        ("{{ a b }}", 4),
        ("{{ .. }}", 4),
        ("{{{ a }}}", 3),
        ("{{ a\r}}", 4),
        ("{{\u{a0}a}}", 3),
    ] {
        assert_eq!(refusal(text), format!("line 1, column {column}: expected an item name after {{{{"), "{text}");
    }
    for (text, column) in [("{{ a | }}", 8), ("{{ a | nope }}", 8), ("{{ a |json|  Json }}", 14), ("{{ a | no more words }}", 8)]
    {
        assert!(refusal(text).starts_with(&format!("line 1, column {column}: unknown filter; there are base64, ")), "{text}");
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
    assert_eq!(render(&format!("{{{{ a {}}}}}", "| trim ".repeat(8)), b"x"), b"x");
    assert_eq!(refusal("\u{e9}\n {{ b }}"), "line 2, column 5: there is no item b");
    assert_eq!(refusal(&format!("{{{{ {} }}}}", "b".repeat(253))), "line 1, column 4: there is no item of this name");
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
    for text in [r#"{"a":"{{ a | json }}"}"#, "{{ a | json }}", r#"{"a":{{ a | json }}"#, "[{{ a | json }}]", "", "1"] {
        assert_eq!(skeleton(text), Err(TemplateErrorKind::JsonSkeleton), "{text}");
    }
    // An escaped quote, so that the substitution stands inside a string and ends it.
    assert_eq!(skeleton(r#"{"a":"\{{ a | json }}}"#), Err(TemplateErrorKind::JsonSkeleton));
    assert_eq!(skeleton(r#"{"a":{ {{ a | json }} : 1}}"#), Err(TemplateErrorKind::JsonKey));
    assert_eq!(skeleton(r#"{"a":{{ "{{" }} }"#), Err(TemplateErrorKind::JsonSkeleton));
}

#[test]
fn a_broken_skeleton_says_where() {
    let at = |text: &str| Template::parse(text).unwrap().json_skeleton().map_err(|error| (error.line, error.column));
    // After a substitution, so that the skeleton's columns are not the template's.
    assert_eq!(at("{\n  \"a\": {{ a | json }} \"b\"}"), Err((2, 23)));
    assert_eq!(at("{\"a\": \"{{ a | json }}\"}"), Err((1, 11)));
    assert_eq!(at("{\"a\": {{ a | json }},\n \u{e9}}"), Err((2, 2)));
    assert_eq!(at("{\"a\": {{ a }}}"), Err((1, 10)));
    assert_eq!(at("{\"a\": {{ a | json }}\n"), Err((2, 1)));
}

#[test]
fn items_are_those_that_it_names() {
    let template = Template::parse("{{ b | json }} {{ \"{{\" }} {{a}}{{ b }}").unwrap();
    assert_eq!(template.items().collect::<Vec<_>>(), ["b", "a", "b"]);
}

#[test]
fn the_limit_is_exact() {
    let check = |length| Template::parse("x{{ a | hex }}").unwrap().check(|_| Some(length)).map(|checked| checked.max_len());
    assert_eq!(check(MAX_OUTPUT / 2 - 1), Ok(MAX_OUTPUT - 1));
    assert_eq!(check(MAX_OUTPUT / 2).unwrap_err().kind, TemplateErrorKind::Output);
    assert_eq!(check(usize::MAX).unwrap_err().kind, TemplateErrorKind::Output);
}

#[test]
fn the_longest_result_of_each_filter_is_its_bound() {
    for (filter, worst, length) in [
        ("base64", &b"\0\0\0\0"[..], 8),
        ("hex", b"\0\0", 4),
        ("json", b"\0\0", 14),
        ("quote", b"\0\0", 14),
        ("shellquote", b"''", 10),
        ("urlencode", b"\0\0", 6),
        ("indent 7", b"\n\n", 16),
        ("indent 64", b"\n\n", 130),
        ("indent 0", b"\n\n", 2),
        ("trim", b"xx", 2),
        ("upper", b"xx", 2),
        ("lower", b"xx", 2),
    ] {
        let checked = Template::parse(&format!("{{{{ a | {filter} }}}}")).unwrap().check(|_| Some(worst.len())).unwrap();
        assert_eq!((checked.max_len(), checked.render(|_| worst).len()), (length, length), "{filter}");
    }
}

#[test]
fn a_shell_reads_one_word() {
    for value in [&b""[..], b"'", b"''\\'", b"a b\n$(id)`id`;&|<>*?\"!#~\\\n", b"-n", b"\xff\xfe"] {
        let script = [&b"printf %s "[..], &render("{{ a | shellquote }}", value)].concat();
        let output = Command::new("sh").arg("-c").arg(OsStr::from_bytes(&script)).output().unwrap();
        assert_eq!(output.stdout, value, "{}", value.escape_ascii());
    }
}

const FILTERS: [&str; 11] =
    ["base64", "base64url", "hex", "json", "quote", "shellquote", "urlencode", "indent 7", "trim", "upper", "lower"];

/// Any bytes, often with those that filters treat in a way of their own.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let special = prop::sample::select(&b"\0\t\n\r \"'\\%aZ\x7f\x80\xc2\x85\xa8\xe2\xef\xbf\xbe\xff"[..]);
    prop::collection::vec(prop_oneof![special, any::<u8>()], 0..40)
}

fn text_value() -> impl Strategy<Value = String> {
    let special =
        prop::sample::select(&['\0', '\n', '\r', '"', '\\', '\u{85}', '\u{a0}', '\u{2028}', '\u{feff}', '\u{ffff}'][..]);
    prop::collection::vec(prop_oneof![special, any::<char>()], 0..40).prop_map(String::from_iter)
}

/// Pieces of which some sequences are JSON objects.
const PIECES: [&str; 14] =
    ["{", "}", "\"a\"", ":", ",", "[", "]", "\"", "\\", " ", "1", "{{ a | json }}", "{\"a\":", "{{ \"{{\" }}"];

fn skeleton() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(prop::sample::select(&PIECES[..]), 0..4)
            .prop_map(|pieces| format!("{{\"a\":{}}}", pieces.concat())),
    ]
}

/// What every YAML parser takes inside double quotes and no YAML version folds (YAML 1.1 and 1.2, section 5.1).
fn plain_in_yaml(character: char) -> bool {
    matches!(character, ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

proptest! {
    #[test]
    fn what_is_checked_renders(filters in prop::collection::vec(prop::sample::select(&FILTERS[..]), 0..=8), value in value()) {
        let text = format!("<{{{{ a {} }}}}>", filters.iter().fold(String::new(), |all, filter| all + "| " + filter));
        // `render` asserts that the output keeps to its bound and was never reallocated.
        match Template::parse(&text).unwrap().check(|_| Some(value.len())) {
            Ok(_) => drop(render(&text, &value)),
            Err(error) => prop_assert_eq!(error.kind, TemplateErrorKind::Output),
        }
    }

    #[test]
    fn no_filter_exceeds_its_bound(index in 0..FILTERS.len(), value in value()) {
        let name = FILTERS[index].split(' ').next().unwrap();
        let filter = match Filter::named(name).unwrap() {
            Filter::Indent(_) => Filter::Indent(7),
            filter => filter,
        };
        let mut output = Vec::with_capacity(filter.max_len(value.len()));
        let (room, start) = (output.capacity(), output.as_ptr());
        filter.apply(&value, &mut output);
        prop_assert!(output.len() <= filter.max_len(value.len()));
        prop_assert!(output.capacity() == room && output.as_ptr() == start);
    }

    #[test]
    fn bounds_hold_for_shorter_values(index in 0..FILTERS.len(), value in value(), more in 0..9usize) {
        let text = format!("{{{{ a | {} }}}}", FILTERS[index]);
        let checked = Template::parse(&text).unwrap().check(|_| Some(value.len() + more)).unwrap();
        prop_assert!(checked.render(|_| &value).len() <= checked.max_len());
    }

    #[test]
    fn json_and_quote_read_back(value in text_value()) {
        for filter in ["json", "quote"] {
            let rendered = render(&format!("{{{{ a | {filter} }}}}"), value.as_bytes());
            prop_assert_eq!(&serde_json::from_slice::<String>(&rendered).unwrap(), &value);
            prop_assert!(str::from_utf8(&rendered).unwrap().chars().all(plain_in_yaml));
        }
    }

    #[test]
    fn json_of_any_bytes_is_json(value in value()) {
        let read = serde_json::from_slice::<String>(&render("{{ a | json }}", &value)).unwrap();
        prop_assert_eq!(read, String::from_utf8_lossy(&value));
    }

    #[test]
    fn what_has_a_json_skeleton_is_a_json_object(text in skeleton(), value in value()) {
        if Template::parse(&text).is_ok_and(|template| template.json_skeleton().is_ok()) {
            let object = serde_json::from_slice::<serde_json::Value>(&render(&text, &value)).unwrap();
            prop_assert!(object.is_object());
        }
    }

    #[test]
    fn encodings_read_back(value in value()) {
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        prop_assert_eq!(STANDARD.decode(render("{{ a | base64 }}", &value)).unwrap(), &value[..]);
        prop_assert_eq!(URL_SAFE_NO_PAD.decode(render("{{ a | base64url }}", &value)).unwrap(), &value[..]);
        let hex = String::from_utf8(render("{{ a | hex }}", &value)).unwrap();
        prop_assert_eq!(hex, value.iter().fold(String::new(), |all, byte| all + &format!("{byte:02x}")));
        let url = String::from_utf8(render("{{ a | urlencode }}", &value)).unwrap();
        prop_assert!(url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        let mut pieces = url.split('%');
        let mut read = pieces.next().unwrap().as_bytes().to_vec();
        for piece in pieces {
            read.push(u8::from_str_radix(&piece[..2], 16).unwrap());
            read.extend_from_slice(&piece.as_bytes()[2..]);
        }
        prop_assert_eq!(read, value);
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
