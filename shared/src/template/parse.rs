//! Text to parts: the grammar of `{{ item | filter }}`.

use super::filter::Filter;
use super::{MAX_FILTERS, Part, TemplateError, TemplateErrorKind, error};

pub(super) fn parts(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(open) = text[start..].find("{{").map(|found| start + found) {
        if open > start {
            parts.push(Part::Text(start..open));
        }
        let inner = open + 2;
        let line = text[inner..].find('\n').map_or(text.len(), |newline| inner + newline);
        let close = text[inner..line].find("}}").map(|found| inner + found);
        let close = close.ok_or_else(|| error(text, open, TemplateErrorKind::Unclosed))?;
        parts.push(part(&text[inner..close], open).map_err(|kind| error(text, open, kind))?);
        start = close + 2;
    }
    if start < text.len() {
        parts.push(Part::Text(start..text.len()));
    }
    Ok(parts)
}

fn part(inner: &str, at: usize) -> Result<Part, TemplateErrorKind> {
    let trimmed = inner.trim_matches([' ', '\t']);
    if trimmed == "\"{{\"" {
        return Ok(Part::Text(at..at + 2));
    }
    let mut steps = trimmed.split('|').map(|step| step.trim_matches([' ', '\t']));
    let name = steps.next().and_then(|name| name.parse().ok()).ok_or(TemplateErrorKind::Item)?;
    let filters = steps.map(filter).collect::<Result<Vec<_>, _>>()?;
    if filters.len() > MAX_FILTERS {
        return Err(TemplateErrorKind::ManyFilters);
    }
    Ok(Part::Item { name, filters, at })
}

fn filter(step: &str) -> Result<Filter, TemplateErrorKind> {
    let mut words = step.split([' ', '\t']).filter(|word| !word.is_empty());
    let name = words.next().unwrap_or_default();
    let argument = words.next();
    if words.next().is_some() {
        return Err(TemplateErrorKind::Argument);
    }
    let filter = Filter::named(name).ok_or(TemplateErrorKind::Filter)?;
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
