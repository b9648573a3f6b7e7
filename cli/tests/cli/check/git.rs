//! What is staged and what commits brought; repositories that are in no good state.

use std::process::Command;

use super::super::harness::{Keys, World};
use super::{CONFIG, check, world};

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a: bulla-canary-7f3a\n";

pub(super) fn git(world: &World, args: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "-c",
        "init.defaultBranch=main",
        "-c",
        "protocol.file.allow=always",
    ]);
    command.args(args).current_dir(world.path("")).env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", world.path("home"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The clean tree as a repository with one commit; key files of the harness are ignored.
pub(super) fn repository() -> World {
    let world = world();
    world.write(".gitignore", "*.key\nhome\nignored\n");
    git(&world, &["init", "-q"]);
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "first"]);
    world
}

fn is(rule: &str, file: &str, line: u64) -> (String, String, u64) {
    (rule.to_owned(), file.to_owned(), line)
}

#[test]
fn what_git_ignores_is_left_out() {
    let world = repository();
    world.write("ignored/s.yaml", SECRET);
    assert_eq!(check(&world, &[]), []);
    assert_eq!(check(&world, &["ignored/s.yaml"]), [is("plaintext-secret", "ignored/s.yaml", 5)], "unless it is named");
}

/// `.ignore` is another tool's, and a `.gitignore` hides nothing that is committed.
#[test]
fn what_is_committed_is_looked_at_whatever_ignores_it() {
    let world = repository();
    world.write("repo/s.yaml", SECRET);
    git(&world, &["add", "."]);
    world.write("repo/.ignore", "*\n");
    world.write("repo/.gitignore", "*\n");
    world.write("repo/not-committed.yaml", SECRET);
    let found = [is("plaintext-secret", "repo/s.yaml", 5)];
    assert_eq!(check(&world, &[]), found);
    assert_eq!(check(&world, &["repo"]), found);
    world.write("nothing/.gitignore", "*\n");
    let outcome = world.bulla(&["check", "nothing"]).works();
    assert!(outcome.stderr.contains("warning: no file was looked at"), "{}", outcome.stderr);
}

/// Git reads no such file that is a link, and a device has no end.
#[test]
fn a_gitignore_that_is_a_link() {
    let world = repository();
    std::os::unix::fs::symlink("/dev/zero", world.path("repo/.gitignore")).unwrap();
    std::os::unix::fs::symlink("/dev/stdin", world.path("repo/.ignore")).unwrap();
    for args in [["check", "."], ["check", "repo"], ["check", "repo/prod"]] {
        let outcome = world.bulla(&args).exits(74);
        assert!(outcome.stderr.contains(".gitignore\ncaused by: it is no regular file"), "{}", outcome.stderr);
    }
}

#[test]
fn a_path_that_is_nowhere() {
    let world = repository();
    world.bulla(&["check", "--staged", "typo/"]).fails(74, "check_staged_typo");
    world.bulla(&["check", "--since", "HEAD", "repo/typo.yaml"]).exits(74);
    world.bulla(&["check", "--staged", "repo"]).works();
}

#[test]
fn the_staged_configuration_counts_for_what_is_staged() {
    let world = repository();
    world.write("repo/s.yaml", SECRET);
    git(&world, &["add", "."]);
    let off = "check: {severity: {plaintext-secret: off}}\n";
    world.write(".bulla.yaml", world.read(".bulla.yaml") + off);
    assert_eq!(check(&world, &["--staged"]).len(), 1, "not staged");
    git(&world, &["add", "."]);
    assert_eq!(check(&world, &["--staged"]), []);
}

/// Also behind a link. One that would not be committed is not there.
#[test]
fn the_staged_recipients_count_for_what_is_staged() {
    let world = repository();
    std::fs::rename(world.path("prod.recipients"), world.path("real.recipients")).unwrap();
    std::os::unix::fs::symlink("real.recipients", world.path("prod.recipients")).unwrap();
    git(&world, &["add", "."]);
    world.write("real.recipients", "nobody\n");
    assert_eq!(check(&world, &["--staged"]), [], "not staged");
    let found = [is("bad-recipients", "prod.recipients", 1)];
    assert_eq!(check(&world, &[])[..1], found);
    git(&world, &["add", "."]);
    assert_eq!(check(&world, &["--staged"]), found);
    git(&world, &["checkout", "-q", "HEAD", "."]);
    assert_eq!(check(&world, &["--staged"]), []);
    git(&world, &["rm", "-q", "--cached", "prod.recipients"]);
    assert_eq!(check(&world, &["--staged"]), found);
}

