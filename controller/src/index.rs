//! What the controller remembers of the cluster: heads, never a spec, never a Secret's data.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use bulla_shared::resources::sealed_secret::{SealedSecret, SealedSecretStatus};
use kube::Resource;
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};

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

/// A `SealedSecret` without its spec. It parses whatever stands in spec and status, so one bad object never stops a list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SealedHead {
    /// The object's metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// Its status; one that does not parse counts as none.
    #[serde(default, deserialize_with = "lenient")]
    pub status: SealedSecretStatus,
}

fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<SealedSecretStatus, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

impl Resource for SealedHead {
    type DynamicType = ();
    type Scope = kube::core::NamespaceResourceScope;

    fn kind(dt: &()) -> std::borrow::Cow<'_, str> {
        SealedSecret::kind(dt)
    }

    fn group(dt: &()) -> std::borrow::Cow<'_, str> {
        SealedSecret::group(dt)
    }

    fn version(dt: &()) -> std::borrow::Cow<'_, str> {
        SealedSecret::version(dt)
    }

    fn plural(dt: &()) -> std::borrow::Cow<'_, str> {
        SealedSecret::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl SealedHead {
    /// Whether the last status says that all is well.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True")
    }
}

/// A Secret's metadata.
pub type SecretHead = ObjectMeta;

/// What of an object's metadata is remembered. Labels and annotations are not: their author decides how large they are.
#[must_use]
pub fn slim(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        generation: metadata.generation,
        deletion_timestamp: metadata.deletion_timestamp,
        ..ObjectMeta::default()
    }
}

/// All heads, behind one lock that is never held across a wait.
#[derive(Debug, Default)]
pub struct Index(Mutex<Heads>);

/// The two maps of an [`Index`].
#[derive(Debug, Default)]
pub struct Heads {
    /// `SealedSecret`s by key.
    pub sealed: HashMap<Key, SealedHead>,
    /// Labelled Secrets by key.
    pub secrets: HashMap<Key, SecretHead>,
}

impl Index {
    /// The heads.
    pub fn lock(&self) -> MutexGuard<'_, Heads> {
        self.0.lock().expect("no code panics while it holds the index")
    }

    /// Both heads of a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> (Option<SealedHead>, Option<SecretHead>) {
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
}
