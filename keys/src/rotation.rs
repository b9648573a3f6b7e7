//! The states of keys over time, and when the next key is due. Pure: the clock is an argument.
//!
//! A state that an admin asks for wins; what is left to the controller is decided here.

use bulla_shared::age::{Algorithm, Fingerprint};
use bulla_shared::resources::sealing_key::{KeyAlgorithm, KeyState};
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

    /// The name and kind of the key that is due now. The name follows from the keys, so two controllers cannot make two keys.
    #[must_use]
    pub fn due(&self, all: &[Key], now: Timestamp) -> Vec<(String, KeyAlgorithm)> {
        let kinds = [(Algorithm::Hybrid, KeyAlgorithm::Hybrid), (Algorithm::X25519, KeyAlgorithm::X25519)];
        kinds.into_iter().filter_map(|(algorithm, kind)| Some((self.due_of(algorithm, all, now)?, kind))).collect()
    }

    fn due_of(&self, algorithm: Algorithm, all: &[Key], now: Timestamp) -> Option<String> {
        self.renew_period?;
        match newest_active(algorithm, all, now) {
            Some(newest) if !newest.is_older(self.renew_period, now) => None,
            _ => next_name(algorithm, all),
        }
    }
}

/// The name of the key that follows the newest one of a kind, in whatever state that is; none if there is no key of this kind.
#[must_use]
pub fn next_name(algorithm: Algorithm, all: &[Key]) -> Option<String> {
    let of_kind = all.iter().filter(|key| key.algorithm == algorithm);
    of_kind.max_by_key(|key| (key.created, key.fingerprint)).map(|newest| format!("after-{}", newest.fingerprint.id()))
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
            for (name, kind) in policy.due(&keys, day(now)) {
                assert_eq!(kind, KeyAlgorithm::X25519);
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
        let due = policy(365, 0).due(&restored, day(400));
        assert_eq!(due[0].0, format!("after-{}", restored[1].fingerprint.id()), "the newest in any state names the next");
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
        assert_eq!(policy(365, 0).due(&keys, day(400)).iter().map(|(_, kind)| *kind).collect::<Vec<_>>(), [KeyAlgorithm::X25519]);
    }
}
