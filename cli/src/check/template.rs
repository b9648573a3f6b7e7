//! Values in plain in what cannot be read as YAML, templates above all: read line by line.
//!
//! A Secret is a line `kind: Secret`, or `kind:` above the word, with `data:` or `stringData:` at the same indentation in the same document.
//! What is between braces is not followed: only what is written out is found. `braces.rs` reads templates as trees; this is for what it cannot read.

use std::ops::Range;

use super::actions;
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
        let key = content[..colon].trim_end().trim_matches(['"', '\'']);
        (!key.is_empty() && !key.contains("{{")).then_some((key, self.indent(), &content[colon + 1..]))
    }

    fn is(&self, key: &str) -> bool {
        self.entry().is_some_and(|(found, ..)| found == key)
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
    for (index, line) in lines.iter().enumerate().filter(|(index, _)| is_secret(&lines[*index..])) {
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
        sheet.object = Some(lines[first].start);
        object(sheet, &lines[first..done], indent, covered);
    }
}

/// Whether these lines begin with the kind of a Secret, or of a SealedSecret with such fields.
fn is_secret(lines: &[Line<'_>]) -> bool {
    let Some((_, _, value)) = lines[0].entry().filter(|(key, ..)| *key == "kind") else { return false };
    let value = without_comment(without_properties(value));
    let below = lines[1..].iter().find(|line| !line.is_aside()).filter(|_| goes_on_below(value));
    ["Secret", "SealedSecret"].iter().any(|kind| is_scalar(below.map_or(value, |line| line.text), kind))
}

/// Whether the value of a key, without its comment, stands on the next line.
pub(super) fn goes_on_below(value: &str) -> bool {
    value.is_empty() || value.starts_with(['|', '>']) || value.starts_with(['&', '!']) && !value.contains(' ')
}

fn object(sheet: &mut Sheet<'_>, lines: &[Line<'_>], indent: usize, covered: &mut Vec<Range<usize>>) {
    let named = |key: &str| lines.iter().find(|line| line.indent() > indent && line.is(key)).and_then(Line::entry);
    let name = named("name").map_or("?".to_owned(), |(_, _, value)| harmless(unquoted(without_comment(value))));
    let text = sheet.text();
    let end = lines.last().map_or(0, |line| line.start + line.text.len());
    let mut done = 0;
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.indent() == indent) {
        if line.start < done {
            continue;
        }
        let encoded = line.is("data");
        if encoded || line.is("stringData") {
            if let Some(open) = braces(&text[..end], line.start + line.text.find(':').unwrap_or_default() + 1) {
                let (entries, length) = in_braces(&text[open..end]);
                done = open + length;
                covered.push(open..done);
                for (key, value) in entries {
                    let (key, value) = (open + key.start..open + key.end, open + value.start..open + value.end);
                    if !is_nothing(unquoted(&text[value.clone()]), encoded) {
                        report(sheet, &name, key, value);
                    }
                }
                continue;
            }
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
        let value = without_comment(without_properties(value));
        let mut whole = unquoted(value.trim_start_matches(['|', '>', '-', '+'])).to_owned();
        for line in &after[..below] {
            whole.push('\n');
            whole.push_str(line.text.trim());
        }
        rest = &after[below..];
        if !is_nothing(&whole, encoded) {
            let start = line.start + line.text.len()
                - line.text[at..].split_once(':').map_or("", |(_, rest)| without_properties(rest)).len();
            let shown = line.start + at + line.text[at..].find(key).unwrap_or_default();
            report(sheet, name, shown..shown + key.len(), start..line.start + line.text.len());
        }
        zeroize::Zeroize::zeroize(&mut whole);
    }
}

fn report(sheet: &mut Sheet<'_>, name: &str, key: Range<usize>, value: Range<usize>) {
    let item = harmless(&sheet.text()[key.clone()]);
    let message = format!("item {item} of Secret {name} is in plain");
    sheet.report(PLAINTEXT_SECRET, value, &Show::Masked(key), &format!("{name} {item}"), message);
}

/// Where a mapping in braces begins behind a colon, on its line or below; `{{` begins an action.
fn braces(text: &str, colon: usize) -> Option<usize> {
    let mut at = colon;
    for line in text[colon..].split_inclusive('\n') {
        let content = line.trim_start();
        let start = at + line.len() - content.len();
        if !content.is_empty() && !content.starts_with('#') {
            return (content.starts_with('{') && !content.starts_with("{{")).then_some(start);
        }
        at += line.len();
    }
    None
}