#[test]
fn a_branch_that_changes_its_own_check() {
    let world = repository();
    let off = "check: {severity: {plaintext-secret: off, changed-rules: off, new-allow: off}}\n";
    world.write("repo/s.yaml", format!("# bulla:allow plaintext-secret old\n{SECRET}"));
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "second"]);
    world.write("repo/s.yaml", format!("# bulla:allow plaintext-secret old\n# bulla:allow private-key new\n{SECRET}"));
    world.write(".bulla.yaml", world.read(".bulla.yaml") + off);
    git(&world, &["commit", "-qam", "third"]);
    let wanted = [is("changed-rules", ".bulla.yaml", 1), is("new-allow", "repo/s.yaml", 2), is("unused-allow", "repo/s.yaml", 2)];
    assert_eq!(check(&world, &["--since", "HEAD~1"]), wanted);
    std::fs::remove_file(world.path(".bulla.yaml")).unwrap();
    git(&world, &["commit", "-qam", "fourth"]);
    assert_eq!(check(&world, &["--since", "HEAD~1"]), wanted[..1]);
}

/// A key more, a key less, and what is said of older ones: whoever reviews sees it, whatever the branch says of its own check.
#[test]
fn keys_that_come_and_go() {
    let world = repository();
    let keys = Keys::get();
    world.write("prod.recipients", format!("{}\n{}\n", keys.recipient("hybrid"), keys.recipient("other")));
    world.write(".bulla.yaml", format!("{CONFIG}check: {{severity: {{changed-recipients: off}}}}\n"));
    git(&world, &["add", "prod.recipients"]);
    assert_eq!(check(&world, &["--staged"]), [is("changed-recipients", "prod.recipients", 2)]);
    git(&world, &["commit", "-qam", "second"]);
    let wanted = [is("changed-rules", ".bulla.yaml", 1), is("changed-recipients", "prod.recipients", 2)];
    assert_eq!(check(&world, &["--since", "HEAD~1"]), wanted);
    let old: bulla_shared::age::Recipient = keys.recipient("other").parse().unwrap();
    let comment = format!("# bulla: key={} state=DecryptOnly since=2026-01-01T00:00:00Z\n", old.fingerprint());
    world.write("prod.recipients", format!("{}\n{comment}", keys.recipient("hybrid")));
    git(&world, &["commit", "-qam", "third"]);
    let outcome = world.bulla(&["check", "--since", "HEAD~1"]).works();
    assert!(outcome.text().contains(&format!("{} is called DecryptOnly", old.fingerprint())), "{}", outcome.text());
    world.write("prod.recipients", format!("{}\n", keys.recipient("hybrid")));
    git(&world, &["commit", "-qam", "fourth"]);
    let outcome = world.bulla(&["check", "--since", "HEAD~1"]).works();
    assert!(outcome.text().contains(&format!("{} is named no more", old.fingerprint())), "{}", outcome.text());
    // A link in the place of the file leads to other keys.
    world.write("keys.txt", format!("{}\n", keys.recipient("other")));
    std::fs::remove_file(world.path("prod.recipients")).unwrap();
    std::os::unix::fs::symlink("keys.txt", world.path("prod.recipients")).unwrap();
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "fifth"]);
    let changed = is("changed-recipients", "prod.recipients", 1);
    let found = check(&world, &["--since", "HEAD~1"]);
    assert_eq!(found.iter().filter(|found| **found == changed).count(), 2, "{found:?}");
}

