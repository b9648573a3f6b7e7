//! What to do about sealing keys: a pure function of the `SealingKey`s, the public halves of what is stored, the policy and the clock.
//!
//! The private half is stored before anything is published, so a crash between two steps loses no key.

use std::collections::HashMap;

use bulla_keys::ring::Duty;
use bulla_keys::rotation::{self, Holder, Policy, next_name};
use bulla_keys::stored::Record;
use bulla_shared::age::{Algorithm, Fingerprint};
use bulla_shared::binding::time_text;
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::sealing_key::{KeyAlgorithm, KeyState, SealingKey, SealingKeyStatus};
use jiff::Timestamp;

use crate::status::KEY_MISSING;

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
    /// The namespace in which this is stored.
    pub namespace: &'a str,
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

/// The namespace in which the private half of this key was stored when it was published.
#[must_use]
pub fn home(key: &SealingKey) -> Option<&str> {
    key.status.as_ref()?.namespace.as_deref()
}

/// The key that says that another installation than the one in `namespace` has the keys.
///
/// The oldest that says anything decides: of two installations that publish at the same moment, both see the same one stand aside.
#[must_use]
pub fn elsewhere<'a>(keys: &'a [SealingKey], namespace: &str) -> Option<&'a SealingKey> {
    keys.iter().filter(|key| home(key).is_some()).min_by_key(|key| age(key)).filter(|key| home(key) != Some(namespace))
}

fn age(key: &SealingKey) -> (Option<Timestamp>, Option<String>) {
    (key.metadata.creation_timestamp.as_ref().map(|time| time.0), key.metadata.name.clone())
}

/// A view with what is looked up in it: there may be thousands of keys.
struct Look<'a> {
    view: &'a View<'a>,
    by_fingerprint: HashMap<String, &'a Record>,
    by_secret: HashMap<&'a str, &'a Record>,
    /// The `SealingKey` that stands for each stored key.
    spokesmen: HashMap<Fingerprint, &'a SealingKey>,
    all: Vec<rotation::Key>,
}

impl View<'_> {
    /// Decides all steps.
    #[must_use]
    pub fn plan(&self) -> Vec<Action> {
        let nothing_there = self.keys.is_empty() && self.stored.is_empty() && self.malformed.is_empty();
        if nothing_there && self.generate {
            return vec![Action::Create { name: FIRST_KEY.to_owned(), algorithm: KeyAlgorithm::default() }];
        }
        let look = Look::new(self);
        let alive = self.keys.iter().filter(|key| key.metadata.deletion_timestamp.is_none());
        alive.filter_map(|key| look.step(key)).chain(look.next_keys()).collect()
    }

    /// What each stored key may do; a retired one is not loaded at all.
    #[must_use]
    pub fn duties(&self) -> Vec<(Fingerprint, Option<Duty>)> {
        let look = Look::new(self);
        let duty = |record: &Record| match look.state_of(&record.fingerprint) {
            KeyState::Active => Some(Duty::Active),
            KeyState::DecryptOnly => Some(Duty::DecryptOnly),
            KeyState::Retired => None,
            KeyState::Compromised => Some(Duty::Compromised(look.compromised_at(record))),
        };
        self.stored.iter().map(|record| (record.fingerprint, duty(record))).collect()
    }
}

impl<'a> Look<'a> {
    fn new(view: &'a View<'a>) -> Self {
        let by_fingerprint = view.stored.iter().map(|record| (record.fingerprint.to_string(), record)).collect();
        let by_secret = view.stored.iter().map(|record| (record.secret.as_str(), record)).collect();
        let mut look = Self { view, by_fingerprint, by_secret, spokesmen: HashMap::new(), all: Vec::new() };
        // The oldest: whoever may create a SealingKey must not change what another one says.
        let mut keys: Vec<_> = view.keys.iter().collect();
        keys.sort_by_cached_key(|key| age(key));
        for key in keys {
            if let Some(found) = look.find(key) {
                look.spokesmen.entry(found.fingerprint).or_insert(key);
            }
        }
        look.all = view.stored.iter().map(|record| look.rotation_key(record)).collect();
        look
    }

    /// The keys that are due by schedule, unless one of the kind is on its way already.
    fn next_keys(&self) -> Vec<Action> {
        let View { keys, generate, policy, now, .. } = self.view;
        let due = if *generate { policy.due(&self.all, *now) } else { Vec::new() };
        let is_pending =
            |key: &SealingKey| self.find(key).is_none() && key.named().is_none() && key.spec.state != Some(KeyState::Retired);
        let holder = |name: &str| match keys.iter().find(|key| key.metadata.name.as_deref() == Some(name)) {
            None => Holder::Nobody,
            Some(key) => match key.named().and_then(|text| text.parse::<Fingerprint>().ok()) {
                Some(fingerprint) => Holder::Key(fingerprint.id()),
                None => Holder::Pending,
            },
        };
        let action = |algorithm: Algorithm| {
            let kind = KeyAlgorithm::from(algorithm);
            if keys.iter().any(|key| key.spec.algorithm == kind && is_pending(key)) {
                return None;
            }
            Some(Action::Create { name: next_name(algorithm, &self.all, holder)?, algorithm: kind })
        };
        due.into_iter().filter_map(action).collect()
    }

