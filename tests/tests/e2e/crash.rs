//! SIGKILL between any two writes. A right that is taken away stops the controller before exactly that write; then it is killed.

use bulla_control_plane::Options;
use bulla_shared::resources::sealing_key::SealingKey;
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::eventually;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

/// The controller's ClusterRole for a resource, without one verb on it.
pub(crate) async fn without(cluster: &Cluster, resource: &str, verb: &str) -> ClusterRole {
    let roles: Api<ClusterRole> = Api::all(cluster.admin());
    let name = if resource.starts_with("sealingkeys") { "bulla-controller-keys" } else { "bulla-controller" };
    let role = roles.get(name).await.unwrap();
    let mut rules = role.rules.clone().unwrap();
    let rule = rules.iter_mut().find(|rule| rule.resources.iter().flatten().any(|found| found == resource)).unwrap();
    rule.verbs.retain(|found| found != verb);
    rules.retain(|rule| !rule.verbs.is_empty());
    roles.patch(name, &PatchParams::default(), &Patch::Merge(json!({"rules": rules}))).await.unwrap();
    role
}

pub(crate) async fn restore(cluster: &Cluster, role: &ClusterRole) {
    let patch = Patch::Merge(json!({"rules": role.rules}));
    let name = role.metadata.name.as_deref().unwrap();
    Api::<ClusterRole>::all(cluster.admin()).patch(name, &PatchParams::default(), &patch).await.unwrap();
}

async fn sealing_keys(cluster: &Cluster) -> Vec<SealingKey> {
    Api::<SealingKey>::all(cluster.admin()).list(&ListParams::default()).await.unwrap().items
}

async fn private_keys(cluster: &Cluster) -> usize {
    let labelled = ListParams::default().labels("bulla.dev/sealing-key");
    cluster.secrets("bulla-system").list(&labelled).await.unwrap().items.len()
}

/// After the crash all goes on as if nothing had been: one key, and an object that opens.
async fn goes_on(cluster: &Cluster) {
    let controller = cluster.controller(&[]).await;
    let recipient = cluster.recipient().await;
    cluster.apply(&seal(&plain("default", "after", &[("a", "1")]), &recipient)).await;
    cluster.wait("default", "after", "Ready").await;
    assert_eq!((sealing_keys(cluster).await.len(), private_keys(cluster).await), (1, 1));
    drop(controller);
}

#[tokio::test]
async fn before_the_private_key_is_stored() {
    let cluster = Cluster::start(Options::default()).await;
    let role = without(&cluster, "secrets", "create").await;
    // The key of the audit trail is a Secret too, and comes first.
    let controller = cluster.controller(&["--audit-log=off"]).await;
    eventually("the SealingKey", || async { (!sealing_keys(&cluster).await.is_empty()).then_some(()) }).await;
    controller.kill();
    assert_eq!(private_keys(&cluster).await, 0);
    restore(&cluster, &role).await;
    goes_on(&cluster).await;
}

#[tokio::test]
async fn before_the_public_key_is_published() {
    let cluster = Cluster::start(Options::default()).await;
    let role = without(&cluster, "sealingkeys/status", "patch").await;
    let controller = cluster.controller(&[]).await;
    eventually("the private key", || async { (private_keys(&cluster).await == 1).then_some(()) }).await;
    controller.kill();
    assert_eq!(sealing_keys(&cluster).await[0].status.as_ref().and_then(|status| status.recipient.clone()), None);
    restore(&cluster, &role).await;
    goes_on(&cluster).await;
}

#[tokio::test]
async fn before_the_secret_and_before_the_status() {
    let cluster = Cluster::start(Options::default()).await;
    let controller = cluster.controller(&[]).await;
    let recipient = cluster.recipient().await;

    let role = without(&cluster, "secrets", "create").await;
    cluster.apply(&seal(&plain("default", "one", &[("a", "1")]), &recipient)).await;
    cluster.wait("default", "one", "Forbidden").await;
    controller.kill();
    restore(&cluster, &role).await;
    let controller = cluster.controller(&[]).await;
    cluster.wait("default", "one", "Ready").await;

    let role = without(&cluster, "sealedsecrets/status", "update").await;
    cluster.apply(&seal(&plain("default", "two", &[("a", "2")]), &recipient)).await;
    let secrets = cluster.secrets("default");
    let made = eventually("the Secret", || async { secrets.get_opt("two").await.unwrap() }).await;
    controller.kill();
    restore(&cluster, &role).await;
    let controller = cluster.controller(&[]).await;
    cluster.wait("default", "two", "Ready").await;
    let after = secrets.get("two").await.unwrap();
    assert_eq!(after.metadata.uid, made.metadata.uid, "the Secret was kept");
    assert_eq!(cluster.values("default", "two").await, ["a=2"]);
    drop(controller);
    goes_on(&cluster).await;
}
