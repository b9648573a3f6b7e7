//! What stays of a file whose content is replaced: owner, group, permissions, extended attributes. What cannot stay is said, or refused.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::harness::{BULLA, Outcome, SECRET, World};

const SEAL: [&str; 5] = ["seal", "-R", "hybrid.recipients", "--in-place", "secret.yaml"];

fn seal(world: &World) -> Outcome {
    fs::write(world.path("secret.yaml"), SECRET).unwrap();
    world.bulla(&SEAL).works()
}

#[test]
fn extended_attributes() {
    let world = World::new();
    world.write("secret.yaml", SECRET);
    world.set_mode("secret.yaml", 0o640);
    // An access control list as the system keeps it (acl(5)): rw- for the owner, r-- for user 1, the group and as the mask, --- for others.
    let entries: [(u16, u16, u32); 5] = [(1, 6, !0), (2, 4, 1), (4, 4, !0), (16, 4, !0), (32, 0, !0)];
    let list: Vec<u8> = entries
        .iter()
        .flat_map(|(tag, rights, id)| [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat())
        .collect();
    let list = [&2_u32.to_le_bytes()[..], &list].concat();
    for (name, value) in [("user.note", &b"mine"[..]), ("system.posix_acl_access", &list)] {
        match setxattr(world.path("secret.yaml"), name, value, XattrFlags::empty()) {
            Err(Errno::NOTSUP) => eprintln!("skipped: this file system has no {name}"),
            set => {
                set.unwrap();
                assert!(seal(&world).stderr.is_empty());
                let mut found = [0; 64];
                let length = getxattr(world.path("secret.yaml"), name, &mut found[..]).unwrap();
                assert_eq!(&found[..length], value, "{name}");
            }
        }
    }
    assert_eq!(world.mode("secret.yaml"), 0o640);
}

#[test]
fn further_names_are_told_of() {
    let world = World::new();
    world.write("secret.yaml", SECRET);
    fs::hard_link(world.path("secret.yaml"), world.path("other.yaml")).unwrap();
    let outcome = seal(&world);
    assert!(outcome.stderr.starts_with("warning: ") && outcome.stderr.contains("hard links"), "{}", outcome.stderr);
    assert_eq!(world.read("other.yaml"), SECRET);
}

#[test]
fn its_owner() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    let world = World::new();
    let owner = || fs::metadata(world.path("secret.yaml")).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
    world.write("secret.yaml", SECRET);
    world.set_mode("secret.yaml", 0o640);
    chown(world.path("secret.yaml"), Some(1234), Some(1235)).unwrap();
    seal(&world);
    assert_eq!((owner(), world.mode("secret.yaml")), ((1234, 1235), 0o640));

    // Whoever may only write in the folder cannot keep it, and the owner might lose the file.
    fs::write(world.path("secret.yaml"), SECRET).unwrap();
    world.set_mode("secret.yaml", 0o666);
    world.set_mode("", 0o777);
    let mut bulla = Command::new(BULLA);
    let output = bulla.args(SEAL).current_dir(world.path("")).env_clear().uid(2).gid(2).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("it belongs to user 1234 and group 1235") && said.contains("hint: "), "{said}");
    assert_eq!((output.status.code(), owner(), world.read("secret.yaml")), (Some(74), (1234, 1235), SECRET.to_owned()));
    assert_eq!(
        fs::read_dir(world.path(""))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".bulla-"))
            .count(),
        0
    );
}
