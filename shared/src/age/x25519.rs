//! The X25519 recipient type, both halves (<https://c2sp.org/age#the-x25519-recipient-type>).

use aws_lc_rs::agreement::PrivateKey;
use zeroize::Zeroizing;

use super::file_key::{self, FileKey};
use super::header::Stanza;
use super::primitives::{Aead, Key, hkdf_sha256, is_low_order, x25519, x25519_ephemeral, x25519_private, x25519_public};
use crate::encoding::{base64_exact, base64_unpadded, bech32_exact, to_bech32};

pub(super) const STANZA: &str = "X25519";
pub(super) const RECIPIENT_PREFIX: &str = "age";
pub(super) const IDENTITY_PREFIX: &str = "AGE-SECRET-KEY-";
const INFO: &[u8] = b"age-encryption.org/v1/X25519";

pub(super) type Public = [u8; 32];

/// Parses `age1…`; a low-order point is refused, because everybody knows what it agrees on.
pub(super) fn parse_recipient(text: &str) -> Option<Public> {
    bech32_exact(RECIPIENT_PREFIX, text).map(|bytes| *bytes).filter(|point| !is_low_order(point))
}

pub(super) fn wrap(public: &Public, file_key: &FileKey) -> (String, Vec<u8>) {
    let ephemeral = x25519_ephemeral();
    let share = x25519_public(&ephemeral);
    let shared = x25519(&ephemeral, public).expect("recipients of low order are refused when parsed");
    let mut body = file_key.as_bytes().to_vec();
    let tag = Aead::new(&wrap_key(&shared, &share, public)).seal([0; 12], &mut body);
    body.extend_from_slice(&tag);
    (format!("{STANZA} {}", base64_unpadded(&share)), body)
}

fn wrap_key(shared: &Key, share: &[u8; 32], public: &Public) -> Key {
    hkdf_sha256(&[share.as_slice(), public].concat(), shared.as_slice(), INFO)
}

/// The share and the wrapped file key of a well-formed stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrapped {
    share: [u8; 32],
    body: [u8; file_key::LENGTH + Aead::TAG],
}

impl Wrapped {
    pub(super) fn from_stanza(stanza: &Stanza<'_>) -> Option<Self> {
        let [_, share] = stanza.args.as_slice() else { return None };
        // The specification lets an implementation refuse these when it agrees on a key; here no key is needed to refuse them.
        let share = base64_exact(share).filter(|share| !is_low_order(share))?;
        Some(Self { share, body: stanza.body.as_slice().try_into().ok()? })
    }
}

pub(super) struct Private {
    bytes: Zeroizing<[u8; 32]>,
    expanded: PrivateKey,
    public: Public,
}

impl Private {
    pub(super) fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        let expanded = x25519_private(&bytes);
        let public = x25519_public(&expanded);
        Self { bytes, expanded, public }
    }

    pub(super) fn public(&self) -> &Public {
        &self.public
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(to_bech32(IDENTITY_PREFIX, self.bytes.as_slice()))
    }

    pub(super) fn unwrap(&self, wrapped: &Wrapped) -> Option<FileKey> {
        let shared = x25519(&self.expanded, &wrapped.share)?;
        let mut body = Zeroizing::new(wrapped.body);
        let key = wrap_key(&shared, &wrapped.share, &self.public);
        Aead::new(&key).open([0; 12], body.as_mut_slice()).and_then(FileKey::from_bytes)
    }
}
