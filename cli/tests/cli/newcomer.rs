//! A newcomer's hour, in one go: a repository set up, a secret made, broken, edited, moved to another key, merged. Each step is a snapshot.

use super::git::{git, git_works};
use super::harness::World;

const VALUE: &str = "bulla-canary-7f3a";

#[test]
fn a_newcomers_hour() {
    let world = World::new();
    std::fs::create_dir_all(world.path("clusters/prod")).unwrap();
    for name in ["hybrid", "other", "x25519"] {
        std::fs::remove_file(world.path(&format!("{name}.recipients"))).unwrap();
    }
    world.write(".gitignore", "*.key\neditor\n");
    git_works(&world, &["init", "-q"]);
    std::fs::create_dir_all(world.path(".bulla")).unwrap();

    // Keys first: what is committed is the public half.
    world.bulla(&["keygen", "-y", "hybrid.key", "-o", ".bulla/prod.recipients"]).succeeds("hour_01_public_key");
    world.bulla(&["init"]).with_programs().succeeds("hour_02_init");
    std::fs::remove_file(world.path(".git/hooks/pre-commit")).unwrap();
    let file = "clusters/prod/db.yaml";
    world
        .bulla(&["create", "db", "-n", "shop", "password", "--trim", "-o", file])
        .stdin(format!("{VALUE}\n"))
        .succeeds("hour_03_create");
    world.bulla(&["doctor", file]).with_programs().succeeds("hour_04_doctor");
    let commit = |message: &str| {
        git_works(&world, &["add", "."]);
        git_works(&world, &["commit", "-q", "-m", message]);
    };
    commit("one");

    // Another value, a further one, one less.
    world.bulla(&["set", file, "user"]).stdin("app").succeeds("hour_05_set");
    world.bulla(&["set", file, "password=x"]).fails(2, "hour_06_value_on_the_command_line");
    world.write("editor", format!("#!/bin/sh\nsed -i 's/^password: .*/password: {VALUE}/' \"$1\"\necho 'token: t' >> \"$1\"\n"));
    world.set_mode("editor", 0o755);
    let editor = world.path("editor").display().to_string();
    world.bulla(&["edit", file]).with_programs().env("EDITOR", &editor).succeeds("hour_07_edit");
    world.bulla(&["unset", file, "token"]).succeeds("hour_08_unset");
    commit("two");

    // Broken: a value under another name, and half a value.
    let good = world.read(file);
    world.write(file, good.replace("name: db", "name: api"));
    world.bulla(&["inspect", file]).succeeds("hour_09_moved");
    world.bulla(&["unseal", "-i", "hybrid.key", file]).fails(4, "hour_10_moved_does_not_open");
    let at = good.find("password: ").unwrap();
    world.write(file, format!("{}{}", &good[..at + 800], &good[at + 804..]));
    world.bulla(&["set", file, "user"]).stdin("app").fails(4, "hour_11_cut");
    world.write(file, &good);

    // Another key.
    world.write(".bulla/prod.recipients", format!("{}\n", super::harness::Keys::get().recipient("other")));
    world.bulla(&["rewrap", "-i", "hybrid.key", "-t", "prod", "--check", file]).partly().fails(1, "hour_12_stale");
    world.bulla(&["rewrap", "-i", "hybrid.key", "-t", "prod", file]).succeeds("hour_13_rewrap");
    commit("three");

    // Two people, one item.
    git_works(&world, &["checkout", "-q", "-b", "theirs"]);
    world.bulla(&["set", file, "user"]).stdin("theirs").works();
    commit("theirs");
    git_works(&world, &["checkout", "-q", "main"]);
    world.bulla(&["set", file, "user"]).stdin("ours").works();
    commit("ours");
    assert_eq!(git(&world, &["merge", "-q", "theirs"]).status.code(), Some(1));
    world.bulla(&["inspect", file]).fails(2, "hour_14_conflict");
    git_works(&world, &["checkout", "-q", "--ours", file]);
    commit("merged");
    let opened = world.bulla(&["unseal", "-i", "other.key", "--item", "user", file]).reveals().works();
    assert_eq!(opened.text(), "ours");
}
