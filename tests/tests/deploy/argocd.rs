//! The health checks of `examples/argocd/`, run by the Lua that Argo CD uses, on statuses as the controller writes them.

use std::fmt::Write as _;
use std::process::Command;

use bulla_control_plane::tools;
use serde_json::{Value, json};

use crate::repository;

/// A JSON value as a Lua expression.
fn lua(value: &Value) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Array(list) => format!("{{{}}}", list.iter().map(lua).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            map.iter().fold("{".to_owned(), |mut text, (key, value)| {
                write!(text, "[{key:?}] = {}, ", lua(value)).unwrap();
                text
            }) + "}"
        }
        other => other.to_string(),
    }
}

/// Status and message that a check gives for an object.
fn health(kind: &str, object: &Value) -> (String, String) {
    let text = std::fs::read_to_string(repository("examples/argocd/argocd-cm.yaml")).unwrap();
    let map: Value = serde_saphyr::from_str(&text).unwrap();
    let check = map["data"][format!("resource.customizations.health.bulla.dev_{kind}")].as_str().unwrap();
    let program = format!(
        "obj = {}\nlocal function check()\n{check}\nend\nlocal hs = check()\nprint(hs.status)\nprint(hs.message)\n",
        lua(object)
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("check.lua");
    std::fs::write(&path, program).unwrap();
    let output = Command::new(tools::lua().unwrap()).arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let (status, message) = said.split_once('\n').unwrap();
    (status.to_owned(), message.trim_end().to_owned())
}

/// An object in generation 2 with these conditions: type, status, reason.
fn object(observed: i64, conditions: &[(&str, &str, &str)]) -> Value {
    let condition = |(type_, status, reason): &(&str, &str, &str)| json!({"type": type_, "status": status, "reason": reason, "message": format!("says {reason}")});
    let conditions: Vec<_> = conditions.iter().map(condition).collect();
    json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": conditions}})
}

#[test]
fn each_state_has_its_health() {
    let waiting = "waiting for bulla-controller";
    for (object, status, message) in [
        (json!({"metadata": {"generation": 1}}), "Progressing", waiting),
        (json!({"metadata": {"generation": 1}, "status": {"observedGeneration": -1}}), "Progressing", waiting),
        (object(1, &[("Ready", "True", "Ready")]), "Progressing", waiting),
        (object(2, &[]), "Progressing", waiting),
        (object(2, &[("Ready", "True", "Ready")]), "Healthy", "says Ready"),
        (object(2, &[("Ready", "False", "KeyMissing"), ("Stalled", "True", "KeyMissing")]), "Degraded", "says KeyMissing"),
        (object(2, &[("Ready", "False", "ApiServer"), ("Reconciling", "True", "ApiServer")]), "Progressing", "says ApiServer"),
        (object(2, &[("Ready", "False", "ApiServer"), ("Stalled", "False", "Ready")]), "Progressing", "says ApiServer"),
        (object(2, &[("Ready", "True", "Suspended")]), "Suspended", "says Suspended"),
        (object(2, &[("Ready", "False", "Suspended"), ("Stalled", "True", "Suspended")]), "Suspended", "says Suspended"),
        (
            object(
                2,
                &[("RotationDue", "True", "Due"), ("Ready", "True", "Ready"), ("KeyCompromised", "True", "KeyCompromised")],
            ),
            "Healthy",
            "says Ready; says KeyCompromised; says Due",
        ),
        (object(2, &[("RotationDue", "False", "Due"), ("Ready", "True", "Ready")]), "Healthy", "says Ready"),
    ] {
        for kind in ["SealedSecret", "SealingKey"] {
            assert_eq!(health(kind, &object), (status.to_owned(), message.to_owned()), "{kind}: {object}");
        }
    }
}
