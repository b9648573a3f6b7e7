//! Conditions as kstatus reads them: `Ready`, `Reconciling` while work is under way, `Stalled` on what only a person can cure.

use k8s_openapi::jiff::Timestamp;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::binding::time_text;

/// One condition; equality ignores nothing, so compare before the transition time is carried over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `Ready`, `Reconciling` or `Stalled`.
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word for machines.
    pub reason: String,
    /// One sentence for people; never depends on plaintext.
    pub message: String,
    /// The generation that this is said about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` last changed, RFC 3339.
    pub last_transition_time: String,
}

impl Condition {
    /// The condition of a type.
    #[must_use]
    pub fn find<'c>(conditions: &'c [Self], r#type: &str) -> Option<&'c Self> {
        conditions.iter().find(|condition| condition.r#type == r#type)
    }

    /// A condition that changed at `now` unless `before` already had the same status.
    #[must_use]
    pub fn new(
        before: &[Self],
        r#type: &str,
        status: bool,
        (reason, message): (&str, &str),
        generation: i64,
        now: Timestamp,
    ) -> Self {
        let status = if status { "True" } else { "False" };
        let since = before.iter().find(|old| old.r#type == r#type && old.status == status);
        Self {
            r#type: r#type.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            observed_generation: Some(generation),
            last_transition_time: since.map_or_else(|| time_text(&now), |old| old.last_transition_time.clone()),
        }
    }
}

/// The schema of a list of conditions: a map by type for server-side apply.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "maxLength": 316},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "reason": {"type": "string", "maxLength": 1024},
                "message": {"type": "string", "maxLength": 32768},
                "observedGeneration": {"type": "integer", "format": "int64"},
                "lastTransitionTime": {"type": "string", "format": "date-time"}
            }
        }
    })
}
