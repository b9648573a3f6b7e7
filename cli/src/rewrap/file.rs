//! A file with sealed values: where they stand, and the file with other values in their place. Every other byte stays.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bulla_shared::names::Place;
use bulla_shared::sealed::SealedValue;

use crate::error::{Error, Kind};
use crate::files::{self, Input};
use crate::manifest::{Document, Expected, ManifestError, Node, Source, decode, find_sealed, parse, splice, verify_splice};

/// A file that holds sealed values.
#[derive(Debug)]
pub struct SealedFile {
    /// Where it is.
    pub path: PathBuf,
    source: Source,
    /// It is UTF-16: read, but not edited.
    recoded: bool,
    /// Its sealed values, in the order of the text.
    pub values: Vec<Found>,
}

/// A sealed value in a file.
#[derive(Debug)]
pub struct Found {
    /// Namespace of the object; none if it names none.
    pub namespace: Option<String>,
    /// Name of the object.
    pub name: String,
    /// Key in `encryptedData`.
    pub item: String,
    /// The value.
    pub value: SealedValue,
    span: Range<usize>,
}

impl Found {
    /// How messages name it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}/{} {}", self.namespace.as_deref().unwrap_or("(no namespace)"), self.name, self.item)
    }

    /// Where it stands, if its names are valid; an object without a namespace is taken to be for `default`.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let namespace = self.namespace.as_deref().unwrap_or("default");
        Some(Place { namespace: namespace.parse().ok()?, name: self.name.parse().ok()?, item: self.item.parse().ok()? })
    }
}

