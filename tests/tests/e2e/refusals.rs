//! What is refused, each with its reason, without plaintext, and without holding up anything else.

use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::ScopeKind;
use bulla_shared::convert::SealOptions;
use bulla_shared::resources::sealed_secret::{SealedSecret, SecretTemplate};
use bulla_shared::sealed::Recipients;
use bulla_tests::cluster::{items, plain, seal};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::shared;

#[tokio::test]
async fn a_moved_value_is_refused() {
    let cluster = shared().await;
    for namespace in ["moved-from", "moved-to"] {
        cluster.namespace(namespace).await;
    }
    let recipient = cluster.recipient().await;
    let sealed = seal(&plain("moved-from", "db", &[("password", "hunter2")]), &recipient);
    let value = sealed.spec.encrypted_data["password"].clone();
    let at = |namespace: &str, name: &str, item: &str| {
        let mut moved = SealedSecret::new(name, sealed.spec.clone());
        moved.metadata.namespace = Some(namespace.to_owned());
        moved.spec.encrypted_data = [(item.to_owned(), value.clone())].into();
        moved
    };
    for (namespace, name, item, message) in [
        ("moved-to", "db", "password", "sealed for another namespace"),
        ("moved-from", "web", "password", "sealed for another name"),
        ("moved-from", "db2", "user", "sealed for another name"),
    ] {
        cluster.apply(&at(namespace, name, item)).await;
        let refused = cluster.wait(namespace, name, "ItemsRefused").await;
        assert_eq!(items(&refused)[0]["message"], message);
        assert!(cluster.secrets(namespace).get_opt(name).await.unwrap().is_none());
    }
    let mut swapped = seal(&plain("moved-from", "swap", &[("a", "1"), ("b", "2")]), &recipient);
    let other = swapped.spec.encrypted_data["a"].clone();
    swapped.spec.encrypted_data.insert("b".to_owned(), other);
    cluster.apply(&swapped).await;
    let refused = cluster.wait("moved-from", "swap", "ItemsRefused").await;
    assert_eq!(
        (&items(&refused)[0]["state"], &items(&refused)[1]["message"]),
        (&"Opened".into(), &"sealed for another item".into())
    );
}

