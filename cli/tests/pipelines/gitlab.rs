//! GitLab CI: the lines of `before_script` and `script` in one shell, variables of type File, `$[[ inputs.… ]]` of a component.

use std::fs;

use serde_json::Value;

use super::emulator::{Emulator, VERSION};
use super::repository::{FILE, PASSWORD, Repository, STRANGERS_FILE};
use super::scripts::{Ran, Variables, fill, run, yaml};

/// Runs one job.
fn job(name: &str, emulator: &Emulator, repository: &Repository) -> Ran {
    let pipeline = yaml("gitlab/gitlab-ci.yml");
    let job = &pipeline[name];
    assert_eq!(job["extends"], ".bulla");
    let inputs: Variables = [
        ("inputs.version", VERSION.to_owned()),
        ("inputs.sha256", emulator.sha256.clone()),
        ("inputs.url", emulator.downloads()),
        ("inputs.image", "image".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let component = &yaml("gitlab/templates/bulla.yml")[".bulla"];
    let file = |name: &str, text: &str| {
        let path = repository.path(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let mut variables: Variables = [
        ("CI", "true".to_owned()),
        ("GITLAB_CI", "true".to_owned()),
        ("CI_SERVER_HOST", "gitlab.example.com".to_owned()),
        // The runner's remote, as a folder.
        ("CI_PROJECT_URL", repository.path("origin").display().to_string()),
        ("CI_DEFAULT_BRANCH", "main".to_owned()),
        // Never that of a fork.
        ("CI_MERGE_REQUEST_PROJECT_URL", repository.path("origin").display().to_string()),
        ("CI_JOB_TOKEN", "job-token".to_owned()),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main".to_owned()),
        ("CI_PIPELINE_ID", "77".to_owned()),
        ("CI_JOB_NAME", name.to_owned()),
        ("BULLA_IDENTITY", file("identity", &emulator.ci.to_text())),
        ("BULLA_KUBECONFIG", file("kubeconfig", &emulator.kubeconfig())),
        ("BULLA_PUSH_TOKEN", "token".to_owned()),
        ("FILE", FILE.to_owned()),
        ("ITEM", "password".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    for (name, value) in component["variables"].as_object().unwrap() {
        variables.insert(name.clone(), fill(value.as_str().unwrap(), "$[[", "]]", &inputs));
    }
    let lines = [&component["before_script"], &job["script"]];
    let lines = lines.iter().flat_map(|lines| lines.as_array().unwrap()).map(|line| Value::as_str(line).unwrap());
    let script = lines.collect::<Vec<_>>().join("\n");
    run(repository, &["bash", "-eo", "pipefail", "-c"], &script, &variables)
}

fn works(name: &str, emulator: &Emulator, repository: &Repository) -> String {
    let ran = job(name, emulator, repository);
    assert_eq!(ran.code, Some(0), "{name}: {}", ran.said);
    ran.said
}

/// The script says the path of the identity, which is what the variable holds.
#[test]
fn migrate() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    let said = works("migrate", &emulator, &repository);
    assert!(said.starts_with("as ***, key /") && repository.path("temp/migrated").exists(), "{said}");
}

#[test]
fn seal_and_rewrap() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    works("seal", &emulator, &repository);
    let (value, new) = repository.pushed("bulla/seal-77", &emulator);
    assert!(value.len() == 48 && !new);
    let repository = Repository::new(&emulator);
    works("rewrap", &emulator, &repository);
    assert_eq!(repository.pushed("bulla/rewrap-77", &emulator), (PASSWORD.to_owned(), true));
}

#[test]
fn rotation() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    let ran = job("rotation", &emulator, &repository);
    assert_eq!(ran.code, Some(3), "{}", ran.said);
    assert_eq!(yaml("gitlab/gitlab-ci.yml")["rotation"]["allow_failure"]["exit_codes"][0], 3);
    assert!(fs::read_to_string(repository.path("work/rotation-due.txt")).unwrap().contains("shop/db in clusters/prod/db.yaml"));
}

#[test]
fn check() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    works("check", &emulator, &repository);
}

/// An archive that is another one is not unpacked.
#[test]
fn a_wrong_checksum_ends_it() {
    let mut emulator = Emulator::start();
    emulator.sha256 = "0".repeat(64);
    let repository = Repository::new(&emulator);
    let ran = job("migrate", &emulator, &repository);
    assert!(ran.code == Some(1) && ran.said.contains("checksum did NOT match"), "{}", ran.said);
}

/// The rules and keys that count are those of the project that the merge request is for: in the pipeline of a fork, `origin` is the fork.
#[test]
fn check_finds_a_stranger_from_a_fork() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    repository.bring_a_stranger(&emulator);
    repository.move_to_a_fork();
    let ran = job("check", &emulator, &repository);
    assert_eq!(ran.code, Some(1), "{}", ran.said);
    let report: Value = serde_json::from_slice(&fs::read(repository.path("work/gl-code-quality-report.json")).unwrap()).unwrap();
    let found: Vec<_> =
        report.as_array().unwrap().iter().map(|issue| (&issue["check_name"], &issue["location"]["path"])).collect();
    assert!(found.contains(&(&"untrusted-recipient".into(), &STRANGERS_FILE.into())), "{report}");
}