/// `--trust-rev` reads rules and keys of the revision, each recipients file for itself.
#[test]
fn a_revision_that_is_believed() {
    let world = repository();
    let since = |world: &World| check(world, &["--since", "main", "--trust-rev", "main"]);
    git(&world, &["checkout", "-qb", "branch"]);
    world.write("repo/prod/web.yaml", world.read("repo/prod/web.yaml") + "# changed\n");
    git(&world, &["commit", "-qam", "second"]);
    assert_eq!(since(&world), []);
    // A key of another target is as strange as any.
    world.write("prod.recipients", world.read("prod.recipients") + Keys::get().recipient("x25519") + "\n");
    world.write(".bulla.yaml", format!("{CONFIG}check: {{severity: {{untrusted-recipient: off}}}}\n"));
    git(&world, &["commit", "-qam", "third"]);
    let wanted = [
        is("changed-rules", ".bulla.yaml", 1),
        is("changed-recipients", "prod.recipients", 2),
        is("untrusted-recipient", "prod.recipients", 2),
    ];
    assert_eq!(since(&world), wanted);
    // A target that goes takes its file along.
    git(&world, &["checkout", "-qb", "other", "main"]);
    git(&world, &["rm", "-q", "staging.recipients"]);
    git(&world, &["commit", "-qm", "fourth"]);
    assert_eq!(since(&world), []);
    world.bulla(&["check", "--trust-rev", "nowhere"]).refused(2);
    // Others go on meanwhile: the branch has a key that the target had.
    git(&world, &["checkout", "-q", "main"]);
    let hybrid: bulla_shared::age::Recipient = Keys::get().recipient("hybrid").parse().unwrap();
    let comment = format!("# bulla: key={} state=DecryptOnly since=2026-01-01T00:00:00Z\n", hybrid.fingerprint());
    world.write("prod.recipients", format!("{}\n{comment}", Keys::get().recipient("other")));
    git(&world, &["commit", "-qam", "rotated"]);
    git(&world, &["checkout", "-q", "branch~1"]);
    assert_eq!(since(&world), []);
    git(&world, &["checkout", "-q", "main"]);
    git(&world, &["reset", "-q", "--hard", "HEAD~1"]);
    git(&world, &["checkout", "-q", "other"]);
    git(&world, &["rm", "-q", ".bulla.yaml"]);
    git(&world, &["commit", "-qm", "fifth"]);
    let outcome = world.bulla(&["check", "--trust-rev", "HEAD"]).works();
    assert!(outcome.stderr.starts_with("warning: HEAD has no .bulla.yaml"), "{}", outcome.stderr);
    git(&world, &["checkout", "-q", "main"]);
    world.bulla(&["check", "--trust-rev", "other~1"]).fails(3, "check_trust_rev_without_file");
}

/// A branch may write the baseline: it is that of the revision which counts, and a change is seen.
#[test]
fn the_baseline_of_a_revision() {
    let world = repository();
    git(&world, &["checkout", "-qb", "branch"]);
    world.write("repo/s.yaml", SECRET);
    let all = world.bulla(&["check", "--format", "json", "repo"]).partly().exits(1);
    world.write("known.json", all.text());
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "second"]);
    let changed = is("changed-rules", "known.json", 1);
    let secret = is("plaintext-secret", "repo/s.yaml", 5);
    let since = ["--baseline", "known.json", "--since", "main"];
    assert_eq!(check(&world, &since), std::slice::from_ref(&changed));
    let trusting = [&since[..], &["--trust-rev", "main"]].concat();
    assert_eq!(check(&world, &trusting), [changed, secret]);
    let outcome = world.bulla(&[&["check"], &trusting[..]].concat()).partly().exits(1);
    assert!(outcome.stderr.contains("main has no known.json: no finding counts as known"), "{}", outcome.stderr);
    assert_eq!(check(&world, &["--baseline", "known.json", "--trust-rev", "branch"]), []);
    git(&world, &["rm", "-q", "known.json"]);
    assert_eq!(check(&world, &["--baseline", "known.json", "--trust-rev", "branch"]), []);
    world.bulla(&["check", "--baseline", "known.json", "--trust-rev", "main"]).exits(74);
    // Whoever runs the check brings one from outside.
    let outside = world.path("").with_extension("known");
    std::fs::write(&outside, all.text()).unwrap();
    let path = outside.to_str().unwrap();
    assert_eq!(check(&world, &["--baseline", path, "--trust-rev", "main"]), []);
    std::fs::remove_file(outside).unwrap();
}

