//! Tests of the whole way: bytes in, Secrets replaced, bytes out.

mod properties;
mod reading;
mod refusals;
mod replacing;

use std::ops::Range;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{
    Document, Expected, Layout, LineEnding, ManifestError, SecretSpan, Source, decode, find_secrets, parse, reindent, splice,
    verify_splice,
};

/// What takes the place of each Secret in these tests.
const SEALED: &str = "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nspec:\n  encryptedData:\n    password: \"QUdF\"\n";

fn sealed_value() -> Value {
    json!({"apiVersion": "bulla.dev/v1alpha1", "kind": "SealedSecret", "spec": {"encryptedData": {"password": "QUdF"}}})
}

fn source(text: &str) -> Source {
    decode(text.into()).unwrap()
}

fn replacement(secret: &SecretSpan<'_>, ending: LineEnding) -> String {
    match &secret.layout {
        Layout::Block => reindent(SEALED, secret.column, ending),
        Layout::Flow(layout) => layout.write(&sealed_value()),
    }
}

/// The edits that put [`SEALED`] in the place of every Secret.
fn edits(documents: &[Document<'_>], ending: LineEnding) -> Result<Vec<(Range<usize>, String)>, ManifestError> {
    let mut edits = Vec::new();
    for document in documents {
        let secrets = find_secrets(document)?;
        secrets.require_versions(document)?;
        edits.extend(secrets.list_kind.map(|span| {
            let quoted = document.text(span.clone()).starts_with('"');
            (span, if quoted { "\"List\"".to_owned() } else { "List".to_owned() })
        }));
        edits.extend(secrets.found.iter().map(|secret| (secret.span.clone(), replacement(secret, ending))));
    }
    edits.sort_by_key(|(span, _)| span.start);
    Ok(edits)
}

/// Replaces every Secret and verifies the result.
fn seal(source: &Source) -> Result<Zeroizing<String>, ManifestError> {
    let documents = parse(source)?;
    let edits = edits(&documents, source.line_ending())?;
    let edited = splice(source.text(), &edits);
    let expected: Vec<_> = edits
        .iter()
        .map(|(span, text)| {
            let list = text.trim_matches('"') == "List";
            Expected { span: span.clone(), value: if list { json!("List") } else { sealed_value() } }
        })
        .collect();
    verify_splice(&documents, &edited, &expected)?;
    Ok(edited)
}
