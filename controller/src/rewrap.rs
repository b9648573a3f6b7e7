//! `RewrapRequest`s: values moved to the newest key, answered in the status, and deleted after a while.
//!
//! One worker with a budget of its own, so that a flood of requests does not hold up the reconciling of Secrets. The new recipient comes
//! from the key ring, never from a request, a status or a binding.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bulla_keys::KeyRing;
use bulla_shared::binding::Scope;
use bulla_shared::names::Namespace;
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::rewrap_request::{Answer, KEPT_MINUTES, MAX_REQUEST, RewrapRequest, RewrapRequestStatus};
use bulla_shared::sealed::{Keys as _, SealedValue};
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ObjectMeta, Preconditions};
use kube::{Api, Client};
use serde_json::json;
use tracing::{info, warn};

use crate::api::{self, ApiError};
use crate::audit::Event;
use crate::index::Key;
use crate::queue::{Lane, Queue};
use crate::reconcile::Reconciler;

/// The one answer to whatever cannot be rewrapped: why it cannot would be an answer about a key or a place.
const REFUSED: &str = "malformed, bound to another namespace, or not sealed to a key that opens it here";

/// How long the worker rests after a request, in times of what that took. An answer costs the API server more than it costs us, and
/// whoever waits for a Secret waits for the same API server.
const REST: u32 = 4;

/// How long an answer stands at least.
const READABLE: Duration = Duration::from_mins(1);

/// When a request that failed is tried again; doubled each time.
const RETRY: Duration = Duration::from_secs(5);

/// What is remembered of a request.
#[derive(Debug, Clone)]
struct Request {
    uid: Option<String>,
    created: Timestamp,
    /// When it was seen first: clocks may differ by more than a request lives.
    seen: Instant,
    answered: bool,
    failures: u32,
}

/// All requests, and the queue of those that are due for an answer or for deletion.
pub struct Rewraps {
    client: Client,
    reconciler: Arc<Reconciler>,
    queue: Queue<Key>,
    requests: Mutex<HashMap<Key, Request>>,
}

impl Rewraps {
    /// Answers with the keys of `reconciler`.
    #[must_use]
    pub fn new(client: Client, reconciler: Arc<Reconciler>) -> Self {
        Self { client, reconciler, queue: Queue::default(), requests: Mutex::default() }
    }

