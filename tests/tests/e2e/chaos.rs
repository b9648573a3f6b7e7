//! 500 objects change all the time, while requests fail in every way, watches are cut, API server and etcd are killed, and replicas are
//! killed and frozen. After each trouble every Secret is as its source says, and there is no other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bulla_control_plane::{ControlPlane, Options};
use bulla_shared::age::Recipient;
use bulla_shared::resources::sealed_secret::SealedSecret;
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::controller::Controller;
use bulla_tests::eventually;
use bulla_tests::fault_proxy::{Fault, FaultProxy, Seen};
use fastrand::Rng;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const SEED: u64 = 5;
const NAMESPACE: &str = "chaos";
const OBJECTS: usize = 500;
/// Who change objects at once, each its own.
const AUTHORS: usize = 5;
/// Between two changes of an author.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest time until all is well again: the garbage collector loses the API server too, and takes its time to come back.
const PATIENCE: Duration = Duration::from_mins(3);

/// Of a thousand requests.
const FAILURES: [(Fault, u32); 5] =
    [(Fault::Conflict, 15), (Fault::TooMany(1), 3), (Fault::Broken, 15), (Fault::Lost, 10), (Fault::AnswerLost, 20)];

/// Two controllers; one that ends is started again, as its container would be.
struct Replicas<'a> {
    plane: &'a ControlPlane,
    kubeconfig: PathBuf,
    both: Mutex<[Controller; 2]>,
}

impl<'a> Replicas<'a> {
    fn start(plane: &'a ControlPlane, proxy: &FaultProxy) -> Self {
        let kubeconfig = proxy.kubeconfig().to_owned();
        let both = std::array::from_fn(|_| replica(plane, &kubeconfig));
        Self { plane, kubeconfig, both: Mutex::new(both) }
    }

