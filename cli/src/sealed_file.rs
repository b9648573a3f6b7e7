//! A file with sealed values: where they stand, and the file with other values in their place. Every other byte stays.

use std::ops::Range;
use std::path::{Path, PathBuf};

use bulla_shared::names::{ItemName, Place};
use bulla_shared::sealed::SealedValue;

use crate::error::{Error, Kind};
use crate::files::{self, Input};
use crate::manifest::{
    Document, Expected, ManifestError, Node, Source, Style, decode, find_sealed, parse, splice, verify_splice,
};

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
    objects: Vec<Object>,
}

/// The `encryptedData` of one object, and how another item is written into it.
#[derive(Debug)]
struct Object {
    span: Range<usize>,
    style: Style,
    /// What stands before a key on its line: none if something else does.
    indent: Option<String>,
    /// Keys and values are in double quotes.
    quoted: bool,
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
    object: usize,
}

impl Found {
    /// How messages name it.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}/{} {}", self.namespace.as_deref().unwrap_or("(no namespace)"), self.name, self.item)
    }

    /// Whether both are items of one object.
    #[must_use]
    pub fn is_beside(&self, other: &Self) -> bool {
        self.object == other.object
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
        let (mut values, mut objects) = (Vec::new(), Vec::new());
        for document in &documents {
            for object in find_sealed(document) {
                values_of(path, document, object, &mut values, &mut objects)?;
            }
        }
        drop(documents);
        Ok((!values.is_empty()).then(|| Self { path: path.to_owned(), source, recoded, values, objects }))
    }

    /// Writes one item into the object that the value `beside` belongs to, after its last item or in the place of the one of this name.
    pub fn set(&self, beside: usize, item: &ItemName, value: &SealedValue) -> Result<(), Error> {
        let object = self.values[beside].object;
        let same = |found: &Found| found.object == object && found.item == item.as_str();
        if let Some(index) = self.values.iter().position(same) {
            return self.replace(&[(index, value.clone())]);
        }
        let last = self.values.iter().rfind(|found| found.object == object).expect("the object has the value that was named");
        let mut whole: serde_json::Map<_, _> = self
            .values
            .iter()
            .filter(|found| found.object == object)
            .map(|found| (found.item.clone(), found.value.to_string().into()))
            .collect();
        whole.insert(item.to_string(), value.to_string().into());
        let Object { span, style, indent, quoted } = &self.objects[object];
        // Some names are no strings to YAML 1.1: they are always in quotes.
        let plain = !quoted
            && item.as_str().len() > 3
            && item.as_str().starts_with(|first: char| first.is_ascii_alphabetic())
            && !["true", "false", "null"].contains(&item.as_str().to_ascii_lowercase().as_str());
        let key = if plain { item.to_string() } else { format!("\"{item}\"") };
        let quote = if *quoted { "\"" } else { "" };
        let entry = format!("{key}: {quote}{value}{quote}");
        let text = self.source.text();
        let ending = self.source.line_ending().as_str();
        let (at, added) = match (style, indent) {
            // A comment behind the last value stays with it.
            (Style::Block, Some(indent)) => {
                let end = text[last.span.end..].find('\n').map_or(text.len(), |at| last.span.end + at);
                let end = if text[..end].ends_with('\r') { end - 1 } else { end };
                (end, format!("{ending}{indent}{entry}"))
            }
            (Style::Block, None) => {
                return Err(Error::new(Kind::Usage, format!("cannot edit {}", self.path.display()))
                    .cause("the items do not begin a line of their own")
                    .hint("write each item of encryptedData on its own line"));
            }
            (Style::Flow, Some(indent)) => (last.span.end, format!(",{ending}{indent}{entry}")),
            (Style::Flow, None) => (last.span.end, format!(", {entry}")),
        };
        self.edit(&[(at..at, added)], &[Expected { span: span.clone(), value: whole.into() }])
    }

    /// Puts new values in the place of those with these indices, in ascending order. A file that somebody else has changed meanwhile stays
    /// as it is.
    pub fn replace(&self, moved: &[(usize, SealedValue)]) -> Result<(), Error> {
        let (mut edits, mut expected) = (Vec::new(), Vec::new());
        for (index, value) in moved {
            let span = self.values[*index].span.clone();
            let text = value.to_string();
            expected.push(Expected { span: span.clone(), value: text.clone().into() });
            // Base64 of an age file begins with letters, so it needs no quotes where there were none.
            let quote = self.source.text()[span.clone()].chars().next().filter(|first| "\"'".contains(*first));
            let quote = quote.map(String::from).unwrap_or_default();
            edits.push((span, format!("{quote}{text}{quote}")));
        }
        self.edit(&edits, &expected)
    }

    fn edit(&self, edits: &[(Range<usize>, String)], expected: &[Expected]) -> Result<(), Error> {
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
        let edited = splice(self.source.text(), edits);
        let documents = parse(&self.source).map_err(failed)?;
        verify_splice(&documents, &edited, expected).map_err(failed)?;
        files::replace_if_still(&self.path, self.source.text().as_bytes(), edited.as_bytes())
    }
}

