//! From the spec of a `SealedSecret` to the plain Secret: all or nothing, and decided before anything is opened.
//!
//! The controller and `bulla unseal` call the same function. What it reports depends on ciphertext, names and keys, never on plaintext.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest;
use thiserror::Error;

use crate::SecretBytes;
use crate::binding::{Binding, KeyId, ScopeKind};
use crate::convert::{PlainSecret, is_minting};
use crate::encoding::to_hex;
use crate::names::{ItemName, NameError, Namespace, ObjectName, Place, annotation_key, label_key, label_value};
use crate::resources::is_reserved;
use crate::resources::sealed_secret::{CreationPolicy, MAX_ITEMS, SealedSecretSpec, TemplateMetadata};
use crate::sealed::{Keys, MAX_PLAINTEXT, SealedError, SealedValue};
use crate::template::{CheckedTemplate, Template, TemplateError};

/// Most substitutions in all templates of one object. How long a write takes depends on the length of the Secret, and filters make the
/// length depend on a value: without a limit a template could make one character of it as long as the whole Secret.
pub const MAX_SUBSTITUTIONS: usize = 64;

/// Most bytes of all items that are merged. The API server refuses a Secret that grows too long, and whether it does tells how long the
/// items are that are somebody else's: only of a Secret that is nearly full already.
pub const MAX_MERGED: usize = 64 * 1024;

/// Most bytes of all annotations of a template: half of what the API server takes.
pub const MAX_ANNOTATIONS: usize = 128 * 1024;

/// Secret types that anyone who may create a `SealedSecret` may ask for: none of them makes the cluster act.
const PLAIN_TYPES: [&str; 6] = [
    "Opaque",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/basic-auth",
    SSH_AUTH,
    "kubernetes.io/tls",
];

const SSH_AUTH: &str = "kubernetes.io/ssh-auth";
const SSH_KEY: &str = "ssh-privatekey";

/// Items whose content the API server checks, in Secrets of some type.
const VALIDATED: [&str; 3] = [".dockerconfigjson", ".dockercfg", SSH_KEY];

/// The Secret types that are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedTypes(BTreeSet<String>);

impl AllowedTypes {
    /// The types that are safe by themselves, and `more`. Credential-minting types are never among them.
    pub fn with(more: impl IntoIterator<Item = String>) -> Self {
        let all = PLAIN_TYPES.map(str::to_owned).into_iter().chain(more);
        Self(all.filter(|type_| !is_minting(type_)).collect())
    }

    /// SHA-256 over the types, in hex: the part of a controller's configuration that shapes Secrets.
    #[must_use]
    pub fn digest(&self) -> String {
        let all: Vec<&str> = self.0.iter().map(String::as_str).collect();
        to_hex(digest::digest(&digest::SHA256, all.join("\n").as_bytes()).as_ref())
    }
}

/// Why the spec as a whole cannot become a Secret, whatever the keys.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SpecError {
    /// An item has a name that no Secret takes.
    #[error("{0}")]
    ItemName(#[from] NameError),
    /// There are no items, or too many.
    #[error("a SealedSecret has 1 to {MAX_ITEMS} items")]
    ItemCount,
    /// The type is not allowed here.
    #[error("Secrets of this type are not made: allowed are Opaque, dockercfg, dockerconfigjson, basic-auth, ssh-auth and tls")]
    Type,
    /// A type that needs an item which neither `encryptedData` nor `template.data` has.
    #[error("a Secret of type {type_} needs the item {items}")]
    MissingItem {
        /// The type.
        type_: String,
        /// What it needs.
        items: &'static str,
    },
    /// The API server refuses this item if it is empty, and whether it is must not depend on a value.
    #[error("item {0} of this type could be empty; put text around it, or leave out trim")]
    Empty(&'static str),
    /// One name in `encryptedData` and `template.data`.
    #[error("item {0} stands in encryptedData and in template.data")]
    SameItem(ItemName),
    /// A template is refused.
    #[error("template of item {0}: {1}")]
    Template(ItemName, TemplateError),
    /// More substitutions than [`MAX_SUBSTITUTIONS`].
    #[error("template.data has more than {MAX_SUBSTITUTIONS} substitutions")]
    TooManySubstitutions,
    /// All values together may be longer than a Secret holds.
    #[error("the Secret could be longer than {MAX_PLAINTEXT} bytes")]
    TooLong,
    /// What a Secret of somebody else accepts would tell about a value: its type may be checked, and its room is not ours.
    #[error(
        "creationPolicy Merge takes items of encryptedData only, and none named .dockerconfigjson, .dockercfg or {SSH_KEY}: {0}"
    )]
    NotMerged(String),
    /// More than [`MAX_MERGED`].
    #[error("creationPolicy Merge takes at most {MAX_MERGED} bytes in all")]
    TooLongToMerge,
    /// A key of `template.metadata` that the API server would refuse.
    #[error("a key of template.metadata.{0}: {1}")]
    MetadataKey(&'static str, NameError),
    /// A label of `template.metadata` that the API server would refuse.
    #[error("label {0} of template.metadata: {1}")]
    LabelValue(String, NameError),
    /// More than [`MAX_ANNOTATIONS`].
    #[error("annotations of template.metadata are longer than {MAX_ANNOTATIONS} bytes")]
    AnnotationsTooLong,
    /// Labels or annotations that only Bulla or an applier writes.
    #[error("template.metadata has a reserved label or annotation")]
    ReservedMetadata,
}

