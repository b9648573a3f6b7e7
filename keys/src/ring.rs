//! The key ring: private keys expanded once, found by id at once, the newest first.

use std::collections::HashMap;

use bulla_shared::age::{Fingerprint, Identity};
use bulla_shared::binding::KeyId;
use bulla_shared::sealed::Keys;
use jiff::Timestamp;
use thiserror::Error;

/// One private key and when it was made.
#[derive(Debug)]
struct Key {
    identity: Identity,
    fingerprint: Fingerprint,
    created: Timestamp,
}

/// Private keys by id. Opening costs the same however many there are.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: HashMap<KeyId, Key>,
}

/// Why a key is not taken into the ring.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RingError {
    /// Two different keys with one id: a value could not say which it means.
    #[error("key {0} has the id of another key in the ring")]
    SameId(Fingerprint),
}

impl KeyRing {
    /// Takes a key in; the same key again changes nothing.
    pub fn insert(&mut self, identity: Identity, created: Timestamp) -> Result<Fingerprint, RingError> {
        let fingerprint = identity.recipient().fingerprint();
        match self.keys.get(&fingerprint.id()) {
            Some(other) if other.fingerprint != fingerprint => return Err(RingError::SameId(fingerprint)),
            Some(_) => {}
            None => {
                self.keys.insert(fingerprint.id(), Key { identity, fingerprint, created });
            }
        }
        Ok(fingerprint)
    }

    /// How many keys the ring has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether the ring has no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// All fingerprints, in order.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        let mut all: Vec<_> = self.keys.values().map(|key| key.fingerprint).collect();
        all.sort_unstable();
        all
    }
}

impl FromIterator<Identity> for KeyRing {
    /// A ring of identities without a record of their age: their order stands for it, the last is the newest.
    ///
    /// Of two different keys with one id the first is kept, which cannot happen by accident.
    fn from_iter<I: IntoIterator<Item = Identity>>(identities: I) -> Self {
        let mut ring = Self::default();
        for (second, identity) in (0..).zip(identities) {
            let created = Timestamp::from_second(second).expect("a count of identities is a time");
            let _ = ring.insert(identity, created);
        }
        ring
    }
}

impl Keys for KeyRing {
    fn newest(&self, ids: &[KeyId]) -> Option<(usize, &Identity)> {
        let ours = ids.iter().enumerate().filter_map(|(index, id)| Some((index, id, self.keys.get(id)?)));
        ours.max_by_key(|(_, id, key)| (key.created, **id)).map(|(index, _, key)| (index, &key.identity))
    }
}

#[cfg(test)]
mod tests {
    use bulla_shared::age::Algorithm;

    use super::*;

    #[test]
    fn the_newest_of_the_named_keys_is_chosen() {
        let mut ring = KeyRing::default();
        let time = |second| Timestamp::from_second(second).unwrap();
        let ids: Vec<KeyId> =
            [30, 10, 20].map(|created| ring.insert(Identity::generate(Algorithm::X25519), time(created)).unwrap().id()).into();
        let stranger = Identity::generate(Algorithm::X25519).recipient().fingerprint().id();
        let newest = |ids: &[KeyId]| ring.newest(ids).map(|(index, _)| index);
        assert_eq!(newest(&[ids[1], ids[2], ids[0]]), Some(2));
        assert_eq!(newest(&[stranger, ids[2], ids[1]]), Some(1));
        assert_eq!(newest(&[stranger]), None);
    }

    #[test]
    fn the_same_key_counts_once() {
        let identity = Identity::generate(Algorithm::Hybrid);
        let again = identity.to_text().parse().unwrap();
        let ring: KeyRing = [identity, again].into_iter().collect();
        assert_eq!(ring.len(), 1);
    }
}
