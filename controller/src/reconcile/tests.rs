//! What comes before a write: a replica that does not lead opens nothing, and what cannot be recorded is not written.

use bulla_shared::SecretBytes;
use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::ScopeKind;
use bulla_shared::convert::SealOptions;
use bulla_shared::sealed::Recipients;
use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use kube::runtime::events::Reporter;
use serde_json::json;
use tower::BoxError;

use super::*;
use crate::audit::AuditKey;
use crate::options::AuditLog;

/// One object that opens, and an API server that has it.
struct Bench {
    reconciler: Reconciler,
    key: Key,
    writes: Arc<Mutex<Vec<Method>>>,
    /// Queries of reads.
    reads: Arc<Mutex<Vec<Option<String>>>>,
    /// With what code Secrets are refused, if they are.
    refusal: Arc<Mutex<Option<StatusCode>>>,
    /// The version of the object that no cache has.
    newest: Arc<Mutex<String>>,
}

impl Bench {
    fn new(leads: bool, trail: Option<Trail>) -> Self {
        let identity = Identity::generate(Algorithm::X25519);
        let recipients = Recipients::new([identity.recipient().clone()]).unwrap();
        let plain = PlainSecret {
            namespace: Some("shop".parse().unwrap()),
            name: "db".parse().unwrap(),
            type_: None,
            immutable: None,
            labels: [].into(),
            annotations: [].into(),
            items: [("a".parse().unwrap(), SecretBytes::new(b"1".to_vec()))].into(),
        };
        let options = SealOptions { scope: ScopeKind::Strict, recipients: &recipients, now: Timestamp::now(), rotate_by: None };
        let mut sealed = plain.seal(&options).unwrap();
        sealed.metadata.uid = Some("u".to_owned());
        sealed.metadata.generation = Some(1);
        sealed.metadata.resource_version = Some("1".to_owned());
        let mut head = SealedHead { metadata: sealed.metadata.clone(), ..SealedHead::default() };
        // As the definition has it.
        head.status.observed_generation = Some(-1);
        let writes = Arc::new(Mutex::new(Vec::new()));
        let reads = Arc::new(Mutex::new(Vec::new()));
        let refusal = Arc::new(Mutex::new(None));
        let newest = Arc::new(Mutex::new("1".to_owned()));
        let server = tower::service_fn({
            let (writes, reads, refusal, newest) = (writes.clone(), reads.clone(), refusal.clone(), newest.clone());
            move |request: Request<Body>| {
                let is_read = request.method() == Method::GET;
                if is_read {
                    reads.lock().unwrap().push(request.uri().query().map(str::to_owned));
                } else {
                    writes.lock().unwrap().push(request.method().clone());
                }
                let mut answer = if is_read { json!(sealed) } else { json!({"metadata": sealed.metadata}) };
                if request.uri().query().is_none() && request.uri().path().contains("/sealedsecrets/") {
                    answer["metadata"]["resourceVersion"] = json!(newest.lock().unwrap().clone());
                }
                let mut answer = Response::new(Body::from(answer.to_string().into_bytes()));
                if let Some(code) = *refusal.lock().unwrap()
                    && request.method() == Method::POST
                {
                    *answer.status_mut() = code;
                }
                async move { Ok::<_, BoxError>(answer) }
            }
        });
        let client = Client::new(server, "default");
        let leadership = Arc::new(Leadership::default());
        if leads {
            leadership.extend(tokio::time::Instant::now(), Duration::from_mins(1));
        }
        let recorder = Recorder::new(client.clone(), Reporter { controller: "test".to_owned(), instance: None });
        let types = AllowedTypes::with([]);
        let trail = trail.map(Arc::new);
        let reconciler = Reconciler::new(client, recorder, leadership, trail, "bulla-system", types, Defaults::default());
        let mut ring = KeyRing::default();
        ring.insert(identity, Timestamp::now(), Duty::Active).unwrap();
        reconciler.replace_ring(ring);
        let key = Key::of(&head.metadata);
        reconciler.saw_sealed(&head, Lane::News);
        Self { reconciler, key, writes, reads, refusal, newest }
    }

    /// How it ended, what was written, and how many items were opened.
    async fn run(self) -> (Result<&'static str, ApiError>, Vec<Method>, bool) {
        let ended = self.reconciler.reconcile(&self.key).await.map(|(word, _)| word);
        let ring = self.reconciler.keys();
        let text = self.reconciler.metrics.text(crate::metrics::View {
            heads: Box::new(std::iter::empty()),
            ring: &ring,
            queued: 0,
            works: true,
            leads: false,
            audit_lines: 0,
            names: false,
            now: Timestamp::now(),
        });
        let writes = self.writes.lock().unwrap().clone();
        (ended, writes, text.contains("bulla_items_opened_total 1"))
    }
}

#[tokio::test]
async fn only_what_nobody_has_looked_at_may_come_from_a_cache() {
    let Bench { reconciler, key, reads, .. } = Bench::new(true, None);
    reconciler.reconcile(&key).await.unwrap();
    reconciler.reconcile(&key).await.unwrap();
    assert_eq!(*reads.lock().unwrap(), [Some("resourceVersion=1".to_owned()), None]);
}

