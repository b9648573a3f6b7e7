//! How the real Flux judges our objects, by kstatus: a `Kustomization` with `wait: true` is Ready once the Secrets are there and never
//! before, and fails at once on an object that only a change can cure.
//!
//! "Never before" is asked of the API server's audit log, which has every status that Flux ever wrote.

use bulla_control_plane::Options;
use bulla_keys::stored::StoredKey;
use bulla_shared::age::{Algorithm, Recipient};
use bulla_tests::cluster::{Cluster, manifest, plain, seal};
use bulla_tests::eventually;
use bulla_tests::flux::{Flux, kustomizations};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::Value;

/// What Flux says and looks at, and when a Secret was made or changed.
const AUDIT: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  verbs: [patch, update]
  resources: [{group: kustomize.toolkit.fluxcd.io, resources: [kustomizations/status]}]
- level: Metadata
  users: ["system:serviceaccount:flux-system:kustomize-controller"]
  verbs: [get]
  resources: [{group: bulla.dev, resources: [sealedsecrets]}]
- level: Metadata
  users: ["system:serviceaccount:bulla-system:bulla-controller"]
  verbs: [create, update]
  resources: [{group: "", resources: [secrets]}]
- level: None
"#;

/// A file of the repository.
fn document(name: &str, value: &str, recipient: &Recipient) -> String {
    manifest(&seal(&plain("shop", name, &[("password", value)]), recipient))
}

/// Status, reason and message of a condition.
fn condition(object: &Value, type_: &str) -> Option<[String; 3]> {
    let all = object["status"]["conditions"].as_array()?;
    let found = all.iter().find(|condition| condition["type"] == type_)?;
    Some(["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default().to_owned()))
}

/// Waits until the `Kustomization` has `Ready` with this status and reason; gives its message.
async fn judged(cluster: &Cluster, name: &str, status: &str, reason: &str, part: &str) -> String {
    eventually(&format!("Kustomization {name} {status} {reason} {part}"), || async {
        let object = serde_json::to_value(kustomizations(cluster).get(name).await.unwrap()).unwrap();
        let [is, why, message] = condition(&object, "Ready")?;
        (is == status && why == reason && message.contains(part)).then_some(message)
    })
    .await
}

/// Waits until Flux waits for the health of these `Kustomization`s, and has looked at these objects twice since.
async fn looked_at(cluster: &Cluster, names: &[&str], objects: &[&str]) {
    for name in names {
        eventually(&format!("Flux waits for {name}"), || async {
            let object = serde_json::to_value(kustomizations(cluster).get(name).await.unwrap()).unwrap();
            let [status, _, message] = condition(&object, "Reconciling")?;
            (status == "True" && message.contains("Running health checks")).then_some(())
        })
        .await;
    }
    let looks = |object: &str| {
        let log = cluster.plane.audit_log().unwrap();
        log.iter().filter(|event| event["verb"] == "get" && event["objectRef"]["name"] == object).count()
    };
    for object in objects {
        let before = looks(object);
        eventually(&format!("Flux looks at {object}"), || async { (looks(object) >= before + 2).then_some(()) }).await;
    }
}

/// Asserts that Flux said Ready of `revision`, and not before the write of each of these Secrets had ended.
fn never_early(cluster: &Cluster, name: &str, revision: &str, verb: &str, secrets: &[&str]) {
    let log = cluster.plane.audit_log().unwrap();
    let said = log.iter().filter(|event| {
        let object = &event["responseObject"];
        let ready = condition(object, "Ready").is_some_and(|[status, _, message]| status == "True" && message.contains(revision));
        object["metadata"]["name"] == name && ready
    });
    let said = said.map(|event| event["requestReceivedTimestamp"].as_str().unwrap()).min().expect("Flux said Ready");
    for secret in secrets {
        let write = log.iter().find(|event| {
            event["objectRef"]["resource"] == "secrets" && event["objectRef"]["name"] == *secret && event["verb"] == verb
        });
        let written = write.unwrap_or_else(|| panic!("no {verb} of {secret}"))["stageTimestamp"].as_str().unwrap();
        assert!(written < said, "{name}: Ready at {said}, {secret} written at {written}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kustomization_that_waits() {
    let cluster = Cluster::start(Options { audit_policy: Some(AUDIT.to_owned()), ..Options::default() }).await;
    let controller = cluster.controller(&[]).await;
    let flux = Flux::start(&cluster).await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/flux/bulla.yaml");
    cluster.plane.apply_dry(&std::fs::read_to_string(example).unwrap()).await.unwrap();
    cluster.namespace("shop").await;
    let recipient = cluster.recipient().await;
    let good = |names: &[&str], value: &str| names.iter().map(|name| document(name, value, &recipient)).collect::<Vec<_>>();

    let all = ["db", "queue", "mail"];
    flux.push(&cluster, "good", "v1", &good(&all, "1")).await;
    judged(&cluster, "good", "True", "ReconciliationSucceeded", "v1").await;
    never_early(&cluster, "good", "v1", "create", &all);

    // One that only a new file can cure: it is named, and the good one beside it is not.
    let mut files = good(&["fine", "broken"], "1");
    files[1] = files[1].replace("  name: broken", "  name: moved");
    flux.push(&cluster, "bad", "v1", &files).await;
    let message = judged(&cluster, "bad", "False", "HealthCheckFailed", "").await;
    assert!(message.contains("SealedSecret/shop/moved") && !message.contains("fine"), "{message}");
    assert!(message.contains("stalled") && !message.contains("timeout"), "failed because of the object, not of time: {message}");
    flux.push(&cluster, "bad", "v2", &good(&["fine", "broken"], "1")).await;
    judged(&cluster, "bad", "True", "ReconciliationSucceeded", "v2").await;

    // A value whose key comes later.
    let key = StoredKey::generate("restored", Algorithm::Hybrid, Timestamp::now());
    flux.push(&cluster, "waiting", "v1", &[document("late", "1", key.identity.recipient())]).await;
    let message = judged(&cluster, "waiting", "False", "HealthCheckFailed", "").await;
    assert!(message.contains("SealedSecret/shop/late"), "{message}");
    let secret: Secret = serde_json::from_slice(&key.to_json("bulla-system")).unwrap();
    cluster.secrets("bulla-system").create(&PostParams::default(), &secret).await.unwrap();
    judged(&cluster, "waiting", "True", "ReconciliationSucceeded", "v1").await;
    never_early(&cluster, "waiting", "v1", "create", &["late"]);

    // Nobody there to open a new object, nor a new value of one that is Ready.
    controller.kill();
    flux.push(&cluster, "early", "v1", &good(&["unopened"], "1")).await;
    flux.push(&cluster, "good", "v2", &good(&all, "2")).await;
    looked_at(&cluster, &["early", "good"], &["unopened", "db"]).await;
    let _controller = cluster.controller(&[]).await;
    judged(&cluster, "early", "True", "ReconciliationSucceeded", "v1").await;
    judged(&cluster, "good", "True", "ReconciliationSucceeded", "v2").await;
    never_early(&cluster, "early", "v1", "create", &["unopened"]);
    never_early(&cluster, "good", "v2", "update", &all);
    assert_eq!(cluster.values("shop", "db").await, ["password=2"]);
}
