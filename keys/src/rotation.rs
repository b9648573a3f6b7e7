//! The states of keys over time, and when the next key is due. Pure: the clock is an argument.
//!
//! A state that an admin asks for wins; what is left to the controller is decided here.

use std::collections::BTreeSet;

use bulla_shared::age::{Algorithm, Fingerprint};
use bulla_shared::binding::KeyId;
use bulla_shared::resources::sealing_key::KeyState;
use jiff::{SignedDuration, Timestamp};

/// When keys change by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Age of the newest Active key at which another one is made; none: never.
    pub renew_period: Option<SignedDuration>,
    /// Age at which a key that is not the newest Active one turns `DecryptOnly`; none: never.
    pub decrypt_only_after: Option<SignedDuration>,
}

/// A key whose private half is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Full SHA-256 of its recipient.
    pub fingerprint: Fingerprint,
    /// Its kind.
    pub algorithm: Algorithm,
    /// When it was made.
    pub created: Timestamp,
    /// What an admin asks of it; `DecryptOnly` for one without a `SealingKey`.
    pub asked: Option<KeyState>,
}

impl Key {
    fn may_be_active(&self) -> bool {
        matches!(self.asked, None | Some(KeyState::Active))
    }

    fn is_older(&self, age: Option<SignedDuration>, now: Timestamp) -> bool {
        age.is_some_and(|age| now.duration_since(self.created) >= age)
    }
}

impl Policy {
    /// The state in effect. The newest key that may be Active is, however old: there is never a gap.
    #[must_use]
    pub fn state(&self, key: &Key, all: &[Key], now: Timestamp) -> KeyState {
        match key.asked {
            Some(asked) => asked,
            None if key.is_older(self.decrypt_only_after, now) && !is_newest_active(key, all, now) => KeyState::DecryptOnly,
            None => KeyState::Active,
        }
    }

    /// The kinds of which a key is due now. What it is called says [`next_name`].
    #[must_use]
    pub fn due(&self, all: &[Key], now: Timestamp) -> Vec<Algorithm> {
        let kinds =
            [Algorithm::Hybrid, Algorithm::X25519].into_iter().filter(|kind| all.iter().any(|key| key.algorithm == *kind));
        let is_due =
            |kind: &Algorithm| newest_active(*kind, all, now).is_none_or(|newest| newest.is_older(self.renew_period, now));
        if self.renew_period.is_some() { kinds.filter(is_due).collect() } else { Vec::new() }
    }
}

/// Who has a name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// A `SealingKey` whose private key is still to be made.
    Pending,
    /// The key of this id.
    Key(KeyId),
}

/// The name of the key that follows the newest one of a kind, in whatever state that is. It follows from the keys, so two controllers
/// cannot make two. Where another key has the name, the one that follows that; none where there is no key of the kind, or one is pending.
#[must_use]
pub fn next_name(algorithm: Algorithm, all: &[Key], holder: impl Fn(&str) -> Holder) -> Option<String> {
    let of_kind = all.iter().filter(|key| key.algorithm == algorithm);
    let mut id = of_kind.max_by_key(|key| (key.created, key.fingerprint))?.fingerprint.id();
    // A chain that closes has no end; it cannot be longer than there are names.
    let mut passed = BTreeSet::new();
    while passed.insert(id) {
        let name = format!("after-{id}");
        match holder(&name) {
            Holder::Nobody => return Some(name),
            Holder::Pending => return None,
            Holder::Key(next) => id = next,
        }
    }
    None
}

fn newest_active(algorithm: Algorithm, all: &[Key], now: Timestamp) -> Option<&Key> {
    let usable = all.iter().filter(|key| key.algorithm == algorithm && key.may_be_active() && key.created <= now);
    usable.max_by_key(|key| (key.created, key.fingerprint))
}

fn is_newest_active(key: &Key, all: &[Key], now: Timestamp) -> bool {
    newest_active(key.algorithm, all, now).is_none_or(|newest| newest.fingerprint == key.fingerprint)
}

#[cfg(test)]
mod tests {
    use bulla_shared::age::Identity;

    use super::*;

