//! A sealed value: one age file with a binding, sealed to recipients, opened at a place, moved to another key.
//!
//! `docs/format.md` is the specification; the order of the checks in [`SealedValue::open`] is part of it.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use aws_lc_rs::digest;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};
use thiserror::Error;

use crate::SecretBytes;
use crate::age::header::{self, Header, HeaderError, Limits, Stanza};
use crate::age::{Algorithm, FileKey, Identity, Recipient, WrappedKey, payload};
use crate::binding::{self, Binding, BindingError, KeyId, MAX_RECIPIENTS, Scope, ScopeMismatch};
use crate::encoding::{base64_padded, to_base64_padded, to_hex};
use crate::names::Place;

/// Longest sealed value, in characters of base64.
pub const MAX_CHARACTERS: usize = 1_500_000;

/// Longest plaintext, in bytes.
pub const MAX_PLAINTEXT: usize = 1024 * 1024;

/// Why a text is not a sealed value, or why it does not open here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealedError {
    /// More characters than [`MAX_CHARACTERS`]; not decoded.
    #[error("the sealed value is longer than {MAX_CHARACTERS} characters")]
    TooLong,
    /// Not canonical base64.
    #[error("the sealed value is not canonical base64 at character {0}")]
    Base64(usize),
    /// The header is malformed.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The first stanza is not a binding.
    #[error("the first stanza is not a {} binding with an empty body", binding::STANZA)]
    NoBinding,
    /// The binding is malformed.
    #[error(transparent)]
    Binding(#[from] BindingError),
    /// A stanza that may not stand there: a second binding, an unknown type, two kinds of recipients.
    #[error("stanza {0} may not stand here")]
    Stanza(usize),
    /// A recipient stanza with a wrong argument count, a wrong length or a low-order share.
    #[error("recipient stanza {0} is malformed")]
    Recipient(usize),
    /// `keys` does not have one id per recipient stanza.
    #[error("the binding names {named} keys for {found} recipient stanzas")]
    KeyCount {
        /// Ids in `keys`.
        named: usize,
        /// Recipient stanzas.
        found: usize,
    },
    /// The payload has a length that no plaintext up to [`MAX_PLAINTEXT`] gives.
    #[error("the payload is cut short, or its plaintext is longer than {MAX_PLAINTEXT} bytes")]
    PayloadLength,
    /// None of the keys that the value names is ours.
    #[error("sealed to key {}, which is not here", Ids(.0))]
    UnknownKey(Vec<KeyId>),
    /// The stanza that names our key does not open with it.
    #[error("the stanza for key {0} does not open with that key")]
    WrongKey(KeyId),
    /// Sealed to a key after that key had got into other hands.
    #[error("sealed to key {0} after it was compromised")]
    Compromised(KeyId),
    /// The header was changed after sealing.
    #[error("the header was changed after sealing: its MAC does not match")]
    Mac,
    /// The value is whole but stands in the wrong place.
    #[error(transparent)]
    Scope(#[from] ScopeMismatch),
    /// The payload was changed after sealing.
    #[error("the payload was changed after sealing")]
    Payload,
}

impl SealedError {
    /// The class of the outcome, as in `docs/format.md` and the test vectors.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::TooLong | Self::PayloadLength => "size",
            Self::Base64(_) => "base64",
            Self::Header(_) => "header",
            Self::NoBinding | Self::Binding(_) => "binding",
            Self::Stanza(_) | Self::Recipient(_) | Self::KeyCount { .. } => "stanza",
            Self::UnknownKey(_) => "unknown-key",
            Self::WrongKey(_) => "wrong-key",
            Self::Mac => "mac",
            Self::Compromised(_) => "compromised",
            Self::Scope(_) => "scope",
            Self::Payload => "payload",
        }
    }
}

struct Ids<'a>(&'a [KeyId]);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever writes the value decides how many there are.
        const SHOWN: usize = 3;
        for (index, id) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{id}", if index == 0 { "" } else { " or " })?;
        }
        if self.0.len() > SHOWN { write!(f, " or {} others", self.0.len() - SHOWN) } else { Ok(()) }
    }
}

