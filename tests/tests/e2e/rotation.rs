//! Keys over time: by schedule, by two replicas at once, through crashes, brought from outside, and in other hands.

use bulla_control_plane::Options;
use bulla_keys::stored::StoredKey;
use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::time_text;
use bulla_shared::resources::sealing_key::{KeyState, SealingKey, SealingKeySpec};
use bulla_tests::bulla::{bulla_fails, bulla_works};
use bulla_tests::cluster::{Cluster, manifest, plain, seal};
use bulla_tests::eventually;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::crash::{restore, without};

fn days_ago(days: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(24 * days)
}

/// Puts a private key there, as a restore does, with a SealingKey that names it.
async fn put(cluster: &Cluster, name: &str, created: Timestamp) -> StoredKey {
    let created = time_text(&created).parse().unwrap();
    let key = StoredKey::generate(name, Algorithm::Hybrid, created);
    let secret: Secret = serde_json::from_slice(&key.to_json("bulla-system")).unwrap();
    cluster.secrets("bulla-system").create(&PostParams::default(), &secret).await.unwrap();
    let spec = SealingKeySpec { fingerprint: Some(key.record().fingerprint.to_string()), ..SealingKeySpec::default() };
    let api: Api<SealingKey> = Api::all(cluster.admin());
    api.create(&PostParams::default(), &SealingKey::new(name, spec)).await.unwrap();
    key
}

async fn active(cluster: &Cluster) -> usize {
    let keys = cluster.sealing_keys().await;
    keys.iter().filter(|key| key.status.as_ref().is_some_and(|status| status.state == Some(KeyState::Active))).count()
}

/// Fifty empty clusters, one after the other on one API server: two replicas start at the same moment, and make one key.
#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_on_an_empty_cluster_fifty_times() {
    let cluster = Cluster::start(Options::default()).await;
    for round in 0..50 {
        // The first forgets the lease of the round before. One that loses it, on a machine that is busy with other tests, would end.
        let args = ["--lease-duration=60s"];
        let replicas = (cluster.controller(&args).await, cluster.replica(&args).await);
        cluster.recipient().await;
        // The one that was slower stands by.
        let both = || async { (replicas.0.get("/readyz")?.0 == 200 && replicas.1.get("/readyz")?.0 == 200).then_some(()) };
        eventually("both are ready", both).await;
        let leaders = [&replicas.0, &replicas.1].map(|replica| replica.metric("bulla_leader"));
        assert!(leaders == [Some(1.0), Some(0.0)] || leaders == [Some(0.0), Some(1.0)], "round {round}: {leaders:?}");
        assert_eq!((cluster.sealing_keys().await.len(), cluster.private_keys().await.len()), (1, 1), "round {round}");
        drop(replicas);
        let api: Api<SealingKey> = Api::all(cluster.admin());
        let confirm = json!({"metadata": {"annotations": {"bulla.dev/confirm": "initial"}}});
        api.patch("initial", &PatchParams::default(), &Patch::Merge(confirm)).await.unwrap();
        api.delete("initial", &DeleteParams::default()).await.unwrap();
        let secrets = cluster.secrets("bulla-system");
        secrets
            .delete_collection(&DeleteParams::default(), &ListParams::default().labels("bulla.dev/sealing-key"))
            .await
            .unwrap();
    }
}

