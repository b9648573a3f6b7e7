//! Reader and writer of an age v1 header (<https://c2sp.org/age#header>): strict, one pass, linear in its input.
//!
//! It knows lines, arguments and base64, not what a stanza means. The MAC is returned, not checked: that takes a file key.

use std::ops::Range;

use thiserror::Error;

use crate::encoding::{base64_exact, base64_line, base64_unpadded};

/// First line of every age v1 file, with its line feed.
pub const INTRO: &str = "age-encryption.org/v1\n";

const BODY_COLUMNS: usize = 64;
const MAC_PREFIX: &str = "---";

/// How much of a header is read before it is refused.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the whole header, up to and with the line feed after the MAC.
    pub header: usize,
    /// Number of stanzas.
    pub stanzas: usize,
    /// Bytes of one line without its line feed.
    pub line: usize,
}

impl Limits {
    /// The limits of a sealed value.
    pub const SEALED: Self = Self { header: 64 * 1024, stanzas: 32, line: 2 * 1024 };
    /// For age files that are not sealed values: a backup, a test vector.
    pub const AGE: Self = Self { header: 16 * 1024 * 1024, stanzas: 100_000, line: 16 * 1024 * 1024 };
}

/// Why a header is refused, and where: `offset` counts bytes from the start of the file, `line` from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("header line {line}, offset {offset}: {kind}")]
pub struct HeaderError {
    /// Line of the header, from 1.
    pub line: usize,
    /// Offset of that line's first byte.
    pub offset: usize,
    /// What is wrong there.
    pub kind: HeaderErrorKind,
}

/// What is wrong with one line of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderErrorKind {
    /// The first line is not that of an age v1 file.
    #[error("not an age v1 file")]
    Intro,
    /// The input ends inside the header.
    #[error("the header ends early")]
    Truncated,
    /// A line is longer than [`Limits::line`].
    #[error("the line is too long")]
    LongLine,
    /// The header is longer than [`Limits::header`].
    #[error("the header is too long")]
    LongHeader,
    /// There are more stanzas than [`Limits::stanzas`].
    #[error("too many stanzas")]
    ManyStanzas,
    /// Neither a stanza nor the MAC line stands where one is due.
    #[error("expected a stanza or the MAC")]
    ExpectedStanza,
    /// An argument is empty or has a character outside `!` to `~`.
    #[error("malformed stanza arguments")]
    Arguments,
    /// A body line is not canonical base64, is too long, or the last, short line is missing.
    #[error("malformed stanza body")]
    Body,
    /// The MAC line is not 32 bytes of canonical base64.
    #[error("malformed MAC line")]
    Mac,
    /// There is no stanza at all.
    #[error("no stanza")]
    NoStanza,
}

/// One recipient stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza<'a> {
    /// Type and arguments: at least one, none empty.
    pub args: Vec<&'a str>,
    /// The decoded body.
    pub body: Vec<u8>,
    /// Bytes of the file from `->` to the line feed that ends the body.
    pub span: Range<usize>,
}

impl<'a> Stanza<'a> {
    /// The first argument.
    #[must_use]
    pub fn kind(&self) -> &'a str {
        self.args[0]
    }
}

/// A header as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    /// The stanzas in order.
    pub stanzas: Vec<Stanza<'a>>,
    /// The MAC as written.
    pub mac: [u8; 32],
    /// Length of the bytes that the MAC covers: all up to and with `---`.
    pub mac_covers: usize,
    /// Offset of the payload.
    pub payload: usize,
}

struct Lines<'a> {
    bytes: &'a [u8],
    limits: Limits,
    line: usize,
    start: usize,
    next: usize,
}

impl<'a> Lines<'a> {
    fn fail(&self, kind: HeaderErrorKind) -> HeaderError {
        HeaderError { line: self.line, offset: self.start, kind }
    }

