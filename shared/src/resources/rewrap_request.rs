//! `RewrapRequest`: sealed values in, the same values under the newest key out. No plaintext passes either way.

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::conditions::{self, Condition};

/// Most characters of all values together: they stand in spec and status, and the API server takes about 1.5 MB an object.
pub const MAX_REQUEST: usize = 700_000;

/// Most values of one request.
pub const MAX_VALUES: usize = 512;

/// How long the controller keeps a request, from its creation, answered or not.
pub const KEPT_MINUTES: i64 = 10;

/// What is to be rewrapped.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bulla.dev",
    version = "v1alpha1",
    kind = "RewrapRequest",
    doc = "Sealed values to be moved to the newest key. The controller answers in the status, and deletes it after ten minutes.",
    namespaced,
    category = "bulla",
    status = "RewrapRequestStatus",
    derive = "PartialEq",
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a request is immutable; make another"},
    {"rule": "self.values.map(v, v.size()).sum() <= 700000", "message": "more than 700000 characters in all; make several requests"}
]))]
pub struct RewrapRequestSpec {
    /// Sealed values of this namespace, as they stand in `encryptedData`.
    #[schemars(schema_with = "values")]
    pub values: Vec<String>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RewrapRequestStatus {
    /// The generation that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "generation")]
    pub observed_generation: Option<i64>,
    /// One answer for each value, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "answers")]
    pub values: Vec<Answer>,
    /// `Ready` once it is answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// The answer to one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// The value under the newest key.
    Value(String),
    /// It was not rewrapped; the same words whatever the reason.
    Error(String),
}

fn values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_VALUES,
        "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "minLength": 1, "maxLength": MAX_REQUEST}
    })
}

fn answers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": MAX_VALUES,
        "x-kubernetes-list-type": "atomic",
        "items": {
            "type": "object",
            "maxProperties": 1,
            "minProperties": 1,
            "properties": {
                "value": {"type": "string", "maxLength": MAX_REQUEST + 2 * MAX_VALUES},
                "error": {"type": "string", "maxLength": 256}
            }
        }
    })
}

fn generation(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64"})
}
