//! The life of one object: created, updated, drifted, deleted.

use bulla_tests::cluster::{items, plain, seal};
use bulla_tests::eventually;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::shared;

#[tokio::test]
async fn create_update_and_delete() {
    let cluster = shared().await;
    cluster.namespace("life").await;
    let recipient = cluster.recipient().await;

    cluster.apply(&seal(&plain("life", "db", &[("user", "app"), ("password", "hunter2"), ("empty", "")]), &recipient)).await;
    let ready = cluster.wait("life", "db", "Ready").await;
    assert_eq!(cluster.values("life", "db").await, ["empty=", "password=hunter2", "user=app"]);
    assert_eq!(items(&ready)[1]["state"], "Opened");
    assert_eq!(items(&ready)[1]["keyId"], recipient.fingerprint().id().to_string());

    cluster.apply(&seal(&plain("life", "db", &[("password", "hunter3")]), &recipient)).await;
    cluster.wait("life", "db", "Ready").await;
    assert_eq!(cluster.values("life", "db").await, ["password=hunter3"]);

    let secrets = cluster.secrets("life");
    let drift = json!({"data": {"password": "eA==", "more": "eA=="}, "metadata": {"labels": {"foreign": "stays"}}});
    secrets.patch("db", &PatchParams::default(), &Patch::Merge(drift)).await.unwrap();
    let is_repaired = || async { (cluster.values("life", "db").await == ["password=hunter3"]).then_some(()) };
    eventually("drift repaired", is_repaired).await;
    assert_eq!(secrets.get("db").await.unwrap().metadata.labels.unwrap()["foreign"], "stays");
    secrets.delete("db", &DeleteParams::default()).await.unwrap();
    eventually("deleted Secret made again", || async { secrets.get_opt("db").await.unwrap() }).await;

    cluster.delete("life", "db").await;
    eventually("Secret collected", || async { secrets.get_opt("db").await.unwrap().is_none().then_some(()) }).await;
}

/// Changes that arrive while the controller still writes about the one before: the last one always wins.
#[tokio::test]
async fn rapid_changes_all_arrive() {
    let cluster = shared().await;
    cluster.namespace("rapid").await;
    let recipient = cluster.recipient().await;
    let name = |index: usize| format!("object-{index}");
    for round in 0..6 {
        for index in 0..10 {
            cluster.apply(&seal(&plain("rapid", &name(index), &[("round", &round.to_string())]), &recipient)).await;
        }
    }
    for index in 0..10 {
        cluster.wait("rapid", &name(index), "Ready").await;
        assert_eq!(cluster.values("rapid", &name(index)).await, ["round=5"]);
    }
}

#[tokio::test]
async fn a_suspended_object_is_left_alone_and_says_so() {
    let cluster = shared().await;
    cluster.namespace("suspended").await;
    let recipient = cluster.recipient().await;
    let suspended = |name: &str, value: &str| {
        let mut sealed = seal(&plain("suspended", name, &[("a", value)]), &recipient);
        sealed.spec.suspend = true;
        sealed
    };
    cluster.apply(&suspended("new", "1")).await;
    let new = cluster.wait("suspended", "new", "Suspended").await;
    assert_eq!(new.status.unwrap().conditions[0].status, "False");
    cluster.apply(&seal(&plain("suspended", "old", &[("a", "1")]), &recipient)).await;
    cluster.wait("suspended", "old", "Ready").await;
    cluster.apply(&suspended("old", "2")).await;
    let old = cluster.wait("suspended", "old", "Suspended").await;
    assert_eq!(old.status.unwrap().conditions[0].status, "True", "the Secret that was made still serves");
    assert_eq!(cluster.values("suspended", "old").await, ["a=1"]);
}

#[tokio::test]
async fn metadata_type_and_a_megabyte_arrive() {
    let cluster = shared().await;
    cluster.namespace("shape").await;
    let recipient = cluster.recipient().await;
    let mut secret = plain("shape", "tls", &[("tls.crt", "certificate"), ("tls.key", "key")]);
    secret.type_ = Some("kubernetes.io/tls".to_owned());
    secret.labels = [("app".to_owned(), "web".to_owned())].into();
    secret.annotations = [("note".to_owned(), "for web".to_owned())].into();
    cluster.apply(&seal(&secret, &recipient)).await;
    cluster.apply(&seal(&plain("shape", "large", &[("blob", &"x".repeat(1024 * 1024))]), &recipient)).await;
    cluster.wait("shape", "tls", "Ready").await;
    let made = cluster.secrets("shape").get("tls").await.unwrap();
    assert_eq!(made.type_.as_deref(), Some("kubernetes.io/tls"));
    assert_eq!(made.metadata.labels.unwrap()["app"], "web");
    assert_eq!(made.metadata.annotations.unwrap()["note"], "for web");
    cluster.wait("shape", "large", "Ready").await;
    assert_eq!(cluster.values("shape", "large").await[0].len(), "blob=".len() + 1024 * 1024);
}

#[tokio::test]
async fn equal_values_move_the_resource_version() {
    let cluster = shared().await;
    cluster.namespace("guess").await;
    let recipient = cluster.recipient().await;
    let version = || async { cluster.secrets("guess").get("db").await.unwrap().metadata.resource_version.unwrap() };
    cluster.apply(&seal(&plain("guess", "db", &[("a", "same")]), &recipient)).await;
    cluster.wait("guess", "db", "Ready").await;
    let first = version().await;
    cluster.apply(&seal(&plain("guess", "db", &[("a", "same")]), &recipient)).await;
    cluster.wait("guess", "db", "Ready").await;
    assert_ne!(version().await, first, "whether it moves must not tell whether a guess was right");
}
