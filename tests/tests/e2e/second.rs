//! Two installations in one cluster: the second says so, changes nothing, and takes over once the first is gone.

use bulla_control_plane::Options;
use bulla_shared::resources::sealing_key::SealingKey;
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::controller::Controller;
use bulla_tests::eventually;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

const SECOND: &str = "other-system";

/// All rights of the first one, for the account of the second.
async fn install(cluster: &Cluster) {
    cluster.namespace(SECOND).await;
    let subject = json!([{"kind": "ServiceAccount", "name": "bulla-controller", "namespace": SECOND}]);
    let role = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let leases = json!([{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]}]);
    let version = "rbac.authorization.k8s.io/v1";
    for object in [
        json!({"apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": "other"},
               "roleRef": role("ClusterRole", "bulla-controller"), "subjects": subject}),
        json!({"apiVersion": version, "kind": "ClusterRoleBinding", "metadata": {"name": "other-keys"},
               "roleRef": role("ClusterRole", "bulla-controller-keys"), "subjects": subject}),
        json!({"apiVersion": version, "kind": "Role", "metadata": {"name": "leases", "namespace": SECOND}, "rules": leases}),
        json!({"apiVersion": version, "kind": "RoleBinding", "metadata": {"name": "leases", "namespace": SECOND},
               "roleRef": role("Role", "leases"), "subjects": subject}),
    ] {
        cluster.plane.apply(&object.to_string()).await.unwrap();
    }
}

/// The private keys of the first, as an admin moves them.
async fn move_keys(cluster: &Cluster) {
    for key in cluster.private_keys().await {
        let metadata = ObjectMeta {
            name: key.metadata.name,
            labels: key.metadata.labels,
            annotations: key.metadata.annotations,
            ..ObjectMeta::default()
        };
        let copy = Secret { metadata, ..key };
        cluster.secrets(SECOND).create(&PostParams::default(), &copy).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_says_so_and_writes_nothing() {
    let cluster = Cluster::start(Options::default()).await;
    let first = cluster.controller(&[]).await;
    let recipient = cluster.recipient().await;
    cluster.apply(&seal(&plain("default", "before", &[("a", "1")]), &recipient)).await;
    cluster.wait("default", "before", "Ready").await;
    let key = cluster.key_status("initial").await;
    assert_eq!(key.namespace.as_deref(), Some("bulla-system"));

    install(&cluster).await;
    let mut second = Controller::start_in(&cluster.plane, SECOND, &[]).await;
    let why = eventually("it stands aside", || async {
        second.get("/readyz").filter(|(code, text)| *code == 503 && text.contains("bulla-system"))
    })
    .await;
    assert!(why.1.contains("the installation in namespace bulla-system"), "{}", why.1);
    eventually("an event on the key", || async {
        let events: Api<Event> = Api::all(cluster.admin());
        let all = events.list(&ListParams::default()).await.unwrap().items;
        all.into_iter().find(|event| event.reason.as_deref() == Some("SecondInstallation"))
    })
    .await;
    let log = std::fs::read_to_string(second.log()).unwrap();
    assert!(log.contains("the one in other-system stands aside"), "{log}");

    // Both see what is new; one opens it.
    cluster.apply(&seal(&plain("default", "db", &[("a", "1")]), &recipient)).await;
    cluster.wait("default", "db", "Ready").await;
    assert_eq!(second.metric("bulla_items_opened_total"), Some(0.0));
    let now = cluster.key_status("initial").await;
    assert_eq!((now.conditions, now.recipient, now.namespace), (key.conditions, key.recipient, key.namespace));
    assert!(cluster.secrets(SECOND).list(&ListParams::default().labels("bulla.dev/sealing-key")).await.unwrap().items.is_empty());

    // The first goes, and an admin says so.
    first.kill();
    move_keys(&cluster).await;
    let keys: Api<SealingKey> = Api::all(cluster.admin());
    let gone = Patch::Merge(json!({"status": {"namespace": null}}));
    keys.patch_status("initial", &PatchParams::default(), &gone).await.unwrap();
    cluster.apply(&seal(&plain("default", "after", &[("a", "2")]), &recipient)).await;
    cluster.wait("default", "after", "Ready").await;
    // A key opens as soon as it is loaded, a moment before it is told whose it is.
    let is_its_own = || async { (cluster.key_status("initial").await.namespace.as_deref() == Some(SECOND)).then_some(()) };
    eventually("the key is the second's", is_its_own).await;
    eventually("the second is ready", || async { (second.get("/readyz")?.0 == 200).then_some(()) }).await;
    assert!(second.is_running(), "it went on by itself");
}
