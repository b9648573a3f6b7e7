//! A file with sealed values: where they stand, and which object is meant. How it is edited stands in `edit.rs`, how it is shown in
//! `describe.rs`.

mod describe;
mod edit;

use std::ops::Range;
use std::path::{Path, PathBuf};

use bulla_shared::names::{Namespace, Place};
use bulla_shared::sealed::{SealedError, SealedValue};

pub use edit::Change;

use crate::error::{Error, Kind};
use crate::files::Input;
use crate::manifest::{Document, ManifestError, Node, Source, Style, decode, find_sealed, parse};

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
    /// Items that the template makes; none of them may be sealed as well.
    templated: Vec<String>,
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
    /// Where its key begins.
    start: usize,
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
        Self::of(path, &Input::File(path.to_owned()).read("manifests")?)
    }

    /// The same of bytes at hand; `path` names them in messages.
    pub fn of(path: &Path, bytes: &[u8]) -> Result<Option<Self>, Error> {
        let mentioned = |text: &str| text.contains("SealedSecret") && text.contains("bulla.dev/");
        let failed = |error: &ManifestError| {
            Error::new(Kind::Usage, format!("cannot read {}", path.display())).hint(error.hint()).cause(error)
        };
        let source = match decode(bytes.to_vec()) {
            Ok(source) => source,
            // Pictures and templates lie about in repositories.
            Err(_) if !mentioned(&String::from_utf8_lossy(bytes)) => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        if !mentioned(source.text()) {
            return Ok(None);
        }
        let recoded = source.text().as_bytes() != bytes;
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

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.source.text()
    }

    /// Where a value stands in the text.
    #[must_use]
    pub fn span(&self, found: &Found) -> Range<usize> {
        found.span.clone()
    }

    /// The values of each object that has any.
    pub fn objects(&self) -> impl Iterator<Item = Vec<&Found>> {
        (0..self.objects.len()).map(|object| self.items(object).collect::<Vec<_>>()).filter(|object| !object.is_empty())
    }

    /// The values of the one object that is meant; an object without a namespace may be meant for any.
    pub fn choose(&self, namespace: Option<&Namespace>, name: Option<&str>) -> Result<Vec<&Found>, Error> {
        let failed = |cause: &str| {
            Error::new(Kind::Usage, format!("cannot choose a SealedSecret in {}", self.path.display())).cause(cause)
        };
        let meant = |found: &&Found| {
            let elsewhere = |wanted: &Namespace| found.namespace.as_ref().is_some_and(|own| own != wanted.as_str());
            name.is_none_or(|name| name == found.name) && !namespace.is_some_and(elsewhere)
        };
        let found: Vec<_> = self.values.iter().filter(meant).collect();
        let Some(first) = found.first() else {
            return Err(failed("none has this name and namespace").hint("bulla inspect lists them"));
        };
        if found.iter().any(|other| !first.is_beside(other)) {
            return Err(failed("there are several").hint("name one with --name and -n, or give them files of their own"));
        }
        Ok(found)
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
    let templated = object.at(&["spec", "template", "data"]).and_then(Node::as_mapping).unwrap_or_default();
    let templated = templated.iter().filter_map(|(key, _)| key.as_str().map(str::to_owned)).collect();
    objects.push(Object { templated, ..object_of(document, mapping) });
    for (key, node) in items {
        let failed = |cause: &dyn std::fmt::Display| {
            Error::new(Kind::Keys, format!("cannot read {}", path.display()))
                .cause(format!("{}: {cause}", document.place(node)))
                .hint("bulla inspect says more; take the value from an earlier commit, or seal it again")
        };
        let (Some(item), Some(text)) = (key.as_str(), node.as_str()) else { return Err(failed(&"not a text")) };
        let value = text.parse().map_err(|error: SealedError| failed(&error))?;
        values.push(Found {
            namespace: namespace.clone(),
            name: name.clone(),
            item: item.to_owned(),
            value,
            start: key.outer_start(),
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
    Object { span: mapping.span(), style: mapping.style(), indent, quoted, templated: Vec::new() }
}

#[cfg(test)]
mod tests;
