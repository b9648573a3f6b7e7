//! Recipients and identities of either kind behind one type each, their texts, ids and files.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use thiserror::Error;
use zeroize::Zeroizing;

use super::file_key::FileKey;
use super::header::Stanza;
use super::primitives::random;
use super::{hybrid, x25519};
use crate::binding::KeyId;
use crate::encoding::{bech32_exact, hex_exact, to_bech32, to_hex};

/// The two kinds of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Algorithm {
    /// ML-KEM-768 with X25519: safe against a quantum computer that comes later.
    #[default]
    Hybrid,
    /// X25519 alone: five times smaller, readable by every age tool.
    X25519,
}

impl Algorithm {
    /// The word in flags and in `SealingKey.spec.algorithm`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::X25519 => "x25519",
        }
    }

    /// The type of this kind's recipient stanzas.
    #[must_use]
    pub fn stanza(self) -> &'static str {
        match self {
            Self::Hybrid => hybrid::STANZA,
            Self::X25519 => x25519::STANZA,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not a key. The text is never repeated: it may be a private key in the wrong place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// An identity stands where a recipient belongs.
    #[error("this is a private key (identity), not a recipient")]
    IdentityAsRecipient,
    /// A recipient stands where an identity belongs.
    #[error("this is a public key (recipient), not an identity")]
    RecipientAsIdentity,
    /// Neither `age1…` nor `age1pq1…`, or the checksum does not match, or the point is of low order.
    #[error("not an age recipient (age1pq1… or age1…), or one that is unsafe to use")]
    Recipient,
    /// Neither `AGE-SECRET-KEY-1…` nor `AGE-SECRET-KEY-PQ-1…`, or the checksum does not match.
    #[error("not an age identity (AGE-SECRET-KEY-PQ-1… or AGE-SECRET-KEY-1…)")]
    Identity,
    /// An identity file without an identity.
    #[error("no identity in the file")]
    NoIdentity,
    /// A line of an identity file is refused.
    #[error("line {0} is not an age identity")]
    Line(usize),
    /// The file is larger than any identity file.
    #[error("larger than an identity file may be")]
    TooLarge,
}

/// The full SHA-256 of a recipient's text: what people compare and pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 16 hex digits, as they stand in `keys=`.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.into()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        hex_exact(text).map(Self).ok_or(KeyError::Recipient)
    }
}

/// A public key that values are sealed to; its `Debug` and `Display` are its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    public: Public,
    /// Kept: it is asked for at each value, and hashing the long text of a hybrid key takes as long as other steps of sealing.
    fingerprint: Fingerprint,
}

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Hybrid(hybrid::Public),
    X25519(x25519::Public),
}

impl Recipient {
    fn new(public: Public) -> Self {
        let hash = digest::digest(&digest::SHA256, public.to_text().as_bytes());
        let fingerprint = Fingerprint(hash.as_ref().try_into().expect("SHA-256 has 32 bytes"));
        Self { public, fingerprint }
    }

    /// Which kind of key this is.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.public {
            Public::Hybrid(_) => Algorithm::Hybrid,
            Public::X25519(_) => Algorithm::X25519,
        }
    }

    /// SHA-256 of the recipient's text.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Wraps a file key: the arguments of the stanza, and its body.
    pub(crate) fn wrap(&self, file_key: &FileKey) -> (String, Vec<u8>) {
        match &self.public {
            Public::Hybrid(public) => hybrid::wrap(public, file_key),
            Public::X25519(public) => x25519::wrap(public, file_key),
        }
    }
}

impl Public {
    fn to_text(&self) -> String {
        match self {
            Self::Hybrid(public) => to_bech32(hybrid::RECIPIENT_PREFIX, public.as_bytes()),
            Self::X25519(public) => to_bech32(x25519::RECIPIENT_PREFIX, public),
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public.to_text())
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Recipient {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let public = if text.get(..15).is_some_and(|prefix| prefix.eq_ignore_ascii_case("AGE-SECRET-KEY-")) {
            return Err(KeyError::IdentityAsRecipient);
        } else if text.starts_with("age1pq1") {
            hybrid::parse_recipient(text).map(Public::Hybrid)
        } else {
            x25519::parse_recipient(text).map(Public::X25519)
        };
        public.map(Self::new).ok_or(KeyError::Recipient)
    }
}

/// A private key, expanded for use; `Debug` shows the public half only.
pub struct Identity {
    private: Private,
    recipient: Recipient,
}

enum Private {
    Hybrid(Box<hybrid::Private>),
    X25519(Box<x25519::Private>),
}

impl Identity {
    /// Makes a new identity from the system's random bytes.
    #[must_use]
    pub fn generate(algorithm: Algorithm) -> Self {
        Self::from_bytes(algorithm, random())
    }

