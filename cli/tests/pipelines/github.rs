//! GitHub Actions: `bash -eo pipefail`, step variables with `${{ … }}`, and `$GITHUB_PATH` read after each step.

use std::fs;

use serde_json::Value;

use super::emulator::{Emulator, VERSION};
use super::repository::{CONFIG, FILE, PASSWORD, Repository};
use super::scripts::{Variables, example, failure, fill, path, run, yaml};

const SHELL: [&str; 5] = ["bash", "--noprofile", "--norc", "-eo", "pipefail"];

/// Written in where a workflow has no variables.
const EXAMPLES: [&str; 2] =
    ["0000000000000000000000000000000000000000000000000000000000000000", "https://downloads.example.com/bulla"];

/// Runs the steps of the one job of a workflow; gives what they said.
fn workflow(name: &str, emulator: &Emulator, repository: &Repository) -> String {
    let temp = |name: &str| repository.path("temp").join(name).display().to_string();
    for file in ["path", "summary", "env"] {
        fs::write(temp(file), "").unwrap();
    }
    let host: Variables = [
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("CI", "true".to_owned()),
        ("RUNNER_TEMP", repository.path("temp").display().to_string()),
        ("GITHUB_PATH", temp("path")),
        ("GITHUB_ENV", temp("env")),
        ("GITHUB_STEP_SUMMARY", temp("summary")),
        ("GITHUB_API_URL", emulator.address.clone()),
        ("GITHUB_REPOSITORY", "acme/clusters".to_owned()),
        ("GITHUB_REF_NAME", "main".to_owned()),
        ("GITHUB_BASE_REF", "main".to_owned()),
        ("GITHUB_RUN_ID", "77".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let mut known: Variables = [
        ("vars.BULLA_VERSION", VERSION.to_owned()),
        ("vars.BULLA_SHA256", emulator.sha256.clone()),
        ("vars.BULLA_URL", emulator.downloads()),
        ("secrets.BULLA_IDENTITY", emulator.ci.to_text().to_string()),
        ("secrets.BULLA_KUBECONFIG", emulator.kubeconfig()),
        ("secrets.BULLA_PR_TOKEN", "gh-token".to_owned()),
        ("inputs.file", FILE.to_owned()),
        ("inputs.item", "password".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let workflow = yaml(&format!("github/workflows/{name}.yml"));
    let (_, job) = workflow["jobs"].as_object().unwrap().iter().next().unwrap();
    let mut said = String::new();
    let mut steps: Vec<Value> = job["steps"].as_array().unwrap().clone();
    steps.reverse();
    while let Some(step) = steps.pop() {
        match step["uses"].as_str() {
            None => {
                let folders: Vec<String> = fs::read_to_string(temp("path")).unwrap().lines().map(str::to_owned).collect();
                let mut variables = host.clone();
                variables.insert("PATH".to_owned(), path(&folders));
                for (name, value) in step["env"].as_object().into_iter().flatten() {
                    variables.insert(name.clone(), fill(value.as_str().unwrap(), "${{", "}}", &known));
                }
                let script = step["run"].as_str().unwrap();
                assert!(!script.contains("${{"), "an expression in a script can be a command: {script}");
                let ran = run(repository, &[&SHELL[..], &["-c"]].concat(), script, &variables);
                assert_eq!(ran.code, Some(0), "{}: {}", step["name"], ran.said);
                said += &ran.said;
            }
            Some(action) if action.starts_with("actions/checkout@") => {
                assert_eq!(action.len(), "actions/checkout@".len() + 40, "pinned");
            }
            Some(action) => {
                let name = action.strip_prefix("./.github/").unwrap();
                for (input, value) in step["with"].as_object().unwrap() {
                    let mut value = fill(value.as_str().unwrap(), "${{", "}}", &known);
                    // What a copy of the example writes in.
                    if EXAMPLES.contains(&value.as_str()) {
                        value.clone_from(&known[&format!("vars.BULLA_{}", input.to_ascii_uppercase())]);
                    }
                    known.insert(format!("inputs.{input}"), value);
                }
                let action = yaml(&format!("github/{name}/action.yml"));
                steps.extend(action["runs"]["steps"].as_array().unwrap().iter().rev().cloned());
            }
        }
    }
    said
}

#[test]
fn deploy() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    assert_eq!(workflow("deploy", &emulator, &repository), "as ***, key none\n");
    assert!(repository.path("temp/migrated").exists());
}

#[test]
fn seal() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    workflow("seal", &emulator, &repository);
    let (value, _) = repository.pushed("bulla/seal-77", &emulator);
    assert!(value.len() == 48 && value != PASSWORD);
    let (path, token, body) = emulator.pull_requests().pop().unwrap();
    assert_eq!((path.as_str(), token.as_str()), ("/repos/acme/clusters/pulls", "Bearer gh-token"));
    assert_eq!((body["head"].as_str(), body["base"].as_str()), (Some("bulla/seal-77"), Some("main")));
}

#[test]
fn rewrap() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    workflow("rewrap", &emulator, &repository);
    assert_eq!(repository.pushed("bulla/rewrap-77", &emulator), (PASSWORD.to_owned(), true));
    assert_eq!(emulator.pull_requests().len(), 1);
    assert!(!repository.path("temp/kubeconfig").exists());
    // A second time there is nothing to do.
    workflow("rewrap", &emulator, &repository);
    assert_eq!(emulator.pull_requests().len(), 1);
}

#[test]
fn rotation() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    let said = workflow("rotation", &emulator, &repository);
    assert!(said.starts_with("::warning title=Rotation due::"), "{said}");
    let summary = fs::read_to_string(repository.path("temp/summary")).unwrap();
    assert!(summary.contains("shop/db in clusters/prod/db.yaml") && summary.contains("rotate by 2020-04-01"), "{summary}");
}

