//! Scripts out of the files, and how a host runs one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::repository::Repository;

/// Variables of a job, in the order in which the host fills them in.
pub(crate) type Variables = BTreeMap<String, String>;

/// A file of the examples.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/pipelines").join(name)
}

/// A YAML file of the examples, its last document.
pub(crate) fn yaml(name: &str) -> Value {
    let text = std::fs::read_to_string(example(name)).unwrap();
    let last = text.rsplit("\n---\n").next().unwrap();
    serde_saphyr::from_str(last).unwrap()
}

/// Fills in `start NAME end`, such as `${{ NAME }}`; a name that is not known fails the test.
pub(crate) fn fill(text: &str, start: &str, end: &str, known: &Variables) -> String {
    let mut output = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(start) {
        let (name, after) = after.split_once(end).unwrap();
        output += before;
        output += known.get(name.trim()).unwrap_or_else(|| panic!("nothing is known of {name} in {text}"));
        rest = after;
    }
    output + rest
}

/// What a script said and how it ended.
pub(crate) struct Ran {
    pub(crate) said: String,
    pub(crate) code: Option<i32>,
}

/// Runs a script in the clone, with these variables and no others.
pub(crate) fn run(repository: &Repository, shell: &[&str], script: &str, variables: &Variables) -> Ran {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).arg(script).current_dir(repository.path("work")).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", repository.path("home")).env("LC_ALL", "C.UTF-8");
    let output = command.env("TMPDIR", repository.path("temp")).envs(variables).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let ran = Ran { said: String::from_utf8(said).unwrap(), code: output.status.code() };
    repository.assert_silent(&ran.said.replace(&format!("::add-mask::{}", super::repository::PASSWORD), ""));
    ran
}

/// The folders of a path variable, newest first.
pub(crate) fn path(folders: &[String]) -> String {
    let usual = std::env::var("PATH").unwrap();
    folders.iter().rev().map(String::as_str).chain([usual.as_str()]).collect::<Vec<_>>().join(":")
}

/// What a pipeline that fails says.
pub(crate) fn failure(pipeline: impl FnOnce() -> String) -> String {
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(pipeline)).unwrap_err();
    failed.downcast_ref::<String>().unwrap().clone()
}