    const DAY: i64 = 24 * 60 * 60;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + day * DAY).unwrap()
    }

    fn key(created: i64, asked: Option<KeyState>) -> Key {
        let fingerprint = Identity::generate(Algorithm::X25519).recipient().fingerprint();
        Key { fingerprint, algorithm: Algorithm::X25519, created: day(created), asked }
    }

    fn policy(renew: i64, decrypt_only: i64) -> Policy {
        let days = |days: i64| Some(SignedDuration::from_secs(days * DAY)).filter(|_| days > 0);
        Policy { renew_period: days(renew), decrypt_only_after: days(decrypt_only) }
    }

    #[test]
    fn ten_years_of_rotation_without_a_gap() {
        let policy = policy(365, 400);
        let mut keys = vec![key(0, None)];
        for now in 0..3650 {
            // A controller that is away for a month in each year: nothing is missed, nothing is made twice.
            if now % 365 > 330 {
                continue;
            }
            for kind in policy.due(&keys, day(now)) {
                assert_eq!(kind, Algorithm::X25519);
                let name = next_name(kind, &keys, |_| Holder::Nobody).unwrap();
                assert_eq!(name, format!("after-{}", keys.last().unwrap().fingerprint.id()));
                keys.push(key(now, None));
            }
            let active = keys.iter().filter(|key| policy.state(key, &keys, day(now)) == KeyState::Active).count();
            assert!((1..=2).contains(&active), "{active} Active keys on day {now}");
            assert_eq!(policy.due(&keys, day(now)), [], "once is enough");
        }
        assert_eq!(keys.len(), 10);
    }

    #[test]
    fn a_key_added_by_hand_counts() {
        let keys = [key(0, None), key(300, Some(KeyState::Active))];
        assert_eq!(policy(365, 0).due(&keys, day(400)), []);
        assert_eq!(policy(365, 0).due(&keys, day(665)).len(), 1);
        let restored = [key(0, None), key(300, Some(KeyState::DecryptOnly))];
        assert_eq!(policy(365, 0).due(&restored, day(400)).len(), 1);
        let ids = restored.each_ref().map(|key| key.fingerprint.id());
        let next = |holder: &dyn Fn(&str) -> Holder| next_name(Algorithm::X25519, &restored, holder);
        let after = |id| Some(format!("after-{id}"));
        assert_eq!(next(&|_| Holder::Nobody), after(ids[1]), "the newest in any state names the next");
        assert_eq!(next(&|_| Holder::Pending), None);
        let other = key(9, None).fingerprint.id();
        let taken = |name: &str| if name.ends_with(&ids[1].to_string()) { Holder::Key(other) } else { Holder::Nobody };
        assert_eq!(next(&taken), after(other), "a name that is taken stops nothing");
        assert_eq!(next(&|_| Holder::Key(other)), None, "a chain that closes ends");
    }

    #[test]
    fn without_a_policy_nothing_happens_and_without_a_key_neither() {
        assert_eq!(policy(0, 0).due(&[key(0, None)], day(100_000)), []);
        assert_eq!(policy(1, 0).due(&[], day(0)), []);
        assert_eq!(policy(0, 0).state(&key(0, None), &[], day(100_000)), KeyState::Active);
    }

    #[test]
    fn the_last_active_key_stays_active_and_what_is_asked_wins() {
        let policy = policy(0, 10);
        let old = key(0, None);
        assert_eq!(policy.state(&old, std::slice::from_ref(&old), day(100)), KeyState::Active);
        let kept = key(1, Some(KeyState::Active));
        let all = [old.clone(), kept.clone()];
        assert_eq!(policy.state(&old, &all, day(100)), KeyState::DecryptOnly);
        assert_eq!(policy.state(&kept, &all, day(100)), KeyState::Active);
        let compromised = [old.clone(), key(5, Some(KeyState::Compromised))];
        assert_eq!(policy.state(&old, &compromised, day(100)), KeyState::Active, "nothing else may seal");
    }

    #[test]
    fn a_clock_that_jumps_back_makes_one_key_at_most() {
        let policy = policy(365, 0);
        let mut keys = vec![key(0, None), key(400, None)];
        assert_eq!(policy.due(&keys, day(390)).len(), 1, "the newest lies in the future, the other is too old");
        keys.push(key(390, None));
        assert_eq!(policy.due(&keys, day(391)), []);
        assert_eq!(policy.due(&keys, day(500)), []);
    }

    #[test]
    fn kinds_are_apart() {
        let hybrid = Key { algorithm: Algorithm::Hybrid, ..key(390, None) };
        let keys = [key(0, None), hybrid];
        assert_eq!(policy(365, 0).due(&keys, day(400)), [Algorithm::X25519]);
    }
}
