//! `SealedSecret`: ciphertext in, a Secret of the same namespace and name out.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::conditions::{self, Condition};
use crate::sealed::MAX_CHARACTERS;
use crate::template::MAX_TEMPLATE;

/// Most items one object takes.
pub const MAX_ITEMS: usize = 256;

/// What the author of a `SealedSecret` asks for.
#[allow(clippy::duplicated_attributes, reason = "two printer columns have the same type")]
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bulla.dev",
    version = "v1alpha1",
    kind = "SealedSecret",
    doc = "Ciphertext that the controller opens into the Secret of the same namespace and name.",
    namespaced,
    shortname = "bss",
    category = "bulla",
    status = "SealedSecretStatus",
    derive = "PartialEq",
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].reason", name = "Reason", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.template) || !has(self.template.data) || self.template.data.all(k, !(k in self.encryptedData))",
    "message": "template.data may not name an encrypted item"
}]))]
pub struct SealedSecretSpec {
    /// Sealed values by item: base64 of one age file each, bound to where it may be opened.
    #[schemars(schema_with = "encrypted_data")]
    pub encrypted_data: BTreeMap<String, String>,
    /// What the Secret has besides the items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional::<SecretTemplate>")]
    pub template: Option<SecretTemplate>,
    /// How the Secret is held.
    #[serde(default, skip_serializing_if = "Target::is_default")]
    pub target: Target,
    /// Stop reconciling; the Secret stays as it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub suspend: bool,
}

/// What the Secret has besides the items.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Labels and annotations of the Secret; none of `bulla.dev/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional::<TemplateMetadata>")]
    pub metadata: Option<TemplateMetadata>,
    /// Type of the Secret; `Opaque` if absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "secret_type")]
    pub type_: Option<String>,
    /// Whether the Secret is immutable; if so, a change of this object needs the Secret deleted by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "boolean")]
    pub immutable: Option<bool>,
    /// Further items: literal text and `{{ item | filter }}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "template_data")]
    pub data: BTreeMap<String, String>,
}

/// Labels and annotations of the Secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct TemplateMetadata {
    /// Labels of the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "annotations")]
    pub annotations: BTreeMap<String, String>,
}

/// How the Secret is held.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Who owns the Secret.
    #[serde(default)]
    pub creation_policy: CreationPolicy,
}

impl Target {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Who owns the Secret; the words are those of External Secrets Operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum CreationPolicy {
    /// The Secret is made by us and goes with the `SealedSecret`.
    #[default]
    Owner,
    /// The Secret is somebody else's, who named the items that it takes: label `bulla.dev/secret: merge`, annotation `bulla.dev/merge`.
    Merge,
    /// The Secret is made by us and stays when the `SealedSecret` goes.
    Orphan,
}

/// What the controller says about a `SealedSecret`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealedSecretStatus {
    /// The generation that conditions and items are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "generation")]
    pub observed_generation: Option<i64>,
    /// `Ready`, and `Reconciling` or `Stalled` while not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
    /// One entry per item, in the order of their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "items")]
    pub items: Vec<ItemStatus>,
    /// What was written last; the skip rule compares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "optional::<Applied>")]
    pub applied: Option<Applied>,
}

/// What the controller says about one item. Nothing here depends on plaintext.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemStatus {
    /// Key in `encryptedData`.
    pub name: String,
    /// Whether it opened.
    pub state: ItemState,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `strict`, `namespace` or `cluster`, as its binding says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The key that opened it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The keys that it names, if none of them opened it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sealed_to: Vec<String>,
    /// When it was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// When it is due for rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_by: Option<String>,
}

/// Whether an item opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemState {
    /// It opened.
    Opened,
    /// It was refused, whatever key may come.
    Refused,
    /// No key that it names is here yet.
    KeyMissing,
    /// It was not tried, because something else already stops the Secret.
    NotTried,
}

/// What was written last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Generation of the `SealedSecret`.
    pub generation: i64,
    /// UID of the Secret.
    #[serde(rename = "secretUID")]
    #[schemars(length(max = 64))]
    pub secret_uid: String,
    /// Resource version of the Secret after the write.
    #[schemars(length(max = 64))]
    pub secret_resource_version: String,
    /// Hash of the configuration that shaped the Secret.
    #[schemars(length(max = 64))]
    pub config_hash: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The schema of `T` where absence, not null, means none.
fn optional<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

fn boolean(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "boolean"})
}

fn generation(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64"})
}

const ITEM_NAMES: (&str, &str) = (
    "self.all(k, k.size() <= 253 && k.matches('^[-._a-zA-Z0-9]+$') && k != '.' && !k.startsWith('..'))",
    "item names are Secret keys",
);

/// A map of texts of at most `length` characters, whose keys follow a rule.
fn texts(most: usize, length: usize, (rule, message): (&str, &str)) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": most,
        "additionalProperties": {"type": "string", "maxLength": length},
        "x-kubernetes-validations": [{"rule": rule, "message": message}]
    })
}

fn encrypted_data(_: &mut SchemaGenerator) -> Schema {
    let mut schema = texts(MAX_ITEMS, MAX_CHARACTERS, ITEM_NAMES);
    schema.insert("minProperties".to_owned(), 1.into());
    schema.insert("additionalProperties".to_owned(), json!({"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}));
    schema
}

fn template_data(_: &mut SchemaGenerator) -> Schema {
    texts(64, MAX_TEMPLATE, ITEM_NAMES)
}

fn secret_type(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 253,
        "default": "Opaque",
        "x-kubernetes-validations": [{
            "rule": "!(self in ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token'])",
            "message": "credential-minting types are refused"
        }]
    })
}

fn labels(_: &mut SchemaGenerator) -> Schema {
    texts(64, 63, ("self.all(k, k.size() <= 317 && !k.startsWith('bulla.dev/'))", "bulla.dev/ labels are reserved"))
}

fn annotations(_: &mut SchemaGenerator) -> Schema {
    let rule = "self.all(k, k.size() <= 317 && !k.startsWith('bulla.dev/') \
                && k != 'kubectl.kubernetes.io/last-applied-configuration')";
    texts(64, 65536, (rule, "bulla.dev/ and last-applied annotations are reserved"))
}

fn items(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_ITEMS,
        // Written whole, by the controller alone: of a map the API server would remember who owns each field of each entry.
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "required": ["name", "state"],
            "properties": {
                "name": {"type": "string", "maxLength": 253},
                "state": {"type": "string", "enum": ["Opened", "Refused", "KeyMissing", "NotTried"]},
                "message": {"type": "string", "maxLength": 1024},
                "scope": {"type": "string", "maxLength": 16},
                "keyId": {"type": "string", "maxLength": 16},
                "sealedTo": {"type": "array", "maxItems": 30, "items": {"type": "string", "maxLength": 16}},
                "sealed": {"type": "string", "format": "date-time"},
                "rotateBy": {"type": "string", "format": "date"}
            }
        }
    })
}
