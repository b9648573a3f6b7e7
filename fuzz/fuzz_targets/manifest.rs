//! A stream of manifests: read, and each Secret in it replaced by the same sealed one.
#![no_main]

use bulla_cli::manifest::{
    Expected, Layout, ManifestError, Source, decode, find_sealed, find_secrets, parse, reindent, splice, verify_splice,
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const SEALED: &str = "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nspec:\n  encryptedData:\n    password: \"QUdF\"\n";

fn sealed() -> Value {
    json!({"apiVersion": "bulla.dev/v1alpha1", "kind": "SealedSecret", "spec": {"encryptedData": {"password": "QUdF"}}})
}

/// The text with every Secret replaced, and how many edits that took.
fn seal(source: &Source) -> Result<(String, usize), ManifestError> {
    let documents = parse(source)?;
    let (mut edits, mut expected) = (Vec::new(), Vec::new());
    for document in &documents {
        let _ = document.root().map(|root| document.place(root).to_string());
        let _ = find_sealed(document);
        let secrets = find_secrets(document)?;
        if let Some(span) = secrets.list_kind {
            let quote = document.text(span.clone()).chars().next().filter(|first| "\"'".contains(*first));
            let quote = quote.map(String::from).unwrap_or_default();
            edits.push((span.clone(), format!("{quote}List{quote}")));
            expected.push(Expected { span, value: json!("List") });
        }
        for secret in secrets.found {
            let text = match &secret.layout {
                Layout::Block => reindent(SEALED, secret.column, source.line_ending()),
                Layout::Flow(layout) => layout.write(&sealed()),
            };
            edits.push((secret.span, text));
            expected.push(Expected { span: secret.node.span(), value: sealed() });
        }
    }
    edits.sort_by_key(|(span, _)| span.start);
    let edited = splice(source.text(), &edits);
    // All bytes outside the spans, in their order.
    let mut rest = edited.as_str();
    let mut at = 0;
    for (span, text) in &edits {
        rest = rest.strip_prefix(&source.text()[at..span.start]).expect("the bytes before a span stay");
        rest = rest.strip_prefix(text.as_str()).expect("then the replacement");
        at = span.end;
    }
    assert_eq!(rest, &source.text()[at..], "the bytes after the last span stay");
    let count = expected.len();
    if let Err(error) = verify_splice(&documents, &edited, &expected) {
        panic!("an edit of ours went wrong: {error}");
    }
    Ok((edited.to_string(), count))
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = decode(bytes.to_vec()) else { return };
    let (edited, count) = match seal(&source) {
        Ok(sealed) => sealed,
        Err(error) => {
            let _ = (error.to_string(), error.hint());
            return;
        }
    };
    if count == 0 {
        assert_eq!(edited, source.text(), "without a Secret nothing changes");
        return;
    }
    // What verified is readable again, and sealed once there is nothing left to seal.
    let again = decode(edited.into_bytes()).expect("what was written is text");
    let (_, count) = seal(&again).expect("what was written is read again");
    assert_eq!(count, 0);
});
