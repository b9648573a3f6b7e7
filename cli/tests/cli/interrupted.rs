//! A command that is disturbed while it works: by others who write the same file, by Ctrl-C. A file is as it was or as it was meant to be,
//! and nothing is left beside it.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};

use super::canary::{self, CANARY};
use super::harness::{BULLA, World, sealed, strict};

fn world() -> World {
    let world = World::new();
    let value = sealed("hybrid", CANARY.as_bytes(), strict("prod", "db", "password"), None);
    world.write(
        "db.yaml",
        format!(
            "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {{name: db, namespace: prod}}\nspec:\n  encryptedData:\n    \
             password: {value}\n"
        ),
    );
    world
}

fn start(world: &World, args: &[&str]) -> Child {
    let mut command = Command::new(BULLA);
    command.args(args).current_dir(world.path("")).env_clear().stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn what_somebody_else_writes_between_reading_and_writing_stays() {
    let world = world();
    assert!(Command::new("mkfifo").arg(world.path("value")).status().unwrap().success());
    let mut bulla = start(&world, &["set", "-R", "hybrid.recipients", "--from-file", "password=value", "db.yaml"]);
    // The value is read after the file: a pipe that has a reader says that the file has been read.
    let mut value = loop {
        let opened = File::options().write(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(world.path("value"));
        match opened {
            Ok(value) => break value,
            Err(_) => assert_eq!(bulla.try_wait().unwrap(), None),
        }
        sleep(Duration::from_millis(5));
    };
    let theirs = world.read("db.yaml") + "# theirs\n";
    world.write("db.yaml", &theirs);
    std::io::Write::write_all(&mut value, b"ours").unwrap();
    drop(value);
    let output = bulla.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains("somebody else has changed it meanwhile") && said.contains("hint: "), "{said}");
    assert_eq!(world.read("db.yaml"), theirs);
}

#[test]
fn of_many_who_write_at_once_whoever_is_told_of_success_is_in_the_file() {
    let world = world();
    let before = world.read("db.yaml");
    world.write("value", "new");
    for _ in 0..4 {
        world.write("db.yaml", &before);
        let sets: Vec<_> = (0..8).map(|number| format!("k{number}=value")).collect();
        let running: Vec<_> =
            sets.iter().map(|set| start(&world, &["set", "-R", "hybrid.recipients", "--from-file", set, "db.yaml"])).collect();
        let mut done = 0;
        for (number, mut bulla) in running.into_iter().enumerate() {
            let code = bulla.wait().unwrap().code();
            let is_there = world.read("db.yaml").contains(&format!("k{number}: "));
            assert!(matches!(code, Some(0 | 74)) && is_there == (code == Some(0)), "k{number}: {code:?}");
            done += usize::from(is_there);
        }
        assert!(done > 0);
    }
    // Sealed in place as well.
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: b}\nstringData: {c: d}\n";
    for _ in 0..4 {
        world.write("secret.yaml", secret);
        let args = ["seal", "-R", "hybrid.recipients", "--in-place", "secret.yaml"];
        let codes: Vec<_> = [(); 4].map(|()| start(&world, &args)).map(|mut bulla| bulla.wait().unwrap().code()).into();
        assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "{codes:?}");
    }
}

/// Interrupts the command later and later, until it has ended before.
fn interrupted(world: &World, args: &[&str], mut check: impl FnMut()) {
    for delay in 0.. {
        let mut bulla = start(world, args);
        sleep(Duration::from_micros(500 * delay));
        let ended = bulla.try_wait().unwrap().is_some();
        if !ended {
            kill_process(Pid::from_child(&bulla), Signal::INT).unwrap();
        }
        bulla.wait().unwrap();
        let names = fs::read_dir(world.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<_> = names.filter(|name| name.starts_with(".bulla-")).collect();
        assert_eq!(left, <[String; 0]>::default(), "after {delay} steps");
        check();
        if ended {
            return;
        }
    }
}

#[test]
fn an_edited_file_is_whole_whenever_the_command_is_interrupted() {
    let world = world();
    world.write("value", "new");
    let before = world.read("db.yaml");
    let mut after = 0;
    interrupted(&world, &["set", "-R", "hybrid.recipients", "--from-file", "password=value", "db.yaml"], || {
        if world.read("db.yaml") != before {
            let opened = world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "db.yaml"]).reveals().works();
            assert_eq!(opened.text(), "new");
            world.write("db.yaml", &before);
            after += 1;
        }
    });
    assert!(after > 0);
}

#[test]
fn plaintext_is_under_its_own_name_or_nowhere() {
    let world = world();
    interrupted(&world, &["unseal", "-i", "hybrid.key", "-o", "plain.yaml", "db.yaml"], || {
        for entry in fs::read_dir(world.path("")).unwrap() {
            let path = entry.unwrap().path();
            let whole = path.ends_with("plain.yaml");
            assert_eq!(canary::trace(&fs::read(&path).unwrap()).is_some(), whole, "{}", path.display());
            if whole {
                fs::remove_file(path).unwrap();
            }
        }
    });
}
