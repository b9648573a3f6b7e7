//! The thin applier: one object from the queue, what [`plan`] says about it, done, and told in its status.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use bulla_keys::KeyRing;
use bulla_keys::ring::Duty;
use bulla_shared::convert::PlainSecret;
use bulla_shared::names::{Namespace, ObjectName};
use bulla_shared::opening::{AllowedTypes, ItemReport, Opening, not_opened, open};
use bulla_shared::resources::sealed_secret::{SealedSecret, SealedSecretStatus};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Client, Resource as _};
use serde_json::json;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use crate::api::{self, ApiError};
use crate::audit::{self, Item, Trail};
use crate::index::{Index, Key, SealedHead, SecretHead, slim};
use crate::metrics::Metrics;
use crate::plan::{self, Defaults, Stop, Write};
use crate::queue::Queue;
use crate::repairs::Repairs;
use crate::status::{self, KEY_MISSING, Outcome};

/// How often something that stands in the way and is not watched is looked at again: an unlabelled Secret, a missing right.
const BLOCKER_POLL: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(5);

/// All that reconciling needs.
pub struct Reconciler {
    /// Heads of the cluster.
    pub index: Index,
    /// Keys to reconcile.
    pub queue: Queue<Key>,
    /// Private keys; replaced whole when they change.
    pub ring: RwLock<Arc<KeyRing>>,
    /// Rung when a status that usage is counted from has changed.
    pub usage_changed: Notify,
    /// Set once both lists have been seen whole.
    pub listed: AtomicBool,
    /// Set once this replica works: the lists are whole, the keys are loaded, the lease is held.
    pub complete: AtomicBool,
    /// What is counted.
    pub metrics: Metrics,
    trail: Option<Arc<Trail>>,
    repairs: Repairs,
    failures: Mutex<HashMap<Key, u32>>,
    jitter: RandomState,
    client: Client,
    recorder: Recorder,
    namespace: String,
    types: AllowedTypes,
    defaults: Defaults,
    config_hash: String,
}

impl Reconciler {
    /// A reconciler that keeps its hands off `namespace`, where the private keys are.
    #[must_use]
    pub fn new(
        client: Client,
        recorder: Recorder,
        trail: Option<Arc<Trail>>,
        namespace: &str,
        types: AllowedTypes,
        defaults: Defaults,
    ) -> Self {
        Self {
            index: Index::default(),
            queue: Queue::default(),
            ring: RwLock::default(),
            usage_changed: Notify::new(),
            listed: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            metrics: Metrics::default(),
            trail,
            repairs: Repairs::default(),
            failures: Mutex::default(),
            jitter: RandomState::new(),
            client,
            recorder,
            namespace: namespace.to_owned(),
            config_hash: defaults.config_hash(&types.digest()),
            types,
            defaults,
        }
    }

    /// Works for ever on what the queue gives.
    pub async fn work(&self) {
        loop {
            let key = self.queue.next().await;
            let start = Instant::now();
            let (word, next) = match self.reconcile(&key).await {
                Ok((word, next)) => (word, Ok(next)),
                Err(error) => ("ApiServer", Err(error)),
            };
            self.metrics.reconciled(word, start.elapsed());
            match next {
                Ok(Next::Wait) => self.forget_failures(&key),
                Ok(Next::After(delay)) => {
                    self.forget_failures(&key);
                    self.queue.add_after(key.clone(), delay);
                }
                Ok(Next::Retry) => self.retry(&key),
                Err(error) => {
                    self.metrics.api_error(error);
                    warn!(object = %key, %error, "reconcile failed, will be tried again");
                    self.retry(&key);
                }
            }
            self.queue.done(&key);
        }
    }

    /// Records an event in the audit trail, if there is one.
    pub fn audit(&self, event: &audit::Event<'_>) {
        if let Some(trail) = &self.trail {
            trail.record(event);
        }
    }

