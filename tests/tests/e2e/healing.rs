//! What stands in the way of a Secret goes away again: each object says so clearly meanwhile, and is right in the end by itself.

use bulla_control_plane::Options;
use bulla_shared::age::Recipient;
use bulla_shared::resources::sealed_secret::{SealedSecret, SecretTemplate};
use bulla_shared::resources::{OWNED, SECRET_LABEL};
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::eventually;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

fn sealed(namespace: &str, name: &str, recipient: &Recipient) -> SealedSecret {
    seal(&plain(namespace, name, &[("a", "1")]), recipient)
}

async fn ready(cluster: &Cluster, namespace: &str, name: &str) {
    cluster.wait(namespace, name, "Ready").await;
    assert_eq!(cluster.values(namespace, name).await, ["a=1"]);
}

/// A Secret that is edited and deleted, but cannot go yet.
async fn a_finalizer(cluster: &Cluster, recipient: &Recipient) {
    cluster.apply(&sealed("healing", "finalizer", recipient)).await;
    cluster.wait("healing", "finalizer", "Ready").await;
    let secrets = cluster.secrets("healing");
    let hold = |finalizers: &[&str]| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    secrets.patch("finalizer", &PatchParams::default(), &hold(&["example.com/wait"])).await.unwrap();
    let first = secrets.get("finalizer").await.unwrap().metadata.uid;
    secrets.delete("finalizer", &DeleteParams::default()).await.unwrap();
    let waiting = cluster.wait("healing", "finalizer", "SecretBeingDeleted").await;
    assert_eq!(waiting.status.unwrap().conditions[1].r#type, "Reconciling");
    secrets.patch("finalizer", &PatchParams::default(), &hold(&[])).await.unwrap();
    ready(cluster, "healing", "finalizer").await;
    assert_ne!(secrets.get("finalizer").await.unwrap().metadata.uid, first);
}

/// A type cannot change in place, whoever changes it; once the old Secret is gone, the new one is made.
async fn another_type(cluster: &Cluster, recipient: &Recipient) {
    let secrets = cluster.secrets("healing");
    let metadata = json!({"name": "type", "labels": {SECRET_LABEL: OWNED}});
    let theirs = json!({"metadata": metadata, "type": "kubernetes.io/basic-auth", "stringData": {"username": "x"}});
    secrets.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    cluster.apply(&sealed("healing", "type", recipient)).await;
    cluster.wait("healing", "type", "SecretInvalid").await;
    secrets.delete("type", &DeleteParams::default()).await.unwrap();
    ready(cluster, "healing", "type").await;

    let mut secret = plain("healing", "type", &[("ssh-privatekey", "1")]);
    secret.type_ = Some("kubernetes.io/ssh-auth".to_owned());
    cluster.apply(&seal(&secret, recipient)).await;
    cluster.wait("healing", "type", "SecretInvalid").await;
    assert_eq!(cluster.values("healing", "type").await, ["a=1"]);
    secrets.delete("type", &DeleteParams::default()).await.unwrap();
    cluster.wait("healing", "type", "Ready").await;
    assert_eq!(secrets.get("type").await.unwrap().type_.as_deref(), Some("kubernetes.io/ssh-auth"));
}

/// Immutability can be asked for later, and goes with the Secret only.
async fn made_immutable(cluster: &Cluster, recipient: &Recipient) {
    let immutable = |immutable: bool| {
        let mut object = sealed("healing", "immutable", recipient);
        object.spec.template = Some(SecretTemplate { immutable: Some(immutable), ..SecretTemplate::default() });
        object
    };
    let is_immutable = || async { cluster.secrets("healing").get("immutable").await.unwrap().immutable };
    cluster.apply(&immutable(false)).await;
    ready(cluster, "healing", "immutable").await;
    assert_eq!(is_immutable().await, None);
    cluster.apply(&immutable(true)).await;
    ready(cluster, "healing", "immutable").await;
    assert_eq!(is_immutable().await, Some(true));
    cluster.apply(&immutable(false)).await;
    cluster.wait("healing", "immutable", "SecretImmutable").await;
    cluster.secrets("healing").delete("immutable", &DeleteParams::default()).await.unwrap();
    ready(cluster, "healing", "immutable").await;
    assert_eq!(is_immutable().await, None);
}

/// Without its owner the Secret is still ours: another object of the same name takes it as it is.
async fn orphaned(cluster: &Cluster, recipient: &Recipient) {
    cluster.apply(&sealed("healing", "orphaned", recipient)).await;
    cluster.wait("healing", "orphaned", "Ready").await;
    let before = cluster.secrets("healing").get("orphaned").await.unwrap().metadata;
    cluster.sealed("healing").delete("orphaned", &DeleteParams::orphan()).await.unwrap();
    let gone = || async { cluster.sealed("healing").get_opt("orphaned").await.unwrap().is_none().then_some(()) };
    eventually("the object is gone", gone).await;
    assert_eq!(cluster.secrets("healing").get("orphaned").await.unwrap().metadata.owner_references, None);
    let again = cluster.apply(&sealed("healing", "orphaned", recipient)).await;
    ready(cluster, "healing", "orphaned").await;
    let after = cluster.secrets("healing").get("orphaned").await.unwrap().metadata;
    assert_eq!(after.uid, before.uid);
    assert_eq!(after.owner_references.unwrap()[0].uid, again.metadata.uid.unwrap());
}

/// Deleted and made anew while the garbage collector is away: it may never see that the first one went.
async fn made_anew(cluster: &Cluster, recipient: &Recipient) {
    cluster.apply(&sealed("healing", "anew", recipient)).await;
    ready(cluster, "healing", "anew").await;
    let before = cluster.secrets("healing").get("anew").await.unwrap().metadata;
    cluster.plane.pause_controller_manager();
    cluster.sealed("healing").delete("anew", &DeleteParams::default()).await.unwrap();
    let again = cluster.apply(&seal(&plain("healing", "anew", &[("a", "2")]), recipient)).await;
    cluster.wait("healing", "anew", "Ready").await;
    assert_eq!(cluster.values("healing", "anew").await, ["a=2"]);
    let after = cluster.secrets("healing").get("anew").await.unwrap().metadata;
    assert_eq!((after.uid, after.owner_references.unwrap()[0].uid.clone()), (before.uid, again.metadata.uid.unwrap()));
    cluster.plane.resume_controller_manager();
}

/// Somebody else's Secret is deleted. It has no label, so nobody tells: the object is looked at every minute.
async fn in_the_way(cluster: &Cluster, recipient: &Recipient) {
    let foreign: Secret =
        serde_json::from_value(json!({"metadata": {"name": "foreign"}, "stringData": {"a": "theirs"}})).unwrap();
    cluster.secrets("healing").create(&PostParams::default(), &foreign).await.unwrap();
    cluster.apply(&sealed("healing", "foreign", recipient)).await;
    cluster.wait("healing", "foreign", "ForeignSecret").await;
    assert_eq!(cluster.values("healing", "foreign").await, ["a=theirs"]);
    cluster.secrets("healing").delete("foreign", &DeleteParams::default()).await.unwrap();
    ready(cluster, "healing", "foreign").await;
}

/// A namespace on its way out takes no Secret. What comes after it under the same name is a new one.
async fn a_namespace_ends(cluster: &Cluster, recipient: &Recipient) {
    cluster.namespace("ending").await;
    let mut waits = sealed("ending", "db", recipient);
    waits.spec.suspend = true;
    cluster.apply(&waits).await;
    cluster.wait("ending", "db", "Suspended").await;
    // The controller manager would delete the object within moments.
    cluster.plane.pause_controller_manager();
    let namespaces: Api<Namespace> = Api::all(cluster.admin());
    namespaces.delete("ending", &DeleteParams::default()).await.unwrap();
    let go_on = Patch::Merge(json!({"spec": {"suspend": false}}));
    cluster.sealed("ending").patch("db", &PatchParams::default(), &go_on).await.unwrap();
    let refused = cluster.wait("ending", "db", "NamespaceTerminating").await;
    assert_eq!(refused.status.unwrap().conditions[1].r#type, "Reconciling");
    cluster.plane.resume_controller_manager();
    eventually("the namespace is gone", || async { namespaces.get_opt("ending").await.unwrap().is_none().then_some(()) }).await;
    cluster.namespace("ending").await;
    cluster.apply(&sealed("ending", "db", recipient)).await;
    ready(cluster, "ending", "db").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn right_in_the_end() {
    let cluster = Cluster::start(Options::default()).await;
    let _controller = cluster.controller(&[]).await;
    let recipient = cluster.recipient().await;
    cluster.namespace("healing").await;
    let one_after_the_other = async {
        a_finalizer(&cluster, &recipient).await;
        another_type(&cluster, &recipient).await;
        made_immutable(&cluster, &recipient).await;
        orphaned(&cluster, &recipient).await;
        made_anew(&cluster, &recipient).await;
        a_namespace_ends(&cluster, &recipient).await;
    };
    tokio::join!(in_the_way(&cluster, &recipient), one_after_the_other);
}
