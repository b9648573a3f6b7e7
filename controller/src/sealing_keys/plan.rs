//! What to do about sealing keys: a pure function of the `SealingKey`s, the public halves of what is stored, the policy and the clock.
//!
//! The private half is stored before anything is published, so a crash between two steps loses no key.

use bulla_keys::ring::Duty;
use bulla_keys::rotation::{self, Policy};
use bulla_keys::stored::Record;
use bulla_shared::age::{Algorithm, Fingerprint};
use bulla_shared::binding::time_text;
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::sealing_key::{KeyAlgorithm, KeyState, SealingKey, SealingKeyStatus};
use jiff::Timestamp;

/// Name of the key that is made where there is none at all. Fixed, and created only: two controllers cannot make two.
pub const FIRST_KEY: &str = "initial";

/// Everything that is decided on.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// All `SealingKey`s.
    pub keys: &'a [SealingKey],
    /// What is stored and can be used.
    pub stored: &'a [Record],
    /// Names of labelled Secrets that are no private key.
    pub malformed: &'a [String],
    /// Whether private keys are generated.
    pub generate: bool,
    /// When keys change by themselves.
    pub policy: Policy,
    /// The time.
    pub now: Timestamp,
}

/// One step towards every `SealingKey` having its private half stored and its public half published.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Create a `SealingKey`: the first one, or the next by schedule.
    Create {
        /// Its name.
        name: String,
        /// Kind of the key.
        algorithm: KeyAlgorithm,
    },
    /// Generate and store the private half for the `SealingKey` of this UID.
    Generate {
        /// UID of the `SealingKey`, and name of the Secret.
        uid: String,
        /// Kind of the key.
        algorithm: Algorithm,
    },
    /// Write this status.
    Publish {
        /// Name of the `SealingKey`.
        name: String,
        /// The version that was seen.
        resource_version: Option<String>,
        /// Its new status.
        status: Box<SealingKeyStatus>,
    },
}

