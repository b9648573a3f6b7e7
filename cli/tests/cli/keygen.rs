//! `bulla keygen`.

use super::harness::{Keys, World};

#[test]
fn makes_a_key_of_either_kind() {
    let world = World::new();
    world.bulla(&["keygen"]).reveals().succeeds("keygen_hybrid");
    world.bulla(&["keygen", "--algorithm", "x25519"]).reveals().succeeds("keygen_x25519");
}

#[test]
fn writes_a_file_that_only_its_owner_reads() {
    let world = World::new();
    world.bulla(&["keygen", "-o", "new.key"]).reveals().succeeds("keygen_output");
    assert_eq!(world.mode("new.key"), 0o600);
    let public = world.bulla(&["keygen", "-y", "new.key"]).works();
    assert!(world.read("new.key").contains(&format!("# public key: {}", public.text())));
}

#[test]
fn a_dash_is_standard_output() {
    let outcome = World::new().bulla(&["keygen", "-o", "-", "--algorithm", "x25519"]).reveals().works();
    assert!(outcome.text().contains("\nAGE-SECRET-KEY-1"));
}

#[test]
fn never_overwrites() {
    let world = World::new();
    world.bulla(&["keygen", "-o", "hybrid.key"]).fails(74, "keygen_existing_file");
    world.bulla(&["keygen", "-y", "hybrid.key", "-o", "hybrid.key"]).fails(74, "keygen_public_half_over_private");
    world.bulla(&["keygen", "-o", "missing/new.key"]).fails(74, "keygen_missing_folder");
}

#[test]
fn prints_the_public_half() {
    let world = World::new();
    world.bulla(&["keygen", "-y", "hybrid.key"]).succeeds("keygen_public_half");
    let identity = Keys::get().identity("x25519");
    world.bulla(&["keygen", "-y"]).stdin(&identity).succeeds("keygen_public_half_of_stdin");
    world.bulla(&["keygen", "-y", "x25519.key", "-o", "new.recipients"]).succeeds("keygen_public_half_to_file");
    world.write("both.key", format!("# two\r\n{identity}\r\n\r\n{}\r\n", Keys::get().identity("hybrid")));
    world.bulla(&["keygen", "-y", "both.key"]).succeeds("keygen_public_halves");
}

#[test]
fn what_is_no_identity_file() {
    let world = World::new();
    world.bulla(&["keygen", "-y", "hybrid.recipients"]).fails(4, "keygen_public_half_of_recipient");
    world.bulla(&["keygen", "-y", "missing.key"]).fails(74, "keygen_public_half_of_missing_file");
    world.bulla(&["keygen", "-y"]).fails(4, "keygen_public_half_of_nothing");
    let identity = Keys::get().identity("hybrid");
    world.write("cut.key", &identity[..identity.len() - 1]);
    world.bulla(&["keygen", "-y", "cut.key"]).fails(4, "keygen_public_half_of_cut_identity");
    world.write("latin.key", b"# caf\xe9\n");
    world.bulla(&["keygen", "-y", "latin.key"]).fails(3, "keygen_public_half_of_latin_1");
}

/// Who types the key itself where its file belongs must not find it in a log.
#[test]
fn an_identity_in_the_place_of_a_file_is_not_repeated() {
    let world = World::new();
    let identity = Keys::get().identity("hybrid");
    let outcome = world.bulla(&["keygen", "-y", &identity]).fails(74, "keygen_identity_as_file");
    assert!(!outcome.stderr.contains("AGE-SECRET-KEY-PQ-1"));
}
