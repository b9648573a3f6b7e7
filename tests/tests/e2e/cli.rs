//! `bulla` against a cluster: the current context, its rights, and the way from a manifest to the Secret.

use bulla_tests::bulla::bulla;

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
