//! Canonical decoders for the three encodings of the age format: base64 without padding, Bech32, lower-case hex.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, ByteIterExt as _, Checksum, Fe32IterExt as _, Hrp};
use zeroize::Zeroizing;

/// Decodes exactly `N` bytes of unpadded base64; trailing bits must be zero (<https://c2sp.org/age#abnf-definition-of-file-header>).
pub(crate) fn base64_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != (N * 4).div_ceil(3) {
        return None;
    }
    let length = STANDARD_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (length == N).then_some(bytes)
}

/// Appends one line of a stanza body to `body`.
pub(crate) fn base64_line(line: &[u8], body: &mut Vec<u8>) -> Option<()> {
    STANDARD_NO_PAD.decode_vec(line, body).ok()
}

pub(crate) fn base64_unpadded(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

/// Padded base64 (RFC 4648 section 4), canonical; the error is the byte position of what is wrong.
pub(crate) fn base64_padded(text: &str) -> Result<Vec<u8>, usize> {
    use base64::DecodeError::{InvalidByte, InvalidLastSymbol, InvalidLength, InvalidPadding};
    STANDARD.decode(text).map_err(|error| match error {
        InvalidByte(position, _) => position,
        InvalidLastSymbol { .. } | InvalidLength(_) | InvalidPadding => text.len(),
    })
}

pub(crate) fn to_base64_padded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bech32 (BIP 173) without its length limit, as the age format uses it for keys of 1,216 bytes.
enum LongBech32 {}

impl Checksum for LongBech32 {
    type MidstateRepr = u32;
    const CODE_LENGTH: usize = usize::MAX;
    const CHECKSUM_LENGTH: usize = Bech32::CHECKSUM_LENGTH;
    const GENERATOR_SH: [u32; 5] = Bech32::GENERATOR_SH;
    const TARGET_RESIDUE: u32 = Bech32::TARGET_RESIDUE;
    type CorrectionField = <Bech32 as Checksum>::CorrectionField;
    const ROOT_GENERATOR: Self::CorrectionField = Bech32::ROOT_GENERATOR;
    const ROOT_EXPONENTS: std::ops::RangeInclusive<usize> = Bech32::ROOT_EXPONENTS;
}

/// Decodes a Bech32 text whose prefix is exactly `prefix` (lower or upper case, never mixed) and whose data are exactly `N` bytes.
pub(crate) fn bech32_exact<const N: usize>(prefix: &str, text: &str) -> Option<Zeroizing<[u8; N]>> {
    let lower = prefix.bytes().all(|byte| !byte.is_ascii_uppercase());
    if !text.starts_with(prefix)
        || text.bytes().any(|byte| if lower { byte.is_ascii_uppercase() } else { byte.is_ascii_lowercase() })
    {
        return None;
    }
    let checked = CheckedHrpstring::new::<LongBech32>(text).ok()?;
    if checked.hrp().as_str() != prefix {
        return None;
    }
    checked.validate_segwit_padding().ok()?;
    let mut bytes = Zeroizing::new([0; N]);
    let mut data = checked.byte_iter();
    for byte in bytes.iter_mut() {
        *byte = data.next()?;
    }
    data.next().is_none().then_some(bytes)
}

/// Encodes with `prefix`; an upper-case prefix gives upper-case text, as age writes identities.
pub(crate) fn to_bech32(prefix: &str, bytes: &[u8]) -> String {
    let hrp = Hrp::parse(prefix).expect("prefixes are constants of this crate");
    let upper = prefix.bytes().any(|byte| byte.is_ascii_uppercase());
    // Exact capacity: a text that grows would leave copies of an identity behind.
    let mut text = String::with_capacity(prefix.len() + 1 + (bytes.len() * 8).div_ceil(5) + 6);
    for character in bytes.iter().copied().bytes_to_fes().with_checksum::<LongBech32>(&hrp).chars() {
        text.push(if upper { character.to_ascii_uppercase() } else { character });
    }
    text
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

/// Decodes exactly `N` bytes of lower-case hex.
pub(crate) fn hex_exact<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// Appends padded base64 to `out`, which must have room: nothing is reallocated, so nothing is left behind.
pub(crate) fn encode_base64_padded(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + (bytes.len().div_ceil(3) * 4), 0);
    STANDARD.encode_slice(bytes, &mut out[start..]).expect("the slice has the length of the text");
}
