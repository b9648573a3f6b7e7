//! `bulla` against a cluster: the current context, its rights, and the way from a manifest to the Secret.

use bulla_tests::bulla::{bulla, bulla_works};

use crate::shared;

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: from-cli}\nstringData: {password: hunter2}\n";

#[tokio::test]
async fn seal_to_the_current_context_and_apply() {
    let cluster = shared().await;
    cluster.namespace("from-cli").await;
    let recipient = cluster.recipient().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret.yaml"), SECRET).unwrap();
    let output = bulla(cluster.plane.admin_kubeconfig(), folder.path(), &["seal", "secret.yaml"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, format!("sealing to key {} of context bulla\n", recipient.fingerprint().id()));
    cluster.plane.apply(str::from_utf8(&output.stdout).unwrap()).await.unwrap();
    cluster.wait("from-cli", "db", "Ready").await;
    assert_eq!(cluster.values("from-cli", "db").await, ["password=hunter2"]);
}

#[tokio::test]
async fn without_rights_or_cluster_there_is_a_hint() {
    let cluster = shared().await;
    cluster.recipient().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret.yaml"), SECRET).unwrap();
    let nobody = cluster.plane.service_account_kubeconfig("default", "nobody").await.unwrap();
    let output = bulla(&nobody, folder.path(), &["seal", "secret.yaml"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{errors}");
    assert!(
        errors.contains("cannot read the SealingKeys")
            && errors.contains("you may not (403)")
            && errors.contains("recipients file"),
        "{errors}"
    );
    assert!(output.stdout.is_empty());

    // Nobody listens on port 1.
    let server =
        |line: &str| if line.contains("server:") { "    server: https://127.0.0.1:1".to_owned() } else { line.to_owned() };
    let kubeconfig = std::fs::read_to_string(cluster.plane.admin_kubeconfig()).unwrap();
    let gone = folder.path().join("gone.kubeconfig");
    std::fs::write(&gone, kubeconfig.lines().map(server).collect::<Vec<_>>().join("\n")).unwrap();
    let output = bulla(&gone, folder.path(), &["seal", "secret.yaml"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{errors}");
    assert!(
        errors.contains("no answer from the API server") && errors.contains("hint: give recipients with -r or -R"),
        "{errors}"
    );
}

/// What the cluster has made of a value says whether it has changed; a Secret that somebody touched says nothing.
#[tokio::test]
async fn values_that_the_live_secret_has_keep_their_ciphertext() {
    const TWO: &str =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: live, namespace: from-cli-live}\nstringData: {a: one, b: one}\n";
    let cluster = shared().await;
    cluster.namespace("from-cli-live").await;
    cluster.recipient().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let seal = || {
        let args = ["seal", "--keep-live", "bulla", "secret.yaml", "-o", "sealed.yaml"];
        bulla_works(cluster.plane.admin_kubeconfig(), folder.path(), &args);
        std::fs::read_to_string(path("sealed.yaml")).unwrap()
    };
    std::fs::write(path("secret.yaml"), TWO).unwrap();
    let before = seal();
    cluster.plane.apply(&before).await.unwrap();
    cluster.wait("from-cli-live", "live", "Ready").await;
    assert_eq!(seal(), before);

    std::fs::write(path("secret.yaml"), TWO.replace("b: one", "b: two")).unwrap();
    let after = seal();
    let new: Vec<_> = after.lines().filter(|line| !before.contains(line)).collect();
    assert!(matches!(new.as_slice(), [line] if line.trim().starts_with("b: ")), "{after}");

    // The file is ahead of the cluster now: what it says of b is not applied.
    assert_ne!(seal(), after);
}

/// A configuration from a cluster: `init` writes its key, and `doctor` compares.
#[tokio::test]
async fn a_configuration_from_the_current_context() {
    let cluster = shared().await;
    let recipient = cluster.recipient().await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = cluster.plane.admin_kubeconfig();
    bulla_works(kubeconfig, folder.path(), &["init", "--no-hook"]);
    let committed = std::fs::read_to_string(folder.path().join(".bulla/bulla.recipients")).unwrap();
    assert!(committed.starts_with(&recipient.to_string()), "{committed}");
    let (report, _) = bulla_works(kubeconfig, folder.path(), &["doctor", "x.yaml"]);
    assert!(report.contains("context bulla: its newest key is committed"), "{report}");
    assert!(report.contains("x.yaml: rule 1, the first whose path matches (**)"), "{report}");
}
