//! What a file that `-o` names would lose if it were replaced: the one rule of the commands that replace files. Those that make keys, backups
//! and new files replace none.

use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Error, Kind};
use crate::manifest::{Node, decode, parse};

/// Kind, namespace and name, as far as it has them.
struct Object(String, Option<String>, Option<String>);

impl Object {
    fn of(node: &Node) -> Self {
        let text = |path: &[&str]| node.at(path).and_then(Node::as_str).map(str::to_owned);
        Self(text(&["kind"]).unwrap_or_default(), text(&["metadata", "namespace"]), text(&["metadata", "name"]))
    }

    /// Whether `new` is the same thing, sealed perhaps; one without a namespace may be meant for any.
    fn becomes(&self, new: &Self) -> bool {
        let kind = self.0 == new.0 || (self.0 == "Secret" && new.0 == "SealedSecret");
        kind && self.2 == new.2 && (self.1 == new.1 || self.1.is_none() || new.1.is_none())
    }
}

/// Refuses to replace a file by manifests that lack something of it.
pub(super) fn keep_objects(output: Option<&Path>, new: &[u8]) -> Result<(), Error> {
    let Some((path, old)) = there(output) else { return Ok(()) };
    let lost = match (objects(&old), objects(new)) {
        (Ok(old), Ok(new)) => old.into_iter().find(|old| !new.iter().any(|new| old.becomes(new))).map(|lost| match lost {
            Object(kind, _, Some(name)) if !kind.is_empty() => format!("{kind} {name}"),
            _ => "something that is no object with a name".to_owned(),
        }),
        _ => Some("what cannot be read as manifests".to_owned()),
    };
    lost.map_or(Ok(()), |lost| Err(refused(path, &lost)))
}

/// Refuses to replace manifests and keys by a value.
pub(super) fn keep_manifests(output: Option<&Path>) -> Result<(), Error> {
    let Some((path, old)) = there(output) else { return Ok(()) };
    let text = String::from_utf8_lossy(&old);
    let is_key = text.to_ascii_uppercase().contains("AGE-SECRET-KEY-");
    let lost = match objects(&old) {
        _ if is_key => Some("a private key"),
        Ok(objects) => objects.iter().any(|object| !object.0.is_empty()).then_some("manifests"),
        Err(()) => text.contains("kind:").then_some("manifests"),
    };
    lost.map_or(Ok(()), |lost| Err(refused(path, lost)))
}

/// A file with something in it.
fn there(output: Option<&Path>) -> Option<(&Path, Zeroizing<Vec<u8>>)> {
    let path = output.filter(|path| *path != Path::new("-") && path.is_file())?;
    let old = Zeroizing::new(fs::read(path).ok()?);
    (!old.iter().all(u8::is_ascii_whitespace)).then_some((path, old))
}

fn refused(path: &Path, lost: &str) -> Error {
    Error::new(Kind::Usage, format!("cannot replace {}", path.display()))
        .cause(format!("it has {lost}, and what would be written has not"))
        .hint(
            "name another file, or remove this one first; bulla set and bulla seal --in-place leave the rest of a file as it is",
        )
}

fn objects(bytes: &[u8]) -> Result<Vec<Object>, ()> {
    let source = decode(bytes.to_vec()).map_err(drop)?;
    let documents = parse(&source).map_err(drop)?;
    let mut found = Vec::new();
    for root in documents.iter().filter_map(|document| document.root()) {
        match root.get("items").and_then(Node::as_sequence) {
            Some(items) if root.get("kind").and_then(Node::as_str).is_some_and(|kind| kind.ends_with("List")) => {
                found.extend(items.iter().map(Object::of));
            }
            _ => found.push(Object::of(root)),
        }
    }
    Ok(found)
}
