//! Values in plain in Helm and other templates, which are no YAML before they are rendered: read line by line.
//!
//! A Secret is a line `kind: Secret` with `data:` or `stringData:` at the same indentation in the same document. What is between braces
//! is not followed: only what is written out is found.

use std::ops::Range;

use super::finding::{Sheet, Show, harmless};
use super::plain::is_nothing;
use super::rule::{PLAINTEXT_SECRET, TOO_LARGE};

struct Line<'t> {
    start: usize,
    text: &'t str,
}

impl<'t> Line<'t> {
    fn indent(&self) -> usize {
        self.text.len() - self.text.trim_start_matches([' ', '-']).len()
    }

    /// Nothing, a comment, or nothing but an action.
    fn is_aside(&self) -> bool {
        let text = self.text.trim();
        text.is_empty() || text.starts_with('#') || text.starts_with("{{") && text.ends_with("}}") || text.starts_with("{%")
    }

    /// Key, its place in the line, and the rest behind the colon.
    fn entry(&self) -> Option<(&'t str, usize, &'t str)> {
        let content = &self.text[self.indent()..];
        let colon = content.find(':').filter(|at| content[at + 1..].is_empty() || content[at + 1..].starts_with([' ', '\t']))?;
        let key = content[..colon].trim_matches(['"', '\'']);
        (!key.is_empty() && !key.contains("{{")).then_some((key, self.indent(), &content[colon + 1..]))
    }

    fn is(&self, key: &str, value: Option<&str>) -> bool {
        self.entry()
            .is_some_and(|(found, _, rest)| found == key && value.is_none_or(|value| unquoted(without_comment(rest)) == value))
    }
}

/// Most objects of a document that begin within an earlier one: each costs a look at the lines of both.
const MOST_WITHIN: usize = 10;

/// Reports values in plain in the document at `span`, and gives the bytes of the mappings that they stand in.
pub fn check(sheet: &mut Sheet<'_>, span: Range<usize>, covered: &mut Vec<Range<usize>>) {
    let mut start = span.start;
    let lines: Vec<Line<'_>> = sheet.text()[span]
        .split_inclusive('\n')
        .map(|line| {
            start += line.len();
            Line { start: start - line.len(), text: line.trim_end_matches(['\r', '\n']) }
        })
        .collect();
    let (mut done, mut within) = (0, 0);
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.is("kind", Some("Secret"))) {
        if index < done {
            continue;
        }
        let indent = line.indent();
        let of_object = |line: &&Line<'_>| line.is_aside() || line.indent() >= indent;
        let first = index - lines[..index].iter().rev().take_while(of_object).count();
        within += usize::from(first < done);
        if within > MOST_WITHIN {
            sheet.report(TOO_LARGE, line.start..line.start, &Show::Nothing, "", "too many Secrets within others to be looked at");
            return;
        }
        done = index + lines[index..].iter().take_while(of_object).count();
        sheet.object = lines[first].start;
        object(sheet, &lines[first..done], indent, covered);
    }
}

fn object(sheet: &mut Sheet<'_>, lines: &[Line<'_>], indent: usize, covered: &mut Vec<Range<usize>>) {
    let named = |key: &str| lines.iter().find(|line| line.indent() > indent && line.is(key, None)).and_then(Line::entry);
    let name = named("name").map_or("?".to_owned(), |(_, _, value)| harmless(unquoted(without_comment(value))));
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.indent() == indent) {
        let encoded = line.is("data", None);
        if encoded || line.is("stringData", None) {
            let below = lines[index + 1..].iter().take_while(|line| line.is_aside() || line.indent() > indent).count();
            let children = &lines[index + 1..=index + below];
            let end = children.last().map_or(line.start + line.text.len(), |last| last.start + last.text.len());
            covered.push(line.start..end);
            items(sheet, children, encoded, &name);
        }
    }
}

fn items(sheet: &mut Sheet<'_>, lines: &[Line<'_>], encoded: bool, name: &str) {
    let Some(indent) = lines.iter().find(|line| !line.is_aside()).map(Line::indent) else { return };
    let mut rest = lines;
    while let Some((line, after)) = rest.split_first() {
        rest = after;
        let Some((key, at, value)) = line.entry().filter(|_| !line.is_aside() && line.indent() == indent) else { continue };
        let below = after.iter().take_while(|line| line.text.trim().is_empty() || line.indent() > indent).count();
        let value = without_comment(value);
        let mut whole = unquoted(value.trim_start_matches(['|', '>', '-', '+'])).to_owned();
        for line in &after[..below] {
            whole.push('\n');
            whole.push_str(line.text.trim());
        }
        rest = &after[below..];
        if !is_nothing(&whole, encoded) {
            let start =
                line.start + line.text.len() - line.text[at..].split_once(':').map_or("", |(_, rest)| rest).trim_start().len();
            let item = harmless(key);
            let shown = line.start + at + line.text[at..].find(key).unwrap_or_default();
            let shown = shown..shown + key.len();
            let message = format!("item {item} of Secret {name} is in plain");
            sheet.report(
                PLAINTEXT_SECRET,
                start..line.start + line.text.len(),
                &Show::Masked(shown),
                &format!("{name} {item}"),
                message,
            );
        }
        zeroize::Zeroize::zeroize(&mut whole);
    }
}

fn without_comment(text: &str) -> &str {
    let text = text.trim();
    if text.starts_with(['"', '\'']) {
        return text;
    }
    text.find(" #").map_or(text, |at| &text[..at]).trim_end()
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    ['"', '\'']
        .iter()
        .find_map(|quote| {
            let inner = text.strip_prefix(*quote)?;
            Some(inner.strip_suffix(*quote).unwrap_or_else(|| inner.split(*quote).next().unwrap_or_default()))
        })
        .unwrap_or(text)
}
