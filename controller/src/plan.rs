//! What to do about one object: a pure function of its head, its Secret's head and the configuration.
//!
//! Everything that can stop a write without a key is decided here, before any value is opened.

use std::collections::BTreeMap;

use bulla_shared::convert::PlainSecret;
use bulla_shared::resources::sealed_secret::{Applied, SealedSecret};
use bulla_shared::resources::{API_VERSION, OWNED, RESERVED_PREFIX, SECRET_LABEL, SOURCE_ANNOTATION};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use crate::index::{SealedHead, SecretHead};

/// Annotation on Secrets that we made immutable: their data cannot be compared, so they are never written again.
pub const IMMUTABLE_ANNOTATION: &str = "bulla.dev/immutable";

/// Annotation with the label and annotation keys that came from the template, so that those taken out of it go, and foreign ones stay.
pub const MANAGED_ANNOTATION: &str = "bulla.dev/managed-metadata";

/// Whether nothing has to be done: the last status is about this generation, and the Secret is the one it tells of.
#[must_use]
pub fn is_applied(head: &SealedHead, secret: Option<&SecretHead>, config_hash: &str) -> bool {
    let (Some(secret), Some(applied)) = (secret, &head.status.applied) else { return false };
    head.is_ready()
        && head.metadata.generation == head.status.observed_generation
        && *applied == applied_to(&head.metadata, secret, config_hash)
}

/// What the status says was written.
#[must_use]
pub fn applied_to(sealed: &ObjectMeta, secret: &SecretHead, config_hash: &str) -> Applied {
    Applied {
        generation: sealed.generation.unwrap_or_default(),
        secret_uid: secret.uid.clone().unwrap_or_default(),
        secret_resource_version: secret.resource_version.clone().unwrap_or_default(),
        config_hash: config_hash.to_owned(),
    }
}

/// How the Secret is written, or why it is not.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// There is none: create it.
    Create,
    /// It is ours: replace it whole, if it still is what was seen.
    Replace(Box<SecretHead>),
    /// It is ours, immutable, and of this generation already.
    Keep(Box<SecretHead>),
    /// It must not be written.
    Stop(Stop),
}

/// Why a Secret must not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A Secret of this name is somebody else's.
    Foreign,
    /// A Secret of this name is on its way out.
    BeingDeleted,
    /// The Secret is immutable and of another generation.
    Immutable,
    /// The object stands in the namespace of the private keys.
    ControllerNamespace,
}

/// Decides the write for `sealed`, given the Secret of the same key.
#[must_use]
pub fn write(sealed: &ObjectMeta, secret: Option<&SecretHead>, controller_namespace: &str) -> Write {
    if sealed.namespace.as_deref() == Some(controller_namespace) {
        return Write::Stop(Stop::ControllerNamespace);
    }
    let Some(secret) = secret else { return Write::Create };
    let labelled = label(secret) == Some(OWNED);
    let owner = secret.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let ours = owner.is_none_or(|owner| Some(&owner.uid) == sealed.uid.as_ref());
    // An earlier object of the same name leaves a Secret that the garbage collector is about to take.
    let leftover = owner.is_some_and(|owner| owner.kind == "SealedSecret" && owner.api_version == API_VERSION && !ours);
    if labelled && (leftover || (ours && secret.deletion_timestamp.is_some())) {
        return Write::Stop(Stop::BeingDeleted);
    }
    if !labelled || !ours {
        return Write::Stop(Stop::Foreign);
    }
    if !is_immutable(secret) {
        return Write::Replace(Box::new(secret.clone()));
    }
    if annotation(secret, IMMUTABLE_ANNOTATION).is_some() && annotation(secret, SOURCE_ANNOTATION) == Some(&source(sealed)) {
        Write::Keep(Box::new(secret.clone()))
    } else {
        Write::Stop(Stop::Immutable)
    }
}

/// Made immutable by us or by somebody else: the API server would compare the data, and its answer would tell whether a guess was right.
fn is_immutable(secret: &SecretHead) -> bool {
    let mut fields = secret.managed_fields.iter().flatten().filter_map(|entry| entry.fields_v1.as_ref());
    annotation(secret, IMMUTABLE_ANNOTATION).is_some() || fields.any(|fields| fields.0.get("f:immutable").is_some())
}

