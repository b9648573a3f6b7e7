//! What cannot be meant, on the command line or in the environment, is refused in one line with exit code 2, before anything is done.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Output};

fn run(args: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulla-controller"));
    // No cluster is reached, whatever the machine has: what is not refused fails for want of one.
    command.env_clear().env("HOME", "/nowhere").args(args).envs(environment.iter().copied()).output().unwrap()
}

/// Arguments, environment, and a part of what is said about them.
type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

#[test]
fn one_line_and_exit_code_2() {
    let long = "x".repeat(64);
    let namespace = format!("--namespace={long}");
    let label = format!("--default-label=a={long}");
    let none = [].as_slice();
    let cases: &[Case<'_>] = &[
        // Unknown.
        (&["--worker=2"], none, "'--worker'"),
        (&["run"], none, "'run'"),
        (&["audit"], none, "audit"),
        (&["audit", "prove"], none, "'prove'"),
        (&["audit", "verify"], none, "--key"),
        (&["--log-level=loud"], none, "'loud'"),
        // Malformed or out of range.
        (&["--workers=0"], none, "1..=256"),
        (&["--workers=257"], none, "1..=256"),
        (&["--workers=two"], none, "--workers"),
        (&["--workers"], none, "--workers"),
        (&["--lease-duration=1s"], none, "2s to 600s"),
        (&["--lease-duration=601s"], none, "2s to 600s"),
        (&["--lease-duration=15"], none, "2s to 600s"),
        (&["--key-renew-period=0d"], none, "expected days"),
        (&["--key-decrypt-only-after=36501d"], none, "expected days"),
        (&["--generate-keys=maybe"], none, "--generate-keys"),
        (&["--http-address=8080"], none, "--http-address"),
        (&["--http-address=0.0.0.0:65536"], none, "--http-address"),
        (&["--audit-log="], none, "expected -, off or a file"),
        (&["--namespace="], none, "is empty"),
        (&[&namespace], none, "longer than 63"),
        (&["--watch-namespace=Shop"], none, "--watch-namespace"),
        (&["--watch-namespace=shop,billing"], none, "--watch-namespace"),
        (&["--allow-type="], none, "expected a type"),
        (&["--allow-type=kubernetes.io/service-account-token"], none, "never made"),
        (&["--default-label=team"], none, "KEY=VALUE"),
        (&[&label], none, "longer than 63"),
        (&["--default-annotation=bulla.dev/source=x"], none, "reserved"),
        (&["--audit-log=off", "--audit-log=-"], none, "--audit-log"),
        // Contradicting.
        (&["--generate-keys=false", "--key-renew-period=365d"], none, "--key-renew-period"),
        (&["--watch-namespace=bulla-system"], none, "has the private keys"),
        (&["--namespace=a", "--watch-namespace=b", "--watch-namespace=a"], none, "has the private keys"),
        (&["--default-label=a=1", "--default-label=a=2"], none, "two values"),
        (&["--default-annotation=a=1", "--default-annotation=a=2"], none, "two values"),
        (&["--workers=2", "audit", "verify", "--key=k", "trail"], none, "--workers"),
        // The environment.
        (&[], &[("POD_NAMESPACE", "")], "is empty"),
        (&[], &[("POD_NAMESPACE", "Bulla_System")], "--namespace"),
        (&["--watch-namespace=shop"], &[("POD_NAMESPACE", "shop")], "has the private keys"),
        (&[], &[("KUBECONFIG", "/nowhere/config")], "KUBECONFIG"),
        (&["--context=prod"], &[("KUBECONFIG", "/dev/null")], "--context"),
        (&[], none, "KUBECONFIG"),
    ];
    for (args, environment, says) in cases {
        let output = run(args, environment);
        let said = String::from_utf8(output.stderr).unwrap();
        let what = format!("{args:?} {environment:?}: {said}");
        assert_eq!(output.status.code(), Some(2), "{what}");
        assert!(said.starts_with("error: ") && said.ends_with('\n') && said.lines().count() == 1, "{what}");
        assert!(said.contains(says), "{says:?} in {what}");
        assert!(output.stdout.is_empty(), "{what}");
    }
}

#[test]
fn a_broken_kubeconfig_shows_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, "users:\n- name: a\n  user:\n    token: s3cr3t-token\n   x: [\n").unwrap();
    let output = run(&[], &[("KUBECONFIG", path.to_str().unwrap())]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the kubeconfig cannot be parsed") && !said.contains("s3cr3t"), "{said}");
}

#[test]
fn help_and_version_are_no_refusals() {
    for args in [["--help"].as_slice(), &["--version"], &["audit", "--help"]] {
        let output = run(args, &[]);
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{args:?}");
        assert!(!output.stdout.is_empty(), "{args:?}");
    }
}
