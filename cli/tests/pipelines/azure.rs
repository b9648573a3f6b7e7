//! Azure DevOps: `bash` steps, templates with `${{ parameters.… }}`, `$(…)` in mapped variables, commands read from standard output.

use serde_json::Value;

use super::emulator::{Emulator, VERSION};
use super::repository::{FILE, PASSWORD, Repository, STRANGERS_FILE};
use super::scripts::{Variables, failure, fill, path, run, yaml};

/// Runs these steps; gives what they said.
fn steps(steps: &Value, emulator: &Emulator, repository: &Repository) -> String {
    let host: Variables = [
        ("TF_BUILD", "True".to_owned()),
        ("AGENT_TEMPDIRECTORY", repository.path("temp").display().to_string()),
        ("SYSTEM_COLLECTIONURI", format!("{}/acme/", emulator.address)),
        ("SYSTEM_TEAMPROJECT", "clusters".to_owned()),
        ("SYSTEM_PULLREQUEST_TARGETBRANCH", "refs/heads/main".to_owned()),
        ("BUILD_REPOSITORY_ID", "4711".to_owned()),
        ("BUILD_SOURCEBRANCH", "refs/heads/main".to_owned()),
        ("BUILD_BUILDID", "77".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let macros: Variables = [
        ("BULLA_VERSION", VERSION.to_owned()),
        ("BULLA_SHA256", emulator.sha256.clone()),
        ("BULLA_URL", emulator.downloads()),
        ("BULLA_IDENTITY", emulator.ci.to_text().to_string()),
        ("BULLA_KUBECONFIG", base64(&emulator.kubeconfig())),
        ("System.AccessToken", "ado-token".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let parameters: Variables = [("parameters.file", FILE), ("parameters.item", "password")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let mut folders = Vec::new();
    let mut said = String::new();
    let mut todo: Vec<(Value, Variables)> =
        steps.as_array().unwrap().iter().rev().map(|step| (step.clone(), parameters.clone())).collect();
    while let Some((step, parameters)) = todo.pop() {
        if let Some(template) = step["template"].as_str() {
            let given = step["parameters"].as_object().unwrap();
            let given: Variables =
                given.iter().map(|(name, value)| (format!("parameters.{name}"), value.as_str().unwrap().to_owned())).collect();
            let template = yaml(&format!("azure/{template}"));
            todo.extend(template["steps"].as_array().unwrap().iter().rev().map(|step| (step.clone(), given.clone())));
        } else if let Some(script) = step["bash"].as_str() {
            let mut variables = host.clone();
            variables.insert("PATH".to_owned(), path(&folders));
            for (name, value) in step["env"].as_object().into_iter().flatten() {
                let value = fill(value.as_str().unwrap(), "${{", "}}", &parameters);
                variables.insert(name.clone(), fill(&value, "$(", ")", &macros));
            }
            assert!(!script.contains("${{"), "an expression in a script can be a command: {script}");
            let ran = run(repository, &["bash", "--noprofile", "--norc", "-c"], script, &variables);
            assert_eq!(ran.code, Some(0), "{}: {}", step["displayName"], ran.said);
            folders.extend(ran.said.lines().filter_map(|line| line.strip_prefix("##vso[task.prependpath]")).map(str::to_owned));
            said += &ran.said;
        } else {
            assert_eq!(step["checkout"], "self");
        }
    }
    said
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// The steps of a job in `keep.yml`.
fn keep(name: &str) -> Value {
    let pipeline = yaml("azure/keep.yml");
    pipeline["jobs"].as_array().unwrap().iter().find(|job| job["job"] == name).unwrap()["steps"].clone()
}

#[test]
fn deploy() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    let job = &yaml("azure/deploy.yml")["jobs"][0];
    let said = steps(&job["strategy"]["runOnce"]["deploy"]["steps"], &emulator, &repository);
    assert!(said.ends_with("as ***, key none\n") && repository.path("temp/migrated").exists(), "{said}");
}

#[test]
fn seal_and_rewrap() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    steps(&keep("seal"), &emulator, &repository);
    assert_eq!(repository.pushed("bulla/seal-77", &emulator).0.len(), 48);
    let repository = Repository::new(&emulator);
    steps(&keep("rewrap"), &emulator, &repository);
    assert_eq!(repository.pushed("bulla/rewrap-77", &emulator), (PASSWORD.to_owned(), true));
    let requests = emulator.pull_requests();
    let (path, token, body) = &requests[1];
    assert_eq!((path.as_str(), token.as_str()), ("/acme/clusters/_apis/git/repositories/4711/pullrequests", "Bearer ado-token"));
    assert_eq!(
        (&body["sourceRefName"], &body["targetRefName"]),
        (&"refs/heads/bulla/rewrap-77".into(), &"refs/heads/main".into())
    );
}

#[test]
fn rotation() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    let said = steps(&keep("rotation"), &emulator, &repository);
    assert!(said.contains("##vso[task.logissue type=warning]") && said.contains("result=SucceededWithIssues"), "{said}");
    let summary = std::fs::read_to_string(repository.path("temp/rotation-due.md")).unwrap();
    assert!(summary.contains("shop/db in clusters/prod/db.yaml"), "{summary}");
}

#[test]
fn check() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    steps(&yaml("azure/check.yml")["steps"], &emulator, &repository);
}

#[test]
fn check_finds_a_stranger() {
    let emulator = Emulator::start();
    let repository = Repository::new(&emulator);
    repository.bring_a_stranger(&emulator);
    let message = failure(|| steps(&yaml("azure/check.yml")["steps"], &emulator, &repository));
    assert!(message.contains("##vso[task.logissue type=error;") && message.contains(STRANGERS_FILE), "{message}");
    assert!(message.contains("untrusted-recipient"), "{message}");
}

/// An archive that is another one is not unpacked.
#[test]
fn a_wrong_checksum_ends_it() {
    let mut emulator = Emulator::start();
    emulator.sha256 = "0".repeat(64);
    let repository = Repository::new(&emulator);
    let message = failure(|| steps(&keep("rotation"), &emulator, &repository));
    assert!(message.contains("Install bulla") && message.contains("checksum did NOT match"), "{message}");
}

/// A group at the top is that of every job: one with a secret belongs to the job that needs it.
#[test]
fn secrets_are_for_one_job() {
    for name in ["check", "deploy", "keep"] {
        let pipeline = yaml(&format!("azure/{name}.yml"));
        assert_eq!(pipeline["variables"], serde_json::json!([{"group": "bulla"}]), "{name}");
    }
    let group = |jobs: &Value| jobs["variables"][0]["group"].as_str().map(str::to_owned);
    assert_eq!(group(&yaml("azure/deploy.yml")["jobs"][0]).as_deref(), Some("bulla-production"));
    let groups: Vec<_> = yaml("azure/keep.yml")["jobs"].as_array().unwrap().iter().map(group).collect();
    assert_eq!(groups, [None, None, Some("bulla-rewrap".to_owned())]);
}