    fn step(&self, key: &SealingKey) -> Option<Action> {
        let uid = key.metadata.uid.clone().unwrap_or_default();
        let found = self.find(key);
        let settled = key.named().is_some();
        let malformed = self.view.malformed.contains(&uid);
        if found.is_none() && !settled && !malformed && self.view.generate && key.spec.state != Some(KeyState::Retired) {
            return Some(Action::Generate { uid, algorithm: key.spec.algorithm.into() });
        }
        let before = key.status.clone().unwrap_or_default();
        let generation = key.metadata.generation.unwrap_or_default();
        let condition = |type_: &str, status: bool, reason: &str, message: &str| {
            Condition::new(&before.conditions, type_, status, (reason, message), generation, self.view.now)
        };
        let mut status = SealingKeyStatus { observed_generation: Some(generation), ..before.clone() };
        match found {
            Some(found) if self.speaks_for(key, found) => {
                let state = self.state_of(&found.fingerprint);
                if before.state != Some(state) {
                    status.since = Some(time_text(&self.view.now));
                }
                if state == KeyState::Compromised && key.spec.compromised_at.is_some() {
                    status.since.clone_from(&key.spec.compromised_at);
                }
                status.state = Some(state);
                status.recipient = Some(found.recipient.to_string());
                status.fingerprint = Some(found.fingerprint.to_string());
                status.created = Some(time_text(&found.created));
                status.namespace = Some(self.view.namespace.to_owned());
                status.conditions = vec![condition("Ready", true, "Ready", "the private key is stored")];
            }
            found => {
                let (reason, message) = if found.is_some() {
                    ("Duplicate", "an older SealingKey stands for this private key; this one has no effect")
                } else if malformed {
                    ("KeyMalformed", "the Secret that should hold the private key holds none; restore it from a backup")
                } else if settled && key.spec.state == Some(KeyState::Retired) {
                    ("Destroyed", "this key was retired, and its private key is gone; the SealingKey may go too")
                } else if settled {
                    (KEY_MISSING, "the private key is not in the controller's namespace; restore it from a backup")
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

    fn compromised_at(&self, record: &Record) -> Timestamp {
        let at = self.spokesmen.get(&record.fingerprint).and_then(|key| key.spec.compromised_at.as_ref()?.parse().ok());
        // The schema asks for the time. Without it nothing can be said to have been sealed before.
        at.unwrap_or(Timestamp::MIN)
    }

    fn state_of(&self, fingerprint: &Fingerprint) -> KeyState {
        let key = self.all.iter().find(|key| key.fingerprint == *fingerprint);
        key.map_or(KeyState::DecryptOnly, |key| self.view.policy.state(key, &self.all, self.view.now))
    }

    fn rotation_key(&self, record: &Record) -> rotation::Key {
        rotation::Key {
            fingerprint: record.fingerprint,
            algorithm: record.recipient.algorithm(),
            created: record.created,
            // Whoever may put a Secret there must not decide what people seal to: only a SealingKey does.
            asked: self.spokesmen.get(&record.fingerprint).map_or(Some(KeyState::DecryptOnly), |key| key.spec.state),
        }
    }

    fn find(&self, key: &SealingKey) -> Option<&'a Record> {
        match key.named() {
            Some(fingerprint) => self.by_fingerprint.get(fingerprint).copied(),
            None => self.by_secret.get(key.metadata.uid.as_deref()?).copied(),
        }
    }

    fn speaks_for(&self, key: &SealingKey, record: &Record) -> bool {
        self.spokesmen.get(&record.fingerprint).is_some_and(|spokesman| spokesman.metadata.name == key.metadata.name)
    }
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
        View { keys, stored, malformed: &[], namespace: "here", generate: true, policy: Policy::default(), now: now() }
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
    fn the_oldest_published_key_says_whose_all_are() {
        let at = |name: &str, time: &str, home: Option<&str>| {
            key(name, |key| {
                key.metadata.creation_timestamp =
                    Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time.parse().unwrap()));
                key.status = Some(SealingKeyStatus { namespace: home.map(str::to_owned), ..SealingKeyStatus::default() });
            })
        };
        let mut keys = vec![
            at("c", "2026-03-01T00:00:00Z", Some("there")),
            at("b", "2026-02-01T00:00:00Z", Some("here")),
            at("a", "2026-01-01T00:00:00Z", None),
        ];
        let elsewhere = |keys: &[SealingKey], namespace| elsewhere(keys, namespace).map(|key| home(key).unwrap().to_owned());
        assert_eq!((elsewhere(&keys, "here"), elsewhere(&keys, "there").as_deref()), (None, Some("here")));
        keys[1].status = None;
        assert_eq!((elsewhere(&keys, "here").as_deref(), elsewhere(&keys, "there")), (Some("there"), None));
        keys[0].status = None;
        assert_eq!(elsewhere(&keys, "here"), None, "nobody has published anything");
        let stored = [stored("u1")];
        let new = [key("u1", |_| ())];
        assert_eq!(published(&view(&new, &stored).plan()[0]).namespace.as_deref(), Some("here"));
        assert_eq!(view(&[key("u1", |key| key.spec.fingerprint = Some("0".repeat(64)))], &[]).plan().len(), 1);
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
        assert_eq!(creates(&keys, true), [create(&format!("after-{}", "0".repeat(16)))], "a name that is taken stops nothing");
    }
}
