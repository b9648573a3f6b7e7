//! A Secret in plain, and the two pure ways: sealed into a `SealedSecret`, written as JSON for the API server.
//!
//! How a `SealedSecret` becomes plain again stands in [`crate::opening`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::SecretBytes;
use crate::binding::{Scope, ScopeKind};
use crate::encoding::encode_base64_padded;
use crate::names::{ItemName, Namespace, ObjectName, Place};
use crate::resources::is_reserved;
use crate::resources::sealed_secret::{MAX_ITEMS, SealedSecret, SealedSecretSpec, SecretTemplate, TemplateMetadata};
use crate::sealed::{Recipients, SealError, SealedValue};

/// What etcd stores in one object with its usual limit of 1.5 MiB, less room for status and metadata.
pub const MAX_OBJECT: usize = 1_500_000;

/// What client-side `kubectl apply` can copy into its annotation.
pub const MAX_CLIENT_APPLY: usize = 256 * 1024;

/// A Secret with its values in plain.
#[derive(Debug, Clone)]
pub struct PlainSecret {
    /// Namespace, if the manifest names one.
    pub namespace: Option<Namespace>,
    /// Name.
    pub name: ObjectName,
    /// Type; `Opaque` if absent.
    pub type_: Option<String>,
    /// Whether it is immutable.
    pub immutable: Option<bool>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Values by item.
    pub items: BTreeMap<ItemName, SecretBytes>,
}

/// Why a Secret is not sealed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The scope binds the namespace, and the manifest names none.
    #[error("a value of scope {0} needs a namespace, and the Secret names none")]
    NoNamespace(ScopeKind),
    /// There is nothing to seal.
    #[error("the Secret has no items")]
    NoItems,
    /// More items than one object takes.
    #[error("the Secret has more than {MAX_ITEMS} items")]
    TooManyItems,
    /// One value cannot be sealed.
    #[error("item {0}: {1}")]
    Seal(ItemName, SealError),
    /// A type that the cluster would act on.
    #[error("a Secret of a type that mints credentials is not sealed")]
    MintingType,
    /// The sealed object is larger than the API server stores.
    #[error("sealed, the object has {0} bytes; the API server stores about {MAX_OBJECT}")]
    TooLarge(usize),
}

/// How values are sealed.
#[derive(Debug, Clone)]
pub struct SealOptions<'a> {
    /// What each value is bound to.
    pub scope: ScopeKind,
    /// To whom.
    pub recipients: &'a Recipients,
    /// The time that stands in the bindings.
    pub now: Timestamp,
    /// When the values are due for rotation.
    pub rotate_by: Option<Date>,
}

impl PlainSecret {
    /// Seals every item; what a server set and what copies plaintext into metadata is left out.
    pub fn seal(&self, options: &SealOptions<'_>) -> Result<SealedSecret, ConvertError> {
        match self.items.len() {
            0 => return Err(ConvertError::NoItems),
            1..=MAX_ITEMS => {}
            _ => return Err(ConvertError::TooManyItems),
        }
        if self.type_.as_deref().is_some_and(is_minting) {
            return Err(ConvertError::MintingType);
        }
        let mut encrypted_data = BTreeMap::new();
        for (item, value) in &self.items {
            let scope = self.scope(options.scope, item)?;
            let sealed = SealedValue::seal(value.expose(), scope, options.recipients, options.now, options.rotate_by)
                .map_err(|error| ConvertError::Seal(item.clone(), error))?;
            encrypted_data.insert(item.to_string(), sealed.to_string());
        }
        let spec = SealedSecretSpec { encrypted_data, template: self.template(), ..SealedSecretSpec::default() };
        let mut sealed = SealedSecret::new(self.name.as_str(), spec);
        sealed.metadata.namespace = self.namespace.as_ref().map(ToString::to_string);
        match object_size(&sealed) {
            size if size > MAX_OBJECT => Err(ConvertError::TooLarge(size)),
            _ => Ok(sealed),
        }
    }

