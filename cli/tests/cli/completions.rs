//! Completions, asked for as the scripts of the shells do, and in a real bash.

use std::process::Command;

use super::canary::CANARY;
use super::harness::{BULLA, World, program, sealed, strict};

/// A folder with a configuration, and with a file of two SealedSecrets that Git does not ignore.
fn world() -> World {
    let world = World::new();
    world.write(
        ".bulla.yaml",
        "version: 1\ntargets:\n  prod: {recipients: hybrid.recipients}\n  staging: {recipients: x25519.recipients}\n",
    );
    let object = |name: &str, items: &[&str]| {
        let value =
            |item: &&str| format!("    {item}: {}\n", sealed("hybrid", CANARY.as_bytes(), strict("shop", name, item), None));
        let items: String = items.iter().map(value).collect();
        format!(
            "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  encryptedData:\n{items}"
        )
    };
    let text = format!("{}---\n{}", object("db", &["password", "user"]), object("api", &["password", "token"]));
    world.write("deploy/db.yaml", &text);
    world.write(".ignore", "ignored\n");
    world.write("ignored/db.yaml", &text);
    world.write("deploy/plain.yaml", format!("kind: Secret\nstringData: {{password: {CANARY}}}\n"));
    world
}

/// What may stand in the place of the last word.
fn complete(world: &World, words: &[&str]) -> Vec<String> {
    let args = [&["--", "bulla"], words].concat();
    let index = words.len().to_string();
    let run = world.bulla(&args).env("BULLA_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
    run.works().text().lines().map(str::to_owned).filter(|word| !word.starts_with('-')).collect()
}

#[test]
fn names_come_from_the_files_at_hand() {
    let world = world();
    for (words, expected) in [
        (&["unse"][..], &["unset", "unseal"][..]),
        (&["set", "deploy/db.yaml", ""], &["password", "user", "token"]),
        (&["set", "-R", "hybrid.recipients", "deploy/db.yaml", "password", "t"], &["token"]),
        (&["unset", "deploy/db.yaml", "u"], &["user"]),
        (&["unseal", "deploy/db.yaml", "--item", ""], &["password", "user", "token"]),
        (&["edit", "deploy/db.yaml", "--name", ""], &["db", "api"]),
        (&["seal", "-t", ""], &["prod", "staging"]),
        (&["set", "deploy/db.yaml", "--target", "s"], &["staging"]),
        (&["recipients", "p"], &["prod"]),
        (&["check", "--skip", "stale"], &["stale-key"]),
        (&["exec", "-i", "hybrid.key", ""], &["shop/db=deploy/db.yaml", "shop/api=deploy/db.yaml"]),
        (&["exec", "shop/a"], &["shop/api=deploy/db.yaml"]),
        (&["edit", "deploy/d"], &["deploy/db.yaml"]),
        (&["set", "missing.yaml", ""], &[]),
        (&["set", "deploy/plain.yaml", ""], &[]),
        (&["set", "hybrid.key", ""], &[]),
    ] {
        assert_eq!(complete(&world, words), expected, "{words:?}");
    }
    // Whatever is wrong in the files, a prompt is no place to say so.
    world.write(".bulla.yaml", "version: 2\n");
    world.write("deploy/db.yaml", "kind: SealedSecret # bulla.dev/\n{{ x }}: [\n");
    assert_eq!(complete(&world, &["seal", "-t", ""]), <[&str; 0]>::default());
    assert_eq!(complete(&world, &["set", "deploy/db.yaml", ""]), <[&str; 0]>::default());
}

#[test]
fn what_a_shell_might_act_on_is_not_proposed() {
    let world = world();
    let text = world.read("deploy/db.yaml");
    for name in ["$(touch x)", "a;b", "`b`", "a b", "*", "é"] {
        world.write(&format!("deploy/db{name}.yaml"), &text);
    }
    world.write("odd/db.yaml", text.replace("name: db,", "name: \"$(touch x)\","));
    world.write(
        ".bulla.yaml",
        "version: 1\ntargets:\n  prod: {recipients: hybrid.recipients}\n  $(x): {recipients: hybrid.recipients}\n",
    );
    assert_eq!(complete(&world, &["set", "deploy/d"]), ["deploy/db.yaml"]);
    assert_eq!(complete(&world, &["seal", "-R", "deploy/d"]), ["deploy/db.yaml"]);
    assert_eq!(complete(&world, &["exec", "shop/d"]), ["shop/db=deploy/db.yaml"]);
    assert_eq!(complete(&world, &["edit", "odd/db.yaml", "--name", ""]), ["api"]);
    assert_eq!(complete(&world, &["seal", "-t", ""]), ["prod"]);
}

#[test]
fn a_command_is_run_and_not_completed_whatever_the_environment_says() {
    let world = world();
    let run = |args: &[&str]| world.bulla(args).env("BULLA_COMPLETE", "bash").env("COMPLETE", "bash");
    run(&["check", "deploy/plain.yaml"]).partly().exits(1);
    let outcome = world.bulla(&["--", "bulla", "se"]).env("BULLA_COMPLETE", "tcsh").exits(1);
    assert!(outcome.stderr.is_empty(), "{}", outcome.stderr);
}

#[test]
fn every_shell_has_a_script_that_asks() {
    let world = world();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = world.bulla(&["completions", shell]).works();
        assert!(outcome.text().contains("BULLA_COMPLETE"), "{shell}: {}", outcome.text());
    }
}

#[test]
fn a_real_bash_completes() {
    let world = world();
    let script = "source <(bulla completions bash); complete -p bulla\n\
        reply() { COMP_WORDS=(bulla \"$@\") COMP_CWORD=$# COMP_TYPE=9; _clap_complete_bulla bulla \"${!#}\"; echo \"${COMPREPLY[@]}\"; }\n\
        reply unsea\nreply set deploy/db.yaml t\nreply exec shop/d\n";
    let bash = program("bash").expect("bash, which .ci/run needs too");
    let path = std::env::var("PATH").unwrap();
    let bin = std::path::Path::new(BULLA).parent().unwrap().display();
    let mut command = Command::new(bash);
    command.args(["--norc", "-ec", script]).current_dir(world.path("")).env_clear().env("PATH", format!("{bin}:{path}"));
    let output = command.output().unwrap();
    let (shown, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("complete ") && lines[0].ends_with("-F _clap_complete_bulla bulla"), "{shown}{said}");
    assert_eq!(lines[1..], ["unseal", "token", "shop/db=deploy/db.yaml"], "{said}");
}
