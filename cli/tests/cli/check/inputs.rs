//! Files that are no good: encodings, sizes, bombs. Nothing crashes, and what matters is said.

use super::super::harness::{Keys, SECRET};
use super::git::git;
use super::{check, world};

fn rules(text: impl AsRef<[u8]>) -> Vec<(String, u64)> {
    let world = world();
    world.write("repo/x.yaml", text);
    check(&world, &["repo/x.yaml"]).into_iter().map(|(rule, _, line)| (rule, line)).collect()
}

fn is(rule: &str, line: u64) -> (String, u64) {
    (rule.to_owned(), line)
}

#[test]
fn encodings() {
    let utf16 = |text: &str| [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect::<Vec<u8>>();
    assert_eq!(rules(utf16(SECRET)), [is("utf-16", 1), is("plaintext-secret", 7)]);
    assert_eq!(rules(utf16("a: 1\n")), []);
    assert_eq!(rules(&utf16(SECRET)[2..]), [is("not-text", 1)], "UTF-16 without a mark");
    let latin = [SECRET.as_bytes(), b"# \xe9\n"].concat();
    assert_eq!(rules(latin), [is("not-text", 8)]);
    assert_eq!(rules(b"a: \xe9\n"), [], "of no concern");
    assert_eq!(rules([b"\xef\xbb\xbf", SECRET.as_bytes()].concat()), [is("plaintext-secret", 7)]);
    assert_eq!(rules(SECRET.replace('\n', "\r\n")), [is("plaintext-secret", 7)]);
}

#[test]
fn sizes() {
    let world = world();
    let large = |name: &str, start: &str, length: usize| {
        let mut bytes = start.as_bytes().to_vec();
        bytes.resize(length * 1024 * 1024, b'#');
        world.write(name, bytes);
    };
    large("repo/large.yaml", SECRET, 100);
    large("repo/large.txt", "", 33);
    large("repo/large.bin", "\0", 33);
    let found = check(&world, &["repo"]);
    assert_eq!(
        found.iter().map(|(rule, file, _)| (rule.as_str(), file.as_str())).collect::<Vec<_>>(),
        [("large-text", "repo/large.txt"), ("too-large", "repo/large.yaml")]
    );
    let many = "apiVersion: v1\nkind: Secret\nstringData: {a: b}\n---\n".repeat(10_000);
    let found = rules(many);
    assert_eq!(found.iter().filter(|(rule, _)| rule == "plaintext-secret").count(), 10_000);
}

#[test]
fn bombs() {
    let levels = (1..10).map(|n| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 9].join(", "))).collect::<String>();
    assert_eq!(rules(format!("l0: &l0 [a]\n{levels}kind: ConfigMap # Secret\n")), []);
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(rules(format!("kind: Secret\na: {open}{close}")), [is("too-large", 2)]);
    assert_eq!(rules(format!("kind: ConfigMap\na: {open}{close}")), [], "of no concern");
    let keys = (0..10_000).map(|n| format!("  k{n}: v\n")).collect::<String>();
    assert_eq!(rules(format!("kind: Secret\nstringData:\n{keys}")).len(), 10_000);
    assert_eq!(rules("AGE-SECRET-KEY-1".repeat(10_000)), []);
    assert_eq!(rules("LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t".repeat(10_000)), []);
    assert_eq!(rules("AGE-SECRET-KEY-1".repeat(100_000)), [is("too-large", 1)]);
}

#[test]
fn what_cannot_be_read() {
    let world = world();
    world.bulla(&["check", "missing.yaml"]).fails(74, "check_missing");
    world.bulla(&["check", "-"]).stdin("").fails(2, "check_nothing");
}

#[test]
fn a_file_of_any_name_is_looked_at_if_it_is_named() {
    let world = world();
    world.write("repo/notes.txt", SECRET);
    assert_eq!(check(&world, &["repo"]), []);
    assert_eq!(check(&world, &["repo/notes.txt"]).len(), 1);
    world.write("repo/secret.yaml.example", SECRET);
    assert_eq!(check(&world, &["repo"]).len(), 1);
}

/// PowerShell writes UTF-16, and one byte of zeros makes no picture of a text.
#[test]
fn private_keys_in_any_text() {
    let world = world();
    let key = Keys::get().identity("x25519");
    let little = [0xFF, 0xFE].into_iter().chain(key.encode_utf16().flat_map(u16::to_le_bytes)).collect::<Vec<u8>>();
    let big = [0xFE, 0xFF].into_iter().chain(key.encode_utf16().flat_map(u16::to_be_bytes)).collect::<Vec<u8>>();
    for text in [little, big, format!("\0{key}\n").into_bytes()] {
        world.write("repo/key.txt", text);
        let found: Vec<_> = check(&world, &["repo"]).into_iter().map(|(rule, file, _)| (rule, file)).collect();
        assert_eq!(found, [("age-identity".to_owned(), "repo/key.txt".to_owned())]);
    }
}

