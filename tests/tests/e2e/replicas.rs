//! One replica writes: takeover after a crash, a frozen writer, whose Secret it is, and a trail that shows what was cut out of it.

use std::path::Path;
use std::process::Command;

use bulla_control_plane::Options;
use bulla_shared::resources::sealed_secret::{CreationPolicy, SealedSecret};
use bulla_tests::binaries::binary;
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::controller::Controller;
use bulla_tests::eventually;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

async fn leads(controller: &Controller) {
    eventually("it leads", || async { (controller.metric("bulla_leader") == Some(1.0)).then_some(()) }).await;
}

async fn put(cluster: &Cluster, name: &str, value: &str) {
    cluster.apply(&seal(&plain("default", name, &[("a", value)]), &cluster.recipient().await)).await;
    cluster.wait("default", name, "Ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_and_the_trail_is_whole() {
    let cluster = Cluster::start(Options::default()).await;
    let log = cluster.plane.folder().join("trail.jsonl");
    let args = ["--lease-duration=4s", &format!("--audit-log={}", log.display())];
    let one = cluster.controller(&args).await;
    leads(&one).await;
    put(&cluster, "first", "1").await;
    let mut two = cluster.replica(&args).await;
    eventually("it stands by", || async { (two.get("/readyz")?.0 == 200).then_some(()) }).await;
    assert_eq!(two.metric("bulla_leader"), Some(0.0));
    assert_eq!(two.get("/metrics").unwrap().1.matches("bulla_items_opened_total 0").count(), 1);
    one.kill();
    leads(&two).await;
    put(&cluster, "second", "2").await;

    // Frozen for longer than its lease, while another writes; what it does when it wakes changes nothing, and it ends.
    let three = cluster.replica(&args).await;
    two.signal("STOP");
    leads(&three).await;
    put(&cluster, "second", "3").await;
    let before = cluster.secrets("default").get("second").await.unwrap().metadata.resource_version;
    two.signal("CONT");
    eventually("the frozen one ends", || {
        let ended = !two.is_running();
        async move { ended.then_some(()) }
    })
    .await;
    assert_eq!(cluster.secrets("default").get("second").await.unwrap().metadata.resource_version, before);
    assert_eq!(cluster.values("default", "second").await, ["a=3"]);

    verify(&cluster, &log).await;
}

/// The trail is whole up to what the Lease says, and cut anywhere it is not.
async fn verify(cluster: &Cluster, log: &Path) {
    let secret = cluster.secrets("bulla-system").get("bulla-audit-key").await.unwrap();
    let key = log.with_file_name("audit.key");
    std::fs::write(&key, &secret.data.unwrap()["key"].0).unwrap();
    let leases: Api<Lease> = Api::namespaced(cluster.admin(), "bulla-system");
    let lines = || std::fs::read_to_string(log).unwrap();
    assert_eq!(lines().matches(r#""event":"started""#).count(), 3);
    // Once for each generation: the one that was frozen opened nothing when it woke.
    for (name, times) in [("first", 1), ("second", 2)] {
        let name = format!(r#""name":"{name}""#);
        let opened = lines().lines().filter(|line| line.contains(&name) && line.contains(r#""event":"opened""#)).count();
        assert_eq!(opened, times, "{name}");
    }
    let until = eventually("the Lease names the last line of its chain", || async {
        let lease = leases.get("bulla-controller").await.unwrap();
        let named = lease.metadata.annotations?.get("bulla.dev/audit-checkpoint")?.clone();
        let (chain, seq) = named.rsplit_once(':')?.0.split_once(':')?;
        let last = lines().lines().map(place).filter(|(of, _)| of == chain).map(|(_, seq)| seq).max()?;
        (seq.parse() == Ok(last)).then_some(named)
    })
    .await;
    let run = |text: &str| {
        let copy = log.with_file_name("copy.jsonl");
        std::fs::write(&copy, text).unwrap();
        let mut command = Command::new(binary("bulla-controller"));
        command.args(["audit", "verify", "--until", &until, "--key"]).arg(&key).arg(&copy).output().unwrap()
    };
    let whole = lines();
    let good = run(&whole);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stdout));
    let all: Vec<&str> = whole.split_inclusive('\n').collect();
    // What a writer records after another has taken over is named by nobody, and can be cut off its end.
    let named: Vec<(String, u64)> = all
        .iter()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["after"].as_str().map(str::to_owned))
        .chain([until.clone()])
        .map(|named| {
            let mut parts = named.split(':');
            (parts.next().unwrap().to_owned(), parts.next().unwrap().parse().unwrap())
        })
        .collect();
    for gone in 0..all.len() {
        let (chain, seq) = place(all[gone]);
        if !named.iter().any(|(named, last)| *named == chain && seq <= *last) {
            continue;
        }
        let cut: String = all.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, line)| *line).collect();
        assert!(!run(&cut).status.success(), "without line {gone}");
    }
}

/// Chain and number of a line.
fn place(line: &str) -> (String, u64) {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    (line["chain"].as_str().unwrap().to_owned(), line["seq"].as_u64().unwrap())
}

fn policy(mut sealed: SealedSecret, policy: CreationPolicy) -> SealedSecret {
    sealed.spec.target.creation_policy = policy;
    sealed
}

#[tokio::test(flavor = "multi_thread")]
async fn by_consent_of_whoever_has_the_secret() {
    let cluster = Cluster::start(Options::default()).await;
    let _controller = cluster.controller(&["--default-label=team=a", "--watch-namespace=default"]).await;
    let recipient = cluster.recipient().await;
    let secrets = cluster.secrets("default");
    let sealed = |name: &str, items: &[(&str, &str)]| seal(&plain("default", name, items), &recipient);
    let make = async |name: &str, metadata: serde_json::Value| {
        let mut metadata = metadata;
        metadata["name"] = json!(name);
        let secret = json!({"metadata": metadata, "stringData": {"a": "theirs", "z": "theirs"}});
        secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap()
    };
    let edit = async |name: &str, metadata: serde_json::Value| {
        let patch = Patch::Merge(json!({"metadata": metadata}));
        secrets.patch(name, &PatchParams::default(), &patch).await.unwrap();
    };

    make("taken", json!({"labels": {"bulla.dev/secret": "adopt"}})).await;
    cluster.apply(&sealed("taken", &[("a", "1")])).await;
    cluster.wait("default", "taken", "Ready").await;
    assert_eq!(cluster.values("default", "taken").await, ["a=1"]);
    let taken = secrets.get("taken").await.unwrap().metadata;
    assert_eq!(
        (taken.labels.as_ref().unwrap()["bulla.dev/secret"].as_str(), taken.owner_references.unwrap().len()),
        ("adopt", 1)
    );
    assert_eq!(taken.labels.unwrap()["team"], "a");
    edit("taken", json!({"labels": {"bulla.dev/secret": null}})).await;
    cluster.wait("default", "taken", "ConsentRemoved").await;
    assert_eq!(cluster.values("default", "taken").await, ["a=1"]);

    cluster.apply(&policy(sealed("merged", &[("a", "1"), ("b", "2")]), CreationPolicy::Merge)).await;
    cluster.wait("default", "merged", "SecretMissing").await;
    make("merged", json!({"labels": {"bulla.dev/secret": "merge"}, "annotations": {"bulla.dev/merge": "a,b"}})).await;
    cluster.wait("default", "merged", "Ready").await;
    assert_eq!(cluster.values("default", "merged").await, ["a=1", "b=2", "z=theirs"]);
    edit("merged", json!({"annotations": {"bulla.dev/merge": "a"}})).await;
    cluster.wait("default", "merged", "ItemsNotConsented").await;
    assert_eq!(cluster.values("default", "merged").await, ["a=1", "z=theirs"]);

    cluster.apply(&policy(sealed("kept", &[("a", "1")]), CreationPolicy::Orphan)).await;
    cluster.wait("default", "kept", "Ready").await;
    assert_eq!(secrets.get("kept").await.unwrap().metadata.owner_references, None);
    cluster.delete("default", "kept").await;
    cluster.apply(&sealed("kept", &[("a", "2")])).await;
    cluster.wait("default", "kept", "Ready").await;
    assert_eq!(cluster.values("default", "kept").await, ["a=2"], "the next of its name has it");
    cluster.apply(&policy(sealed("kept", &[("a", "3")]), CreationPolicy::Orphan)).await;
    cluster.wait("default", "kept", "Ready").await;
    assert_eq!(secrets.get("kept").await.unwrap().metadata.owner_references.unwrap_or_default(), []);
}