impl SealedFile {
    /// Reads a file; none if there is nothing sealed in it, whatever else it is.
    pub fn read(path: &Path) -> Result<Option<Self>, Error> {
        let bytes = Input::File(path.to_owned()).read("manifests")?;
        let mentioned = |text: &str| text.contains("SealedSecret") && text.contains("bulla.dev/");
        let failed = |error: &ManifestError| {
            Error::new(Kind::Usage, format!("cannot read {}", path.display())).hint(error.hint()).cause(error)
        };
        let source = match decode(bytes.to_vec()) {
            Ok(source) => source,
            // Pictures and templates lie about in repositories.
            Err(_) if !mentioned(&String::from_utf8_lossy(&bytes)) => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        if !mentioned(source.text()) {
            return Ok(None);
        }
        let recoded = source.text().as_bytes() != bytes.as_slice();
        let documents = parse(&source).map_err(|error| failed(&error))?;
        let mut values = Vec::new();
        for document in &documents {
            for object in find_sealed(document) {
                values_of(path, document, object, &mut values)?;
            }
        }
        drop(documents);
        Ok((!values.is_empty()).then(|| Self { path: path.to_owned(), source, recoded, values }))
    }

    /// Puts new values in the place of those with these indices, in ascending order. A file that somebody else has changed meanwhile stays
    /// as it is.
    pub fn replace(&self, moved: &[(usize, SealedValue)]) -> Result<(), Error> {
        if self.recoded {
            return Err(Error::new(Kind::Usage, format!("cannot edit {}", self.path.display()))
                .cause("it is UTF-16, and would come back as UTF-8")
                .hint("save it as UTF-8"));
        }
        let failed = |error: ManifestError| {
            Error::new(Kind::Bug, format!("cannot edit {}", self.path.display()))
                .hint("please report it; the file is as it was")
                .cause(error)
        };
        let source = &self.source;
        let (mut edits, mut expected) = (Vec::new(), Vec::new());
        for (index, value) in moved {
            let span = self.values[*index].span.clone();
            let text = value.to_string();
            expected.push(Expected { span: span.clone(), value: text.clone().into() });
            // Base64 of an age file begins with letters, so it needs no quotes where there were none.
            let quote = source.text()[span.clone()].chars().next().filter(|first| "\"'".contains(*first));
            let quote = quote.map(String::from).unwrap_or_default();
            edits.push((span, format!("{quote}{text}{quote}")));
        }
        let edited = splice(source.text(), &edits);
        let documents = parse(source).map_err(failed)?;
        verify_splice(&documents, &edited, &expected).map_err(failed)?;
        files::replace_if_still(&self.path, source.text().as_bytes(), edited.as_bytes())
    }
}

fn values_of(path: &Path, document: &Document<'_>, object: &Node, values: &mut Vec<Found>) -> Result<(), Error> {
    let text = |path: &[&str]| object.at(path).and_then(Node::as_str).map(str::to_owned);
    let (namespace, name) = (text(&["metadata", "namespace"]), text(&["metadata", "name"]).unwrap_or_default());
    let items = object.at(&["spec", "encryptedData"]).and_then(Node::as_mapping).unwrap_or_default();
    for (key, node) in items {
        let failed = |cause: &dyn std::fmt::Display| {
            Error::new(Kind::Keys, format!("cannot read {}", path.display()))
                .cause(format!("{}: {cause}", document.place(node)))
                .hint("bulla inspect says more; take the value from an earlier commit, or seal it again")
        };
        let (Some(item), Some(text)) = (key.as_str(), node.as_str()) else { return Err(failed(&"not a text")) };
        let value = text.parse().map_err(|error: bulla_shared::sealed::SealedError| failed(&error))?;
        values.push(Found { namespace: namespace.clone(), name: name.clone(), item: item.to_owned(), value, span: node.span() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bulla_shared::age::{Algorithm, Identity};
    use bulla_shared::binding::Scope;
    use bulla_shared::sealed::Recipients;

    use super::*;

    fn value() -> SealedValue {
        let recipients = Recipients::new([Identity::generate(Algorithm::X25519).recipient().clone()]).unwrap();
        SealedValue::seal(b"x", Scope::Cluster, &recipients, jiff::Timestamp::UNIX_EPOCH, None).unwrap()
    }

    const HEAD: &str =
        "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: a}\nspec:\n  encryptedData:\n";

    #[test]
    fn only_the_value_changes_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let (old, other, new) = (value(), value(), value());
        let half = old.to_string().len() / 2;
        let (first, second) = (old.to_string()[..half].to_owned(), old.to_string()[half..].to_owned());
        for (before, after) in [
            (format!("    a: {old} # note\n    b: {other}\n"), format!("    a: {new} # note\n    b: {other}\n")),
            (format!("    'a': \"{old}\"\n    b: '{other}'   \n"), format!("    'a': \"{new}\"\n    b: '{other}'   \n")),
            (
                format!("    # c\n    a: >-\n      {old}\n\n    b: {other}\n---\nkind: x\n"),
                format!("    # c\n    a: {new}\n\n    b: {other}\n---\nkind: x\n"),
            ),
            (format!("    a: \"{first}\\\n      {second}\"\n    b: {other}"), format!("    a: \"{new}\"\n    b: {other}")),
            (format!("    {{a: {old}, b: {other}}}\n"), format!("    {{a: {new}, b: {other}}}\n")),
        ] {
            for ending in ["\n", "\r\n"] {
                let fit = |text: &str| (HEAD.to_owned() + text).replace('\n', ending);
                std::fs::write(&path, fit(&before)).unwrap();
                let file = SealedFile::read(&path).unwrap().unwrap();
                assert_eq!(
                    (file.values[0].value.clone(), file.values[1].value.clone()),
                    (old.clone(), other.clone()),
                    "{before}"
                );
                assert_eq!(file.values[0].label(), "a/db a");
                file.replace(&[(0, new.clone())]).unwrap();
                assert_eq!(std::fs::read_to_string(&path).unwrap(), fit(&after));
            }
        }
    }

    #[test]
    fn what_is_not_sealed_is_passed_over_and_what_changed_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        for text in [&b"\xff\xfe\x00binary"[..], b"{{ helm }}: {{", b"kind: Secret\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(SealedFile::read(&path).unwrap().is_none());
        }
        for text in ["    a: nonsense\n", "    a: [1]\n", "    a: 1\n", "   a: *b\n"] {
            std::fs::write(&path, HEAD.to_owned() + text).unwrap();
            assert!(SealedFile::read(&path).is_err(), "{text}");
        }
        std::fs::write(&path, format!("{HEAD}    a: {}\n", value())).unwrap();
        let file = SealedFile::read(&path).unwrap().unwrap();
        std::fs::write(&path, "somebody else's").unwrap();
        assert!(file.replace(&[(0, value())]).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody else's");
    }
}