fn label(secret: &SecretHead) -> Option<&str> {
    secret.labels.as_ref()?.get(SECRET_LABEL).map(String::as_str)
}

fn annotation<'a>(secret: &'a SecretHead, key: &str) -> Option<&'a String> {
    secret.annotations.as_ref()?.get(key)
}

/// Every generation gets another text, so that even a Secret with equal data gets another resource version: whether it
/// moves must not tell whether a guess was right.
fn source(sealed: &ObjectMeta) -> String {
    format!("{}/{}", sealed.uid.as_deref().unwrap_or_default(), sealed.generation.unwrap_or_default())
}

/// Puts our marks on the Secret, and gives the metadata to send with it: what others set on `existing` is kept.
#[must_use]
pub fn metadata(secret: &mut PlainSecret, sealed: &SealedSecret, existing: Option<&SecretHead>) -> Value {
    let managed = managed(secret);
    if let Some(existing) = existing {
        let before = annotation(existing, MANAGED_ANNOTATION).map_or(("", ""), |text| text.split_once(';').unwrap_or(("", "")));
        keep(&mut secret.labels, existing.labels.as_ref(), before.0);
        keep(&mut secret.annotations, existing.annotations.as_ref(), before.1);
    }
    secret.labels.insert(SECRET_LABEL.to_owned(), OWNED.to_owned());
    secret.annotations.insert(SOURCE_ANNOTATION.to_owned(), source(&sealed.metadata));
    secret.annotations.insert(MANAGED_ANNOTATION.to_owned(), managed);
    if secret.immutable == Some(true) {
        secret.annotations.insert(IMMUTABLE_ANNOTATION.to_owned(), "true".to_owned());
    }
    let mut metadata = json!({"ownerReferences": owners(sealed, existing)});
    if let Some(existing) = existing {
        metadata["uid"] = json!(existing.uid);
        metadata["resourceVersion"] = json!(existing.resource_version);
        metadata["finalizers"] = json!(existing.finalizers.clone().unwrap_or_default());
    }
    metadata
}

/// `labels;annotations`, keys joined by commas: no key has either character.
fn managed(secret: &PlainSecret) -> String {
    let keys = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>().join(",");
    format!("{};{}", keys(&secret.labels), keys(&secret.annotations))
}

