//! `SealingKey`s: listed, the newest chosen, made, changed. Public halves only.

use std::time::{Duration, Instant};

use bulla_keys::select::newest_active;
use bulla_shared::age::{Algorithm, Recipient};
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::sealed_secret::{ItemState, SealedSecret};
use bulla_shared::resources::sealing_key::{KeyState, SealingKey, SealingKeySpec};
use jiff::Timestamp;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::Value;

use super::{Cluster, OFFLINE};
use crate::error::{Error, Kind, note, warn};

/// How long the controller may take to make a key.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long it may take to say of each key what it may do, as after a restore.
const SETTLING: Duration = Duration::from_secs(10);

/// How long nothing is asked between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// The newest key of `context`, or of the current one; says on standard error where it came from.
pub fn announced_key(context: Option<&str>) -> Result<Recipient, Error> {
    let cluster = Cluster::connect(context, OFFLINE).map_err(|error| error.during("no recipients are given"))?;
    let keys = cluster.sealing_keys()?;
    let key = newest_active(&keys, Algorithm::Hybrid, Timestamp::now()).ok_or_else(|| {
        Error::new(Kind::Cluster, format!("cannot seal to context {}", cluster.context))
            .cause("the cluster publishes no Active key")
            .hint("is bulla-controller running? kubectl get sealingkeys")
    })?;
    note(format!("sealing to key {} of context {}", key.recipient.fingerprint().id(), cluster.context));
    Ok(key.recipient)
}

impl Cluster {
    fn sealing_key_api(&self) -> Api<SealingKey> {
        Api::all(self.client.clone())
    }

    /// All `SealingKey`s.
    pub fn sealing_keys(&self) -> Result<Vec<SealingKey>, Error> {
        let listed = self.runtime.block_on(self.sealing_key_api().list(&ListParams::default()));
        let keys = listed.map_err(|error| {
            let failed = self.failure("read the SealingKeys", &error);
            match &error {
                kube::Error::Api(status) if status.is_forbidden() => failed.hint(
                    "ask for the ClusterRole bulla-sealer to read them (changing them is for cluster admins); sealing needs no cluster, only the \
                     recipients file that your repository has committed: -R FILE",
                ),
                _ => failed,
            }
        })?;
        Ok(keys.items)
    }