/// Why one item is not opened.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ItemError {
    /// The value is malformed, or does not open here.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The API server checks that this item is JSON, which tells one bit of it to whoever may place it here.
    #[error("an item that must be JSON has to be sealed with scope strict")]
    NotStrict,
    /// Something else already stops the Secret.
    #[error("not tried: something else stops the Secret")]
    NotTried,
}

/// What became of one item.
#[derive(Debug)]
pub struct ItemReport {
    /// Key in `encryptedData`.
    pub name: String,
    /// What the value says about itself, if it is well-formed.
    pub binding: Option<Binding>,
    /// The key that opened it.
    pub result: Result<KeyId, ItemError>,
}

/// What became of a `SealedSecret`.
#[derive(Debug)]
pub struct Opening {
    /// One report per item, in the order of their names.
    pub items: Vec<ItemReport>,
    /// What the Secret is made of, if everything opened.
    pub secret: Result<Opened, Refusal>,
}

/// A Secret whose templates are still to be rendered.
#[derive(Debug, Clone)]
pub struct Opened {
    secret: PlainSecret,
    templates: Vec<(ItemName, CheckedTemplate)>,
}

impl Opened {
    /// Renders the templates. Apart from opening, because the time that filters take depends on the values.
    #[must_use]
    pub fn render(self) -> PlainSecret {
        let Self { mut secret, templates } = self;
        let by_name: BTreeMap<&str, &SecretBytes> = secret.items.iter().map(|(name, value)| (name.as_str(), value)).collect();
        let rendered: Vec<_> =
            templates.into_iter().map(|(name, template)| (name, template.render(|item| by_name[item].expose()).into())).collect();
        secret.items.extend(rendered);
        secret
    }
}

/// Why there is no Secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The spec is refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// Some items are refused for good, whatever key may come.
    #[error("{failed} of {all} items do not open")]
    Items {
        /// How many are refused.
        failed: usize,
        /// How many there are.
        all: usize,
    },
    /// All that is missing are keys.
    #[error("{missing} of {all} items are sealed to keys that are not here")]
    KeyMissing {
        /// How many lack their key.
        missing: usize,
        /// How many items there are.
        all: usize,
    },
}

/// Reports on all items of `spec` without opening any: something else already stops the Secret.
#[must_use]
pub fn not_opened(spec: &SealedSecretSpec) -> Vec<ItemReport> {
    spec.encrypted_data.iter().map(|(item, text)| not_tried(item, text.parse())).collect()
}

/// Opens all items of `spec` at `namespace` and `name`.
#[must_use]
pub fn open(
    namespace: &Namespace,
    name: &ObjectName,
    spec: &SealedSecretSpec,
    keys: &impl Keys,
    types: &AllowedTypes,
) -> Opening {
    let parsed: Vec<_> = spec.encrypted_data.iter().map(|(item, text)| (item, text.parse::<SealedValue>())).collect();
    let checked = match check(spec, &parsed, types) {
        Ok(checked) => checked,
        Err(error) => {
            let items = parsed.into_iter().map(|(item, value)| not_tried(item, value)).collect();
            return Opening { items, secret: Err(error.into()) };
        }
    };
    let json_item = json_item(spec);
    let mut items = Vec::with_capacity(parsed.len());
    let mut plain = BTreeMap::new();
    for ((item, value), item_name) in parsed.into_iter().zip(checked.names) {
        let value = match value {
            Ok(value) => value,
            Err(error) => {
                items.push(report(item, None, Err(error.into())));
                continue;
            }
        };
        let place = Place { namespace: namespace.clone(), name: name.clone(), item: item_name };
        let opened = if json_item == Some(item) && value.binding().scope.kind() != ScopeKind::Strict {
            Err(ItemError::NotStrict)
        } else {
            value.open(&place, keys).map_err(ItemError::from)
        };
        let result = opened.map(|opened| {
            plain.insert(place.item, opened.plaintext);
            opened.key
        });
        items.push(report(item, Some(value.binding().clone()), result));
    }
    let secret = match refusal(&items) {
        Some(refusal) => Err(refusal),
        None => Ok(Opened { secret: without_templates(namespace, name, spec, plain), templates: checked.templates }),
    };
    Opening { items, secret }
}

