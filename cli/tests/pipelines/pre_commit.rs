//! The hook of `.pre-commit-hooks.yaml`, installed and run by the pre-commit framework itself from a repository on this machine.

use std::path::Path;
use std::process::{Command, Output};
use std::{env, fs};

use super::schemas::tools;

#[test]
fn the_framework_runs_the_hook() {
    let world = tempfile::tempdir().unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_bulla")).parent().unwrap();
    let path =
        env::join_paths([bin.to_owned(), tools().to_owned()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap())))
            .unwrap();
    let run = |folder: &str, line: &str| -> Output {
        let words: Vec<_> = line.split(' ').collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(world.path().join(folder)).env_clear().env("PATH", &path);
        command.env("HOME", world.path()).env("GIT_CONFIG_NOSYSTEM", "1").env("PRE_COMMIT_HOME", world.path().join("cache"));
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "x").env(format!("GIT_{who}_EMAIL"), "x@example.invalid");
        }
        command.output().unwrap()
    };
    let works = |folder: &str, line: &str| {
        let output = run(folder, line);
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).concat();
        assert!(output.status.success(), "{line}: {said}");
        said
    };
    let write = |name: &str, text: &str| fs::write(world.path().join(name), text).unwrap();
    for folder in ["bulla", "shop"] {
        fs::create_dir(world.path().join(folder)).unwrap();
        works(folder, "git init -q");
    }
    write("bulla/.pre-commit-hooks.yaml", include_str!("../../../.pre-commit-hooks.yaml"));
    works("bulla", "git add .");
    works("bulla", "git commit -q -m one");
    let revision = works("bulla", "git rev-parse HEAD");
    write(
        "shop/.pre-commit-config.yaml",
        &format!("repos:\n- repo: {}\n  rev: {revision}  hooks: [{{id: bulla-check}}]\n", world.path().join("bulla").display()),
    );
    works("shop", "pre-commit validate-manifest ../bulla/.pre-commit-hooks.yaml");
    works("shop", "pre-commit install");
    works("shop", "git add .");
    let said = works("shop", "git commit -m clean");
    assert!(said.contains("bulla check") && said.contains("Passed"), "{said}");

    write("shop/secret.yaml", "kind: Secret\nmetadata: {name: db}\nstringData: {password: bulla-canary-7f3a}\n");
    works("shop", "git add .");
    let stopped = run("shop", "git commit -m plain");
    let said = [stopped.stdout.as_slice(), stopped.stderr.as_slice()].map(String::from_utf8_lossy).concat();
    assert_eq!(stopped.status.code(), Some(1), "{said}");
    assert!(said.contains("Failed") && said.contains("plaintext-secret") && !said.contains("canary"), "{said}");
}
