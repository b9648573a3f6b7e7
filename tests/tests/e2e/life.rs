//! The life of one object: created, updated, drifted, deleted.

use bulla_tests::cluster::{items, plain, seal};
use bulla_tests::eventually;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::shared;

#[tokio::test]
async fn create_update_and_delete() {
    let shared = shared().await;
    let cluster = &shared.cluster;
    cluster.namespace("life").await;
    let recipient = cluster.recipient().await;

    cluster.apply(&seal(&plain("life", "db", &[("user", "app"), ("password", "hunter2"), ("empty", "")]), &recipient)).await;
    let ready = cluster.wait("life", "db", "Ready").await;
    let values = cluster.values("life", "db").await;
    assert_eq!(
        values.into_iter().map(|(item, value)| item + "=" + &value).collect::<Vec<_>>(),
        ["empty=", "password=hunter2", "user=app"]
    );
    assert_eq!(items(&ready)[1]["state"], "Opened");
    assert_eq!(items(&ready)[1]["keyId"], recipient.fingerprint().id().to_string());

    cluster.apply(&seal(&plain("life", "db", &[("password", "hunter3")]), &recipient)).await;
    cluster.wait("life", "db", "Ready").await;
    let values = cluster.values("life", "db").await;
    assert_eq!(values.into_iter().map(|(item, value)| item + "=" + &value).collect::<Vec<_>>(), ["password=hunter3"]);

    let secrets = cluster.secrets("life");
    secrets
        .patch("db", &PatchParams::default(), &Patch::Merge(json!({"data": {"password": "eA==", "more": "eA=="}})))
        .await
        .unwrap();
    eventually("drift repaired", || async {
        let values = cluster.values("life", "db").await;
        (values.len() == 1 && values["password"] == "hunter3").then_some(())
    })
    .await;
    secrets.delete("db", &Default::default()).await.unwrap();
    eventually("deleted Secret made again", || async { secrets.get_opt("db").await.unwrap() }).await;

    cluster.delete("life", "db").await;
    eventually("Secret collected", || async { secrets.get_opt("db").await.unwrap().is_none().then_some(()) }).await;
}
