//! A planted value appears nowhere but in its Secret, and nothing else that can be seen depends on it.
//!
//! The second half catches what a search for the value cannot: a fragment, a length, one bit. Everything that was logged, recorded or
//! written into a status is compared between two runs with different values of equal length.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bulla_control_plane::Options;
use bulla_shared::age::{Algorithm, Identity, Recipient};
use bulla_shared::resources::sealed_secret::{SealedSecret, SecretTemplate};
use bulla_shared::resources::sealing_key::SealingKey;
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::eventually;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};

const CANARY: &str = "c4n4ry-Zq7\"w&x{y}9";
const OTHER: &str = "0ther-Lk2'v%p[r]8!";

/// Every form in which a value could show itself, whole or in parts of eight characters.
fn forms(value: &str) -> Vec<String> {
    let mut whole = vec![
        value.to_owned(),
        STANDARD.encode(value),
        URL_SAFE.encode(value),
        value.bytes().map(|byte| format!("{byte:02x}")).collect(),
        value.bytes().map(|byte| format!("{byte:02X}")).collect(),
        serde_json::to_string(value).unwrap().trim_matches('"').to_owned(),
        format!("{value:?}").trim_matches('"').to_owned(),
        format!("{:?}", value.as_bytes()).trim_matches(['[', ']']).to_owned(),
        value.replace('&', "%26").replace('"', "%22"),
    ];
    // A base64 text that starts in the middle of another one.
    for shift in 1..3 {
        whole.push(STANDARD.encode(&value.as_bytes()[shift..]));
    }
    let parts = |form: &String| (0..=form.len() - 8).filter_map(|at| form.get(at..at + 8)).map(str::to_owned).collect::<Vec<_>>();
    whole.iter().flat_map(parts).collect()
}

fn docker(namespace: &str, name: &str, value: &str, recipient: &Recipient) -> SealedSecret {
    let mut secret = plain(namespace, name, &[(".dockerconfigjson", value)]);
    secret.type_ = Some("kubernetes.io/dockerconfigjson".to_owned());
    seal(&secret, recipient)
}

/// Success and each failure, with `value` in all of them.
async fn scenario(cluster: &Cluster, namespace: &str, value: &str) {
    cluster.namespace(namespace).await;
    let recipient = cluster.recipient().await;
    let sealed = |name: &str, items: &[(&str, &str)]| seal(&plain(namespace, name, items), &recipient);
    let template = |name: &str, text: &str| {
        let mut sealed = sealed(name, &[("password", value)]);
        sealed.spec.template =
            Some(SecretTemplate { data: [("t".to_owned(), text.to_owned())].into(), ..SecretTemplate::default() });
        sealed
    };

    cluster.apply(&sealed("good", &[("password", value)])).await;
    cluster.wait(namespace, "good", "Ready").await;
    cluster.apply(&template("url", "x://{{ password | urlencode }}/{{ password | json | base64 }}")).await;
    cluster.wait(namespace, "url", "Ready").await;
    cluster.apply(&template("filter", "{{ password | fail }}")).await;
    cluster.wait(namespace, "filter", "TemplateRefused").await;

    let mut moved = sealed("moved", &[("password", value)]);
    moved.spec.encrypted_data = sealed("elsewhere", &[("password", value)]).spec.encrypted_data;
    cluster.apply(&moved).await;
    cluster.wait(namespace, "moved", "ItemsRefused").await;

    let mut malformed = sealed("malformed", &[("password", value), ("other", value)]);
    let cut = malformed.spec.encrypted_data["other"].get(..400).unwrap().to_owned();
    malformed.spec.encrypted_data.insert("other".to_owned(), cut);
    cluster.apply(&malformed).await;
    cluster.wait(namespace, "malformed", "ItemsRefused").await;

    let stranger = Identity::generate(Algorithm::Hybrid).recipient().clone();
    cluster.apply(&seal(&plain(namespace, "stranger", &[("password", value)]), &stranger)).await;
    cluster.wait(namespace, "stranger", "KeyMissing").await;

    // Neither value is JSON: the one bit that this type shows is the same for both.
    cluster.apply(&docker(namespace, "docker", value, &recipient)).await;
    cluster.wait(namespace, "docker", "SecretInvalid").await;

    let metadata = ObjectMeta { name: Some("foreign".to_owned()), ..ObjectMeta::default() };
    let foreign = Secret { metadata, ..Secret::default() };
    cluster.secrets(namespace).create(&PostParams::default(), &foreign).await.unwrap();
    cluster.apply(&sealed("foreign", &[("password", value)])).await;
    cluster.wait(namespace, "foreign", "ForeignSecret").await;

    // The same guess against an immutable Secret: right for one of the two runs, wrong for the other.
    let immutable = |guess: &str| {
        let mut secret = plain(namespace, "immutable", &[("password", guess)]);
        secret.immutable = Some(true);
        seal(&secret, &recipient)
    };
    cluster.apply(&immutable(value)).await;
    cluster.wait(namespace, "immutable", "Ready").await;
    cluster.apply(&immutable(CANARY)).await;
    cluster.wait(namespace, "immutable", "SecretImmutable").await;

    cluster.apply(&sealed("good", &[("password", CANARY)])).await;
    cluster.wait(namespace, "good", "Ready").await;
    cluster.secrets(namespace).delete("good", &DeleteParams::default()).await.unwrap();
    eventually("made again", || async { cluster.secrets(namespace).get_opt("good").await.unwrap() }).await;
    cluster.wait(namespace, "good", "Ready").await;
}

