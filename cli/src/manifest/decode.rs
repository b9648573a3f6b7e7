//! Bytes to text: encodings, and refusal of characters that parsers read differently.
//!
//! Output is always UTF-8. A UTF-8 byte order mark stays where it was; UTF-16 (what `>` writes in Windows PowerShell) is
//! decoded without its mark, so a file that was UTF-16 is written back as UTF-8.

use std::cell::OnceCell;
use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::MAX_BYTES;
use super::error::{ManifestError, Place, Reason};

const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// Manifest text, safe to parse. Wiped when dropped: it may hold plaintext.
pub struct Source {
    text: Zeroizing<String>,
    ending: LineEnding,
    /// Where a mark of a conflict is, and whether there are braces of templates: looked for once, where something cannot be read.
    signs: OnceCell<(Option<usize>, bool)>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({} bytes)", self.text.len())
    }
}

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnding {
    /// Line feed.
    Lf,
    /// Carriage return and line feed, as Windows editors write.
    CrLf,
}

impl LineEnding {
    /// The characters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
        }
    }

    fn of(text: &str) -> Self {
        if !text.contains('\r') {
            return Self::Lf;
        }
        let breaks = text.matches('\n').count();
        if breaks > 0 && text.matches("\r\n").count() == breaks { Self::CrLf } else { Self::Lf }
    }
}

impl Source {
    /// The whole text, with its byte order mark if it has one.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text alone.
    #[must_use]
    pub fn into_text(self) -> Zeroizing<String> {
        self.text
    }

    /// Length of the byte order mark that the text begins with: 3 or 0.
    pub(super) fn mark_len(&self) -> usize {
        if self.text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 }
    }

    /// `CrLf` if every line ends so and there is at least one.
    #[must_use]
    pub fn line_ending(&self) -> LineEnding {
        self.ending
    }

    /// Where Git has left a mark of a conflict.
    pub(super) fn conflict_mark(&self) -> Option<usize> {
        self.signs().0
    }

    /// Whether braces of a template are somewhere in it.
    pub(super) fn has_braces(&self) -> bool {
        self.signs().1
    }

    fn signs(&self) -> (Option<usize>, bool) {
        const MARK: &str = "\n<<<<<<< ";
        *self.signs.get_or_init(|| {
            let first = self.text.starts_with(MARK.trim_start()).then_some(0);
            (first.or_else(|| self.text.find(MARK).map(|at| at + 1)), self.text.contains("{{"))
        })
    }

    /// Line and column of a byte offset, both from 1, the column in characters. Reads the text from its start.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        position(self.text.as_bytes(), offset)
    }
}

fn position(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.split(|&b| b == b'\n').count();
    let start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    // Every byte but a UTF-8 continuation byte starts a character. The mark is no visible column.
    let mark = if start == 0 && before.starts_with(&[0xEF, 0xBB, 0xBF]) { 3 } else { 0 };
    let column = before[(start + mark).min(before.len())..].iter().filter(|&&b| b & 0xC0 != 0x80).count() + 1;
    (line, column)
}

fn refuse(text: &[u8], offset: usize, reason: Reason) -> ManifestError {
    let (line, column) = position(text, offset);
    ManifestError { place: Place { line, column, ..Place::default() }, reason }
}

/// Reads bytes as manifest text: UTF-8 with or without a byte order mark, or UTF-16 with one.
pub fn decode(bytes: Vec<u8>) -> Result<Source, ManifestError> {
    let mut bytes = Zeroizing::new(bytes);
    if bytes.len() > MAX_BYTES {
        return Err(refuse(&[], 0, Reason::TooLarge));
    }
    let text = match *bytes.as_slice() {
        [0xFF, 0xFE, ref units @ ..] => utf16(units, u16::from_le_bytes)?,
        [0xFE, 0xFF, ref units @ ..] => utf16(units, u16::from_be_bytes)?,
        _ => utf8(&mut bytes)?,
    };
    check_characters(&text)?;
    let ending = LineEnding::of(&text);
    Ok(Source { text, ending, signs: OnceCell::new() })
}

