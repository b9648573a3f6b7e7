//! How a JSON object is laid out, and writing another one the same way in its place.
//!
//! Also for flow mappings of YAML, which JSON is a part of.

use std::fmt::Write as _;
use std::io;

use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use super::node::{Document, Node};
use super::{LineEnding, Source};

/// The layout of a JSON object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowLayout {
    /// On one line.
    Compact {
        /// With spaces after colons and commas.
        spaced: bool,
    },
    /// One line for each entry.
    Pretty {
        /// Indentation of one level.
        unit: String,
        /// Indentation of the closing brace.
        base: String,
        /// How lines end.
        ending: LineEnding,
    },
}

impl FlowLayout {
    /// The layout of a flow mapping.
    pub(super) fn of(document: &Document<'_>, node: &Node) -> Self {
        let source = document.source();
        let text = source.text();
        let span = node.span();
        let entries = node.as_mapping().unwrap_or_default();
        if !text[span.clone()].contains('\n') {
            let spaced = entries.first().is_none_or(|(key, value)| {
                text.get(key.span().end..value.span().start).is_some_and(|between| between.ends_with(' '))
            });
            return Self::Compact { spaced };
        }
        let closing = indent(source, span.end.saturating_sub(1));
        let base = closing.or_else(|| line_indent(source, span.start)).unwrap_or_default();
        let first = entries.iter().find_map(|(key, _)| indent(source, key.span().start));
        let unit = first.and_then(|first| first.strip_prefix(base)).filter(|unit| !unit.is_empty()).unwrap_or("  ");
        Self::Pretty { unit: unit.to_owned(), base: base.to_owned(), ending: source.line_ending() }
    }

    /// Writes a value in this layout, the first line without indentation. All characters that [`super::decode()`] refuses are
    /// written as escapes.
    #[must_use]
    pub fn write(&self, value: &Value) -> String {
        match self {
            Self::Compact { spaced: false } => serialize(value, CompactFormatter),
            Self::Compact { spaced: true } => serialize(value, Spaced),
            Self::Pretty { unit, base, ending } => {
                // Line breaks inside strings are escapes, so every one here is layout.
                let lines = serialize(value, PrettyFormatter::with_indent(unit.as_bytes()));
                lines.replace('\n', &format!("{}{base}", ending.as_str()))
            }
        }
    }
}

/// The white space before an offset, if there is nothing else on its line.
fn indent(source: &Source, offset: usize) -> Option<&str> {
    let before = &source.text()[source.mark_len().min(offset)..offset];
    let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
    line.bytes().all(|b| matches!(b, b' ' | b'\t')).then_some(line)
}

/// The white space that the line of an offset begins with.
fn line_indent(source: &Source, offset: usize) -> Option<&str> {
    let before = &source.text()[source.mark_len().min(offset)..offset];
    let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
    line.get(..line.len() - line.trim_start_matches([' ', '\t']).len())
}

fn serialize<F: Formatter>(value: &Value, formatter: F) -> String {
    let mut bytes = Vec::new();
    value
        .serialize(&mut Serializer::with_formatter(&mut bytes, formatter))
        .expect("a value with string keys is written to memory without failure");
    let text = String::from_utf8(bytes).expect("JSON is written as UTF-8");
    let refused = |c: char| matches!(c, '\u{7F}'..='\u{9F}' | '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}');
    if !text.contains(refused) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if refused(c) {
            // All of them are below U+10000, so four digits are enough.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// `{"a": 1, "b": [2, 3]}`.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{decode, parse};
    use super::*;

    fn layout(text: &str) -> FlowLayout {
        let source = decode(text.into()).unwrap();
        let documents = parse(&source).unwrap();
        FlowLayout::of(&documents[0], documents[0].root().unwrap())
    }

    #[test]
    fn the_same_object_is_written_as_it_was() {
        for text in [
            "{\"a\":1,\"b\":[1,{\"c\":\"x\"}]}",
            "{\"a\": 1, \"b\": [1, {\"c\": \"x\"}]}",
            "{\n  \"a\": 1,\n  \"b\": [\n    1,\n    {\n      \"c\": \"x\"\n    }\n  ]\n}",
            "{\n\t\"a\": 1,\n\t\"b\": [\n\t\t1\n\t]\n}",
            "{\r\n    \"a\": {\r\n        \"b\": null\r\n    }\r\n}",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(layout(text).write(&value), text);
        }
    }

    #[test]
    fn characters_that_parsers_split_at_are_escaped() {
        let value = Value::from("a\u{2028}\u{85}\u{7f}\u{feff}é\n");
        assert_eq!(FlowLayout::Compact { spaced: false }.write(&value), r#""a\u2028\u0085\u007f\ufeffé\n""#);
    }
}
