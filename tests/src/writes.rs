//! What the controller has written, by the API server's own audit log.

use bulla_control_plane::ControlPlane;
use serde_json::Value;

/// For [`bulla_control_plane::Options::audit_policy`]: all that the controller asks for and that may change something.
pub const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["system:serviceaccount:bulla-system:bulla-controller"]
  verbs: [create, update, patch, delete]
- level: None
"#;

/// The writes until now. The Lease is renewed all the time; and at its start a controller asks what it may, and whether its policy refuses a
/// dry run: no writes.
#[must_use]
pub fn writes(plane: &ControlPlane) -> Vec<Value> {
    let is_write = |event: &Value| {
        let is_dry = event["requestURI"].as_str().unwrap_or_default().contains("dryRun=All");
        !is_dry && event["objectRef"]["resource"] != "leases" && event["objectRef"]["resource"] != "selfsubjectaccessreviews"
    };
    plane.audit_log().unwrap().into_iter().filter(is_write).collect()
}
