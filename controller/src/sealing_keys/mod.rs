//! Sealing keys: made, stored, published, loaded, counted. [`plan`] decides (pure), [`usage`] counts (pure), this file applies.

pub mod plan;
pub mod usage;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bulla_keys::KeyRing;
use bulla_keys::ring::Duty;
use bulla_keys::rotation::Policy;
use bulla_keys::stored::{Record, StoredKey};
use bulla_shared::age::Fingerprint;
use bulla_shared::binding::{KeyId, time_text};
use bulla_shared::resources::sealing_key::{SealingKey, SealingKeySpec};
use jiff::Timestamp;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::runtime::events::{EventType, Recorder};
use kube::{Api, Client, Resource as _};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{error, info, warn};

use self::plan::{Action, View};
use self::usage::Usage;
use crate::api::{self, ApiError};
use crate::audit;
use crate::backoff::Backoff;
use crate::reconcile::Reconciler;
use crate::status::KEY_MISSING;

/// How often everything is looked at without an event: a missed one must not leave a key unpublished, and time passes by itself.
const LOOK: Duration = Duration::from_mins(1);

/// How long after a failure it is tried again; longer each time, up to [`LOOK`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// Pause after a step, while one leads to another.
const FIRST_STEP: Duration = Duration::from_millis(10);

/// How long usage is left to settle: thousands of objects change together when a repository is rewrapped.
const SETTLE: Duration = Duration::from_secs(1);

/// How long usage waits for objects that have not been looked at as they are.
const PATIENCE: Duration = Duration::from_mins(5);

/// Keeps sealing keys as they should be.
pub struct SealingKeys {
    /// Access to the cluster.
    pub client: Client,
    /// Records events.
    pub recorder: Recorder,
    /// Where private keys are kept.
    pub namespace: String,
    /// Whether private keys are generated.
    pub generate: bool,
    /// When keys change by themselves.
    pub policy: Policy,
    /// Rung by the watches.
    pub changed: Arc<Notify>,
}

/// What is in the controller's namespace.
struct Stored {
    keys: Vec<StoredKey>,
    records: Vec<Record>,
    malformed: Vec<String>,
}

/// What a ring can do, and what it knows of.
type Content = (Vec<(Fingerprint, Duty)>, BTreeSet<KeyId>);

/// What was done and said already.
#[derive(Default)]
struct Known {
    ring: Option<Content>,
    /// Malformed Secrets that have been reported, by name and resource version.
    reported: HashSet<(String, String)>,
    /// Since when some object has not been looked at as it is.
    unsettled: Option<Instant>,
}

/// How a look at everything ended.
enum Pass {
    /// Nothing is left to be done.
    Done,
    /// A step succeeded, so that another look is due.
    Progress,
    /// Somebody else was first, or an object moved on: no event tells of labels and annotations.
    Overtaken,
    /// Another installation has the keys, as this one says.
    Elsewhere(Box<SealingKey>),
}

impl SealingKeys {
    /// Works until another installation turns out to have the keys; `loaded` is rung each time the ring has been filled.
    ///
    /// One that has them before this one has begun is waited for: it may go.
    pub async fn work(&self, reconciler: &Reconciler, loaded: &Notify) {
        let mut known = Known::default();
        let mut backoff = Backoff::new(FIRST_RETRY, LOOK);
        // An API server whose definition is older than ours drops what we publish, time and again.
        let mut steps = Backoff::new(FIRST_STEP, LOOK);
        loop {
            match self.pass(reconciler, &mut known, loaded).await {
                Ok(Pass::Progress) => {
                    tokio::time::sleep(steps.pause()).await;
                    continue;
                }
                Ok(Pass::Overtaken) => {
                    self.rest(reconciler, &mut known, steps.pause()).await;
                    continue;
                }
                Ok(Pass::Done) => {
                    backoff.reset();
                    steps.reset();
                }
                Ok(Pass::Elsewhere(key)) => {
                    self.tell_elsewhere(reconciler, &key).await;
                    if reconciler.complete.load(Ordering::Acquire) {
                        return;
                    }
                }
                Err(error) => {
                    warn!(%error, "sealing keys not reconciled, will be tried again");
                    // Rights and definitions that were installed a moment ago are not in force yet: nobody rings when they are.
                    self.rest(reconciler, &mut known, backoff.pause()).await;
                    continue;
                }
            }
            self.rest(reconciler, &mut known, LOOK).await;
        }
    }

