//! `bulla create`: a new sealed file without any plaintext file.

use super::harness::World;

const VALUE: &str = "bulla-canary-7f3a";

fn create<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["create", "db", "-R", "hybrid.recipients", "-n", "prod"], args].concat()
}

fn item(world: &World, file: &str, item: &str) -> String {
    world.bulla(&["unseal", "-i", "hybrid.key", "--item", item, file]).reveals().works().text().to_owned()
}

#[test]
fn a_value_from_standard_input() {
    let world = World::new();
    world.bulla(&create(&["password", "--trim", "-o", "db.yaml"])).stdin(format!("{VALUE}\n")).succeeds("create");
    assert_eq!(item(&world, "db.yaml", "password"), VALUE);
    // What is created can be edited.
    world.bulla(&["set", "-R", "hybrid.recipients", "db.yaml", "on"]).stdin(VALUE).works();
    assert_eq!(item(&world, "db.yaml", "on"), VALUE);
}

#[test]
fn values_from_files() {
    let world = World::new();
    world.write("ca", VALUE);
    world.write("env", format!("A={VALUE}\nB=2\n"));
    let args = create(&[
        "--from-file",
        "ca.crt=ca",
        "--from-env-file",
        "env",
        "--type",
        "example.dev/any",
        "--scope",
        "namespace",
        "--rotate-after",
        "90d",
        "-o",
        "db.yaml",
    ]);
    world.bulla(&args).succeeds("create_from_files");
    assert_eq!(["ca.crt", "A", "B"].map(|name| item(&world, "db.yaml", name)), [VALUE, VALUE, "2"]);
}

#[test]
fn types_with_items_of_their_own() {
    let world = World::new();
    world.write("crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    world.write("key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    world.bulla(&create(&["--tls-cert", "crt", "--tls-key", "key", "-o", "tls.yaml"])).works();
    assert!(world.read("tls.yaml").contains("type: kubernetes.io/tls"));
    assert_eq!(item(&world, "tls.yaml", "tls.key"), world.read("key"));
    world.bulla(&create(&["--tls-cert", "key", "--tls-key", "crt"])).fails(2, "create_tls_wrong_way_round");

    let docker = create(&[
        "--docker-server",
        "registry.internal",
        "--docker-username",
        "c\"i",
        "--docker-password-file",
        "-",
        "-o",
        "pull.yaml",
    ]);
    world.bulla(&docker).stdin("hunter2\\\nrest\n").works();
    let json: serde_json::Value = serde_json::from_str(&item(&world, "pull.yaml", ".dockerconfigjson")).unwrap();
    let auth = "YyJpOmh1bnRlcjJc";
    assert_eq!(
        json,
        serde_json::json!({"auths": {"registry.internal": {"username": "c\"i", "password": "hunter2\\", "auth": auth}}})
    );
}

#[test]
fn the_rule_for_the_file_says_to_whom() {
    let world = World::new();
    world.write(".bulla.yaml", "version: 1\ntargets: {prod: {recipients: hybrid.recipients}}\nrules: [{path: 'prod/**', targets: [prod], namespace: shop, scope: namespace}]\n");
    world.write("prod/.keep", "");
    world.bulla(&["create", "db", "password", "-o", "prod/db.yaml"]).stdin(VALUE).works();
    assert!(world.bulla(&["inspect", "prod/db.yaml"]).works().text().contains("namespace shop"));
    world.bulla(&["create", "db", "password", "-o", "dev.yaml"]).stdin(VALUE).fails(3, "create_no_rule");
    world.bulla(&["create", "db", "password"]).stdin(VALUE).fails(3, "create_no_path");
}

#[test]
fn refusals() {
    let world = World::new();
    world.write("there.yaml", "x: 1\n");
    world.bulla(&create(&["a", "-o", "there.yaml"])).stdin(VALUE).fails(2, "create_existing");
    world.bulla(&create(&[])).fails(2, "create_nothing");
    world.bulla(&["create", "Db", "a"]).stdin(VALUE).in_the_parsers_words().fails(2, "create_name");
    world.bulla(&["create", "db", "a", "-R", "hybrid.recipients"]).stdin(VALUE).fails(2, "create_no_namespace");
    world.bulla(&create(&["a", "--type", "kubernetes.io/service-account-token"])).stdin(VALUE).fails(2, "create_minting_type");
    world.bulla(&create(&["a", "--tls-cert", "x"])).in_the_parsers_words().fails(2, "create_half_tls");
    world.bulla(&create(&["password=x"])).stdin(VALUE).fails(2, "create_value_on_command_line");
}

/// What `bulla check` would refuse is not written; what it would warn of is said.
#[test]
fn what_check_would_say() {
    let world = World::new();
    world.write(".bulla.yaml", "version: 1\ntargets: {prod: {recipients: hybrid.recipients}}\nrules: [{path: '*.yaml', targets: [prod], namespace: shop, scope: strict}]\n");
    let create = |args: &[&'static str]| world.bulla(&[&["create", "db", "password"], args].concat()).stdin(VALUE);
    create(&["-n", "other", "-o", "db.yaml"]).fails(2, "create_of_another_namespace");
    create(&["-n", "other", "-t", "prod", "-o", "db.yaml"]).refused(2);
    create(&["--type", "kubernetes.io/tls", "-o", "db.yaml"]).refused(2);
    let outcome = create(&["--scope", "cluster", "-o", "db.yaml"]).works();
    assert!(outcome.stderr.starts_with("warning: wider-scope: item password: scope cluster"), "{}", outcome.stderr);
    let outcome = create(&["--type", "example.dev/any", "-o", "any.yaml"]).works();
    assert!(outcome.stderr.starts_with("warning: spec-refused: Secrets of this type"), "{}", outcome.stderr);
    // What was there before is not this command's doing.
    let outcome = world.bulla(&["set", "db.yaml", "password"]).stdin(VALUE).works();
    assert_eq!(outcome.stderr, "");
    let outcome = world.bulla(&["set", "--scope", "namespace", "any.yaml", "user"]).stdin(VALUE).works();
    assert!(outcome.stderr.starts_with("warning: wider-scope: item user"), "{}", outcome.stderr);
    let tls = "apiVersion: v1\nkind: Secret\nmetadata: {name: t, namespace: shop}\ntype: kubernetes.io/tls\nstringData: {a: b}\n";
    world.write("tls.yaml", tls);
    world.bulla(&["seal", "tls.yaml"]).fails(2, "seal_spec_refused");
    // Unless the repository says otherwise.
    world.write(".bulla.yaml", world.read(".bulla.yaml") + "check: {severity: {wrong-namespace: warning, spec-refused: off}}\n");
    create(&["-n", "other", "-o", "other.yaml"]).works();
    world.bulla(&["seal", "tls.yaml"]).works();
}
