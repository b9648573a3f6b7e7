//! Writing YAML for people: what serde writes, and the one mapping of plaintext that must not pass through serde.

use bulla_shared::SecretBytes;
use bulla_shared::convert::PlainSecret;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::{Error, Kind};

/// A manifest without plaintext as YAML.
pub fn to_yaml(value: &impl Serialize) -> Result<String, Error> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(value, options)
        .map_err(|_| Error::new(Kind::Bug, "cannot write YAML").hint("please report it, without the secret values"))
}

/// Appends a text in double quotes, as JSON and YAML both read it. Reserve six bytes for each of its bytes: a buffer that grows leaves
/// plaintext behind.
pub fn push_quoted(buffer: &mut Zeroizing<String>, text: &str) {
    buffer.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => buffer.extend(['\\', c]),
            '\n' => buffer.push_str("\\n"),
            '\r' => buffer.push_str("\\r"),
            '\t' => buffer.push_str("\\t"),
            _ if is_escaped(c) => {
                let code = u32::from(c);
                buffer.push_str("\\u");
                buffer.extend([12, 8, 4, 0].map(|shift| char::from_digit(code >> shift & 0xF, 16).unwrap_or_default()));
            }
            _ => buffer.push(c),
        }
    }
    buffer.push('"');
}

/// How many bytes [`push_plaintext`] needs at most.
#[must_use]
pub fn plaintext_room(value: &SecretBytes) -> usize {
    6 * value.expose().len() + 32
}

/// Appends a value as people read it best, below a key at column 0: text of several lines as a block, other text in quotes, anything else as
/// `!!binary`.
pub fn push_plaintext(buffer: &mut Zeroizing<String>, value: &SecretBytes) {
    use base64::Engine as _;
    let Ok(text) = str::from_utf8(value.expose()) else {
        buffer.push_str("!!binary \"");
        base64::engine::general_purpose::STANDARD.encode_string(value.expose(), buffer);
        buffer.push('"');
        return;
    };
    let (body, header) = text.strip_suffix('\n').map_or((text, "|-"), |body| (body, "|"));
    // Parsers agree on blocks of plain lines; all else is safer in quotes.
    let plain = |line: &str| {
        let text = line.trim_start_matches(' ');
        line.is_empty() || (!text.is_empty() && text.trim() == text && !text.contains(is_escaped))
    };
    if body.contains('\n') && !body.ends_with('\n') && !body.starts_with(['\n', ' ']) && body.split('\n').all(plain) {
        buffer.push_str(header);
        for line in body.split('\n') {
            buffer.extend(["\n", if line.is_empty() { "" } else { "  " }, line]);
        }
        return;
    }
    push_quoted(buffer, text);
}

/// What a YAML parser refuses or takes for a line break; all of it is below U+10000.
fn is_escaped(c: char) -> bool {
    matches!(c, '\0'..'\u{20}' | '\u{7F}'..='\u{9F}' | '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}')
}

/// A Secret with its values; the buffer never grows, so no copy of them is left behind.
pub fn secret_to_yaml(secret: &PlainSecret) -> Result<Zeroizing<String>, Error> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let frame = to_yaml(&secret.frame())?;
    let room: usize =
        secret.items.iter().map(|(item, value)| item.as_str().len() + value.expose().len().div_ceil(3) * 4 + 9).sum();
    let mut yaml = Zeroizing::new(String::with_capacity(frame.len() + room + 16));
    yaml.push_str(&frame);
    yaml.push_str("data:\n");
    for (item, value) in &secret.items {
        // Quotes, because some item names are no strings to YAML 1.1.
        yaml.push_str("  \"");
        yaml.push_str(item.as_str());
        // And quotes around base64, because some of it is null, a number or a boolean.
        yaml.push_str("\": \"");
        STANDARD.encode_string(value.expose(), &mut yaml);
        yaml.push('"');
        yaml.push('\n');
    }
    Ok(yaml)
}
