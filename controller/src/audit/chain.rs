//! How lines of the audit trail hang together: each is authenticated with all that came before it in its chain.
//!
//! A line is one JSON object whose last field is `mac`: HMAC-SHA-256, under the controller's audit key, of the previous line's code (32
//! zero bytes before the first) and the bytes of the line without that field. A process that takes over starts a chain of its own, and its
//! first line names the checkpoint (`<chain>:<seq>:<mac>`) that the Lease had then.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// Bytes of a code.
const LENGTH: usize = 32;

/// The code of one line.
pub(super) type Mac = [u8; LENGTH];

/// What stands around the code at the end of a line.
const FIELD: (&str, &str) = (",\"mac\":\"", "\"}");

/// The key of the chains.
pub struct AuditKey(hmac::Key);

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey(…)")
    }
}

impl AuditKey {
    /// From its text: 64 hex digits, and nothing but white space around them.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let bytes: Zeroizing<Mac> = Zeroizing::new(mac_from_hex(str::from_utf8(text).ok()?.trim())?);
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, &*bytes)))
    }

    /// The code of a line whose predecessor has the code `before`.
    pub(super) fn mac(&self, before: &Mac, line: &[u8]) -> Mac {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(before);
        context.update(line);
        context.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}

/// Where a chain stands: what a Lease publishes, and what the next chain begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the chain.
    pub(super) chain: String,
    /// Number of the line, from 0.
    pub(super) seq: u64,
    /// Its code.
    pub(super) mac: Mac,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.chain, self.seq, hex(&self.mac))
    }
}

impl FromStr for Checkpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.trim().split(':');
        let whole = (|| {
            let (chain, seq, mac) = (parts.next()?, parts.next()?, parts.next()?);
            let is_chain = chain.len() == 16 && chain.bytes().all(|byte| byte.is_ascii_hexdigit());
            (is_chain && parts.next().is_none()).then_some(())?;
            Some(Self { chain: chain.to_owned(), seq: seq.parse().ok()?, mac: mac_from_hex(mac)? })
        })();
        whole.ok_or_else(|| "expected <chain>:<number>:<code>, as in the annotation of the Lease".to_owned())
    }
}

/// A line with its code at the end.
pub(super) fn sealed(line: &str, mac: &Mac) -> String {
    let body = line.strip_suffix('}').expect("a JSON object ends in a brace");
    format!("{body}{}{}{}", FIELD.0, hex(mac), FIELD.1)
}

/// A line without its code, and the code.
pub(super) fn unsealed(line: &str) -> Option<(String, Mac)> {
    let rest = line.strip_suffix(FIELD.1)?;
    let (body, digits) = rest.split_at_checked(rest.len().checked_sub(2 * LENGTH)?)?;
    Some((format!("{}}}", body.strip_suffix(FIELD.0)?), mac_from_hex(digits)?))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac_from_hex(text: &str) -> Option<Mac> {
    let mut mac = [0; LENGTH];
    if text.len() != 2 * LENGTH || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, digits) in mac.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(mac)
}
