//! Definitions, rights or the policy are missing when the controller starts: it says which, and goes on by itself once they are there.

use std::path::{Path, PathBuf};

use bulla_control_plane::{ControlPlane, Options};
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::controller::Controller;
use bulla_tests::eventually;

use crate::crash::{restore, without};

const COMMAND: &str = "kubectl apply --server-side -k controller/deploy ";

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../controller/deploy").join(path)
}

/// The first line of the log that has all of `words`.
async fn says(controller: &Controller, words: &[&str]) -> String {
    eventually(&format!("the log has {words:?}"), || async {
        let log = std::fs::read_to_string(controller.log()).unwrap();
        log.lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
    })
    .await
}

async fn works(cluster: &Cluster) {
    cluster.apply(&seal(&plain("default", "db", &[("a", "1")]), &cluster.recipient().await)).await;
    cluster.wait("default", "db", "Ready").await;
}

#[tokio::test]
async fn without_definitions_and_policy() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    for file in ["base/namespace.yaml", "chart/common/rbac.yaml", "all-namespaces.yaml"] {
        plane.apply(&std::fs::read_to_string(deploy(file)).unwrap()).await.unwrap();
    }
    let cluster = Cluster { plane };
    let mut controller = cluster.controller(&[]).await;
    let definitions = ["sealedsecrets.bulla.dev", "sealingkeys.bulla.dev", "rewraprequests.bulla.dev"];
    says(&controller, &[definitions.as_slice(), &["CustomResourceDefinitions are missing", COMMAND]].concat()).await;
    says(&controller, &["no admission policy", "bulla-controller-secrets", COMMAND]).await;
    let log = std::fs::read_to_string(controller.log()).unwrap();
    assert!(!log.contains("may not"), "all rights are there: {log}");
    assert_eq!(controller.get("/readyz").unwrap().0, 503);

    cluster.plane.apply_kustomize(deploy("")).await.unwrap();
    eventually("it is ready", || async { (controller.get("/readyz")?.0 == 200).then_some(()) }).await;
    works(&cluster).await;
    assert!(controller.is_running(), "it went on by itself");
}

#[tokio::test]
async fn without_its_namespace() {
    let cluster = Cluster::start(Options::default()).await;
    let kubeconfig = cluster.plane.service_account_kubeconfig("bulla-system", "bulla-controller").await.unwrap();
    let controller = Controller::start_by(&cluster.plane, &kubeconfig, "nowhere", &[]);
    says(&controller, &["there is no namespace nowhere", COMMAND]).await;
}

#[tokio::test]
async fn without_a_namespace_to_watch() {
    let cluster = Cluster::start(Options::default()).await;
    let controller = cluster.controller(&["--watch-namespace=default", "--watch-namespace=nowhere"]).await;
    says(&controller, &["there is no namespace nowhere (--watch-namespace)", "kubectl create namespace nowhere"]).await;
    works(&cluster).await;
}

#[tokio::test]
async fn without_rights() {
    let cluster = Cluster::start(Options::default()).await;
    let [list, write] =
        [without(&cluster, "sealedsecrets", "list").await, without(&cluster, "sealingkeys/status", "patch").await];
    let mut controller = cluster.controller(&[]).await;
    let said = says(&controller, &["may not", COMMAND]).await;
    assert!(said.contains("may not list sealedsecrets, patch sealingkeys/status;"), "exactly what was taken away: {said}");
    for role in [list, write] {
        restore(&cluster, &role).await;
    }
    works(&cluster).await;
    assert!(controller.is_running(), "it went on by itself");
}

#[tokio::test]
async fn rights_are_taken_away_while_it_runs() {
    let cluster = Cluster::start(Options::default()).await;
    let controller = cluster.controller(&[]).await;
    works(&cluster).await;
    let create = without(&cluster, "secrets", "create").await;
    cluster.apply(&seal(&plain("default", "late", &[("a", "1")]), &cluster.recipient().await)).await;
    cluster.wait("default", "late", "Forbidden").await;
    says(&controller, &["may not create secrets;", COMMAND]).await;
    restore(&cluster, &create).await;
    cluster.wait("default", "late", "Ready").await;
}
