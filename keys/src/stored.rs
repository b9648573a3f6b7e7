//! A private sealing key as the Secret that stores it in the controller's namespace.
//!
//! The Secret is immutable and named after the UID of its `SealingKey`, so that two writers cannot make two keys for one.

use bulla_shared::SecretBytes;
use bulla_shared::age::{Algorithm, Fingerprint, Identity, Recipient};
use bulla_shared::binding::time_text;
use bulla_shared::convert::PlainSecret;
use bulla_shared::resources::{IDENTITY_KEY, SEALING_KEY_LABEL};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use thiserror::Error;
use zeroize::{Zeroize as _, Zeroizing};

/// Annotation with the time when the key was made: it outlives the `SealingKey`, and a backup restores it.
pub const CREATED_ANNOTATION: &str = "bulla.dev/created";

/// Type of the Secret.
pub const SECRET_TYPE: &str = "bulla.dev/sealing-key";

/// The public half of a stored key: all that deciding about it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Name of the Secret.
    pub secret: String,
    /// The public key.
    pub recipient: Recipient,
    /// Its full SHA-256.
    pub fingerprint: Fingerprint,
    /// When it was made.
    pub created: Timestamp,
}

/// A private key with its record.
#[derive(Debug)]
pub struct StoredKey {
    /// Name of the Secret.
    pub name: String,
    /// The private key.
    pub identity: Identity,
    /// When it was made.
    pub created: Timestamp,
}

/// Why a labelled Secret is no sealing key. Holds nothing of its data.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoredKeyError {
    /// There is no data under the key `identity`.
    #[error("the Secret has no data key {IDENTITY_KEY}")]
    NoIdentity,
    /// The data is not one age identity.
    #[error("the data key {IDENTITY_KEY} does not hold exactly one age identity")]
    Identity,
    /// The time annotation is malformed.
    #[error("the annotation {CREATED_ANNOTATION} is not a time like 2026-11-23T06:50:00Z")]
    Created,
}

impl StoredKey {
    /// Generates a private key for the `SealingKey` of this UID.
    #[must_use]
    pub fn generate(uid: &str, algorithm: Algorithm, created: Timestamp) -> Self {
        Self { name: uid.to_owned(), identity: Identity::generate(algorithm), created }
    }

    /// Reads a labelled Secret, and overwrites its data.
    pub fn from_secret(mut secret: Secret) -> Result<Self, StoredKeyError> {
        let mut data = secret.data.take().unwrap_or_default();
        let bytes = data.remove(IDENTITY_KEY).map(|bytes| Zeroizing::new(bytes.0));
        for other in data.values_mut() {
            other.0.zeroize();
        }
        let bytes = bytes.ok_or(StoredKeyError::NoIdentity)?;
        let text = str::from_utf8(&bytes).map_err(|_| StoredKeyError::Identity)?;
        let identities = bulla_shared::age::parse_identity_file(text).map_err(|_| StoredKeyError::Identity)?;
        let [identity] = <[Identity; 1]>::try_from(identities).map_err(|_| StoredKeyError::Identity)?;
        let annotations = secret.metadata.annotations.unwrap_or_default();
        // A key that somebody brings counts from when it was put there, unless it says otherwise.
        let created = match annotations.get(CREATED_ANNOTATION) {
            Some(text) => text.parse().ok().filter(|time| time_text(time) == *text && *time >= Timestamp::UNIX_EPOCH),
            None => secret.metadata.creation_timestamp.map(|time| time.0),
        };
        let created = created.ok_or(StoredKeyError::Created)?;
        Ok(Self { name: secret.metadata.name.unwrap_or_default(), identity, created })
    }

    /// Its public half.
    #[must_use]
    pub fn record(&self) -> Record {
        let recipient = self.identity.recipient().clone();
        Record { secret: self.name.clone(), fingerprint: recipient.fingerprint(), recipient, created: self.created }
    }

    /// The Secret as JSON, ready to be created.
    #[must_use]
    pub fn to_json(&self, namespace: &str) -> Zeroizing<Vec<u8>> {
        let text = self.identity.to_text();
        let secret = PlainSecret {
            namespace: None,
            name: self.name.parse().expect("a UID is a name"),
            type_: Some(SECRET_TYPE.to_owned()),
            immutable: Some(true),
            labels: [(SEALING_KEY_LABEL.to_owned(), self.identity.recipient().fingerprint().id().to_string())].into(),
            annotations: [(CREATED_ANNOTATION.to_owned(), time_text(&self.created))].into(),
            items: [(IDENTITY_KEY.parse().expect("the key is an item name"), SecretBytes::new(text.as_bytes().to_vec()))].into(),
        };
        secret.to_json(&json!({"namespace": namespace}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(change: impl FnOnce(&mut Secret)) -> Result<StoredKey, StoredKeyError> {
        let key = StoredKey::generate("uid", Algorithm::Hybrid, "2026-11-23T06:50:00Z".parse().unwrap());
        let mut secret: Secret = serde_json::from_slice(&key.to_json("bulla-system")).unwrap();
        change(&mut secret);
        StoredKey::from_secret(secret)
    }

    #[test]
    fn reads_what_it_writes() {
        let key = secret(|_| ()).unwrap();
        assert_eq!(key.name, "uid");
        assert_eq!(time_text(&key.created), "2026-11-23T06:50:00Z");
    }

    #[test]
    fn refuses_other_secrets() {
        let data = |bytes: &[u8]| {
            let bytes = bytes.to_vec();
            move |secret: &mut Secret| {
                secret.data = Some([(IDENTITY_KEY.to_owned(), k8s_openapi::ByteString(bytes))].into());
            }
        };
        assert_eq!(secret(|secret| secret.data = None).unwrap_err(), StoredKeyError::NoIdentity);
        assert_eq!(secret(data(b"\xff")).unwrap_err(), StoredKeyError::Identity);
        assert_eq!(secret(data(b"AGE-SECRET-KEY-1")).unwrap_err(), StoredKeyError::Identity);
        let two =
            [Identity::generate(Algorithm::X25519), Identity::generate(Algorithm::X25519)].map(|key| key.to_text().to_string());
        assert_eq!(secret(data(two.join("\n").as_bytes())).unwrap_err(), StoredKeyError::Identity);
        assert_eq!(secret(|secret| secret.metadata.annotations = None).unwrap_err(), StoredKeyError::Created);
    }

    #[test]
    fn a_key_without_a_date_counts_from_when_it_was_put_there() {
        let put = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time("2026-01-02T00:00:00Z".parse().unwrap());
        let key = secret(|secret| {
            secret.metadata.annotations = None;
            secret.metadata.creation_timestamp = Some(put);
        });
        assert_eq!(time_text(&key.unwrap().created), "2026-01-02T00:00:00Z");
    }
}
