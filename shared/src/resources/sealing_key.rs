//! `SealingKey`: the public half of a key that the cluster opens with, and its state.

use std::fmt;
use std::str::FromStr;

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::conditions::{self, Condition};
use crate::age::{Algorithm, Fingerprint};

/// What an admin asks of a key.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bulla.dev",
    version = "v1alpha1",
    kind = "SealingKey",
    doc = "A key that values are sealed to. Creating one without a fingerprint makes the controller generate the private key.",
    shortname = "sk",
    category = "bulla",
    status = "SealingKeyStatus",
    derive = "PartialEq",
    validation = kube::core::Rule::new("self.metadata.name.size() <= 52").message("names have at most 52 characters"),
    // Another fingerprint, in either half, would free the private key of what this object says about it.
    validation = kube::core::Rule::new(
        "!has(self.status) || !has(self.status.fingerprint) || !has(self.spec.fingerprint) \
         || self.spec.fingerprint == self.status.fingerprint"
    ).message("spec.fingerprint is that of the published key, status.fingerprint"),
    validation = kube::core::Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.fingerprint) || (has(self.status) && has(self.status.fingerprint) \
         && self.status.fingerprint == oldSelf.status.fingerprint)"
    ).message("status.fingerprint is published once"),
    printcolumn(json_path = ".status.state", name = "State", type_ = "string"),
    printcolumn(json_path = ".spec.algorithm", name = "Algorithm", type_ = "string"),
    printcolumn(json_path = ".status.usage.items", name = "Items", type_ = "integer"),
    printcolumn(json_path = ".status.created", name = "Created", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "!has(self.state) || self.state != 'Compromised' || has(self.compromisedAt)",
        "message": "Compromised needs compromisedAt"
    },
    {
        "rule": "!has(self.compromisedAt) || (has(self.state) && self.state in ['Compromised', 'Retired'])",
        "message": "compromisedAt goes with state Compromised"
    },
    {
        "rule": "!has(oldSelf.compromisedAt) || (has(self.compromisedAt) && self.compromisedAt == oldSelf.compromisedAt \
                 && has(self.state) && self.state in ['Compromised', 'Retired'])",
        "message": "a compromised key cannot be made good"
    },
    {
        "rule": "!has(oldSelf.fingerprint) || (has(self.fingerprint) && self.fingerprint == oldSelf.fingerprint)",
        "message": "fingerprint is set once"
    }
]))]
pub struct SealingKeySpec {
    /// Kind of the key; `hybrid` if absent.
    #[serde(default)]
    #[schemars(schema_with = "algorithm")]
    pub algorithm: KeyAlgorithm,
    /// What the key may do; absent leaves it to the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "state")]
    pub state: Option<KeyState>,
    /// Since when the key is in other hands; set with the state, never unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "exact_time")]
    pub compromised_at: Option<String>,
    /// Full SHA-256 of a recipient whose private key is already there; such a key is never generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "fingerprint")]
    pub fingerprint: Option<String>,
}

/// Kind of a key, as manifests spell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyAlgorithm {
    /// ML-KEM-768 with X25519.
    #[default]
    Hybrid,
    /// X25519 alone.
    X25519,
}

impl From<KeyAlgorithm> for Algorithm {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::Hybrid => Self::Hybrid,
            KeyAlgorithm::X25519 => Self::X25519,
        }
    }
}

impl From<Algorithm> for KeyAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Hybrid => Self::Hybrid,
            Algorithm::X25519 => Self::X25519,
        }
    }
}

impl SealingKey {
    /// The fingerprint that it has to have, if that is settled: by its author, or by what was published.
    #[must_use]
    pub fn named(&self) -> Option<&String> {
        self.spec.fingerprint.as_ref().or_else(|| self.status.as_ref()?.fingerprint.as_ref())
    }

    /// The fingerprint that was published.
    #[must_use]
    pub fn published(&self) -> Option<Fingerprint> {
        self.status.as_ref()?.fingerprint.as_ref()?.parse().ok()
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// Seals and opens; the newest Active key is the one that people seal to.
    Active,
    /// Opens only.
    DecryptOnly,
    /// Neither; its private half is not loaded.
    Retired,
    /// In other hands; opens what was sealed before that.
    Compromised,
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "Active",
            Self::DecryptOnly => "DecryptOnly",
            Self::Retired => "Retired",
            Self::Compromised => "Compromised",
        })
    }
}

impl FromStr for KeyState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Active, Self::DecryptOnly, Self::Retired, Self::Compromised];
        all.into_iter().find(|state| state.to_string() == text).ok_or(())
    }
}

/// What the controller says about a key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SealingKeyStatus {
    /// The generation that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "generation")]
    pub observed_generation: Option<i64>,
    /// The state in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "state")]
    pub state: Option<KeyState>,
    /// Since when that state is in effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub since: Option<String>,
    /// The public key, `age1pq1…` or `age1…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "recipient")]
    pub recipient: Option<String>,
    /// Full SHA-256 of the recipient's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "fingerprint")]
    pub fingerprint: Option<String>,
    /// Namespace of the installation that published the key, in which the private key is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "namespace")]
    pub namespace: Option<String>,
    /// When the private key was made, by the controller's own record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub created: Option<String>,
    /// How much the key opens; absent means not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "usage")]
    pub usage: Option<KeyUsage>,
    /// `Ready`, and `Stalled` with `KeyMissing` if the private half is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
}

/// How much a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyUsage {
    /// Sealed items.
    pub items: u32,
    /// `SealedSecret` objects.
    pub secrets: u32,
}

fn algorithm(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": ["hybrid", "x25519"],
        "default": "hybrid",
        "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "algorithm is immutable"}]
    })
}

fn state(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "enum": ["Active", "DecryptOnly", "Retired", "Compromised"]})
}

fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}

/// In the one form that everybody reads alike: it is set once.
fn exact_time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"})
}

fn fingerprint(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9a-f]{64}$"})
}

fn recipient(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 4096})
}

fn namespace(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 63})
}

fn generation(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64"})
}

fn usage(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["items", "secrets"],
        "properties": {
            "items": {"type": "integer", "format": "int32", "minimum": 0},
            "secrets": {"type": "integer", "format": "int32", "minimum": 0}
        }
    })
}