fn values_of(
    path: &Path,
    document: &Document<'_>,
    object: &Node,
    values: &mut Vec<Found>,
    objects: &mut Vec<Object>,
) -> Result<(), Error> {
    let text = |path: &[&str]| object.at(path).and_then(Node::as_str).map(str::to_owned);
    let (namespace, name) = (text(&["metadata", "namespace"]), text(&["metadata", "name"]).unwrap_or_default());
    let Some(mapping) = object.at(&["spec", "encryptedData"]) else { return Ok(()) };
    let items = mapping.as_mapping().unwrap_or_default();
    let number = objects.len();
    objects.push(object_of(document, mapping));
    for (key, node) in items {
        let failed = |cause: &dyn std::fmt::Display| {
            Error::new(Kind::Keys, format!("cannot read {}", path.display()))
                .cause(format!("{}: {cause}", document.place(node)))
                .hint("bulla inspect says more; take the value from an earlier commit, or seal it again")
        };
        let (Some(item), Some(text)) = (key.as_str(), node.as_str()) else { return Err(failed(&"not a text")) };
        let value = text.parse().map_err(|error: bulla_shared::sealed::SealedError| failed(&error))?;
        values.push(Found {
            namespace: namespace.clone(),
            name: name.clone(),
            item: item.to_owned(),
            value,
            span: node.span(),
            object: number,
        });
    }
    Ok(())
}

/// How the items stand, by the last one.
fn object_of(document: &Document<'_>, mapping: &Node) -> Object {
    let source = document.source();
    let last = mapping.as_mapping().unwrap_or_default().last();
    let indent = last.and_then(|(key, _)| {
        let before = &source.text()[..key.outer_start()];
        let line = before.rsplit('\n').next().unwrap_or_default();
        let own = line.chars().all(|c| c == ' ' || (c == '\t' && mapping.style() == Style::Flow));
        // The first line of a stream may begin with a mark.
        (own && before.contains('\n')).then(|| line.to_owned())
    });
    let quoted = last.is_some_and(|(key, value)| [key, value].iter().all(|node| document.text(node.span()).starts_with('"')));
    Object { span: mapping.span(), style: mapping.style(), indent, quoted }
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
    fn another_item_is_written_as_its_neighbours_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let (old, new) = (value(), value());
        let flow = "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {name: db}\nspec: {encryptedData: ";
        let json = "{\"apiVersion\":\"bulla.dev/v1alpha1\",\"kind\":\"SealedSecret\",\"metadata\":{\"name\":\"db\"},\"spec\":{\"encryptedData\":";
        for (item, before, after) in [
            (
                "user",
                format!("{HEAD}    a: {old} # note\n---\nb: 1\n"),
                format!("{HEAD}    a: {old} # note\n    user: {new}\n---\nb: 1\n"),
            ),
            ("on", format!("{HEAD}    a: {old}"), format!("{HEAD}    a: {old}\n    \"on\": {new}")),
            ("0123", format!("{HEAD}    \"a\": \"{old}\"\n"), format!("{HEAD}    \"a\": \"{old}\"\n    \"0123\": \"{new}\"\n")),
            ("user", format!("{HEAD}    a: >-\n      {old}\n\n"), format!("{HEAD}    a: >-\n      {old}\n    user: {new}\n\n")),
            ("user", format!("{flow}{{a: {old}}}}}\n"), format!("{flow}{{a: {old}, user: {new}}}}}\n")),
            ("user", format!("{json}{{\"a\":\"{old}\"}}}}}}"), format!("{json}{{\"a\":\"{old}\", \"user\": \"{new}\"}}}}}}")),
            (
                "user",
                format!("{json}{{\n\t\"a\":\"{old}\"\n}}}}}}"),
                format!("{json}{{\n\t\"a\":\"{old}\",\n\t\"user\": \"{new}\"\n}}}}}}"),
            ),
            ("a", format!("{HEAD}    a: {old} # note\n"), format!("{HEAD}    a: {new} # note\n")),
        ] {
            for ending in ["\n", "\r\n"] {
                std::fs::write(&path, before.replace('\n', ending)).unwrap();
                SealedFile::read(&path).unwrap().unwrap().set(0, &item.parse().unwrap(), &new).unwrap();
                assert_eq!(std::fs::read_to_string(&path).unwrap(), after.replace('\n', ending));
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
