//! `bulla git` with the real `git`: the hook, a diff by items, a merge by items.

use std::path::Path;
use std::process::{Command, Output};

use super::harness::{BULLA, World, sealed, strict};

/// Runs `git` in the world, with `bulla` on the path.
pub(crate) fn git(world: &World, args: &[&str]) -> Output {
    let bin = Path::new(BULLA).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    Command::new("git")
        .args([
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@example.invalid",
            "-c",
            "init.defaultBranch=main",
            "-c",
            "core.pager=cat",
        ])
        .args(args)
        .current_dir(world.path(""))
        .env_clear()
        .envs([("HOME", world.path("").display().to_string()), ("GIT_CONFIG_NOSYSTEM", "1".to_owned())])
        .env("PATH", format!("{}:{path}", bin.display()))
        .output()
        .unwrap()
}

pub(crate) fn git_works(world: &World, args: &[&str]) -> String {
    let output = git(world, args);
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const ITEMS: [&str; 4] = ["a", "b", "c", "d"];

/// A repository with one sealed file, set up.
fn world() -> World {
    let world = World::new();
    world.write(".gitignore", "*.key\n");
    let lines: String = ITEMS.iter().map(|item| format!("    # about {item}\n    {item}: {} # {item}\n", value(item))).collect();
    world.write(
        "db.yaml",
        format!("apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {{name: db, namespace: prod}}\nspec:\n  encryptedData:\n{lines}"),
    );
    git_works(&world, &["init", "-q"]);
    world.bulla(&["git", "install", "--no-hook"]).with_programs().succeeds("git_install_no_hook");
    git_works(&world, &["add", "."]);
    git_works(&world, &["commit", "-q", "-m", "one"]);
    world
}

fn value(item: &str) -> String {
    sealed("hybrid", b"old", strict("prod", "db", item), None)
}

fn set(world: &World, item: &str, value: &str) {
    world.bulla(&["set", "-R", "hybrid.recipients", "db.yaml", item]).stdin(value).works();
}

/// Changes the file on a branch and on main, and merges.
fn merge(world: &World, theirs: impl FnOnce(&World), ours: impl FnOnce(&World)) -> Output {
    git_works(world, &["checkout", "-q", "-b", "theirs"]);
    theirs(world);
    git_works(world, &["commit", "-q", "-a", "-m", "theirs"]);
    git_works(world, &["checkout", "-q", "main"]);
    ours(world);
    git_works(world, &["commit", "-q", "-a", "-m", "ours"]);
    git(world, &["merge", "-q", "-m", "merge", "theirs"])
}

fn open(world: &World, item: &str) -> String {
    let args = ["unseal", "-i", "hybrid.key", "-i", "other.key", "--item", item, "db.yaml"];
    world.bulla(&args).reveals().works().text().to_owned()
}

#[test]
fn the_hook_is_written_once_and_never_over_another() {
    let world = World::new();
    world.bulla(&["git", "install"]).with_programs().fails(3, "git_install_no_repository");
    git_works(&world, &["init", "-q"]);
    world.write(".gitattributes", "*.png binary");
    world.bulla(&["git", "install"]).with_programs().works();
    let hook = ".git/hooks/pre-commit";
    assert!(world.read(hook).ends_with("exec bulla check --staged\n"));
    assert_eq!(world.mode(hook) & 0o111, 0o111);
    let attributes = world.read(".gitattributes");
    assert!(attributes.starts_with("*.png binary\n*.json diff=bulla merge=bulla\n"), "{attributes}");
    world.bulla(&["git", "install"]).with_programs().works();
    assert_eq!(world.read(".gitattributes"), attributes);
    world.write(hook, "#!/bin/sh\nmake lint\n");
    let outcome = world.bulla(&["git", "install"]).with_programs().works();
    assert!(outcome.stderr.contains("add this line to"), "{}", outcome.stderr);
    assert_eq!(world.read(hook), "#!/bin/sh\nmake lint\n");
    // One that only speaks of the check, and one that Git does not run.
    world.write(hook, "#!/bin/sh\n  # bulla check was here\nexit 0\n");
    let outcome = world.bulla(&["git", "install"]).with_programs().works();
    assert!(outcome.stderr.contains("add this line to"), "{}", outcome.stderr);
    world.write(hook, "#!/bin/sh\nbulla check --staged\n");
    world.set_mode(hook, 0o644);
    let outcome = world.bulla(&["git", "install"]).with_programs().works();
    assert!(outcome.stderr.contains("make it executable: chmod +x "), "{}", outcome.stderr);
    let outcome = world.bulla(&["doctor"]).with_programs().ends_as_it_does();
    assert!(outcome.text().contains("pre-commit is not executable"), "{}", outcome.text());

    let elsewhere = tempfile::tempdir().unwrap();
    git_works(&world, &["config", "core.hooksPath", ".githooks"]);
    std::os::unix::fs::symlink(elsewhere.path(), world.path(".githooks")).unwrap();
    let outcome = world.bulla(&["git", "install"]).with_programs().works();
    assert!(outcome.stderr.contains("core.hooksPath leads out of this repository"), "{}", outcome.stderr);
    git_works(&world, &["config", "core.hooksPath", &elsewhere.path().display().to_string()]);
    let outcome = world.bulla(&["git", "install"]).with_programs().works();
    assert!(outcome.stderr.contains("core.hooksPath leads out of this repository"), "{}", outcome.stderr);
    assert!(!elsewhere.path().join("pre-commit").exists());
}

#[test]
fn a_diff_shows_items_and_no_ciphertext() {
    let world = world();
    set(&world, "b", "new");
    world.bulla(&["unset", "db.yaml", "c"]).works();
    let diff = git_works(&world, &["diff", "-U0"]);
    let lines: Vec<_> = diff.lines().filter(|line| line.starts_with(['+', '-']) && line.contains("sealed")).collect();
    assert_eq!(lines.len(), 3, "{diff}");
    assert!(lines.iter().all(|line| line.contains("strict prod/db/") && line.contains(", 3 bytes, keys ")), "{diff}");
    assert!(!diff.contains("YWdlLWVuY3J5cHRpb24"), "{diff}");
    world.write("bad.yaml", "kind: SealedSecret # bulla.dev/\n{{ x }}: [\n");
    world.bulla(&["git", "textconv", "bad.yaml"]).succeeds("git_textconv_bad");
    world.bulla(&["git", "textconv", "db.yaml"]).works();
}

#[test]
fn changes_of_different_items_merge() {
    let world = world();
    let theirs = |world: &World| {
        set(world, "a", "theirs");
        set(world, "new", "theirs");
        world.bulla(&["unset", "db.yaml", "d"]).works();
    };
    let ours = |world: &World| {
        set(world, "b", "ours");
        set(world, "x", "ours");
        world.write("db.yaml", world.read("db.yaml").replace("# about a", "# all about a"));
    };
    let output = merge(&world, theirs, ours);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(["a", "b", "c", "new", "x"].map(|item| open(&world, item)), ["theirs", "ours", "old", "theirs", "ours"]);
    let merged = world.read("db.yaml");
    assert!(merged.contains("# all about a\n") && !merged.contains(" d: "), "{merged}");
}

#[test]
fn the_same_item_is_a_conflict_that_can_be_read() {
    let world = world();
    let output = merge(
        &world,
        |world| {
            set(world, "a", "theirs");
            set(world, "c", "theirs");
        },
        |world| {
            set(world, "a", "ours");
            set(world, "b", "ours");
        },
    );
    assert_eq!(output.status.code(), Some(1));
    let merged = world.read("db.yaml");
    let marks: Vec<_> =
        merged.lines().filter(|line| ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| line.starts_with(mark))).collect();
    assert_eq!(marks.len(), 3, "{merged}");
    assert!(
        marks[0].starts_with("<<<<<<< ours: a sealed 20") && marks[2].starts_with(">>>>>>> theirs: a sealed 20"),
        "{marks:?}"
    );
    // Whoever keeps one of the two lines is done.
    let mut kept = String::new();
    let mut drop = false;
    for line in merged.split_inclusive('\n') {
        drop = (drop || line.starts_with("=======")) && !line.starts_with(">>>>>>>");
        if !drop && !marks.contains(&line.trim_end()) {
            kept.push_str(line);
        }
    }
    world.write("db.yaml", kept);
    assert_eq!(["a", "b", "c"].map(|item| open(&world, item)), ["ours", "ours", "theirs"]);
}

