//! The pages that users follow: each command in a `console` block runs, in the order of the page, and prints what the page says that it
//! prints. Every page goes on where the README ends. `docs/operations.md` needs a cluster: `tests/tests/e2e/operations.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::harness::BULLA;

/// Goes before what each command prints.
const MARK: char = '\u{1e}';

/// What `kubectl get secret` says of a Secret that was made by Sealed Secrets and freed of it.
const KUBECTL: &str = "#!/bin/sh
cat <<'END'
apiVersion: v1
kind: Secret
metadata:
  name: web
  namespace: shop
  uid: 5caff6a0-c9ac-11e9-881e-42010aac003f
  resourceVersion: '7'
  creationTimestamp: '2026-01-02T03:04:05Z'
  labels: {bulla.dev/secret: adopt}
data: {password: aHVudGVyMg==}
type: Opaque
END
";

/// What `sops decrypt` makes of the files that the pages name.
const SOPS: &str = r#"#!/bin/sh
case "$*" in
    *--extract*) printf hunter2 ;;
    *.sops.yaml) printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: api, namespace: shop}\nstringData: {token: hunter2}\n' ;;
    *.env) printf 'USER=app\nPASSWORD=two words\n' ;;
    *) printf 'user: app\npassword: hunter2\n' ;;
esac
"#;

/// A command, and the lines that the page shows as its output.
struct Step<'p> {
    command: String,
    output: Vec<&'p str>,
}

/// The steps of the console blocks. A here-document is part of its command.
fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let (mut in_console, mut here) = (false, None);
    for line in page.lines() {
        if let Some(end) = here {
            let command = &mut steps.last_mut().unwrap().command;
            *command += "\n";
            *command += line;
            here = (line != end).then_some(end);
        } else if let Some(language) = line.strip_prefix("```") {
            in_console = language == "console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| in_console) {
            here = command.split_once("<<").map(|(_, end)| end.trim_matches('\''));
            steps.push(Step { command: command.to_owned(), output: Vec::new() });
        } else if in_console {
            steps.last_mut().unwrap().output.push(line);
        }
    }
    steps
}

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)).unwrap()
}

/// Runs them in one shell, with scripts for the programs that are not ours.
fn run(steps: &[Step<'_>]) {
    let folder = tempfile::Builder::new().prefix("bulla-test-").tempdir().unwrap();
    let [home, work, programs] = ["home", "work", "programs"].map(|name| folder.path().join(name));
    for folder in [&home, &work, &programs] {
        fs::create_dir(folder).unwrap();
    }
    for (name, script) in [("kubectl", KUBECTL), ("sops", SOPS)] {
        let path = programs.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = std::env::var_os("PATH").unwrap();
    let folders = [programs, Path::new(BULLA).parent().unwrap().to_owned()];
    let script: String = steps.iter().map(|step| format!("printf '\\036'\n{}\n", step.command)).collect();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-euo", "pipefail", "-c", &script]).current_dir(work).env_clear();
    bash.env("PATH", std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&path))).unwrap());
    bash.env("HOME", home).env("LC_ALL", "C.UTF-8").env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        bash.env(format!("GIT_{role}_NAME"), "test").env(format!("GIT_{role}_EMAIL"), "test@example.com");
    }
    let output = bash.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let said: Vec<&str> = said.split(MARK).skip(1).collect();
    let last = said.len().checked_sub(1).map_or("", |last| &steps[last].command);
    assert!(output.status.success(), "$ {last}\n{}", String::from_utf8_lossy(&output.stderr));
    for (step, said) in steps.iter().zip(said) {
        if !step.output.is_empty() {
            assert_eq!(said.lines().collect::<Vec<_>>(), step.output, "$ {}", step.command);
        }
    }
}

#[test]
fn every_command_of_every_page_works() {
    let readme = page("README.md");
    assert!(steps(&readme).len() > 12);
    for name in ["docs/configuration.md", "docs/sealed-secret.md", "docs/migration.md"] {
        let page = page(name);
        let all: Vec<_> = steps(&readme).into_iter().chain(steps(&page)).collect();
        assert!(all.len() > steps(&readme).len() + 4, "{name}");
        run(&all);
    }
}
