//! The main way on each Kubernetes version that is supported, emulated by one API server: sealed, opened, drift repaired, rewrapped, told.

use bulla_control_plane::Options;
use bulla_tests::bulla::bulla_works;
use bulla_tests::cluster::{Cluster, items};
use bulla_tests::eventually;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: default}\nstringData: {password: hunter2}\n";

async fn main_way(version: &str) {
    let cluster = Cluster::start(Options { emulated_version: Some(version.to_owned()), ..Options::default() }).await;
    let said = cluster.plane.kubectl_command().args(["get", "--raw", "/version"]).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(format!("1.{}", said["emulationMinor"].as_str().unwrap()), version);
    let _controller = cluster.controller(&[]).await;
    let old = cluster.recipient().await;
    let folder = tempfile::tempdir().unwrap();
    let bulla = |args: &[&str]| bulla_works(cluster.plane.admin_kubeconfig(), folder.path(), args);
    let file = folder.path().join("db.yaml");
    let apply = || async { cluster.plane.apply(&std::fs::read_to_string(&file).unwrap()).await.unwrap() };

    std::fs::write(&file, SECRET).unwrap();
    bulla(&["seal", "--in-place", "db.yaml"]);
    apply().await;
    let ready = cluster.wait("default", "db", "Ready").await;
    assert_eq!(cluster.values("default", "db").await, ["password=hunter2"]);
    let state = &items(&ready)[0];
    assert_eq!(
        (&state["state"], &state["scope"], &state["keyId"]),
        (&json!("Opened"), &json!("strict"), &json!(old.fingerprint().id().to_string()))
    );
    let columns =
        cluster.plane.kubectl_command().args(["get", "sealedsecrets.bulla.dev", "db", "--no-headers"]).output().unwrap();
    let columns = String::from_utf8(columns.stdout).unwrap();
    assert_eq!(columns.split_whitespace().take(3).collect::<Vec<_>>(), ["db", "True", "Ready"]);

    let secrets = cluster.secrets("default");
    secrets.patch("db", &PatchParams::default(), &Patch::Merge(json!({"data": {"password": "eA=="}}))).await.unwrap();
    let repaired = || async { (cluster.values("default", "db").await == ["password=hunter2"]).then_some(()) };
    eventually("drift repaired", repaired).await;
    secrets.delete("db", &DeleteParams::default()).await.unwrap();
    eventually("made again", || async { secrets.get_opt("db").await.unwrap() }).await;

    bulla(&["keys", "rotate"]);
    let new = cluster.recipient().await;
    bulla(&["rewrap", "db.yaml"]);
    apply().await;
    let id = new.fingerprint().id().to_string();
    eventually("opened by the new key", || async {
        let opened = cluster.wait("default", "db", "Ready").await;
        (items(&opened)[0]["keyId"] == id).then_some(())
    })
    .await;
    assert_eq!(cluster.values("default", "db").await, ["password=hunter2"]);

    // The rules of the definitions and the admission policy are in force.
    let minting = json!({"apiVersion": "bulla.dev/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "minting"}, "spec": {
        "encryptedData": {"a": "YQ=="}, "template": {"type": "kubernetes.io/service-account-token"}}});
    let refused = cluster.plane.apply(&minting.to_string()).await.unwrap_err().to_string();
    assert!(refused.contains("credential-minting types are refused"), "{refused}");
    let stolen = cluster.plane.service_account_client("bulla-system", "bulla-controller").await.unwrap();
    let metadata = ObjectMeta { name: Some("unmarked".to_owned()), ..ObjectMeta::default() };
    let unmarked = Secret { metadata, ..Secret::default() };
    let refused =
        Api::<Secret>::namespaced(stolen, "default").create(&PostParams::default(), &unmarked).await.unwrap_err().to_string();
    assert!(refused.contains("may only write marked Secrets"), "{refused}");
}

#[tokio::test]
async fn kubernetes_1_34() {
    main_way("1.34").await;
}

#[tokio::test]
async fn kubernetes_1_35() {
    main_way("1.35").await;
}

#[tokio::test]
async fn kubernetes_1_36() {
    main_way("1.36").await;
}

#[tokio::test]
async fn kubernetes_1_37() {
    main_way("1.37").await;
}