    /// All `SealingKey`s, once the controller has looked at each one as it is: until then nobody knows which is the newest.
    pub fn settled_keys(&self) -> Result<Vec<SealingKey>, Error> {
        let start = Instant::now();
        loop {
            let keys = self.sealing_keys()?;
            let Some(unsettled) = keys.iter().find(|key| !is_settled(key)) else { return Ok(keys) };
            if start.elapsed() > SETTLING {
                let name = unsettled.metadata.name.as_deref().unwrap_or_default();
                return Err(Error::new(Kind::Cluster, format!("what context {} publishes is not up to date", self.context))
                    .cause(format!("the controller has not looked at the SealingKey {name} as it is now"))
                    .hint("is bulla-controller running? Its log and kubectl describe sealingkey say what it waits for"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Some of the SealedSecrets that use a key, as `namespace/name`, with a word if what it is for there does not open.
    pub fn users_of(&self, key: &SealingKey) -> Result<Vec<String>, Error> {
        const SHOWN: usize = 5;
        let id = key.published().map(|fingerprint| fingerprint.id().to_string());
        let user = |sealed: SealedSecret| {
            let items = sealed.status.iter().flat_map(|status| &status.items);
            let states: Vec<_> = items
                .filter(|item| item.key_id.iter().chain(&item.sealed_to).any(|used| Some(used) == id.as_ref()))
                .map(|item| item.state)
                .collect();
            let name = format!("{}/{}", sealed.metadata.namespace.unwrap_or_default(), sealed.metadata.name.unwrap_or_default());
            // One that was not tried may open, as under suspend.
            let fails = states.iter().all(|state| matches!(state, ItemState::Refused | ItemState::KeyMissing));
            (!states.is_empty()).then(|| if fails { format!("{name} (does not open)") } else { name })
        };
        let api: Api<SealedSecret> = Api::all(self.client.clone());
        let (mut found, mut page) = (Vec::new(), ListParams::default().limit(100));
        loop {
            let list = self.ask("list SealedSecrets", api.list(&page))?;
            found.extend(list.items.into_iter().filter_map(user));
            match list.metadata.continue_.filter(|token| !token.is_empty() && found.len() < SHOWN) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
        found.truncate(SHOWN);
        Ok(found)
    }

    /// One `SealingKey`, by its name or by the id of its key, which is what values show.
    pub fn sealing_key(&self, name: &str) -> Result<SealingKey, Error> {
        by_name_or_id(self.sealing_keys()?, name).map_err(|cause| {
            Error::new(Kind::Usage, format!("{cause} in context {}", self.context)).hint("bulla keys list shows them")
        })
    }

    /// Creates a `SealingKey`; whether it is new.
    pub fn create_sealing_key(&self, name: &str, spec: SealingKeySpec) -> Result<bool, Error> {
        let key = SealingKey::new(name, spec);
        match self.runtime.block_on(self.sealing_key_api().create(&PostParams::default(), &key)) {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(self.failure(&format!("create the SealingKey {name}"), &error)),
        }
    }

    /// Changes a `SealingKey` by a merge patch. The words of an admission policy are passed on: there is no plaintext in them.
    pub fn patch_sealing_key(&self, name: &str, patch: &Value) -> Result<(), Error> {
        let api = self.sealing_key_api();
        let doing = format!("change the SealingKey {name}");
        let changed = self.runtime.block_on(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)));
        changed.map(drop).map_err(|error| match &error {
            kube::Error::Api(status) if matches!(status.code, 403 | 422) => {
                self.failure(&doing, &error).cause(status.message.replace('\n', " "))
            }
            _ => self.failure(&doing, &error),
        })
    }

    /// What is said of a cluster that nobody can seal to.
    #[must_use]
    pub fn no_active_key(&self) -> Error {
        Error::new(Kind::Cluster, format!("context {} publishes no Active key", self.context))
            .hint("is bulla-controller running? bulla keys list")
    }

    /// Waits until a state is in effect; whether it is. Says so if it is not.
    pub fn in_effect(&self, name: &str, state: KeyState) -> Result<bool, Error> {
        let start = Instant::now();
        while self.sealing_key(name)?.status.and_then(|status| status.state) != Some(state) {
            if start.elapsed() > PATIENCE {
                warn(format!("the SealingKey {name} is not {state} yet: is bulla-controller running? It takes effect by itself"));
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(true)
    }

    /// Waits until the controller has published a key.
    pub fn published(&self, name: &str) -> Result<Recipient, Error> {
        let start = Instant::now();
        loop {
            let status = self.sealing_key(name)?.status.unwrap_or_default();
            if let Some(recipient) = status.recipient.as_ref().and_then(|text| text.parse().ok()) {
                return Ok(recipient);
            }
            let failed = || Error::new(Kind::Cluster, format!("the SealingKey {name} is not published"));
            if let Some(stalled) = Condition::find(&status.conditions, "Stalled") {
                return Err(failed().cause(&stalled.message).hint("kubectl describe sealingkey shows the conditions"));
            }
            if start.elapsed() > PATIENCE {
                return Err(failed().cause("the controller has not answered").hint("is bulla-controller running?"));
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// The key of this name, or of this id: of several with it the one that speaks for it.
fn by_name_or_id(mut keys: Vec<SealingKey>, asked: &str) -> Result<SealingKey, String> {
    let is_named = |key: &SealingKey| key.metadata.name.as_deref() == Some(asked);
    let has_id = |key: &SealingKey| key.published().is_some_and(|fingerprint| fingerprint.id().to_string() == asked);
    keys.retain(|key| is_named(key) || has_id(key));
    // Whoever may create one must not stand in the place of another.
    if keys.iter().any(is_named) && keys.iter().any(|key| !is_named(key)) {
        return Err(format!("{asked} is the name of one SealingKey and the id of another"));
    }
    keys.sort_by_key(|key| key.status.as_ref().and_then(|status| status.state).is_none());
    keys.into_iter().next().ok_or_else(|| format!("there is no SealingKey {asked}"))
}

/// Whether the controller has said something of a key as it is now, or will not any more.
fn is_settled(key: &SealingKey) -> bool {
    let observed = key.status.as_ref().and_then(|status| status.observed_generation);
    key.metadata.deletion_timestamp.is_some() || (observed.is_some() && observed >= key.metadata.generation)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_found_by_its_name_or_by_its_id() {
        let key = |name: &str, digit: &str, state: Option<&str>| -> SealingKey {
            let status = json!({"fingerprint": digit.repeat(64), "state": state});
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {}, "status": status})).unwrap()
        };
        let id = "a".repeat(16);
        let all = || vec![key("duplicate", "a", None), key("initial", "a", Some("Active")), key("other", "b", Some("Active"))];
        let found = |keys, asked: &str| by_name_or_id(keys, asked).map(|key| key.metadata.name.unwrap());
        assert_eq!(found(all(), "initial").unwrap(), "initial");
        assert_eq!(found(all(), &id).unwrap(), "initial", "the one that has an effect");
        assert_eq!(found(all(), &"c".repeat(16)).unwrap_err(), "there is no SealingKey cccccccccccccccc");
        let decoy = [all(), vec![key(&id, "c", None)]].concat();
        assert!(found(decoy, &id).unwrap_err().contains("the id of another"));
    }

    #[test]
    fn a_restored_or_changed_key_is_waited_for() {
        let settled = |metadata: Value, status: Value| {
            let key = json!({"metadata": metadata, "spec": {}, "status": status});
            is_settled(&serde_json::from_value(key).unwrap())
        };
        assert!(!settled(json!({"generation": 1}), Value::Null), "restored a moment ago");
        assert!(!settled(json!({"generation": 2}), json!({"observedGeneration": 1})), "another state was asked for");
        assert!(settled(json!({"generation": 2}), json!({"observedGeneration": 2})));
        assert!(settled(json!({"generation": 1, "deletionTimestamp": "2026-11-28T00:00:00Z"}), Value::Null), "on its way out");
    }
}