/// Compressed or encrypted, a copy has any bytes; what an editor leaves has those of a Secret.
#[test]
fn copies_that_are_no_text() {
    let world = world();
    for name in ["dump.json.gz", "secret.yaml.age", "secret.yaml.gpg"] {
        world.write(&format!("repo/{name}"), b"\x1f\x8b\x08\0\xff!<\xfe\0");
    }
    world.write("repo/.secret.yaml.swp", [b"b0VIM\0\xff", SECRET.as_bytes()].concat());
    world.write("repo/secret.yaml.enc", SECRET);
    world.write("repo/x.yaml", b"\xff!<");
    let found: Vec<_> = check(&world, &["repo"]).into_iter().map(|(rule, file, _)| format!("{rule} {file}")).collect();
    assert_eq!(found, ["not-text repo/.secret.yaml.swp", "plaintext-secret repo/secret.yaml.enc", "not-text repo/x.yaml"]);
    git(&world, &["init", "-q"]);
    git(&world, &["add", "."]);
    assert_eq!(check(&world, &["--staged", "--skip", "changed-recipients", "repo"]).len(), 3);
}

/// Git has a pointer, and whoever checks it out another file.
#[test]
fn pointers_of_git_lfs() {
    let world = world();
    let pointer = format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 90\n", "0".repeat(64));
    for name in ["s.yaml", "s.bin"] {
        world.write(&format!("repo/{name}"), &pointer);
    }
    let found = [("lfs-pointer".to_owned(), "repo/s.yaml".to_owned(), 1)];
    assert_eq!(check(&world, &["repo"]), found);
    git(&world, &["init", "-q"]);
    git(&world, &["add", "."]);
    assert_eq!(check(&world, &["--staged", "--skip", "changed-recipients", "repo"]), found);
}

/// Helm follows links: to a template, to a folder of them, to what makes a chart.
#[test]
fn charts_behind_links() {
    use std::os::unix::fs::symlink;
    let world = world();
    git(&world, &["init", "-q"]);
    for name in ["a/secret", "a/templates/a", "b/dir/b", "c/dir/c/c", "c/more/d", "d/templates/e", "d/templates/NOTES.txt"] {
        world.write(&format!("repo/{name}"), SECRET);
    }
    for name in ["b/Chart.yaml", "c/Chart.yaml", "d/dir/Chart.yaml"] {
        world.write(&format!("repo/{name}"), "name: c\n");
    }
    std::fs::create_dir(world.path("repo/b/templates")).unwrap();
    git(&world, &["add", "."]);
    git(&world, &["commit", "-qm", "first"]);
    assert_eq!(check(&world, &["repo"]), []);
    world.write("repo/a/Chart.yaml", "name: c\n");
    symlink("../../a/secret", world.path("repo/b/templates/link")).unwrap();
    symlink("../dir", world.path("repo/b/templates/folder")).unwrap();
    symlink("dir", world.path("repo/c/templates")).unwrap();
    symlink("../../more", world.path("repo/c/dir/c/more")).unwrap();
    symlink("dir/Chart.yaml", world.path("repo/d/Chart.yaml")).unwrap();
    git(&world, &["add", "."]);
    let wanted = ["a/secret", "a/templates/a", "b/dir/b", "c/dir/c/c", "c/more/d", "d/templates/e"];
    let found =
        |args: &[&str]| -> Vec<_> { check(&world, args).into_iter().map(|(rule, file, _)| format!("{rule} {file}")).collect() };
    let wanted = wanted.map(|name| format!("plaintext-secret repo/{name}"));
    assert_eq!(found(&["repo"]), wanted);
    assert_eq!(found(&["--staged", "repo"]), wanted);
    git(&world, &["commit", "-qm", "second"]);
    assert_eq!(found(&["--since", "HEAD~1", "repo"]), wanted);
}

/// Helm renders whatever stands below `templates`, and editors leave what they saved before.
#[test]
fn manifests_by_other_names() {
    let world = world();
    world.write("repo/chart/Chart.yaml", "name: c\n");
    let manifests = [
        "#s.yaml#",
        ".bulla-aB3x9Z",
        "chart/templates/db.txt",
        "chart/templates/tests/db",
        "s.json.bak",
        "s.yaml~",
        "s.yml-old",
        "secret.yaml.example",
    ];
    let others = ["chart/db.txt", "chart/templates/NOTES.txt", "json", "s.yamllint", "s.yml2", "templates/db.txt"];
    for name in manifests.iter().chain(&others) {
        world.write(&format!("repo/{name}"), SECRET);
    }
    let found = |args: &[&str]| -> Vec<_> {
        let found = check(&world, args).into_iter().filter(|(rule, ..)| rule == "plaintext-secret");
        found.map(|(_, file, _)| file.trim_start_matches("repo/").to_owned()).collect()
    };
    assert_eq!(found(&["repo"]), manifests);
    git(&world, &["init", "-q"]);
    git(&world, &["add", "."]);
    assert_eq!(found(&["--staged"]), manifests);
}
