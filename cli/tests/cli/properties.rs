//! Any Secret, written in any of several ways among other documents, comes back from sealing and opening as it was.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::harness::World;

/// Documents that must come through byte for byte; none ends a scalar in the next one.
const NEIGHBOURS: &[&str] = &[
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a,  namespace: b}\ndata:\n    odd:   'x' # comment\n",
    "# only a comment\n",
    "a: &x [1, 2.50, ~, yes]\nb: *x\n? c\n: !t d\n",
    "apiVersion: v1\nkind: List\nitems: []\n",
    "text: |+\n  é😀\n\n",
    "folded: >-\n  a\n\n   b\n",
    "{\"json\":  [true,\n null]}\n",
];

#[derive(Debug, Clone)]
struct Secret {
    namespace: String,
    name: String,
    type_: Option<&'static str>,
    immutable: bool,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    items: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Block,
    Json,
    Pretty,
}

impl Secret {
    fn value(&self, text: bool) -> Value {
        let (mut data, mut string_data) = (serde_json::Map::new(), serde_json::Map::new());
        for (item, value) in &self.items {
            match String::from_utf8(value.clone()) {
                Ok(value) if text => drop(string_data.insert(item.clone(), value.into())),
                _ => drop(data.insert(item.clone(), STANDARD.encode(value).into())),
            }
        }
        let metadata =
            json!({"name": self.name, "namespace": self.namespace, "labels": self.labels, "annotations": self.annotations});
        let mut value =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data, "stringData": string_data});
        if let Some(type_) = self.type_ {
            value["type"] = type_.into();
        }
        if self.immutable {
            value["immutable"] = true.into();
        }
        value
    }

    fn write(&self, form: Form, text: bool) -> String {
        let value = self.value(text);
        match form {
            Form::Json => escaped(&value.to_string()) + "\n",
            Form::Pretty => escaped(&serde_json::to_string_pretty(&value).unwrap()) + "\n",
            Form::Block => {
                let mut yaml = String::new();
                block(&mut yaml, &value, 0);
                yaml
            }
        }
    }

    /// What opening must give.
    fn opened(&self) -> Value {
        let data: BTreeMap<_, _> = self.items.iter().map(|(item, value)| (item, STANDARD.encode(value))).collect();
        let mut metadata = json!({"name": self.name, "namespace": self.namespace});
        for (key, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !map.is_empty() {
                metadata[key] = json!(map);
            }
        }
        let type_ = self.type_.unwrap_or("Opaque");
        let mut value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type_, "data": data});
        if self.immutable {
            value["immutable"] = true.into();
        }
        value
    }
}

/// As [`Value`] writes it, with escapes for what manifests may not have literally.
fn escaped(json: &str) -> String {
    let refused = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    json.chars().map(|c| if refused(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

/// Block mappings with quoted keys and scalars.
fn block(yaml: &mut String, value: &Value, indent: usize) {
    for (key, value) in value.as_object().unwrap() {
        let _ = write!(yaml, "{:indent$}{}:", "", json!(key));
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                yaml.push('\n');
                block(yaml, value, indent + 2);
            }
            scalar => {
                let _ = writeln!(yaml, " {}", escaped(&scalar.to_string()));
            }
        }
    }
}

fn secret() -> impl Strategy<Value = Secret> {
    let value = prop_oneof![
        Just(Vec::new()),
        proptest::collection::vec(any::<u8>(), 0..80),
        any::<String>().prop_map(String::into_bytes),
        "[ -~\n]{0,60}".prop_map(String::into_bytes),
        select(&["yes", "0123", "null", "~", " x ", "---\n", "{{ a }}", "|"][..]).prop_map(|text| text.as_bytes().to_vec()),
    ];
    let item = prop_oneof![
        "[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,20}",
        select(&["on", "1.0", "0123", "null", ".dockerconfigjson", "1e3"][..]).prop_map(str::to_owned)
    ];
    let text = prop_oneof![any::<String>(), "[a-z0-9./ -]{0,12}"];
    let key = "[a-z]{1,8}(/[a-z]{1,8})?";
    // Kubernetes takes no others.
    let label = prop_oneof![
        "([a-zA-Z0-9]([a-zA-Z0-9._-]{0,10}[a-zA-Z0-9])?)?",
        select(&["yes", "0123", "null", "1e3"][..]).prop_map(str::to_owned)
    ];
    (
        "[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?",
        "[a-z0-9]([a-z0-9.]{0,1}[a-z0-9]){0,4}",
        proptest::option::of(select(&["Opaque", "kubernetes.io/tls-like", "example.com/own"][..])),
        any::<bool>(),
        proptest::collection::btree_map(key, label, 0..3),
        proptest::collection::btree_map(key, text, 0..3),
        proptest::collection::btree_map(item, value, 1..5),
    )
        .prop_map(|(namespace, name, type_, immutable, labels, annotations, items)| Secret {
            namespace,
            name,
            type_,
            immutable,
            labels,
            annotations,
            items,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_sealed_opens_to_the_same(
        secret in secret(),
        form in select(&[Form::Block, Form::Json, Form::Pretty][..]),
        text in any::<bool>(),
        windows in any::<bool>(),
        before in proptest::collection::vec(select(NEIGHBOURS), 0..3),
        after in proptest::collection::vec(select(NEIGHBOURS), 0..3),
    ) {
        let end = |text: String| if windows { text.replace('\n', "\r\n") } else { text };
        let start = end(before.iter().map(|text| format!("---\n{text}")).collect::<String>() + "---\n");
        let rest = end(after.iter().map(|text| format!("--- # next\n{text}")).collect());
        let world = World::new();
        world.write("all.yaml", format!("{start}{}{rest}", end(secret.write(form, text))));
        let sealed = world.bulla(&["seal", "-R", "x25519.recipients", "all.yaml"]).works();
        let sealed = sealed.text();
        prop_assert!(sealed.starts_with(&start) && sealed.ends_with(&rest));
        let middle: Value = serde_saphyr::from_str(&sealed[start.len()..sealed.len() - rest.len()]).unwrap();
        prop_assert_eq!(&middle["kind"], "SealedSecret");
        let opened = world.bulla(&["unseal", "-i", "x25519.key", "-"]).stdin(sealed).reveals().works();
        let opened: Value = serde_saphyr::from_str(opened.text()).unwrap();
        prop_assert_eq!(opened, secret.opened());
    }
}
