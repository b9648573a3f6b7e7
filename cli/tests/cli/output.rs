//! Where output cannot be written: nothing is lost, nothing is left behind.

use super::canary::CANARY;
use super::harness::{BULLA, SECRET, World, program, snapshot};

const SEAL: [&str; 4] = ["seal", "-R", "hybrid.recipients", "secret.yaml"];

fn world() -> World {
    let world = World::new();
    world.write("secret.yaml", SECRET);
    world
}

fn to(path: &str) -> Vec<&str> {
    [&SEAL[..], &["-o", path]].concat()
}

#[test]
fn a_missing_folder() {
    world().bulla(&to("missing/sealed.yaml")).fails(74, "output_missing_folder");
}

#[test]
fn a_folder_in_the_place_of_the_file() {
    let world = world();
    world.write("folder/.keep", "");
    world.bulla(&to("folder")).fails(74, "output_folder");
    world.bulla(&to("secret.yaml/sealed.yaml")).fails(74, "output_below_a_file");
    world.bulla(&["seal", "-R", "hybrid.recipients", "--in-place", "folder"]).fails(74, "output_in_place_folder");
}

#[test]
fn a_full_device() {
    let world = world();
    world.bulla(&to("/dev/full")).fails(74, "output_full_device");
    world.bulla(&SEAL).stdout("/dev/full").fails(74, "output_full_stdout");
    world.bulla(&["keygen"]).stdout("/dev/full").fails(74, "output_full_stdout_keygen");
    world.bulla(&["keygen", "-o", "/dev/full"]).fails(74, "output_full_device_keygen");
}

/// What cannot be said is not said; the work is done and the exit code tells.
#[test]
fn a_full_standard_error() {
    let world = world();
    world.bulla(&["keygen", "-o", "new.key"]).stderr("/dev/full").reveals().works();
    world.bulla(&["seal", "-R", "hybrid.key", "secret.yaml"]).stderr("/dev/full").exits(3);
    let large = SECRET.replace(CANARY, &CANARY.repeat(20_000));
    world.bulla(&["seal", "-R", "hybrid.recipients", "-o", "/dev/null"]).stdin(large).stderr("/dev/full").works();
}

/// On a disk of 32 KiB without room for another file.
#[test]
fn a_full_disk() {
    const SCRIPT: &str = r#"
        set -eu
        mkdir -p disk
        mount -t tmpfs -o size=32k tmpfs disk
        cp secret.yaml disk/secret.yaml
        head -c 100000 /dev/zero > disk/filler 2>/dev/null || true
        code=0
        cd disk
        "$BULLA" seal -R ../hybrid.recipients --in-place secret.yaml || code=$?
        cmp secret.yaml ../secret.yaml
        echo $(ls -A) > ../listing
        exit $code
    "#;
    let world = world();
    let (Some(unshare), Some(sh)) = (program("unshare"), program("sh")) else {
        println!("skipped: unshare is not there");
        return;
    };
    let command = |script: &str| {
        let mut command = std::process::Command::new(&unshare);
        command.arg("--mount").arg(&sh).args(["-c", script]).current_dir(world.path(""));
        command.env("BULLA", BULLA).output().unwrap()
    };
    if !command("mkdir -p disk && mount -t tmpfs -o size=32k tmpfs disk").status.success() {
        println!("skipped: a tmpfs can be mounted by root only");
        return;
    }
    let output = command(SCRIPT);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(74), "{stderr}");
    snapshot("output_full_disk", &stderr);
    assert_eq!(world.read("listing"), "filler secret.yaml\n");
}

#[test]
fn the_same_bytes_are_not_written_again() {
    let world = world();
    world.write("pages/.keep", "");
    world.bulla(&["man", "-o", "pages"]).works();
    let page = world.read("pages/bulla.1");
    world.write("pages/bulla.1", page);
    let before = std::fs::metadata(world.path("pages/bulla.1")).unwrap().modified().unwrap();
    world.bulla(&["man", "-o", "pages"]).works();
    assert_eq!(std::fs::metadata(world.path("pages/bulla.1")).unwrap().modified().unwrap(), before);
}
