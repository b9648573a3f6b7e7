//! The thin applier: one object from the queue, what [`plan`] says about it, done, and told in its status.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::{Duration, Instant};

use bulla_keys::KeyRing;
use bulla_keys::ring::Duty;
use bulla_shared::binding::KeyId;
use bulla_shared::convert::PlainSecret;
use bulla_shared::names::{Namespace, ObjectName};
use bulla_shared::opening::{AllowedTypes, ItemReport, Opening, not_opened, open};
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::sealed_secret::{SealedSecret, SealedSecretStatus};
use jiff::Timestamp;
use kube::api::ObjectMeta;
use kube::runtime::events::{EventType, Recorder};
use kube::{Client, Resource as _};
use serde::Deserialize as _;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use crate::api::{self, ApiError};
use crate::audit::{self, Item, Trail};
use crate::backoff::Backoff;
use crate::index::{Index, Key, Remembered, RememberedItem, SealedHead, SecretHead, SecretVersion};
use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::plan::{self, Defaults, Stop, Write};
use crate::queue::{Lane, Queue};
use crate::repairs::Repairs;
use crate::status::{self, MALFORMED, Outcome};
use crate::watch::Within;

/// How often something that stands in the way and is not watched is looked at again: an unlabelled Secret, a missing right.
const BLOCKER_POLL: Duration = Duration::from_mins(1);
/// The same of what costs an opening and a write each time, at most.
const LAST_POLL: Duration = Duration::from_mins(10);
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
    unlisted: Mutex<HashSet<Within>>,
    elsewhere: Mutex<Option<String>>,
    leadership: Arc<Leadership>,
    trail: Option<Arc<Trail>>,
    repairs: Repairs,
    failures: Mutex<HashMap<Key, (Next, Backoff)>>,
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
        leadership: Arc<Leadership>,
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
            elsewhere: Mutex::default(),
            listed: AtomicBool::new(false),
            unlisted: Mutex::default(),
            complete: AtomicBool::new(false),
            metrics: Metrics::default(),
            leadership,
            trail,
            repairs: Repairs::default(),
            failures: Mutex::default(),
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
                Ok(again @ (Next::Retry | Next::Poll)) => self.again(&key, again),
                Err(error) => {
                    self.metrics.api_error(error);
                    warn!(object = %key, %error, "reconcile failed, will be tried again");
                    self.again(&key, Next::Retry);
                }
            }
            self.queue.done(&key);
        }
    }

    /// Records an event in the audit trail, if there is one. What cannot be recorded must not be done.
    pub fn audit(&self, event: &audit::Event<'_>) -> Result<(), ApiError> {
        Ok(self.trail.as_ref().map_or(Ok(()), |trail| trail.record(event))?)
    }

    /// Whether a value may be opened or a key made now. The gate stops the writes of a replica that has lost the lease; this stops what
    /// comes before them.
    pub fn leads(&self) -> Result<(), ApiError> {
        if self.leadership.holds() { Ok(()) } else { Err(ApiError::NotLeading) }
    }

    /// The namespace of another installation that the sealing keys belong to, while there is one: then this one stands aside.
    pub fn elsewhere(&self) -> Option<String> {
        self.elsewhere.lock().expect("no code panics while it holds a name").clone()
    }

    /// Remembers [`Reconciler::elsewhere`]; whether it was known.
    pub fn is_elsewhere(&self, namespace: Option<&str>) -> bool {
        let namespace = namespace.map(str::to_owned);
        let mut known = self.elsewhere.lock().expect("no code panics while it holds a name");
        let same = *known == namespace;
        *known = namespace;
        same
    }

    /// The private keys as of now.
    pub fn keys(&self) -> Arc<KeyRing> {
        self.ring.read().expect("no code panics while it holds the ring").clone()
    }

    fn has_failed(&self, key: &Key) -> bool {
        self.failures.lock().expect("no code panics while it counts").contains_key(key)
    }

    /// Tries all that failed again each time `completed` is rung, for ever: what they lacked may be there.
    pub async fn wake_failed_at(&self, completed: &Notify) {
        loop {
            completed.notified().await;
            for (key, (_, backoff)) in self.failures.lock().expect("no code panics while it counts").iter_mut() {
                backoff.reset();
                self.queue.add(key.clone(), Lane::Backlog);
            }
        }
    }

    fn forget_failures(&self, key: &Key) {
        self.failures.lock().expect("no code panics while it counts").remove(key);
    }

    fn again(&self, key: &Key, next: Next) {
        let new = || match next {
            Next::Poll => Backoff::new(BLOCKER_POLL, LAST_POLL),
            _ => Backoff::new(FIRST_RETRY, LAST_RETRY),
        };
        let mut failures = self.failures.lock().expect("no code panics while it counts");
        let (of, backoff) = failures.entry(key.clone()).or_insert_with(|| (next, new()));
        if *of != next {
            (*of, *backoff) = (next, new());
        }
        self.queue.add_after(key.clone(), backoff.pause());
    }

    /// One pass over one object; the word that it ended with, and when it is looked at again.
    ///
    /// # RBAC: `sealedsecrets: get`, `sealedsecrets/status: update`, `secrets: get, create, update, patch`, `events: create, patch`
    async fn reconcile(&self, key: &Key) -> Result<(&'static str, Next), ApiError> {
        let (Some(known), secret) = self.index.get(key) else { return Ok(("Gone", Next::Wait)) };
        if known.is_deleted {
            return Ok(("Gone", Next::Wait));
        }
        let ring = self.keys();
        let is_settled = |sealed: &Remembered, secret: Option<&SecretVersion>| {
            plan::is_applied(sealed, secret, &self.config_hash) && !status::is_refused_now(&sealed.items, &ring)
        };
        if is_settled(&known, secret.as_ref()) && known.flags == status::flags(&known.items, &ring, Timestamp::now()) {
            debug!(object = %key, "unchanged");
            return Ok(("Unchanged", Next::rotation(&known.items)));
        }
        // Whoever changes a Secret again and again gets it repaired ever more slowly.
        if known.is_written()
            && let Some(wait) = self.repairs.wait(key)
        {
            return Ok(("RepairDelayed", Next::After(wait)));
        }
        // A watch may lag behind, most of all where another replica has written until a moment ago. Where nobody has written anything, what
        // comes of that is put right: the Secret is created or not, and the status takes no older version.
        let is_first = known.is_new() && secret.is_none() && !self.has_failed(key);
        let mut seen = is_first.then_some(known.resource_version.as_str());
        let (head, sealed) = loop {
            let value = match api::sealed_secret(&self.client, key, seen).await {
                Ok(value) => value,
                Err(ApiError::NotFound) => return Ok(("Gone", Next::Wait)),
                Err(error) => return Err(error),
            };
            let head = SealedHead::deserialize(&value).map_err(|_| ApiError::Transport)?;
            let sealed: SealedSecret = match serde_path_to_error::deserialize(value) {
                Ok(sealed) => sealed,
                // NOTE: its path alone: its text quotes what stands there.
                Err(error) => return self.report(&head, Outcome::malformed(&error.path().to_string()), &[]).await,
            };
            if plan::may_come_late(&sealed) || seen.take().is_none() {
                break (head, sealed);
            }
        };
        if sealed.metadata.deletion_timestamp.is_some() {
            return Ok(("Gone", Next::Wait));
        }
        if sealed.spec.suspend {
            return self.report(&head, Outcome::suspended(), &not_opened(&sealed.spec)).await;
        }
        let (Ok(namespace), Ok(name)) = (key.namespace.parse::<Namespace>(), key.name.parse::<ObjectName>()) else {
            return self.report(&head, Outcome::malformed("metadata.name"), &[]).await;
        };
        // What the index remembers is too little to decide on, and one without our label is not in it at all.
        let may_be_there = secret.is_some() || plan::may_have_secret(&sealed);
        let secret = if may_be_there { api::secret_head(&self.client, &key.namespace, &key.name).await } else { Ok(None) };
        if let Err(error @ ApiError::Forbidden) = secret {
            self.metrics.api_error(error);
            return self.report(&head, Outcome::from_api(error), &not_opened(&sealed.spec)).await;
        }
        let secret = secret?;
        let known = Remembered::from(&head);
        if is_settled(&known, secret.as_ref().map(SecretVersion::from).as_ref()) {
            let flagged = status::reflag(&head.status, &ring, head.metadata.generation.unwrap_or_default(), Timestamp::now());
            if flagged != head.status {
                self.write_status(&head, &flagged).await?;
                self.announce_due(&head, &flagged).await;
            }
            return Ok(("Unchanged", Next::rotation(&known.items)));
        }
        let write = match plan::write(&sealed, secret.as_ref(), &self.namespace) {
            Write::Stop(stop) => return self.report(&head, stop.into(), &not_opened(&sealed.spec)).await,
            write => write,
        };
        // Not if a flag of ours has changed, or a key has got into other hands.
        let same = known.is_partial || known.applied.as_ref().is_some_and(|applied| applied.config_hash == self.config_hash);
        let drifted = known.is_written() && same && !status::is_refused_now(&known.items, &ring);
        if drifted {
            self.repairs.count(key);
        }
        self.leads()?;
        let start = Instant::now();
        let Opening { items, secret } = open(&namespace, &name, &sealed.spec, &*ring, &self.types);
        self.metrics.opened(items.iter().filter(|item| item.result.is_ok()).count(), start.elapsed());
        let outcome = match secret {
            Err(refusal) => Outcome::refused(&refusal, &items, &ring),
            Ok(opened) => {
                let mut plain = opened.render();
                self.defaults.add_to(&mut plain);
                self.record(&head, &items, None)?;
                self.apply(key, &sealed, plain, write).await
            }
        };
        match &outcome {
            Outcome::Stalled(reason) => self.record(&head, &items, Some(reason.word))?,
            // It is looked at again and again.
            Outcome::Blocked(reason) if !status::says(&head, reason) => self.record(&head, &items, Some(reason.word))?,
            _ => {}
        }
        if drifted && known.is_done() && matches!(outcome, Outcome::Ready(_)) {
            info!(object = %key, "Secret repaired");
            let note = "the Secret was deleted or changed by somebody else, and is as this SealedSecret says again";
            self.publish(&head, EventType::Normal, "SecretRepaired", note).await;
        }
        // Whether it was seen before or after opening, a Secret in the way is told in one way.
        let items = if outcome.is_in_the_way() { not_opened(&sealed.spec) } else { items };
        let reported = self.report(&head, outcome, &items).await;
        if !Arc::ptr_eq(&ring, &self.keys()) {
            // A key may have arrived, or got into other hands, while this was opened; what that wakes was chosen by what was known before.
            self.queue.add(key.clone(), Lane::News);
        }
        reported
    }

    /// Records an opening, or a refusal for `reason`, before anything is done about it.
    fn record(&self, head: &SealedHead, items: &[ItemReport], reason: Option<&str>) -> Result<(), ApiError> {
        let text = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        let (namespace, name, uid) = (text(&head.metadata.namespace), text(&head.metadata.name), text(&head.metadata.uid));
        let generation = head.metadata.generation.unwrap_or_default();
        let object = audit::Object { namespace: &namespace, name: &name, uid: &uid, generation };
        let items = items.iter().map(|item| Item {
            name: &item.name,
            key: item.result.as_ref().ok().map(ToString::to_string),
            error: item.result.as_ref().err().map(ToString::to_string),
        });
        let (items, more) = audit::first(items.collect());
        self.audit(&match reason {
            None => audit::Event::Opened { object, items, more },
            Some(reason) => audit::Event::Refused { object, reason, items, more },
        })
    }

    async fn apply(&self, key: &Key, sealed: &SealedSecret, plain: PlainSecret, write: Write) -> Outcome {
        let mut written = self.write(key, sealed, plain.clone(), write).await;
        if written == Err(WriteError::Api(ApiError::Conflict)) {
            // A Secret is there that the watch has not shown: without our label, or too new, or changed since. It may be of a version of the
            // object that the watch has not shown either.
            let now = async {
                let newest = api::sealed_secret(&self.client, key, None).await.map_err(|_| ApiError::Conflict)?;
                let newest = SealedHead::deserialize(newest).map_err(|_| ApiError::Conflict)?.metadata;
                if (&newest.uid, &newest.resource_version) != (&sealed.metadata.uid, &sealed.metadata.resource_version) {
                    return Err(ApiError::Conflict);
                }
                api::secret_head(&self.client, &key.namespace, &key.name).await
            };
            let again = match now.await {
                Err(error) => return Outcome::from_api(error),
                Ok(secret) => plan::write(sealed, secret.as_ref(), &self.namespace),
            };
            written = self.write(key, sealed, plain, again).await;
        }
        match written {
            Ok((secret, missing)) if missing.is_empty() => {
                Outcome::Ready(plan::applied_to(sealed.metadata.generation, &SecretVersion::from(&secret), &self.config_hash))
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
        let is_news = status != head.status;
        if is_news {
            match self.write_status(head, &status).await {
                // An object that breaks its own definition takes no status either. An event is all that can be told.
                Err(ApiError::Invalid) if outcome.word() == MALFORMED => {}
                written => written?,
            }
            self.announce(head, &outcome).await;
            self.announce_due(head, &status).await;
        }
        let items: Vec<RememberedItem> = status.items.iter().map(RememberedItem::from).collect();
        let next = match &outcome {
            Outcome::Ready(_) | Outcome::Suspended(_) => Next::rotation(&items),
            Outcome::Stalled(reason) => {
                warn!(object = %key, reason = reason.word, "{}", reason.message);
                Next::rotation(&items)
            }
            Outcome::Blocked(reason) => {
                // It is looked at again and again.
                if is_news {
                    warn!(object = %key, reason = reason.word, "{}", reason.message);
                }
                // Who stands in the way is seen before anything is opened.
                if outcome.is_in_the_way() { Next::After(BLOCKER_POLL) } else { Next::Poll }
            }
            Outcome::Retrying(_) => Next::Retry,
        };
        Ok((outcome.word(), next))
    }

    async fn write_status(&self, head: &SealedHead, status: &SealedSecretStatus) -> Result<(), ApiError> {
        let key = Key::of(&head.metadata);
        // What the watch will show, maybe before the answer comes: known already, it is no news. Only if nothing newer has been seen: a head
        // that goes back in time would hide a change for ever.
        let know = |what: Remembered| {
            let mut heads = self.index.lock();
            let known = heads.sealed.get_mut(&key)?;
            let is_this = Some(&known.uid) == head.metadata.uid.as_ref()
                && Some(&known.resource_version) == head.metadata.resource_version.as_ref();
            is_this.then(|| std::mem::replace(known, what))
        };
        let with = |metadata: ObjectMeta| Remembered::from(&SealedHead { metadata, status: status.clone() });
        let before = know(with(head.metadata.clone()));
        match api::replace_status(&self.client, head, status).await {
            Ok(metadata) => {
                know(with(metadata));
                self.usage_changed.notify_one();
                Ok(())
            }
            Err(error) => {
                before.map(know);
                Err(error)
            }
        }
    }

    /// One event when an object stalls or changes why; none for success, which the status shows.
    async fn announce(&self, head: &SealedHead, outcome: &Outcome) {
        let before = Condition::find(&head.status.conditions, "Ready");
        let (Outcome::Stalled(reason) | Outcome::Blocked(reason)) = outcome else { return };
        if before.is_some_and(|before| before.reason == reason.word) {
            return;
        }
        self.publish(head, EventType::Warning, reason.word, &reason.message).await;
    }

    /// One event when a value of an object becomes due.
    async fn announce_due(&self, head: &SealedHead, now: &SealedSecretStatus) {
        let [before, now] = [&head.status, now].map(|status| Condition::find(&status.conditions, status::ROTATION_DUE));
        if let (None, Some(condition)) = (before, now) {
            self.publish(head, EventType::Warning, status::ROTATION_DUE, &condition.message).await;
        }
    }

    async fn publish(&self, head: &SealedHead, type_: EventType, reason: &str, note: &str) {
        api::publish(&self.recorder, &head.object_ref(&()), type_, ("Reconcile", reason), note).await;
    }

    /// Takes a new ring, and wakes every object that is not Ready, because a key that it waits for may be in it, and every one that has
    /// an item under a key that has got into other hands.
    pub fn replace_ring(&self, ring: KeyRing) {
        let news: HashSet<KeyId> = {
            let mut current = self.ring.write().expect("no code panics while it holds the ring");
            let compromised = |ring: &KeyRing| {
                let duties = ring.duties().into_iter().filter(|(_, duty)| matches!(duty, Duty::Compromised(_)));
                duties.collect::<HashSet<_>>()
            };
            let (before, now) = (compromised(&current), compromised(&ring));
            *current = Arc::new(ring);
            before.symmetric_difference(&now).map(|(fingerprint, _)| fingerprint.id()).collect()
        };
        let concerns = |head: &Remembered| {
            !head.is_ready || (!news.is_empty() && head.items.iter().flat_map(RememberedItem::keys).any(|id| news.contains(id)))
        };
        let waiting: Vec<Key> = {
            let heads = self.index.lock();
            heads.sealed.iter().filter(|(_, head)| concerns(head)).map(|(key, _)| key.clone()).collect()
        };
        for key in waiting {
            self.queue.add(key, Lane::Backlog);
        }
    }
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
    /// After a longer one: what can help is not watched.
    Poll,
}

impl Next {
    /// When the next value becomes due. Once a day at most: clocks are set.
    fn rotation(items: &[RememberedItem]) -> Self {
        status::next_due(items, Timestamp::now()).map_or(Self::Wait, |due| Self::After(due.min(DAY)))
    }
}

/// Index and queue together: a head that changed is remembered, then its key is queued.
impl Reconciler {
    /// Remembers a `SealedSecret`, and looks at it if anything but its metadata is new.
    pub fn saw_sealed(&self, head: &SealedHead, lane: Lane) {
        let key = Key::of(&head.metadata);
        let now = Remembered::from(head);
        let before = self.index.lock().sealed.insert(key.clone(), now.clone());
        let same = |before: &Remembered| {
            (&before.uid, before.generation, before.is_deleted) == (&now.uid, now.generation, now.is_deleted)
        };
        if before.as_ref().is_some_and(|before| !same(before)) {
            // What failed before says nothing about what it is now.
            self.forget_failures(&key);
        }
        let is_news = before.is_none_or(|mut before| {
            // Labels and annotations move it too.
            before.resource_version.clone_from(&now.resource_version);
            before != now
        });
        if is_news {
            self.queue.add(key, lane);
            self.usage_changed.notify_one();
        }
    }

    /// There are `SealedSecret`s of `within` that are not known before [`Reconciler::saw_list`].
    pub fn will_list(&self, within: Within) {
        self.unlisted().insert(within);
    }

    /// A list of `SealedSecret`s is complete.
    pub fn saw_list(&self, within: &Within) {
        if self.unlisted().remove(within) {
            self.usage_changed.notify_one();
        }
    }

    /// Whether every list of `SealedSecret`s has been complete once: one that is refused does not stop the others, but tells nothing.
    pub fn sees_all(&self) -> bool {
        self.unlisted().is_empty()
    }

    fn unlisted(&self) -> MutexGuard<'_, HashSet<Within>> {
        self.unlisted.lock().expect("no code panics while it holds the lists")
    }

    /// Remembers a labelled Secret.
    pub fn saw_secret(&self, head: &SecretHead, lane: Lane) {
        let key = Key::of(head);
        self.index.lock().secrets.insert(key.clone(), head.into());
        self.queue.add(key, lane);
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
        self.forget_failures(key);
        self.queue.add(key.clone(), Lane::News);
    }
}

#[cfg(test)]
mod tests;
