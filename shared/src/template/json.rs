//! The rule for items that the API server parses as JSON: whether the output is a JSON object must not depend on a value.
//!
//! Each substitution yields one whole JSON string and stands where a value may stand. Not as a key: two keys may be equal or not
//! depending on the values, which a parser that refuses repeated keys would tell.

use super::filter::Filter;
use super::{Part, TemplateError, TemplateErrorKind, error};

/// Stand-ins of different form, so that nothing hangs on the one that was chosen. Both refuse a substitution inside a string: its
/// first quote would end that string, and neither another string nor a backslash may follow one.
const DUMMIES: [&str; 2] = ["\"\"", r#""\u0000{}\"[],:""#];

/// One part of the template, and where it starts in the skeleton.
type Placed<'p> = (usize, &'p Part);

pub(super) fn check(text: &str, parts: &[Part]) -> Result<(), TemplateError> {
    for dummy in DUMMIES {
        let mut json = String::new();
        let mut placed: Vec<Placed<'_>> = Vec::with_capacity(parts.len());
        for part in parts {
            placed.push((json.len(), part));
            match part {
                Part::Text(span) => json.push_str(&text[span.clone()]),
                Part::Item { filters, .. } if filters.last() == Some(&Filter::Json) => json.push_str(dummy),
                Part::Item { at, .. } => return Err(error(text, *at, TemplateErrorKind::JsonFilter)),
            }
        }
        let refuse = |at| Err(error(text, at, TemplateErrorKind::JsonSkeleton));
        match serde_json::from_str(&json) {
            Ok(serde_json::Value::Object(_)) => {}
            Ok(_) => return refuse(0),
            // Only the position is taken: the message would quote the text.
            Err(at) => return refuse(origin(text, &placed, offset(&json, at.line(), at.column()))),
        }
        for (start, part) in placed {
            if let Part::Item { at, .. } = part {
                let before = &json[..start];
                let after = json[start + dummy.len()..].trim_start_matches([' ', '\t', '\r', '\n']);
                if after.starts_with(':') {
                    return Err(error(text, *at, TemplateErrorKind::JsonKey));
                }
                // The substitution's first quote, escaped: any value would do, but it stands inside a string.
                if before.ends_with('\\') {
                    return refuse(*at);
                }
            }
        }
    }
    Ok(())
}

/// The byte that line and column (from 1, in bytes) name.
fn offset(json: &str, line: usize, column: usize) -> usize {
    let before: usize = json.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    before + column.saturating_sub(1)
}

/// Where in the template the byte at `offset` of the skeleton comes from.
fn origin(text: &str, placed: &[Placed<'_>], offset: usize) -> usize {
    let last = placed.iter().rev().find(|(start, _)| *start <= offset);
    let at = last.map_or(0, |(start, part)| match part {
        Part::Text(span) => (span.start + offset - start).min(span.end),
        Part::Item { at, .. } => *at,
    });
    text.floor_char_boundary(at)
}
