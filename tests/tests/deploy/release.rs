//! The life of a Helm release on a real API server: install, upgrade, uninstall, again; no definition and no Secret is lost.

use bulla_control_plane::{ControlPlane, Options};
use bulla_tests::cluster::{Cluster, plain, seal};
use serde_json::json;

use crate::helm::{Helm, chart};
use crate::manifests::Manifests;
use crate::namespaced::may;
use crate::repository;

/// Every kind of object that the chart makes.
const KINDS: &str = "clusterroles,clusterrolebindings,validatingadmissionpolicies,flowschemas,prioritylevelconfigurations";

fn helm(cluster: &Cluster, verb: &str, args: &[&str]) -> String {
    let output = Helm::new().release(&cluster.plane, verb, args);
    assert!(output.status.success(), "helm {verb}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn get(cluster: &Cluster, args: &[&str]) -> String {
    let output = cluster.plane.kubectl_command().arg("get").args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn install_upgrade_uninstall_and_again() {
    let cluster = Cluster { plane: ControlPlane::start(Options::default()).await.unwrap() };
    let notes = helm(&cluster, "install", &[&chart(), "--create-namespace"]);
    assert!(notes.contains("bulla keys backup -p -o"), "{notes}");
    cluster.namespace("shop").await;
    let controller = cluster.controller(&[]).await;
    let sealed = seal(&plain("shop", "db", &[("password", "tulip")]), &cluster.recipient().await);
    cluster.apply(&sealed).await;
    cluster.wait("shop", "db", "Ready").await;

    // An upgrade brings what a definition lacks, and takes away the rights of before.
    let short = r#"[{"op": "remove", "path": "/spec/names/shortNames"}]"#;
    let definition = ["patch", "crd/sealedsecrets.bulla.dev", "--type=json", "-p", short];
    assert!(cluster.plane.kubectl_command().args(definition).status().unwrap().success());
    let upgraded = [&chart(), "--set-json", r#"namespaces=["shop"]"#, "--set-json", r#"sealers=["dev"]"#];
    helm(&cluster, "upgrade", &upgraded);
    assert_eq!(get(&cluster, &["crd/sealedsecrets.bulla.dev", "-o", "jsonpath={.spec.names.shortNames[0]}"]), "bss");
    assert!(may(&cluster, "shop", "list", "", "secrets").await);
    assert!(!may(&cluster, "default", "list", "", "secrets").await);
    helm(&cluster, "upgrade", &[&chart(), "--reset-values"]);
    assert!(may(&cluster, "default", "list", "", "secrets").await);
    assert!(!get(&cluster, &["rolebindings", "-n", "shop", "-o", "name"]).contains("bulla"));

    let second = Helm::new();
    let mut command = second.command("install");
    command.env("KUBECONFIG", cluster.plane.admin_kubeconfig()).args(["another", &chart(), "--namespace=default"]);
    let said = command.output().unwrap();
    assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains("bulla"), "{said:?}");

    controller.kill();
    helm(&cluster, "uninstall", &[]);
    let left = get(&cluster, &[KINDS, "-o", "name"]);
    assert!(!left.contains("bulla"), "{left}");
    assert_eq!(get(&cluster, &["crd", "-o", "name"]).lines().count(), 3);
    assert_eq!(cluster.values("shop", "db").await, ["password=tulip"]);
    assert_eq!(cluster.private_keys().await.len(), 1);

    helm(&cluster, "install", &[&chart()]);
    let _controller = cluster.controller(&[]).await;
    let sealed = seal(&plain("shop", "db", &[("password", "daffodil")]), &cluster.recipient().await);
    cluster.apply(&sealed).await;
    cluster.wait("shop", "db", "Ready").await;
    assert_eq!(cluster.private_keys().await.len(), 1);
    assert_eq!(cluster.values("shop", "db").await, ["password=daffodil"]);
}

#[tokio::test]
async fn the_api_server_takes_every_variation() {
    let cluster = crate::shared().await;
    let taken = |manifests: Manifests| async move { cluster.plane.apply_dry(&manifests.yaml()).await };
    for values in [
        &["replicas=1", "networkPolicy.enabled=false", r#"image.pullSecrets=["pull"]"#][..],
        &[r#"namespaces=["default","kube-public"]"#, r#"sealers=["a"]"#, r#"allowedTypes=["example.com/thing"]"#],
        &[
            r#"networkPolicy.dnsCIDRs=["10.96.0.10/32"]"#,
            r#"networkPolicy.apiServerCIDRs=["10.0.0.1/32","fd00::1/128"]"#,
            r#"networkPolicy.metricsFrom=[{"podSelector":{"matchLabels":{"app":"prometheus"}}}]"#,
        ],
        &[r#"nodeSelector={"a":"b"}"#, r#"tolerations=[{"key":"a","operator":"Exists"}]"#, r#"extraArgs=["--workers=8"]"#],
    ] {
        taken(crate::helm::render(values)).await.unwrap();
    }
    taken(Manifests::kustomize("controller/deploy/namespaced")).await.unwrap();
    // A misspelt field is not taken.
    let mut wrong = crate::helm::render(&[]);
    let pod = wrong.0.get_mut("Deployment bulla-system/bulla-controller").unwrap().pointer_mut("/spec/template/spec").unwrap();
    pod["serviceAcountName"] = json!("bulla-controller");
    let said = taken(wrong).await.unwrap_err().to_string();
    assert!(said.contains("serviceAcountName"), "{said}");
}

#[tokio::test]
async fn uninstalled_by_kubectl_as_documented() {
    let cluster = Cluster::start(Options::default()).await;
    cluster.namespace("shop").await;
    let controller = cluster.controller(&[]).await;
    cluster.apply(&seal(&plain("shop", "db", &[("password", "tulip")]), &cluster.recipient().await)).await;
    cluster.wait("shop", "db", "Ready").await;
    controller.kill();

    let text = std::fs::read_to_string(repository("docs/installation.md")).unwrap();
    let commands: Vec<&str> =
        text.split_once("## Uninstall").unwrap().1.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        assert!(crate::namespaced::documented(&cluster, command).status.success());
    }
    assert!(!get(&cluster, &[KINDS, "-o", "name"]).contains("bulla"));
    assert!(!get(&cluster, &["deployments,services,roles,rolebindings", "-n", "bulla-system", "-o", "name"]).contains("bulla"));
    assert_eq!(get(&cluster, &["crd", "-o", "name"]).lines().count(), 3);
    assert_eq!(cluster.private_keys().await.len(), 1);
    assert_eq!(cluster.values("shop", "db").await, ["password=tulip"]);
}

#[tokio::test]
async fn helm_takes_over_what_kustomize_installed() {
    let cluster = Cluster::start(Options::default()).await;
    assert!(!Helm::new().release(&cluster.plane, "install", &[&chart()]).status.success());
    let deployment = ["deployment", "bulla-controller", "-n", "bulla-system", "-o", "jsonpath={.metadata.uid}"];
    let before = get(&cluster, &deployment);
    helm(&cluster, "install", &[&chart(), "--take-ownership"]);
    assert_eq!(get(&cluster, &deployment), before);
    helm(&cluster, "uninstall", &[]);
    assert_eq!(get(&cluster, &deployment), "");
}
