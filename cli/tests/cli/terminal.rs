//! Before a terminal: who sits there is told what to give, and is never left with a prompt that waits.

use super::harness::{SECRET, World};

#[test]
fn nothing_waits_for_input() {
    let world = World::new();
    world.write("secret.yaml", SECRET);
    world.bulla(&["seal", "-R", "hybrid.recipients"]).on_terminal().fails(2, "terminal_seal");
    world.bulla(&["seal", "-R", "-", "secret.yaml"]).on_terminal().fails(2, "terminal_recipients");
    world.bulla(&["unseal", "-i", "hybrid.key", "-"]).on_terminal().fails(2, "terminal_unseal");
    world.bulla(&["unseal", "-i", "-", "secret.yaml"]).on_terminal().fails(2, "terminal_identity");
    world.bulla(&["inspect", "-"]).on_terminal().fails(2, "terminal_inspect");
    world.bulla(&["keygen", "-y"]).on_terminal().fails(2, "terminal_keygen_public_half");
}

/// The key is on the screen; its public half stands in it and is not said again.
#[test]
fn a_key_is_shown_once() {
    let world = World::new();
    let outcome = world.bulla(&["keygen", "--algorithm", "x25519"]).on_terminal().works();
    assert!(outcome.stderr.contains("AGE-SECRET-KEY-1") && !outcome.stderr.contains("Public key:"), "{}", outcome.stderr);
}
