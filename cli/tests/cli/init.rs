//! `bulla init` and `bulla doctor`: a configuration from what is there, and what it says about a path.

use super::git::git_works;
use super::harness::World;

fn world() -> World {
    let world = World::new();
    for (from, to) in [("hybrid", "prod"), ("other", "recovery")] {
        world.write(&format!(".bulla/{to}.recipients"), world.read(&format!("{from}.recipients")));
    }
    for name in ["hybrid", "other", "x25519"] {
        std::fs::remove_file(world.path(&format!("{name}.recipients"))).unwrap();
    }
    world.write("clusters/prod/.keep", "");
    world
}

#[test]
fn recipients_that_are_there_become_targets() {
    let world = world();
    git_works(&world, &["init", "-q"]);
    world.bulla(&["init"]).with_programs().works();
    super::harness::snapshot("init_config", &world.read(".bulla.yaml"));
    assert!(world.read(".git/hooks/pre-commit").contains("bulla check --staged"));
    assert!(world.read(".bulla/config.schema.json").contains("\"$schema\""));
    world.bulla(&["init"]).with_programs().fails(3, "init_again");

    world.write("clusters/prod/secret.yaml", super::harness::SECRET);
    world.bulla(&["seal", "--in-place", "clusters/prod/secret.yaml"]).works();
    let shown = world.bulla(&["inspect", "clusters/prod/secret.yaml"]).works();
    let keys = super::harness::Keys::get();
    assert!(shown.text().contains(&format!("{},{}", keys.id("hybrid"), keys.id("other"))), "{}", shown.text());
    world.bulla(&["doctor", "clusters/prod/secret.yaml"]).with_programs().succeeds("doctor");
    world.bulla(&["doctor", "elsewhere.yaml"]).with_programs().partly().fails(1, "doctor_no_rule");
}

#[test]
fn without_folders_every_path_is_meant() {
    let world = world();
    std::fs::remove_dir_all(world.path("clusters")).unwrap();
    world.bulla(&["init", "--no-hook"]).works();
    assert!(world.read(".bulla.yaml").contains("- {path: \"**\", targets: [\"prod\"]}"));
}

#[test]
fn refusals() {
    let world = World::new();
    for name in ["hybrid", "other", "x25519"] {
        std::fs::remove_file(world.path(&format!("{name}.recipients"))).unwrap();
    }
    world.bulla(&["init"]).fails(3, "init_nothing_found");
    world.bulla(&["doctor"]).succeeds("doctor_nothing");
    world.write("prod.recipients", "nonsense\n");
    world.bulla(&["init"]).fails(3, "init_bad_recipients");
    world.write(
        ".bulla.yaml",
        "version: 1\ntargets: {a: {recipients: prod.recipients}, b: {recipients: missing}}\nrecovery: gone\n",
    );
    world.bulla(&["doctor", "x.yaml"]).partly().fails(1, "doctor_faults");
}