/// Why recipients cannot seal one value together, or a value cannot be sealed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// No recipient at all.
    #[error("no recipient")]
    NoRecipient,
    /// More than a header takes.
    #[error("more than {MAX_RECIPIENTS} recipients")]
    TooManyRecipients,
    /// Hybrid and X25519 together would be as weak as X25519.
    #[error("hybrid and x25519 recipients do not mix")]
    MixedRecipients,
    /// Two different recipients with one id.
    #[error("two recipients share the id {0}")]
    SameId(KeyId),
    /// The plaintext is longer than [`MAX_PLAINTEXT`].
    #[error("the value is longer than {MAX_PLAINTEXT} bytes")]
    TooLong,
}

/// Recipients that may seal one value together: 1 to [`MAX_RECIPIENTS`], all of one kind, all ids different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// Takes `recipients` in order, each once.
    pub fn new(recipients: impl IntoIterator<Item = Recipient>) -> Result<Self, SealError> {
        let mut all: Vec<Recipient> = Vec::new();
        for recipient in recipients {
            if all.contains(&recipient) {
                continue;
            }
            if let Some(first) = all.first()
                && first.algorithm() != recipient.algorithm()
            {
                return Err(SealError::MixedRecipients);
            }
            let id = recipient.fingerprint().id();
            if all.iter().any(|other| other.fingerprint().id() == id) {
                return Err(SealError::SameId(id));
            }
            all.push(recipient);
        }
        match all.len() {
            0 => Err(SealError::NoRecipient),
            1..=MAX_RECIPIENTS => Ok(Self(all)),
            _ => Err(SealError::TooManyRecipients),
        }
    }

    /// The recipients in the order of their stanzas.
    pub fn iter(&self) -> impl Iterator<Item = &Recipient> {
        self.0.iter()
    }
}

/// The private keys of whoever opens: a key ring, or the identities of a file.
pub trait Keys {
    /// Of the ids that a value names, the position of the newest that is ours, with its identity.
    fn newest(&self, ids: &[KeyId]) -> Option<(usize, &Identity)>;

    /// Since when this key of ours is in other hands. Values sealed before that open, later ones do not.
    fn compromised_at(&self, id: &KeyId) -> Option<Timestamp> {
        let _ = id;
        None
    }

    /// Whether `id` is ours.
    fn holds(&self, id: &KeyId) -> bool {
        self.newest(std::slice::from_ref(id)).is_some()
    }
}

/// A value that opened.
#[derive(Debug)]
pub struct Opened {
    /// The value.
    pub plaintext: SecretBytes,
    /// The key that opened it.
    pub key: KeyId,
}

/// A sealed value of the right form. Nothing in it is authentic until it is opened.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedValue {
    bytes: Vec<u8>,
    binding: Binding,
    wraps: Vec<(WrappedKey, Range<usize>)>,
    grease: Option<Range<usize>>,
    mac: [u8; 32],
    mac_covers: usize,
    payload: usize,
}

impl SealedValue {
    /// Seals `plaintext` for `scope` to all of `recipients`.
    pub fn seal(
        plaintext: &[u8],
        scope: Scope,
        recipients: &Recipients,
        sealed: Timestamp,
        rotate_by: Option<Date>,
    ) -> Result<Self, SealError> {
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(SealError::TooLong);
        }
        let keys = recipients.iter().map(|recipient| recipient.fingerprint().id()).collect();
        let sealed = sealed.round(Unit::Second).expect("the present is far from both ends of time");
        let binding = Binding { scope, keys, sealed, rotate_by };
        let file_key = FileKey::generate();
        let mut bytes = start(&binding);
        for recipient in recipients.iter() {
            let (args, body) = recipient.wrap(&file_key);
            header::write_stanza(&mut bytes, &args, &body);
        }
        header::write_mac(&mut bytes, |covered| file_key.mac(covered));
        payload::encrypt(&file_key, plaintext, &mut bytes);
        Ok(Self::from_bytes(bytes).expect("what is sealed here has the right form"))
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, SealedError> {
        let header = Header::read(&bytes, Limits::SEALED)?;
        let (first, rest) = header.stanzas.split_first().expect("a header has at least one stanza");
        if first.kind() != binding::STANZA || !first.body.is_empty() {
            return Err(SealedError::NoBinding);
        }
        let binding = Binding::from_args(&first.args[1..])?;
        let (rest, grease) = match rest.split_last() {
            Some((last, rest)) if last.kind().ends_with("-grease") => (rest, Some(last.span.clone())),
            _ => (rest, None),
        };
        let wraps = recipient_stanzas(rest)?;
        if wraps.len() != binding.keys.len() {
            return Err(SealedError::KeyCount { named: binding.keys.len(), found: wraps.len() });
        }
        let (mac, mac_covers, payload) = (header.mac, header.mac_covers, header.payload);
        if payload::decrypted_len(bytes.len() - payload).is_none_or(|length| length > MAX_PLAINTEXT) {
            return Err(SealedError::PayloadLength);
        }
        Ok(Self { bytes, binding, wraps, grease, mac, mac_covers, payload })
    }

