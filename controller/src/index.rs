//! What the controller remembers of the cluster: heads, never a spec, never a Secret's data.

use std::borrow::Cow;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard};

use bulla_shared::binding::KeyId;
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::sealed_secret::{Applied, ItemStatus, SealedSecret, SealedSecretStatus};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::{Deserialize, Deserializer};

use crate::status::{KEY_COMPROMISED, NOT_CONSENTED, ROTATION_DUE};

/// Namespace and name: of a `SealedSecret` and of its Secret alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// The key of a namespaced object.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self { namespace: text(&metadata.namespace), name: text(&metadata.name) }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A `SealedSecret` without its spec, as a watch reads it. It parses whatever stands in spec and status, so one bad object never stops a
/// list.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct SealedHead {
    /// The object's metadata, without what their author decides the size of.
    #[serde(default, deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    /// Its status; one that does not parse counts as none.
    #[serde(default, deserialize_with = "lenient")]
    pub status: SealedSecretStatus,
}

fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SealedSecretStatus, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

impl Resource for SealedHead {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        SealedSecret::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        SealedSecret::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        SealedSecret::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        SealedSecret::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// The metadata of an object of kind `K`, as a watch reads it.
#[derive(Debug, Clone, Deserialize)]
#[serde(bound = "")]
pub struct Slim<K> {
    /// Without what their author decides the size of.
    #[serde(default, deserialize_with = "slim")]
    pub metadata: ObjectMeta,
    #[serde(skip)]
    kind: PhantomData<K>,
}

impl<K: Resource<DynamicType = ()>> Resource for Slim<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }

    /// So that the API server sends nothing else.
    fn metadata_api() -> bool {
        true
    }
}

/// Passes over labels, annotations and managed fields without reading them into memory: each may be hundreds of kilobytes, in every object.
fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Read {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
        creation_timestamp: Option<Time>,
        deletion_timestamp: Option<Time>,
    }
    let read = Read::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        generation: read.generation,
        creation_timestamp: read.creation_timestamp,
        deletion_timestamp: read.deletion_timestamp,
        ..ObjectMeta::default()
    })
}

/// A Secret's metadata.
pub type SecretHead = ObjectMeta;

/// What is remembered of a `SealedSecret`: what decides whether there is anything to do, and what is counted. An object with two items takes
/// about half a kilobyte, one with the most items that there may be some fifteen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// UID.
    pub uid: String,
    /// Resource version.
    pub resource_version: String,
    /// Generation.
    pub generation: Option<i64>,
    /// Whether it is on its way out.
    pub is_deleted: bool,
    /// The generation that the status is about.
    pub observed_generation: Option<i64>,
    /// What the conditions say.
    pub state: State,
    /// Whether `Ready` is true, which it is of some that are suspended too.
    pub is_ready: bool,
    /// Whether a merge wrote only some of the items.
    pub is_partial: bool,
    /// What was written last.
    pub applied: Option<Applied>,
    /// What the status has of [`crate::status::flags`].
    pub flags: [Option<String>; 2],
    /// Its items.
    pub items: Box<[RememberedItem]>,
}

/// One word for the conditions of a `SealedSecret`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The Secret is as asked.
    Ready,
    /// Not looked at yet, or tried again.
    Reconciling,
    /// Waits for a change.
    Stalled,
    /// Left alone.
    Suspended,
}

/// What is remembered of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedItem {
    /// The key that opened it.
    pub opened_by: Option<KeyId>,
    /// Keys of ours that could open it, where none did.
    pub sealed_to: Box<[KeyId]>,
    /// When it was sealed.
    pub sealed: Option<Timestamp>,
    /// The first moment of the day by which it should be replaced.
    pub rotate_by: Option<Timestamp>,
}

impl RememberedItem {
    /// The keys that an item counts for.
    pub fn keys(&self) -> impl Iterator<Item = &KeyId> {
        self.opened_by.iter().chain(&self.sealed_to)
    }
}

impl From<&ItemStatus> for RememberedItem {
    fn from(item: &ItemStatus) -> Self {
        let midnight = |date: Date| Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp());
        Self {
            opened_by: item.key_id.as_ref().and_then(|id| id.parse().ok()),
            sealed_to: item.sealed_to.iter().filter_map(|id| id.parse().ok()).collect(),
            sealed: item.sealed.as_ref().and_then(|time| time.parse().ok()),
            rotate_by: item.rotate_by.as_ref().and_then(|date| midnight(date.parse().ok()?)),
        }
    }
}

