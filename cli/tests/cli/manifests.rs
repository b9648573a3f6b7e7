//! Manifests that `bulla seal` refuses: each has a reason, a hint, and no trace of a value; the file and the output stay as they were.

use std::fmt::Write as _;

use super::canary::{CANARY, base64};
use super::harness::{Outcome, SECRET, World};

/// Seals `bytes` in place and to an existing file, and expects the same refusal from both.
fn refused(name: &str, bytes: impl AsRef<[u8]>) -> Outcome {
    let world = World::new();
    world.write("secret.yaml", bytes);
    world.write("sealed.yaml", "as it was\n");
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "secret.yaml", "-o", "sealed.yaml"]).fails(2, name);
    let in_place = world.bulla(&["seal", "-R", "hybrid.recipients", "--in-place", "secret.yaml"]).refused(2);
    assert_eq!(outcome.stderr, in_place.stderr);
    outcome
}

/// [`SECRET`] with one change.
fn with(from: &str, to: &str) -> String {
    assert!(SECRET.contains(from));
    SECRET.replacen(from, to, 1)
}

#[test]
fn not_yaml() {
    refused("bad_not_yaml", format!("{SECRET}\"unclosed: {CANARY}\n"));
    refused("bad_prose", format!("Dear colleague: the password: is {CANARY}\n"));
    refused("bad_indentation", with("  password", " password: x\n   password"));
    refused("bad_tab", with("  password", "\tpassword"));
    refused("bad_template", with(CANARY, "{{ .Values.password }}"));
    refused("bad_json", format!(r#"{{"apiVersion":"v1","kind":"Secret","stringData":{{"password":"{CANARY}""#));
    refused("bad_deep", with(CANARY, &"[".repeat(100)));
}

#[test]
fn nothing_to_seal() {
    refused("bad_config_map", format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: {CANARY}}}\n"));
    refused("bad_comments_only", "# nothing here\n");
    refused("bad_empty_file", "");
    refused("bad_blank_file", " \n\n");
    refused("bad_scalar", CANARY);
}

#[test]
fn empty_standard_input() {
    World::new().bulla(&["seal", "-R", "hybrid.recipients"]).fails(2, "bad_empty_stdin");
}

#[test]
fn without_names() {
    refused("bad_no_name", with("  name: db\n", ""));
    refused("bad_null_name", with("name: db", "name:"));
    refused("bad_empty_name", with("name: db", "name: ''"));
    refused("bad_generate_name", with("name: db", "generateName: db-"));
    refused("bad_no_metadata", with("metadata:\n  name: db\n  namespace: prod\n", ""));
    refused("bad_name", with("name: db", "name: DB"));
    refused("bad_name_number", with("name: db", "name: 7"));
    let outcome = refused("bad_no_namespace", with("  namespace: prod\n", ""));
    assert!(outcome.stderr.contains("bulla seal --scope strict -n NAMESPACE secret.yaml"));
}

#[test]
fn data_that_is_not_base64() {
    let outcome = refused("bad_base64", with("stringData", "data"));
    assert!(outcome.stderr.contains("data.password"));
    refused(
        "bad_base64_unpadded",
        with(&format!("stringData:\n  password: {CANARY}"), &format!("data:\n  password: {}", base64().trim_end_matches('='))),
    );
    refused(
        "bad_base64_space",
        with(&format!("stringData:\n  password: {CANARY}"), &format!("data:\n  password: \"{} \"", base64())),
    );
}

#[test]
fn values_that_are_no_text() {
    // The hint says what to do: quotes.
    for (name, value) in [
        ("bad_number", "7"),
        ("bad_float", "1.50"),
        ("bad_boolean", "yes"),
        ("bad_octal", "0123"),
        ("bad_list", "[bulla-canary-7f3a]"),
        ("bad_mapping", "{a: bulla-canary-7f3a}"),
    ] {
        let outcome = refused(name, format!("{SECRET}  port: {value}\n"));
        assert!(outcome.stderr.contains("stringData.port") && outcome.stderr.contains("quotes"), "{}", outcome.stderr);
    }
    refused("bad_string_data_text", with(&format!("\n  password: {CANARY}"), &format!(" {CANARY}")));
    refused("bad_data_list", with(&format!("\n  password: {CANARY}"), &format!(" [{CANARY}]")));
    refused("bad_immutable", format!("{SECRET}immutable: '{CANARY}'\n"));
    refused("bad_type", format!("{SECRET}type: [{CANARY}]\n"));
    refused("bad_label", with("  name: db", "  name: db\n  labels: {a: 1}"));
}

#[test]
fn keys() {
    refused("bad_duplicate_item", format!("{SECRET}  password: {CANARY}\n"));
    refused("bad_duplicate_string_data", format!("{SECRET}stringData: {{password: {CANARY}}}\n"));
    let outcome = refused("bad_unknown_field", with("stringData", "StringData"));
    assert!(outcome.stderr.contains("StringData"));
    refused("bad_value_as_field", format!("{SECRET}{CANARY} x: 1\n"));
    refused("bad_item_name", with("  password:", "  pass word:"));
    refused("bad_item_name_slash", with("  password:", "  a/b:"));
    refused("bad_item_name_dots", with("  password:", "  ..password:"));
    refused("bad_item_name_long", with("  password:", &format!("  {}:", "a".repeat(254))));
    refused("bad_item_name_boolean", with("  password:", "  on:"));
}

#[test]
fn what_parsers_read_differently() {
    refused("bad_alias", format!("{SECRET}  again: *x\n").replace(": bulla", ": &x bulla"));
    refused("bad_merge_key", format!("{SECRET}  <<: {{again: {CANARY}}}\n"));
    refused("bad_tag", with(": bulla", ": !vault bulla"));
    refused("bad_no_api_version", with("apiVersion: v1\n", ""));
    refused(
        "bad_foreign_list",
        format!("apiVersion: v1\nkind: ConfigMapList\nitems:\n- {}\n", SECRET.trim_end().replace('\n', "\n  ")),
    );
    refused("bad_document_mark", format!("{SECRET}---# next\n{SECRET}"));
}

#[test]
fn sealed_already() {
    refused(
        "bad_sealed",
        "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {name: db}\nspec: {encryptedData: {}}\n",
    );
    refused(
        "bad_sealed_by_bitnami",
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: db}\nspec: {encryptedData: {a: AgB}}\n",
    );
}