    fn next(&mut self) -> Result<&'a [u8], HeaderError> {
        (self.line, self.start) = (self.line + 1, self.next);
        let rest = &self.bytes[self.start..];
        // A header needs at least one more byte than any line, so this window never hides a line feed that counts.
        let window = &rest[..rest.len().min(self.limits.line + 1)];
        let Some(length) = window.iter().position(|byte| *byte == b'\n') else {
            let kind = if window.len() == rest.len() { HeaderErrorKind::Truncated } else { HeaderErrorKind::LongLine };
            return Err(self.fail(kind));
        };
        self.next = self.start + length + 1;
        if self.next > self.limits.header {
            return Err(self.fail(HeaderErrorKind::LongHeader));
        }
        Ok(&rest[..length])
    }
}

impl<'a> Header<'a> {
    /// Reads the header at the start of `file`; what follows is payload and is not looked at.
    pub fn read(file: &'a [u8], limits: Limits) -> Result<Self, HeaderError> {
        use HeaderErrorKind::{ExpectedStanza, Intro, Mac, ManyStanzas, NoStanza};
        if !file.starts_with(INTRO.as_bytes()) {
            return Err(HeaderError { line: 1, offset: 0, kind: Intro });
        }
        let mut lines = Lines { bytes: file, limits, line: 1, start: 0, next: INTRO.len() };
        let mut stanzas = Vec::new();
        loop {
            let line = lines.next()?;
            if let Some(args) = line.strip_prefix(b"-> ") {
                if stanzas.len() == limits.stanzas {
                    return Err(lines.fail(ManyStanzas));
                }
                stanzas.push(read_stanza(&mut lines, args)?);
            } else if let Some(mac) = line.strip_prefix(MAC_PREFIX.as_bytes()) {
                if stanzas.is_empty() {
                    return Err(lines.fail(NoStanza));
                }
                let mac = mac.strip_prefix(b" ").and_then(|mac| base64_exact(str::from_utf8(mac).ok()?));
                let mac = mac.ok_or_else(|| lines.fail(Mac))?;
                let mac_covers = lines.start + MAC_PREFIX.len();
                return Ok(Self { stanzas, mac, mac_covers, payload: lines.next });
            } else {
                return Err(lines.fail(ExpectedStanza));
            }
        }
    }
}

fn read_stanza<'a>(lines: &mut Lines<'a>, args: &'a [u8]) -> Result<Stanza<'a>, HeaderError> {
    use HeaderErrorKind::{Arguments, Body};
    let start = lines.start;
    // <https://c2sp.org/age#recipient-stanza>: "one or more arguments, separated by a single space", each of VCHAR only.
    let valid = |arg: &&str| !arg.is_empty() && arg.bytes().all(|byte| byte.is_ascii_graphic());
    let args: Vec<&str> = str::from_utf8(args).map_err(|_| lines.fail(Arguments))?.split(' ').collect();
    if !args.iter().all(valid) {
        return Err(lines.fail(Arguments));
    }
    let mut body = Vec::new();
    loop {
        let line = lines.next()?;
        if line.len() > BODY_COLUMNS || base64_line(line, &mut body).is_none() {
            return Err(lines.fail(Body));
        }
        // The last line is always a short one, even if it has to be empty.
        if line.len() < BODY_COLUMNS {
            return Ok(Stanza { args, body, span: start..lines.next });
        }
    }
}

/// Writes one stanza in the form that [`Header::read`] takes; `args` is the type and its arguments, joined by single spaces.
pub fn write_stanza(header: &mut Vec<u8>, args: &str, body: &[u8]) {
    let encoded = base64_unpadded(body);
    header.extend_from_slice(b"-> ");
    header.extend_from_slice(args.as_bytes());
    let mut rest = encoded.as_bytes();
    loop {
        let (line, next) = rest.split_at(rest.len().min(BODY_COLUMNS));
        header.push(b'\n');
        header.extend_from_slice(line);
        if line.len() < BODY_COLUMNS {
            header.push(b'\n');
            return;
        }
        rest = next;
    }
}