    /// The private keys as of now.
    pub fn keys(&self) -> Arc<KeyRing> {
        self.ring.read().expect("no code panics while it holds the ring").clone()
    }

    fn forget_failures(&self, key: &Key) {
        self.failures.lock().expect("no code panics while it counts").remove(key);
    }

    /// Doubles from 1 s to 5 min, less up to a half, so that many objects do not come back at once.
    fn retry(&self, key: &Key) {
        let mut failures = self.failures.lock().expect("no code panics while it counts");
        let count = failures.entry(key.clone()).or_default();
        let full = FIRST_RETRY.saturating_mul(1 << (*count).min(16)).min(LAST_RETRY);
        *count = count.saturating_add(1);
        let permille = 500 + u32::try_from(self.jitter.hash_one((key, *count)) % 500).expect("below 500");
        self.queue.add_after(key.clone(), full * permille / 1000);
    }

    /// One pass over one object; the word that it ended with, and when it is looked at again.
    ///
    /// # RBAC: `sealedsecrets: get`, `sealedsecrets/status: patch`, `secrets: get, create, update, patch`, `events: create, patch`
    async fn reconcile(&self, key: &Key) -> Result<(&'static str, Next), ApiError> {
        let (Some(head), secret) = self.index.get(key) else { return Ok(("Gone", Next::Wait)) };
        if head.metadata.deletion_timestamp.is_some() {
            return Ok(("Gone", Next::Wait));
        }
        let ring = self.keys();
        if plan::is_applied(&head, secret.as_ref(), &self.config_hash) && !status::is_refused_now(&head.status.items, &ring) {
            let flagged = status::reflag(&head.status, &ring, head.metadata.generation.unwrap_or_default(), Timestamp::now());
            if flagged == head.status {
                debug!(object = %key, "unchanged");
            } else {
                self.write_status(&head, &flagged).await?;
                self.announce_due(&head, &flagged).await;
            }
            return Ok(("Unchanged", Next::rotation(&head.status)));
        }
        let value = match api::sealed_secret(&self.client, &key.namespace, &key.name).await {
            Ok(value) => value,
            Err(ApiError::NotFound) => return Ok(("Gone", Next::Wait)),
            Err(error) => return Err(error),
        };
        let Ok(sealed) = serde_json::from_value::<SealedSecret>(value) else {
            return self.report(&head, Outcome::malformed(), &[]).await;
        };
        if sealed.metadata.deletion_timestamp.is_some() {
            return Ok(("Gone", Next::Wait));
        }
        let head = SealedHead { status: sealed.status.clone().unwrap_or_default(), metadata: sealed.metadata.clone() };
        if sealed.spec.suspend {
            return self.report(&head, Outcome::suspended(), &not_opened(&sealed.spec)).await;
        }
        let (Ok(namespace), Ok(name)) = (key.namespace.parse::<Namespace>(), key.name.parse::<ObjectName>()) else {
            return self.report(&head, Outcome::malformed(), &[]).await;
        };
        // What the index remembers is too little to decide on, and one without our label is not in it at all.
        let may_be_there = secret.is_some() || plan::may_have_secret(&sealed);
        let secret = if may_be_there { api::secret_head(&self.client, &key.namespace, &key.name).await? } else { None };
        let write = match plan::write(&sealed, secret.as_ref(), &self.namespace) {
            Write::Stop(stop) => return self.report(&head, stop.into(), &not_opened(&sealed.spec)).await,
            write => write,
        };
        // Whoever changes a Secret again and again gets it repaired ever more slowly.
        let drifted = head.is_ready() && head.metadata.generation == head.status.observed_generation;
        if drifted && let Err(wait) = self.repairs.may(key) {
            return Ok(("RepairDelayed", Next::After(wait)));
        }
        let start = Instant::now();
        let Opening { items, secret } = open(&namespace, &name, &sealed.spec, &*ring, &self.types);
        self.metrics.opened(items.iter().filter(|item| item.result.is_ok()).count(), start.elapsed());
        let outcome = match secret {
            Err(refusal) => Outcome::refused(&refusal, &items),
            Ok(opened) => {
                let mut plain = opened.render();
                self.defaults.add_to(&mut plain);
                self.record(&head, &items, None);
                self.apply(key, &sealed, plain, write).await
            }
        };
        if let Outcome::Stalled(reason) = &outcome {
            self.record(&head, &items, Some(reason.word));
        }
        if outcome.word() == KEY_MISSING && !Arc::ptr_eq(&ring, &self.keys()) {
            // The key may have arrived while this was opened, and its waking may have found the object still Ready.
            self.queue.add(key.clone());
        }
        if drifted && matches!(outcome, Outcome::Ready(_)) {
            info!(object = %key, "Secret repaired");
            let note = "the Secret was deleted or changed by somebody else, and is as this SealedSecret says again";
            self.publish(&head, EventType::Normal, "SecretRepaired", note).await;
        }
        // Whether it was seen before or after opening, a Secret in the way is told in one way.
        let items = if outcome.is_in_the_way() { not_opened(&sealed.spec) } else { items };
        self.report(&head, outcome, &items).await
    }