    fn scope(&self, kind: ScopeKind, item: &ItemName) -> Result<Scope, ConvertError> {
        let namespace = match (&self.namespace, kind) {
            (_, ScopeKind::Cluster) => return Ok(Scope::Cluster),
            (Some(namespace), _) => namespace.clone(),
            (None, _) => return Err(ConvertError::NoNamespace(kind)),
        };
        Ok(kind.at(&Place { namespace, name: self.name.clone(), item: item.clone() }))
    }

    fn template(&self) -> Option<SecretTemplate> {
        let keep = |map: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            let kept = map.iter().filter(|(key, _)| !is_reserved(key));
            kept.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let metadata = TemplateMetadata { labels: keep(&self.labels), annotations: keep(&self.annotations) };
        let template = SecretTemplate {
            metadata: (metadata != TemplateMetadata::default()).then_some(metadata),
            type_: self.type_.clone().filter(|type_| type_ != "Opaque"),
            immutable: self.immutable.filter(|immutable| *immutable),
            data: BTreeMap::new(),
        };
        (template != SecretTemplate::default()).then_some(template)
    }

    /// The manifest as JSON, with `metadata` merged over what the Secret itself says.
    #[must_use]
    pub fn to_json(&self, metadata: &Value) -> Zeroizing<Vec<u8>> {
        let mut frame = self.frame();
        for (key, value) in metadata.as_object().into_iter().flatten() {
            frame["metadata"][key] = value.clone();
        }
        self.with_data(&frame)
    }

    /// What server-side apply is sent for the items alone: no type, no labels, and no annotations but those in `metadata`.
    #[must_use]
    pub fn to_apply(&self, metadata: &Value) -> Zeroizing<Vec<u8>> {
        self.with_data(&serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}))
    }

    /// The buffer never grows, so no copy of a value is left behind.
    fn with_data(&self, frame: &Value) -> Zeroizing<Vec<u8>> {
        let frame = frame.to_string();
        let encoded = |value: &SecretBytes| value.expose().len().div_ceil(3) * 4;
        let items: usize = self.items.iter().map(|(item, value)| item.as_str().len() + encoded(value) + 6).sum();
        let mut json = Zeroizing::new(Vec::with_capacity(frame.len() + items + 16));
        json.extend_from_slice(frame.strip_suffix('}').expect("a JSON object ends in a brace").as_bytes());
        json.extend_from_slice(b",\"data\":{");
        for (index, (item, value)) in self.items.iter().enumerate() {
            // Item names and base64 have no character that JSON escapes.
            json.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            json.extend_from_slice(item.as_str().as_bytes());
            json.extend_from_slice(b"\":\"");
            encode_base64_padded(value.expose(), &mut json);
            json.push(b'"');
        }
        json.extend_from_slice(b"}}");
        json
    }

    /// The manifest without its values.
    #[must_use]
    pub fn frame(&self) -> Value {
        let mut frame = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name.as_str()},
            "type": self.type_.as_deref().unwrap_or("Opaque"),
        });
        if let Some(namespace) = &self.namespace {
            frame["metadata"]["namespace"] = namespace.as_str().into();
        }
        for (key, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !map.is_empty() {
                frame["metadata"][key] = map.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
            }
        }
        if let Some(immutable) = self.immutable {
            frame["immutable"] = immutable.into();
        }
        frame
    }
}

/// Types through which whoever creates a Secret makes the cluster mint or accept a credential.
#[must_use]
pub fn is_minting(type_: &str) -> bool {
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"].contains(&type_)
}