#[test]
fn minting_types() {
    refused("bad_minting_type", format!("{SECRET}type: kubernetes.io/service-account-token\n"));
}

#[test]
fn sizes() {
    refused("bad_no_items", with(&format!("\n  password: {CANARY}"), " {}"));
    refused("bad_10_mb_value", with(CANARY, &CANARY.repeat(600_000)));
    let long = |name: &str| format!("  {name}: {}\n", CANARY.repeat(35_000));
    refused("bad_large_object", SECRET.to_owned() + &long("a") + &long("b"));
    let mut many = SECRET.to_owned();
    for item in 0..256 {
        let _ = writeln!(many, "  i{item}: {CANARY}");
    }
    refused("bad_257_items", &many);
    refused("bad_33_mb_file", format!("{SECRET}# {}\n", CANARY.repeat(2_000_000)));
    let mut crowd = SECRET.to_owned() + "---\na:\n";
    crowd.push_str(&"- b\n".repeat(1_000_000));
    refused("bad_million_nodes", crowd);
}

#[test]
fn a_10_mb_file_is_read() {
    let world = World::new();
    let before =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  a: {}\n---\n", "0123456789".repeat(1_000_000));
    world.write("large.yaml", format!("{before}{SECRET}"));
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "large.yaml"]).works();
    assert!(outcome.stdout.starts_with(before.as_bytes()));
    let run = world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "-"]).stdin(&outcome.stdout).reveals();
    assert_eq!(run.works().stdout, CANARY.as_bytes());
}

#[test]
fn one_bad_document_stops_all() {
    let bad = with("stringData", "data");
    refused("bad_second_document", format!("{SECRET}---\n{bad}"));
    refused(
        "bad_list_item",
        format!(
            "apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n",
            SECRET.trim_end().replace('\n', "\n  "),
            bad.trim_end().replace('\n', "\n  ")
        ),
    );
    let world = World::new();
    world.write("good.yaml", SECRET);
    world.write("bad.yaml", bad);
    world.bulla(&["seal", "-R", "hybrid.recipients", "--in-place", "good.yaml", "bad.yaml"]).fails(2, "bad_second_file_in_place");
    world.bulla(&["seal", "-R", "hybrid.recipients", "good.yaml", "bad.yaml"]).fails(2, "bad_second_file");
    world.bulla(&["seal", "-R", "hybrid.recipients", "good.yaml", "missing.yaml"]).fails(74, "bad_missing_file");
}
