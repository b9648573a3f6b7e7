//! What the controller's own ServiceAccount may not do, whoever holds its token: RBAC and the admission policy.

use bulla_shared::resources::{API_VERSION, OWNED, SEALING_KEY_LABEL, SECRET_LABEL};
use bulla_tests::cluster::{plain, seal};
use bulla_tests::eventually;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::shared;

#[expect(clippy::needless_pass_by_value, reason = "callers write the JSON in place")]
fn secret(name: &str, rest: Value) -> Secret {
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    for (key, value) in rest.as_object().unwrap() {
        match key.as_str() {
            "labels" | "ownerReferences" => object["metadata"][key] = value.clone(),
            _ => object[key] = value.clone(),
        }
    }
    serde_json::from_value(object).unwrap()
}

/// A policy takes a moment to be in force after it was installed.
async fn in_force(stolen: &Api<Secret>) {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let denied = |error: kube::Error| error.to_string().contains("may only write marked Secrets").then_some(());
    let probe = || async { stolen.create(&params, &secret("probe", json!({}))).await.err().and_then(denied) };
    eventually("the policy in force", probe).await;
}

#[tokio::test]
async fn a_stolen_token_writes_only_marked_secrets() {
    let cluster = shared().await;
    cluster.namespace("confined").await;
    cluster.recipient().await;
    let client = cluster.plane.service_account_client("bulla-system", "bulla-controller").await.unwrap();
    let stolen: Api<Secret> = Api::namespaced(client.clone(), "confined");
    let params = PostParams::default();
    let marked = json!({SECRET_LABEL: OWNED});
    let denied = |result: Result<Secret, kube::Error>, words: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    in_force(&stolen).await;
    denied(stolen.create(&params, &secret("a", json!({}))).await, "may only write marked Secrets");
    let minting = json!({"labels": marked, "type": "bootstrap.kubernetes.io/token"});
    denied(stolen.create(&params, &secret("a", minting)).await, "only these types may be created");
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "1", "controller": true}]);
    let owned = json!({"labels": marked, "ownerReferences": owner});
    denied(stolen.create(&params, &secret("a", owned)).await, "only the SealedSecret of the same name may own");

    let theirs = cluster.secrets("confined").create(&params, &secret("theirs", json!({}))).await.unwrap();
    let mut taken = theirs.clone();
    taken.metadata.labels = Some([(SECRET_LABEL.to_owned(), OWNED.to_owned())].into());
    denied(stolen.replace("theirs", &params, &taken).await, "whose label marks or consents");
    let patch = Patch::Merge(json!({"metadata": {"labels": marked}}));
    denied(stolen.patch("theirs", &PatchParams::default(), &patch).await, "whose label marks or consents");
    let error = stolen.delete("theirs", &DeleteParams::default()).await.unwrap_err().to_string();
    assert!(error.contains("cannot delete"), "{error}");

    let ours = json!({"labels": marked, "ownerReferences": [
        {"apiVersion": API_VERSION, "kind": "SealedSecret", "name": "ours", "uid": "1", "controller": true}
    ]});
    let made = cluster.secrets("confined").create(&params, &secret("ours", ours)).await.unwrap();
    // A later SealedSecret of the name would be let in: nobody but the garbage collector knows which UIDs there are.
    for (kind, controller, words) in [
        ("RewrapRequest", true, "only the SealedSecret of the same name may own"),
        ("SealedSecret", false, "keeps what other owners there are"),
    ] {
        let mut orphaned = made.clone();
        let owners = orphaned.metadata.owner_references.as_mut().unwrap();
        if controller {
            owners.clear();
        }
        let mut invented = made.metadata.owner_references.as_ref().unwrap()[0].clone();
        (invented.kind, invented.uid, invented.controller) = (kind.to_owned(), "2".to_owned(), Some(controller));
        owners.push(invented);
        denied(stolen.replace("ours", &params, &orphaned).await, words);
    }

    let keys: Api<Secret> = Api::namespaced(client, "bulla-system");
    let key = keys.list(&ListParams::default()).await.unwrap().items.remove(0);
    let name = key.metadata.name.clone().unwrap();
    denied(keys.replace(&name, &params, &key).await, "in its own namespace the controller only creates private keys");
    denied(keys.create(&params, &secret("other", json!({"labels": marked}))).await, "only creates private keys");
    let token = json!({"labels": {SEALING_KEY_LABEL: "0"}, "type": "bootstrap.kubernetes.io/token"});
    denied(keys.create(&params, &secret("other", token)).await, "only creates private keys");
}

