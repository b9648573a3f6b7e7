//! Jenkins: `sh` steps of a Jenkinsfile, each in a shell of its own, with what `withCredentials` and `withEnv` bind.

use std::fs;

use super::emulator::{Emulator, VERSION};
use super::repository::{FILE, PASSWORD, Repository, STRANGERS_FILE};
use super::scripts::{Variables, example, failure, path, run};

/// The scripts of a file, each with the name of the stage that it stands in.
fn scripts(file: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(example(file)).unwrap();
    let mut found = Vec::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("sh '''") {
        let (script, after) = after.split_once("'''").unwrap();
        let start = text.len() - rest.len() + before.len();
        let stage = text[..start].rsplit_once("stage('").map_or("", |(_, stage)| stage.split('\'').next().unwrap());
        found.push((stage.to_owned(), unescape(script)));
        rest = after;
    }
    assert!(!text.contains("sh \"") && !text.contains("sh('"), "Groovy would fill in what the shell has to");
    found
}

/// What Groovy makes of a string in three single quotes.
fn unescape(script: &str) -> String {
    let mut output = String::new();
    let mut characters = script.chars();
    while let Some(c) = characters.next() {
        match (c, if c == '\\' { characters.next() } else { None }) {
            ('\\', Some('n')) => output.push('\n'),
            ('\\', Some('\n')) => {}
            ('\\', Some(other @ ('\\' | '\'' | '"' | '$'))) => output.push(other),
            ('\\', other) => panic!("Groovy does not know \\{other:?}"),
            (c, _) => output.push(c),
        }
    }
    output
}

/// Installs `bulla` and runs the scripts of these stages.
fn stages(names: &[&str], job: &str, emulator: &Emulator, repository: &Repository) -> String {
    let folder = repository.path("temp/installed").display().to_string();
    let [(_, install)] = &scripts("jenkins/vars/installBulla.groovy")[..] else { panic!("one script") };
    let mut variables: Variables = [
        ("JENKINS_URL", "https://ci.example.com/".to_owned()),
        ("FOLDER", folder.clone()),
        ("VERSION", VERSION.to_owned()),
        ("SHA256", emulator.sha256.clone()),
        ("URL", emulator.downloads()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let shell = ["sh", "-xec"];
    let ran = run(repository, &shell, install, &variables);
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let file = |name: &str, text: &str| {
        let path = repository.path(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    variables.extend(
        [
            ("PATH", path(&[folder])),
            ("BUILD_NUMBER", "77".to_owned()),
            ("CHANGE_TARGET", "main".to_owned()),
            ("REPOSITORY", repository.path("origin.git").display().to_string()),
            ("JOB", job.to_owned()),
            ("FILE", FILE.to_owned()),
            ("ITEM", "password".to_owned()),
            ("API", format!("{}/repos/platform/clusters", emulator.address)),
            ("BULLA_IDENTITY", file("identity", &emulator.ci.to_text())),
            ("KUBECONFIG", file("kubeconfig", &emulator.kubeconfig())),
            ("GIT_USER", "bulla".to_owned()),
            ("GIT_TOKEN", "git-token".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let mut said = String::new();
    for name in names {
        let all = scripts("jenkins/Jenkinsfile");
        let (_, script) = all.iter().find(|(stage, _)| stage == name).unwrap();
        let ran = run(repository, &shell, script, &variables);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.said);
        said += &ran.said;
    }
    said
}

#[test]
fn migrate() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    let said = stages(&["Migrate"], "build", &emulator, &repository);
    assert!(said.contains("as ***, key /") && repository.path("temp/migrated").exists(), "{said}");
}

#[test]
fn seal_and_rewrap() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    stages(&["Seal", "Pull request"], "seal", &emulator, &repository);
    assert_eq!(repository.pushed("bulla/seal-77", &emulator).0.len(), 48);
    let repository = Repository::new(&emulator);
    stages(&["Rewrap", "Pull request"], "rewrap", &emulator, &repository);
    assert_eq!(repository.pushed("bulla/rewrap-77", &emulator), (PASSWORD.to_owned(), true));
    let requests = emulator.pull_requests();
    assert_eq!(requests[1].1, "Bearer git-token");
    assert_eq!(requests[1].2["head"], "bulla/rewrap-77");
}

#[test]
fn rotation() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    stages(&["Rotation due"], "rotation", &emulator, &repository);
    assert!(fs::read_to_string(repository.path("work/rotation-due.txt")).unwrap().contains("shop/db in clusters/prod/db.yaml"));
}

#[test]
fn check() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    stages(&["Check"], "build", &emulator, &repository);
}

/// Also where `origin` is a fork that has it already.
#[test]
fn check_finds_a_stranger() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    repository.bring_a_stranger(&emulator);
    repository.move_to_a_fork();
    let message = failure(|| stages(&["Check"], "build", &emulator, &repository));
    assert!(message.starts_with("assertion `left == right` failed: Check: "), "{message}");
    let report = fs::read_to_string(repository.path("work/bulla-check.xml")).unwrap();
    assert!(report.contains("untrusted-recipient") && report.contains(STRANGERS_FILE), "{report}");
}

/// An archive that is another one is not unpacked.
#[test]
fn a_wrong_checksum_ends_it() {
    let mut emulator = Emulator::start();
    emulator.sha256 = "0".repeat(64);
    let repository = Repository::new(&emulator);
    let message = failure(|| stages(&["Migrate"], "build", &emulator, &repository));
    assert!(message.contains("checksum did NOT match") && !repository.path("temp/installed/bulla").exists(), "{message}");
}

/// What uses a credential, or prepares what it is used for, is for the main branch only.
#[test]
fn no_credential_for_a_pull_request() {
    let text = fs::read_to_string(example("jenkins/Jenkinsfile")).unwrap();
    for stage in text.split("stage('").skip(1) {
        let name = stage.split('\'').next().unwrap();
        let needs = stage.contains("withCredentials(") || stage.contains("bulla set ");
        assert!(!needs || stage.contains("branch 'main'"), "{name}");
    }
}

/// Every script of the file is in one of the tests above.
#[test]
fn no_script_is_left_out() {
    let names: Vec<String> = scripts("jenkins/Jenkinsfile").into_iter().map(|(stage, _)| stage).collect();
    assert_eq!(names, ["Check", "Migrate", "Rotation due", "Rewrap", "Seal", "Pull request"]);
}
