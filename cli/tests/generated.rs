//! The committed man pages are those of the commands, and the schema of `.bulla.yaml` is that of its types. `BULLA_UPDATE=1 cargo test -p bulla-cli --test generated` writes them.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use clap::CommandFactory as _;

#[test]
fn man_pages_are_generated_from_the_commands() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/man");
    let fresh = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_bulla")).args(["man", "-o"]).arg(fresh.path()).status().unwrap();
    assert!(status.success());
    if env::var_os("BULLA_UPDATE").is_some() {
        fs::create_dir_all(&committed).unwrap();
        for name in pages(&committed).difference(&pages(fresh.path())) {
            fs::remove_file(committed.join(name)).unwrap();
        }
        for name in pages(fresh.path()) {
            fs::copy(fresh.path().join(&name), committed.join(&name)).unwrap();
        }
    }
    assert_eq!(pages(&committed), pages(fresh.path()), "docs/man has other pages: run `just generate`");
    for name in pages(fresh.path()) {
        let found = fs::read_to_string(committed.join(&name)).unwrap();
        assert!(found == fs::read_to_string(fresh.path().join(&name)).unwrap(), "docs/man/{name} is stale: run `just generate`");
    }
    let command = bulla_cli::commands::Cli::command();
    let mut wanted = BTreeSet::new();
    names(&command, "bulla", &mut wanted);
    assert_eq!(pages(fresh.path()), wanted);
    // Nor does a page name one that is not there.
    for page in pages(fresh.path()) {
        let text = fs::read_to_string(fresh.path().join(page)).unwrap();
        for name in text.lines().filter_map(|line| line.strip_suffix("(1)")) {
            assert!(fresh.path().join(format!("{}.1", name.replace('\\', ""))).is_file(), "{name}");
        }
    }
}

#[test]
fn the_schema_of_the_configuration_is_generated_from_its_types() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config.schema.json");
    let fresh = bulla_cli::config::schema();
    if env::var_os("BULLA_UPDATE").is_some() {
        fs::write(&committed, &fresh).unwrap();
    }
    assert!(fs::read_to_string(committed).unwrap() == fresh, "docs/config.schema.json is stale: run `just generate`");
}

fn names(command: &clap::Command, name: &str, found: &mut BTreeSet<String>) {
    found.insert(format!("{name}.1"));
    for sub in command.get_subcommands() {
        names(sub, &format!("{name}-{}", sub.get_name()), found);
    }
}

fn pages(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
