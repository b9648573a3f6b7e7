//! `docs/operations.md`: each command in it runs, in order. The rebuild runs against a second, empty cluster.

use std::path::{Path, PathBuf};
use std::process::Command;

use bulla_control_plane::{ControlPlane, Options, tools};
use bulla_tests::binaries::binary;
use bulla_tests::cluster::{Cluster, manifest, plain, seal};

const REBUILD: &str = "## Rebuild";

/// The commands of the console blocks of a text.
fn commands(text: &str) -> Vec<&str> {
    let mut in_console = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            in_console = language == "console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| in_console) {
            found.push(command);
        }
    }
    found
}

/// A kubeconfig whose context is called `prod`.
fn kubeconfig(cluster: &Cluster, folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::copy(cluster.plane.admin_kubeconfig(), &path).unwrap();
    let mut kubectl = cluster.plane.kubectl_command();
    let renamed = kubectl.env("KUBECONFIG", &path).args(["config", "rename-context", "bulla", "prod"]).output().unwrap();
    assert!(renamed.status.success(), "{renamed:?}");
    path
}

fn run(cluster: &Cluster, folder: &Path, kubeconfig: &Path, commands: &[&str]) {
    let tools: Vec<PathBuf> = [binary("bulla"), cluster.plane.kubectl(), tools::age().unwrap()]
        .map(|program| program.parent().unwrap().to_owned())
        .into();
    let path = std::env::join_paths(tools.into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap()))).unwrap();
    for command in commands {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-ceu", command]).current_dir(folder).env_clear();
        bash.env("PATH", &path).env("HOME", folder).env("KUBECONFIG", kubeconfig);
        bash.env("BULLA", Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        for role in ["AUTHOR", "COMMITTER"] {
            bash.env(format!("GIT_{role}_NAME"), "test").env(format!("GIT_{role}_EMAIL"), "test@example.com");
        }
        let output = bash.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "$ {command}\n{}{said}", String::from_utf8_lossy(&output.stdout));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_works() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md")).unwrap();
    let (before, rebuild) = text.split_once(REBUILD).unwrap();
    let (before, rebuild) = (commands(before), commands(rebuild));
    assert!(before.len() > 20 && rebuild.len() > 5, "{before:?} {rebuild:?}");
    let folder = tempfile::tempdir().unwrap();
    let repository = folder.path().join("repository");
    {
        let cluster = Cluster::start(Options::default()).await;
        let _controller = cluster.controller(&[]).await;
        let sealed = seal(&plain("default", "db", &[("password", "hunter2")]), &cluster.recipient().await);
        std::fs::create_dir_all(repository.join("clusters/prod")).unwrap();
        std::fs::write(repository.join("clusters/prod/db.yaml"), manifest(&sealed)).unwrap();
        cluster.plane.apply(&manifest(&sealed)).await.unwrap();
        cluster.wait("default", "db", "Ready").await;
        let kubeconfig = kubeconfig(&cluster, folder.path(), "first");
        run(&cluster, &repository, &kubeconfig, &["git init -q"]);
        run(&cluster, &repository, &kubeconfig, &before);
    }
    let cluster = Cluster { plane: ControlPlane::start(Options::default()).await.unwrap() };
    let kubeconfig = kubeconfig(&cluster, folder.path(), "second");
    // There is no kubelet: the controller comes with its Deployment.
    let deployed = rebuild.iter().position(|command| command.ends_with("controller/deploy\"")).unwrap() + 1;
    run(&cluster, &repository, &kubeconfig, &rebuild[..deployed]);
    let restored = cluster.sealing_keys().await.len();
    let _controller = cluster.controller(&[]).await;
    run(&cluster, &repository, &kubeconfig, &rebuild[deployed..]);
    assert_eq!(cluster.values("default", "db").await, ["password=hunter2"]);
    assert!(restored >= 2);
    assert_eq!(cluster.sealing_keys().await.len(), restored, "none is made beside those that came back");
}
