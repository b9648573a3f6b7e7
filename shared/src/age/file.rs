//! Whole age files without a binding: a backup, a test vector.

use thiserror::Error;

use super::header::{self, Header, HeaderError, HeaderErrorKind, Limits};
use super::{FileKey, Identity, Recipient, WrappedKey, passphrase, payload};
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

/// Encrypts to `recipients`; the caller answers for their being of one kind.
#[must_use]
pub fn encrypt(plaintext: &[u8], recipients: &[Recipient]) -> Vec<u8> {
    let file_key = FileKey::generate();
    let stanzas = recipients.iter().map(|recipient| recipient.wrap(&file_key));
    write(&file_key, plaintext, stanzas)
}

/// Encrypts under a passphrase.
#[must_use]
pub fn encrypt_with_passphrase(plaintext: &[u8], passphrase: &str) -> Vec<u8> {
    let file_key = FileKey::generate();
    let stanza = passphrase::wrap(passphrase, &file_key);
    write(&file_key, plaintext, [stanza])
}

fn write(file_key: &FileKey, plaintext: &[u8], stanzas: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut file = header::INTRO.as_bytes().to_vec();
    for (args, body) in stanzas {
        header::write_stanza(&mut file, &args, &body);
    }
    header::write_mac(&mut file, |covered| file_key.mac(covered));
    payload::encrypt(file_key, plaintext, &mut file);
    file
}

/// Opens an age file with the first identity that matches, as [`crate::sealed`] never does: for files that carry no binding.
pub fn decrypt(file: &[u8], identities: &[Identity]) -> Result<SecretBytes, AgeError> {
    let header = Header::read(file, Limits::AGE)?;
    let mut found = None;
    // Every stanza is read, also after a match: a file is well-formed or not whoever holds which key.
    for (index, stanza) in header.stanzas.iter().enumerate() {
        // <https://c2sp.org/age#the-scrypt-recipient-type>: "MUST be the only stanza in the header".
        if stanza.kind() == passphrase::STANZA && header.stanzas.len() > 1 {
            return Err(AgeError::Stanza(index + 1));
        }
        let Some(wrapped) = WrappedKey::from_stanza(stanza).map_err(|()| AgeError::Stanza(index + 1))? else { continue };
        found = found.or_else(|| identities.iter().find_map(|identity| identity.unwrap(&wrapped)));
    }
    open(file, &header, &found.ok_or(AgeError::NoMatch)?)
}

/// Opens an age file that was encrypted under a passphrase.
pub fn decrypt_with_passphrase(file: &[u8], passphrase: &str) -> Result<SecretBytes, AgeError> {
    let header = Header::read(file, Limits::AGE)?;
    let [stanza] = header.stanzas.as_slice() else { return Err(AgeError::NoMatch) };
    if stanza.kind() != passphrase::STANZA {
        return Err(AgeError::NoMatch);
    }
    open(file, &header, &passphrase::unwrap(passphrase, stanza).ok_or(AgeError::NoMatch)?)
}

fn open(file: &[u8], header: &Header<'_>, file_key: &FileKey) -> Result<SecretBytes, AgeError> {
    if !file_key.verify_mac(&file[..header.mac_covers], &header.mac) {
        return Err(AgeError::Mac);
    }
    let payload = &file[header.payload..];
    if payload.len() < payload::NONCE {
        // The specification reads the nonce with the header.
        let line = file[..header.payload].split(|byte| *byte == b'\n').count();
        return Err(HeaderError { line, offset: header.payload, kind: HeaderErrorKind::Truncated }.into());
    }
    payload::decrypt(file_key, payload).ok_or(AgeError::Payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::age::Algorithm;

    #[test]
    fn to_keys_and_under_a_passphrase() {
        let [one, two, other] = std::array::from_fn(|_| Identity::generate(Algorithm::Hybrid));
        let file = encrypt(b"backup", &[one.recipient().clone(), two.recipient().clone()]);
        assert_eq!(decrypt(&file, &[two]).unwrap().expose(), b"backup");
        assert_eq!(decrypt(&file, &[other]).unwrap_err(), AgeError::NoMatch);
        assert_eq!(decrypt_with_passphrase(&file, "x").unwrap_err(), AgeError::NoMatch);

        let file = encrypt_with_passphrase(b"backup", "correct horse");
        assert_eq!(decrypt_with_passphrase(&file, "correct horse").unwrap().expose(), b"backup");
        assert_eq!(decrypt_with_passphrase(&file, "wrong horse").unwrap_err(), AgeError::NoMatch);
        assert_eq!(decrypt(&file, &[one]).unwrap_err(), AgeError::NoMatch);
        assert_eq!(decrypt_with_passphrase(&file[..file.len() - 1], "correct horse").unwrap_err(), AgeError::Payload);
    }
}