    fn both(&self) -> MutexGuard<'_, [Controller; 2]> {
        self.both.lock().unwrap()
    }

    async fn tend(&self) {
        loop {
            for one in self.both().iter_mut().filter_map(|one| (!one.is_running()).then_some(one)) {
                *one = replica(self.plane, &self.kubeconfig);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// The one that leads. Never ask while one is frozen: it would not answer.
    async fn leader(&self) -> usize {
        eventually("a replica leads", || async { self.both().iter().position(leads) }).await
    }

    async fn takes_over(&self, which: usize) {
        eventually("the other replica leads", || async { leads(&self.both()[which]).then_some(()) }).await;
    }
}

fn replica(plane: &ControlPlane, kubeconfig: &std::path::Path) -> Controller {
    Controller::start_by(plane, kubeconfig, "bulla-system", &["--lease-duration=4s", "--workers=16"])
}

fn leads(controller: &Controller) -> bool {
    controller.metric("bulla_leader") == Some(1.0)
}

/// Changes some of the objects, and knows what must become of them.
struct Author {
    sealed: Api<SealedSecret>,
    secrets: Api<Secret>,
    recipient: Recipient,
    random: Rng,
    names: Vec<String>,
    /// The items of each object that there is.
    wanted: BTreeMap<String, BTreeMap<String, String>>,
    changes: u32,
}

impl Author {
    async fn work(mut self, is_over: Arc<AtomicBool>) -> Self {
        if self.changes == 0 {
            for name in self.names.clone() {
                self.put(&name).await;
            }
        }
        while !is_over.load(Ordering::Relaxed) {
            let name = self.random.choice(&self.names).unwrap().clone();
            self.change(&name).await;
            sleep(PAUSE).await;
        }
        self
    }

    async fn change(&mut self, name: &str) {
        match self.random.u8(..20) {
            // Made anew while the API server is away, it may be that the garbage collector never sees the first one go.
            0 | 1 => {
                insist(|| async { self.sealed.delete(name, &DeleteParams::default()).await }).await;
                self.wanted.remove(name);
            }
            2 => insist(|| async { self.secrets.delete(name, &DeleteParams::default()).await }).await,
            3 => {
                let edit = Patch::Merge(json!({"data": {"a": "eA==", "intruder": "eA=="}}));
                insist(|| async { self.secrets.patch(name, &PatchParams::default(), &edit).await }).await;
            }
            _ => self.put(name).await,
        }
    }

    async fn put(&mut self, name: &str) {
        self.changes += 1;
        let change = self.changes;
        let items: BTreeMap<String, String> = ["a", "b", "c"]
            .into_iter()
            .filter(|item| *item == "a" || self.random.bool())
            .map(|item| (item.to_owned(), format!("{name} {item} {change}")))
            .collect();
        let pairs: Vec<(&str, &str)> = items.iter().map(|(item, value)| (item.as_str(), value.as_str())).collect();
        let sealed = seal(&plain(NAMESPACE, name, &pairs), &self.recipient);
        let params = PatchParams::apply("gitops").force();
        insist(|| async { self.sealed.patch(name, &params, &Patch::Apply(&sealed)).await }).await;
        self.wanted.insert(name.to_owned(), items);
    }
}

/// Asks until the API server has done it, or says that there is nothing to do it to.
async fn insist<T, F: Future<Output = kube::Result<T>>>(request: impl Fn() -> F) {
    eventually("a change of the test itself", || async {
        match timeout(Duration::from_secs(5), request()).await {
            Ok(Ok(_)) => Some(()),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 && status.reason == "NotFound" => Some(()),
            _ => None,
        }
    })
    .await;
}

/// The authors work while there is trouble; then all must become well.
async fn phase(cluster: &Cluster, authors: &mut Vec<Author>, what: &str, trouble: impl Future<Output = ()>) {
    let start = Instant::now();
    let is_over = Arc::new(AtomicBool::new(false));
    let tasks: JoinSet<Author> = authors.drain(..).map(|author| author.work(is_over.clone())).collect();
    trouble.await;
    is_over.store(true, Ordering::Relaxed);
    *authors = tasks.join_all().await;
    let (trouble, end) = (start.elapsed(), Instant::now());
    all_is_well(cluster, authors, what).await;
    let changes: u32 = authors.iter().map(|author| author.changes).sum();
    println!("{what}: {trouble:.1?}, until all is well {:.1?}, puts {changes}", end.elapsed());
}

async fn all_is_well(cluster: &Cluster, authors: &[Author], what: &str) {
    let start = Instant::now();
    loop {
        let wrong = what_is_wrong(cluster, authors).await;
        if wrong.is_empty() {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: {} wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
        sleep(Duration::from_millis(500)).await;
    }
}

/// Where objects and Secrets are not as the authors want them.
async fn what_is_wrong(cluster: &Cluster, authors: &[Author]) -> Vec<String> {
    let all = ListParams::default();
    let (Ok(sealed), Ok(secrets)) =
        tokio::join!(async { cluster.sealed(NAMESPACE).list(&all).await }, async { cluster.secrets(NAMESPACE).list(&all).await })
    else {
        return vec!["no answer".to_owned()];
    };
    let name = |name: &Option<String>| name.clone().unwrap();
    let sealed: BTreeMap<String, SealedSecret> = sealed.items.into_iter().map(|one| (name(&one.metadata.name), one)).collect();
    let mut secrets: BTreeMap<String, Secret> = secrets.items.into_iter().map(|one| (name(&one.metadata.name), one)).collect();
    let wanted = || authors.iter().flat_map(|author| &author.wanted);
    let mut wrong = Vec::new();
    if sealed.len() != wanted().count() {
        wrong.push(format!("{} objects", sealed.len()));
    }
    for (name, items) in wanted() {
        let secret = secrets.remove(name);
        let why = sealed.get(name).map_or(Some("no object".to_owned()), |sealed| is_wrong(sealed, secret.as_ref(), items));
        wrong.extend(why.map(|why| format!("{name}: {why}")));
    }
    wrong.extend(secrets.into_keys().map(|name| format!("{name} is left")));
    wrong
}

fn is_wrong(sealed: &SealedSecret, secret: Option<&Secret>, items: &BTreeMap<String, String>) -> Option<String> {
    let status = sealed.status.clone().unwrap_or_default();
    let ready = status.conditions.iter().find(|condition| condition.r#type == "Ready");
    if ready.is_none_or(|ready| ready.status != "True") || status.observed_generation != sealed.metadata.generation {
        return Some(format!("{ready:?} of {:?}, not {:?}", status.observed_generation, sealed.metadata.generation));
    }
    let Some(secret) = secret else { return Some("no Secret".to_owned()) };
    let data = secret.data.iter().flatten().map(|(item, value)| (item.clone(), String::from_utf8_lossy(&value.0).into_owned()));
    let data: BTreeMap<String, String> = data.collect();
    if data != *items {
        return Some(format!("{data:?}, not {items:?}"));
    }
    let owners = secret.metadata.owner_references.iter().flatten();
    if owners.map(|owner| Some(&owner.uid)).collect::<Vec<_>>() != [sealed.metadata.uid.as_ref()] {
        return Some(format!("owned by {:?}", secret.metadata.owner_references));
    }
    let applied = status.applied.map(|applied| applied.secret_resource_version);
    (applied != secret.metadata.resource_version).then(|| format!("{applied:?} applied"))
}

async fn story(cluster: &Cluster, proxy: &FaultProxy, replicas: &Replicas<'_>) {
    let plane = &cluster.plane;
    let recipient = cluster.recipient().await;
    let author = |which: usize| Author {
        sealed: cluster.sealed(NAMESPACE),
        secrets: cluster.secrets(NAMESPACE),
        recipient: recipient.clone(),
        random: Rng::with_seed(SEED + which as u64),
        names: (which..OBJECTS).step_by(AUTHORS).map(|index| format!("object-{index}")).collect(),
        wanted: BTreeMap::new(),
        changes: 0,
    };
    let authors: &mut Vec<Author> = &mut (0..AUTHORS).map(author).collect();
    let a_while = || sleep(Duration::from_secs(2));

    phase(cluster, authors, "requests fail, watches are cut", async {
        sleep(Duration::from_secs(15)).await;
        proxy.inject(&[]);
    })
    .await;
    phase(cluster, authors, "requests and watches are held, watches are cut", async {
        proxy.inject(&[(Fault::Held, 100), (Fault::AnswerHeld, 100)]);
        sleep(Duration::from_secs(4)).await;
        proxy.inject(&[]);
    })
    .await;
    proxy.cut_watches(false);
    phase(cluster, authors, "the API server is killed", async {
        for _ in 0..2 {
            plane.stop_apiserver();
            a_while().await;
            plane.start_apiserver().await.unwrap();
            a_while().await;
        }
    })
    .await;
    phase(cluster, authors, "etcd is killed", async {
        for _ in 0..2 {
            plane.stop_etcd();
            a_while().await;
            plane.start_etcd().await.unwrap();
            a_while().await;
        }
    })
    .await;
    phase(cluster, authors, "the leader is killed", async {
        for _ in 0..3 {
            let leader = replicas.leader().await;
            sleep(Duration::from_secs(1)).await;
            let mut both = replicas.both();
            both[leader] = replica(plane, proxy.kubeconfig());
        }
    })
    .await;
    phase(cluster, authors, "the leader is frozen", async {
        for _ in 0..2 {
            let leader = replicas.leader().await;
            replicas.both()[leader].signal("STOP");
            replicas.takes_over(1 - leader).await;
            a_while().await;
            replicas.both()[leader].signal("CONT");
            a_while().await;
        }
    })
    .await;
    assert_eq!((cluster.sealing_keys().await.len(), cluster.private_keys().await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_is_as_its_source_says() {
    let cluster = Cluster::start(Options { durable: true, ..Options::default() }).await;
    cluster.namespace(NAMESPACE).await;
    let proxy = FaultProxy::start(&cluster.plane, SEED).await;
    // The key is made in trouble too.
    proxy.inject(&FAILURES);
    proxy.cut_watches(true);
    let replicas = Replicas::start(&cluster.plane, &proxy);
    tokio::select! {
        () = replicas.tend() => {}
        () = story(&cluster, &proxy, &replicas) => {}
    }
}

/// Once the API server has asked for a pause, nothing is asked of it but for the Lease, and then all goes on.
#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_respected() {
    const ASKED: Duration = Duration::from_secs(2);
    let cluster = Cluster::start(Options::default()).await;
    let proxy = FaultProxy::start(&cluster.plane, SEED).await;
    let _controller = replica(&cluster.plane, proxy.kubeconfig());
    let recipient = cluster.recipient().await;
    let objects = |value: &str| -> Vec<SealedSecret> {
        (0..100).map(|index| seal(&plain("default", &format!("object-{index}"), &[("a", value)]), &recipient)).collect()
    };
    cluster.apply_all(objects("1")).await;
    cluster.all_ready("default", 100).await;

    let asked = async || {
        proxy.inject(&[(Fault::TooMany(ASKED.as_secs()), 1000)]);
        let is_ours = |seen: &&Seen| seen.fault.is_some() && !seen.path.contains("/leases");
        let first = eventually("a request met it", || async { proxy.seen().iter().find(is_ours).map(|seen| seen.at) }).await;
        proxy.inject(&[]);
        first
    };
    let (asked, ()) = tokio::join!(asked(), cluster.apply_all(objects("2")));
    cluster.all_ready("default", 100).await;

    let after: Vec<_> = proxy.seen().into_iter().filter(|seen| seen.at > asked).collect();
    let (leases, others): (Vec<_>, Vec<_>) = after.into_iter().partition(|seen| seen.path.contains("/leases"));
    // What was on its way when the answer came is let be.
    let early = |seen: &&Seen| (asked + Duration::from_millis(300)..asked + ASKED).contains(&seen.at);
    assert_eq!(others.iter().filter(early).map(|seen| &seen.path).collect::<Vec<_>>(), [] as [&String; 0]);
    assert!(leases.iter().any(|seen| early(&seen)), "the Lease is renewed meanwhile");
    let first = others.iter().map(|seen| seen.at).filter(|at| *at >= asked + ASKED).min().unwrap();
    assert!(first < asked + ASKED + Duration::from_secs(2), "{:?}", first - asked);
}