/// Everything about a namespace that can be seen without a right on Secrets.
async fn seen(cluster: &Cluster, namespace: &str, log: &str) -> Vec<String> {
    let mut lines: Vec<String> = log.lines().filter(|line| line.contains(namespace)).map(str::to_owned).collect();
    let events: Api<Event> = Api::namespaced(cluster.admin(), namespace);
    for event in events.list(&ListParams::default()).await.unwrap() {
        lines.push(format!(
            "event {:?} {:?} {:?} {:?}",
            event.type_,
            event.reason,
            event.note,
            event.regarding.and_then(|r| r.name)
        ));
    }
    for sealed in cluster.sealed(namespace).list(&ListParams::default()).await.unwrap() {
        lines.push(format!("status {} {}", sealed.metadata.name.unwrap(), serde_json::to_string(&sealed.status).unwrap()));
    }
    for secret in cluster.secrets(namespace).list(&ListParams::default()).await.unwrap() {
        lines.push(format!("metadata {}", serde_json::to_string(&secret.metadata).unwrap()));
    }
    lines
}

/// A line without what differs between any two runs: times, UIDs, versions, ids of throw-away keys, the namespace.
pub(crate) fn normalise(line: &str, namespace: &str) -> String {
    let mut words = Vec::new();
    for word in line.replace(namespace, "NAMESPACE").split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
        let (body, end) = word.split_at(word.trim_end_matches(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).len());
        let digits = body.bytes().filter(u8::is_ascii_digit).count();
        let hex = body.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let variable =
            (hex && body.len() >= 16) || (digits > 0 && digits == body.len()) || body.starts_with("2026-") || body.ends_with('Z');
        words.push(format!("{}{end}", if variable && digits > 0 { "*" } else { body }));
    }
    words.concat()
}

#[tokio::test]
async fn nothing_that_can_be_seen_depends_on_a_value() {
    let cluster = Cluster::start(Options::default()).await;
    let controller = cluster.controller(&[]).await;
    scenario(&cluster, "run-canary", CANARY).await;
    scenario(&cluster, "run-other", OTHER).await;
    let log = std::fs::read_to_string(controller.log()).unwrap();
    drop(controller);

    let [canary, other] = [seen(&cluster, "run-canary", &log).await, seen(&cluster, "run-other", &log).await];
    let keys = Api::<SealingKey>::all(cluster.admin()).list(&ListParams::default()).await.unwrap();
    let everything = [canary.join("\n"), other.join("\n"), log, format!("{keys:?}")].join("\n");
    assert!(everything.contains("SecretInvalid") && everything.contains("SecretImmutable"), "the failures were seen");
    for form in [forms(CANARY), forms(OTHER)].concat() {
        let line = everything.lines().find(|line| line.contains(&form));
        assert!(line.is_none(), "{form:?} shows in {line:?}");
    }

    let normal =
        |lines: &[String], namespace: &str| -> BTreeSet<String> { lines.iter().map(|line| normalise(line, namespace)).collect() };
    let [canary, other] = [normal(&canary, "run-canary"), normal(&other, "run-other")];
    let difference: Vec<_> = canary.symmetric_difference(&other).collect();
    assert!(difference.is_empty(), "{difference:#?}");
}

#[test]
fn the_search_finds_what_it_looks_for() {
    for leak in [
        format!("password={CANARY}"),
        format!("x{}", STANDARD.encode(format!("user:{CANARY}"))),
        format!("{:?}", CANARY.as_bytes()),
        CANARY[3..12].to_owned(),
    ] {
        assert!(forms(CANARY).iter().any(|form| leak.contains(form)), "{leak}");
    }
    assert_ne!(normalise("failed after 3 characters: c4n", "n"), normalise("failed after 3 characters: 0th", "n"));
}