impl From<&SealedHead> for Remembered {
    fn from(head: &SealedHead) -> Self {
        let (metadata, status) = (&head.metadata, &head.status);
        let find = |type_: &str| Condition::find(&status.conditions, type_);
        let is_true = |type_: &str| find(type_).is_some_and(|condition| condition.status == "True");
        let state = if status.observed_generation != metadata.generation {
            State::Reconciling
        } else if find("Ready").is_some_and(|condition| condition.reason == "Suspended") {
            State::Suspended
        } else if is_true("Ready") {
            State::Ready
        } else if is_true("Stalled") {
            State::Stalled
        } else {
            State::Reconciling
        };
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            generation: metadata.generation,
            is_deleted: metadata.deletion_timestamp.is_some(),
            observed_generation: status.observed_generation,
            state,
            is_ready: is_true("Ready"),
            is_partial: find("Ready").is_some_and(|condition| condition.reason == NOT_CONSENTED),
            applied: status.applied.clone(),
            flags: [KEY_COMPROMISED, ROTATION_DUE].map(|type_| find(type_).map(|condition| condition.message.clone())),
            items: status.items.iter().map(RememberedItem::from).collect(),
        }
    }
}

impl Remembered {
    /// Whether no controller has said anything about it yet; the definition gives such a one the generation -1.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.observed_generation.is_none_or(|generation| generation < 0)
    }

    /// Whether the status says of this very generation that all is well.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_ready && self.generation == self.observed_generation
    }

    /// Whether the Secret was written for this very generation, if only with the items that its owner lends.
    #[must_use]
    pub fn is_written(&self) -> bool {
        (self.is_ready || self.is_partial) && self.generation == self.observed_generation
    }
}

/// What is remembered of a Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretVersion {
    /// UID.
    pub uid: String,
    /// Resource version.
    pub resource_version: String,
}

impl From<&SecretHead> for SecretVersion {
    fn from(head: &SecretHead) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self { uid: text(&head.uid), resource_version: text(&head.resource_version) }
    }
}

/// All heads, behind one lock that is never held across a wait.
#[derive(Debug, Default)]
pub struct Index(Mutex<Heads>);

/// The two maps of an [`Index`].
#[derive(Debug, Default)]
pub struct Heads {
    /// `SealedSecret`s by key.
    pub sealed: HashMap<Key, Remembered>,
    /// Labelled Secrets by key.
    pub secrets: HashMap<Key, SecretVersion>,
}

impl Index {
    /// The heads.
    pub fn lock(&self) -> MutexGuard<'_, Heads> {
        self.0.lock().expect("no code panics while it holds the index")
    }

    /// Both heads of a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> (Option<Remembered>, Option<SecretVersion>) {
        let heads = self.lock();
        (heads.sealed.get(key).cloned(), heads.secrets.get(key).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_object_parses() {
        for text in [
            r#"{"metadata":{"name":"a","namespace":"b"},"spec":{"encryptedData":7},"status":{"conditions":"no"}}"#,
            r#"{"metadata":{"name":"a","namespace":"b"},"status":null}"#,
            r#"{"metadata":{"name":"a","namespace":"b"}}"#,
        ] {
            let head: SealedHead = serde_json::from_str(text).unwrap();
            assert_eq!(Key::of(&head.metadata).to_string(), "b/a");
            assert_eq!(head.status, SealedSecretStatus::default());
        }
    }

    #[test]
    fn what_an_author_makes_large_is_not_read() {
        let text = r#"{"metadata":{"name":"a","uid":"u","annotations":{"a":"large"},"labels":{"a":"b"},
            "managedFields":[{"fieldsV1":{"f:a":{}}}],"deletionTimestamp":"2026-11-25T00:00:00Z"}}"#;
        let secret: Slim<k8s_openapi::api::core::v1::Secret> = serde_json::from_str(text).unwrap();
        let read = serde_json::to_value(&secret.metadata).unwrap();
        assert_eq!(read, serde_json::json!({"name": "a", "uid": "u", "deletionTimestamp": "2026-11-25T00:00:00Z"}));
        let head: SealedHead = serde_json::from_str(text).unwrap();
        assert_eq!(head.metadata, secret.metadata);
    }
}