#[test]
fn items_that_both_added_are_outside_of_a_conflict() {
    let world = world();
    let change = |side: &'static str, new: &'static str| {
        move |world: &World| {
            set(world, "d", side);
            set(world, new, side);
        }
    };
    let output = merge(&world, change("theirs", "x"), change("ours", "y"));
    assert_eq!(output.status.code(), Some(1));
    let merged = world.read("db.yaml");
    let hunk = merged.split("<<<<<<<").nth(1).unwrap().split(">>>>>>>").next().unwrap();
    assert_eq!(hunk.matches(": YWdl").count(), 2, "{merged}");
    assert_eq!((merged.matches(" x: ").count(), merged.matches(" \"y\": ").count()), (1, 1), "{merged}");
}

#[test]
fn a_new_value_counts_more_than_a_rewrap() {
    let world = world();
    let output = merge(
        &world,
        |world| {
            world.bulla(&["rewrap", "-i", "hybrid.key", "-R", "other.recipients", "db.yaml"]).works();
        },
        |world| set(world, "a", "ours"),
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!((open(&world, "a"), open(&world, "b")), ("ours".to_owned(), "old".to_owned()));
    let shown = world.bulla(&["inspect", "db.yaml"]).works();
    assert_eq!(shown.text().matches(super::harness::Keys::get().id("other")).count(), 3, "{}", shown.text());
}

#[test]
fn what_is_no_sealed_file_is_merged_by_lines() {
    let world = World::new();
    for (name, text) in
        [("base", "a: 1\nb: 1\nc: 1\nd: 1\n"), ("theirs", "a: 1\nb: 1\nc: 1\nd: 2\n"), ("ours", "a: 2\nb: 1\nc: 1\nd: 1\n")]
    {
        world.write(name, text);
    }
    world.bulla(&["git", "merge", "base", "ours", "theirs"]).with_programs().works();
    assert_eq!(world.read("ours"), "a: 2\nb: 1\nc: 1\nd: 2\n");
    world.write("theirs", "a: 3\nb: 1\nc: 1\nd: 1\n");
    world
        .bulla(&["git", "merge", "--path", "x.yaml", "base", "ours", "theirs"])
        .with_programs()
        .partly()
        .fails(1, "git_merge_lines");
}

/// A driver that cuts a file would lose data: what is longer than a manifest passes as it is.
#[test]
fn what_is_too_long_is_neither_cut_nor_merged_by_items() {
    let world = World::new();
    let text = |first: &str, last: &str| {
        let middle = "        \"1234567\",\n".repeat(33 * 1024 * 1024 / 19 + 1);
        format!("[\n{first},\n{middle}{last}\n]\n")
    };
    world.write("base", text("1", "1"));
    world.write("ours", text("2", "1"));
    world.write("theirs", text("1", "2"));
    let all = text("2", "2");
    let whole = world.bulla(&["git", "textconv", "base"]).works();
    assert_eq!(whole.stdout.len(), all.len());
    world.bulla(&["git", "merge", "--path", "x.json", "base", "ours", "theirs"]).with_programs().works();
    assert!(world.read("ours") == all, "{} of {} bytes", world.read("ours").len(), all.len());
}

#[test]
fn names_that_begin_with_a_dash() {
    let world = world();
    world.write("-x.yaml", world.read("db.yaml"));
    git_works(&world, &["add", "./-x.yaml"]);
    git_works(&world, &["commit", "-q", "-m", "two"]);
    let change = |side: &'static str, item: &'static str| {
        move |world: &World| {
            world.bulla(&["set", "-R", "hybrid.recipients", "./-x.yaml", item]).stdin(side).works();
        }
    };
    let output = merge(&world, change("theirs", "a"), change("ours", "d"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let diff = git_works(&world, &["diff", "-U0", "HEAD~1"]);
    assert!(diff.contains("strict prod/db/a, ") || diff.contains("strict prod/db/d, "), "{diff}");
}

#[test]
fn git_attributes_of_others_are_left_as_they_are() {
    let world = World::new();
    git_works(&world, &["init", "-q"]);
    world.write("elsewhere", "mine\n");
    std::os::unix::fs::symlink("elsewhere", world.path(".gitattributes")).unwrap();
    world.bulla(&["git", "install", "--no-hook"]).with_programs().fails(74, "git_install_link");
    assert_eq!(world.read("elsewhere"), "mine\n");
    std::fs::remove_file(world.path(".gitattributes")).unwrap();
    world.write(".gitattributes", b"# caf\xe9\n*.png binary");
    world.bulla(&["git", "install", "--no-hook"]).with_programs().works();
    let bytes = std::fs::read(world.path(".gitattributes")).unwrap();
    assert!(bytes.starts_with(b"# caf\xe9\n*.png binary\n*.json diff=bulla merge=bulla\n"), "{}", bytes.escape_ascii());
}

#[test]
fn submodules_and_further_working_trees_have_the_hook_too() {
    let world = World::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let library = elsewhere.path().display().to_string();
    git_works(&world, &["init", "-q", &library]);
    git_works(&world, &["-C", &library, "commit", "-q", "--allow-empty", "-m", "one"]);
    git_works(&world, &["init", "-q"]);
    git_works(&world, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &library, "module"]);
    git_works(&world, &["commit", "-q", "-m", "one"]);
    git_works(&world, &["worktree", "add", "-q", "tree"]);
    for folder in ["module", "tree"] {
        let bulla =
            |args: &[&str]| git_works(&world, &[&["-C", folder, "-c", &format!("alias.bulla=!{BULLA}"), "bulla"], args].concat());
        bulla(&["git", "install"]);
        world.write(&format!("{folder}/s.yaml"), super::harness::SECRET);
        git_works(&world, &["-C", folder, "add", "s.yaml"]);
        let stopped = git(&world, &["-C", folder, "commit", "-q", "-m", "plain"]);
        assert_eq!(stopped.status.code(), Some(1), "{folder}");
        assert!(String::from_utf8_lossy(&stopped.stderr).contains("plaintext-secret"), "{folder}");
    }
}

/// As of an editor that has another path.
#[test]
fn a_diff_where_bulla_is_not_on_the_path() {
    let world = world();
    set(&world, "b", "new");
    let path = std::env::var("PATH").unwrap();
    let diff = Command::new("git").args(["diff"]).current_dir(world.path("")).env_clear().env("PATH", path).output().unwrap();
    let said = String::from_utf8(diff.stdout).unwrap();
    assert!(diff.status.success() && said.contains("+    b: YWdl"), "{said}{}", String::from_utf8_lossy(&diff.stderr));
    assert!(git_works(&world, &["diff"]).contains("+    b: (sealed "));
}
