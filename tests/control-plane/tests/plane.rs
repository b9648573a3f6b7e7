//! What a control plane can do: store, refuse, collect, come back, look older, and say who wrote what.

#![allow(clippy::panic, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bulla_control_plane::{ControlPlane, Options};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, Error};
use tokio::time::sleep;

const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create]
  resources: [{group: '', resources: [configmaps]}]
- level: None
";

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}

async fn config_map(client: Client, name: &str) -> Result<ConfigMap, Error> {
    let map = ConfigMap {
        metadata: named(name),
        data: Some(BTreeMap::from([("key".to_owned(), "value".to_owned())])),
        ..ConfigMap::default()
    };
    let maps: Api<ConfigMap> = Api::namespaced(client, "default");
    maps.create(&PostParams::default(), &map).await
}

fn code<T>(result: Result<T, Error>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(Error::Api(status)) => status.code,
        Err(error) => panic!("no answer: {error}"),
    }
}

async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !check().await {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn it_stores_refuses_and_collects() {
    let start = Instant::now();
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    println!("ready after {:?}", start.elapsed());
    let admin = plane.admin();
    let parent = config_map(admin.clone(), "parent").await.unwrap();

    // A fresh ServiceAccount may not even look, and a token that nobody issued is nobody's.
    let account = plane.service_account_client("default", "nobody").await.unwrap();
    let list = ListParams::default();
    let secrets_of = |client| Api::<Secret>::namespaced(client, "default");
    assert_eq!(code(secrets_of(account.clone()).list(&list).await), 403);
    assert_eq!(code(config_map(account, "refused").await), 403);
    let stranger = plane.client_with_token("invented").await.unwrap();
    assert_eq!(code(secrets_of(stranger).list(&list).await), 401);

    // The garbage collector follows a deleted owner.
    let secrets = secrets_of(admin.clone());
    let owned = Secret {
        metadata: ObjectMeta {
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".to_owned(),
                kind: "ConfigMap".to_owned(),
                name: "parent".to_owned(),
                uid: parent.metadata.uid.unwrap(),
                ..OwnerReference::default()
            }]),
            ..named("owned")
        },
        ..Secret::default()
    };
    secrets.create(&PostParams::default(), &owned).await.unwrap();
    let free = Secret { metadata: named("free"), ..Secret::default() };
    secrets.create(&PostParams::default(), &free).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(admin, "default");
    maps.delete("parent", &DeleteParams::default()).await.unwrap();
    eventually("the owned Secret is collected", async || secrets.get_opt("owned").await.unwrap().is_none()).await;
    assert!(secrets.get_opt("free").await.unwrap().is_some());
}

#[tokio::test]
async fn it_applies_manifests_and_gives_rights() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let said = plane
        .apply(
            "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: viewer, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: viewer, namespace: shop}]
",
        )
        .await
        .unwrap();
    assert!(said.contains("namespace/shop serverside-applied"), "{said}");
    let refused = plane.apply("{apiVersion: v1, kind: Nonsense}").await;
    assert!(refused.unwrap_err().to_string().contains("Nonsense"));

    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text| std::fs::write(folder.path().join(name), text).unwrap();
    write("kustomization.yaml", "resources: [map.yaml]\n");
    write("map.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: shop}}\n");
    plane.apply_kustomize(folder.path()).await.unwrap();

    // The aggregated role `view` has rules, so its holder sees ConfigMaps, through kubectl as well.
    let kubeconfig = plane.service_account_kubeconfig("shop", "viewer").await;
    let output = plane
        .kubectl_command()
        .env("KUBECONFIG", kubeconfig.unwrap())
        .args(["get", "configmaps", "-n", "shop", "-o", "name"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "configmap/settings\n");
    let missing = plane.service_account_client("nowhere", "viewer").await;
    assert!(missing.err().unwrap().to_string().contains("nowhere/viewer"));
}

#[tokio::test]
async fn it_loses_its_api_server_and_gets_it_back() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let account = plane.service_account_client("default", "holder").await.unwrap();
    config_map(plane.admin(), "before").await.unwrap();
    let first = plane.apiserver_pid().unwrap();

    plane.stop_apiserver();
    assert_eq!(plane.apiserver_pid(), None);
    let refused = config_map(plane.admin(), "meanwhile").await.unwrap_err();
    assert!(!matches!(refused, Error::Api(_)), "{refused}");

    plane.start_apiserver().await.unwrap();
    assert_ne!(plane.apiserver_pid().unwrap(), first);
    assert_eq!(code(config_map(plane.admin(), "before").await), 409);
    // The token is as good as before: RBAC refuses its holder, authentication does not.
    assert_eq!(code(config_map(account, "refused").await), 403);
}

#[tokio::test]
async fn it_loses_its_store_and_keeps_what_was_in_it() {
    let plane = ControlPlane::start(Options { durable: true, ..Options::default() }).await.unwrap();
    config_map(plane.admin(), "before").await.unwrap();
    plane.stop_etcd();
    let meanwhile = tokio::time::timeout(Duration::from_secs(2), config_map(plane.admin(), "meanwhile")).await;
    assert!(!matches!(meanwhile, Ok(Ok(_))), "{meanwhile:?}");
    plane.start_etcd().await.unwrap();
    eventually("it stores again", async || config_map(plane.admin(), "after").await.is_ok()).await;
    assert_eq!(code(config_map(plane.admin(), "before").await), 409);
}

#[tokio::test]
async fn it_looks_older_and_says_who_wrote() {
    let plane = ControlPlane::start(Options {
        emulated_version: Some("1.34".to_owned()),
        audit_policy: Some(AUDIT_POLICY.to_owned()),
        durable: true,
        ..Options::default()
    })
    .await
    .unwrap();
    let version = plane.admin().apiserver_version().await.unwrap();
    assert_eq!(version.minor, "37");
    assert_eq!(version.emulation_minor.as_deref(), Some("34"));

    config_map(plane.admin(), "audited").await.unwrap();
    let account = plane.service_account_client("default", "intruder").await.unwrap();
    assert_eq!(code(config_map(account, "refused").await), 403);
    eventually("both writes are in the log", async || {
        let log = plane.audit_log().unwrap();
        let wrote = |user: &str, code: u16| {
            log.iter().any(|event| event["user"]["username"] == user && event["responseStatus"]["code"] == code)
        };
        wrote("admin", 201) && wrote("system:serviceaccount:default:intruder", 403)
    })
    .await;
}

#[tokio::test]
async fn a_process_that_ends_says_why() {
    let failed = ControlPlane::start(Options { emulated_version: Some("1.7".to_owned()), ..Options::default() }).await;
    let error = failed.unwrap_err().to_string();
    assert!(error.contains("kube-apiserver ended"), "{error}");
    assert!(error.contains("1.7"), "{error}");
}

#[test]
fn it_can_be_started_from_any_task_and_shared() {
    fn is_send<T: Send>(_: T) {}
    fn is_shared<T: Send + Sync>() {}
    is_send(ControlPlane::start(Options::default()));
    is_shared::<ControlPlane>();
}
