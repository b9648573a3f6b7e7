//! Before a terminal: who sits there is told what to give, and is never left with a prompt that waits.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::canary::CANARY;
use super::exec_child::EVERY_END;
use super::harness::{SECRET, World};
use super::pty::Terminal;

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

/// A shell that asks for a value, and stays to see how that left the terminal.
fn asking(world: &World) -> Terminal {
    world.write(
        "ask.sh",
        "sh -c 'echo $$ > pid; exec \"$BULLA\" create db -n prod -R hybrid.recipients password -o db.yaml'; echo \"code $?\"; read -r line",
    );
    let mut terminal = Terminal::start(world, &["sh", "ask.sh"]);
    terminal.expect("Value of password: ");
    while terminal.echoes() {
        sleep(Duration::from_millis(1));
    }
    terminal
}

#[test]
fn a_value_is_asked_for_and_not_shown() {
    let world = World::new();
    let mut terminal = asking(&world);
    terminal.send(&format!("{CANARY}x\u{7f}\n")).expect("Value of password: \ncode 0").send("\n");
    terminal.end();
    let opened = world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "db.yaml"]).reveals().works();
    assert_eq!(opened.text(), CANARY);
}

/// The shell is told which signal it was.
#[test]
fn the_terminal_shows_what_is_typed_again_whatever_ends_the_prompt() {
    let world = World::new();
    let ended = |name: &str, number: i32, end: &dyn Fn(&mut Terminal)| {
        let mut terminal = asking(&world);
        end(terminal.send("typed"));
        terminal.expect(&format!("code {}\n", 128 + number));
        assert!(terminal.echoes(), "{name}");
        terminal.send("\n");
        terminal.end();
        assert!(!world.path("db.yaml").exists(), "{name}");
    };
    ended("Ctrl-C", 2, &|terminal| {
        terminal.send("\u{3}");
    });
    // Real-time signals wait for the end of the prompt.
    for name in EVERY_END.iter().filter(|name| !name.starts_with("RT")) {
        let bash = |line: String| {
            let output = Command::new("bash").args(["-c", &line]).output().unwrap();
            assert!(output.status.success(), "{line}");
            String::from_utf8(output.stdout).unwrap()
        };
        let number = bash(format!("kill -l {name}")).trim().parse().unwrap();
        ended(name, number, &|_| drop(bash(format!("kill -{name} {}", world.read("pid").trim()))));
    }
}