    fn from_bytes(algorithm: Algorithm, bytes: Zeroizing<[u8; 32]>) -> Self {
        match algorithm {
            Algorithm::Hybrid => {
                let private = Box::new(hybrid::Private::from_bytes(bytes));
                let recipient = Recipient::new(Public::Hybrid(private.public().clone()));
                Self { private: Private::Hybrid(private), recipient }
            }
            Algorithm::X25519 => {
                let private = Box::new(x25519::Private::from_bytes(bytes));
                let recipient = Recipient::new(Public::X25519(*private.public()));
                Self { private: Private::X25519(private), recipient }
            }
        }
    }

    /// The public half.
    #[must_use]
    pub fn recipient(&self) -> &Recipient {
        &self.recipient
    }

    /// The identity's text: a secret.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        match &self.private {
            Private::Hybrid(private) => private.to_text(),
            Private::X25519(private) => private.to_text(),
        }
    }

    /// Unwraps the file key of a stanza; `None` if it is for another key, of the other kind, or was changed.
    #[must_use]
    pub fn unwrap(&self, wrapped: &WrappedKey) -> Option<FileKey> {
        match (&self.private, wrapped) {
            (Private::Hybrid(private), WrappedKey(Wrapped::Hybrid(wrapped))) => private.unwrap(wrapped),
            (Private::X25519(private), WrappedKey(Wrapped::X25519(wrapped))) => private.unwrap(wrapped),
            _ => None,
        }
    }
}

impl FromStr for Identity {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.starts_with("age1") {
            return Err(KeyError::RecipientAsIdentity);
        }
        let (algorithm, prefix) = if text.starts_with(hybrid::IDENTITY_PREFIX) {
            (Algorithm::Hybrid, hybrid::IDENTITY_PREFIX)
        } else {
            (Algorithm::X25519, x25519::IDENTITY_PREFIX)
        };
        let bytes = bech32_exact(prefix, text).ok_or(KeyError::Identity)?;
        Ok(Self::from_bytes(algorithm, bytes))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity(redacted, recipient {})", self.recipient)
    }
}

/// Reads an identity file as `age-keygen` writes it: identities one a line, `#` comments, empty lines; LF or CRLF.
pub fn parse_identity_file(text: &str) -> Result<Vec<Identity>, KeyError> {
    const LIMIT: usize = 64 * 1024;
    if text.len() > LIMIT {
        return Err(KeyError::TooLarge);
    }
    let mut identities = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        identities.push(line.parse().map_err(|error| match error {
            KeyError::RecipientAsIdentity => error,
            _ => KeyError::Line(index + 1),
        })?);
    }
    if identities.is_empty() { Err(KeyError::NoIdentity) } else { Ok(identities) }
}

/// A recipient stanza of a known type, checked for form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey(Wrapped);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wrapped {
    Hybrid(hybrid::Wrapped),
    X25519(x25519::Wrapped),
}

impl WrappedKey {
    /// The kind of key that it is wrapped to.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Wrapped::Hybrid(_) => Algorithm::Hybrid,
            Wrapped::X25519(_) => Algorithm::X25519,
        }
    }

    /// `None` for a stanza of another type; an error for one of ours with a wrong argument count, a wrong length or a low-order share.
    #[expect(clippy::result_unit_err, reason = "the caller knows which stanza it is and says so")]
    pub fn from_stanza(stanza: &Stanza<'_>) -> Result<Option<Self>, ()> {
        let wrapped = match stanza.kind() {
            hybrid::STANZA => hybrid::Wrapped::from_stanza(stanza).map(Wrapped::Hybrid),
            x25519::STANZA => x25519::Wrapped::from_stanza(stanza).map(Wrapped::X25519),
            _ => return Ok(None),
        };
        wrapped.map(|wrapped| Some(Self(wrapped))).ok_or(())
    }
}