    /// What the value says about itself. Whoever did not open it must not rely on it: without a key the MAC is unchecked.
    #[must_use]
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// Which kind of key it is sealed to.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.wraps[0].0.algorithm()
    }

    /// Names this very ciphertext, for people and editors: the first 16 hex digits of its SHA-256.
    #[must_use]
    pub fn digest(&self) -> String {
        to_hex(&digest::digest(&digest::SHA256, &self.bytes).as_ref()[..8])
    }

    /// Length of the plaintext in bytes, which the ciphertext does not hide.
    #[must_use]
    pub fn plaintext_len(&self) -> usize {
        payload::decrypted_len(self.bytes.len() - self.payload).expect("the length was checked when the value was parsed")
    }

    /// Whether this can be `before` after a rewrap, as far as that shows without a key: the same payload, scope and time, due no later,
    /// and the stanza of every recipient that stays as it was.
    #[must_use]
    pub fn is_rewrap_of(&self, before: &Self) -> bool {
        let (now, then) = (&self.binding, &before.binding);
        let due_no_later = then.rotate_by.is_none_or(|then| now.rotate_by.is_some_and(|now| now <= then));
        let mut stanzas = now.keys.iter().zip(&self.wraps);
        self.bytes[self.payload..] == before.bytes[before.payload..]
            && (&now.scope, now.sealed) == (&then.scope, then.sealed)
            && due_no_later
            && stanzas.all(|(id, (_, span))| {
                let old = then.keys.iter().position(|old| old == id);
                old.is_none_or(|index| before.bytes[before.wraps[index].1.clone()] == self.bytes[span.clone()])
            })
    }

    /// Opens the value at `place`. Only the newest key of ours is tried; no other key, no other place.
    pub fn open(&self, place: &Place, keys: &impl Keys) -> Result<Opened, SealedError> {
        let (index, _, file_key) = self.unwrap(keys)?;
        self.binding.scope.check(place)?;
        let plaintext = payload::decrypt(&file_key, &self.bytes[self.payload..]).ok_or(SealedError::Payload)?;
        Ok(Opened { plaintext, key: self.binding.keys[index] })
    }

    /// Replaces our stanza by one for `recipient`, and drops further ones of ours; all else stays byte for byte.
    ///
    /// The payload is authenticated, so that a value which does not open is not passed on as if it did.
    pub fn rewrap(&self, keys: &impl Keys, recipient: &Recipient) -> Result<Self, RewrapError> {
        let (ours, file_key) = self.authentic(keys)?;
        if recipient.algorithm() != self.algorithm() {
            return Err(RewrapError::OtherKind);
        }
        let id = recipient.fingerprint().id();
        let (mut ids, mut stanzas) = (Vec::new(), Vec::new());
        for (index, (old, (_, span))) in self.binding.keys.iter().zip(&self.wraps).enumerate() {
            if index == ours {
                ids.push(id);
                let (args, body) = recipient.wrap(&file_key);
                header::write_stanza(&mut stanzas, &args, &body);
            } else if *old == id {
                return Err(RewrapError::AlreadyRecipient);
            } else if !keys.holds(old) {
                ids.push(*old);
                stanzas.extend_from_slice(&self.bytes[span.clone()]);
            }
        }
        self.with_stanzas(keys, &file_key, ids, &stanzas)
    }

    /// Makes `recipients` the only ones: for whoever holds a private key, where recipients are added, removed or change their kind.
    /// The stanza of one that stays keeps its bytes.
    pub fn rewrap_to(&self, keys: &impl Keys, recipients: &Recipients) -> Result<Self, RewrapError> {
        let (_, file_key) = self.authentic(keys)?;
        let (mut ids, mut stanzas) = (Vec::new(), Vec::new());
        for recipient in recipients.iter() {
            let id = recipient.fingerprint().id();
            ids.push(id);
            if let Some(index) = self.binding.keys.iter().position(|old| *old == id) {
                stanzas.extend_from_slice(&self.bytes[self.wraps[index].1.clone()]);
            } else {
                let (args, body) = recipient.wrap(&file_key);
                header::write_stanza(&mut stanzas, &args, &body);
            }
        }
        self.with_stanzas(keys, &file_key, ids, &stanzas)
    }

    /// The file key, after the payload has been authenticated as well.
    fn authentic(&self, keys: &impl Keys) -> Result<(usize, FileKey), SealedError> {
        let (ours, _, file_key) = self.unwrap(keys)?;
        payload::decrypt(&file_key, &self.bytes[self.payload..]).ok_or(SealedError::Payload)?;
        Ok((ours, file_key))
    }

    /// The same value under other recipient stanzas. One that leaves a compromised key is due for rotation since that day: whoever has
    /// the key has the value, under whatever key it stands now.
    fn with_stanzas(&self, keys: &impl Keys, file_key: &FileKey, ids: Vec<KeyId>, stanzas: &[u8]) -> Result<Self, RewrapError> {
        let compromised = self.binding.keys.iter().filter_map(|id| keys.compromised_at(id));
        let due = compromised.map(|at| at.to_zoned(TimeZone::UTC).date()).chain(self.binding.rotate_by).min();
        let binding = Binding { keys: ids, rotate_by: due, ..self.binding.clone() };
        let mut bytes = start(&binding);
        bytes.extend_from_slice(stanzas);
        bytes.extend_from_slice(self.grease.clone().map_or(&[], |span| &self.bytes[span]));
        header::write_mac(&mut bytes, |covered| file_key.mac(covered));
        bytes.extend_from_slice(&self.bytes[self.payload..]);
        Ok(Self::from_bytes(bytes)?)
    }

    /// The file key by the newest key of ours, with the header authenticated under it.
    fn unwrap<'k>(&self, keys: &'k impl Keys) -> Result<(usize, &'k Identity, FileKey), SealedError> {
        let ids = &self.binding.keys;
        let (index, identity) = keys.newest(ids).ok_or_else(|| SealedError::UnknownKey(ids.clone()))?;
        let file_key = identity.unwrap(&self.wraps[index].0).ok_or(SealedError::WrongKey(ids[index]))?;
        if !file_key.verify_mac(&self.bytes[..self.mac_covers], &self.mac) {
            return Err(SealedError::Mac);
        }
        if keys.compromised_at(&ids[index]).is_some_and(|at| self.binding.sealed > at) {
            return Err(SealedError::Compromised(ids[index]));
        }
        Ok((index, identity, file_key))
    }
}