/// What is somebody else's stays as it is, but for the items that they lend.
#[tokio::test]
async fn a_stolen_token_merges_what_is_lent() {
    let cluster = shared().await;
    cluster.namespace("lent").await;
    let (admin, params) = (cluster.secrets("lent"), PatchParams::default());
    let client = cluster.plane.service_account_client("bulla-system", "bulla-controller").await.unwrap();
    let stolen: Api<Secret> = Api::namespaced(client, "lent");
    in_force(&stolen).await;
    let mut theirs = secret(
        "theirs",
        json!({"labels": {SECRET_LABEL: "merge", "team": "theirs"}, "stringData": {"a": "1", "b": "2", "z": "3"}}),
    );
    theirs.metadata.annotations = Some([("bulla.dev/merge".to_owned(), "a, b".to_owned())].into());
    admin.create(&PostParams::default(), &theirs).await.unwrap();

    let items = "writes only the items that bulla.dev/merge names";
    let gone = "takes away only what is lent or was merged";
    let rest = "changes nothing but the items of a merge";
    let owner = json!([{"apiVersion": API_VERSION, "kind": "SealedSecret", "name": "theirs", "uid": "1", "controller": true}]);
    for (patch, words) in [
        (json!({"data": {"z": "eA=="}}), items),
        (json!({"data": {"new": "eA=="}}), items),
        (json!({"data": {"z": null}}), gone),
        (json!({"data": null}), gone),
        (json!({"metadata": {"annotations": {"bulla.dev/merged": "z"}}}), "lists as merged only what is lent"),
        (json!({"metadata": {"annotations": {"bulla.dev/merge": "a,z"}}}), rest),
        (json!({"metadata": {"annotations": {"bulla.dev/merge": null}}}), rest),
        (json!({"metadata": {"annotations": {"example.com/mirror": "everywhere"}}}), rest),
        (json!({"metadata": {"labels": {"team": "ours"}}}), rest),
        (json!({"metadata": {"labels": {"team": null}}}), rest),
        (json!({"metadata": {"finalizers": ["example.com/hold"]}}), rest),
        (json!({"metadata": {"ownerReferences": owner}}), rest),
        (json!({"immutable": true}), rest),
    ] {
        let result = stolen.patch("theirs", &params, &Patch::Merge(&patch)).await;
        let said = result.map(drop).map_err(|error| error.to_string());
        assert!(said.as_ref().is_err_and(|said| said.contains(words)), "{patch}: {said:?}");
    }
    assert_eq!(cluster.values("lent", "theirs").await, ["a=1", "b=2", "z=3"]);

    // What was merged may go when it is lent no more; what was only lent is its owner's.
    let merged =
        json!({"data": {"a": "eA=="}, "metadata": {"annotations": {"bulla.dev/merged": "a", "bulla.dev/source": "1/1"}}});
    stolen.patch("theirs", &params, &Patch::Merge(merged)).await.unwrap();
    let lent = json!({"metadata": {"annotations": {"bulla.dev/merge": null}}});
    admin.patch("theirs", &params, &Patch::Merge(lent)).await.unwrap();
    let take = |item: &str| Patch::Merge(json!({"data": {item: null}, "metadata": {"annotations": {"bulla.dev/merged": ""}}}));
    let said = stolen.patch("theirs", &params, &take("b")).await.unwrap_err().to_string();
    assert!(said.contains(gone), "{said}");
    stolen.patch("theirs", &params, &take("a")).await.unwrap();
    assert_eq!(cluster.values("lent", "theirs").await, ["b=2", "z=3"]);
}

/// The policy lets the controller put its own reference in the place of another one to the same object.
#[tokio::test]
async fn a_reference_of_another_kind_is_replaced() {
    let cluster = shared().await;
    cluster.namespace("referred").await;
    let mut sealed = seal(&plain("referred", "db", &[("a", "1")]), &cluster.recipient().await);
    sealed.spec.suspend = true;
    let uid = cluster.apply(&sealed).await.metadata.uid.unwrap();
    let owner = json!([{"apiVersion": API_VERSION, "kind": "SealedSecret", "name": "db", "uid": uid}]);
    let made = secret("db", json!({"labels": {SECRET_LABEL: OWNED}, "ownerReferences": owner}));
    cluster.secrets("referred").create(&PostParams::default(), &made).await.unwrap();
    sealed.spec.suspend = false;
    cluster.apply(&sealed).await;
    cluster.wait("referred", "db", "Ready").await;
    let owners = cluster.secrets("referred").get("db").await.unwrap().metadata.owner_references.unwrap();
    assert_eq!(owners.iter().map(|owner| (&owner.uid, owner.controller)).collect::<Vec<_>>(), [(&uid, Some(true))]);
}
