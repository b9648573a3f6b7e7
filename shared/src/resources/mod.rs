//! The Kubernetes resources of group `bulla.dev/v1alpha1`, with the schemas that the API server enforces.
//!
//! One file per kind. [`crds`] is what `controller/deploy/chart/definitions/` is generated from.

pub mod conditions;
pub mod rewrap_request;
pub mod sealed_secret;
pub mod sealing_key;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

/// API group of all our kinds.
pub const GROUP: &str = "bulla.dev";
/// API version as it stands in manifests.
pub const API_VERSION: &str = "bulla.dev/v1alpha1";
/// Prefix of labels and annotations that only Bulla writes.
pub const RESERVED_PREFIX: &str = "bulla.dev/";
/// Label on Secrets: `owned` on ours; `adopt` or `merge` is the owner's consent.
pub const SECRET_LABEL: &str = "bulla.dev/secret";
/// Value of [`SECRET_LABEL`] on Secrets that the controller created.
pub const OWNED: &str = "owned";
/// Value of [`SECRET_LABEL`] by which the owner of a Secret lets a `SealedSecret` of the same name take it over.
pub const ADOPT: &str = "adopt";
/// Value of [`SECRET_LABEL`] by which the owner of a Secret lets a `SealedSecret` of the same name write the items that
/// [`MERGE_ANNOTATION`] names.
pub const MERGE: &str = "merge";
/// Items, joined by commas, that may be merged into a Secret.
pub const MERGE_ANNOTATION: &str = "bulla.dev/merge";
/// Items, joined by commas, that were merged into a Secret: by it the admission policy knows what may be taken away again.
pub const MERGED_ANNOTATION: &str = "bulla.dev/merged";
/// Annotation on Secrets: `<uid>/<generation>` of the `SealedSecret` that was written last. Proves nothing.
pub const SOURCE_ANNOTATION: &str = "bulla.dev/source";
/// Label on the Secrets that hold private sealing keys.
pub const SEALING_KEY_LABEL: &str = "bulla.dev/sealing-key";
/// Data key of the identity in such a Secret.
pub const IDENTITY_KEY: &str = "identity";
/// Annotations of client-side appliers that copy the whole plaintext manifest.
pub const LAST_APPLIED: [&str; 2] =
    ["kubectl.kubernetes.io/last-applied-configuration", "kubecfg.ksonnet.io/last-applied-configuration"];

/// Whether only Bulla or an applier writes this label or annotation.
#[must_use]
pub fn is_reserved(key: &str) -> bool {
    key.starts_with(RESERVED_PREFIX) || LAST_APPLIED.contains(&key)
}

/// The custom resource definitions, as they are installed.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    let all = [sealed_secret::SealedSecret::crd(), sealing_key::SealingKey::crd(), rewrap_request::RewrapRequest::crd()];
    all.map(finish).into()
}

/// What the derive cannot say: a status that kstatus reads as "in progress" before the controller has seen the object.
fn finish(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(crd).expect("a definition is JSON");
    for version in value["spec"]["versions"].as_array_mut().into_iter().flatten() {
        let root = &mut version["schema"]["openAPIV3Schema"];
        if root["title"].is_string() {
            root.as_object_mut().map(|root| root.remove("title"));
        }
        root["properties"]["status"]["default"] = json!({"observedGeneration": -1});
        drop_null(&mut root["properties"]["status"]);
    }
    serde_json::from_value(value).expect("only defaults and titles were changed")
}

/// `nullable` would let a client store a null where the default belongs.
fn drop_null(schema: &mut Value) {
    schema.as_object_mut().map(|schema| schema.remove("nullable"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_starts_as_in_progress() {
        for crd in crds() {
            let schema = serde_json::to_value(&crd.spec.versions[0]).unwrap();
            let status = &schema["schema"]["openAPIV3Schema"]["properties"]["status"];
            assert_eq!(status["default"]["observedGeneration"], -1);
            assert!(status["nullable"].is_null());
        }
    }
}