fn utf8(bytes: &mut Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, ManifestError> {
    if bytes.contains(&0)
        && let Some(at) = bytes.iter().position(|&b| b == 0)
    {
        // Mostly ASCII text in UTF-16 has a NUL as every second byte, and hardly any between.
        let nuls = |odd: usize| bytes.iter().skip(odd).step_by(2).filter(|&&b| b == 0).count();
        let (even, odd) = (nuls(0), nuls(1));
        let utf16 = even.max(odd) * 4 > bytes.len() && even.min(odd) * 8 < even.max(odd);
        return Err(refuse(bytes, at, if utf16 { Reason::Utf16WithoutMark } else { Reason::Binary }));
    }
    // Taken, not copied: the text is then the only copy.
    String::from_utf8(std::mem::take(&mut **bytes)).map(Zeroizing::new).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let mut bytes = error.into_bytes();
        let refusal = refuse(&bytes, at, Reason::NotUtf8);
        bytes.zeroize();
        refusal
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Zeroizing<String>, ManifestError> {
    // A unit of two bytes is at most three in UTF-8; reserved at once, so that growing leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() / 2 * 3));
    let (pairs, rest) = bytes.as_chunks::<2>();
    for decoded in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match decoded {
            Ok(c) => text.push(c),
            Err(_) => return Err(refuse(text.as_bytes(), text.len(), Reason::BadUtf16)),
        }
    }
    if !rest.is_empty() {
        return Err(refuse(text.as_bytes(), text.len(), Reason::BadUtf16));
    }
    if text.len() > MAX_BYTES {
        return Err(refuse(&[], 0, Reason::TooLarge));
    }
    Ok(text)
}

/// Refuses what YAML forbids and what YAML 1.1 (kubectl) and 1.2 (this parser) split into lines or documents differently:
/// `kind: Secret # note<U+2028>stringData…` is a comment to the one and a plaintext Secret to the other.
fn check_characters(text: &str) -> Result<(), ManifestError> {
    // Many at a time, since most texts have no others.
    let is_usual = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    let is_unusual = text.as_bytes().chunks(64).any(|some| !some.iter().fold(true, |all, byte| all & is_usual(byte)));
    let mut chars = if is_unusual { text } else { "" }.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let reason = match c {
            ' '..='~' | '\n' | '\t' | '\u{A0}'..='\u{1FFF}' => continue,
            '\r' if chars.peek().is_some_and(|&(_, next)| next == '\n') => continue,
            '\r' => Reason::ForeignLineBreak { name: "a carriage return alone" },
            '\u{85}' => Reason::ForeignLineBreak { name: "U+0085" },
            '\u{2028}' => Reason::ForeignLineBreak { name: "U+2028" },
            '\u{2029}' => Reason::ForeignLineBreak { name: "U+2029" },
            BYTE_ORDER_MARK if at == 0 => continue,
            BYTE_ORDER_MARK => Reason::InteriorByteOrderMark,
            '\u{0}'..='\u{1F}' | '\u{7F}'..='\u{9F}' | '\u{FFFE}' | '\u{FFFF}' => Reason::ControlCharacter { code: u32::from(c) },
            _ => continue,
        };
        return Err(refuse(text.as_bytes(), at, reason));
    }
    // kubectl cuts the stream at lines that begin with `---`, trims any Unicode space after it and wants nothing or a comment
    // then. To YAML the mark is one only before ASCII white space; else the line may be amid a scalar.
    if !text.contains("---") {
        return Ok(());
    }
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if let Some(rest) = line.trim_start_matches(BYTE_ORDER_MARK).strip_prefix("---") {
            let strange = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            if strange.starts_with(char::is_whitespace) || rest.starts_with('#') {
                return Err(refuse(text.as_bytes(), start + line.len() - strange.len(), Reason::ForeignDocumentMark));
            }
        }
        start += line.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(bytes: &[u8]) -> (Reason, usize, usize) {
        let error = decode(bytes.to_vec()).unwrap_err();
        (error.reason, error.place.line, error.place.column)
    }

    #[test]
    fn utf16_of_both_orders_becomes_utf8() {
        let text = "kind: Secret\r\nname: héß€😀\r\n";
        let le: Vec<u8> = [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let be: Vec<u8> = [0xFE, 0xFF].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
        assert_eq!(decode(le.clone()).unwrap().text(), text);
        assert_eq!(decode(be).unwrap().text(), text);
        assert_eq!(refused(&le[..le.len() - 1]).0, Reason::BadUtf16);
        assert_eq!(refused(&le[2..]).0, Reason::Utf16WithoutMark);
        assert_eq!(refused(&[0xFF, 0xFE, b'a', 0, 0x00, 0xD8, b'b', 0]), (Reason::BadUtf16, 1, 2));
    }

    #[test]
    fn a_utf8_mark_stays() {
        let source = decode(b"\xEF\xBB\xBFa: 1\n".to_vec()).unwrap();
        assert_eq!(source.text(), "\u{FEFF}a: 1\n");
        assert_eq!((source.mark_len(), source.position(3)), (3, (1, 1)));
    }

    #[test]
    fn characters_that_split_parsers_are_refused_with_their_place() {
        for (c, name) in [('\u{85}', "U+0085"), ('\u{2028}', "U+2028"), ('\u{2029}', "U+2029")] {
            let text = format!("a: é\nbé # {c}x\n");
            assert_eq!(refused(text.as_bytes()), (Reason::ForeignLineBreak { name }, 2, 6));
        }
        assert_eq!(refused(b"a: 1\rb: 2\n").0, Reason::ForeignLineBreak { name: "a carriage return alone" });
        assert_eq!(refused(b"a: 1\r").0, Reason::ForeignLineBreak { name: "a carriage return alone" });
        assert_eq!(refused("a\u{FEFF}".as_bytes()), (Reason::InteriorByteOrderMark, 1, 2));
        assert_eq!(refused("\u{FEFF}\u{FEFF}".as_bytes()).0, Reason::InteriorByteOrderMark);
        assert_eq!(refused("a: \u{7}".as_bytes()).0, Reason::ControlCharacter { code: 7 });
        assert_eq!(refused("a: \u{9b}".as_bytes()).0, Reason::ControlCharacter { code: 0x9b });
        assert_eq!(refused("a: \u{ffff}".as_bytes()).0, Reason::ControlCharacter { code: 0xffff });
        assert_eq!(refused("a\n---\u{a0}\nb".as_bytes()), (Reason::ForeignDocumentMark, 2, 4));
        assert_eq!(refused(b"a\n---# c\nb"), (Reason::ForeignDocumentMark, 2, 4));
        assert!(decode("a: \u{a0}\u{fffd}\u{1F600}\t\r\n--- # c\n---x\n---\u{200b}".into()).is_ok());
    }

    #[test]
    fn what_is_not_text_is_refused() {
        assert_eq!(refused(b"\x7fELF\x02\x01\x00abcdefgh").0, Reason::Binary);
        assert_eq!(refused(&[&b"\x7fELF"[..], &[0; 60]].concat()).0, Reason::Binary);
        assert_eq!(refused(b"a: b\nc: \xE9\n"), (Reason::NotUtf8, 2, 4));
        assert_eq!(refused(&vec![b' '; MAX_BYTES + 1]).0, Reason::TooLarge);
    }

    #[test]
    fn line_endings_are_windows_only_throughout() {
        let ending = |text: &str| decode(text.into()).unwrap().line_ending();
        assert_eq!(ending("a: 1\r\nb: 2\r\n"), LineEnding::CrLf);
        assert_eq!(ending("a: 1\r\nb: 2"), LineEnding::CrLf);
        assert_eq!(ending("a: 1\r\nb: 2\n"), LineEnding::Lf);
        assert_eq!(ending("a: 1"), LineEnding::Lf);
        assert_eq!(ending(""), LineEnding::Lf);
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", decode(b"hunter2".to_vec()).unwrap()), "Source(7 bytes)");
    }
}
