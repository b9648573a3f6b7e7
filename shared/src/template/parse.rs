//! Text to parts: the grammar of `{{ item | filter }}`. One pass, so that no text within the limit takes long.

use super::filter::Filter;
use super::{MAX_FILTERS, Part, TemplateError, TemplateErrorKind, error};

/// White space inside the braces; a line break there is an unclosed `{{`.
const BLANKS: [char; 2] = [' ', '\t'];

pub(super) fn parts(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(open) = text[start..].find("{{").map(|found| start + found) {
        if open > start {
            parts.push(Part::Text(start..open));
        }
        // First the close, then the line break before it: to look for the end of the line each time is quadratic on a long line.
        let close = text[open + 2..].find("}}").map(|found| open + 2 + found).filter(|close| !text[open..*close].contains('\n'));
        let close = close.ok_or_else(|| error(text, open, TemplateErrorKind::Unclosed))?;
        parts.push(part(text, open, close)?);
        start = close + 2;
    }
    if start < text.len() {
        parts.push(Part::Text(start..text.len()));
    }
    Ok(parts)
}

fn part(text: &str, open: usize, close: usize) -> Result<Part, TemplateError> {
    let mut next = open + 2;
    let inner = &text[next..close];
    if inner.trim_matches(BLANKS) == "\"{{\"" {
        return Ok(Part::Text(open..open + 2));
    }
    let mut steps = inner.split('|').map(|step| {
        let at = next;
        next += step.len() + 1;
        trim(at, step)
    });
    let (at, name) = steps.next().expect("split yields at least one piece");
    let name = name.parse().map_err(|_| error(text, at, TemplateErrorKind::Item))?;
    let mut filters = Vec::new();
    for (at, step) in steps {
        if filters.len() == MAX_FILTERS {
            return Err(error(text, at, TemplateErrorKind::ManyFilters));
        }
        filters.push(filter(step).map_err(|kind| error(text, at, kind))?);
    }
    Ok(Part::Item { name, filters, at })
}

/// A piece without the blanks around it, and where it starts.
fn trim(at: usize, piece: &str) -> (usize, &str) {
    let right = piece.trim_start_matches(BLANKS);
    (at + piece.len() - right.len(), right.trim_end_matches(BLANKS))
}

fn filter(step: &str) -> Result<Filter, TemplateErrorKind> {
    let mut words = step.split(BLANKS).filter(|word| !word.is_empty());
    let name = words.next().unwrap_or_default();
    let argument = words.next();
    let filter = Filter::named(name).ok_or(TemplateErrorKind::Filter)?;
    if words.next().is_some() {
        return Err(TemplateErrorKind::Argument);
    }
    match (filter, argument) {
        (Filter::Indent(_), Some(argument)) => {
            // Digits only: `parse` alone would take a sign.
            let digits = argument.bytes().all(|byte| byte.is_ascii_digit());
            let columns = argument.parse().ok().filter(|columns| digits && *columns <= 64);
            columns.map(Filter::Indent).ok_or(TemplateErrorKind::Argument)
        }
        (Filter::Indent(_), None) | (_, Some(_)) => Err(TemplateErrorKind::Argument),
        (filter, None) => Ok(filter),
    }
}
