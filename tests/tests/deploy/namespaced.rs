//! The controller for some namespaces: what it may do where, and that `add` adds a namespace to both lists.

use std::process::{Command, Output};

use bulla_control_plane::{ControlPlane, Options};
use bulla_tests::cluster::Cluster;
use bulla_tests::eventually;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use crate::manifests::Manifests;
use crate::repository;

/// Whether the controller's ServiceAccount may do this.
pub(crate) async fn may(cluster: &Cluster, namespace: &str, verb: &str, group: &str, resource: &str) -> bool {
    let text = |text: &str| Some(text.to_owned());
    let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(name, sub)| (name, text(sub)));
    let attributes = ResourceAttributes {
        namespace: text(namespace),
        verb: text(verb),
        group: text(group),
        resource: text(resource),
        subresource,
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: text("system:serviceaccount:bulla-system:bulla-controller"),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let answer = Api::all(cluster.admin()).create(&PostParams::default(), &review).await.unwrap();
    answer.status.unwrap().allowed
}

#[tokio::test]
async fn rights_end_at_the_named_namespaces() {
    let cluster = Cluster { plane: ControlPlane::start(Options::default()).await.unwrap() };
    cluster.plane.apply_kustomize(repository("controller/deploy/namespaced")).await.unwrap();
    cluster.namespace("other").await;
    for (verb, group, resource) in [
        ("list", "", "secrets"),
        ("watch", "", "secrets"),
        ("create", "", "secrets"),
        ("update", "", "secrets"),
        ("patch", "", "secrets"),
        ("list", "bulla.dev", "sealedsecrets"),
        ("update", "bulla.dev", "sealedsecrets/status"),
        ("delete", "bulla.dev", "rewraprequests"),
        ("create", "events.k8s.io", "events"),
    ] {
        assert!(may(&cluster, "default", verb, group, resource).await, "{verb} {resource}");
        assert!(!may(&cluster, "other", verb, group, resource).await, "{verb} {resource}");
        assert!(!may(&cluster, "", verb, group, resource).await, "{verb} {resource}");
    }
    for (verb, allowed) in [("list", true), ("create", true), ("update", false), ("patch", false), ("delete", false)] {
        assert_eq!(may(&cluster, "bulla-system", verb, "", "secrets").await, allowed, "{verb}");
    }
    for (verb, resource) in
        [("list", "sealingkeys"), ("watch", "sealingkeys"), ("create", "sealingkeys"), ("patch", "sealingkeys/status")]
    {
        assert!(may(&cluster, "", verb, "bulla.dev", resource).await, "{verb} {resource}");
    }
}

/// A documented `kubectl` command, from the root of the repository.
pub(crate) fn documented(cluster: &Cluster, command: &str) -> Output {
    let args = command.strip_prefix("kubectl ").unwrap();
    cluster.plane.kubectl_command().current_dir(repository("")).args(args.split(' ')).output().unwrap()
}

#[tokio::test]
async fn from_all_namespaces_to_some_as_documented() {
    let cluster = Cluster::start(Options::default()).await;
    assert!(may(&cluster, "", "list", "", "secrets").await);
    let text = std::fs::read_to_string(repository("docs/installation.md")).unwrap();
    let section = text.split_once("**From all namespaces to some.**").unwrap().1.split_once("## Helm").unwrap().0;
    let commands: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let [narrow @ .., look] = &commands[..] else { panic!("{commands:?}") };
    for command in narrow {
        let output = documented(&cluster, command);
        assert!(output.status.success(), "$ {command}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    eventually("it may no longer", || async { (documented(&cluster, look).stdout == b"no\n").then_some(()) }).await;
    assert!(may(&cluster, "default", "list", "", "secrets").await);
}

#[test]
fn one_line_adds_a_namespace() {
    let copy = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(repository("controller/deploy")).arg(copy.path()).status().unwrap();
    assert!(copied.success());
    let overlay = copy.path().join("deploy/namespaced");
    let add = |names: &[&str]| Command::new(overlay.join("add")).args(names).output().unwrap();
    assert!(add(&["shop", "pay", "default"]).status.success());
    assert!(add(&["shop"]).status.success());
    for refused in ["Shop", "bulla-system"] {
        assert_eq!(add(&[refused]).status.code(), Some(2), "{refused}");
    }

    let manifests = Manifests::kustomize(overlay.to_str().unwrap());
    assert_eq!(manifests.flags()[1..], ["--watch-namespace=default", "--watch-namespace=shop", "--watch-namespace=pay"]);
    for namespace in ["default", "shop", "pay"] {
        manifests.get(&format!("RoleBinding {namespace}/bulla-controller"));
    }
}