/// Where key and value of an entry stand.
type Entry = (Range<usize>, Range<usize>);

/// The entries of the mapping in braces that `text` begins with, and its length. Quotes, actions and what is nested stay whole.
fn in_braces(text: &str) -> (Vec<Entry>, usize) {
    let bytes = text.as_bytes();
    let (mut entries, mut start, mut colon, mut depth) = (Vec::new(), 1, None, 0_usize);
    let (mut at, mut before) = (1, b'{');
    while at < bytes.len() {
        let (rest, byte) = (&text[at..], bytes[at]);
        let ends = depth == 0 && matches!(byte, b',' | b'}' | b']');
        if ends && let Some(colon) = colon.take() {
            entries.push((trimmed(text, start..colon), trimmed(text, colon + 1..at)));
        }
        let length = match byte {
            b'{' if rest.starts_with("{{") => rest.find("}}").map_or(rest.len(), |end| end + 2),
            b'}' | b']' if depth == 0 => return (entries, at + 1),
            b'#' if bytes[at - 1].is_ascii_whitespace() => rest.find('\n').unwrap_or(rest.len()),
            b'"' | b'\'' if matches!(before, b'{' | b'[' | b',' | b':') => {
                actions::closing_quote(rest, |quote| quote == b'"').map_or(rest.len(), |end| end + 1)
            }
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
        match byte {
            b'{' | b'[' if length == 1 => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' if ends => start = at + 1,
            b'#' if length > 1 && text[start..at].trim().is_empty() => start = at + length,
            b':' if depth == 0 && colon.is_none() && (before == b'"' || !rest[1..].starts_with(|c: char| !c.is_whitespace())) => {
                colon = Some(at);
            }
            _ => {}
        }
        at += length;
        before = if byte.is_ascii_whitespace() || byte == b'#' && length > 1 { before } else { byte };
    }
    if let Some(colon) = colon {
        entries.push((trimmed(text, start..colon), trimmed(text, colon + 1..text.len())));
    }
    (entries, text.len())
}

fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let content = text[span.clone()].trim_start();
    let start = span.end - content.len();
    start..start + content.trim_end().len()
}

fn without_comment(text: &str) -> &str {
    let text = text.trim();
    if text.starts_with(['"', '\'']) {
        return text;
    }
    let comment = text.match_indices('#').find(|(at, _)| text[..*at].ends_with([' ', '\t']));
    comment.map_or(text, |(at, _)| &text[..at]).trim_end()
}

/// Whether this is what stands behind a colon: with tag and anchor, comment and actions, or as a literal in an action.
fn is_scalar(text: &str, value: &str) -> bool {
    let text = without_comment(without_properties(text));
    let is_one = |piece: &actions::Piece<'_>| !piece.is_action && unquoted(without_comment(piece.text)) == value;
    actions::pieces(text).0.iter().any(is_one) || actions::may_be(unquoted(text), value)
}

/// What stands behind a tag and an anchor.
fn without_properties(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some((_, behind)) = rest.split_once([' ', '\t']).filter(|_| rest.starts_with(['!', '&'])) {
        rest = behind.trim_start();
    }
    rest
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_in_braces() {
        let entries = |text: &'static str| {
            let (entries, length) = in_braces(text);
            let entries: Vec<_> = entries.into_iter().map(|(key, value)| (&text[key], &text[value])).collect();
            (entries, &text[length..])
        };
        assert_eq!(entries("{}x"), (vec![], "x"));
        assert_eq!(entries("{a: b, c: it's}x"), (vec![("a", "b"), ("c", "it's")], "x"));
        assert_eq!(
            entries("{a: {{ .b, \"}\" }}, 'c, d': \"}, \\\"\"}"),
            (vec![("a", "{{ .b, \"}\" }}"), ("'c, d'", "\"}, \\\"\"")], "")
        );
        assert_eq!(
            entries("{\"a\":\"b\",\n  c: [d, {e: f}], # g: h, }\n  i: j://k,\n}"),
            (vec![("\"a\"", "\"b\""), ("c", "[d, {e: f}]"), ("i", "j://k")], "")
        );
        assert_eq!(entries("{é: ü, a: b"), (vec![("é", "ü"), ("a", "b")], ""), "not closed");
    }
}
