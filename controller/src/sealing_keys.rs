//! Sealing keys: the first one made, private halves stored, public halves published, the ring filled. A pure plan and its applier.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bulla_keys::KeyRing;
use bulla_keys::stored::StoredKey;
use bulla_shared::age::{Algorithm, Fingerprint};
use bulla_shared::binding::time_text;
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::sealing_key::{KeyState, SealingKey, SealingKeySpec, SealingKeyStatus};
use jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tracing::{error, info, warn};

use crate::api::{self, ApiError};
use crate::reconcile::Reconciler;

/// Name of the key that is made where there is none at all. Fixed, and created only: two controllers cannot make two.
pub const FIRST_KEY: &str = "initial";

const RETRY: Duration = Duration::from_mins(1);

/// One step towards every `SealingKey` having its private half stored and its public half published.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Create the first `SealingKey`.
    CreateFirst,
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

/// Decides all steps. The private half is stored before anything is published, so a crash between two steps loses no key.
#[must_use]
pub fn plan(keys: &[SealingKey], stored: &[StoredKey], generate: bool, now: Timestamp) -> Vec<Action> {
    if keys.is_empty() && stored.is_empty() && generate {
        return vec![Action::CreateFirst];
    }
    let alive = keys.iter().filter(|key| key.metadata.deletion_timestamp.is_none());
    alive.filter_map(|key| step(key, keys, stored, generate, now)).collect()
}

fn step(key: &SealingKey, keys: &[SealingKey], stored: &[StoredKey], generate: bool, now: Timestamp) -> Option<Action> {
    let uid = key.metadata.uid.clone().unwrap_or_default();
    let found = find(key, stored);
    let named = named(key).is_some();
    if found.is_none() && !named && generate && key.spec.state != Some(KeyState::Retired) {
        return Some(Action::Generate { uid, algorithm: key.spec.algorithm.into() });
    }
    let before = key.status.clone().unwrap_or_default();
    let generation = key.metadata.generation.unwrap_or_default();
    let condition = |type_: &str, status: bool, reason: &str, message: &str| {
        Condition::new(&before.conditions, type_, status, (reason, message), generation, now)
    };
    let mut status = SealingKeyStatus { observed_generation: Some(generation), ..before.clone() };
    if found.is_some_and(|found| !speaks_for(key, found, keys, stored)) {
        let (reason, message) = ("Duplicate", "an older SealingKey stands for this private key; this one has no effect");
        status.state = None;
        status.recipient = None;
        status.conditions = vec![condition("Ready", false, reason, message), condition("Stalled", true, reason, message)];
    } else if let Some(found) = found {
        status.state = Some(key.spec.state.unwrap_or(KeyState::Active));
        status.recipient = Some(found.identity.recipient().to_string());
        status.fingerprint = Some(found.fingerprint().to_string());
        status.created = Some(time_text(&found.created));
        status.conditions = vec![condition("Ready", true, "Ready", "the private key is stored")];
    } else {
        let (reason, message) = if named {
            ("KeyMissing", "the private key is not in the controller's namespace; restore it from a backup")
        } else {
            ("GenerationDisabled", "the controller does not generate keys (--generate-keys=false)")
        };
        // Without a state nobody seals to it.
        status.state = None;
        status.recipient = None;
        status.conditions = vec![condition("Ready", false, reason, message), condition("Stalled", true, reason, message)];
    }
    let name = key.metadata.name.clone().unwrap_or_default();
    let resource_version = key.metadata.resource_version.clone();
    (status != before).then(|| Action::Publish { name, resource_version, status: Box::new(status) })
}

/// The fingerprint that a `SealingKey` has to have, if it is settled.
fn named(key: &SealingKey) -> Option<&String> {
    key.spec.fingerprint.as_ref().or_else(|| key.status.as_ref()?.fingerprint.as_ref())
}

fn find<'a>(key: &SealingKey, stored: &'a [StoredKey]) -> Option<&'a StoredKey> {
    match named(key) {
        Some(fingerprint) => stored.iter().find(|stored| stored.fingerprint().to_string() == *fingerprint),
        None => stored.iter().find(|stored| Some(&stored.name) == key.metadata.uid.as_ref()),
    }
}

/// Whether `key` is the oldest that stands for `found`: whoever may create a SealingKey must not change what another one says.
fn speaks_for(key: &SealingKey, found: &StoredKey, keys: &[SealingKey], stored: &[StoredKey]) -> bool {
    let age = |key: &SealingKey| (key.metadata.creation_timestamp.as_ref().map(|time| time.0), key.metadata.name.clone());
    let others = keys.iter().filter(|other| find(other, stored).is_some_and(|other| other.fingerprint() == found.fingerprint()));
    others.min_by_key(|other| age(other)).is_none_or(|oldest| age(oldest) == age(key))
}