    /// Records an opening, or a refusal for `reason`, before anything is done about it.
    fn record(&self, head: &SealedHead, items: &[ItemReport], reason: Option<&str>) {
        let text = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        let (namespace, name, uid) = (text(&head.metadata.namespace), text(&head.metadata.name), text(&head.metadata.uid));
        let generation = head.metadata.generation.unwrap_or_default();
        let object = audit::Object { namespace: &namespace, name: &name, uid: &uid, generation };
        let items = items.iter().map(|item| Item {
            name: &item.name,
            key: item.result.as_ref().ok().map(ToString::to_string),
            error: item.result.as_ref().err().map(ToString::to_string),
        });
        let items = items.collect();
        self.audit(&match reason {
            None => audit::Event::Opened { object, items },
            Some(reason) => audit::Event::Refused { object, reason, items },
        });
    }

    async fn apply(&self, key: &Key, sealed: &SealedSecret, plain: PlainSecret, write: Write) -> Outcome {
        let mut written = self.write(key, sealed, plain.clone(), write).await;
        if written == Err(WriteError::Api(ApiError::Conflict)) {
            // A Secret is there that the watch has not shown: without our label, or too new, or changed since.
            let again = match api::secret_head(&self.client, &key.namespace, &key.name).await {
                Err(error) => return Outcome::from_api(error),
                Ok(secret) => plan::write(sealed, secret.as_ref(), &self.namespace),
            };
            written = self.write(key, sealed, plain, again).await;
        }
        match written {
            Ok((secret, missing)) if missing.is_empty() => {
                Outcome::Ready(plan::applied_to(&sealed.metadata, &secret, &self.config_hash))
            }
            Ok((_, missing)) => Outcome::not_consented(&missing),
            Err(WriteError::Stop(stop)) => stop.into(),
            Err(WriteError::Api(error)) => {
                self.metrics.api_error(error);
                Outcome::from_api(error)
            }
        }
    }

    /// Writes the Secret; its head then, and the items that its owner did not let us write.
    async fn write(
        &self,
        key: &Key,
        sealed: &SealedSecret,
        mut plain: PlainSecret,
        write: Write,
    ) -> Result<(SecretHead, Vec<String>), WriteError> {
        let (namespace, name) = (&key.namespace, &key.name);
        let mut missing = Vec::new();
        let head = match write {
            Write::Stop(stop) => return Err(WriteError::Stop(stop)),
            Write::Keep(secret) => *secret,
            Write::Create => {
                let metadata = plan::metadata(&mut plain, sealed, None);
                let head = api::create_secret(&self.client, namespace, plain.to_json(&metadata)).await?;
                info!(object = %key, "Secret created");
                head
            }
            Write::Replace(existing) => {
                let metadata = plan::metadata(&mut plain, sealed, Some(&existing));
                let head = api::replace_secret(&self.client, namespace, name, plain.to_json(&metadata)).await?;
                info!(object = %key, "Secret replaced");
                head
            }
            Write::Merge(existing, consented) => {
                plain.items.retain(|item, _| {
                    let may = consented.contains(item.as_str());
                    if !may {
                        missing.push(item.to_string());
                    }
                    may
                });
                let body = plain.to_apply(&plan::merge_metadata(sealed, &existing, plain.items.keys()));
                let head = api::merge_secret(&self.client, namespace, name, body).await?;
                info!(object = %key, "items merged into the Secret");
                head
            }
        };
        Ok((head, missing))
    }