/// Ends a header whose stanzas are written: appends the part that the MAC covers, asks for the MAC, appends it.
pub fn write_mac(header: &mut Vec<u8>, mac: impl FnOnce(&[u8]) -> [u8; 32]) {
    header.extend_from_slice(MAC_PREFIX.as_bytes());
    let mac = base64_unpadded(&mac(header));
    header.push(b' ');
    header.extend_from_slice(mac.as_bytes());
    header.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &str = "--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

    fn kind(text: &str) -> Result<usize, HeaderErrorKind> {
        Header::read(text.as_bytes(), Limits::SEALED).map(|header| header.stanzas.len()).map_err(|error| error.kind)
    }

    #[test]
    fn writes_what_it_reads() {
        for length in [0, 1, 47, 48, 49, 95, 96, 97] {
            let mut file = INTRO.as_bytes().to_vec();
            write_stanza(&mut file, "a b", &vec![7; length]);
            write_mac(&mut file, |_| [9; 32]);
            let end = file.len();
            file.extend_from_slice(b"payload");
            let header = Header::read(&file, Limits::SEALED).unwrap();
            assert_eq!(header.stanzas[0].args, ["a", "b"]);
            assert_eq!(header.stanzas[0].body, vec![7; length]);
            assert_eq!((header.mac, header.payload), ([9; 32], end));
            assert!(file[..header.mac_covers].ends_with(b"\n---"));
        }
    }

    #[test]
    fn refuses_every_other_form() {
        use HeaderErrorKind::{Arguments, Body, ExpectedStanza, Intro, Mac, NoStanza, Truncated};
        let file = |middle: &str| format!("{INTRO}{middle}{MAC}");
        assert_eq!(kind(&file("-> a\n\n")), Ok(1));
        for (middle, expected) in [
            ("", NoStanza),
            ("-> a\n", Body),
            ("-> a\n-> b\n\n", Body),
            ("->a\n\n", ExpectedStanza),
            ("-> \n\n", Arguments),
            ("-> a  b\n\n", Arguments),
            ("-> a \n\n", Arguments),
            ("-> a\tb\n\n", Arguments),
            ("-> \u{e9}\n\n", Arguments),
            ("-> a\r\n\n", Arguments),
            ("-> a\n=\n", Body),
            ("-> a\nAB\n", Body),
            ("-> a\nAA==\n", Body),
            ("-> a\nA A\n", Body),
            ("-> a\n\n\n", ExpectedStanza),
        ] {
            assert_eq!(kind(&file(middle)), Err(expected), "{middle:?}");
        }
        let stanza = format!("{INTRO}-> a\n\n");
        for (end, expected) in [
            ("", Truncated),
            ("---", Truncated),
            ("---\n", Mac),
            ("--- AA\n", Mac),
            (&MAC.replace("AAA\n", "AAB\n"), Mac),
            (&MAC.replace("A\n", "A=\n"), Mac),
            (&MAC.replace("--- ", "---  "), Mac),
            (&MAC.replace('\n', "\r\n"), Mac),
        ] {
            assert_eq!(kind(&format!("{stanza}{end}")), Err(expected), "{end:?}");
        }
        assert_eq!(kind("age-encryption.org/v2\n"), Err(Intro));
        assert_eq!(kind(""), Err(Intro));
    }

    #[test]
    fn every_limit_is_exact() {
        use HeaderErrorKind::{LongHeader, LongLine, ManyStanzas};
        let file = |middle: &str| format!("{INTRO}{middle}{MAC}");
        assert_eq!(kind(&file(&"-> a\n\n".repeat(32))), Ok(32));
        assert_eq!(kind(&file(&"-> a\n\n".repeat(33))), Err(ManyStanzas));
        assert_eq!(kind(&file(&format!("-> {}\n\n", "a".repeat(2045)))), Ok(1));
        assert_eq!(kind(&file(&format!("-> {}\n\n", "a".repeat(2046)))), Err(LongLine));
        let full = "A".repeat(64) + "\n";
        let body = |lines| format!("-> a\n{}\n", full.repeat(lines));
        let room = Limits::SEALED.header - file(&body(0)).len();
        assert_eq!(kind(&file(&body(room / 65))), Ok(1));
        assert_eq!(kind(&file(&body(room / 65 + 1))), Err(LongHeader));
    }

    #[test]
    fn the_error_says_where() {
        let error = Header::read(b"age-encryption.org/v1\n-> a\n\nx\n", Limits::SEALED).unwrap_err();
        assert_eq!(error.to_string(), "header line 4, offset 28: expected a stanza or the MAC");
    }
}
