//! The filters: each a total function from bytes to bytes with a known longest result.

use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    /// RFC 4648 section 4, padded.
    Base64,
    /// RFC 4648 section 5, not padded, as in JSON Web Tokens.
    Base64Url,
    /// Lower case.
    Hex,
    /// A quoted JSON string (RFC 8259); bad UTF-8 becomes U+FFFD. All that YAML does not print is escaped, so it is a YAML string too.
    Json,
    /// What `json` gives, by the name that YAML authors look for.
    Quote,
    /// One word of a POSIX shell, in single quotes. A NUL stays as it is: no shell takes one.
    ShellQuote,
    /// Percent-encoding of all but RFC 3986's unreserved characters.
    UrlEncode,
    /// So many spaces after each line feed; a lone carriage return is none, so what may have one goes through `quote` into YAML.
    Indent(usize),
    /// Without ASCII white space at both ends.
    Trim,
    /// ASCII letters in upper case.
    Upper,
    /// ASCII letters in lower case.
    Lower,
}

impl Filter {
    pub(super) const NAMES: &'static str =
        "base64, base64url, hex, json, quote, shellquote, urlencode, indent N, trim, upper, lower";

    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "base64" => Self::Base64,
            "base64url" => Self::Base64Url,
            "hex" => Self::Hex,
            "json" => Self::Json,
            "quote" => Self::Quote,
            "shellquote" => Self::ShellQuote,
            "urlencode" => Self::UrlEncode,
            "indent" => Self::Indent(0),
            "trim" => Self::Trim,
            "upper" => Self::Upper,
            "lower" => Self::Lower,
            _ => return None,
        })
    }

    /// Longest result for an input of `length` bytes.
    pub(super) fn max_len(self, length: usize) -> usize {
        match self {
            Self::Base64 | Self::Base64Url => length.div_ceil(3).saturating_mul(4),
            Self::Hex => length.saturating_mul(2),
            // The longest escape of one byte is \u0000.
            Self::Json | Self::Quote => length.saturating_mul(6).saturating_add(2),
            // A quote becomes '\''.
            Self::ShellQuote => length.saturating_mul(4).saturating_add(2),
            Self::UrlEncode => length.saturating_mul(3),
            Self::Indent(columns) => length.saturating_mul(columns + 1),
            Self::Trim | Self::Upper | Self::Lower => length,
        }
    }

    /// Shortest result for an input of at least `length` bytes.
    pub(super) fn min_len(self, length: usize) -> usize {
        match self {
            Self::Trim => 0,
            Self::Json | Self::Quote | Self::ShellQuote => 2,
            // Each byte gives at least one.
            _ => length,
        }
    }

    /// Appends the result to `output`, which has room for [`Filter::max_len`].
    pub(super) fn apply(self, input: &[u8], output: &mut Vec<u8>) {
        match self {
            Self::Base64 => encode(&STANDARD, input, output),
            Self::Base64Url => encode(&URL_SAFE_NO_PAD, input, output),
            Self::Hex => input.iter().for_each(|byte| hex(b"0123456789abcdef", *byte, output)),
            Self::Json | Self::Quote => json(input, output),
            Self::ShellQuote => shell_quote(input, output),
            Self::UrlEncode => input.iter().for_each(|byte| url_encode(*byte, output)),
            Self::Indent(columns) => {
                for byte in input {
                    output.push(*byte);
                    if *byte == b'\n' {
                        output.resize(output.len() + columns, b' ');
                    }
                }
            }
            Self::Trim => output.extend_from_slice(input.trim_ascii()),
            Self::Upper => output.extend(input.iter().map(u8::to_ascii_uppercase)),
            Self::Lower => output.extend(input.iter().map(u8::to_ascii_lowercase)),
        }
    }
}

fn encode(engine: &impl base64::Engine, input: &[u8], output: &mut Vec<u8>) {
    let start = output.len();
    output.resize(start + input.len().div_ceil(3) * 4, 0);
    let length = engine.encode_slice(input, &mut output[start..]).expect("the slice has the longest length");
    output.truncate(start + length);
}

fn hex(digits: &[u8; 16], byte: u8, output: &mut Vec<u8>) {
    output.extend([digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
}

fn json(input: &[u8], output: &mut Vec<u8>) {
    output.push(b'"');
    for chunk in input.utf8_chunks() {
        for character in chunk.valid().chars() {
            json_character(character, output);
        }
        if !chunk.invalid().is_empty() {
            output.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    output.push(b'"');
}

fn json_character(character: char, output: &mut Vec<u8>) {
    match character {
        '"' | '\\' => output.extend([b'\\', u8::try_from(character).expect("ASCII")]),
        '\n' => output.extend_from_slice(b"\\n"),
        '\r' => output.extend_from_slice(b"\\r"),
        '\t' => output.extend_from_slice(b"\\t"),
        // What YAML 1.1 or 1.2 takes for a line break, a mark or nothing printable; all of it is below U+FFFF.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
            output.extend_from_slice(b"\\u");
            for byte in u16::try_from(u32::from(character)).expect("below U+FFFF").to_be_bytes() {
                hex(b"0123456789abcdef", byte, output);
            }
        }
        _ => output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

fn shell_quote(input: &[u8], output: &mut Vec<u8>) {
    output.push(b'\'');
    for byte in input {
        match byte {
            b'\'' => output.extend_from_slice(b"'\\''"),
            _ => output.push(*byte),
        }
    }
    output.push(b'\'');
}

fn url_encode(byte: u8, output: &mut Vec<u8>) {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => output.push(byte),
        _ => {
            output.push(b'%');
            hex(b"0123456789ABCDEF", byte, output);
        }
    }
}