fn not_tried(item: &str, value: Result<SealedValue, SealedError>) -> ItemReport {
    match value {
        Ok(value) => report(item, Some(value.binding().clone()), Err(ItemError::NotTried)),
        Err(error) => report(item, None, Err(error.into())),
    }
}

fn report(item: &str, binding: Option<Binding>, result: Result<KeyId, ItemError>) -> ItemReport {
    ItemReport { name: item.to_owned(), binding, result }
}

fn refusal(items: &[ItemReport]) -> Option<Refusal> {
    let all = items.len();
    let missing = items.iter().filter(|item| matches!(item.result, Err(ItemError::Sealed(SealedError::UnknownKey(_))))).count();
    let failed = items.iter().filter(|item| item.result.is_err()).count() - missing;
    match (failed, missing) {
        (0, 0) => None,
        (0, missing) => Some(Refusal::KeyMissing { missing, all }),
        (failed, missing) => Some(Refusal::Items { failed: failed + missing, all }),
    }
}

/// What can be said of a spec without a key: whether [`open`] would refuse it whatever the keys are.
pub fn check_spec(spec: &SealedSecretSpec, types: &AllowedTypes) -> Result<(), SpecError> {
    let parsed: Vec<_> = spec.encrypted_data.iter().map(|(item, text)| (item, text.parse::<SealedValue>())).collect();
    check(spec, &parsed, types).map(drop)
}

struct Checked {
    /// In the order of `encryptedData`.
    names: Vec<ItemName>,
    templates: Vec<(ItemName, CheckedTemplate)>,
}

/// Everything that can be refused without a key.
fn check(
    spec: &SealedSecretSpec,
    values: &[(&String, Result<SealedValue, SealedError>)],
    allowed: &AllowedTypes,
) -> Result<Checked, SpecError> {
    if values.is_empty() || values.len() > MAX_ITEMS {
        return Err(SpecError::ItemCount);
    }
    let names = values.iter().map(|(item, _)| item.parse()).collect::<Result<Vec<ItemName>, _>>()?;
    let template = spec.template.clone().unwrap_or_default();
    let type_ = template.type_.as_deref().unwrap_or("Opaque");
    if let Some(metadata) = &template.metadata {
        check_metadata(metadata)?;
    }
    // A value that does not even parse will never be in the Secret, so its length does not matter.
    let lengths: BTreeMap<&str, usize> =
        values.iter().map(|(name, value)| (name.as_str(), value.as_ref().map_or(0, SealedValue::plaintext_len))).collect();
    let mut total: usize = lengths.values().sum();
    if spec.target.creation_policy == CreationPolicy::Merge {
        let mut items = template.data.keys().chain(spec.encrypted_data.keys().filter(|item| VALIDATED.contains(&item.as_str())));
        if let Some(item) = items.next() {
            return Err(SpecError::NotMerged(item.clone()));
        }
        if total > MAX_MERGED {
            return Err(SpecError::TooLongToMerge);
        }
        return Ok(Checked { names, templates: Vec::new() });
    }
    if !allowed.0.contains(type_) {
        return Err(SpecError::Type);
    }
    let has = |item: &str| spec.encrypted_data.contains_key(item) || template.data.contains_key(item);
    if let Some(items) = missing_item(type_, has) {
        return Err(SpecError::MissingItem { type_: type_.to_owned(), items });
    }
    if type_ == SSH_AUTH && lengths.get(SSH_KEY) == Some(&0) {
        return Err(SpecError::Empty(SSH_KEY));
    }
    let (mut templates, mut substitutions) = (Vec::new(), 0);
    for (item, text) in &template.data {
        let name: ItemName = item.parse()?;
        if spec.encrypted_data.contains_key(item) {
            return Err(SpecError::SameItem(name));
        }
        let refuse = |error| SpecError::Template(name.clone(), error);
        let parsed = Template::parse(text).map_err(refuse)?;
        substitutions += parsed.items().count();
        if substitutions > MAX_SUBSTITUTIONS {
            return Err(SpecError::TooManySubstitutions);
        }
        if json_item(spec).is_some_and(|json| json == item) {
            parsed.json_skeleton().map_err(refuse)?;
        }
        let checked = parsed.check(|item| lengths.get(item).copied()).map_err(refuse)?;
        total += checked.max_len();
        if total > MAX_PLAINTEXT {
            return Err(SpecError::TooLong);
        }
        if item == SSH_KEY && type_ == SSH_AUTH && !checked.is_never_empty(|item| lengths[item]) {
            return Err(SpecError::Empty(SSH_KEY));
        }
        templates.push((name, checked));
    }
    if total > MAX_PLAINTEXT {
        return Err(SpecError::TooLong);
    }
    Ok(Checked { names, templates })
}

