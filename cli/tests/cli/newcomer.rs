//! A newcomer's hour, in one go: a repository set up, a secret made, broken in five ways, edited, moved to another key, merged. Each step is
//! a snapshot, and every commit goes through the hook.

use super::git::{git, git_works};
use super::harness::{Keys, World, snapshot};

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
    let file = "clusters/prod/db.yaml";
    world
        .bulla(&["create", "db", "-n", "shop", "password", "--trim", "-o", file])
        .stdin(format!("{VALUE}\n"))
        .succeeds("hour_03_create");
    world.bulla(&["doctor", file]).with_programs().succeeds("hour_04_doctor");
    world.bulla(&["check"]).succeeds("hour_05_check");
    let commit = |message: &str| {
        git_works(&world, &["add", "."]);
        git_works(&world, &["commit", "-q", "-m", message]);
    };
    commit("one");

    // Another value, a further one, one less.
    world.bulla(&["set", file, "user"]).stdin("app").succeeds("hour_06_set");
    world.bulla(&["set", file, "password=x"]).fails(2, "hour_07_value_on_the_command_line");
    world.write("editor", format!("#!/bin/sh\nsed -i 's/^password: .*/password: {VALUE}/' \"$1\"\necho 'token: t' >> \"$1\"\n"));
    world.set_mode("editor", 0o755);
    let editor = world.path("editor").display().to_string();
    world.bulla(&["edit", file]).with_programs().env("EDITOR", &editor).succeeds("hour_08_edit");
    world.bulla(&["unset", file, "token"]).succeeds("hour_09_unset");
    commit("two");

    // Broken, one way after the other: a Secret in plain, which the hook stops as well.
    let good = world.read(file);
    let plain = "clusters/prod/plain.yaml";
    world.write(
        plain,
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: api, namespace: shop}}\nstringData: {{token: {VALUE}}}\n"),
    );
    world.bulla(&["check"]).partly().fails(1, "hour_10_plaintext");
    git_works(&world, &["add", "."]);
    let stopped = git(&world, &["commit", "-q", "-m", "plain"]);
    assert_eq!(stopped.status.code(), Some(1));
    snapshot("hour_11_the_hook", &String::from_utf8([stopped.stdout, stopped.stderr].concat()).unwrap());
    git_works(&world, &["rm", "-q", "-f", plain]);
    // The values under another name.
    world.write(file, good.replace("name: db", "name: api"));
    world.bulla(&["check"]).partly().fails(1, "hour_12_moved");
    world.bulla(&["inspect", file]).succeeds("hour_13_moved_seen");
    world.bulla(&["unseal", "-i", "hybrid.key", file]).fails(4, "hour_14_moved_does_not_open");
    // Half a value.
    let at = good.find("password: ").unwrap();
    world.write(file, format!("{}{}", &good[..at + 800], &good[at + 804..]));
    world.bulla(&["check"]).partly().fails(1, "hour_15_cut");
    world.bulla(&["set", file, "user"]).stdin("app").fails(4, "hour_16_cut_is_not_edited");
    // A stranger's key.
    world.write(file, &good);
    world.bulla(&["set", "-r", Keys::get().recipient("other"), file, "user"]).stdin("app").works();
    world.bulla(&["check"]).partly().fails(1, "hour_17_strange_key");
    // An item twice.
    world.write(file, good.clone() + good.lines().last().unwrap() + "\n");
    world.bulla(&["check"]).partly().fails(1, "hour_18_twice");
    world.write(file, &good);

    // Another key.
    world.write(".bulla/prod.recipients", format!("{}\n", Keys::get().recipient("other")));
    world.bulla(&["rewrap", "-i", "hybrid.key", "-t", "prod", "--check", file]).partly().fails(1, "hour_19_stale");
    world.bulla(&["rewrap", "-i", "hybrid.key", "-t", "prod", file]).succeeds("hour_20_rewrap");
    commit("three");

    // Two people, one item.
    git_works(&world, &["checkout", "-q", "-b", "theirs"]);
    world.bulla(&["set", file, "user"]).stdin("theirs").works();
    commit("theirs");
    git_works(&world, &["checkout", "-q", "main"]);
    world.bulla(&["set", file, "user"]).stdin("ours").works();
    commit("ours");
    assert_eq!(git(&world, &["merge", "-q", "theirs"]).status.code(), Some(1));
    world.bulla(&["check"]).partly().fails(1, "hour_21_conflict");
    git_works(&world, &["checkout", "-q", "--ours", file]);
    commit("merged");
    world.bulla(&["check"]).succeeds("hour_22_check");
    let opened = world.bulla(&["unseal", "-i", "other.key", "--item", "user", file]).reveals().works();
    assert_eq!(opened.text(), "ours");
}
