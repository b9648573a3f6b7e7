//! The first key, and keys that come later.

use bulla_control_plane::Options;
use bulla_keys::stored::StoredKey;
use bulla_shared::age::Algorithm;
use bulla_shared::resources::sealing_key::SealingKey;
use bulla_tests::cluster::{Cluster, plain, seal};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, PostParams};

#[tokio::test]
async fn a_value_waits_for_its_key() {
    let cluster = Cluster::start(Options::default()).await;
    cluster.namespace("early").await;
    let controller = cluster.controller(&["--generate-keys=false"]).await;
    let key = StoredKey::generate("restored", Algorithm::Hybrid, Timestamp::now());
    cluster.apply(&seal(&plain("early", "db", &[("a", "1")]), key.identity.recipient())).await;
    cluster.wait("early", "db", "KeyMissing").await;
    let keys = Api::<SealingKey>::all(cluster.admin()).list(&ListParams::default()).await.unwrap();
    assert!(keys.items.is_empty(), "no key is made before the backup is restored");

    // An admin restores the key: no restart, no change of the SealedSecret.
    let secret: Secret = serde_json::from_slice(&key.to_json("bulla-system")).unwrap();
    cluster.secrets("bulla-system").create(&PostParams::default(), &secret).await.unwrap();
    cluster.wait("early", "db", "Ready").await;
    assert_eq!(cluster.values("early", "db").await, ["a=1"]);
    drop(controller);
}

#[tokio::test]
async fn two_controllers_make_one_key() {
    let cluster = Cluster::start(Options::default()).await;
    let (_one, _two) = tokio::join!(cluster.replica(&[]), cluster.replica(&[]));
    cluster.recipient().await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let keys = Api::<SealingKey>::all(cluster.admin()).list(&ListParams::default()).await.unwrap();
    assert_eq!(keys.items.len(), 1);
    let stored = cluster.secrets("bulla-system").list(&ListParams::default().labels("bulla.dev/sealing-key")).await.unwrap();
    assert_eq!(stored.items.len(), 1);
    assert_eq!(stored.items[0].immutable, Some(true));
    assert!(stored.items[0].metadata.owner_references.is_none(), "a private key goes with nothing");
}