impl View<'_> {
    /// Decides all steps.
    #[must_use]
    pub fn plan(&self) -> Vec<Action> {
        let nothing_there = self.keys.is_empty() && self.stored.is_empty() && self.malformed.is_empty();
        if nothing_there && self.generate {
            return vec![Action::Create { name: FIRST_KEY.to_owned(), algorithm: KeyAlgorithm::default() }];
        }
        let alive = self.keys.iter().filter(|key| key.metadata.deletion_timestamp.is_none());
        let all = self.rotation_keys();
        alive.filter_map(|key| self.step(key, &all)).chain(self.next_keys(&all)).collect()
    }

    /// The keys that are due by schedule, unless one of the kind is on its way already.
    fn next_keys(&self, all: &[rotation::Key]) -> impl Iterator<Item = Action> {
        let due = if self.generate { self.policy.due(all, self.now) } else { Vec::new() };
        let wanted = due.into_iter().filter(|(name, algorithm)| {
            !self.keys.iter().any(|key| {
                let pending = self.find(key).is_none() && named(key).is_none() && key.spec.state != Some(KeyState::Retired);
                key.metadata.name.as_ref() == Some(name) || (pending && key.spec.algorithm == *algorithm)
            })
        });
        wanted.map(|(name, algorithm)| Action::Create { name, algorithm }).collect::<Vec<_>>().into_iter()
    }

    fn step(&self, key: &SealingKey, all: &[rotation::Key]) -> Option<Action> {
        let uid = key.metadata.uid.clone().unwrap_or_default();
        let found = self.find(key);
        let settled = named(key).is_some();
        let malformed = self.malformed.contains(&uid);
        if found.is_none() && !settled && !malformed && self.generate && key.spec.state != Some(KeyState::Retired) {
            return Some(Action::Generate { uid, algorithm: key.spec.algorithm.into() });
        }
        let before = key.status.clone().unwrap_or_default();
        let generation = key.metadata.generation.unwrap_or_default();
        let condition = |type_: &str, status: bool, reason: &str, message: &str| {
            Condition::new(&before.conditions, type_, status, (reason, message), generation, self.now)
        };
        let mut status = SealingKeyStatus { observed_generation: Some(generation), ..before.clone() };
        match found {
            Some(found) if self.speaks_for(key, found) => {
                let state = self.state_of(&found.fingerprint, all);
                if before.state != Some(state) {
                    status.since = Some(time_text(&self.now));
                }
                if state == KeyState::Compromised && key.spec.compromised_at.is_some() {
                    status.since = key.spec.compromised_at.clone();
                }
                status.state = Some(state);
                status.recipient = Some(found.recipient.to_string());
                status.fingerprint = Some(found.fingerprint.to_string());
                status.created = Some(time_text(&found.created));
                status.conditions = vec![condition("Ready", true, "Ready", "the private key is stored")];
            }
            found => {
                let (reason, message) = if found.is_some() {
                    ("Duplicate", "an older SealingKey stands for this private key; this one has no effect")
                } else if malformed {
                    ("KeyMalformed", "the Secret that should hold the private key holds none; restore it from a backup")
                } else if settled {
                    ("KeyMissing", "the private key is not in the controller's namespace; restore it from a backup")
                } else {
                    ("GenerationDisabled", "the controller does not generate this key (--generate-keys=false, or state Retired)")
                };
                // Without a state nobody seals to it.
                (status.state, status.since, status.recipient) = (None, None, None);
                status.conditions = vec![condition("Ready", false, reason, message), condition("Stalled", true, reason, message)];
            }
        }
        let name = key.metadata.name.clone().unwrap_or_default();
        let resource_version = key.metadata.resource_version.clone();
        (status != before).then(|| Action::Publish { name, resource_version, status: Box::new(status) })
    }

    /// What each stored key may do; a retired one is not loaded at all.
    #[must_use]
    pub fn duties(&self) -> Vec<(Fingerprint, Option<Duty>)> {
        let all = self.rotation_keys();
        let duty = |record: &Record| match self.state_of(&record.fingerprint, &all) {
            KeyState::Active => Some(Duty::Active),
            KeyState::DecryptOnly => Some(Duty::DecryptOnly),
            KeyState::Retired => None,
            KeyState::Compromised => Some(Duty::Compromised(self.compromised_at(record))),
        };
        self.stored.iter().map(|record| (record.fingerprint, duty(record))).collect()
    }

    fn compromised_at(&self, record: &Record) -> Timestamp {
        let at = self.spokesman(record).and_then(|key| key.spec.compromised_at.as_ref()?.parse().ok());
        // The schema asks for the time. Without it nothing stops opening.
        at.unwrap_or(Timestamp::MAX)
    }

    fn state_of(&self, fingerprint: &Fingerprint, all: &[rotation::Key]) -> KeyState {
        let key = all.iter().find(|key| key.fingerprint == *fingerprint);
        key.map_or(KeyState::DecryptOnly, |key| self.policy.state(key, all, self.now))
    }

    fn rotation_keys(&self) -> Vec<rotation::Key> {
        let key = |record: &Record| rotation::Key {
            fingerprint: record.fingerprint,
            algorithm: record.recipient.algorithm(),
            created: record.created,
            // Whoever may put a Secret there must not decide what people seal to: only a SealingKey does.
            asked: self.spokesman(record).map_or(Some(KeyState::DecryptOnly), |key| key.spec.state),
        };
        self.stored.iter().map(key).collect()
    }

    fn find(&self, key: &SealingKey) -> Option<&Record> {
        match named(key) {
            Some(fingerprint) => self.stored.iter().find(|stored| stored.fingerprint.to_string() == *fingerprint),
            None => self.stored.iter().find(|stored| Some(&stored.secret) == key.metadata.uid.as_ref()),
        }
    }

    /// The oldest `SealingKey` of a stored key: whoever may create a SealingKey must not change what another one says.
    fn spokesman(&self, record: &Record) -> Option<&SealingKey> {
        let of_it = self.keys.iter().filter(|key| self.find(key).is_some_and(|found| found.fingerprint == record.fingerprint));
        of_it.min_by_key(|key| (key.metadata.creation_timestamp.as_ref().map(|time| time.0), key.metadata.name.clone()))
    }

    fn speaks_for(&self, key: &SealingKey, record: &Record) -> bool {
        self.spokesman(record).is_some_and(|spokesman| spokesman.metadata.name == key.metadata.name)
    }
}

