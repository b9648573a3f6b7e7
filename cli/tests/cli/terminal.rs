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

/// Waits for the prompt and until the terminal does not show what is typed, types, and gives what was on the screen.
const TYPE: &str = "
import os, pty, sys, termios, time
child, screen = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown = b''
typed = False
while True:
    try:
        more = os.read(screen, 4096)
    except OSError:
        break
    if not more:
        break
    shown += more
    if b'Value of' in shown and not typed:
        while termios.tcgetattr(screen)[3] & termios.ECHO:
            time.sleep(0.01)
        os.write(screen, sys.argv[1].encode() + b'\\n')
        typed = True
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";

#[test]
fn a_value_is_asked_for_and_not_shown() {
    let world = World::new();
    let args = ["create", "db", "-n", "prod", "-R", "hybrid.recipients", "password", "-o", "db.yaml"];
    let python = super::harness::program("python3").expect("python3, which .ci/run needs too");
    let mut command = std::process::Command::new(python);
    command.args(["-c", TYPE, "bulla-canary-7f3a", super::harness::BULLA]).args(args).current_dir(world.path(""));
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && shown.contains("Value of password: ") && !shown.contains("canary"), "{shown}");
    let opened = world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "db.yaml"]).reveals().works();
    assert_eq!(opened.text(), "bulla-canary-7f3a");
}
