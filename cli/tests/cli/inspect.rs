//! `bulla inspect`: text, JSON, filters, folders.

use bulla_shared::binding::Scope;

use super::harness::{Keys, SECRET, World, sealed, strict};

fn manifest(name: &str, items: &[(&str, &str)]) -> String {
    let items: String = items.iter().map(|(item, value)| format!("    {item}: {value}\n")).collect();
    format!(
        "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: {name}\n  namespace: prod\nspec:\n  encryptedData:\n{items}"
    )
}

/// Two files with values of all scopes, both kinds of key, due and not, and one that is malformed.
fn world() -> World {
    let world = World::new();
    let due = sealed("hybrid", b"x", strict("prod", "db", "password"), Some("2020-04-01"));
    let later = sealed("hybrid", b"12345", strict("prod", "db", "user"), Some("9000-01-01"));
    let namespace = sealed("x25519", b"", Scope::Namespace("prod".parse().unwrap()), None);
    let cluster = sealed("x25519", &vec![0; 70_000], Scope::Cluster, Some("2020-04-01"));
    world.write("prod/db.yaml", manifest("db", &[("password", &due), ("user", &later)]));
    world.write(
        "prod/more/api.yml",
        format!("{SECRET}---\n{}", manifest("api", &[("namespaced", &namespace), ("cluster.crt", &cluster)])),
    );
    world.write("prod/more/broken.json", r#"{"apiVersion":"bulla.dev/v1alpha1","kind":"SealedSecret","metadata":{"name":"broken"},"spec":{"encryptedData":{"a":"QUJD"}}}"#);
    world.write("prod/chart.yaml", "{{ if .Values.a }}\na: 1\n{{ end }}\n");
    world.write("prod/.hidden/db.yaml", manifest("hidden", &[("a", "QUJD")]));
    world.write("prod/README.md", manifest("readme", &[("a", "QUJD")]));
    world
}

#[test]
fn a_file() {
    let world = world();
    world.bulla(&["inspect", "prod/db.yaml"]).succeeds("inspect_file");
    world.bulla(&["inspect", "-"]).stdin(world.read("prod/db.yaml")).succeeds("inspect_stdin");
    world.bulla(&["inspect", "--format", "json", "prod/db.yaml"]).succeeds("inspect_json");
}

#[test]
fn folders() {
    let world = world();
    world.bulla(&["inspect", "prod"]).succeeds("inspect_folder");
    let outcome = world.bulla(&["inspect", "--format", "json", "prod", "prod/db.yaml"]).succeeds("inspect_folder_json");
    let json: serde_json::Value = serde_json::from_str(outcome.text()).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 4);
}

#[test]
fn by_key_and_date() {
    let world = world();
    std::fs::remove_file(world.path("prod/more/broken.json")).unwrap();
    world.bulla(&["inspect", "--key", &Keys::get().id("x25519")[..6].to_ascii_uppercase(), "prod"]).works();
    world.bulla(&["inspect", "--key", Keys::get().id("x25519"), "prod"]).succeeds("inspect_key");
    world.bulla(&["inspect", "--due", "prod"]).succeeds("inspect_due");
    world.bulla(&["inspect", "--due", "--key", Keys::get().id("hybrid"), "prod"]).succeeds("inspect_key_and_due");
    let outcome =
        world.bulla(&["inspect", "--key", Keys::get().id("other"), "--format", "json", "prod"]).succeeds("inspect_none");
    assert_eq!(outcome.text(), "[]\n");
}

#[test]
fn what_has_no_sealed_values() {
    let world = world();
    world.write("secret.yaml", SECRET);
    world.bulla(&["inspect", "secret.yaml"]).succeeds("inspect_secret");
    world.bulla(&["inspect", "missing"]).fails(74, "inspect_missing");
    world.bulla(&["inspect", "prod/chart.yaml"]).fails(2, "inspect_template");
}

/// Nothing is found only where everything was looked at.
#[test]
fn what_is_not_known_is_said() {
    let world = world();
    let id = Keys::get().id("other");
    world.bulla(&["inspect", "--key", "zzzz", "prod"]).in_the_parsers_words().fails(2, "inspect_key_of_no_form");
    world.bulla(&["inspect", "--key", id, "prod"]).partly().fails(4, "inspect_malformed_value");
    let twice = manifest("twice", &[("a", "QUJD"), ("a", "QUJD")]);
    world.write("prod/more/broken.json", "{}");
    world.write("prod/twice.yaml", &twice);
    world.bulla(&["inspect", "--due", "prod"]).partly().fails(4, "inspect_skipped");
    world.bulla(&["inspect", "prod"]).partly().refused(4);
    let utf16: Vec<u8> = twice.encode_utf16().flat_map(u16::to_le_bytes).collect();
    world.write("prod/twice.yaml", [&b"\xff\xfe"[..], &utf16].concat());
    world.bulla(&["inspect", "prod"]).partly().refused(4);
    world.write("junk.yaml", b"\x80\x00");
    world.bulla(&["inspect", "junk.yaml"]).refused(2);
    world.write("other.yaml", "a: 1\n");
    let outcome = world.bulla(&["inspect", "--due", "prod/db.yaml", "other.yaml"]).works();
    assert!(outcome.stderr.contains("no SealedSecret (bulla.dev) in other.yaml"), "{}", outcome.stderr);
    let outcome = world.bulla(&["rewrap", "-i", "hybrid.key", "-R", "hybrid.recipients", "other.yaml"]).works();
    assert!(outcome.stderr.contains("no SealedSecret (bulla.dev) in other.yaml"), "{}", outcome.stderr);
}
