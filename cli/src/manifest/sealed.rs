//! The SealedSecrets of a stream, as resources.

use bulla_shared::resources::sealed_secret::SealedSecret;

use super::{Kind as NodeKind, Node, Place, ScalarValue, decode, find_sealed, parse};
use crate::error::{Error, Kind};
use crate::files::Input;

/// A `SealedSecret` and where it stands.
#[derive(Debug)]
pub struct SealedDocument {
    /// Where.
    pub place: Place,
    /// What.
    pub sealed: SealedSecret,
}

/// Reads all SealedSecrets of an input; other kinds are passed over.
pub fn read_sealed(input: &Input) -> Result<Vec<SealedDocument>, Error> {
    sealed_in(&input.name(), &input.read("manifests")?)
}

/// Whether something sealed can be in a file, whatever else it is: templates and pictures lie about in repositories.
#[must_use]
pub fn mentions_sealed(bytes: &[u8]) -> bool {
    // UTF-16 has a zero in every second byte.
    let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let text = String::from_utf8_lossy(&bytes);
    text.contains("SealedSecret") && text.contains("bulla.dev/")
}

/// All SealedSecrets in the bytes of a file of this name.
pub fn sealed_in(name: &str, bytes: &[u8]) -> Result<Vec<SealedDocument>, Error> {
    let failed = || Error::new(Kind::Usage, format!("cannot read {name}"));
    let source = decode(bytes.to_vec()).map_err(|error| failed().hint(error.hint()).cause(error))?;
    let documents = parse(&source).map_err(|error| failed().hint(error.hint()).cause(error))?;
    let mut found = Vec::new();
    for document in &documents {
        for node in find_sealed(document) {
            let place = document.place(node);
            let sealed = resource(node).ok_or_else(|| {
                let hint = "compare it with what bulla seal writes; text that looks like a number or a boolean needs quotes";
                failed().cause(format!("{place}: not of the form of a SealedSecret")).hint(hint)
            })?;
            found.push(SealedDocument { place, sealed });
        }
    }
    Ok(found)
}

/// The node as a resource; none if it is not of that form. Why is not said: a type error of serde would quote a value.
#[must_use]
pub fn resource(node: &Node) -> Option<SealedSecret> {
    to_value(node).and_then(|value| serde_json::from_value(value).ok())
}

/// A node as JSON; none for what JSON does not have. Depth is bounded by the parser.
fn to_value(node: &Node) -> Option<serde_json::Value> {
    use serde_json::Value;
    Some(match node.kind() {
        NodeKind::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| Some((key.as_str()?.to_owned(), to_value(value)?)));
            Value::Object(entries.collect::<Option<_>>()?)
        }
        NodeKind::Sequence(items) => Value::Array(items.iter().map(to_value).collect::<Option<_>>()?),
        NodeKind::Scalar(scalar) => match scalar.read() {
            ScalarValue::Text(text) => Value::String(text.to_owned()),
            ScalarValue::Null => Value::Null,
            ScalarValue::Boolean => Value::Bool(scalar.as_bool()?),
            ScalarValue::Integer | ScalarValue::Float => Value::Number(scalar.raw().parse().ok()?),
            _ => return None,
        },
        NodeKind::Alias(_) => return None,
    })
}
