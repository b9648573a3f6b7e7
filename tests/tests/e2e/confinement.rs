//! What the controller's own ServiceAccount may not do, whoever holds its token: RBAC and the admission policy.

use bulla_shared::resources::{API_VERSION, OWNED, SEALING_KEY_LABEL, SECRET_LABEL};
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
    // A policy takes a moment to be in force after it was installed.
    eventually("the policy in force", || async { stolen.create(&params, &secret("probe", json!({}))).await.err().map(drop) })
        .await;
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
    for (uid, controller, words) in
        [("2", true, "keeps the owner that there is"), ("3", false, "keeps what other owners there are")]
    {
        let mut orphaned = made.clone();
        let owners = orphaned.metadata.owner_references.as_mut().unwrap();
        if controller {
            owners.clear();
        }
        let mut invented = made.metadata.owner_references.as_ref().unwrap()[0].clone();
        (invented.uid, invented.controller) = (uid.to_owned(), Some(controller));
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
