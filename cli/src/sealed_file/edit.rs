//! Editing a sealed file: items changed, added and removed at their bytes. Every other byte stays, or nothing is written.

use std::ops::Range;

use bulla_shared::convert::{MAX_CLIENT_APPLY, MAX_OBJECT};
use bulla_shared::names::ItemName;
use bulla_shared::resources::sealed_secret::MAX_ITEMS;
use bulla_shared::sealed::SealedValue;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Found, Object, SealedFile};
use crate::diff;
use crate::error::{Error, Kind, warn};
use crate::files;
use crate::manifest::{
    Expected, ManifestError, Style, between_tokens, check_editable, is_plain_key, parse, splice, verify_splice,
};

/// What becomes of one item.
#[derive(Debug, Clone)]
pub enum Change {
    /// It has this value; an item that is not there yet comes after the last one, or after the one that is named.
    Set(ItemName, Box<SealedValue>),
    /// It goes.
    Unset(ItemName),
}

impl SealedFile {
    /// The text after these changes to the object that `beside` belongs to, each item at most once.
    pub fn edited(&self, beside: &Found, changes: &[Change]) -> Result<Zeroizing<String>, Error> {
        self.edited_after(self.items(beside.object).next_back().unwrap_or(beside), changes)
    }

    /// The same, with new items after this one.
    pub fn edited_after(&self, beside: &Found, changes: &[Change]) -> Result<Zeroizing<String>, Error> {
        let object = &self.objects[beside.object];
        let failed = |cause: String| Error::new(Kind::Usage, format!("cannot edit {}", self.path.display())).cause(cause);
        let mut items: Map<String, Value> =
            self.items(beside.object).map(|found| (found.item.clone(), found.value.to_string().into())).collect();
        let (mut edits, mut added, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Set(item, value) => {
                    if object.templated.iter().any(|name| name == item.as_str()) {
                        let cause = format!("spec.template.data makes an item {item}, and the cluster refuses it twice");
                        return Err(failed(cause).hint("remove it there, or choose another name"));
                    }
                    items.insert(item.to_string(), value.to_string().into());
                    match self.item(beside.object, item.as_str()) {
                        Some(found) => edits.push(self.replacement(found, value)),
                        None => added.push((item, &**value)),
                    }
                }
                Change::Unset(item) => {
                    if items.remove(item.as_str()).is_none() {
                        return Err(failed(format!("there is no item {item}")).hint("bulla inspect lists them"));
                    }
                    removed.push(item);
                }
            }
        }
        self.check_size(&items)?;
        if !added.is_empty() {
            edits.push(self.addition(beside, &added)?);
        }
        edits.sort_by_key(|(span, _)| span.start);
        let mut text = splice(self.text(), &edits);
        for item in removed {
            // Read anew, because where things stand has changed.
            let file = Self::of(&self.path, text.as_bytes())?.expect("an item that goes is not the last one");
            text = splice(file.text(), &file.removal(beside.object, item)?);
        }
        self.verify(&text, &[Expected { span: object.span.clone(), value: items.into() }])?;
        Ok(text)
    }

    /// Puts new values in the place of those with these indices, in ascending order.
    pub fn replace(&self, moved: &[(usize, SealedValue)]) -> Result<(), Error> {
        let (mut edits, mut expected) = (Vec::new(), Vec::new());
        for (index, value) in moved {
            let found = &self.values[*index];
            expected.push(Expected { span: found.span.clone(), value: value.to_string().into() });
            edits.push(self.replacement(found, value));
        }
        let edited = splice(self.text(), &edits);
        self.verify(&edited, &expected)?;
        self.write(&edited)
    }

    /// Writes the new text, or shows what would change. A file that somebody else has changed meanwhile stays as it is.
    pub fn finish(&self, edited: &str, dry_run: bool) -> Result<(), Error> {
        if !dry_run {
            return self.write(edited);
        }
        let after = Self::of(&self.path, edited.as_bytes())?.map_or_else(|| edited.to_owned().into(), |file| file.described());
        diff::print(&self.path, &self.described(), &after)
    }

    fn write(&self, edited: &str) -> Result<(), Error> {
        files::replace_if_still(&self.path, self.text().as_bytes(), edited.as_bytes())
    }

    pub(super) fn items(&self, object: usize) -> impl DoubleEndedIterator<Item = &Found> {
        self.values.iter().filter(move |found| found.object == object)
    }

    fn item(&self, object: usize, name: &str) -> Option<&Found> {
        self.items(object).find(|found| found.item == name)
    }

    fn check_size(&self, items: &Map<String, Value>) -> Result<(), Error> {
        let failed = |cause: String| Error::new(Kind::Usage, format!("cannot edit {}", self.path.display())).cause(cause);
        let size: usize = items.iter().map(|(item, value)| item.len() + value.as_str().map_or(0, str::len) + 6).sum();
        match items.len() {
            0 => Err(failed("no item would be left".to_owned()).hint("delete the SealedSecret itself if it is not needed")),
            1..=MAX_ITEMS if size <= MAX_OBJECT => {
                if size > MAX_CLIENT_APPLY {
                    warn(format!(
                        "the SealedSecret has {size} bytes; kubectl apply without --server-side takes at most {MAX_CLIENT_APPLY}"
                    ));
                }
                Ok(())
            }
            1..=MAX_ITEMS => {
                let cause = format!("the SealedSecret would have {size} bytes; the API server stores about {MAX_OBJECT}");
                Err(failed(cause).hint("split it into several"))
            }
            _ => Err(failed(format!("it would have more than {MAX_ITEMS} items")).hint("split it into several")),
        }
    }

    fn replacement(&self, found: &Found, value: &SealedValue) -> (Range<usize>, String) {
        // Base64 of an age file begins with letters, so it needs no quotes where there were none.
        let quote = self.text()[found.span.clone()].chars().next().filter(|first| "\"'".contains(*first));
        let quote = quote.map(String::from).unwrap_or_default();
        (found.span.clone(), format!("{quote}{value}{quote}"))
    }

    /// Further items after this one, written as the last one is.
    fn addition(&self, after: &Found, added: &[(&ItemName, &SealedValue)]) -> Result<(Range<usize>, String), Error> {
        let end_of_value = after.span.end;
        let Object { style, indent, quoted, .. } = &self.objects[after.object];
        let text = self.text();
        let ending = self.source.line_ending().as_str();
        let (at, before) = match (style, indent) {
            // A comment behind the value stays with it.
            (Style::Block, Some(indent)) => {
                let end = text[end_of_value..].find('\n').map_or(text.len(), |at| end_of_value + at);
                (text[..end].strip_suffix('\r').map_or(end, str::len), format!("{ending}{indent}"))
            }
            (Style::Block, None) => return Err(self.shared_line()),
            (Style::Flow, Some(indent)) => (end_of_value, format!(",{ending}{indent}")),
            (Style::Flow, None) => (end_of_value, ", ".to_owned()),
        };
        let entries = added.iter().map(|(item, value)| {
            let key = if *quoted || !is_plain_key(item.as_str()) { format!("\"{item}\"") } else { item.to_string() };
            let quote = if *quoted { "\"" } else { "" };
            format!("{before}{key}: {quote}{value}{quote}")
        });
        Ok((at..at, entries.collect()))
    }

    /// One of several items, with the line or the comma that it alone needs.
    fn removal(&self, object: usize, item: &ItemName) -> Result<Vec<(Range<usize>, String)>, Error> {
        let text = self.text();
        let items: Vec<_> = self.items(object).collect();
        let index = items.iter().position(|found| found.item == item.as_str()).expect("the item is there");
        let (start, end) = (items[index].start, items[index].span.end);
        let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let alone = text[line..start].trim().is_empty();
        let next_line = |end: usize| text[end..].find('\n').map_or(text.len(), |at| end + at + 1);
        if self.objects[object].style == Style::Block {
            return if alone { Ok(vec![(line..next_line(end), String::new())]) } else { Err(self.shared_line()) };
        }
        let comma = |from: usize, to: usize| between_tokens(text, from, to).find(|&(_, byte)| byte == b',').map(|(at, _)| at);
        let Some(next) = items.get(index + 1) else {
            let before = &items[index - 1];
            let comma = comma(before.span.end, start).expect("a comma stands between two entries");
            return Ok(match text[comma + 1..start].trim() {
                "" => vec![(comma..end, String::new())],
                _ => vec![(comma..comma + 1, String::new()), (start..end, String::new())],
            });
        };
        let comma = comma(end, next.start).expect("a comma stands between two entries");
        let rest = &text[comma + 1..];
        let rest = comma + 1 + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
        Ok(match &text[rest..] {
            after if alone && after.starts_with(['\r', '\n']) => vec![(line..next_line(rest), String::new())],
            _ => vec![(start..rest, String::new())],
        })
    }

    fn shared_line(&self) -> Error {
        Error::new(Kind::Usage, format!("cannot edit {}", self.path.display()))
            .cause("the items do not begin a line of their own")
            .hint("write each item of encryptedData on its own line")
    }

    /// Whether the new text reads as intended, to us and to others.
    fn verify(&self, edited: &str, expected: &[Expected]) -> Result<(), Error> {
        let failed = |kind, error: &ManifestError| {
            Error::new(kind, format!("cannot edit {}", self.path.display())).hint(error.hint()).cause(error)
        };
        if self.recoded {
            return Err(Error::new(Kind::Usage, format!("cannot edit {}", self.path.display()))
                .cause("it is UTF-16, and would come back as UTF-8")
                .hint("save it as UTF-8"));
        }
        let documents = parse(&self.source).map_err(|error| failed(Kind::Bug, &error))?;
        for expected in expected {
            let document = documents.iter().find(|document| document.span().contains(&expected.span.start));
            let document = document.expect("the documents cover the text");
            check_editable(document, &expected.span).map_err(|error| failed(Kind::Usage, &error))?;
        }
        verify_splice(&documents, edited, expected).map_err(|error| failed(Kind::Bug, &error))
    }
}
