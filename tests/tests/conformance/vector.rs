//! The form of one committed test vector, and what becomes of it; the generator in `examples/make_vectors` writes the same form.

use bulla_keys::KeyRing;
use bulla_shared::age::Identity;
use bulla_shared::names::Place;
use bulla_shared::sealed::{Opened, SealedError, SealedValue};
use serde::{Deserialize, Serialize};

/// The outcome of a value that opens; any other is a class of [`SealedError::class`].
pub(crate) const OPENED: &str = "opened";

/// One sealed value, the place and the key to open it with, and the outcome.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    /// What is special about the value.
    pub(crate) comment: String,
    /// The one identity in the ring.
    pub(crate) identity: String,
    /// The recipient of that identity, whether or not the value is sealed to it.
    pub(crate) recipient: String,
    /// Namespace of the place.
    pub(crate) namespace: String,
    /// Object name of the place.
    pub(crate) name: String,
    /// Item of the place.
    pub(crate) item: String,
    /// The text in `spec.encryptedData`.
    pub(crate) sealed: String,
    /// `opened`, or the class of the refusal.
    pub(crate) expect: String,
    /// Padded base64 of the value, if it opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) plaintext: Option<String>,
}

impl Vector {
    /// Where the vector wants its value to be opened.
    pub(crate) fn place(&self) -> Place {
        Place { namespace: self.namespace.parse().unwrap(), name: self.name.parse().unwrap(), item: self.item.parse().unwrap() }
    }

    /// Reads and opens the value as a controller does.
    pub(crate) fn open(&self) -> Result<Opened, SealedError> {
        let ring = KeyRing::from_iter([self.identity.parse::<Identity>().unwrap()]);
        self.sealed.parse::<SealedValue>()?.open(&self.place(), &ring)
    }
}

/// Where values are sealed and opened if nothing else is said.
pub(crate) fn place() -> Place {
    Place { namespace: "prod".parse().unwrap(), name: "db".parse().unwrap(), item: "item".parse().unwrap() }
}