#[test]
fn check() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    workflow("check", &emulator, &repository);
}

/// A pull request from a fork gets neither, and the check has to run for it.
#[test]
fn check_needs_no_variable() {
    let text = fs::read_to_string(example("github/workflows/check.yml")).unwrap();
    assert!(!text.contains("${{"), "{text}");
}

/// Only main may use the environment whose secrets they are.
#[test]
fn each_secret_is_one_of_an_environment() {
    for entry in fs::read_dir(example("github/workflows")).unwrap() {
        let path = entry.unwrap().path();
        let workflow: Value = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            assert!(!job.to_string().contains("secrets.") || job["environment"].is_string(), "{name} in {}", path.display());
        }
    }
}

/// A plaintext Secret in a commit that the target branch does not have is an annotation, and fails the job, also with a tag
/// that looks like the target branch.
#[test]
fn check_finds_plaintext() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: shop}\nstringData: {password: correct horse}\n";
    repository.write("clusters/prod/plain.yaml", secret);
    repository.commit();
    repository.git("work", &["tag", "origin/main"]);
    let message = failure(|| workflow("check", &emulator, &repository));
    assert!(message.contains("::error ") && message.contains("plain.yaml"), "{message}");
}

/// A branch that would seal to a stranger, in any of the recipients files, is refused whatever else it brings.
#[test]
fn check_finds_a_stranger() {
    let emulator = Emulator::start();
    for name in ["prod", "ci-production", "recovery"] {
        let repository = Repository::new(&emulator);
        let file = format!(".bulla/{name}.recipients");
        let before = fs::read_to_string(repository.path("work").join(&file)).unwrap();
        repository.write(&file, &format!("{before}{}\n", emulator.new.recipient()));
        repository.write(".bulla.yaml", &format!("{CONFIG}check: {{severity: {{untrusted-recipient: off}}}}\n"));
        repository.commit();
        let message = failure(|| workflow("check", &emulator, &repository));
        assert!(message.contains("::error ") && message.contains(&format!("file={file}")), "{message}");
        assert!(message.contains("untrusted-recipient") && message.contains("changed-recipients"), "{message}");
    }
}

/// There is nothing yet to hold it against.
#[test]
fn check_of_the_first_configuration() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    fs::remove_file(repository.path("work/.bulla.yaml")).unwrap();
    repository.commit();
    repository.git("work", &["push", "-q", "origin", "main"]);
    repository.write(".bulla.yaml", CONFIG);
    repository.commit();
    let said = workflow("check", &emulator, &repository);
    assert!(said.contains("refs/remotes/origin/main has no .bulla.yaml") && said.contains("changed-rules"), "{said}");
}

/// An archive that is another one is not unpacked.
#[test]
fn a_wrong_checksum_ends_it() {
    let mut emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    emulator.sha256 = "0".repeat(64);
    let message = failure(|| workflow("deploy", &emulator, &repository));
    assert!(message.contains("Install bulla") && message.contains("checksum did NOT match"), "{message}");
}
