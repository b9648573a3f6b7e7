//! Slips that cannot be undone are refused, whoever makes them, unless the object's name is confirmed on it.

use bulla_shared::resources::sealing_key::{SealingKey, SealingKeySpec};
use bulla_tests::cluster::Cluster;
use bulla_tests::eventually;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

#[tokio::test]
async fn keys_of_unknown_usage_and_the_namespace_of_the_private_keys() {
    let cluster = Cluster::start(bulla_control_plane::Options::default()).await;
    let keys: Api<SealingKey> = Api::all(cluster.admin());
    // Never published: nobody has sealed to it. A policy takes a moment to be in force, so a named key is tried until it is refused.
    keys.create(&PostParams::default(), &SealingKey::new("new", SealingKeySpec::default())).await.unwrap();
    let named = SealingKeySpec { fingerprint: Some("0".repeat(64)), ..SealingKeySpec::default() };
    let refused = eventually("the policy in force", || async {
        let _ = keys.create(&PostParams::default(), &SealingKey::new("named", named.clone())).await;
        keys.delete("named", &DeleteParams::default()).await.err()
    });
    assert!(refused.await.to_string().contains("its usage is not known"));
    keys.delete("new", &DeleteParams::default()).await.unwrap();

    let merge = |patch: serde_json::Value| Patch::Merge(patch);
    let params = PatchParams::default();
    let retired = json!({"spec": {"state": "Retired"}});
    assert!(keys.patch("named", &params, &merge(retired.clone())).await.is_err());
    keys.patch("named", &params, &merge(json!({"spec": {"state": "DecryptOnly"}}))).await.unwrap();
    let wrong = json!({"metadata": {"annotations": {"bulla.dev/confirm": "another"}}, "spec": {"state": "Retired"}});
    assert!(keys.patch("named", &params, &merge(wrong)).await.is_err());
    let used = json!({"status": {"usage": {"items": 1, "secrets": 1}}});
    keys.patch_status("named", &params, &merge(used)).await.unwrap();
    assert!(keys.delete("named", &DeleteParams::default()).await.is_err());
    assert!(keys.delete_collection(&DeleteParams::default(), &kube::api::ListParams::default()).await.is_err());
    let unused = json!({"status": {"usage": {"items": 0, "secrets": 0}}});
    keys.patch_status("named", &params, &merge(unused)).await.unwrap();
    keys.patch("named", &params, &merge(retired)).await.unwrap();
    let stored = json!({"status": {"state": "Retired"}});
    keys.patch_status("named", &params, &merge(stored)).await.unwrap();
    let refused = keys.delete("named", &DeleteParams::default()).await.unwrap_err().to_string();
    assert!(refused.contains("would open again"), "{refused}");
    let used = json!({"status": {"usage": {"items": 1, "secrets": 1}}});
    keys.patch_status("named", &params, &merge(used)).await.unwrap();
    let confirmed = json!({"metadata": {"annotations": {"bulla.dev/confirm": "named"}}});
    keys.patch("named", &params, &merge(confirmed)).await.unwrap();
    keys.delete("named", &DeleteParams::default()).await.unwrap();

    let namespaces: Api<Namespace> = Api::all(cluster.admin());
    let refused = namespaces.delete("bulla-system", &DeleteParams::default()).await.unwrap_err().to_string();
    assert!(refused.contains("bulla.dev/confirm"), "{refused}");
    cluster.namespace("other").await;
    namespaces.delete("other", &DeleteParams::default()).await.unwrap();
}

/// A key that is barred stays barred: no other fingerprint takes its private key from under its SealingKey, whoever writes which half.
#[tokio::test]
async fn a_published_key_stays_the_key_it_is() {
    let cluster = Cluster::start(bulla_control_plane::Options::default()).await;
    let keys: Api<SealingKey> = Api::all(cluster.admin());
    let (mine, other) = ("0".repeat(64), "1".repeat(64));
    keys.create(&PostParams::default(), &SealingKey::new("key", SealingKeySpec::default())).await.unwrap();
    let params = PatchParams::default();
    let published = json!({"status": {"fingerprint": mine, "state": "Active"}});
    keys.patch_status("key", &params, &Patch::Merge(published)).await.unwrap();
    let compromised = json!({"spec": {"state": "Compromised", "compromisedAt": "2026-11-23T06:50:00Z"}});
    keys.patch("key", &params, &Patch::Merge(compromised)).await.unwrap();

    let refused = |result: Result<SealingKey, kube::Error>, words: &str| {
        let said = result.map(drop).map_err(|error| error.to_string());
        assert!(said.as_ref().is_err_and(|said| said.contains(words)), "{words}: {said:?}");
    };
    let named = Patch::Merge(json!({"spec": {"fingerprint": other}}));
    refused(keys.patch("key", &params, &named).await, "spec.fingerprint is that of the published key");
    for status in [json!({"fingerprint": other}), json!({"fingerprint": null}), json!(null)] {
        let patch = Patch::Merge(json!({"status": status}));
        refused(keys.patch_status("key", &params, &patch).await, "status.fingerprint is published once");
    }
    keys.patch("key", &params, &Patch::Merge(json!({"spec": {"fingerprint": mine}}))).await.unwrap();
    keys.patch_status("key", &params, &Patch::Merge(json!({"status": {"state": "Compromised"}}))).await.unwrap();
}