    /// Writes the status if it says anything new.
    async fn report(&self, head: &SealedHead, outcome: Outcome, items: &[ItemReport]) -> Result<(&'static str, Next), ApiError> {
        let key = Key::of(&head.metadata);
        let generation = head.metadata.generation.unwrap_or_default();
        let status = status::status(&head.status, &outcome, items, &self.keys(), generation, Timestamp::now());
        if status != head.status {
            self.write_status(head, &status).await?;
            self.announce(head, &outcome).await;
            self.announce_due(head, &status).await;
        }
        let next = match &outcome {
            Outcome::Ready(_) | Outcome::Suspended(_) => Next::rotation(&status),
            Outcome::Stalled(reason) => {
                warn!(object = %key, reason = reason.word, "{}", reason.message);
                Next::rotation(&status)
            }
            Outcome::Blocked(reason) => {
                warn!(object = %key, reason = reason.word, "{}", reason.message);
                Next::After(BLOCKER_POLL)
            }
            Outcome::Retrying(_) => Next::Retry,
        };
        Ok((outcome.word(), next))
    }

    async fn write_status(&self, head: &SealedHead, status: &SealedSecretStatus) -> Result<(), ApiError> {
        let key = Key::of(&head.metadata);
        let patch = json!({"metadata": {"resourceVersion": head.metadata.resource_version}, "status": replace(head, status)});
        let api: Api<SealedHead> = Api::namespaced(self.client.clone(), &key.namespace);
        let mut patched = api::in_time(api.patch_status(&key.name, &PatchParams::default(), &Patch::Merge(patch))).await?;
        patched.metadata = slim(patched.metadata);
        // What the watch will show: known already, it is no news. Only if nothing newer has been seen: the answer may be late, and a
        // head that goes back in time would hide a change for ever.
        let mut heads = self.index.lock();
        if let Some(known) = heads.sealed.get_mut(&key)
            && known.metadata.uid == head.metadata.uid
            && known.metadata.resource_version == head.metadata.resource_version
        {
            *known = patched;
            self.usage_changed.notify_one();
        }
        Ok(())
    }