/// The keys that open: all that are stored, less those of a retired `SealingKey`.
#[must_use]
pub fn ring(keys: &[SealingKey], stored: Vec<StoredKey>) -> KeyRing {
    let retired: HashSet<Fingerprint> = keys
        .iter()
        .filter(|key| key.spec.state == Some(KeyState::Retired))
        .filter_map(|key| find(key, &stored).filter(|found| speaks_for(key, found, keys, &stored)).map(StoredKey::fingerprint))
        .collect();
    let mut ring = KeyRing::default();
    for key in stored.into_iter().filter(|key| !retired.contains(&key.fingerprint())) {
        if let Err(error) = ring.insert(key.identity, key.created) {
            error!(secret = key.name, %error, "private key not loaded");
        }
    }
    ring
}

/// Keeps sealing keys as they should be; told by `changed` that something moved.
pub struct SealingKeys {
    /// Access to the cluster.
    pub client: Client,
    /// Where private keys are kept.
    pub namespace: String,
    /// Whether private keys are generated.
    pub generate: bool,
    /// Rung by the watches.
    pub changed: Arc<Notify>,
}

impl SealingKeys {
    /// Works for ever; `loaded` is rung each time the ring has been filled.
    pub async fn work(&self, reconciler: &Reconciler, loaded: &Notify) {
        let mut known = None;
        loop {
            match self.pass(reconciler, &mut known, loaded).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => warn!(%error, "sealing keys not reconciled, will be tried again"),
            }
            // Also without any event: a missed one must not leave a key unpublished for ever.
            let _ = tokio::time::timeout(RETRY, self.changed.notified()).await;
        }
    }

    /// One look at everything; whether a step succeeded, so that another look is due.
    ///
    /// # RBAC: `sealingkeys: list, create`, `sealingkeys/status: patch`; in the own namespace `secrets: list, create`
    async fn pass(
        &self,
        reconciler: &Reconciler,
        known: &mut Option<Vec<Fingerprint>>,
        loaded: &Notify,
    ) -> Result<bool, ApiError> {
        let api: Api<SealingKey> = Api::all(self.client.clone());
        let keys = api::in_time(api.list(&ListParams::default())).await?.items;
        let stored = self.stored().await?;
        let actions = plan(&keys, &stored, self.generate, Timestamp::now());
        let ring = ring(&keys, stored);
        if known.as_ref() != Some(&ring.fingerprints()) {
            info!(keys = ring.len(), "key ring loaded");
            *known = Some(ring.fingerprints());
            reconciler.replace_ring(ring);
        }
        loaded.notify_one();
        let mut progress = false;
        for action in actions {
            match self.apply(&api, action).await {
                Ok(()) => progress = true,
                // Somebody else was first, or the object moved on: an event tells, or the next look shows it.
                Err(error @ (ApiError::Conflict | ApiError::NotFound)) => {
                    warn!(%error, "a step towards a sealing key was overtaken");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(progress)
    }

    async fn stored(&self) -> Result<Vec<StoredKey>, ApiError> {
        let mut stored = Vec::new();
        for secret in api::key_secrets(&self.client, &self.namespace).await? {
            let name = secret.metadata.name.clone().unwrap_or_default();
            match StoredKey::from_secret(secret) {
                Ok(key) => stored.push(key),
                Err(error) => error!(secret = name, %error, "not a sealing key, ignored"),
            }
        }
        Ok(stored)
    }

    async fn apply(&self, api: &Api<SealingKey>, action: Action) -> Result<(), ApiError> {
        match action {
            Action::CreateFirst => {
                let key = SealingKey::new(FIRST_KEY, SealingKeySpec::default());
                api::in_time(api.create(&PostParams::default(), &key)).await?;
                info!(name = FIRST_KEY, "first SealingKey created");
            }
            Action::Generate { uid, algorithm } => {
                let now = time_text(&Timestamp::now()).parse().expect("a time in whole seconds");
                let key = StoredKey::generate(&uid, algorithm, now);
                api::create_secret(&self.client, &self.namespace, key.to_json(&self.namespace)).await?;
                info!(secret = uid, fingerprint = %key.fingerprint(), "private key stored");
            }
            Action::Publish { name, resource_version, status } => {
                let mut fields: Value = serde_json::to_value(&status).expect("a status is JSON");
                for gone in ["state", "recipient"] {
                    if fields.get(gone).is_none() {
                        fields[gone] = Value::Null;
                    }
                }
                let patch = json!({"metadata": {"resourceVersion": resource_version}, "status": fields});
                api::in_time(api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch))).await?;
                info!(name, fingerprint = status.fingerprint, "SealingKey published");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T06:50:00Z".parse().unwrap()
    }

    fn key(uid: &str, change: impl FnOnce(&mut SealingKey)) -> SealingKey {
        let mut key = SealingKey::new("k", SealingKeySpec::default());
        key.metadata.uid = Some(uid.to_owned());
        change(&mut key);
        key
    }

    fn published(action: &Action) -> &SealingKeyStatus {
        match action {
            Action::Publish { status, .. } => status,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn from_nothing_to_a_published_key_in_three_steps() {
        assert_eq!(plan(&[], &[], true, now()), [Action::CreateFirst]);
        let first = key("u1", |_| ());
        assert_eq!(
            plan(std::slice::from_ref(&first), &[], true, now()),
            [Action::Generate { uid: "u1".to_owned(), algorithm: Algorithm::Hybrid }]
        );
        let stored = [StoredKey::generate("u1", Algorithm::Hybrid, now())];
        let actions = plan(std::slice::from_ref(&first), &stored, true, now());
        let status = published(&actions[0]);
        assert_eq!((status.state, status.conditions[0].status.as_str()), (Some(KeyState::Active), "True"));
        assert_eq!(status.recipient, Some(stored[0].identity.recipient().to_string()));
        let done = key("u1", |key| key.status = Some(status.clone()));
        assert_eq!(plan(&[done], &stored, true, now()), []);
    }

    #[test]
    fn no_key_is_made_where_one_is_or_may_be_restored() {
        let stored = [StoredKey::generate("other", Algorithm::Hybrid, now())];
        assert_eq!(plan(&[], &stored, true, now()), [], "a private key without its SealingKey");
        assert_eq!(plan(&[], &[], false, now()), []);
        let reason = |actions: &[Action]| published(&actions[0]).conditions[0].reason.clone();
        assert_eq!(reason(&plan(&[key("u1", |_| ())], &[], false, now())), "GenerationDisabled");
        let named = key("u1", |key| key.spec.fingerprint = Some("0".repeat(64)));
        assert_eq!(reason(&plan(&[named], &[], true, now())), "KeyMissing");
    }

    #[test]
    fn a_published_key_that_is_gone_is_missing_not_made_anew() {
        let status = SealingKeyStatus {
            fingerprint: Some("0".repeat(64)),
            recipient: Some("age1…".to_owned()),
            state: Some(KeyState::Active),
            ..SealingKeyStatus::default()
        };
        let actions = plan(&[key("u1", |key| key.status = Some(status))], &[], true, now());
        let status = published(&actions[0]);
        assert_eq!((status.state, &status.recipient, status.conditions[1].r#type.as_str()), (None, &None, "Stalled"));
        assert_eq!(status.fingerprint, Some("0".repeat(64)), "what is missing stays said");
    }

    #[test]
    fn a_second_sealing_key_for_the_same_private_key_has_no_effect() {
        let stored = vec![StoredKey::generate("u1", Algorithm::X25519, now())];
        let at = |time: &str| Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time.parse().unwrap()));
        let first = key("u1", |key| key.metadata.creation_timestamp = at("2026-01-01T00:00:00Z"));
        let second = key("u2", |key| {
            key.metadata.name = Some("evil".to_owned());
            key.metadata.creation_timestamp = at("2026-02-01T00:00:00Z");
            key.spec.fingerprint = Some(stored[0].fingerprint().to_string());
            key.spec.state = Some(KeyState::Retired);
        });
        let keys = [first, second];
        let actions = plan(&keys, &stored, true, now());
        assert_eq!((published(&actions[0]).state, published(&actions[1]).state), (Some(KeyState::Active), None));
        assert_eq!(published(&actions[1]).conditions[0].reason, "Duplicate");
        assert_eq!(ring(&keys, stored).len(), 1);
    }

    #[test]
    fn a_retired_key_is_not_loaded() {
        let stored =
            || vec![StoredKey::generate("u1", Algorithm::X25519, now()), StoredKey::generate("u2", Algorithm::X25519, now())];
        let retired = key("u1", |key| key.spec.state = Some(KeyState::Retired));
        let all = stored();
        let kept = all[1].fingerprint();
        assert_eq!(ring(&[retired, key("u2", |_| ())], all).fingerprints(), [kept]);
        assert_eq!(ring(&[], stored()).len(), 2);
    }
}
