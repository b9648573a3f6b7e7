//! age v1 files (<https://c2sp.org/age>): keys, header and payload, with every strictness of the specification.
//!
//! What a sealed value adds to an age file, and what it forbids, stands in [`crate::sealed`].

mod file_key;
pub mod header;
mod hybrid;
mod keys;
pub mod payload;
mod primitives;
mod x25519;

pub use file_key::FileKey;
pub use keys::{Algorithm, Fingerprint, Identity, KeyError, Recipient, WrappedKey, parse_identity_file};

use header::{Header, HeaderError, HeaderErrorKind, Limits};
use thiserror::Error;

use crate::SecretBytes;

/// Why an age file does not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AgeError {
    /// The header does not follow the specification.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A recipient stanza of a known type is malformed.
    #[error("recipient stanza {0} is malformed")]
    Stanza(usize),
    /// No stanza is for one of the identities.
    #[error("no identity matches a recipient of this file")]
    NoMatch,
    /// The header's MAC is not that of its bytes.
    #[error("the header was changed: its MAC does not match")]
    Mac,
    /// The payload was changed, cut or extended.
    #[error("the payload was changed, cut or extended")]
    Payload,
}

/// Opens an age file with the first identity that matches, as [`crate::sealed`] never does: for files that carry no binding.
pub fn decrypt(file: &[u8], identities: &[Identity]) -> Result<SecretBytes, AgeError> {
    let header = Header::read(file, Limits::AGE)?;
    let mut found = None;
    // Every stanza is read, also after a match: a file is well-formed or not whoever holds which key.
    for (index, stanza) in header.stanzas.iter().enumerate() {
        // <https://c2sp.org/age#the-scrypt-recipient-type>: "MUST be the only stanza in the header".
        if stanza.kind() == "scrypt" && header.stanzas.len() > 1 {
            return Err(AgeError::Stanza(index + 1));
        }
        let Some(wrapped) = WrappedKey::from_stanza(stanza).map_err(|()| AgeError::Stanza(index + 1))? else { continue };
        found = found.or_else(|| identities.iter().find_map(|identity| identity.unwrap(&wrapped)));
    }
    let file_key = found.ok_or(AgeError::NoMatch)?;
    if !file_key.verify_mac(&file[..header.mac_covers], &header.mac) {
        return Err(AgeError::Mac);
    }
    let payload = &file[header.payload..];
    if payload.len() < payload::NONCE {
        // The specification reads the nonce with the header.
        let line = file[..header.payload].split(|byte| *byte == b'\n').count();
        return Err(HeaderError { line, offset: header.payload, kind: HeaderErrorKind::Truncated }.into());
    }
    payload::decrypt(&file_key, payload).ok_or(AgeError::Payload)
}

#[cfg(test)]
mod tests;
