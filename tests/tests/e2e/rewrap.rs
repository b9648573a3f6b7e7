//! Rewrap requests under real rights: who may ask, for what, and what they learn.

use std::path::Path;

use bulla_control_plane::Options;
use bulla_shared::binding::{Scope, ScopeKind};
use bulla_shared::resources::rewrap_request::{Answer, RewrapRequest, RewrapRequestSpec};
use bulla_shared::sealed::{Recipients, SealedValue};
use bulla_tests::bulla::{bulla_fails, bulla_works};
use bulla_tests::cluster::{Cluster, manifest, plain, seal};
use bulla_tests::eventually;
use jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

/// A ServiceAccount with the shipped namespace role in `namespace` alone.
async fn developer(cluster: &Cluster, namespace: &str) -> (Client, std::path::PathBuf) {
    let client = cluster.plane.service_account_client(namespace, "developer").await.unwrap();
    let kubeconfig = cluster.plane.service_account_kubeconfig(namespace, "developer").await.unwrap();
    let binding = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: developer, namespace: {namespace}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bulla-edit}}\n\
         subjects: [{{kind: ServiceAccount, name: developer, namespace: {namespace}}}]\n"
    );
    cluster.plane.apply(&binding).await.unwrap();
    (client, kubeconfig)
}

fn request(values: Vec<String>) -> RewrapRequest {
    let metadata = ObjectMeta { generate_name: Some("test-".to_owned()), ..ObjectMeta::default() };
    RewrapRequest { metadata, spec: RewrapRequestSpec { values }, status: None }
}

async fn ask(client: &Client, namespace: &str, values: Vec<String>) -> Result<Vec<Answer>, kube::Error> {
    let api: Api<RewrapRequest> = Api::namespaced(client.clone(), namespace);
    let name = api.create(&PostParams::default(), &request(values)).await?.metadata.name.unwrap();
    let answered = || async { api.get(&name).await.unwrap().status.filter(|status| !status.values.is_empty()) };
    Ok(eventually("an answer", answered).await.values)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_developer_of_one_namespace() {
    let cluster = Cluster::start(Options::default()).await;
    let _controller = cluster.controller(&[]).await;
    let old = cluster.recipient().await;
    for namespace in ["mine", "theirs"] {
        cluster.namespace(namespace).await;
    }
    let folder = tempfile::tempdir().unwrap();
    cluster.next_second().await;
    bulla_works(cluster.plane.admin_kubeconfig(), folder.path(), &["keys", "rotate"]);
    let new = cluster.recipient().await;
    let (client, kubeconfig) = developer(&cluster, "mine").await;
    let recipients = Recipients::new([old.clone()]).unwrap();
    let value = |scope: Scope| SealedValue::seal(b"hunter2", scope, &recipients, Timestamp::now(), None).unwrap().to_string();
    let at = |namespace: &str, kind: ScopeKind| {
        let name = "db".parse().unwrap();
        kind.at(&bulla_shared::names::Place { namespace: namespace.parse().unwrap(), name, item: "a".parse().unwrap() })
    };
    let mut values: Vec<String> =
        [ScopeKind::Strict, ScopeKind::Namespace, ScopeKind::Cluster].map(|kind| value(at("mine", kind))).into();
    values.extend([ScopeKind::Strict, ScopeKind::Namespace].map(|kind| value(at("theirs", kind))));
    let flipped = values[0].replacen('A', "B", 1);
    values.extend([flipped, "nonsense".to_owned()]);
    let answers = ask(&client, "mine", values.clone()).await.unwrap();
    for (answer, before) in answers[..3].iter().zip(&values) {
        let Answer::Value(text) = answer else { panic!("{answer:?}") };
        let (before, after): (SealedValue, SealedValue) = (before.parse().unwrap(), text.parse().unwrap());
        assert_eq!(after.binding().keys, [new.fingerprint().id()]);
        assert!(after.is_rewrap_of(&before));
    }
    let errors: std::collections::BTreeSet<_> = answers[3..].iter().map(|answer| format!("{answer:?}")).collect();
    assert_eq!((answers.len(), errors.len()), (7, 1), "one error whatever the reason: {errors:?}");
    assert!(errors.first().unwrap().starts_with("Error("));

    // Nowhere else, and nothing else.
    assert!(ask(&client, "theirs", vec![values[3].clone()]).await.is_err());
    let mine: Api<RewrapRequest> = Api::namespaced(client.clone(), "mine");
    let made = mine.create(&PostParams::default(), &request(vec![values[0].clone()])).await.unwrap().metadata.name.unwrap();
    let forged = json!({"status": {"values": [{"value": "forged"}]}});
    assert!(mine.patch_status(&made, &PatchParams::default(), &Patch::Merge(forged)).await.is_err());
    let admin: Api<RewrapRequest> = Api::namespaced(cluster.admin(), "mine");
    let changed = json!({"spec": {"values": ["x"]}});
    let refused = admin.patch(&made, &PatchParams::default(), &Patch::Merge(changed)).await.unwrap_err().to_string();
    assert!(refused.contains("a request is immutable"), "{refused}");
    let large = vec!["x".repeat(350_001); 2];
    let refused = mine.create(&PostParams::default(), &request(large)).await.unwrap_err().to_string();
    assert!(refused.contains("more than 700000 characters"), "{refused}");

    // Without rights on SealingKeys the committed file is what tells the newest key.
    let sealed = seal(&plain("mine", "db", &[("a", "1")]), &old);
    let write = |text: &str| std::fs::write(folder.path().join("db.yaml"), text).unwrap();
    write(&manifest(&sealed));
    let run = |kubeconfig: &Path, args: &[&str]| bulla_works(kubeconfig, folder.path(), args);
    let said = bulla_fails(&kubeconfig, folder.path(), &["rewrap", "db.yaml"], 5);
    assert!(
        said.contains("you may not (403)") && said.contains("the recipients file that your repository has committed"),
        "{said}"
    );
    let context = "bulla";
    let (printed, _) = run(cluster.plane.admin_kubeconfig(), &["recipients"]);
    std::fs::write(folder.path().join("prod.recipients"), format!("# prod\n{old}\n")).unwrap();
    let config = format!(
        "version: 1\ntargets:\n  prod: {{recipients: prod.recipients, context: {context}}}\nrules:\n- {{path: '**', targets: [prod]}}\n"
    );
    std::fs::write(folder.path().join(".bulla.yaml"), config).unwrap();
    let said = bulla_fails(cluster.plane.admin_kubeconfig(), folder.path(), &["recipients"], 1);
    assert!(said.contains(&format!("prod: committed {} (Active)", old.fingerprint())), "{said}");
    assert!(said.contains(&format!("prod: newest    {}", new.fingerprint())), "{said}");
    run(cluster.plane.admin_kubeconfig(), &["recipients", "--update"]);
    let written = std::fs::read_to_string(folder.path().join("prod.recipients")).unwrap();
    assert_eq!(written, format!("# prod\n{printed}"));
    run(cluster.plane.admin_kubeconfig(), &["recipients"]);
    let (_, said) = run(&kubeconfig, &["rewrap", "db.yaml"]);
    assert!(said.contains("rewrapped 1 value in 1 file"), "{said}");
    let after = std::fs::read_to_string(folder.path().join("db.yaml")).unwrap();
    assert!(run(&kubeconfig, &["inspect", "db.yaml"]).0.contains(&new.fingerprint().id().to_string()), "{after}");
}
