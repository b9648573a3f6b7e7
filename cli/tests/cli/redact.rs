//! What differs from run to run, replaced by words. Without a regular expression: everything redacted has a beginning that says what it is.

use std::path::Path;

use super::harness::Keys;

/// The year of all dates that snapshots may show.
const SHOWN_YEAR: &str = "2020";

/// Replaces ciphertext, keys, dates and temporary names, and makes invisible characters visible.
pub(crate) fn redact(text: &str, folder: &Path, keys: &Keys) -> String {
    let mut text = text.replace(&folder.display().to_string(), "<folder>");
    for (name, recipient, id) in keys.public() {
        let fingerprint = recipient.parse::<bulla_shared::age::Recipient>().unwrap().fingerprint().to_string();
        text = text.replace(recipient, &format!("<{name} recipient>"));
        text = text.replace(&fingerprint, &format!("<{name} fingerprint>")).replace(id, &format!("<{name} id>"));
    }
    text = text.replace(concat!("bulla ", env!("CARGO_PKG_VERSION")), "bulla <version>");
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let letter = |byte: u8| byte.is_ascii_alphanumeric();
    text = tokens(&text, "YWdlLWVuY3J5cHRpb24ub3Jn", 100, base64, "<ciphertext>");
    text = tokens(&text, "AGE-SECRET-KEY-PQ-1", 58, letter, "<hybrid identity>");
    text = tokens(&text, "AGE-SECRET-KEY-1", 58, letter, "<x25519 identity>");
    text = tokens(&text, "age1pq1", 1000, letter, "<new hybrid recipient>");
    text = tokens(&text, "age1", 50, letter, "<new x25519 recipient>");
    text = tokens(&text, ", ciphertext ", 16, letter, ", ciphertext <digest>");
    text = dates(&text);
    text.replace('\r', "␍").replace('\u{feff}', "<U+FEFF>")
}

/// Replaces each run of characters that begins with `start` and has at least `shortest` more.
fn tokens(text: &str, start: &str, shortest: usize, belongs: impl Fn(u8) -> bool, word: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(start) {
        let after = &rest[at + start.len()..];
        let length = after.bytes().position(|byte| !belongs(byte)).unwrap_or(after.len());
        output.push_str(&rest[..at]);
        output.push_str(if length < shortest { &rest[at..at + start.len() + length] } else { word });
        rest = &after[length..];
    }
    output + rest
}

/// `2026-11-23T06:50:00Z` and `2026-11-23`, unless of the year that is shown.
fn dates(text: &str) -> String {
    const TIME: &str = "0000-00-00T00:00:00Z";
    let is = |text: &str, form: &str| {
        let same = |(byte, form): (u8, u8)| if form == b'0' { byte.is_ascii_digit() } else { byte == form };
        text.len() >= form.len() && text.bytes().zip(form.bytes()).all(same)
    };
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, word) = match rest {
            _ if rest.starts_with(SHOWN_YEAR) => (first.len_utf8(), None),
            _ if is(rest, TIME) => (TIME.len(), Some("<time>")),
            _ if is(rest, &TIME[..10]) => (10, Some("<date>")),
            _ => (first.len_utf8(), None),
        };
        output.push_str(word.unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    output
}