/// A key that is older than the period is followed by another one; SIGKILL before each write of that.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_survives_a_crash_at_each_step() {
    let cluster = Cluster::start(Options::default()).await;
    let old = put(&cluster, "old", days_ago(400)).await;
    let rotating = ["--key-renew-period=365d", "--key-decrypt-only-after=390d"];
    let next = format!("after-{}", old.record().fingerprint.id());
    let api: Api<SealingKey> = Api::all(cluster.admin());

    // Published first, so that there is an Active key from here on.
    let controller = cluster.controller(&["--generate-keys=false"]).await;
    eventually("the old key is Active", || async { (active(&cluster).await == 1).then_some(()) }).await;
    controller.kill();

    for (resource, verb, made) in
        [("sealingkeys", "create", "nothing"), ("secrets", "create", "a name"), ("sealingkeys/status", "patch", "a key")]
    {
        let role = without(&cluster, resource, verb).await;
        let controller = cluster.controller(&rotating).await;
        let stopped = eventually("it is stopped", || async {
            let there = api.get_opt(&next).await.unwrap().is_some();
            let stored = cluster.private_keys().await.len();
            match made {
                "nothing" => {
                    std::fs::read_to_string(controller.log()).unwrap().contains("forbidden (403)").then_some((there, stored))
                }
                "a name" => there.then_some((there, stored)),
                _ => (stored == 2).then_some((there, stored)),
            }
        });
        let (there, stored) = stopped.await;
        controller.kill();
        assert_eq!((there, stored), (made != "nothing", if made == "a key" { 2 } else { 1 }), "{made}");
        assert_eq!(active(&cluster).await, 1, "{made}: never without an Active key");
        restore(&cluster, &role).await;
    }

    let _controller = cluster.controller(&rotating).await;
    eventually("the next key is Active, the old one only opens", || async {
        let (old, next) = (cluster.key_status("old").await.state?, api.get_opt(&next).await.unwrap()?.status?.state?);
        assert!(old == KeyState::Active || next == KeyState::Active);
        (old == KeyState::DecryptOnly && next == KeyState::Active).then_some(())
    })
    .await;
    assert_eq!((cluster.sealing_keys().await.len(), cluster.private_keys().await.len()), (2, 2));
    for key in cluster.sealing_keys().await {
        assert_eq!(key.status.unwrap().conditions[0].reason, "Ready");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_somebody_brings() {
    let cluster = Cluster::start(Options::default()).await;
    let _controller = cluster.controller(&[]).await;
    let own = cluster.recipient().await;
    cluster.namespace("byo").await;
    let identity = Identity::generate(Algorithm::Hybrid);
    let recipient = identity.recipient().clone();
    cluster.apply(&seal(&plain("byo", "db", &[("a", "1")]), &recipient)).await;
    cluster.wait("byo", "db", "KeyMissing").await;

    // Malformed ones disturb nothing.
    let labelled = |name: &str, data: &str| -> Secret {
        let secret =
            json!({"metadata": {"name": name, "labels": {"bulla.dev/sealing-key": ""}}, "stringData": {"identity": data}});
        serde_json::from_value(secret).unwrap()
    };
    let secrets = cluster.secrets("bulla-system");
    secrets.create(&PostParams::default(), &labelled("broken", "AGE-SECRET-KEY-1NONSENSE")).await.unwrap();
    let events: Api<Event> = Api::namespaced(cluster.admin(), "bulla-system");
    let note = eventually("an event", || async {
        let all = events.list(&ListParams::default()).await.unwrap().items;
        let on_it = all.into_iter().find(|event| event.involved_object.name.as_deref() == Some("broken"));
        on_it.map(|event| (event.reason.unwrap(), event.message.unwrap()))
    });
    let (reason, message) = note.await;
    assert!(
        reason == "KeyMalformed" && message.contains("does not hold exactly one age identity") && !message.contains("NONSENSE")
    );

    cluster.next_second().await;
    // A good one opens at once, and nobody seals to it until a SealingKey names it.
    secrets.create(&PostParams::default(), &labelled("brought", &identity.to_text())).await.unwrap();
    cluster.wait("byo", "db", "Ready").await;
    assert_eq!(cluster.recipient().await, own);
    let api: Api<SealingKey> = Api::all(cluster.admin());
    let spec = SealingKeySpec { fingerprint: Some(recipient.fingerprint().to_string()), ..SealingKeySpec::default() };
    api.create(&PostParams::default(), &SealingKey::new("brought", spec)).await.unwrap();
    eventually("people seal to it", || async { (cluster.recipient().await == recipient).then_some(()) }).await;

    // Dated in the future, it is never the newest.
    let future = StoredKey::generate("future", Algorithm::Hybrid, Timestamp::now() + SignedDuration::from_hours(1));
    let secret: Secret = serde_json::from_slice(&future.to_json("bulla-system")).unwrap();
    secrets.create(&PostParams::default(), &secret).await.unwrap();
    let spec = SealingKeySpec { fingerprint: Some(future.record().fingerprint.to_string()), ..SealingKeySpec::default() };
    api.create(&PostParams::default(), &SealingKey::new("future", spec)).await.unwrap();
    eventually("it is published", || async { cluster.key_status("future").await.state.map(drop) }).await;
    assert_eq!(cluster.recipient().await, recipient);
    let unknown = json!({"apiVersion": "bulla.dev/v1alpha1", "kind": "SealingKey", "metadata": {"name": "odd"}, "spec": {"state": "Sleeping"}});
    let refused = cluster.plane.apply(&unknown.to_string()).await.unwrap_err().to_string();
    assert!(refused.contains("Unsupported value"), "{refused}");
}

/// A key in other hands: no outage, later values refused, everything under it flagged until the value itself is new.
#[tokio::test(flavor = "multi_thread")]
async fn a_compromised_key() {
    let cluster = Cluster::start(Options::default()).await;
    let _controller = cluster.controller(&[]).await;
    cluster.namespace("shop").await;
    let kubeconfig = cluster.plane.admin_kubeconfig();
    let folder = tempfile::tempdir().unwrap();
    let old = cluster.recipient().await;
    let file = folder.path().join("db.yaml");
    let sealed = seal(&plain("shop", "db", &[("a", "1")]), &old);
    std::fs::write(&file, manifest(&sealed)).unwrap();
    cluster.apply(&sealed).await;
    cluster.wait("shop", "db", "Ready").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;

    let (_, said) = bulla_works(kubeconfig, folder.path(), &["keys", "compromise", "initial"]);
    assert!(said.contains(&format!("SealingKey initial (key {}) is compromised since", old.fingerprint().id())), "{said}");
    let new = cluster.recipient().await;
    assert_ne!(new, old, "there is another key before the old one is marked");
    let flagged = |want: bool| {
        let cluster = &cluster;
        async move {
            eventually(&format!("flagged: {want}"), || async {
                let conditions = cluster.sealed("shop").get("db").await.unwrap().status.unwrap().conditions;
                (conditions.iter().any(|condition| condition.r#type == "KeyCompromised") == want).then_some(conditions)
            })
            .await
        }
    };
    let conditions = flagged(true).await;
    assert_eq!(conditions[0].status, "True", "it is Ready all the same");
    assert!(conditions[1].message.contains("1 of 1 items"), "{}", conditions[1].message);
    cluster.secrets("shop").delete("db", &DeleteParams::default()).await.unwrap();
    eventually("what was sealed before opens", || async { cluster.secrets("shop").get_opt("db").await.unwrap() }).await;

    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    cluster.apply(&seal(&plain("shop", "late", &[("a", "1")]), &old)).await;
    let refused = cluster.wait("shop", "late", "ItemsRefused").await;
    assert!(refused.status.unwrap().items[0].message.as_ref().unwrap().contains("after it was compromised"));

    // Rewrapped off it, the value is due; only a new one is good.
    bulla_works(kubeconfig, folder.path(), &["rewrap", "db.yaml"]);
    let (json, _) = bulla_works(kubeconfig, folder.path(), &["inspect", "--due", "--format", "json", "db.yaml"]);
    assert!(json.contains(&new.fingerprint().id().to_string()) && json.contains("rotateBy"), "{json}");
    cluster.apply(&serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap()).await;
    flagged(false).await;
    let good = bulla_fails(kubeconfig, folder.path(), &["keys", "compromise", "nobody"], 2);
    assert!(good.contains("there is no SealingKey nobody"), "{good}");
    let api: Api<SealingKey> = Api::all(cluster.admin());
    let back = json!({"spec": {"state": "Active", "compromisedAt": null}});
    let refused = api.patch("initial", &PatchParams::default(), &Patch::Merge(back)).await.unwrap_err().to_string();
    assert!(refused.contains("a compromised key cannot be made good"), "{refused}");
}
