//! Repositories that are not asked from within, or not by their plain paths: what counts is where a file is.

use std::os::unix::fs::symlink;

use super::super::harness::{Keys, World};
use super::check;
use super::git::{git, repository};

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: bulla-canary-7f3a}\n";

/// How many values in plain a run in `folder` finds, and what it warns of.
fn plaintext(world: &World, folder: &str, args: &[&str]) -> (Option<i32>, usize, String) {
    let mut command = std::process::Command::new(super::super::harness::BULLA);
    let output = command.arg("check").args(["--format", "json"]).args(args).current_dir(world.path(folder)).output().unwrap();
    let found = String::from_utf8(output.stdout).unwrap().matches(r#""rule": "plaintext-secret""#).count();
    (output.status.code(), found, String::from_utf8(output.stderr).unwrap())
}

fn finds(world: &World, folder: &str, args: &[&str], number: usize) {
    let (code, found, said) = plaintext(world, folder, args);
    assert_eq!((code, found), (Some(i32::from(number > 0)), number), "{folder} {args:?}: {said}");
}

/// `.gitignore` of a branch hides nothing that is committed, from wherever it is asked.
#[test]
fn what_is_committed_is_found_from_everywhere() {
    let world = repository();
    world.write("repo/d/s.yaml", SECRET);
    world.write("repo/d/.gitignore", "*\n");
    git(&world, &["add", "-f", "."]);
    world.write("repo/d/ignored.yaml", SECRET);
    symlink("d", world.path("repo/dd")).unwrap();
    world.write("ignored/a", "");
    symlink("..", world.path("ignored/link")).unwrap();
    let root = world.path("");
    for (folder, path) in [
        ("", "repo/dd"),
        ("", "repo/dd/../d"),
        ("", root.to_str().unwrap()),
        ("repo/prod", ".."),
        ("repo", "dd"),
        ("ignored/link/repo", "."),
        ("", "ignored/link/repo"),
    ] {
        finds(&world, folder, &[path], 1);
    }
    let (above, name) = (root.parent().unwrap(), root.file_name().unwrap().to_str().unwrap());
    for args in [&[name][..], &[root.to_str().unwrap()]] {
        let mut command = std::process::Command::new(super::super::harness::BULLA);
        let output = command.arg("check").args(args).current_dir(above).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_is_committed_is_found_in_repositories_within() {
    let world = repository();
    world.write("repo/d/.gitignore", "*\n");
    world.write("repo/d/s.yaml", SECRET);
    git(&world, &["-C", "repo/d", "init", "-q"]);
    finds(&world, "", &["repo"], 0);
    git(&world, &["-C", "repo/d", "add", "-f", "."]);
    finds(&world, "", &["repo"], 1);
}

#[test]
fn a_file_in_conflict_is_committed_too() {
    let world = repository();
    let commit = |text: &str| {
        world.write("repo/s.yaml", format!("{text}\n"));
        git(&world, &["add", "."]);
        git(&world, &["commit", "-qm", text]);
    };
    commit("base");
    git(&world, &["checkout", "-qb", "side"]);
    commit("what we have");
    git(&world, &["checkout", "-q", "main"]);
    commit("theirs, and longer");
    world.write("repo/.gitignore", "*\n");
    let merge = std::process::Command::new("git").args(["merge", "-q", "side"]).current_dir(world.path("")).output().unwrap();
    assert!(!merge.status.success());
    world.write("repo/s.yaml", SECRET);
    finds(&world, "", &[], 1);
}

/// What Git has is not known: then nothing is left out.
#[test]
fn a_repository_that_cannot_be_read() {
    let world = repository();
    world.write("repo/s.yaml", SECRET);
    world.write("repo/.gitignore", "*\n");
    finds(&world, "", &["repo"], 0);
    std::fs::remove_dir_all(world.path(".git")).unwrap();
    git(&world, &["init", "-q", "--object-format=sha256"]);
    let (_, found, said) = plaintext(&world, "", &["repo"]);
    assert!(found == 1 && said.contains("is not known, so nothing counts as ignored"), "{said}");
}

#[test]
fn commits_of_a_path_behind_a_link() {
    let world = repository();
    world.write("repo/d/s.yaml", SECRET);
    world.write("ignored/a", "");
    symlink("d", world.path("repo/dd")).unwrap();
    symlink("..", world.path("ignored/link")).unwrap();
    git(&world, &["add", "."]);
    for path in [".", "repo/dd", "repo/dd/s.yaml", "ignored/link", "ignored/link/repo/dd"] {
        finds(&world, "", &["--staged", path], 1);
    }
    git(&world, &["commit", "-qm", "second"]);
    for path in [".", "repo/dd", "ignored/link"] {
        finds(&world, "", &["--since", "HEAD~1", path], 1);
    }
    finds(&world, "", &["--since", "HEAD~1", "repo/prod"], 0);
    std::fs::remove_dir_all(world.path("repo/d")).unwrap();
    finds(&world, "", &["--since", "HEAD~1", "repo/d/s.yaml"], 1);
    for path in ["/etc", "..", "repo/../.."] {
        world.bulla(&["check", "--since", "HEAD~1", path]).exits(2);
        world.bulla(&["check", "--staged", path]).exits(2);
    }
}

/// What stands in Git may be another text when it is checked out, and a link may hold a key.
#[test]
fn attributes_and_links_of_a_branch() {
    let world = repository();
    world.write("repo/.gitattributes", "*.yaml working-tree-encoding=IBM037\n");
    symlink(Keys::get().identity("x25519"), world.path("repo/link")).unwrap();
    let wanted =
        [("not-text".to_owned(), "repo/.gitattributes".to_owned(), 1), ("age-identity".to_owned(), "repo/link".to_owned(), 1)];
    assert_eq!(check(&world, &["repo"]), wanted);
    git(&world, &["add", "repo/.gitattributes", "repo/link"]);
    assert_eq!(check(&world, &["--staged"]), wanted);
    git(&world, &["commit", "-qm", "second"]);
    assert_eq!(check(&world, &["--since", "HEAD~1"]), wanted);
}

/// A link whose target is a manifest becomes a file with the same content.
#[test]
fn a_link_that_becomes_a_file() {
    let world = repository();
    symlink(SECRET, world.path("repo/s.yaml")).unwrap();
    git(&world, &["add", "repo/s.yaml"]);
    git(&world, &["commit", "-qm", "second"]);
    finds(&world, "", &["--since", "HEAD~1"], 0);
    std::fs::remove_file(world.path("repo/s.yaml")).unwrap();
    world.write("repo/s.yaml", SECRET);
    git(&world, &["add", "repo/s.yaml"]);
    finds(&world, "", &["--staged"], 1);
    git(&world, &["commit", "-qm", "third"]);
    finds(&world, "", &["--since", "HEAD~1"], 1);
}

/// What a file is may change without it.
#[test]
fn files_that_commits_make_manifests() {
    let world = repository();
    world.write("repo/notes.txt", SECRET);
    world.write("repo/s.env", "A=bulla-canary-7f3a\n");
    world.write("repo/kustomization.yaml", "namespace: x\n");
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "second"]);
    assert_eq!(check(&world, &["--since", "HEAD~1"]), []);
    let is = |rule: &str, file: &str, line| (rule.to_owned(), file.to_owned(), line);
    let both = [is("plaintext-secret", "repo/notes.txt", 4), is("plaintext-generator", "repo/s.env", 1)];
    world.write("repo/kustomization.yaml", "resources: [notes.txt]\nsecretGenerator: [{name: a, envs: [s.env]}]\n");
    git(&world, &["add", "."]);
    assert_eq!(check(&world, &["--staged"]), both);
    git(&world, &["commit", "-qm", "third"]);
    assert_eq!(check(&world, &["--since", "HEAD~1"]), both);
    assert_eq!(check(&world, &["--since", "HEAD~1", "repo/s.env"]), both[1..]);
    world.write("repo/kustomization.yaml", "# mended\nresources: [notes.txt]\nsecretGenerator: [{name: a, envs: [s.env]}]\n");
    git(&world, &["add", "."]);
    assert_eq!(check(&world, &["--staged"]), [], "not new");
    git(&world, &["reset", "-q", "--hard", "HEAD~1"]);
    symlink("notes.txt", world.path("repo/s.yaml")).unwrap();
    git(&world, &["add", "."]);
    assert_eq!(check(&world, &["--staged"]), both[..1]);
}