    /// One event when an object stalls or changes why; none for success, which the status shows.
    async fn announce(&self, head: &SealedHead, outcome: &Outcome) {
        let before = head.status.conditions.iter().find(|condition| condition.r#type == "Ready");
        let (Outcome::Stalled(reason) | Outcome::Blocked(reason)) = outcome else { return };
        if before.is_some_and(|before| before.reason == reason.word) {
            return;
        }
        self.publish(head, EventType::Warning, reason.word, &reason.message).await;
    }

    /// One event when a value of an object becomes due.
    async fn announce_due(&self, head: &SealedHead, now: &SealedSecretStatus) {
        let due = |status: &SealedSecretStatus| status.conditions.iter().find(|c| c.r#type == status::ROTATION_DUE).cloned();
        if let (None, Some(condition)) = (due(&head.status), due(now)) {
            self.publish(head, EventType::Warning, status::ROTATION_DUE, &condition.message).await;
        }
    }

    async fn publish(&self, head: &SealedHead, type_: EventType, reason: &str, note: &str) {
        let (reason, note) = (reason.to_owned(), Some(note.to_owned()));
        let event = Event { type_, reason, note, action: "Reconcile".to_owned(), secondary: None };
        if let Err(error) = api::in_time(self.recorder.publish(&event, &head.object_ref(&()))).await {
            warn!(object = %Key::of(&head.metadata), %error, "event not recorded");
        }
    }

    /// Takes a new ring, and wakes every object that is not Ready, because a key that it waits for may be in it, and every one that has
    /// an item under a key that has got into other hands.
    pub fn replace_ring(&self, ring: KeyRing) {
        let news: HashSet<String> = {
            let mut current = self.ring.write().expect("no code panics while it holds the ring");
            let compromised = |ring: &KeyRing| {
                let duties = ring.duties().into_iter().filter(|(_, duty)| matches!(duty, Duty::Compromised(_)));
                duties.collect::<HashSet<_>>()
            };
            let (before, now) = (compromised(&current), compromised(&ring));
            *current = Arc::new(ring);
            before.symmetric_difference(&now).map(|(fingerprint, _)| fingerprint.id().to_string()).collect()
        };
        let concerns = |head: &SealedHead| {
            let mut ids = head.status.items.iter().flat_map(|item| item.key_id.iter().chain(&item.sealed_to));
            !head.is_ready() || (!news.is_empty() && ids.any(|id| news.contains(id)))
        };
        let waiting: Vec<Key> = {
            let heads = self.index.lock();
            heads.sealed.iter().filter(|(_, head)| concerns(head)).map(|(key, _)| key.clone()).collect()
        };
        for key in waiting {
            self.queue.add(key);
        }
    }
}

/// A merge patch keeps what it does not name, so fields that are gone are named as null.
fn replace(head: &SealedHead, status: &SealedSecretStatus) -> serde_json::Value {
    let mut patch = serde_json::to_value(status).expect("a status is JSON");
    let before = serde_json::to_value(&head.status).expect("a status is JSON");
    for key in before.as_object().into_iter().flat_map(|before| before.keys()) {
        if patch.get(key).is_none() {
            patch[key] = serde_json::Value::Null;
        }
    }
    patch
}

/// Why a Secret was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteError {
    Stop(Stop),
    Api(ApiError),
}

impl From<ApiError> for WriteError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

/// When an object is looked at again, if nothing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Never.
    Wait,
    /// When this time has passed.
    After(Duration),
    /// After a backoff.
    Retry,
}

impl Next {
    /// When the next value becomes due. Once a day at most: clocks are set.
    fn rotation(status: &SealedSecretStatus) -> Self {
        status::next_due(&status.items, Timestamp::now()).map_or(Self::Wait, |due| Self::After(due.min(DAY)))
    }
}

/// Index and queue together: a head that changed is remembered, then its key is queued.
impl Reconciler {
    /// Remembers a `SealedSecret`, and looks at it if anything but its metadata is new.
    pub fn saw_sealed(&self, head: SealedHead) {
        let key = Key::of(&head.metadata);
        let facts = |head: &SealedHead| {
            let metadata = &head.metadata;
            (metadata.uid.clone(), metadata.generation, metadata.deletion_timestamp.is_some(), head.status.clone())
        };
        let now = facts(&head);
        let before = self.index.lock().sealed.insert(key.clone(), head);
        if before.is_none_or(|before| facts(&before) != now) {
            self.queue.add(key);
            self.usage_changed.notify_one();
        }
    }

    /// Remembers a labelled Secret.
    pub fn saw_secret(&self, head: SecretHead) {
        let key = Key::of(&head);
        self.index.lock().secrets.insert(key.clone(), head);
        self.queue.add(key);
    }

    /// Forgets a `SealedSecret`.
    pub fn lost_sealed(&self, key: &Key) {
        self.index.lock().sealed.remove(key);
        self.forget_failures(key);
        self.repairs.forget(key);
        self.usage_changed.notify_one();
    }

    /// Forgets a Secret, and looks at what made it.
    pub fn lost_secret(&self, key: &Key) {
        self.index.lock().secrets.remove(key);
        self.queue.add(key.clone());
    }
}