/// Adds what stands on the Secret now, is not ours, and did not come from an earlier template.
fn keep(wanted: &mut BTreeMap<String, String>, existing: Option<&BTreeMap<String, String>>, managed: &str) {
    for (key, value) in existing.into_iter().flatten() {
        if !key.starts_with(RESERVED_PREFIX) && !managed.split(',').any(|managed| managed == key) {
            wanted.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// Our reference and those of others. Without `blockOwnerDeletion`, which would need a right on finalizers.
fn owners(sealed: &SealedSecret, existing: Option<&SecretHead>) -> Vec<OwnerReference> {
    let ours = OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: "SealedSecret".to_owned(),
        name: sealed.metadata.name.clone().unwrap_or_default(),
        uid: sealed.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let others = existing.into_iter().flat_map(|secret| secret.owner_references.iter().flatten());
    let others = others.filter(|owner| owner.controller != Some(true) && owner.uid != ours.uid).cloned();
    let mut owners: Vec<_> = others.collect();
    owners.push(ours);
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> SealedSecret {
        serde_json::from_value(json!({
            "apiVersion": API_VERSION, "kind": "SealedSecret",
            "metadata": {"name": "db", "namespace": "prod", "uid": "u1", "generation": 3},
            "spec": {"encryptedData": {}},
        }))
        .unwrap()
    }

    fn secret(metadata: &Value) -> SecretHead {
        let mut head =
            json!({"name": "db", "namespace": "prod", "uid": "s1", "resourceVersion": "7", "labels": {SECRET_LABEL: OWNED}});
        head.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        serde_json::from_value(head).unwrap()
    }

    fn owner(uid: &str, kind: &str) -> Value {
        json!({"ownerReferences": [{"apiVersion": API_VERSION, "kind": kind, "name": "db", "uid": uid, "controller": true}]})
    }

    fn decide(metadata: &Value) -> Write {
        write(&sealed().metadata, Some(&secret(metadata)), "bulla-system")
    }

    #[test]
    fn only_ours_is_written() {
        assert_eq!(write(&sealed().metadata, None, "bulla-system"), Write::Create);
        assert_eq!(write(&sealed().metadata, None, "prod"), Write::Stop(Stop::ControllerNamespace));
        assert!(matches!(decide(&owner("u1", "SealedSecret")), Write::Replace(_)));
        assert!(matches!(decide(&json!({})), Write::Replace(_)), "orphaned by --cascade=orphan");
        assert_eq!(decide(&owner("u0", "SealedSecret")), Write::Stop(Stop::BeingDeleted));
        assert_eq!(decide(&owner("u0", "Certificate")), Write::Stop(Stop::Foreign));
        assert_eq!(decide(&json!({"labels": {}})), Write::Stop(Stop::Foreign));
        assert_eq!(decide(&json!({"labels": {SECRET_LABEL: "adopt"}})), Write::Stop(Stop::Foreign));
        let source = json!({"labels": {}, "annotations": {SOURCE_ANNOTATION: "u1/3"}});
        assert_eq!(decide(&source), Write::Stop(Stop::Foreign), "the source proves nothing");
        assert_eq!(decide(&json!({"deletionTimestamp": "2026-11-23T06:50:00Z"})), Write::Stop(Stop::BeingDeleted));
    }

    #[test]
    fn an_immutable_secret_is_never_tried() {
        let immutable = |source: &str| decide(&json!({"annotations": {IMMUTABLE_ANNOTATION: "true", SOURCE_ANNOTATION: source}}));
        assert!(matches!(immutable("u1/3"), Write::Keep(_)));
        assert_eq!(immutable("u1/2"), Write::Stop(Stop::Immutable));
        let by_others = json!({
            "annotations": {SOURCE_ANNOTATION: "u1/3"},
            "managedFields": [{"manager": "admin", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {"f:immutable": {}}}],
        });
        assert_eq!(decide(&by_others), Write::Stop(Stop::Immutable));
    }

    #[test]
    fn skip_needs_everything_equal() {
        let seen = secret(&owner("u1", "SealedSecret"));
        let mut head = SealedHead { metadata: sealed().metadata, ..SealedHead::default() };
        head.status.observed_generation = Some(3);
        head.status.applied = Some(applied_to(&head.metadata, &seen, "c"));
        let ready = json!({"type": "Ready", "status": "True", "reason": "r", "message": "", "lastTransitionTime": ""});
        assert!(!is_applied(&head, Some(&seen), "c"), "not Ready");
        head.status.conditions = vec![serde_json::from_value(ready).unwrap()];
        assert!(is_applied(&head, Some(&seen), "c"));
        assert!(!is_applied(&head, None, "c"));
        assert!(!is_applied(&head, Some(&seen), "d"));
        let mut moved = seen.clone();
        moved.resource_version = Some("8".to_owned());
        assert!(!is_applied(&head, Some(&moved), "c"));
        head.metadata.generation = Some(4);
        assert!(!is_applied(&head, Some(&seen), "c"));
    }

    #[test]
    fn foreign_metadata_stays_and_dropped_template_metadata_goes() {
        let existing = secret(&json!({
            "labels": {SECRET_LABEL: OWNED, "old": "1", "foreign": "2", "kept": "before"},
            "annotations": {MANAGED_ANNOTATION: "kept,old;gone", "gone": "1", "theirs": "2"},
            "finalizers": ["x/y"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": "c1"}],
        }));
        let mut plain = PlainSecret {
            namespace: Some("prod".parse().unwrap()),
            name: "db".parse().unwrap(),
            type_: None,
            immutable: None,
            labels: [("kept".to_owned(), "now".to_owned())].into(),
            annotations: BTreeMap::new(),
            items: BTreeMap::new(),
        };
        let metadata = metadata(&mut plain, &sealed(), Some(&existing));
        let text = |map: &BTreeMap<String, String>| {
            map.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(text(&plain.labels), "bulla.dev/secret=owned foreign=2 kept=now");
        assert_eq!(text(&plain.annotations), "bulla.dev/managed-metadata=kept; bulla.dev/source=u1/3 theirs=2");
        assert_eq!((&metadata["uid"], &metadata["resourceVersion"]), (&json!("s1"), &json!("7")));
        assert_eq!(metadata["finalizers"], json!(["x/y"]));
        assert_eq!(metadata["ownerReferences"].as_array().unwrap().len(), 2);
    }
}
