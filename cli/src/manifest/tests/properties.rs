//! Any mix of documents keeps its other bytes, and no input panics.

use proptest::prelude::*;

use super::*;

/// Documents without `---`; those with ⟦…⟧ are Secrets.
const PIECES: &[&str] = &[
    "⟦apiVersion: v1\nkind: Secret\nstringData:\n  a: |+\n    x⟧\n\n",
    "⟦apiVersion: v1\nkind: Secret\ndata:⟧\n",
    "⟦{\"apiVersion\":\"v1\",\"kind\":\"Secret\"}⟧\n",
    "# c\n⟦kind: Secret\nmetadata: {name: é} # c\napiVersion: v1⟧ # c\n# c\n",
    "apiVersion: v1\nkind: List\nitems:\n- a: 1\n- ⟦apiVersion: v1\n  kind: Secret\n  stringData:\n    b: 'x\n\n      y'⟧\n",
    "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: >\n    b\n  c: &x [1, *x]\n",
    "# only a comment\n",
    "",
    "text\n",
    "{a: b, ? c : !d e}\n",
];
const MARKS: &[&str] = &["---\n", "--- # mark\n", "...\n---\n", "...\n# c\n---   \n"];

/// Fragments that steer a parser into its corners.
const TOKENS: &[&str] = &[
    "apiVersion: v1\n",
    "kind: Secret\n",
    "kind: List\n",
    "items:\n",
    "- ",
    "  ",
    "\n",
    "? ",
    ": ",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!!binary ",
    "!x ",
    "|\n",
    "|-2\n",
    ">+\n",
    "# c\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "\t",
    "\r\n",
    "é",
    "~",
    "a",
    "1",
    "\"a\":",
    "{\"a\":1}",
    "data:\n",
    "stringData: ",
    "\\u",
    "\u{feff}",
    "\u{a0}",
];

fn mutated() -> impl Strategy<Value = String> {
    let pieces =
        proptest::collection::vec(prop_oneof![proptest::sample::select(TOKENS), proptest::sample::select(PIECES)], 0..24);
    pieces.prop_map(|pieces| pieces.concat().replace(['⟦', '⟧'], ""))
}

fn try_everything(bytes: Vec<u8>) {
    let Ok(source) = decode(bytes) else { return };
    let Ok(documents) = parse(&source) else { return };
    for document in &documents {
        let _ = format!("{document:?} {:?}", document.root().map(|root| document.place(root)));
    }
    if let Ok(edited) = seal(&source) {
        // Sealed once, there is nothing left to seal.
        let again = decode(edited.as_bytes().to_vec()).unwrap();
        assert!(parse(&again).unwrap().iter().all(|document| find_secrets(document).unwrap().found.is_empty()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_outside_the_secrets_never_change(
        parts in proptest::collection::vec((proptest::sample::select(MARKS), proptest::sample::select(PIECES)), 1..8),
        windows in any::<bool>(),
    ) {
        let mut marked: String = parts.iter().flat_map(|(mark, piece)| [*mark, *piece]).collect();
        if marked.starts_with("...") {
            marked.insert_str(0, "a: 1\n");
        }
        if windows {
            marked = marked.replace('\n', "\r\n");
        }
        let text = marked.replace(['⟦', '⟧'], "");
        let outside: Vec<&str> = marked.split(['⟦', '⟧']).step_by(2).collect();
        let source = source(&text);
        let edited = seal(&source).unwrap();
        // The text outside comes back in order, with replacements between.
        let mut rest = edited.as_str();
        for (index, part) in outside.iter().enumerate() {
            let at = if index == 0 { 0 } else { rest.find("QUdF").unwrap() };
            let tail = &rest[at..];
            let start = tail.find(part).unwrap();
            // Behind the last letters of a replacement there are a quote and at most three braces.
            let near = if index == 0 { start == 0 } else { start <= 8 };
            prop_assert!(near);
            rest = &tail[start + part.len()..];
        }
        prop_assert_eq!(rest, "");
        prop_assert!(!edited.contains("stringData"));
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        try_everything(bytes);
    }

    #[test]
    fn no_text_panics(text in mutated()) {
        try_everything(text.into_bytes());
    }

    #[test]
    fn no_damaged_manifest_panics(text in mutated(), cuts in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6)) {
        let mut bytes = text.into_bytes();
        for (index, byte) in cuts {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                if byte % 3 == 0 { bytes.remove(at); } else { bytes[at] = byte; }
            }
        }
        try_everything(bytes);
    }
}
