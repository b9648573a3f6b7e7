//! `bulla seal` with a `.bulla.yaml`: rules by path, targets by name, and what is wrong with a configuration.

use super::harness::{SECRET, World};

const CONFIG: &str = "version: 1
targets:
  staging: {recipients: x25519.recipients}
  prod: {recipients: hybrid.recipients}
rules:
- {path: 'staging/**', targets: [staging], scope: namespace}
- {path: 'prod/*.yaml', targets: [prod], namespace: shop, rotateAfter: 90d}
";

fn world() -> World {
    let world = World::new();
    world.write(".bulla.yaml", CONFIG);
    world.write("staging/deep/db.yaml", SECRET);
    world.write("prod/db.yaml", SECRET.replace("  namespace: prod\n", ""));
    world.write("other.yaml", SECRET);
    world
}

#[test]
fn the_rule_for_the_file_says_how_it_is_sealed() {
    let world = world();
    world.bulla(&["seal", "--in-place", "staging/deep/db.yaml", "prod/db.yaml"]).works();
    world.bulla(&["inspect", "staging", "prod"]).succeeds("config_rules");
}

#[test]
fn a_target_by_name() {
    let world = world();
    let outcome = world.bulla(&["seal", "-t", "staging", "other.yaml"]).works();
    world.bulla(&["inspect", "-"]).stdin(outcome.stdout).succeeds("config_target");
    world.bulla(&["seal", "-t", "nowhere", "other.yaml"]).fails(3, "config_unknown_target");
    world.bulla(&["seal", "-t", "staging", "-t", "prod", "other.yaml"]).fails(3, "config_targets_of_two_kinds");
}

#[test]
fn the_folder_counts_and_not_the_way_there() {
    let world = world();
    let outcome = world.bulla(&["seal", "staging/../prod/db.yaml"]).works();
    world.bulla(&["inspect", "-"]).stdin(outcome.stdout).succeeds("config_rule_by_real_folder");
}

#[test]
fn what_no_rule_is_for() {
    let world = world();
    world.bulla(&["seal", "other.yaml"]).fails(3, "config_no_rule");
    world.bulla(&["seal"]).stdin(SECRET).fails(3, "config_stdin");
    world.bulla(&["seal", "-o", "staging/new.yaml"]).stdin(SECRET).works();
    assert!(world.read("staging/new.yaml").contains("kind: SealedSecret"));
}

#[test]
fn a_configuration_that_cannot_be_used() {
    let world = world();
    for (name, from, to) in [
        ("config_not_yaml", "version: 1", "version: ["),
        ("config_version", "version: 1", "version: 2"),
        ("config_unknown_field", "scope: namespace", "scop: namespace"),
        ("config_unknown_scope", "scope: namespace", "scope: pod"),
        ("config_rule_of_unknown_target", "[staging],", "[stagin],"),
        ("config_target_of_nothing", "{recipients: hybrid.recipients}", "{}"),
        ("config_glob", "'prod/*.yaml'", "'prod/[.yaml'"),
        ("config_days", "90d", "90"),
        ("config_namespace", "shop", "Shop"),
    ] {
        world.write(".bulla.yaml", CONFIG.replace(from, to));
        world.bulla(&["seal", "prod/db.yaml"]).fails(3, name);
    }
    world.write(".bulla.yaml", "");
    world.bulla(&["seal", "prod/db.yaml"]).fails(3, "config_empty");
    world.write(".bulla.yaml", CONFIG.replace("hybrid.recipients", "missing.recipients"));
    world.bulla(&["seal", "prod/db.yaml"]).fails(74, "config_missing_recipients_file");
    std::fs::remove_file(world.path(".bulla.yaml")).unwrap();
    world.bulla(&["seal", "-t", "prod", "prod/db.yaml"]).fails(3, "config_none");
}

/// What the README shows is a configuration, and its rule counts.
#[test]
fn the_configuration_of_the_readme_works() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let text = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let world = World::new();
    world.write(".bulla.yaml", text);
    for (name, key) in [("prod", "hybrid"), ("recovery", "other")] {
        world.write(&format!(".bulla/{name}.recipients"), world.read(&format!("{key}.recipients")));
    }
    let outcome = world.bulla(&["doctor", "clusters/prod/db.yaml"]).works();
    assert!(outcome.text().contains("rule 1") && outcome.text().contains("rotate after 90 days"), "{}", outcome.text());
}
