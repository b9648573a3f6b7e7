//! A controller for some namespaces only, with the rights of its overlay: it serves those, reads no Secret elsewhere, and waits for one
//! that is not there without keeping the others waiting.

use std::path::Path;
use std::time::Duration;

use bulla_control_plane::{ControlPlane, Options};
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::eventually;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::DeleteParams;

/// The line of `bindings.yaml` for another namespace.
fn binding(namespace: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../controller/deploy/namespaced");
    let text = std::fs::read_to_string(folder.join("bindings.yaml")).unwrap();
    text.replace("namespace: default", &format!("namespace: {namespace}"))
}

#[tokio::test]
async fn one_that_is_gone_does_not_stop_the_others_and_is_not_forgotten() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let overlay = Path::new(env!("CARGO_MANIFEST_DIR")).join("../controller/deploy/namespaced");
    plane.apply_kustomize(overlay).await.unwrap();
    let cluster = Cluster { plane };
    cluster.namespace("elsewhere").await;
    let served = ["--watch-namespace=default", "--watch-namespace=shop"];
    let controller = cluster.controller(&served).await;
    let recipient = cluster.recipient().await;
    eventually("it is ready", || async { (controller.get("/readyz")?.0 == 200).then_some(()) }).await;
    let db = |namespace: &str| seal(&plain(namespace, "db", &[("a", "1")]), &recipient);
    cluster.apply(&db("elsewhere")).await;
    cluster.apply(&db("default")).await;
    cluster.wait("default", "db", "Ready").await;

    // It is made, as a Namespace and with the right to serve it.
    cluster.namespace("shop").await;
    cluster.plane.apply(&binding("shop")).await.unwrap();
    cluster.apply(&db("shop")).await;
    cluster.wait("shop", "db", "Ready").await;
    assert_eq!(cluster.values("shop", "db").await, ["a=1"]);
    assert!(cluster.secrets("elsewhere").get_opt("db").await.unwrap().is_none());
    let used = |items: u32| {
        let cluster = &cluster;
        eventually("usage is counted", move || async move {
            (cluster.key_status("initial").await.usage?.items == items).then_some(())
        })
    };
    used(2).await;

    // What is in a namespace that may not be listed any more counts on: whoever retires a key relies on it.
    controller.kill();
    let bindings: Api<RoleBinding> = Api::namespaced(cluster.admin(), "shop");
    bindings.delete("bulla-controller", &DeleteParams::default()).await.unwrap();
    let mut controller = cluster.controller(&served).await;
    cluster.apply(&seal(&plain("default", "db", &[("a", "2")]), &recipient)).await;
    cluster.wait("default", "db", "Ready").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(cluster.key_status("initial").await.usage.unwrap().items, 2);
    cluster.plane.apply(&binding("shop")).await.unwrap();
    cluster.delete("shop", "db").await;
    used(1).await;
    assert!(controller.is_running(), "it went on by itself");
}
