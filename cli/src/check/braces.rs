//! Templates read as YAML: each action is replaced by a word of the same length, so that everything stands where it stood.
//!
//! Branches of which one is rendered stand below one another, so a key may be there twice. What a template includes is not known.

use std::ops::Range;

use zeroize::Zeroizing;

use super::actions::{self, Piece};
use super::finding::Sheet;
use super::readable::MOST_REFUSALS;
use super::sift::sift;
use super::{plain, readable};
use crate::manifest::{Source, decode, find_secrets, parse_part};

/// Reports values in plain, and Secrets that parsers read differently, in a file with braces.
pub fn check(sheet: &mut Sheet<'_>, covered: &mut Vec<Range<usize>>) {
    if !names_secret(sheet.text()) {
        return;
    }
    let Some(source) = source(sheet) else { return };
    let replaced = source.text();
    let mark = replaced.len() - replaced.trim_start_matches('\u{feff}').len();
    let (known, mut failed, mut start) = (sheet.findings.len(), 0, mark);
    while start < replaced.len() {
        let end = replaced[start..].find("\n---").map_or(replaced.len(), |at| start + at + 1);
        let part = start..end;
        start = end;
        let text = &sheet.text()[part.clone()];
        if !names_secret(text) || !sift(text.as_bytes()).may_be_secret() {
            continue;
        }
        if failed >= MOST_REFUSALS {
            readable::stopped(sheet, part.start);
            break;
        }
        let Ok(documents) = parse_part(&source, part) else {
            failed += 1;
            continue;
        };
        for document in &documents {
            plain::check_replaced(sheet, document, covered);
            if let Err(error) = find_secrets(document) {
                failed += 1;
                let at = sheet.with_text(replaced).offset(error.place.line, error.place.column);
                readable::report_at(sheet, &error, at);
            }
            failed += readable::report_within(sheet, document, MOST_REFUSALS.saturating_sub(failed));
        }
    }
    sheet.object = None;
    sheet.drop_repeated(0, known);
}

/// The text with its actions replaced.
#[must_use]
pub fn source(sheet: &Sheet<'_>) -> Option<Source> {
    let text = sheet.text();
    // Helm knows no such braces.
    let of_helm = (text.contains("{%") && sheet.file().is_of_helm()).then(|| Zeroizing::new(text.replace("{%", "(%")));
    let mut replaced = replaced(of_helm.as_deref().map_or(text, String::as_str));
    decode(std::mem::take(&mut *replaced).into_bytes()).ok()
}

/// Whether the word stands there as that of a kind does, or may in a disguise: most templates only speak of `secretName` and its like.
#[must_use]
pub fn names_secret(text: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    text.match_indices("Secret").any(|(at, word)| {
        let (before, behind) = (&text[..at], &text[at + word.len()..]);
        !before.strip_suffix("Sealed").unwrap_or(before).ends_with(is_letter)
            && (behind.starts_with("List") || !behind.starts_with(is_letter))
    }) || actions::splits_a_word(text)
        || ["\\x", "\\u", "\\U", "\\\n", "\\\r", "!!", "!<", "%TAG"].iter().any(|disguise| text.contains(disguise))
}

/// The text with a word for each action, a comment for a line of nothing else.
fn replaced(text: &str) -> Zeroizing<String> {
    let mut output = Zeroizing::new(String::with_capacity(text.len()));
    let (pieces, _) = actions::pieces(text);
    let mut rest = pieces.as_slice();
    while let Some(first) = rest.iter().position(|piece| piece.is_action) {
        output.extend(rest[..first].iter().map(|piece| piece.text));
        rest = &rest[first..];
        // All actions that begin on this line, with what stands between them.
        let last = rest.iter().take_while(|piece| piece.is_action || !piece.text.contains('\n')).count();
        let length = rest[..last].iter().rposition(|piece| piece.is_action).map_or(last, |at| at + 1);
        let (line, behind) = rest.split_at(length);
        let before = output.rfind('\n').map_or(&output[..], |at| &output[at + 1..]).to_owned();
        let after = behind.first().map_or("", |piece| piece.text.lines().next().unwrap_or_default());
        replace_line(&mut output, &Zeroizing::new(before), line, after);
        rest = behind;
    }
    output.extend(rest.iter().map(|piece| piece.text));
    output
}

