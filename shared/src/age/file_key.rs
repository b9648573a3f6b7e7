//! The file key: the 16 random bytes that recipients wrap and that header MAC and payload hang on.

use std::fmt;

use zeroize::Zeroizing;

use super::primitives::{Key, hkdf_sha256, hmac_sha256, hmac_sha256_verify, random};

pub(super) const LENGTH: usize = 16;

/// The symmetric key of one age file.
pub struct FileKey(Zeroizing<[u8; LENGTH]>);

impl FileKey {
    pub(crate) fn generate() -> Self {
        Self(random())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    pub(super) fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// <https://c2sp.org/age#header-mac>
    fn mac_key(&self) -> Key {
        hkdf_sha256(&[], self.0.as_slice(), b"header")
    }

    pub(crate) fn mac(&self, covered: &[u8]) -> [u8; 32] {
        hmac_sha256(&self.mac_key(), covered)
    }

    /// Whether `mac` is that of `covered`, compared in constant time.
    #[must_use]
    pub fn verify_mac(&self, covered: &[u8], mac: &[u8; 32]) -> bool {
        hmac_sha256_verify(&self.mac_key(), covered, mac)
    }

    /// <https://c2sp.org/age#payload>
    pub(super) fn payload_key(&self, nonce: &[u8; 16]) -> Key {
        hkdf_sha256(nonce, self.0.as_slice(), b"payload")
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(redacted)")
    }
}