/// Bytes of the object as the API server counts them.
#[must_use]
pub fn object_size(sealed: &SealedSecret) -> usize {
    let names = sealed.spec.encrypted_data.iter().map(|(item, value)| item.len() + value.len() + 6).sum::<usize>();
    let rest = SealedSecretSpec { encrypted_data: BTreeMap::new(), ..sealed.spec.clone() };
    names + serde_json::to_string(&rest).expect("a spec is JSON").len() + 256
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::age::{Algorithm, Identity};
    use crate::resources::LAST_APPLIED;

    fn secret() -> PlainSecret {
        let item = |name: &str, value: &[u8]| (name.parse().unwrap(), SecretBytes::new(value.to_vec()));
        PlainSecret {
            namespace: Some("prod".parse().unwrap()),
            name: "db".parse().unwrap(),
            type_: Some("Opaque".to_owned()),
            immutable: Some(true),
            labels: [("app", "db"), ("bulla.dev/secret", "owned")].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            annotations: [(LAST_APPLIED[0], "{\"data\":{}}"), ("team", "a")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            items: [item("empty", b""), item("binary", b"\xff\0"), item("password", b"hunter2")].into(),
        }
    }

    fn seal(secret: &PlainSecret, scope: ScopeKind) -> Result<SealedSecret, ConvertError> {
        let recipients = Recipients::new([Identity::generate(Algorithm::X25519).recipient().clone()]).unwrap();
        let now = "2026-11-23T06:50:00Z".parse().unwrap();
        secret.seal(&SealOptions { scope, recipients: &recipients, now, rotate_by: None })
    }

    #[test]
    fn no_null_no_server_field_no_copy_of_the_plaintext() {
        let sealed = serde_json::to_value(seal(&secret(), ScopeKind::Strict).unwrap()).unwrap();
        let text = sealed.to_string();
        assert!(
            !text.contains("null")
                && !text.contains("status")
                && !text.contains("last-applied")
                && !text.contains("bulla.dev/secret")
        );
        assert_eq!(sealed["metadata"], serde_json::json!({"name": "db", "namespace": "prod"}));
        let template =
            serde_json::json!({"metadata": {"labels": {"app": "db"}, "annotations": {"team": "a"}}, "immutable": true});
        assert_eq!(sealed["spec"]["template"], template);
        assert_eq!(sealed["spec"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn the_json_is_the_secret() {
        let json = secret().to_json(&serde_json::json!({"uid": "1"}));
        let value: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["data"], serde_json::json!({"binary": "/wA=", "empty": "", "password": "aHVudGVyMg=="}));
        assert_eq!((&value["metadata"]["uid"], &value["metadata"]["labels"]["app"]), (&"1".into(), &"db".into()));
        assert_eq!(value["immutable"], true);
    }

    #[test]
    fn refuses_what_cannot_work() {
        let with = |change: &dyn Fn(&mut PlainSecret), scope| {
            let mut secret = secret();
            change(&mut secret);
            seal(&secret, scope).map(drop)
        };
        assert_eq!(with(&|secret| secret.items.clear(), ScopeKind::Strict), Err(ConvertError::NoItems));
        let no_namespace = Err(ConvertError::NoNamespace(ScopeKind::Strict));
        assert_eq!(with(&|secret| secret.namespace = None, ScopeKind::Strict), no_namespace);
        assert_eq!(with(&|secret| secret.namespace = None, ScopeKind::Cluster), Ok(()));
        let minting = |secret: &mut PlainSecret| secret.type_ = Some("kubernetes.io/service-account-token".to_owned());
        assert_eq!(with(&minting, ScopeKind::Strict), Err(ConvertError::MintingType));
        let fill = |count: usize, length: usize| {
            move |secret: &mut PlainSecret| {
                secret.items =
                    (0..count).map(|n| (format!("i{n}").parse().unwrap(), SecretBytes::new(vec![0; length]))).collect();
            }
        };
        assert_eq!(with(&fill(MAX_ITEMS + 1, 1), ScopeKind::Strict), Err(ConvertError::TooManyItems));
        assert!(matches!(with(&fill(2, 600_000), ScopeKind::Strict), Err(ConvertError::TooLarge(_))));
        assert_eq!(with(&fill(1, 1024 * 1024), ScopeKind::Strict), Ok(()));
    }
}
