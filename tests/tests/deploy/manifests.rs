//! Manifests as a set of objects.

use std::collections::BTreeMap;
use std::process::Command;

use bulla_control_plane::assets;
use serde_json::Value;

use crate::repository;

/// Objects by `Kind namespace/name`.
#[derive(Debug, PartialEq)]
pub(crate) struct Manifests(pub(crate) BTreeMap<String, Value>);

impl Manifests {
    /// The objects of a YAML text; one that stands there twice fails.
    pub(crate) fn parse(yaml: &str) -> Self {
        let mut objects = BTreeMap::new();
        for object in serde_saphyr::from_multiple::<Value>(yaml).unwrap().into_iter().filter(|object| !object.is_null()) {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let name = format!("{} {}/{}", text("/kind"), text("/metadata/namespace"), text("/metadata/name"));
            assert!(objects.insert(name.clone(), numbers(object)).is_none(), "twice: {name}");
        }
        Self(objects)
    }

    /// What `kubectl kustomize` makes of a folder.
    pub(crate) fn kustomize(folder: &str) -> Self {
        let kubectl = assets::binaries().unwrap().kubectl;
        let output = Command::new(kubectl).arg("kustomize").arg(repository(folder)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::parse(&String::from_utf8(output.stdout).unwrap())
    }

    /// An object by `Kind namespace/name`.
    pub(crate) fn get(&self, name: &str) -> &Value {
        self.0.get(name).expect(name)
    }

    /// The controller's container.
    pub(crate) fn container(&self) -> &Value {
        &self.get("Deployment bulla-system/bulla-controller")["spec"]["template"]["spec"]["containers"][0]
    }

    /// The flags of the controller.
    pub(crate) fn flags(&self) -> Vec<&str> {
        self.container()["args"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap()).collect()
    }

    /// As YAML documents, for kubectl.
    pub(crate) fn yaml(&self) -> String {
        self.0.values().map(|object| format!("---\n{object}\n")).collect()
    }
}

/// 0.0 and 0 are one number to Kubernetes; our manifests have no fraction.
fn numbers(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            format!("{:.0}", number.as_f64().unwrap()).parse::<i64>().map_or(Value::Number(number), Value::from)
        }
        Value::Array(list) => list.into_iter().map(numbers).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, numbers(value))).collect(),
        other => other,
    }
}