/// Why a value cannot be moved to another key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RewrapError {
    /// The value does not open, or the new form would be refused.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The new recipient is of the other kind.
    #[error("hybrid and x25519 recipients do not mix")]
    OtherKind,
    /// The new recipient already has another stanza in this value.
    #[error("the value is sealed to this recipient already")]
    AlreadyRecipient,
}

fn start(binding: &Binding) -> Vec<u8> {
    let mut bytes = header::INTRO.as_bytes().to_vec();
    header::write_stanza(&mut bytes, &format!("{} {binding}", binding::STANZA), &[]);
    bytes
}

/// All of `stanzas` as recipient stanzas of the first one's kind; positions in errors count from 1 and include the binding.
fn recipient_stanzas(stanzas: &[Stanza<'_>]) -> Result<Vec<(WrappedKey, Range<usize>)>, SealedError> {
    let mut wraps = Vec::with_capacity(stanzas.len());
    for (position, stanza) in (2..).zip(stanzas) {
        match WrappedKey::from_stanza(stanza).map_err(|()| SealedError::Recipient(position))? {
            Some(wrapped) if stanza.kind() == stanzas[0].kind() => wraps.push((wrapped, stanza.span.clone())),
            _ => return Err(SealedError::Stanza(position)),
        }
    }
    Ok(wraps)
}

impl FromStr for SealedValue {
    type Err = SealedError;

    /// Reads the text of an item of `spec.encryptedData`.
    fn from_str(text: &str) -> Result<Self, SealedError> {
        if text.len() > MAX_CHARACTERS {
            return Err(SealedError::TooLong);
        }
        Self::from_bytes(base64_padded(text).map_err(SealedError::Base64)?)
    }
}

impl fmt::Display for SealedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base64_padded(&self.bytes))
    }
}

impl fmt::Debug for SealedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedValue({})", self.binding)
    }
}

#[cfg(test)]
mod tests;