/// The fingerprint that a `SealingKey` has to have, if it is settled.
fn named(key: &SealingKey) -> Option<&String> {
    key.spec.fingerprint.as_ref().or_else(|| key.status.as_ref()?.fingerprint.as_ref())
}

#[cfg(test)]
mod tests {
    use bulla_shared::age::Identity;
    use bulla_shared::resources::sealing_key::SealingKeySpec;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T06:50:00Z".parse().unwrap()
    }

    fn view<'a>(keys: &'a [SealingKey], stored: &'a [Record]) -> View<'a> {
        View { keys, stored, malformed: &[], generate: true, policy: Policy::default(), now: now() }
    }

    fn key(uid: &str, change: impl FnOnce(&mut SealingKey)) -> SealingKey {
        let mut key = SealingKey::new(uid, SealingKeySpec::default());
        key.metadata.uid = Some(uid.to_owned());
        change(&mut key);
        key
    }

    fn stored(secret: &str) -> Record {
        let recipient = Identity::generate(Algorithm::Hybrid).recipient().clone();
        Record { secret: secret.to_owned(), fingerprint: recipient.fingerprint(), recipient, created: now() }
    }

    fn published(action: &Action) -> &SealingKeyStatus {
        match action {
            Action::Publish { status, .. } => status,
            other => panic!("{other:?}"),
        }
    }

    fn create(name: &str) -> Action {
        Action::Create { name: name.to_owned(), algorithm: KeyAlgorithm::Hybrid }
    }

    #[test]
    fn from_nothing_to_a_published_key_in_three_steps() {
        assert_eq!(view(&[], &[]).plan(), [create("initial")]);
        let first = [key("u1", |_| ())];
        assert_eq!(view(&first, &[]).plan(), [Action::Generate { uid: "u1".to_owned(), algorithm: Algorithm::Hybrid }]);
        let stored = [stored("u1")];
        let actions = view(&first, &stored).plan();
        let status = published(&actions[0]);
        assert_eq!((status.state, status.conditions[0].status.as_str()), (Some(KeyState::Active), "True"));
        assert_eq!(status.recipient, Some(stored[0].recipient.to_string()));
        assert_eq!(status.since.as_deref(), Some("2026-11-23T06:50:00Z"));
        let done = [key("u1", |key| key.status = Some(status.clone()))];
        assert_eq!(view(&done, &stored).plan(), []);
    }

    #[test]
    fn no_key_is_made_where_one_is_or_may_be_restored() {
        assert_eq!(view(&[], &[stored("other")]).plan(), [], "a private key without its SealingKey");
        let malformed = ["broken".to_owned()];
        assert_eq!(View { malformed: &malformed, ..view(&[], &[]) }.plan(), [], "a private key that cannot be read");
        assert_eq!(View { generate: false, ..view(&[], &[]) }.plan(), []);
        let reason = |actions: &[Action]| published(&actions[0]).conditions[0].reason.clone();
        let new = [key("u1", |_| ())];
        assert_eq!(reason(&View { generate: false, ..view(&new, &[]) }.plan()), "GenerationDisabled");
        let named = [key("u1", |key| key.spec.fingerprint = Some("0".repeat(64)))];
        assert_eq!(reason(&view(&named, &[]).plan()), "KeyMissing");
        let broken = ["u1".to_owned()];
        assert_eq!(reason(&View { malformed: &broken, ..view(&new, &[]) }.plan()), "KeyMalformed");
    }

    #[test]
    fn a_published_key_that_is_gone_is_missing_not_made_anew() {
        let status = SealingKeyStatus {
            fingerprint: Some("0".repeat(64)),
            recipient: Some("age1…".to_owned()),
            state: Some(KeyState::Active),
            ..SealingKeyStatus::default()
        };
        let keys = [key("u1", |key| key.status = Some(status))];
        let actions = view(&keys, &[]).plan();
        let status = published(&actions[0]);
        assert_eq!((status.state, &status.recipient, status.conditions[1].r#type.as_str()), (None, &None, "Stalled"));
        assert_eq!(status.fingerprint, Some("0".repeat(64)), "what is missing stays said");
    }

    #[test]
    fn a_second_sealing_key_for_the_same_private_key_has_no_effect() {
        let stored = [stored("u1")];
        let at = |time: &str| Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time.parse().unwrap()));
        let first = key("u1", |key| key.metadata.creation_timestamp = at("2026-01-01T00:00:00Z"));
        let second = key("evil", |key| {
            key.metadata.creation_timestamp = at("2026-02-01T00:00:00Z");
            key.spec.fingerprint = Some(stored[0].fingerprint.to_string());
            key.spec.state = Some(KeyState::Retired);
        });
        let keys = [first, second];
        let view = view(&keys, &stored);
        let actions = view.plan();
        assert_eq!((published(&actions[0]).state, published(&actions[1]).state), (Some(KeyState::Active), None));
        assert_eq!(published(&actions[1]).conditions[0].reason, "Duplicate");
        assert_eq!(view.duties(), [(stored[0].fingerprint, Some(Duty::Active))]);
    }

    #[test]
    fn what_each_key_may_do() {
        let all: Vec<Record> = ["u1", "u2", "u3", "nobodys"].map(stored).into();
        let keys = [
            key("u1", |_| ()),
            key("u2", |key| key.spec.state = Some(KeyState::Retired)),
            key("u3", |key| {
                key.spec.state = Some(KeyState::Compromised);
                key.spec.compromised_at = Some("2026-10-01T00:00:00Z".to_owned());
            }),
        ];
        let view = view(&keys, &all);
        let duties: Vec<_> = view.duties().into_iter().map(|(_, duty)| duty).collect();
        let compromised = Duty::Compromised("2026-10-01T00:00:00Z".parse().unwrap());
        assert_eq!(duties, [Some(Duty::Active), None, Some(compromised), Some(Duty::DecryptOnly)]);
        let actions = view.plan();
        let since: Vec<_> = actions.iter().map(|action| published(action).since.clone().unwrap()).collect();
        assert_eq!(since, ["2026-11-23T06:50:00Z", "2026-11-23T06:50:00Z", "2026-10-01T00:00:00Z"]);
    }

    #[test]
    fn a_key_that_is_due_is_made_once() {
        let old = Record { created: "2025-01-01T00:00:00Z".parse().unwrap(), ..stored("u1") };
        let stored = [old];
        let yearly = Policy { renew_period: Some(jiff::SignedDuration::from_hours(24 * 365)), decrypt_only_after: None };
        let creates = |keys: &[SealingKey], generate| {
            let view = View { policy: yearly, generate, ..view(keys, &stored) };
            view.plan().into_iter().filter(|action| matches!(action, Action::Create { .. })).collect::<Vec<_>>()
        };
        let next = format!("after-{}", stored[0].fingerprint.id());
        let mut keys = vec![key("u1", |_| ())];
        assert_eq!(creates(&keys, true), [create(&next)]);
        assert_eq!(creates(&keys, false), []);
        keys.push(key("by-hand", |_| ()));
        assert_eq!(creates(&keys, true), [], "one is on its way");
        keys[1] = key(&next, |key| key.spec.fingerprint = Some("0".repeat(64)));
        assert_eq!(creates(&keys, true), [], "it is there already");
    }
}
