//! `bulla seal` as the documentation shows it.

use bulla_shared::sealed::SealedValue;

use super::canary::{CANARY, base64};
use super::harness::{Keys, SECRET, World};

const OTHER: &str = "apiVersion: v1 # 1
kind: ConfigMap
metadata: {name: settings,   namespace: prod}
data:
    colour:   'blue'
";

fn world() -> World {
    let world = World::new();
    world.write("secret.yaml", SECRET);
    world
}

/// What an item of the sealed `text` opens to.
fn opened(world: &World, text: &str, item: &str) -> Vec<u8> {
    world.bulla(&["unseal", "-i", "hybrid.key", "--item", item, "-"]).stdin(text).reveals().works().stdout
}

#[test]
fn a_file() {
    let world = world();
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "secret.yaml"]).succeeds("seal_file");
    assert_eq!(opened(&world, outcome.text(), "password"), CANARY.as_bytes());
}

#[test]
fn standard_input() {
    let world = world();
    let outcome = world.bulla(&["seal", "-r", Keys::get().recipient("hybrid")]).stdin(SECRET).succeeds("seal_stdin");
    assert_eq!(opened(&world, outcome.text(), "password"), CANARY.as_bytes());
    world.bulla(&["seal", "-R", "hybrid.recipients", "-"]).stdin(SECRET).works();
}

#[test]
fn several_recipients_each_open() {
    let world = world();
    let outcome = world
        .bulla(&["seal", "-R", "hybrid.recipients", "-R", "other.recipients", "secret.yaml"])
        .succeeds("seal_two_recipients");
    for key in ["hybrid.key", "other.key"] {
        let run = world.bulla(&["unseal", "-i", key, "--item", "password", "-"]).stdin(&outcome.stdout).reveals();
        assert_eq!(run.works().stdout, CANARY.as_bytes());
    }
}

#[test]
fn recipients_from_standard_input_serve_all_files() {
    let world = world();
    world.write("a.yaml", SECRET);
    let args = ["seal", "-R", "-", "--in-place", "a.yaml", "secret.yaml"];
    world.bulla(&args).stdin(Keys::get().recipient("hybrid")).works();
    assert_eq!(opened(&world, &world.read("a.yaml"), "password"), CANARY.as_bytes());
    assert_eq!(opened(&world, &world.read("secret.yaml"), "password"), CANARY.as_bytes());
}

#[test]
fn to_an_x25519_recipient() {
    let world = world();
    let outcome = world.bulla(&["seal", "-R", "x25519.recipients", "secret.yaml"]).works();
    let run = world.bulla(&["unseal", "-i", "x25519.key", "--item", "password", "-"]).stdin(&outcome.stdout).reveals();
    assert_eq!(run.works().stdout, CANARY.as_bytes());
}

#[test]
fn several_files_become_one_stream() {
    let world = world();
    world.write("other.yaml", format!("# no line break at the end\n{}", OTHER.trim_end()));
    world.write("third.yaml", format!("---\n{SECRET}"));
    world.bulla(&["seal", "-R", "hybrid.recipients", "secret.yaml", "third.yaml"]).succeeds("seal_several_files");
    world.write("mixed.yaml", format!("{}---\n{SECRET}", world.read("other.yaml") + "\n"));
    world.bulla(&["seal", "-R", "hybrid.recipients", "mixed.yaml", "secret.yaml"]).succeeds("seal_several_files_mixed");
}

#[test]
fn other_kinds_pass_through() {
    let world = world();
    world.write("mixed.yaml", format!("# top\n{OTHER}---\n{SECRET}# below\n--- # next\n{OTHER}"));
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "mixed.yaml"]).succeeds("seal_mixed_kinds");
    assert!(outcome.text().starts_with(&format!("# top\n{OTHER}---\napiVersion: bulla.dev/v1alpha1\n")));
    assert!(outcome.text().ends_with(&format!("# below\n--- # next\n{OTHER}")));
}

#[test]
fn lists() {
    let world = world();
    let item = |indent: &str| SECRET.trim_end().replace('\n', &format!("\n{indent}"));
    let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}\n- kind: ConfigMap # stays\n", item("  "));
    world.write("list.yaml", &list);
    world.bulla(&["seal", "-R", "hybrid.recipients", "list.yaml"]).succeeds("seal_list");
    world.write("secrets.yaml", list.replace("kind: List", "kind: SecretList").replace("- kind: ConfigMap # stays\n", ""));
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "secrets.yaml"]).succeeds("seal_secret_list");
    assert!(outcome.text().contains("kind: List\n"));
}

#[test]
fn json() {
    let world = world();
    let compact = format!(
        r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"db","namespace":"prod"}},"data":{{"password":"{}"}}}}"#,
        base64()
    );
    world.write("secret.json", &compact);
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "secret.json"]).succeeds("seal_json");
    assert_eq!(opened(&world, outcome.text(), "password"), CANARY.as_bytes());
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&compact).unwrap()).unwrap() + "\n";
    world.write("pretty.json", pretty);
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "pretty.json"]).succeeds("seal_json_pretty");
    assert!(serde_json::from_str::<serde_json::Value>(outcome.text()).is_ok());
}

