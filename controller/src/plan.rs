//! What to do about one object: a pure function of its head, its Secret's head and the configuration.
//!
//! Everything that can stop a write without a key is decided here, before any value is opened.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use bulla_shared::convert::PlainSecret;
use bulla_shared::names::ItemName;
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::sealed_secret::{Applied, CreationPolicy, SealedSecret};
use bulla_shared::resources::{
    ADOPT, API_VERSION, MERGE, MERGE_ANNOTATION, MERGED_ANNOTATION, OWNED, RESERVED_PREFIX, SECRET_LABEL, SOURCE_ANNOTATION,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use crate::index::{Remembered, SecretHead, SecretVersion};
use crate::status::{CONSENT_REMOVED, FOREIGN};

/// Annotation on Secrets that we made immutable: their data cannot be compared, so they are never written again.
pub const IMMUTABLE_ANNOTATION: &str = "bulla.dev/immutable";

/// Annotation with the label and annotation keys that came from the template, so that those taken out of it go, and foreign ones stay.
pub const MANAGED_ANNOTATION: &str = "bulla.dev/managed-metadata";

/// Labels and annotations of every Secret that is made, unless its template has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Defaults {
    /// Adds them where the template says nothing.
    pub fn add_to(&self, secret: &mut PlainSecret) {
        for (defaults, own) in [(&self.labels, &mut secret.labels), (&self.annotations, &mut secret.annotations)] {
            for (key, value) in defaults {
                own.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
    }

    /// Hash of the configuration that shapes Secrets: that of the allowed types, and what is added.
    #[must_use]
    pub fn config_hash(&self, types: &str) -> String {
        let all = format!("{types}\n{:?}\n{:?}", self.labels, self.annotations);
        let hash = digest::digest(&digest::SHA256, all.as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Whether nothing has to be done: the last status is about this generation, and the Secret is the one it tells of.
#[must_use]
pub fn is_applied(sealed: &Remembered, secret: Option<&SecretVersion>, config_hash: &str) -> bool {
    let (Some(secret), Some(applied)) = (secret, &sealed.applied) else { return false };
    sealed.is_done() && *applied == applied_to(sealed.generation, secret, config_hash)
}

/// What the status says was written.
#[must_use]
pub fn applied_to(generation: Option<i64>, secret: &SecretVersion, config_hash: &str) -> Applied {
    Applied {
        generation: generation.unwrap_or_default(),
        secret_uid: secret.uid.clone(),
        secret_resource_version: secret.resource_version.clone(),
        config_hash: config_hash.to_owned(),
    }
}

/// How the Secret is written, or why it is not.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// There is none: create it.
    Create,
    /// It is ours, or its owner lets us have it: replace it whole, if it still is what was seen.
    Replace(Box<SecretHead>),
    /// It is somebody else's, who lets us write these items, if it still is what was seen.
    Merge(Box<SecretHead>, BTreeSet<String>),
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
    /// Its owner once let us write it, and does no more.
    ConsentRemoved,
    /// There is no Secret to merge into.
    NoTarget,
    /// A Secret of this name is on its way out.
    BeingDeleted,
    /// The Secret is immutable and of another generation.
    Immutable,
    /// The object stands in the namespace of the private keys.
    ControllerNamespace,
}

/// Whether a Secret may be there although no watch shows one: in the way last time, without its mark now, or somebody else's.
#[must_use]
pub fn may_have_secret(sealed: &SealedSecret) -> bool {
    let status = sealed.status.as_ref();
    let blocked = |condition: &Condition| [FOREIGN, CONSENT_REMOVED].contains(&condition.reason.as_str());
    sealed.spec.target.creation_policy == CreationPolicy::Merge
        || status.is_some_and(|status| status.applied.is_some() || status.conditions.iter().any(blocked))
}

/// Whether it may be created from a version of the object that is not the newest: then it is replaced, or goes with its owner. An immutable
/// Secret stays as it is, an orphan stays for ever, and over what is there nothing old is written.
#[must_use]
pub fn may_come_late(sealed: &SealedSecret) -> bool {
    let is_immutable = sealed.spec.template.as_ref().is_some_and(|template| template.immutable == Some(true));
    sealed.spec.target.creation_policy == CreationPolicy::Owner && !is_immutable && !may_have_secret(sealed)
}

/// Decides the write for `sealed`, given the Secret of the same key.
#[must_use]
pub fn write(sealed: &SealedSecret, secret: Option<&SecretHead>, controller_namespace: &str) -> Write {
    let policy = sealed.spec.target.creation_policy;
    let sealed_uid = sealed.metadata.uid.as_ref();
    if sealed.metadata.namespace.as_deref() == Some(controller_namespace) {
        return Write::Stop(Stop::ControllerNamespace);
    }
    let Some(secret) = secret else {
        return if policy == CreationPolicy::Merge { Write::Stop(Stop::NoTarget) } else { Write::Create };
    };
    let label = label(secret);
    let consents = match policy {
        CreationPolicy::Merge => label == Some(MERGE),
        CreationPolicy::Owner | CreationPolicy::Orphan => label == Some(OWNED) || label == Some(ADOPT),
    };
    let owner = secret.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    // There is one object of a name at a time: what owned the Secret under this one's name is gone. The garbage collector may not have seen that
    // (it may have been away) and then never takes the Secret.
    let is_leftover = |owner: &OwnerReference| {
        (owner.api_version.as_str(), owner.kind.as_str()) == (API_VERSION, "SealedSecret")
            && Some(&owner.name) == sealed.metadata.name.as_ref()
            && Some(&owner.uid) != sealed_uid
    };
    let leftover = owner.is_some_and(is_leftover);
    // Whoever owns a Secret may also be a controller: a merge leaves everything of it but the items alone.
    let ours = policy == CreationPolicy::Merge || leftover || owner.is_none_or(|owner| Some(&owner.uid) == sealed_uid);
    if consents && ours && (secret.deletion_timestamp.is_some() || (leftover && is_immutable(secret))) {
        return Write::Stop(Stop::BeingDeleted);
    }
    if !consents || !ours {
        let applied = sealed.status.as_ref().and_then(|status| status.applied.as_ref());
        let was_ours = applied.is_some_and(|applied| Some(&applied.secret_uid) == secret.uid.as_ref());
        return Write::Stop(if was_ours { Stop::ConsentRemoved } else { Stop::Foreign });
    }
    if !is_immutable(secret) {
        let secret = Box::new(secret.clone());
        return match policy {
            CreationPolicy::Merge => {
                let items = consented(&secret);
                Write::Merge(secret, items)
            }
            CreationPolicy::Owner | CreationPolicy::Orphan => Write::Replace(secret),
        };
    }
    if annotation(secret, IMMUTABLE_ANNOTATION).is_some()
        && annotation(secret, SOURCE_ANNOTATION) == Some(&source(&sealed.metadata))
    {
        Write::Keep(Box::new(secret.clone()))
    } else {
        Write::Stop(Stop::Immutable)
    }
}

/// The items that the owner of a Secret lets us write.
fn consented(secret: &SecretHead) -> BTreeSet<String> {
    let named = annotation(secret, MERGE_ANNOTATION).map_or("", String::as_str);
    named.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// The metadata that a merge of `items` is sent with: the source moves the resource version with each generation.
#[must_use]
pub fn merge_metadata<'a>(sealed: &SealedSecret, existing: &SecretHead, items: impl Iterator<Item = &'a ItemName>) -> Value {
    let merged: Vec<&str> = items.map(ItemName::as_str).collect();
    json!({
        "name": existing.name,
        "namespace": existing.namespace,
        "uid": existing.uid,
        "resourceVersion": existing.resource_version,
        "annotations": {SOURCE_ANNOTATION: source(&sealed.metadata), MERGED_ANNOTATION: merged.join(",")},
    })
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
    // The label of a Secret that we did not make is its owner's word: a GitOps controller would put it back.
    let mark = existing.and_then(label).unwrap_or(OWNED);
    secret.labels.insert(SECRET_LABEL.to_owned(), mark.to_owned());
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

/// Our reference, unless the Secret is to stay without us, and those of others. Without `blockOwnerDeletion`, which would need a right on finalizers.
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
    let stays = sealed.spec.target.creation_policy == CreationPolicy::Orphan;
    others.chain((!stays).then_some(ours.clone())).collect()
}

#[cfg(test)]
mod tests {
    use bulla_shared::resources::sealed_secret::SealedSecretStatus;

    use super::*;
    use crate::index::SealedHead;

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
        write(&sealed(), Some(&secret(metadata)), "bulla-system")
    }

    #[test]
    fn only_ours_is_written() {
        assert_eq!(write(&sealed(), None, "bulla-system"), Write::Create);
        assert_eq!(write(&sealed(), None, "prod"), Write::Stop(Stop::ControllerNamespace));
        assert!(matches!(decide(&owner("u1", "SealedSecret")), Write::Replace(_)));
        assert!(matches!(decide(&json!({})), Write::Replace(_)), "orphaned by --cascade=orphan");
        let leftover = owner("u0", "SealedSecret");
        assert!(matches!(decide(&leftover), Write::Replace(_)), "of an earlier object of this name");
        let mut immutable = leftover.clone();
        immutable["annotations"] = json!({IMMUTABLE_ANNOTATION: "true"});
        assert_eq!(decide(&immutable), Write::Stop(Stop::BeingDeleted), "only the garbage collector can help");
        let mut other = leftover;
        other["ownerReferences"][0]["name"] = json!("other");
        assert_eq!(decide(&other), Write::Stop(Stop::Foreign), "of an object that may be there");
        assert_eq!(decide(&owner("u0", "Certificate")), Write::Stop(Stop::Foreign));
        assert_eq!(decide(&json!({"labels": {}})), Write::Stop(Stop::Foreign));
        assert_eq!(decide(&json!({"labels": {SECRET_LABEL: "merge"}})), Write::Stop(Stop::Foreign));
        let source = json!({"labels": {}, "annotations": {SOURCE_ANNOTATION: "u1/3"}});
        assert_eq!(decide(&source), Write::Stop(Stop::Foreign), "the source proves nothing");
        assert_eq!(decide(&json!({"deletionTimestamp": "2026-11-23T06:50:00Z"})), Write::Stop(Stop::BeingDeleted));
    }

    #[test]
    fn consent_lies_on_the_secret() {
        use CreationPolicy::{Merge, Orphan, Owner};
        let by = |policy: CreationPolicy, applied: Option<&str>, metadata: &Value| {
            let mut sealed = sealed();
            sealed.spec.target.creation_policy = policy;
            let applied = applied.map(|uid| Applied { secret_uid: uid.to_owned(), ..Applied::default() });
            sealed.status = Some(SealedSecretStatus { applied, ..SealedSecretStatus::default() });
            write(&sealed, Some(&secret(metadata)), "bulla-system")
        };
        let adopt = json!({"labels": {SECRET_LABEL: "adopt"}});
        for policy in [Owner, Orphan] {
            assert!(matches!(by(policy, None, &adopt), Write::Replace(_)));
            assert_eq!(by(policy, None, &json!({"labels": {SECRET_LABEL: "merge"}})), Write::Stop(Stop::Foreign));
        }
        let other = json!({"labels": {SECRET_LABEL: "adopt"}, "ownerReferences": owner("u0", "Certificate")["ownerReferences"]});
        assert_eq!(by(Owner, None, &other), Write::Stop(Stop::Foreign), "a controller owns it");
        assert_eq!(by(Merge, None, &adopt), Write::Stop(Stop::Foreign));
        assert_eq!(by(Owner, Some("s1"), &json!({"labels": {}})), Write::Stop(Stop::ConsentRemoved));
        assert_eq!(by(Owner, Some("s0"), &json!({"labels": {}})), Write::Stop(Stop::Foreign), "another Secret");

        let merge = json!({"labels": {SECRET_LABEL: "merge"}, "annotations": {MERGE_ANNOTATION: "a, b,,c"}});
        let Write::Merge(_, items) = by(Merge, None, &merge) else { panic!() };
        assert_eq!(items.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        let immutable = json!({"labels": {SECRET_LABEL: "merge"}, "managedFields": [{"fieldsV1": {"f:immutable": {}}}]});
        assert_eq!(by(Merge, None, &immutable), Write::Stop(Stop::Immutable));
        let mut merging = sealed();
        merging.spec.target.creation_policy = Merge;
        assert_eq!(write(&merging, None, "bulla-system"), Write::Stop(Stop::NoTarget));
    }

    #[test]
    fn the_owner_reference_follows_the_policy() {
        let owners = |policy: CreationPolicy, existing: &Value| {
            let mut sealed = sealed();
            sealed.spec.target.creation_policy = policy;
            owners(&sealed, Some(&secret(existing))).into_iter().map(|owner| owner.uid).collect::<Vec<_>>()
        };
        let ours = owner("u1", "SealedSecret");
        assert_eq!(owners(CreationPolicy::Owner, &json!({})), ["u1"]);
        assert_eq!(owners(CreationPolicy::Owner, &ours), ["u1"]);
        assert_eq!(owners(CreationPolicy::Orphan, &ours), [""; 0]);
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
        let seen = SecretVersion::from(&secret(&owner("u1", "SealedSecret")));
        let status = |ready: &str| {
            json!({
                "observedGeneration": 3,
                "conditions": [{"type": "Ready", "status": ready, "reason": "r", "message": "", "lastTransitionTime": ""}],
                "applied": applied_to(Some(3), &seen, "c"),
            })
        };
        let head = |status: &Value| {
            let head: SealedHead = serde_json::from_value(json!({"metadata": {"generation": 3}, "status": status})).unwrap();
            Remembered::from(&head)
        };
        assert!(!is_applied(&head(&status("False")), Some(&seen), "c"), "not Ready");
        let mut sealed = head(&status("True"));
        assert!(is_applied(&sealed, Some(&seen), "c"));
        assert!(!is_applied(&sealed, None, "c"));
        assert!(!is_applied(&sealed, Some(&seen), "d"));
        let moved = SecretVersion { resource_version: "8".to_owned(), ..seen.clone() };
        assert!(!is_applied(&sealed, Some(&moved), "c"));
        sealed.generation = Some(4);
        assert!(!is_applied(&sealed, Some(&seen), "c"));
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