    /// Waits for a change of keys, and publishes usage meanwhile.
    async fn rest(&self, reconciler: &Reconciler, known: &mut Known, longest: Duration) {
        let end = Instant::now() + longest;
        loop {
            tokio::select! {
                () = self.changed.notified() => return,
                () = tokio::time::sleep_until(end) => return,
                () = reconciler.usage_changed.notified() => {}
            }
            tokio::time::sleep(SETTLE).await;
            if let Err(error) = self.publish_usage(reconciler, known).await {
                warn!(%error, "usage of sealing keys not published, will be tried again");
                reconciler.usage_changed.notify_one();
            }
        }
    }

    /// Says once to whom the keys belong.
    async fn tell_elsewhere(&self, reconciler: &Reconciler, key: &SealingKey) {
        let other = plan::home(key).unwrap_or_default().to_owned();
        if reconciler.is_elsewhere(Some(&other)) {
            return;
        }
        let note = format!(
            "the sealing keys belong to the installation in namespace {other}; the one in {} stands aside and writes nothing. One of the \
             two has to go: docs/installation.md",
            self.namespace
        );
        error!("{note}");
        api::publish(&self.recorder, &key.object_ref(&()), EventType::Warning, ("Load", "SecondInstallation"), &note).await;
    }

    /// One look at everything.
    ///
    /// # RBAC: `sealingkeys: list, create`, `sealingkeys/status: patch`; in the own namespace `secrets: list, create`
    async fn pass(&self, reconciler: &Reconciler, known: &mut Known, loaded: &Notify) -> Result<Pass, ApiError> {
        // Keys before Secrets: what is published by then is stored by then.
        let keys = self.sealing_keys().await?;
        if let Some(key) = plan::elsewhere(&keys, &self.namespace) {
            return Ok(Pass::Elsewhere(Box::new(key.clone())));
        }
        reconciler.is_elsewhere(None);
        let Stored { keys: private, records, malformed } = self.stored(known).await?;
        let now = Timestamp::now();
        let view = |keys| View {
            keys,
            stored: &records,
            malformed: &malformed,
            namespace: &self.namespace,
            generate: self.generate,
            policy: self.policy,
            now,
        };
        reconciler.metrics.saw_keys(&keys, malformed.len());
        let ring = ring(&view(&keys), private);
        let content = (ring.duties(), ring.absent().clone());
        if known.ring.as_ref() != Some(&content) {
            info!(keys = ring.len(), "key ring loaded");
            known.ring = Some(content);
            reconciler.replace_ring(ring);
        }
        loaded.notify_one();
        let (create, mut actions): (Vec<_>, Vec<_>) =
            view(&keys).plan().into_iter().partition(|action| matches!(action, Action::Create { .. }));
        if !create.is_empty() {
            // A key that another controller made between the two lists would look as if nobody had asked for it.
            let again = view(&self.sealing_keys().await?).plan();
            actions.extend(create.into_iter().filter(|action| again.contains(action)));
        }
        let (mut pass, mut failed) = (Pass::Done, None);
        for action in actions {
            match self.apply(reconciler, action, now).await {
                Ok(()) => pass = Pass::Progress,
                Err(error @ (ApiError::Conflict | ApiError::NotFound)) => {
                    warn!(%error, "a step towards a sealing key was overtaken");
                    if matches!(pass, Pass::Done) {
                        pass = Pass::Overtaken;
                    }
                }
                // One key that cannot be dealt with must not hold up the others.
                Err(error) => failed = Some(error),
            }
        }
        self.publish_usage(reconciler, known).await?;
        failed.map_or(Ok(pass), Err)
    }

    async fn sealing_keys(&self) -> Result<Vec<SealingKey>, ApiError> {
        let api: Api<SealingKey> = Api::all(self.client.clone());
        Ok(api::in_time(api.list(&ListParams::default())).await?.items)
    }

    async fn stored(&self, known: &mut Known) -> Result<Stored, ApiError> {
        let mut stored = Stored { keys: Vec::new(), records: Vec::new(), malformed: Vec::new() };
        for secret in api::key_secrets(&self.client, &self.namespace).await? {
            let name = secret.metadata.name.clone().unwrap_or_default();
            let version = secret.metadata.resource_version.clone().unwrap_or_default();
            let reference = secret.object_ref(&());
            match StoredKey::from_secret(secret) {
                Ok(key) => {
                    stored.records.push(key.record());
                    stored.keys.push(key);
                }
                Err(error) => {
                    if known.reported.insert((name.clone(), version)) {
                        error!(secret = name, %error, "not a sealing key, ignored");
                        let note = format!("not a sealing key, ignored: {error}");
                        api::publish(&self.recorder, &reference, EventType::Warning, ("Load", "KeyMalformed"), &note).await;
                    }
                    stored.malformed.push(name);
                }
            }
        }
        Ok(stored)
    }