#[tokio::test]
async fn a_bad_item_stops_its_object_and_nothing_else() {
    let cluster = shared().await;
    cluster.namespace("bad").await;
    let recipient = cluster.recipient().await;
    let mut bad = seal(&plain("bad", "bad", &[("good", "1"), ("bad", "2")]), &recipient);
    bad.spec.encrypted_data.insert("bad".to_owned(), "bm90IGFnZQ==".to_owned());
    cluster.apply(&bad).await;
    cluster.apply(&seal(&plain("bad", "good", &[("a", "1")]), &recipient)).await;
    cluster.wait("bad", "good", "Ready").await;
    let refused = cluster.wait("bad", "bad", "ItemsRefused").await;
    assert_eq!(items(&refused)[0]["message"], "header line 1, offset 0: not an age v1 file");
    assert_eq!(items(&refused)[1]["state"], "Opened");
    let conditions = &refused.status.unwrap().conditions;
    assert_eq!((conditions[1].r#type.as_str(), conditions[1].status.as_str()), ("Stalled", "True"));
    assert!(cluster.secrets("bad").get_opt("bad").await.unwrap().is_none(), "all or nothing");
}

#[tokio::test]
async fn an_update_that_fails_leaves_the_secret_as_it_was() {
    let cluster = shared().await;
    cluster.namespace("kept").await;
    let recipient = cluster.recipient().await;
    cluster.apply(&seal(&plain("kept", "db", &[("a", "1")]), &recipient)).await;
    cluster.wait("kept", "db", "Ready").await;
    let stranger = Identity::generate(Algorithm::Hybrid).recipient().clone();
    cluster.apply(&seal(&plain("kept", "db", &[("a", "2")]), &stranger)).await;
    let missing = cluster.wait("kept", "db", "KeyMissing").await;
    let id = stranger.fingerprint().id();
    assert_eq!(items(&missing)[0]["message"], format!("sealed to key {id}, which is not here"));
    assert_eq!(items(&missing)[0]["state"], "KeyMissing");
    assert_eq!(cluster.values("kept", "db").await, ["a=1"]);
    cluster.apply(&seal(&plain("kept", "db", &[("a", "3")]), &recipient)).await;
    cluster.wait("kept", "db", "Ready").await;
    assert_eq!(cluster.values("kept", "db").await, ["a=3"]);
}

#[tokio::test]
async fn a_foreign_secret_is_not_touched() {
    let cluster = shared().await;
    cluster.namespace("foreign").await;
    let recipient = cluster.recipient().await;
    let metadata = ObjectMeta { name: Some("db".to_owned()), ..ObjectMeta::default() };
    let foreign = Secret { metadata, string_data: Some([("a".to_owned(), "theirs".to_owned())].into()), ..Secret::default() };
    cluster.secrets("foreign").create(&PostParams::default(), &foreign).await.unwrap();
    cluster.apply(&seal(&plain("foreign", "db", &[("a", "ours")]), &recipient)).await;
    cluster.wait("foreign", "db", "ForeignSecret").await;
    assert_eq!(cluster.values("foreign", "db").await, ["a=theirs"]);
}

#[tokio::test]
async fn types_outside_the_list_are_refused() {
    let cluster = shared().await;
    cluster.namespace("types").await;
    let recipient = cluster.recipient().await;
    let typed = |name: &str, type_: &str| {
        let mut sealed = seal(&plain("types", name, &[("a", "1")]), &recipient);
        sealed.spec.template = Some(SecretTemplate { type_: Some(type_.to_owned()), ..SecretTemplate::default() });
        sealed
    };
    for minting in ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"] {
        let error = cluster.try_apply(&typed("minting", minting)).await.unwrap_err().to_string();
        assert!(error.contains("credential-minting types are refused"), "{error}");
    }
    cluster.apply(&typed("other", "example.com/other")).await;
    cluster.wait("types", "other", "TypeNotAllowed").await;
    cluster.apply(&typed("tls", "kubernetes.io/tls")).await;
    let refused = cluster.wait("types", "tls", "SpecRefused").await;
    let message = &refused.status.unwrap().conditions[0].message;
    assert_eq!(message, "a Secret of type kubernetes.io/tls needs the item tls.crt and tls.key");
    // The type of a Secret cannot change in place, and we never delete one to make it anew.
    cluster.apply(&seal(&plain("types", "change", &[("ssh-privatekey", "1")]), &recipient)).await;
    cluster.wait("types", "change", "Ready").await;
    let mut changed = seal(&plain("types", "change", &[("ssh-privatekey", "1")]), &recipient);
    changed.spec.template =
        Some(SecretTemplate { type_: Some("kubernetes.io/ssh-auth".to_owned()), ..SecretTemplate::default() });
    cluster.apply(&changed).await;
    cluster.wait("types", "change", "SecretInvalid").await;
}

#[tokio::test]
async fn what_the_api_server_parses_is_sealed_strictly() {
    let cluster = shared().await;
    cluster.namespace("json").await;
    let recipient = cluster.recipient().await;
    let docker = |name: &str, value: &str, scope: ScopeKind| {
        let mut secret = plain("json", name, &[(".dockerconfigjson", value)]);
        secret.type_ = Some("kubernetes.io/dockerconfigjson".to_owned());
        let recipients = Recipients::new([recipient.clone()]).unwrap();
        secret.seal(&SealOptions { scope, recipients: &recipients, now: Timestamp::now(), rotate_by: None }).unwrap()
    };
    cluster.apply(&docker("good", r#"{"auths":{}}"#, ScopeKind::Strict)).await;
    cluster.wait("json", "good", "Ready").await;
    cluster.apply(&docker("wide", r#"{"auths":{}}"#, ScopeKind::Namespace)).await;
    let refused = cluster.wait("json", "wide", "ItemsRefused").await;
    assert_eq!(items(&refused)[0]["message"], "an item that must be JSON has to be sealed with scope strict");
    cluster.apply(&docker("bad", "{no json", ScopeKind::Strict)).await;
    let refused = cluster.wait("json", "bad", "SecretInvalid").await;
    assert!(!format!("{refused:?}").contains("no json"));
}

#[tokio::test]
async fn an_immutable_secret_is_not_tried_again() {
    let cluster = shared().await;
    cluster.namespace("immutable").await;
    let recipient = cluster.recipient().await;
    let immutable = |value: &str| {
        let mut secret = plain("immutable", "db", &[("a", value)]);
        secret.immutable = Some(true);
        seal(&secret, &recipient)
    };
    cluster.apply(&immutable("1")).await;
    cluster.wait("immutable", "db", "Ready").await;
    for guess in ["1", "2"] {
        cluster.apply(&immutable(guess)).await;
        cluster.wait("immutable", "db", "SecretImmutable").await;
    }
    cluster.secrets("immutable").delete("db", &DeleteParams::default()).await.unwrap();
    cluster.wait("immutable", "db", "Ready").await;
    assert_eq!(cluster.values("immutable", "db").await, ["a=2"]);
}

#[tokio::test]
async fn a_secret_that_others_made_immutable_is_not_tried() {
    let cluster = shared().await;
    cluster.namespace("frozen").await;
    let recipient = cluster.recipient().await;
    cluster.apply(&seal(&plain("frozen", "db", &[("a", "1")]), &recipient)).await;
    cluster.wait("frozen", "db", "Ready").await;
    let freeze = Patch::Merge(json!({"immutable": true}));
    cluster.secrets("frozen").patch("db", &PatchParams::default(), &freeze).await.unwrap();
    for guess in ["2", "1"] {
        let mut secret = plain("frozen", "db", &[("a", guess)]);
        secret.immutable = Some(true);
        cluster.apply(&seal(&secret, &recipient)).await;
        cluster.wait("frozen", "db", "SecretImmutable").await;
    }
}

#[tokio::test]
async fn the_namespace_of_the_private_keys_is_out_of_bounds() {
    let cluster = shared().await;
    let recipient = cluster.recipient().await;
    cluster.apply(&seal(&plain("bulla-system", "db", &[("a", "1")]), &recipient)).await;
    cluster.wait("bulla-system", "db", "ControllerNamespace").await;
    assert!(cluster.secrets("bulla-system").get_opt("db").await.unwrap().is_none());
}