/// What uses a file need not change with it.
#[test]
fn values_and_manifests_of_a_kustomization_that_has_not_changed() {
    let world = repository();
    world.write("repo/k/kustomization.yaml", "resources: [link]\nsecretGenerator: [{name: s, envs: [s.env]}]\n");
    world.write("repo/k/s.env", "A=${A}\n");
    world.write("repo/k/s.txt", "a: 1\n");
    std::os::unix::fs::symlink("s.txt", world.path("repo/k/link")).unwrap();
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "second"]);
    world.write("repo/k/s.env", "A=bulla-canary-7f3a\n");
    world.write("repo/k/s.txt", SECRET);
    git(&world, &["add", "."]);
    let wanted = [is("plaintext-generator", "repo/k/s.env", 1), is("plaintext-secret", "repo/k/s.txt", 5)];
    assert_eq!(check(&world, &["--staged"]), wanted);
    git(&world, &["commit", "-qm", "third"]);
    assert_eq!(check(&world, &["--since", "HEAD~1"]), wanted);
    assert_eq!(check(&world, &[]), wanted);
}

#[test]
fn staged_is_what_the_next_commit_brings() {
    let world = repository();
    assert_eq!(check(&world, &["--staged"]), []);
    world.write("repo/s.yaml", SECRET);
    assert_eq!(check(&world, &["--staged"]), [], "not staged yet");
    git(&world, &["add", "."]);
    world.write("repo/s.yaml", "a: 1\n");
    let found = [is("plaintext-secret", "repo/s.yaml", 5)];
    assert_eq!(check(&world, &["--staged"]), found, "as staged, not as it is now");
    assert_eq!(check(&world, &["--staged", "repo/prod"]), []);
    let outcome = world.bulla(&["check", "--staged"]).partly().exits(1);
    assert!(outcome.text().contains("seal it before it is committed: bulla seal --in-place repo/s.yaml"), "{}", outcome.text());
    git(&world, &["commit", "-qm", "second"]);
    assert_eq!(check(&world, &["--staged"]), []);
    assert_eq!(world.bulla(&["check", "--staged"]).works().text(), "", "a hook says nothing of what is right");
}

#[test]
fn staged_before_the_first_commit() {
    let world = world();
    git(&world, &["init", "-q"]);
    world.write("repo/s.yaml", SECRET);
    assert_eq!(check(&world, &["--staged"]), []);
    git(&world, &["add", "repo"]);
    assert_eq!(check(&world, &["--staged"]), [is("plaintext-secret", "repo/s.yaml", 5)]);
    world.bulla(&["check", "--since", "main"]).fails(2, "check_since_without_commits");
}

#[test]
fn since_sees_what_was_taken_away_again() {
    let world = repository();
    let first = git(&world, &["rev-parse", "HEAD"]);
    world.write("repo/s.yaml", SECRET);
    world.write("repo/t.yaml", SECRET);
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "second"]);
    let second = git(&world, &["rev-parse", "HEAD"]);
    std::fs::remove_file(world.path("repo/s.yaml")).unwrap();
    git(&world, &["commit", "-qam", "third"]);
    let wanted = [is("plaintext-secret", "repo/s.yaml", 5), is("plaintext-secret", "repo/t.yaml", 5)];
    assert_eq!(check(&world, &["--since", &first]), wanted);
    assert_eq!(check(&world, &["--since", &second]), []);
    assert_eq!(check(&world, &["repo/s.yaml", "--since", "HEAD~2"]), wanted[..1]);
    let outcome = world.bulla(&["check", "--since", &first, "repo/s.yaml"]).partly().exits(1);
    assert!(outcome.text().contains(&format!("repo/s.yaml:5:6 in commit {}", &second[..7])), "{}", outcome.text());
    world.bulla(&["check", "--since", "nowhere"]).fails(2, "check_since_unknown");
}