    async fn apply(&self, reconciler: &Reconciler, action: Action, now: Timestamp) -> Result<(), ApiError> {
        reconciler.leads()?;
        let api: Api<SealingKey> = Api::all(self.client.clone());
        match action {
            Action::Create { name, algorithm } => {
                let key = SealingKey::new(&name, SealingKeySpec { algorithm, ..SealingKeySpec::default() });
                reconciler.audit(&audit::Event::KeyChanged { name: &name, change: "SealingKey created" })?;
                api::in_time(api.create(&PostParams::default(), &key)).await?;
                info!(name, "SealingKey created");
            }
            Action::Generate { uid, algorithm } => {
                let now = time_text(&now).parse().expect("a time in whole seconds");
                let key = StoredKey::generate(&uid, algorithm, now);
                let change = format!("private key {} stored", key.record().fingerprint);
                reconciler.audit(&audit::Event::KeyChanged { name: &uid, change: &change })?;
                api::create_secret(&self.client, &self.namespace, key.to_json(&self.namespace)).await?;
                info!(secret = uid, fingerprint = %key.record().fingerprint, "private key stored");
            }
            Action::Publish { name, resource_version, status } => {
                let mut fields: Value = serde_json::to_value(&status).expect("a status is JSON");
                for gone in ["state", "since", "recipient"] {
                    if fields.get(gone).is_none() {
                        fields[gone] = Value::Null;
                    }
                }
                let patch = json!({"metadata": {"resourceVersion": resource_version}, "status": fields});
                let state = status.state.map(|state| state.to_string());
                let change = format!(
                    "{} published as {}",
                    status.fingerprint.as_deref().unwrap_or("no key"),
                    state.as_deref().unwrap_or("nothing that can be used")
                );
                reconciler.audit(&audit::Event::KeyChanged { name: &name, change: &change })?;
                api::in_time(api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch))).await?;
                info!(name, state, fingerprint = status.fingerprint, "SealingKey published");
                if status.conditions.iter().any(|condition| condition.reason == KEY_MISSING) {
                    error!(
                        name,
                        "the private key is gone: what is sealed to it alone does not open again; restore it from a backup"
                    );
                }
            }
        }
        Ok(())
    }

    /// Writes the usage of each key that has a fingerprint, where it differs. On half a list nothing is known.
    ///
    /// # RBAC: `sealingkeys: list`, `sealingkeys/status: patch`
    async fn publish_usage(&self, reconciler: &Reconciler, known: &mut Known) -> Result<(), ApiError> {
        if !reconciler.complete.load(Ordering::Acquire) {
            return Ok(());
        }
        let ring = reconciler.keys();
        let mut usage = Usage::count(reconciler.index.lock().sealed.values(), |id| ring.knows(id));
        let unsettled = (!usage.settled).then(|| known.unsettled.unwrap_or_else(Instant::now));
        known.unsettled = unsettled;
        // Whoever keeps an object from being dealt with must not keep everybody's keys from being retired.
        usage.settled |= unsettled.is_some_and(|since| since.elapsed() > PATIENCE);
        // What is in a namespace that was never listed, nobody knows.
        usage.settled &= reconciler.sees_all();
        let api: Api<SealingKey> = Api::all(self.client.clone());
        for key in self.sealing_keys().await? {
            let Some(status) = &key.status else { continue };
            let Some(fingerprint) = key.published() else { continue };
            let now = usage.of(&fingerprint.id(), status.usage);
            if now == status.usage {
                continue;
            }
            let name = key.metadata.name.clone().unwrap_or_default();
            let patch = json!({"metadata": {"resourceVersion": key.metadata.resource_version}, "status": {"usage": now}});
            match api::in_time(api.patch_status(&name, &PatchParams::default(), &Patch::Merge(patch))).await {
                Ok(_) | Err(ApiError::NotFound) => {}
                Err(ApiError::Conflict) => reconciler.usage_changed.notify_one(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The keys that open, each with what it may do, and the ids of those that are known and not loaded.
fn ring(view: &View<'_>, stored: Vec<StoredKey>) -> KeyRing {
    let duties: HashMap<Fingerprint, Option<Duty>> = view.duties().into_iter().collect();
    let mut ring = KeyRing::default();
    let named = view.keys.iter().flat_map(|key| {
        let status = key.status.as_ref().and_then(|status| status.fingerprint.as_ref());
        key.spec.fingerprint.iter().chain(status).filter_map(|text| text.parse::<Fingerprint>().ok())
    });
    for fingerprint in named.filter(|fingerprint| duties.get(fingerprint).copied().flatten().is_none()) {
        ring.insert_absent(fingerprint.id());
    }
    for key in stored {
        let Some(duty) = duties.get(&key.identity.recipient().fingerprint()).copied().flatten() else { continue };
        if let Err(error) = ring.insert(key.identity, key.created, duty) {
            error!(secret = key.name, %error, "private key not loaded");
        }
    }
    ring
}