#[test]
fn everything_a_secret_may_have() {
    let world = world();
    let secret = format!(
        "apiVersion: v1
kind: Secret
metadata:
  name: pull
  namespace: prod
  uid: 8f8a7b1c-0000-4000-8000-000000000000
  resourceVersion: '7'
  creationTimestamp: null
  labels: {{app: db, bulla.dev/secret: owned}}
  annotations:
    team: a
    kubectl.kubernetes.io/last-applied-configuration: '{{\"stringData\":{{\"password\":\"{CANARY}\"}}}}'
type: kubernetes.io/basic-auth
immutable: true
data:
  username: {base64}
  empty:
stringData:
  password: |-
    {CANARY}
  username: stringData wins
  \"on\": {CANARY}
",
        base64 = base64(),
    );
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients"]).stdin(secret).succeeds("seal_every_field");
    assert_eq!(opened(&world, outcome.text(), "username"), b"stringData wins");
    assert_eq!(opened(&world, outcome.text(), "empty"), b"");
    assert_eq!(opened(&world, outcome.text(), "on"), CANARY.as_bytes());
}

#[test]
fn in_place() {
    let world = world();
    world.write("a.yaml", SECRET);
    world.set_mode("a.yaml", 0o640);
    world.bulla(&["seal", "-R", "hybrid.recipients", "--in-place", "a.yaml", "secret.yaml"]).succeeds("seal_in_place");
    assert_eq!(world.mode("a.yaml"), 0o640);
    assert_eq!(opened(&world, &world.read("a.yaml"), "password"), CANARY.as_bytes());
}

#[test]
fn in_place_replaces_what_a_link_points_to() {
    let world = world();
    std::os::unix::fs::symlink("secret.yaml", world.path("link.yaml")).unwrap();
    world.bulla(&["seal", "-R", "hybrid.recipients", "--in-place", "link.yaml"]).works();
    assert!(std::fs::symlink_metadata(world.path("link.yaml")).unwrap().is_symlink());
    assert!(world.read("secret.yaml").contains("kind: SealedSecret"));
}

#[test]
fn to_a_file() {
    let world = world();
    world.bulla(&["seal", "-R", "hybrid.recipients", "secret.yaml", "-o", "sealed.yaml"]).succeeds("seal_output");
}

#[test]
fn names_that_the_manifest_does_not_have() {
    let world = world();
    let secret = SECRET.replace("  name: db\n  namespace: prod\n", "  labels: {}\n");
    let args = ["seal", "-R", "hybrid.recipients", "-n", "shop", "--name", "api"];
    let outcome = world.bulla(&args).stdin(secret).succeeds("seal_namespace_and_name");
    assert_eq!(opened(&world, outcome.text(), "password"), CANARY.as_bytes());
    world.bulla(&["seal", "-R", "hybrid.recipients", "-n", "prod", "--name", "db", "secret.yaml"]).succeeds("seal_same_names");
    world.bulla(&["seal", "-R", "hybrid.recipients", "-n", "shop", "secret.yaml"]).fails(2, "seal_other_namespace");
    world.bulla(&["seal", "-R", "hybrid.recipients", "--name", "api", "secret.yaml"]).fails(2, "seal_other_name");
    world.bulla(&["seal", "-R", "hybrid.recipients", "-n", "Shop", "secret.yaml"]).fails(2, "seal_invalid_namespace");
    world.bulla(&["seal", "-R", "hybrid.recipients", "--name", "a/b", "secret.yaml"]).fails(2, "seal_invalid_name");
}

#[test]
fn each_scope() {
    let world = world();
    for scope in ["strict", "namespace", "cluster"] {
        let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "--scope", scope, "secret.yaml"]).works();
        let inspect = world.bulla(&["inspect", "-"]).stdin(&outcome.stdout);
        inspect.succeeds(&format!("seal_scope_{scope}"));
        assert_eq!(opened(&world, outcome.text(), "password"), CANARY.as_bytes());
    }
    let nowhere = SECRET.replace("  namespace: prod\n", "");
    world.bulla(&["seal", "-R", "hybrid.recipients", "--scope", "cluster"]).stdin(&nowhere).succeeds("seal_cluster_no_namespace");
    world.bulla(&["seal", "-R", "hybrid.recipients", "--scope", "namespace"]).stdin(nowhere).fails(2, "seal_scope_no_namespace");
}

#[test]
fn rotate_after() {
    let world = world();
    let before = jiff::Timestamp::now();
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "--rotate-after", "90d", "secret.yaml"]).works();
    let manifest: serde_json::Value = serde_saphyr::from_str(outcome.text()).unwrap();
    let value: SealedValue = manifest["spec"]["encryptedData"]["password"].as_str().unwrap().parse().unwrap();
    let after = jiff::Timestamp::now();
    let due = |time: jiff::Timestamp| (time + jiff::SignedDuration::from_hours(90 * 24)).to_zoned(jiff::tz::TimeZone::UTC).date();
    let found = value.binding().rotate_by.unwrap();
    assert!((due(before)..=due(after)).contains(&found), "{found}");
    world.bulla(&["inspect", "-"]).stdin(&outcome.stdout).succeeds("seal_rotate_after");
}

#[test]
fn a_large_secret_warns_about_client_side_apply() {
    let world = world();
    let secret = SECRET.replace(CANARY, &CANARY.repeat(20_000));
    world.write("large.yaml", secret);
    world.bulla(&["seal", "-R", "hybrid.recipients", "large.yaml", "-o", "/dev/null"]).succeeds("seal_large_warns");
}

#[test]
fn a_secret_of_sops_says_how() {
    let world = World::new();
    world.write("sops.yaml", SECRET.replace("bulla-canary-7f3a", "ENC[AES256_GCM,data:x]") + "sops:\n  mac: ENC[x]\n");
    world.bulla(&["seal", "-R", "hybrid.recipients", "sops.yaml"]).fails(2, "seal_sops");
}
