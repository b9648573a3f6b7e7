//! `bulla` as a process, in a folder and with a kubeconfig of its own.

use std::path::Path;
use std::process::{Command, Output};

use crate::binaries::binary;

/// Runs `bulla` in `folder` with nothing around it but `kubeconfig`.
#[must_use]
pub fn bulla(kubeconfig: &Path, folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(binary("bulla"));
    command.env_clear().env("HOME", folder).env("KUBECONFIG", kubeconfig).current_dir(folder);
    command.args(args).output().unwrap()
}

/// The same, which must succeed: standard output and standard error.
#[allow(clippy::must_use_candidate, reason = "that it works is what is asked")]
#[track_caller]
pub fn bulla_works(kubeconfig: &Path, folder: &Path, args: &[&str]) -> (String, String) {
    let output = bulla(kubeconfig, folder, args);
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "bulla {}: {err}", args.join(" "));
    (out, err)
}

/// The same, which must end with this exit code and a hint: standard error.
#[allow(clippy::must_use_candidate, reason = "that it fails is what is asked")]
#[track_caller]
pub fn bulla_fails(kubeconfig: &Path, folder: &Path, args: &[&str], code: i32) -> String {
    let output = bulla(kubeconfig, folder, args);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "bulla {}: {err}", args.join(" "));
    assert!(err.contains("hint: "), "bulla {}: {err}", args.join(" "));
    err
}