#[test]
fn since_on_a_branch_that_was_merged() {
    let world = repository();
    git(&world, &["checkout", "-qb", "side"]);
    world.write("repo/s.yaml", SECRET);
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "side"]);
    git(&world, &["checkout", "-q", "main"]);
    world.write("repo/t.yaml", "a: 1\n");
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "main"]);
    git(&world, &["merge", "-q", "--no-edit", "side"]);
    assert_eq!(check(&world, &["--since", "HEAD~1"]), [is("plaintext-secret", "repo/s.yaml", 5)]);
    assert_eq!(check(&world, &["--since", "side"]), []);
}

#[test]
fn a_shallow_clone_says_what_it_lacks() {
    let world = repository();
    let first = git(&world, &["rev-parse", "HEAD"]);
    world.write("repo/s.yaml", SECRET);
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "second"]);
    let url = format!("file://{}", world.path("").display());
    git(&world, &["clone", "-q", "--depth", "1", &url, "ignored/clone"]);
    let inside = world.path("ignored/clone");
    let run = |args: &[&str]| Command::new(super::super::harness::BULLA).args(args).current_dir(&inside).output().unwrap();
    let output = run(&["check", "--since", &first]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the clone is shallow") && said.contains("git fetch --unshallow"), "{said}");
    assert_eq!(run(&["check", "--staged"]).status.code(), Some(0));
    assert_eq!(run(&["check"]).status.code(), Some(1));
}

#[test]
fn submodules_and_links_are_passed_over() {
    let world = repository();
    let url = format!("file://{}", world.path("").display());
    git(&world, &["submodule", "--quiet", "add", "-f", &url, "repo/module"]);
    std::os::unix::fs::symlink("/etc/passwd", world.path("repo/link.yaml")).unwrap();
    git(&world, &["add", "."]);
    assert_eq!(check(&world, &["--staged"]), []);
    git(&world, &["commit", "-qm", "module"]);
    assert_eq!(check(&world, &["--since", "HEAD~1"]), []);
}

#[test]
fn without_a_repository() {
    let world = world();
    world.bulla(&["check", "--staged"]).fails(2, "check_staged_without_repository");
    world.bulla(&["check", "--since", "main"]).fails(2, "check_since_without_repository");
}

/// What was committed stays in the history, whether or not anything could apply it.
#[test]
fn history_that_cannot_be_read() {
    let after = |bytes: &[u8]| {
        let world = repository();
        world.write("repo/s.yaml", bytes);
        git(&world, &["add", "."]);
        git(&world, &["commit", "-qm", "second"]);
        git(&world, &["rm", "-q", "repo/s.yaml"]);
        git(&world, &["commit", "-qm", "third"]);
        let found = check(&world, &["--since", "HEAD~2"]);
        found.into_iter().map(|(rule, ..)| rule).collect::<Vec<_>>()
    };
    let utf16: Vec<u8> = SECRET.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [
        [b"# \xe9\n", SECRET.as_bytes()].concat(),
        format!("{SECRET}# \u{2028}\n").into(),
        SECRET.replace('\n', "\r").into(),
        format!("---#\n{SECRET}").into(),
        utf16,
    ] {
        assert_eq!(after(&bytes), ["plaintext-secret"], "{}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!(after(b"apiVersion: v1\nx: &k Secret\nkind: *k\nstringData: {a: hunter2}\n"), ["ambiguous-secret"]);
    assert_eq!(after(format!("# bulla:allow plaintext-secret ok\n{SECRET}").as_bytes()), ["new-allow"]);
}

/// A comment in a file that a generator takes values from is one of the branch, too.
#[test]
fn comments_in_value_files_are_new() {
    let world = repository();
    world.write("repo/kustomization.yaml", "secretGenerator:\n- name: s\n  envs: [s.env]\n");
    world.write("repo/s.env", "# bulla:allow plaintext-generator ok\npassword=hunter2\n");
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "second"]);
    assert_eq!(check(&world, &["--since", "HEAD~1"]), [is("new-allow", "repo/s.env", 1)]);
}
