//! What `/metrics` says, in OpenMetrics: counters and histograms as things happened, gauges as everything stands when somebody asks.
//! docs/metrics.md lists them. No name of an object unless asked for, and nothing that depends on plaintext.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::Duration;

use bulla_keys::KeyRing;
use bulla_keys::ring::Duty;
use bulla_shared::age::Algorithm;
use bulla_shared::binding::KeyId;
use bulla_shared::resources::sealing_key::{KeyState, SealingKey, SealingKeyStatus};
use jiff::Timestamp;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::index::{Key, Remembered, RememberedItem, State};
use crate::status::KEY_MISSING;

/// One label and its value.
type Label = [(&'static str, String); 1];

/// What is counted as it happens.
pub struct Metrics {
    registry: Registry,
    reconcile: Histogram,
    opening: Histogram,
    reconciles: Family<Label, Counter>,
    items_opened: Counter,
    api_errors: Family<Label, Counter>,
    rewraps: Family<Label, Counter>,
    keys: Mutex<Keys>,
}

/// What the last look at the sealing keys found.
#[derive(Debug, Clone, Default)]
struct Keys {
    by_state: HashMap<String, i64>,
    malformed: usize,
    missing: usize,
    newest: Option<i64>,
}

/// Everything that gauges are computed from.
pub struct View<'a> {
    /// The heads of all objects.
    pub heads: Box<dyn Iterator<Item = (&'a Key, &'a Remembered)> + 'a>,
    /// The keys.
    pub ring: &'a KeyRing,
    /// Objects that wait for a worker.
    pub queued: usize,
    /// Whether this replica works: one that stands by has no keys and does not empty its queue.
    pub works: bool,
    /// Whether this replica writes.
    pub leads: bool,
    /// Lines of the audit trail so far.
    pub audit_lines: u64,
    /// Whether each object gets a line.
    pub names: bool,
    /// The time.
    pub now: Timestamp,
}

impl Default for Metrics {
    fn default() -> Self {
        // From a tenth of a millisecond to 26 s.
        let buckets = || Histogram::new(exponential_buckets(0.0001, 4.0, 10));
        let metrics = Self {
            registry: Registry::default(),
            reconcile: buckets(),
            opening: buckets(),
            reconciles: Family::default(),
            items_opened: Counter::default(),
            api_errors: Family::default(),
            rewraps: Family::default(),
            keys: Mutex::default(),
        };
        metrics.registered()
    }
}

impl Metrics {
    fn registered(mut self) -> Self {
        let mut registry = Registry::with_prefix("bulla");
        let seconds = |registry: &mut Registry, name: &str, help: &str, metric: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
        };
        seconds(&mut registry, "reconcile_duration", "Time for one look at one SealedSecret", &self.reconcile);
        seconds(&mut registry, "opening_duration", "Time for opening all items of one SealedSecret", &self.opening);
        registry.register("reconciles", "Looks at SealedSecrets, by the reason that Ready got", self.reconciles.clone());
        registry.register("items_opened", "Items that were opened", self.items_opened.clone());
        registry.register("api_errors", "Requests that the API server did not answer well", self.api_errors.clone());
        registry.register("rewrap_requests", "RewrapRequests that were answered", self.rewraps.clone());
        self.registry = registry;
        self
    }

    /// A look at an object has ended with this word.
    pub fn reconciled(&self, outcome: &str, took: Duration) {
        self.reconcile.observe(took.as_secs_f64());
        self.reconciles.get_or_create(&[("outcome", outcome.to_owned())]).inc();
    }

    /// The items of an object were opened, so many of them.
    pub fn opened(&self, items: usize, took: Duration) {
        self.opening.observe(took.as_secs_f64());
        self.items_opened.inc_by(u64::try_from(items).unwrap_or_default());
    }

    /// A request failed.
    pub fn api_error(&self, error: crate::api::ApiError) {
        self.api_errors.get_or_create(&[("error", error.word().to_owned())]).inc();
    }

    /// A `RewrapRequest` was answered.
    pub fn rewrapped(&self, complete: bool) {
        let result = if complete { "complete" } else { "partial" };
        self.rewraps.get_or_create(&[("result", result.to_owned())]).inc();
    }

    /// The sealing keys were looked at.
    pub fn saw_keys(&self, keys: &[SealingKey], malformed: usize) {
        let statuses = || keys.iter().filter_map(|key| key.status.as_ref());
        let mut by_state = HashMap::new();
        for state in statuses().filter_map(|status| status.state) {
            *by_state.entry(state.to_string()).or_default() += 1;
        }
        let active = statuses().filter(|status| status.state == Some(KeyState::Active));
        let newest = active.filter_map(|status| status.created.as_ref()?.parse::<Timestamp>().ok()).max();
        let is_missing = |status: &&SealingKeyStatus| status.conditions.iter().any(|condition| condition.reason == KEY_MISSING);
        let missing = statuses().filter(is_missing).count();
        let seen = Keys { by_state, malformed, missing, newest: newest.map(Timestamp::as_second) };
        *self.keys.lock().expect("no code panics while it counts") = seen;
    }

    /// The text of `/metrics`.
    #[must_use]
    pub fn text(&self, view: View<'_>) -> String {
        let mut text = String::new();
        let keys = self.keys.lock().expect("no code panics while it counts").clone();
        for registry in [&self.registry, &gauges(view, &keys)] {
            encode_registry(&mut text, registry).expect("a String takes all");
        }
        encode_eof(&mut text).expect("a String takes all");
        text
    }
}