/// Whether the API server would take it. Asked before anything is opened, so that its refusal is told with the reason.
fn check_metadata(metadata: &TemplateMetadata) -> Result<(), SpecError> {
    let TemplateMetadata { labels, annotations, .. } = metadata;
    for (key, value) in labels {
        label_key(key).map_err(|error| SpecError::MetadataKey("labels", error))?;
        label_value(value).map_err(|error| SpecError::LabelValue(key.clone(), error))?;
    }
    for key in annotations.keys() {
        annotation_key(key).map_err(|error| SpecError::MetadataKey("annotations", error))?;
    }
    if annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_ANNOTATIONS {
        return Err(SpecError::AnnotationsTooLong);
    }
    let mut keys = labels.keys().chain(annotations.keys());
    if keys.any(|key| is_reserved(key)) {
        return Err(SpecError::ReservedMetadata);
    }
    Ok(())
}

/// The item that the API server parses as JSON for the Secret's type.
#[must_use]
pub fn json_item(spec: &SealedSecretSpec) -> Option<&'static str> {
    match spec.template.as_ref()?.type_.as_deref()? {
        "kubernetes.io/dockerconfigjson" => Some(".dockerconfigjson"),
        "kubernetes.io/dockercfg" => Some(".dockercfg"),
        _ => None,
    }
}

/// What the API server asks of a type: <https://kubernetes.io/docs/concepts/configuration/secret/#secret-types>.
fn missing_item(type_: &str, has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let (items, complete) = match type_ {
        "kubernetes.io/dockerconfigjson" => (".dockerconfigjson", has(".dockerconfigjson")),
        "kubernetes.io/dockercfg" => (".dockercfg", has(".dockercfg")),
        "kubernetes.io/basic-auth" => ("username or password", has("username") || has("password")),
        SSH_AUTH => (SSH_KEY, has(SSH_KEY)),
        "kubernetes.io/tls" => ("tls.crt and tls.key", has("tls.crt") && has("tls.key")),
        _ => return None,
    };
    (!complete).then_some(items)
}

fn without_templates(
    namespace: &Namespace,
    name: &ObjectName,
    spec: &SealedSecretSpec,
    items: BTreeMap<ItemName, SecretBytes>,
) -> PlainSecret {
    let template = spec.template.clone().unwrap_or_default();
    let metadata = template.metadata.unwrap_or_default();
    PlainSecret {
        namespace: Some(namespace.clone()),
        name: name.clone(),
        type_: template.type_,
        // Never `false`: who made a Secret immutable is known by the fields that were set.
        immutable: template.immutable.filter(|immutable| *immutable),
        labels: metadata.labels,
        annotations: metadata.annotations,
        items,
    }
}

#[cfg(test)]
mod tests {
    use crate::age::{Algorithm, Identity};
    use crate::binding::Scope;
    use crate::resources::sealed_secret::Target;
    use crate::sealed::Recipients;

    use super::*;

    #[test]
    fn a_merge_is_small() {
        let recipients = Recipients::new([Identity::generate(Algorithm::X25519).recipient().clone()]).unwrap();
        let sealed = |length: usize| {
            let value =
                SealedValue::seal(&vec![0; length], Scope::Cluster, &recipients, "2026-11-23T06:50:00Z".parse().unwrap(), None);
            value.unwrap().to_string()
        };
        let check = |policy: CreationPolicy, length: usize| {
            let encrypted_data = [("a".to_owned(), sealed(length)), ("b".to_owned(), sealed(1))].into();
            let target = Target { creation_policy: policy };
            let spec = SealedSecretSpec { encrypted_data, target, ..SealedSecretSpec::default() };
            check_spec(&spec, &AllowedTypes::with([]))
        };
        assert_eq!(check(CreationPolicy::Merge, MAX_MERGED - 1), Ok(()));
        assert_eq!(check(CreationPolicy::Merge, MAX_MERGED), Err(SpecError::TooLongToMerge));
        assert_eq!(check(CreationPolicy::Owner, MAX_MERGED), Ok(()));
    }
}
