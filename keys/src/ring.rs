//! The key ring: private keys expanded once, found by id at once, the newest first, with what each may do.

use std::collections::{BTreeSet, HashMap};

use bulla_shared::age::{Algorithm, Fingerprint, Identity, Recipient};
use bulla_shared::binding::KeyId;
use bulla_shared::sealed::Keys;
use jiff::Timestamp;
use thiserror::Error;

/// One private key, when it was made, and what it may do.
#[derive(Debug)]
struct Key {
    identity: Identity,
    fingerprint: Fingerprint,
    created: Timestamp,
    duty: Duty,
}

/// What a key in the ring may do. A retired key is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Duty {
    /// Opens, and seals if it is the newest.
    Active,
    /// Opens.
    #[default]
    DecryptOnly,
    /// Opens what was sealed up to this time.
    Compromised(Timestamp),
}

/// Private keys by id. Opening costs the same however many there are.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: HashMap<KeyId, Key>,
    /// Keys that are known and not here: retired ones, and those whose private half is missing.
    absent: BTreeSet<KeyId>,
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
    pub fn insert(&mut self, identity: Identity, created: Timestamp, duty: Duty) -> Result<Fingerprint, RingError> {
        let fingerprint = identity.recipient().fingerprint();
        match self.keys.get(&fingerprint.id()) {
            Some(other) if other.fingerprint != fingerprint => return Err(RingError::SameId(fingerprint)),
            Some(_) => {}
            None => {
                self.keys.insert(fingerprint.id(), Key { identity, fingerprint, created, duty });
            }
        }
        Ok(fingerprint)
    }

    /// Remembers a key that is known and not here.
    pub fn insert_absent(&mut self, id: KeyId) {
        self.absent.insert(id);
    }

    /// Whether this is a key of the cluster, here or not.
    #[must_use]
    pub fn knows(&self, id: &KeyId) -> bool {
        self.keys.contains_key(id) || self.absent.contains(id)
    }

    /// The keys that are known and not here.
    #[must_use]
    pub fn absent(&self) -> &BTreeSet<KeyId> {
        &self.absent
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

    /// Which keys there are and what each may do, in order: two rings with one answer do the same.
    #[must_use]
    pub fn duties(&self) -> Vec<(Fingerprint, Duty)> {
        let mut all: Vec<_> = self.keys.values().map(|key| (key.fingerprint, key.duty)).collect();
        all.sort_unstable();
        all
    }

    /// The newest Active key of a kind, if it was not made in the future.
    #[must_use]
    pub fn sealing(&self, algorithm: Algorithm, now: Timestamp) -> Option<&Recipient> {
        let active = self.keys.iter().filter(|(_, key)| key.duty == Duty::Active && key.created <= now);
        let of_kind = active.filter(|(_, key)| key.identity.recipient().algorithm() == algorithm);
        of_kind.max_by_key(|(id, key)| (key.created, **id)).map(|(_, key)| key.identity.recipient())
    }

    /// Records that a key of the ring is in other hands since `at`.
    pub fn compromise(&mut self, id: &KeyId, at: Timestamp) {
        if let Some(key) = self.keys.get_mut(id) {
            key.duty = Duty::Compromised(at);
        }
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
            let _ = ring.insert(identity, created, Duty::DecryptOnly);
        }
        ring
    }
}

impl Keys for KeyRing {
    fn newest(&self, ids: &[KeyId]) -> Option<(usize, &Identity)> {
        let ours = ids.iter().enumerate().filter_map(|(index, id)| Some((index, id, self.keys.get(id)?)));
        ours.max_by_key(|(_, id, key)| (key.created, **id)).map(|(index, _, key)| (index, &key.identity))
    }

    fn compromised_at(&self, id: &KeyId) -> Option<Timestamp> {
        match self.keys.get(id)?.duty {
            Duty::Compromised(at) => Some(at),
            Duty::Active | Duty::DecryptOnly => None,
        }
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
        let ids: Vec<KeyId> = [30, 10, 20]
            .map(|created| ring.insert(Identity::generate(Algorithm::X25519), time(created), Duty::Active).unwrap().id())
            .into();
        let stranger = Identity::generate(Algorithm::X25519).recipient().fingerprint().id();
        let newest = |ids: &[KeyId]| ring.newest(ids).map(|(index, _)| index);
        assert_eq!(newest(&[ids[1], ids[2], ids[0]]), Some(2));
        assert_eq!(newest(&[stranger, ids[2], ids[1]]), Some(1));
        assert_eq!(newest(&[stranger]), None);

        let sealing = |ring: &KeyRing, now| ring.sealing(Algorithm::X25519, time(now)).map(|key| key.fingerprint().id());
        assert_eq!((sealing(&ring, 30), sealing(&ring, 29), sealing(&ring, 9)), (Some(ids[0]), Some(ids[2]), None));
        assert_eq!(ring.sealing(Algorithm::Hybrid, time(30)), None);
        ring.compromise(&ids[0], time(31));
        assert_eq!((sealing(&ring, 30), ring.compromised_at(&ids[0])), (Some(ids[2]), Some(time(31))));
        assert_eq!(ring.newest(&[ids[2], ids[0]]).map(|(index, _)| index), Some(1), "it still opens");
    }

    #[test]
    fn the_same_key_counts_once() {
        let identity = Identity::generate(Algorithm::Hybrid);
        let again = identity.to_text().parse().unwrap();
        let ring: KeyRing = [identity, again].into_iter().collect();
        assert_eq!(ring.len(), 1);
    }
}