/// Replaces the actions of one line.
fn replace_line(output: &mut String, before: &str, line: &[Piece<'_>], after: &str) {
    let is_blank = |text: &str| text.bytes().all(|byte| byte.is_ascii_whitespace());
    let begins = is_blank(before);
    let ends = is_blank(after) || after.trim_start().starts_with('#');
    let is_bare = line.iter().all(|piece| piece.is_action || is_blank(piece.text));
    if begins && ends && is_bare {
        let length: usize = line.iter().map(|piece| piece.text.len()).sum();
        return comment(output, length);
    }
    // Those that steer, before and behind what they steer.
    let mutes = |piece: &&Piece<'_>| piece.is_mute() || !piece.is_action && is_blank(piece.text);
    let leading = if begins { line.iter().take_while(mutes).count() } else { 0 };
    let trailing = if leading > 0 && ends { line[leading..].iter().rev().take_while(mutes).count() } else { 0 };
    if leading > 0 {
        let length: usize = line[..leading].iter().map(|piece| piece.text.len()).sum();
        // A line of its own, so that the rest begins where the action did.
        output.truncate(output.len() - before.len());
        comment(output, length - 1);
        output.push('\n');
        output.push_str(before);
    }
    let last_of = |text: &str| text.bytes().rfind(|byte| !matches!(byte, b' ' | b'\t'));
    // The last byte that is not blank.
    let mut last = last_of(before);
    for (index, piece) in line.iter().enumerate().skip(leading) {
        let is_last = index + 1 == line.len();
        if !piece.is_action {
            output.push_str(piece.text);
            last = last_of(piece.text).or(last);
        } else if index >= line.len() - trailing || piece.inner().starts_with("/*") {
            output.extend(std::iter::repeat_n(' ', piece.text.len()));
        } else if is_last && ends && last == Some(b':') && piece.inner().contains("indent") {
            output.push(' ');
            comment(output, piece.text.len() - 1);
        } else {
            output.extend(std::iter::repeat_n('z', piece.text.len()));
            last = Some(b'z');
        }
    }
}

fn comment(output: &mut String, length: usize) {
    output.push('#');
    output.extend(std::iter::repeat_n('z', length - 1));
}

/// Whether braces stand where YAML has a value, so that kubectl cannot apply the text before it is rendered: not in comments, in quotes or
/// within a text.
#[must_use]
pub fn expects_rendering(text: &str) -> bool {
    // `block`: the indentation of what goes on below it as a text.
    let (mut block, mut quote, mut expects) = (None, None, false);
    for line in text.lines() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if content.is_empty() || quote.is_none() && content.starts_with('#') {
            continue;
        }
        if let Some(open) = quote {
            quote = Some(open).filter(|open| !line.contains(*open));
            continue;
        }
        if block.is_some_and(|block| indent > block) {
            continue;
        }
        block = None;
        let node = content.trim_start_matches(['-', ' ']);
        let begins = |text: &str| text.starts_with("{{") || text.starts_with("{%");
        let is_item = node.len() < content.len();
        if begins(node) && (indent == 0 || expects || is_item) || is_broken_quote(content) {
            return true;
        }
        let (bare, open) = unquoted(content);
        let entry = bare.trim_start_matches(['-', ' ']);
        let value =
            entry.split_once(": ").filter(|_| !entry.starts_with(['{', '['])).map_or(entry, |(_, value)| value.trim_start());
        let in_flow = value.starts_with(['{', '[']);
        let opens = |open: &&str| value.contains(*open);
        if value.len() < entry.len() && begins(value) || in_flow && [": {{", ": {%", "[{{", "[ {{"].iter().any(opens) {
            return true;
        }
        let head = bare.split('#').next().unwrap_or_default().trim_end();
        let marks = head.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
        if let Some(key) = marks.strip_suffix(['|', '>']).filter(|key| key.is_empty() || key.ends_with([' ', '\t'])) {
            let of_item = key.trim_start_matches(['-', ' ']).is_empty();
            block = Some(if of_item { indent } else { line.len() - node.len() });
        } else if open.is_none() && !in_flow && !head.ends_with(':') && (is_item || value.len() < entry.len()) {
            let is_text = !value.is_empty() && !value.starts_with(['#', '&', '!', '*']);
            block = is_text.then(|| if value.len() < entry.len() { line.len() - node.len() } else { indent });
        }
        expects = head.ends_with(':');
        quote = open;
    }
    false
}

/// Whether a quote is closed within braces and text follows at once: `"{{ .a | default "b" }}"`.
fn is_broken_quote(content: &str) -> bool {
    content.match_indices("\"{{").any(|(at, _)| {
        let inner = &content[at + 1..];
        inner.find('"').is_some_and(|quote| {
            !inner[..quote].ends_with('\\') && inner[quote + 1..].starts_with(|c: char| c.is_ascii_alphanumeric())
        })
    })
}

/// A line without what stands in quotes and behind a `#`, and the quote that goes on below.
fn unquoted(content: &str) -> (String, Option<char>) {
    let mut bare = String::with_capacity(content.len());
    let (mut quote, mut escaped, mut last) = (None, false, None);
    for c in content.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"') if c == '\\' => escaped = true,
            Some(open) if open == c => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') && last.is_none_or(|last| matches!(last, ':' | ',' | '[' | '{' | '-')) => {
                quote = Some(c);
            }
            None if c == '#' && bare.ends_with([' ', '\t']) => break,
            None => {
                bare.push(c);
                last = if c.is_whitespace() { last } else { Some(c) };
            }
        }
    }
    (bare, quote)
}