/// What is counted over all objects.
#[derive(Default)]
struct Counts {
    objects: HashMap<State, i64>,
    key_items: HashMap<KeyId, i64>,
    stale: i64,
    compromised: i64,
    due: i64,
    earliest: HashMap<&'static str, Timestamp>,
}

fn gauges(view: View<'_>, keys: &Keys) -> Registry {
    let mut registry = Registry::with_prefix("bulla");
    let newest: HashSet<KeyId> = [Algorithm::Hybrid, Algorithm::X25519]
        .into_iter()
        .filter_map(|algorithm| view.ring.sealing(algorithm, view.now).map(|key| key.fingerprint().id()))
        .collect();
    let compromised: HashSet<KeyId> = view
        .ring
        .duties()
        .into_iter()
        .filter(|(_, duty)| matches!(duty, Duty::Compromised(_)))
        .map(|(fingerprint, _)| fingerprint.id())
        .collect();
    let mut counts = Counts::default();
    let ready = Family::<[(&'static str, String); 2], Gauge>::default();
    for (key, head) in view.heads {
        *counts.objects.entry(head.state).or_default() += 1;
        if view.names {
            let labels = [("namespace", key.namespace.clone()), ("name", key.name.clone())];
            ready.get_or_create(&labels).set((head.state == State::Ready).into());
        }
        for item in &head.items {
            counts.item(item, &newest, &compromised, view.now);
        }
    }
    // All states are always there: an alert on one that is missing would never fire.
    let by = |label: &'static str, known: &[&'static str], counts: &HashMap<String, i64>| {
        let family = Family::<Label, Gauge>::default();
        for value in known.iter().map(ToString::to_string).chain(counts.keys().cloned()) {
            family.get_or_create(&[(label, value.clone())]).set(counts.get(&value).copied().unwrap_or_default());
        }
        family
    };
    let objects = counts.objects.iter().map(|(state, count)| (word(*state).to_owned(), *count)).collect();
    let key_items = counts.key_items.iter().map(|(key, count)| (key.to_string(), *count)).collect();
    let states = ["ready", "reconciling", "stalled", "suspended"];
    registry.register("sealed_secrets", "SealedSecrets by state", by("state", &states, &objects));
    let states = ["Active", "DecryptOnly", "Retired", "Compromised"];
    registry.register("sealing_keys", "SealingKeys by effective state", by("state", &states, &keys.by_state));
    registry.register("sealing_key_items", "Items that each key opens", by("key", &[], &key_items));
    let rotate_by = Family::<Label, Gauge>::default();
    for (state, date) in &counts.earliest {
        rotate_by.get_or_create(&[("state", (*state).to_owned())]).set(date.as_second());
    }
    registry.register_with_unit(
        "rotate_by_timestamp",
        "Earliest rotate-by date of the items in a state",
        Unit::Seconds,
        rotate_by,
    );
    let mut gauge = |name: &str, help: &str, value: i64| registry.register(name, help, ConstGauge::new(value));
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    gauge("queue_depth", "SealedSecrets that wait for a worker", if view.works { count(view.queued) } else { 0 });
    gauge("malformed_sealing_keys", "Secrets that should hold a private key and hold none", count(keys.malformed));
    gauge("missing_sealing_keys", "SealingKeys whose private key is not there any more", count(keys.missing));
    gauge("stale_items", "Items that are not under the newest key", if view.works { counts.stale } else { 0 });
    gauge("compromised_items", "Items under a compromised key", counts.compromised);
    gauge("rotation_due_items", "Items whose rotate-by date has come", counts.due);
    gauge("leader", "Whether this replica writes", view.leads.into());
    if let Some(newest) = keys.newest {
        registry.register_with_unit(
            "newest_key_created_timestamp",
            "Age of the newest key",
            Unit::Seconds,
            ConstGauge::new(newest),
        );
    }
    registry.register(
        "audit_lines",
        "Lines of the audit trail that this process has written",
        ConstCounter::new(view.audit_lines),
    );
    if view.names {
        registry.register("sealed_secret_ready", "Whether a SealedSecret is Ready", ready);
    }
    let build = Family::<Label, Gauge>::default();
    build.get_or_create(&[("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
    registry.register("build_info", "Version of the controller", build);
    registry
}

impl Counts {
    fn item(&mut self, item: &RememberedItem, newest: &HashSet<KeyId>, compromised: &HashSet<KeyId>, now: Timestamp) {
        if let Some(key) = item.opened_by {
            *self.key_items.entry(key).or_default() += 1;
            self.stale += i64::from(!newest.contains(&key));
        }
        self.compromised += i64::from(item.keys().any(|id| compromised.contains(id)));
        let Some(date) = item.rotate_by else { return };
        let state = if date <= now { "due" } else { "upcoming" };
        self.due += i64::from(state == "due");
        let earliest = self.earliest.entry(state).or_insert(date);
        *earliest = date.min(*earliest);
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Reconciling => "reconciling",
        State::Stalled => "stalled",
        State::Suspended => "suspended",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bulla_shared::age::Identity;
    use serde_json::json;

    use super::*;
    use crate::index::SealedHead;

    fn head(status: &serde_json::Value) -> Remembered {
        let head: SealedHead = serde_json::from_value(json!({"metadata": {"generation": 2}, "status": status})).unwrap();
        Remembered::from(&head)
    }

    fn condition(type_: &str, status: &str, reason: &str) -> serde_json::Value {
        json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": ""})
    }

    #[test]
    fn states_keys_and_dates_are_counted() {
        let [old, new] = std::array::from_fn(|_| Identity::generate(Algorithm::X25519));
        let ids = [&old, &new].map(|key| key.recipient().fingerprint().id().to_string());
        let mut ring = KeyRing::default();
        ring.insert(old, Timestamp::from_second(1).unwrap(), Duty::DecryptOnly).unwrap();
        ring.insert(new, Timestamp::from_second(2).unwrap(), Duty::Active).unwrap();
        let item = |key: usize, date: &str| json!({"name": "i", "state": "Opened", "keyId": ids[key], "rotateBy": date});
        let items = [item(0, "2026-11-25"), item(1, "2026-12-01"), item(1, "2027-01-01")];
        let with = |generation: i64, conditions: &[serde_json::Value]| {
            head(&json!({"observedGeneration": generation, "conditions": conditions, "items": items}))
        };
        let heads = [
            with(2, &[condition("Ready", "True", "Ready")]),
            with(1, &[condition("Ready", "True", "Ready")]),
            with(2, &[condition("Ready", "False", "X"), condition("Stalled", "True", "X")]),
            with(2, &[condition("Ready", "True", "Suspended")]),
            head(&json!({})),
        ];
        let metrics = Metrics::default();
        metrics.reconciled("Ready", Duration::from_millis(3));
        metrics.api_error(crate::api::ApiError::Conflict);
        metrics.rewrapped(true);
        let key = json!({
            "apiVersion": "bulla.dev/v1alpha1", "kind": "SealingKey", "metadata": {"name": "initial"}, "spec": {},
            "status": {"state": "Active", "created": "2026-11-25T08:00:00Z"},
        });
        let gone = json!({
            "apiVersion": "bulla.dev/v1alpha1", "kind": "SealingKey", "metadata": {"name": "gone"}, "spec": {},
            "status": {"created": "2026-11-25T09:00:00Z", "conditions": [condition("Stalled", "True", KEY_MISSING)]},
        });
        metrics.saw_keys(&[key, gone].map(|key| serde_json::from_value(key).unwrap()), 0);
        let key = Key { namespace: "n".to_owned(), name: "a".to_owned() };
        let view = |names, works| View {
            heads: Box::new(heads.iter().map(|head| (&key, head))),
            ring: &ring,
            queued: 7,
            works,
            leads: true,
            audit_lines: 9,
            names,
            now: "2026-11-25T08:00:00Z".parse().unwrap(),
        };
        let text = metrics.text(view(false, true));
        let new_key = format!("sealing_key_items{{key=\"{}\"}} 8", ids[1]);
        for line in [
            "sealed_secrets{state=\"ready\"} 1",
            "sealed_secrets{state=\"reconciling\"} 2",
            "sealed_secrets{state=\"stalled\"} 1",
            "sealed_secrets{state=\"suspended\"} 1",
            "stale_items 4",
            "rotation_due_items 4",
            "rotate_by_timestamp_seconds{state=\"due\"} 1795564800",
            "rotate_by_timestamp_seconds{state=\"upcoming\"} 1796083200",
            "queue_depth 7",
            "leader 1",
            "sealing_keys{state=\"Active\"} 1",
            "missing_sealing_keys 1",
            "newest_key_created_timestamp_seconds 1795593600",
            "reconciles_total{outcome=\"Ready\"} 1",
            "reconcile_duration_seconds_count 1",
            &new_key,
        ] {
            assert!(text.contains(&format!("\nbulla_{line}\n")), "{line} in {text}");
        }
        let standby = metrics.text(view(false, false));
        assert!(standby.contains("\nbulla_queue_depth 0\n") && standby.contains("\nbulla_stale_items 0\n"));
        // Those of the documentation, each with its type.
        let documented: BTreeSet<String> = include_str!("../../docs/metrics.md")
            .lines()
            .filter_map(|line| line.strip_prefix("| `bulla_")?.split_once("` | "))
            .map(|(name, rest)| format!("{name} {}", rest.split(' ').next().unwrap()))
            .collect();
        let served = text.lines().filter_map(|line| line.strip_prefix("# TYPE bulla_")?.split_once(' '));
        let served = served.map(|(name, type_)| format!("{name}{} {type_}", if type_ == "counter" { "_total" } else { "" }));
        assert_eq!(served.collect::<BTreeSet<_>>(), documented);
        assert!(text.ends_with("# EOF\n") && !text.contains("namespace="));
        assert!(metrics.text(view(true, true)).contains("bulla_sealed_secret_ready{namespace=\"n\",name=\"a\"}"));
    }
}