    /// A list or watch of requests failed.
    pub fn failed(&self, error: ApiError) {
        self.reconciler.metrics.api_error(error);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Request>> {
        self.requests.lock().expect("no code panics while it holds the requests")
    }

    /// Remembers a request; a new one is queued.
    pub fn saw(&self, metadata: &ObjectMeta) {
        let key = Key::of(metadata);
        let created = metadata.creation_timestamp.as_ref().map_or_else(Timestamp::now, |time| time.0);
        let request = Request { uid: metadata.uid.clone(), created, seen: Instant::now(), answered: false, failures: 0 };
        let mut requests = self.lock();
        if requests.get(&key).is_none_or(|known| known.uid != request.uid) {
            requests.insert(key.clone(), request);
            drop(requests);
            self.queue.add(key, Lane::News);
        }
    }

    /// Forgets a request.
    pub fn lost(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// The requests that are remembered.
    pub fn keys(&self) -> Vec<Key> {
        self.lock().keys().cloned().collect()
    }

    /// Works for ever.
    pub async fn work(&self) {
        loop {
            let key = self.queue.next().await;
            match self.handle(&key).await {
                Ok(Some(again)) => self.queue.add_after(key.clone(), again),
                Ok(None) => {}
                Err(error) => {
                    warn!(request = %key, %error, "rewrap request not handled, will be tried again");
                    let mut requests = self.lock();
                    let failures = requests.get_mut(&key).map_or(0, |request| {
                        request.failures = request.failures.saturating_add(1);
                        request.failures
                    });
                    drop(requests);
                    self.queue.add_after(key.clone(), RETRY * 2_u32.pow(failures.min(6)));
                }
            }
            self.queue.done(&key);
        }
    }

    /// Answers or deletes one request; when it is due again.
    ///
    /// # RBAC: `rewraprequests: get, delete`, `rewraprequests/status: patch`
    async fn handle(&self, key: &Key) -> Result<Option<Duration>, ApiError> {
        let Some(request) = self.lock().get(key).cloned() else { return Ok(None) };
        let left = left(request.created, Timestamp::now(), request.seen.elapsed());
        let api: Api<RewrapRequest> = Api::namespaced(self.client.clone(), &key.namespace);
        let Some(left) = left else {
            let exactly = Preconditions { uid: request.uid, resource_version: None };
            let params = DeleteParams { preconditions: Some(exactly), ..DeleteParams::default() };
            return match api::in_time(api.delete(&key.name, &params)).await {
                Ok(_) | Err(ApiError::NotFound | ApiError::Conflict) => Ok(None),
                Err(error) => Err(error),
            };
        };
        if !request.answered {
            let start = Instant::now();
            let answered = self.answer(key, &api).await;
            // However many requests there are, and also if they cannot be answered.
            tokio::time::sleep(start.elapsed() * REST).await;
            answered?;
            if let Some(request) = self.lock().get_mut(key) {
                request.answered = true;
            }
        }
        Ok(Some(left))
    }

    async fn answer(&self, key: &Key, api: &Api<RewrapRequest>) -> Result<(), ApiError> {
        let request = match api::in_time(api.get(&key.name)).await {
            Ok(request) => request,
            Err(ApiError::NotFound) => return Ok(()),
            Err(error) => return Err(error),
        };
        if request.status.as_ref().is_some_and(|status| !status.values.is_empty()) {
            return Ok(());
        }
        let Ok(namespace) = key.namespace.parse::<Namespace>() else { return Ok(()) };
        let ring = self.reconciler.keys();
        let fits = request.spec.values.iter().map(String::len).sum::<usize>() <= MAX_REQUEST;
        let now = Timestamp::now();
        let mut values = Vec::with_capacity(request.spec.values.len());
        for text in &request.spec.values {
            self.reconciler.leads()?;
            let value = if fits { rewrap(text, &namespace, &ring, now) } else { None };
            values.push(value.map_or_else(|| Answer::Error(REFUSED.to_owned()), Answer::Value));
            // A request may hold hundreds: others may go in between.
            tokio::task::yield_now().await;
        }
        let moved = values.iter().filter(|answer| matches!(answer, Answer::Value(_))).count();
        let all = values.len();
        let generation = request.metadata.generation.unwrap_or_default();
        let message = format!("{moved} of {all} values stand under the newest key");
        let conditions = vec![Condition::new(&[], "Ready", true, ("Answered", &message), generation, now)];
        let status = RewrapRequestStatus { observed_generation: Some(generation), values, conditions };
        let patch = json!({"metadata": {"resourceVersion": request.metadata.resource_version}, "status": status});
        self.reconciler.audit(&Event::Rewrapped { namespace: &key.namespace, name: &key.name, moved, all })?;
        match api::patch_rewrap_status(&self.client, &key.namespace, &key.name, &patch).await {
            Ok(()) => {
                info!(request = %key, moved, all, "rewrap request answered");
                self.reconciler.metrics.rewrapped(moved == all);
            }
            Err(ApiError::NotFound) => {}
            // A conflict among them: the next look shows whether another controller was first.
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// How long a request is still kept: ten minutes from its creation, but not before it could be read. Clocks may differ by more than that.
fn left(created: Timestamp, now: Timestamp, seen_for: Duration) -> Option<Duration> {
    let by_clock = SignedDuration::from_mins(KEPT_MINUTES) - now.duration_since(created);
    // A negative time is no `Duration`.
    Duration::try_from(by_clock).ok().or_else(|| READABLE.checked_sub(seen_for))
}

/// The value under the newest Active key of its kind; none if it may not be opened here.
fn rewrap(text: &str, namespace: &Namespace, ring: &KeyRing, now: Timestamp) -> Option<String> {
    let value: SealedValue = text.parse().ok()?;
    let binding = value.binding();
    match &binding.scope {
        Scope::Strict(place) if place.namespace != *namespace => return None,
        Scope::Namespace(bound) if bound != namespace => return None,
        _ => {}
    }
    let newest = ring.sealing(value.algorithm(), now)?;
    let id = newest.fingerprint().id();
    // Also where nothing is to be moved: a value that does not open gets no other answer than any other that does not.
    let moved = value.rewrap(ring, newest).ok()?;
    let already = binding.keys.iter().filter(|key| ring.holds(key)).eq([&id]);
    Some(if already { text.to_owned() } else { moved.to_string() })
}

#[cfg(test)]
mod tests {
    use bulla_keys::ring::Duty;
    use bulla_shared::age::{Algorithm, Identity};
    use bulla_shared::names::Place;
    use bulla_shared::sealed::Recipients;

    use super::*;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_request_goes_after_ten_minutes_whatever_the_clocks_say() {
        let after = |seconds: i64, seen: u64| left(time(0), time(seconds), Duration::from_secs(seen));
        assert_eq!(after(60, 60), Some(Duration::from_mins(9)));
        assert_eq!(after(601, 601), None);
        assert_eq!(after(3600, 5), Some(Duration::from_secs(55)), "the API server's clock is an hour behind");
        assert_eq!(after(3600, 61), None);
        assert_eq!(after(-60, 0), Some(Duration::from_mins(11)), "or a minute ahead");
    }

    #[test]
    fn only_values_of_the_namespace_that_open_and_to_a_key_of_ours() {
        let [old, new, stranger] = std::array::from_fn(|_| Identity::generate(Algorithm::X25519));
        let recipients = [&old, &new, &stranger].map(|identity| identity.recipient().clone());
        let mut ring = KeyRing::default();
        ring.insert(old, time(1), Duty::DecryptOnly).unwrap();
        ring.insert(new, time(2), Duty::Active).unwrap();
        let place = Place { namespace: "a".parse().unwrap(), name: "b".parse().unwrap(), item: "c".parse().unwrap() };
        let seal = |scope: Scope, to: &[usize]| {
            let to = Recipients::new(to.iter().map(|index| recipients[*index].clone())).unwrap();
            SealedValue::seal(b"value", scope, &to, time(100), None).unwrap().to_string()
        };
        let moved = |text: &str| {
            let moved = rewrap(text, &place.namespace, &ring, time(1000));
            moved.map(|text| (text.parse::<SealedValue>().unwrap().binding().keys.clone(), text))
        };
        let ids: Vec<_> = recipients.iter().map(|recipient| recipient.fingerprint().id()).collect();
        for scope in [Scope::Strict(place.clone()), Scope::Namespace(place.namespace.clone()), Scope::Cluster] {
            assert_eq!(moved(&seal(scope, &[0])).unwrap().0, [ids[1]]);
        }
        assert_eq!(moved(&seal(Scope::Cluster, &[0, 2])).unwrap().0, [ids[1], ids[2]], "others stay");
        assert_eq!(moved(&seal(Scope::Cluster, &[0, 1])).unwrap().0, [ids[1]], "older ones of ours go");
        let current = seal(Scope::Cluster, &[1]);
        assert_eq!(moved(&current).unwrap().1, current, "nothing to do");
        assert_eq!(moved(&seal(Scope::Cluster, &[2])), None);
        assert_eq!(moved(&seal(Scope::Namespace("other".parse().unwrap()), &[0])), None);
        assert_eq!(moved(&seal(Scope::Strict(Place { namespace: "other".parse().unwrap(), ..place.clone() }), &[0])), None);
        assert_eq!(moved("nonsense"), None);
        ring.compromise(&ids[0], time(50));
        assert_eq!(rewrap(&seal(Scope::Cluster, &[0]), &place.namespace, &ring, time(1000)), None, "sealed too late");
    }
}