#[tokio::test]
async fn a_failure_is_read_afresh() {
    let Bench { reconciler, key, reads, .. } = Bench::new(true, None);
    reconciler.again(&key, Next::Retry);
    reconciler.reconcile(&key).await.unwrap();
    assert_eq!(*reads.lock().unwrap(), [None]);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_once_the_installation_is_complete() {
    let Bench { reconciler, key, .. } = Bench::new(true, None);
    let start = tokio::time::Instant::now();
    assert_eq!(reconciler.queue.next().await, key);
    reconciler.again(&key, Next::Poll);
    reconciler.queue.done(&key);
    let completed = Notify::new();
    completed.notify_one();
    tokio::select! {
        () = reconciler.wake_failed_at(&completed) => unreachable!("it ends never"),
        again = reconciler.queue.next() => assert_eq!(again, key),
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn over_a_secret_nothing_old_is_written() {
    for (newest, read, written) in [("1", 3, vec![Method::POST, Method::PUT]), ("2", 2, vec![Method::POST])] {
        let Bench { reconciler, key, reads, writes, refusal, newest: version } = Bench::new(true, None);
        *refusal.lock().unwrap() = Some(StatusCode::CONFLICT);
        *version.lock().unwrap() = newest.to_owned();
        let _ = reconciler.reconcile(&key).await;
        assert_eq!(
            reads.lock().unwrap().len(),
            read,
            "{newest}: the object, the object again, the Secret if that was the newest"
        );
        assert!(writes.lock().unwrap().starts_with(&written));
        assert_eq!(writes.lock().unwrap().iter().filter(|method| *method == Method::PUT).count(), 1, "{newest}: only the status");
    }
}

#[tokio::test]
async fn a_change_ends_the_backoff() {
    let Bench { reconciler, key, .. } = Bench::new(true, None);
    let fails = || {
        reconciler.again(&key, Next::Retry);
        !reconciler.failures.lock().unwrap().is_empty()
    };
    assert!(fails());
    reconciler.lost_secret(&key);
    assert!(reconciler.failures.lock().unwrap().is_empty());
    assert!(fails());
    let metadata = ObjectMeta {
        namespace: Some(key.namespace.clone()),
        name: Some(key.name.clone()),
        generation: Some(2),
        ..Default::default()
    };
    reconciler.saw_sealed(&SealedHead { metadata, ..SealedHead::default() }, Lane::News);
    assert!(reconciler.failures.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_the_watch_shows_before_the_answer_is_no_news() {
    let Bench { reconciler, key, .. } = Bench::new(true, None);
    let queued = reconciler.queue.next().await;
    reconciler.queue.done(&queued);
    let metadata = serde_json::from_value(api::sealed_secret(&reconciler.client, &key, None).await.unwrap()["metadata"].take());
    let head = SealedHead { metadata: metadata.unwrap(), ..SealedHead::default() };
    let mut shown = head.clone();
    shown.metadata.resource_version = Some("2".to_owned());
    shown.status.observed_generation = Some(1);
    let (written, ()) = tokio::join!(reconciler.write_status(&head, &shown.status), async {
        reconciler.saw_sealed(&shown, Lane::News);
    });
    written.unwrap();
    assert_eq!(reconciler.queue.len(), 0);
    assert_eq!(reconciler.index.get(&key).0, Some(Remembered::from(&shown)));
}

#[tokio::test]
async fn who_leads_and_records_writes() {
    let written = vec![Method::POST, Method::PUT];
    assert_eq!(Bench::new(true, None).run().await, (Ok("Ready"), written, true));
}

#[tokio::test]
async fn a_secret_that_the_api_server_refuses_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trail");
    let key = AuditKey::parse("0".repeat(64).as_bytes()).unwrap();
    let trail = Trail::open(&AuditLog::File(path.clone()), key).unwrap().unwrap();
    trail.begin("test", None).unwrap();
    let bench = Bench::new(true, Some(trail));
    *bench.refusal.lock().unwrap() = Some(StatusCode::FORBIDDEN);
    assert_eq!(bench.run().await.0, Ok("Forbidden"));
    let text = std::fs::read_to_string(path).unwrap();
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let events: Vec<_> = events.map(|event| [event["event"].clone(), event["reason"].clone()]).collect();
    assert_eq!(events[1..], [[json!("opened"), json!(null)], [json!("refused"), json!("Forbidden")]]);
}

#[tokio::test]
async fn without_the_lease_nothing_is_opened() {
    assert_eq!(Bench::new(false, None).run().await, (Err(ApiError::NotLeading), Vec::new(), false));
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_written() {
    let key = || AuditKey::parse("0".repeat(64).as_bytes()).unwrap();
    let full = Trail::open(&AuditLog::File("/dev/full".into()), key()).unwrap().unwrap();
    assert!(full.begin("test", None).is_err());
    assert_eq!(Bench::new(true, Some(full)).run().await, (Err(ApiError::Unrecorded), Vec::new(), true));

    // A closed pipe, after a chain has begun well.
    let (reader, writer) = std::io::pipe().unwrap();
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&writer));
    let pipe = Trail::open(&AuditLog::File(path.into()), key()).unwrap().unwrap();
    pipe.begin("test", None).unwrap();
    drop(reader);
    assert_eq!(Bench::new(true, Some(pipe)).run().await, (Err(ApiError::Unrecorded), Vec::new(), true));
}
