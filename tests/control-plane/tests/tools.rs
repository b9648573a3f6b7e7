//! The foreign tools are the ones that their names promise.

use std::process::{Command, Stdio};

use bulla_control_plane::tools;

#[test]
fn age_makes_and_opens_hybrid_files() {
    let folder = tempfile::tempdir().unwrap();
    let identity = folder.path().join("identity");
    let made = Command::new(tools::age_keygen().unwrap()).args(["-pq", "-o"]).arg(&identity).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let text = std::fs::read_to_string(&identity).unwrap();
    assert!(text.contains("AGE-SECRET-KEY-PQ-1"));
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap();

    let age = tools::age().unwrap();
    let (plain, sealed) = (folder.path().join("plain"), folder.path().join("sealed"));
    std::fs::write(&plain, "a value").unwrap();
    let status = Command::new(&age).args(["-r", recipient, "-o"]).args([&sealed, &plain]).status().unwrap();
    assert!(status.success());
    let opened = Command::new(&age).args(["-d", "-i"]).args([&identity, &sealed]).stderr(Stdio::inherit()).output().unwrap();
    assert_eq!(opened.stdout, b"a value");
}

#[test]
fn kubeseal_says_its_version() {
    let said = Command::new(tools::kubeseal().unwrap()).arg("--version").output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.trim(), "kubeseal version: v0.27.1");
}

#[test]
fn the_vectors_say_what_they_expect() {
    let folder = tools::age_vectors().unwrap();
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(files.len() > 100, "{} files", files.len());
    assert!(files.iter().all(|file| file.starts_with(b"expect: ")));
}
