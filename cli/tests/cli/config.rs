//! `bulla seal` with a `.bulla.yaml`: rules by path, targets by name, and what is wrong with a configuration.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::harness::{Keys, SECRET, World};

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

/// Every `.bulla.yaml` of the project, whole or the part that a page shows: of the repository itself, the pages and the examples.
fn shown() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tracked = Command::new("git").args(["ls-files"]).current_dir(&root).output().unwrap();
    let mut found = Vec::new();
    for name in String::from_utf8(tracked.stdout).unwrap().lines() {
        let text = || std::fs::read_to_string(root.join(name)).unwrap();
        if name.ends_with(".bulla.yaml") {
            found.push((name.to_owned(), text()));
        } else if Path::new(name).extension().is_some_and(|ending| ending == "md") {
            let text = text();
            let blocks = text.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
            let of_ours = |block: &&str| ["version: 1\n", "check:\n"].iter().any(|start| block.starts_with(start));
            found.extend(blocks.filter(of_ours).map(|block| (name.to_owned(), block.to_owned())));
        }
    }
    found
}

#[test]
fn the_schema_takes_every_configuration_that_is_shown_and_none_that_is_refused() {
    let schema: Value = serde_json::from_str(&bulla_cli::config::schema()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    // As editors read it: to YAML 1.2, off is a word.
    let options = serde_saphyr::options! { strict_booleans: true };
    let json = |text: &str| serde_saphyr::from_str_with_options::<Value>(text, options.clone()).unwrap();
    let shown = shown();
    for name in [".bulla.yaml", "README.md", "docs/rules.md"] {
        assert!(shown.iter().any(|(file, _)| file == name), "{name} shows none any more");
    }
    let world = World::new();
    for (name, text) in shown {
        let text = if text.starts_with("check:") { format!("version: 1\n{text}") } else { text };
        let errors: Vec<_> = validator.iter_errors(&json(&text)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        world.write(".bulla.yaml", text);
        bulla_cli::config::Config::find(&world.path("")).unwrap().unwrap();
    }
    assert!(validator.is_valid(&json(CONFIG)));
    for (from, to) in [
        ("version: 1", "version: 2"),
        ("version: 1", ""),
        ("targets:\n", "target:\n"),
        ("scope: namespace", "scope: pod"),
        ("rotateAfter: 90d", "rotateAfter: 90"),
        ("targets: [staging], ", ""),
        ("targets: [staging]", "targets: []"),
        ("version: 1", "version: 1\ncheck: {allow: [{rule: private-key, path: x}]}"),
    ] {
        assert!(CONFIG.contains(from), "{from}");
        let text = CONFIG.replacen(from, to, 1);
        assert!(!validator.is_valid(&json(&text)), "the schema takes: {text}");
        world.write(".bulla.yaml", &text);
        world.bulla(&["check", "-"]).refused(3);
    }
}

#[test]
fn a_configuration_without_targets_is_about_checking_alone() {
    let world = World::new();
    world.write(".bulla.yaml", "version: 1\ncheck: {allow: [{rule: plaintext-secret, path: secret.yaml, reason: invented}]}\n");
    world.write("secret.yaml", SECRET);
    world.bulla(&["check", "secret.yaml"]).works();
    let outcome = world.bulla(&["seal", "secret.yaml"]).refused(3);
    assert!(!outcome.stderr.contains("no rule of"), "sealing goes on as if it were not there: {}", outcome.stderr);
    world.bulla(&["seal", "-R", "hybrid.recipients", "secret.yaml"]).works();
}

const SEALED: &str = "version: 1\ntargets: {prod: {recipients: prod.recipients}}\nrules: [{path: 'prod/**', targets: [prod]}]\n";

/// The folder `origin` with a configuration of its own, seen from the folder above it.
fn elsewhere() -> World {
    let world = World::new();
    world.write("origin/.bulla.yaml", SEALED);
    world.write("origin/prod.recipients", world.read("hybrid.recipients"));
    world.write("origin/prod/sub/.keep", "");
    world
}

#[test]
fn the_configuration_above_the_file_counts_wherever_the_shell_is() {
    let world = elsewhere();
    let file = "origin/prod/db.yaml";
    let outcome = world.bulla(&["create", "db", "password", "-n", "prod", "-o", file]).stdin("bulla-canary-7f3a").works();
    assert!(outcome.stderr.starts_with("using ") && outcome.stderr.contains("origin/.bulla.yaml\n"), "{}", outcome.stderr);
    assert!(world.bulla(&["inspect", file]).works().text().contains(Keys::get().id("hybrid")));
    world.bulla(&["set", file, "user"]).stdin("bulla-canary-7f3a").works();
    world.bulla(&["rewrap", "--check", "origin"]).works();
    world.bulla(&["doctor", file]).works();
    world.bulla(&["check", "origin"]).works();
    world.write("origin/prod.recipients", world.read("other.recipients"));
    let outcome = world.bulla(&["check", "origin", "origin/prod/db.yaml"]).partly().exits(1);
    assert!(outcome.text().contains("error[unknown-key]"), "{}", outcome.text());
    world.bulla(&["rewrap", "--check", "origin"]).partly().exits(1);
}

/// It says what is reported, and the one above it to whom values are sealed.
#[test]
fn a_configuration_about_checking_alone_hides_no_targets() {
    let world = elsewhere();
    world.write("origin/prod/sub/.bulla.yaml", "version: 1\ncheck: {severity: {plaintext-secret: off}}\n");
    world.write("origin/prod/sub/plain.yaml", SECRET);
    let file = "origin/prod/sub/db.yaml";
    world.bulla(&["create", "db", "password", "-n", "prod", "-o", file]).stdin("bulla-canary-7f3a").works();
    assert!(world.bulla(&["inspect", file]).works().text().contains(Keys::get().id("hybrid")));
    assert!(world.bulla(&["doctor", file]).works().text().contains("rule 1"));
    world.write("origin/prod.recipients", world.read("other.recipients"));
    let outcome = world.bulla(&["check", "origin/prod/sub"]).partly().exits(1);
    assert!(outcome.text().contains("unknown-key") && !outcome.text().contains("plaintext-secret"), "{}", outcome.text());
}

/// A target by name is that of the working directory, where none is above the file.
#[test]
fn a_file_below_no_configuration() {
    let world = world();
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("db.yaml").display().to_string();
    let outcome = world.bulla(&["seal", "other.yaml", "-o", &file]).refused(3);
    assert!(outcome.stderr.contains("no rule of"), "not the current context: {}", outcome.stderr);
    world.bulla(&["seal", "-t", "prod", "other.yaml", "-o", &file]).works();
}
