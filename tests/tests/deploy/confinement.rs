//! What the admission policy leaves to the controller's ServiceAccount under `merge` and in its own namespace.

use bulla_tests::eventually;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

fn secret(name: &str, type_: &str, label: Option<(&str, &str)>, data: &Value) -> Secret {
    let labels = label.map(|(key, value)| json!({key: value})).unwrap_or_default();
    let metadata = json!({"name": name, "labels": labels});
    serde_json::from_value(json!({"metadata": metadata, "type": type_, "stringData": data})).unwrap()
}

/// Waits until the policy, which was installed a moment ago, is in force.
async fn in_force(controller: &Api<Secret>) {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let unmarked = secret("probe", "Opaque", None, &json!({}));
    let denied = |error: kube::Error| error.to_string().contains("the controller ").then_some(());
    eventually("the policy in force", || async { controller.create(&params, &unmarked).await.err().and_then(denied) }).await;
}

#[tokio::test]
async fn a_merge_writes_what_was_lent_and_nothing_else() {
    let cluster = crate::shared().await;
    cluster.namespace("lent").await;
    let params = PostParams::default();
    let mut theirs = secret("theirs", "Opaque", Some(("bulla.dev/secret", "merge")), &json!({"host": "db", "password": "none"}));
    theirs.metadata.annotations = Some([("bulla.dev/merge".to_owned(), "password, user".to_owned())].into());
    cluster.secrets("lent").create(&params, &theirs).await.unwrap();
    cluster.secrets("lent").create(&params, &secret("plain", "Opaque", None, &json!({"host": "db"}))).await.unwrap();

    let client = cluster.plane.service_account_client("bulla-system", "bulla-controller").await.unwrap();
    let controller: Api<Secret> = Api::namespaced(client, "lent");
    let apply = |name: &'static str, data: Value| {
        let controller = controller.clone();
        async move {
            let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data});
            controller.patch(name, &PatchParams::apply("bulla").force(), &Patch::Apply(object)).await
        }
    };
    in_force(&controller).await;
    assert!(apply("plain", json!({"a": "YQ=="})).await.is_err());
    apply("theirs", json!({"password": "YQ==", "user": "YQ=="})).await.unwrap();
    // Dropped again, as when the owner takes an item back.
    apply("theirs", json!({"password": "Yg=="})).await.unwrap();
    let items = cluster.values("lent", "theirs").await;
    assert_eq!(items, ["host=db", "password=b"]);
    for (data, what) in [(json!({"host": "YQ=="}), "changed"), (json!({"password": "Yg==", "other": "YQ=="}), "added")] {
        let said = apply("theirs", data).await.unwrap_err().to_string();
        assert!(said.contains("only the items that bulla.dev/merge names"), "{what}: {said}");
    }
    for label in [json!({"bulla.dev/secret": "owned"}), json!({"bulla.dev/secret": null})] {
        let patch = Patch::Merge(json!({"metadata": {"labels": label}}));
        assert!(controller.patch("theirs", &PatchParams::default(), &patch).await.is_err(), "{patch:?}");
    }
    for consent in ["adopt", "merge", "mine"] {
        let made = secret("made", "Opaque", Some(("bulla.dev/secret", consent)), &json!({}));
        assert!(controller.create(&params, &made).await.is_err(), "{consent}");
    }
    controller.create(&params, &secret("made", "Opaque", Some(("bulla.dev/secret", "owned")), &json!({}))).await.unwrap();
}

#[tokio::test]
async fn in_its_own_namespace_it_makes_private_keys_and_the_audit_key() {
    let cluster = crate::shared().await;
    let client = cluster.plane.service_account_client("bulla-system", "bulla-controller").await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(client, "bulla-system");
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let create = |made: Secret| {
        let (secrets, params) = (secrets.clone(), params.clone());
        async move { secrets.create(&params, &made).await.map_err(|error| error.to_string()) }
    };
    let audit = "bulla.dev/audit-key";
    in_force(&secrets).await;
    create(secret("bulla-audit-key", audit, None, &json!({"key": "0"}))).await.unwrap();
    create(secret("any", "bulla.dev/sealing-key", Some(("bulla.dev/sealing-key", "0")), &json!({}))).await.unwrap();
    for made in [
        secret("other", audit, None, &json!({})),
        secret("bulla-audit-key", "Opaque", None, &json!({})),
        secret("any", "bulla.dev/sealing-key", None, &json!({})),
        secret("any", "Opaque", Some(("bulla.dev/secret", "owned")), &json!({})),
    ] {
        let said = create(made).await.unwrap_err();
        assert!(said.contains("only creates private keys, and the key of its audit trail"), "{said}");
    }
}

#[tokio::test]
async fn an_owner_lets_go_or_gives_way_to_its_successor() {
    let cluster = crate::shared().await;
    cluster.namespace("owned").await;
    let client = cluster.plane.service_account_client("bulla-system", "bulla-controller").await.unwrap();
    let controller: Api<Secret> = Api::namespaced(client, "owned");
    let owner = |kind: &str, uid: &str| {
        let owner = json!({"apiVersion": "bulla.dev/v1alpha1", "kind": kind, "name": "db", "uid": uid, "controller": true});
        Patch::Merge(json!({"metadata": {"ownerReferences": [owner]}}))
    };
    let params = PatchParams::default();
    let db = secret("db", "Opaque", Some(("bulla.dev/secret", "owned")), &json!({}));
    let db = cluster.secrets("owned").create(&PostParams::default(), &db).await.unwrap();
    // A real one: the garbage collector takes what has an owner that is not there.
    let sealed = json!({"metadata": {"name": "db", "namespace": "owned"}, "spec": {"encryptedData": {"a": "YQ=="}}});
    let sealed = cluster.apply(&serde_json::from_value(sealed).unwrap()).await;
    let ours = owner("SealedSecret", sealed.metadata.uid.as_deref().unwrap());
    controller.patch("db", &params, &ours).await.unwrap();
    in_force(&controller).await;
    // Kubernetes refuses two controllers, so the policy is asked about another in the place of the first.
    let refused = controller.patch("db", &params, &owner("RewrapRequest", "another")).await.unwrap_err().to_string();
    assert!(refused.contains("only the SealedSecret of the same name may own"), "{refused}");
    // One that was deleted, and made anew before the garbage collector came. As a dry run: it takes what an owner has that is not there.
    let dry = PatchParams { dry_run: true, ..PatchParams::default() };
    controller.patch("db", &dry, &owner("SealedSecret", "its-successor")).await.unwrap();
    let none = Patch::Merge(json!({"metadata": {"ownerReferences": []}}));
    let free = controller.patch("db", &params, &none).await.unwrap();
    assert_eq!((free.metadata.uid, free.metadata.owner_references), (db.metadata.uid, None));
}
