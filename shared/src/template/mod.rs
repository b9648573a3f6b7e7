//! Templates for derived items: literal text and `{{ item | filter }}`, nothing that could fail, loop or compare.
//!
//! ```text
//! template = ( text | "{{" substitution "}}" )*
//! substitution = item ( "|" filter [integer] )*        at most 8 filters
//!              | '"{{"'                                 a literal {{
//! ```
//!
//! Inside the braces, spaces and tabs may stand between the words, and a line break may not. `}}` in text is text.
//!
//! Whoever may create a `SealedSecret` writes templates around values that they cannot read, so whether a template renders must not
//! depend on a value. All that can be refused is refused by [`Template::parse`] and [`Template::check`], from lengths alone; what is
//! left, [`CheckedTemplate::render`], has no error. Rendering does not run in constant time, and nothing that times it is exposed.

mod filter;
mod json;
mod parse;

use std::ops::Range;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::names::ItemName;
use filter::Filter;

/// Longest template, in bytes.
pub const MAX_TEMPLATE: usize = 64 * 1024;

/// Longest output, and longest result of any filter on the way, in bytes.
pub const MAX_OUTPUT: usize = 1024 * 1024;

/// Most filters in one substitution.
pub const MAX_FILTERS: usize = 8;

/// Why a template is refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}, column {column}: {kind}")]
pub struct TemplateError {
    /// Line from 1.
    pub line: usize,
    /// Column in bytes from 1.
    pub column: usize,
    /// What is wrong there.
    pub kind: TemplateErrorKind,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TemplateErrorKind {
    /// Longer than [`MAX_TEMPLATE`].
    #[error("the template is longer than {MAX_TEMPLATE} bytes")]
    TooLong,
    /// `{{` without `}}` on the same line.
    #[error("{{{{ without }}}} on the same line; a literal {{{{ is written {{{{ \"{{{{\" }}}}")]
    Unclosed,
    /// What follows `{{` is not an item name, or something other than `|` follows the name.
    #[error("expected an item name after {{{{")]
    Item,
    /// No such filter.
    #[error("unknown filter; there are {}", Filter::NAMES)]
    Filter,
    /// An integer where none belongs, or none where one does.
    #[error("indent takes a number from 0 to 64, and no other filter takes one")]
    Argument,
    /// More filters than [`MAX_FILTERS`].
    #[error("more than {MAX_FILTERS} filters")]
    ManyFilters,
    /// An item that is not there.
    #[error("there is no item {}", short(.0))]
    UnknownItem(ItemName),
    /// The output could be longer than [`MAX_OUTPUT`].
    #[error("the output could be longer than {MAX_OUTPUT} bytes")]
    Output,
    /// In an item that must be JSON, a substitution does not end in `json`.
    #[error("in an item that must be JSON each substitution ends in | json")]
    JsonFilter,
    /// The text around the substitutions is not a JSON object.
    #[error("with a string for each substitution this is not a JSON object")]
    JsonSkeleton,
    /// A substitution stands as the key of a JSON object.
    #[error("in an item that must be JSON no substitution is the key of an object")]
    JsonKey,
}

/// The name, unless it would fill the message.
fn short(name: &ItemName) -> &str {
    if name.as_str().len() <= 64 { name.as_str() } else { "of this name" }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Range<usize>),
    Item { name: ItemName, filters: Vec<Filter>, at: usize },
}

/// A template of the right form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// A template that renders, whatever the values of its items are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedTemplate {
    template: Template,
    max_len: usize,
}

fn error(text: &str, at: usize, kind: TemplateErrorKind) -> TemplateError {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    TemplateError { line: before.matches('\n').count() + 1, column: at - line_start + 1, kind }
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(error(text, 0, TemplateErrorKind::TooLong));
        }
        Ok(Self { text: text.to_owned(), parts: parse::parts(text)? })
    }

    /// Refuses a template whose output the API server would parse as JSON and that is not a JSON object for any values.
    pub fn json_skeleton(&self) -> Result<(), TemplateError> {
        json::check(&self.text, &self.parts)
    }

    /// The items that it names, in the order of the text, repeated as there.
    pub fn items(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Item { name, .. } => Some(name.as_str()),
        })
    }

    /// Checks all that could go wrong: `length` gives the longest value that an item can have.
    pub fn check(self, length: impl Fn(&str) -> Option<usize>) -> Result<CheckedTemplate, TemplateError> {
        let mut max_len: usize = 0;
        for part in &self.parts {
            let (at, longest) = match part {
                Part::Text(span) => (span.start, Ok(span.len())),
                Part::Item { name, filters, at } => {
                    let Some(length) = length(name.as_str()) else {
                        return Err(error(&self.text, *at, TemplateErrorKind::UnknownItem(name.clone())));
                    };
                    let step = |length: usize, filter: &Filter| match filter.max_len(length) {
                        longer if longer > MAX_OUTPUT => Err(()),
                        longer => Ok(longer),
                    };
                    (*at, filters.iter().try_fold(length, step))
                }
            };
            max_len = max_len.saturating_add(longest.unwrap_or(usize::MAX));
            if max_len > MAX_OUTPUT {
                return Err(error(&self.text, at, TemplateErrorKind::Output));
            }
        }
        Ok(CheckedTemplate { template: self, max_len })
    }
}

impl CheckedTemplate {
    /// Longest output.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// Whether the output has at least one byte, whatever the values are; `length` gives the shortest value that an item can have.
    #[must_use]
    pub fn is_never_empty(&self, length: impl Fn(&str) -> usize) -> bool {
        self.template.parts.iter().any(|part| match part {
            Part::Text(span) => !span.is_empty(),
            Part::Item { name, filters, .. } => {
                filters.iter().fold(length(name.as_str()), |length, filter| filter.min_len(length)) > 0
            }
        })
    }

    /// Renders with the value of each item, none of them longer than was checked.
    #[must_use]
    pub fn render<'v>(&self, value: impl Fn(&str) -> &'v [u8]) -> Zeroizing<Vec<u8>> {
        // Every buffer has its longest size from the start: one that grew would leave plaintext behind.
        let mut output = Zeroizing::new(Vec::with_capacity(self.max_len));
        for part in &self.template.parts {
            match part {
                Part::Text(span) => output.extend_from_slice(&self.template.text.as_bytes()[span.clone()]),
                Part::Item { name, filters, .. } => {
                    let mut current = None;
                    for filter in filters {
                        let input = current.as_deref().map_or_else(|| value(name.as_str()), Vec::as_slice);
                        let mut next = Zeroizing::new(Vec::with_capacity(filter.max_len(input.len())));
                        filter.apply(input, &mut next);
                        current = Some(next);
                    }
                    output.extend_from_slice(current.as_deref().map_or_else(|| value(name.as_str()), Vec::as_slice));
                }
            }
        }
        debug_assert!(output.len() <= self.max_len, "a value is longer than was checked");
        output
    }
}

#[cfg(test)]
mod tests;
