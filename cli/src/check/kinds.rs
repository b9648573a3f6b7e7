//! Whether the kinds of objects can be seen in a template that is no YAML, however it is read: by what stands behind each `kind`.
//!
//! What is seen is looked for by `template.rs`; what a variable gives is known to nobody.

use std::ops::Range;

use super::actions::{self, Control};
use super::template::goes_on_below;

/// Stands for an action that gives something.
const GIVES: char = '\u{1}';

/// Stands for one that begins or ends branches.
const STEERS: char = '\u{2}';

/// Stands for one between branches.
const DIVIDES: char = '\u{3}';

/// Longest value of a key amid a line that is looked at: no kind is as long.
const LONGEST_VALUE: usize = 256;

const MARKS: [char; 3] = [GIVES, STEERS, DIVIDES];

/// Whether each `kind` stands where its reader of lines sees it, and no key may be one in disguise.
#[must_use]
pub fn are_seen(text: &str) -> bool {
    if actions::splits_a_word(text) || ["!!b", "!!%", "!<", "%TAG"].iter().any(|tag| text.contains(tag)) {
        return false;
    }
    let (pieces, _) = actions::pieces(text);
    let makes_a_key = |pair: &[actions::Piece<'_>]| {
        pair[0].is_action
            && pair[1].text.trim_start().starts_with(':')
            && ["kind", "ata"].iter().any(|part| actions::literals(pair[0].inner()).concat().contains(part))
    };
    if pieces.windows(2).any(makes_a_key) {
        return false;
    }
    let mut bare = String::with_capacity(text.len());
    for piece in &pieces {
        match piece.control() {
            _ if !piece.is_action => bare.push_str(piece.text),
            Some(Control::Else) => bare.push(DIVIDES),
            Some(_) => bare.push(STEERS),
            None if piece.is_mute() => {}
            None => bare.push(GIVES),
        }
    }
    let mut lines = bare.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).peekable();
    while let Some(line) = lines.next() {
        let below = lines.peek().copied().unwrap_or_default();
        let begins = line.len() - line.trim_start_matches(['-', ' ']).len();
        if has_hidden_key(line) || !line.match_indices("kind").all(|(at, word)| is_seen(line, begins, at..at + word.len(), below))
        {
            return false;
        }
    }
    true
}

/// A key in quotes with escapes, behind a `?`, by an alias or a merge.
fn has_hidden_key(line: &str) -> bool {
    let content = line.trim_start_matches(|c| c == '-' || c == ' ' || MARKS.contains(&c));
    let is_key = |rest: &str| rest.trim_start().starts_with(':');
    let escape = ["\\x", "\\u", "\\U"].iter().filter_map(|escape| line.find(escape)).min();
    content.starts_with("? ")
        || content.starts_with(['&', '!']) && content.contains(':')
        || line.starts_with(MARKS) && line.contains("ata:")
        || content.starts_with('*') && content.contains(" :")
        || line.match_indices("<<").any(|(at, merge)| is_key(&line[at + merge.len()..]))
        || escape.is_some_and(|at| line[at..].match_indices('"').any(|(quote, _)| is_key(&line[at + quote + 1..])))
}

/// Whether this word is no key, or one whose value is seen; `begins`: where the content of the line does, `below`: what stands on the next one.
fn is_seen(line: &str, begins: usize, word: Range<usize>, below: &str) -> bool {
    let is_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '$');
    let (before, behind) = (&line[..word.start], &line[word.end..]);
    let quoted = before.ends_with(['"', '\'']) && behind.starts_with(['"', '\'']);
    let Some(value) = behind.trim_start_matches(['"', '\'']).trim_start().strip_prefix(':') else { return true };
    if before.ends_with(is_of_word) || !quoted && !value.is_empty() && !value.starts_with([' ', '\t']) {
        return true;
    }
    let before = before.trim_end_matches(['"', '\'']).trim_end();
    if before.len() <= begins {
        let all = value.trim();
        let value = without_comment(value);
        let is_above = goes_on_below(value);
        if is_above && (value.len() < all.len() || below.starts_with(MARKS)) {
            return false;
        }
        return is_plain(if is_above { without_comment(below) } else { value });
    }
    // Amid a line nothing looks for Secrets; amid a text it is no key.
    if !before.ends_with(|c| matches!(c, '{' | ',') || MARKS.contains(&c)) {
        return true;
    }
    let value = &value[..value.floor_char_boundary(LONGEST_VALUE)];
    let value = value.split([',', '}']).next().unwrap_or_default().trim_end_matches(MARKS);
    let word = unquoted(without_comment(value));
    is_word(word) && !word.contains("Secret")
}

/// A word, what one action gives, or one of these in each branch.
fn is_plain(value: &str) -> bool {
    let value = unquoted(value);
    let is_one = |text: &str| is_word(text.trim()) || text.trim() == "\u{1}" || text.trim().is_empty();
    let branches = value.strip_prefix(STEERS).and_then(|rest| rest.strip_suffix(STEERS));
    branches.map_or_else(|| is_one(value), |branches| branches.split(DIVIDES).all(is_one))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

fn without_comment(text: &str) -> &str {
    let end = text.match_indices('#').find(|(at, _)| text[..*at].is_empty() || text[..*at].ends_with([' ', '\t']));
    end.map_or(text, |(at, _)| &text[..at]).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen() {
        for text in [
            "kind: Secret",
            "kind: \"Deployment\" # x",
            "- kind: {{ .Values.kind }}",
            "kind: {{ if .a }}DaemonSet{{ else }}{{ .b }}{{ end }}",
            "kind:\n  Secret",
            "kind: >-\n  Secret",
            "# a kind: of\nx: this kind: of",
            "a: {kind: ServiceAccount}",
            "{{- if .x }}kind: ConfigMap{{ end }}",
            "kind: Secret {{- /* x */}}",
            "{{ if eq .kind \"Secret\" }}",
            "mankind: [x]",
        ] {
            assert!(are_seen(text), "{text}");
        }
        for text in [
            "kind: \"S\\x65cret\"",
            "\"k\\x69nd\" : Secret",
            "kind: Sec{{/* x */}}ret",
            "kind: {{ .x }}ret",
            "kind: {{ if .a }}Sec{{ end }}{{ if .a }}ret{{ end }}",
            "kind: *k",
            "kind: &a Secret",
            "? kind\n: Secret",
            "*k : Secret",
            "<<: *k",
            "a: {kind: Secret}",
            "{\"kind\":\"Secret\"}",
            "{{ if .x }}kind: Secret{{ end }}",
            "{{ \"kind\" }}: Secret",
            "!!binary a2luZA==: Secret",
            "kind: # c\n  Secret",
            "kind: &x # c\n  Secret",
            "kind:\n  {{ if .x }}Secret{{ else }}ConfigMap{{ end }}",
            "&a kind: Secret",
            "!!str stringData:",
            "{{ \"stringData\" }}: {a: b}",
            "{{ if .x }}stringData:{{ end }}",
        ] {
            assert!(!are_seen(text), "{text}");
        }
    }
}
