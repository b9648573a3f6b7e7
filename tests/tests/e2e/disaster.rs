//! The cluster is gone; what is left is Git and a backup.

use std::path::Path;

use bulla_control_plane::{Options, tools};
use bulla_keys::stored::StoredKey;
use bulla_shared::age::Algorithm;
use bulla_shared::resources::sealed_secret::SealedSecret;
use bulla_shared::resources::sealing_key::SealingKey;
use bulla_tests::bulla::{bulla, bulla_fails, bulla_works};
use bulla_tests::cluster::{Cluster, manifest, plain, seal};
use bulla_tests::eventually;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::Value;

/// What has to be the same in the new cluster.
async fn secrets(cluster: &Cluster) -> Vec<Value> {
    let mut all = cluster.secrets("shop").list(&ListParams::default()).await.unwrap().items;
    all.sort_by_key(|secret| secret.metadata.name.clone());
    let shape = |secret: Secret| serde_json::json!({"name": secret.metadata.name, "type": secret.type_, "data": secret.data, "labels": secret.metadata.labels});
    all.into_iter().map(shape).collect()
}

fn tree(old: &bulla_shared::age::Recipient, new: &bulla_shared::age::Recipient) -> Vec<SealedSecret> {
    let mut tls = plain("shop", "tls", &[("tls.crt", "certificate"), ("tls.key", "key")]);
    tls.type_ = Some("kubernetes.io/tls".to_owned());
    tls.labels = [("app".to_owned(), "web".to_owned())].into();
    vec![seal(&plain("shop", "db", &[("user", "app"), ("password", "hunter2"), ("empty", "")]), old), seal(&tls, new)]
}

/// What `verify-backup` proves without a cluster, and what it refuses.
fn verify(kubeconfig: &Path, folder: &Path) {
    let run = |args: &[&str]| bulla_works(kubeconfig, folder, args);
    let fails = |args: &[&str], code| bulla_fails(kubeconfig, folder, args, code);
    let (_, said) = run(&["keys", "verify-backup", "-i", "admin.key", "keys.age", "git"]);
    assert!(said.contains("5 values open with the 2 keys of the backup"), "{said}");
    run(&["keys", "verify-backup", "--passphrase-file", "passphrase", "passphrase.age", "git"]);
    let stranger = StoredKey::generate("x", Algorithm::Hybrid, Timestamp::now());
    let foreign = seal(&plain("shop", "other", &[("a", "1")]), stranger.identity.recipient());
    std::fs::write(folder.join("foreign.yaml"), manifest(&foreign)).unwrap();
    let said = fails(&["keys", "verify-backup", "-i", "admin.key", "keys.age", "git", "foreign.yaml"], 1);
    assert!(said.contains("foreign.yaml: shop/other a: sealed to key"), "{said}");
    std::fs::write(folder.join("wrong"), "incorrect horse battery\n").unwrap();
    let said = fails(&["keys", "verify-backup", "--passphrase-file", "wrong", "passphrase.age", "git"], 4);
    assert!(said.contains("no identity matches") || said.contains("passphrase"), "{said}");
    let whole = std::fs::read(folder.join("keys.age")).unwrap();
    std::fs::write(folder.join("cut.age"), &whole[..whole.len() - 9]).unwrap();
    fails(&["keys", "verify-backup", "-i", "admin.key", "cut.age", "git"], 4);
    fails(&["keys", "restore", "-i", "weak.key", "keys.age"], 4);
    fails(&["keys", "restore", "keys.age"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn back_up_rebuild_restore() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let before;
    {
        let cluster = Cluster::start(Options::default()).await;
        let _controller = cluster.controller(&[]).await;
        let kubeconfig = cluster.plane.admin_kubeconfig();
        let run = |args: &[&str]| bulla_works(kubeconfig, folder.path(), args);
        let fails = |args: &[&str], code| bulla_fails(kubeconfig, folder.path(), args, code);
        let old = cluster.recipient().await;
        cluster.next_second().await;
        let (new, _) = run(&["keys", "rotate"]);
        cluster.namespace("shop").await;
        let tree = tree(&old, &new.trim().parse().unwrap());
        for (index, sealed) in tree.iter().enumerate() {
            std::fs::create_dir_all(folder.path().join("git")).unwrap();
            std::fs::write(folder.path().join(format!("git/{index}.yaml")), manifest(sealed)).unwrap();
        }
        cluster.apply_all(tree).await;
        cluster.all_ready("shop", 2).await;
        before = secrets(&cluster).await;
        assert_eq!(before.len(), 2);

        // To a key, and under a passphrase.
        run(&["keygen", "-o", "admin.key"]);
        let (recipient, _) = run(&["keygen", "-y", "admin.key"]);
        std::fs::write(folder.path().join("admin.recipients"), recipient).unwrap();
        run(&["keys", "backup", "-R", "admin.recipients", "-o", "keys.age"]);
        std::fs::write(folder.path().join("passphrase"), "correct horse battery staple\n").unwrap();
        run(&["keys", "backup", "--passphrase-file", "passphrase", "-o", "passphrase.age"]);
        fails(&["keys", "backup", "-R", "admin.recipients", "-o", "keys.age"], 74);
        fails(&["keys", "backup", "-o", "none.age"], 2);
        std::fs::write(folder.path().join("short"), "hunter2\n").unwrap();
        let short = fails(&["keys", "backup", "--passphrase-file", "short", "-o", "short.age"], 2);
        assert!(short.contains("fewer than 12 characters") && !short.contains("hunter2"));
        run(&["keygen", "--algorithm", "x25519", "-o", "weak.key"]);
        let (weak, _) = run(&["keygen", "-y", "weak.key"]);
        let (_, said) = run(&["keys", "backup", "-r", weak.trim(), "-o", "weak.age"]);
        assert!(said.contains("warning: an x25519 recipient"), "{said}");

        // Plain age opens it, and what comes out is an identity file.
        let age = std::process::Command::new(tools::age().unwrap())
            .args(["-d", "-i", &at("admin.key"), &at("keys.age")])
            .output()
            .unwrap();
        assert!(age.status.success());
        let text = String::from_utf8(age.stdout).unwrap();
        assert_eq!(text.matches("\nAGE-SECRET-KEY-PQ-1").count(), 2, "two keys");
        std::fs::write(folder.path().join("opened"), text).unwrap();
        run(&["unseal", "-i", "opened", "git/0.yaml"]);

        verify(kubeconfig, folder.path());
        // Into the same cluster: nothing to do.
        let (_, said) = run(&["keys", "restore", "-i", "admin.key", "keys.age"]);
        assert!(said.contains("2 keys in the backup: 0 stored, 0 SealingKeys created"), "{said}");
    }

    let cluster = Cluster::start(Options::default()).await;
    let kubeconfig = cluster.plane.admin_kubeconfig();
    let controller = cluster.controller(&["--generate-keys=false"]).await;
    cluster.namespace("shop").await;
    // Somebody has made a key of the same name already: it stays theirs.
    let other = StoredKey::generate("other", Algorithm::Hybrid, Timestamp::now());
    let secret: Secret = serde_json::from_slice(&other.to_json("bulla-system")).unwrap();
    cluster.secrets("bulla-system").create(&PostParams::default(), &secret).await.unwrap();
    let spec = bulla_shared::resources::sealing_key::SealingKeySpec {
        fingerprint: Some(other.record().fingerprint.to_string()),
        ..Default::default()
    };
    let api: Api<SealingKey> = Api::all(cluster.admin());
    api.create(&PostParams::default(), &SealingKey::new("initial", spec)).await.unwrap();

    for sealed in ["git/0.yaml", "git/1.yaml"] {
        cluster.apply(&serde_saphyr::from_str(&std::fs::read_to_string(folder.path().join(sealed)).unwrap()).unwrap()).await;
    }
    cluster.wait("shop", "db", "KeyMissing").await;
    let (_, said) = bulla_works(kubeconfig, folder.path(), &["keys", "restore", "-i", "admin.key", "keys.age"]);
    assert!(
        said.contains("2 stored, 2 SealingKeys created")
            && said.contains("warning: the SealingKey initial is that of another key"),
        "{said}"
    );
    cluster.all_ready("shop", 2).await;
    assert_eq!(secrets(&cluster).await, before, "every Secret is identical");
    let (_, said) =
        bulla_works(kubeconfig, folder.path(), &["keys", "restore", "--passphrase-file", "passphrase", "passphrase.age"]);
    assert!(said.contains("0 stored, 0 SealingKeys created"), "{said}");
    eventually("all published", || async {
        let keys = cluster.sealing_keys().await;
        keys.iter().all(|key| key.status.as_ref().is_some_and(|status| status.recipient.is_some())).then_some(())
    })
    .await;
    assert_eq!((cluster.sealing_keys().await.len(), cluster.private_keys().await.len()), (3, 3));
    let nobody = cluster.plane.service_account_kubeconfig("shop", "nobody").await.unwrap();
    let said =
        String::from_utf8(bulla(&nobody, folder.path(), &["keys", "backup", "-R", "admin.recipients", "-o", "no.age"]).stderr)
            .unwrap();
    assert!(said.contains("you may not (403)") && said.contains("hint: "), "{said}");
    drop(controller);
}

/// The definitions go, and with them every SealedSecret and every Secret that they own; the private keys stay.
#[tokio::test(flavor = "multi_thread")]
async fn definitions_deleted_and_applied_again() {
    let cluster = Cluster::start(Options::default()).await;
    let controller = cluster.controller(&[]).await;
    cluster.namespace("shop").await;
    let recipient = cluster.recipient().await;
    let sealed = seal(&plain("shop", "db", &[("a", "1")]), &recipient);
    cluster.apply(&sealed).await;
    cluster.wait("shop", "db", "Ready").await;
    // The garbage collector looks for new kinds now and then: what it does with this one shows that it knows ours.
    cluster.apply(&seal(&plain("shop", "probe", &[("a", "1")]), &recipient)).await;
    cluster.wait("shop", "probe", "Ready").await;
    cluster.delete("shop", "probe").await;
    let collected = |name: &'static str| {
        let secrets = cluster.secrets("shop");
        async move { secrets.get_opt(name).await.unwrap().is_none().then_some(()) }
    };
    eventually("the garbage collector knows the kind", || collected("probe")).await;
    let definitions = ["sealedsecrets.bulla.dev", "sealingkeys.bulla.dev", "rewraprequests.bulla.dev"];
    let kubectl = |args: &[&str]| cluster.plane.kubectl_command().args(args).output().unwrap();
    for name in definitions {
        let refused = kubectl(&["delete", "crd", name]);
        assert!(
            !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("bulla.dev/confirm"),
            "{refused:?}"
        );
    }
    for name in definitions {
        assert!(kubectl(&["annotate", "crd", name, &format!("bulla.dev/confirm={name}")]).status.success());
        assert!(kubectl(&["delete", "crd", name]).status.success());
    }
    eventually("the Secret went with its owner", || collected("db")).await;
    assert_eq!(cluster.private_keys().await.len(), 1, "private keys belong to nobody");

    cluster.plane.apply_kustomize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../controller/deploy")).await.unwrap();
    for name in definitions {
        assert!(kubectl(&["wait", "--for=condition=Established", &format!("crd/{name}")]).status.success());
    }
    cluster.apply(&sealed).await;
    cluster.wait("shop", "db", "Ready").await;
    assert_eq!(cluster.values("shop", "db").await, ["a=1"]);
    assert_eq!(cluster.sealing_keys().await.len(), 0, "no key is made where a private key is");
    let spec = bulla_shared::resources::sealing_key::SealingKeySpec {
        fingerprint: Some(recipient.fingerprint().to_string()),
        ..Default::default()
    };
    Api::<SealingKey>::all(cluster.admin()).create(&PostParams::default(), &SealingKey::new("again", spec)).await.unwrap();
    assert_eq!(cluster.recipient().await, recipient, "sealing resumes");
    drop(controller);
}
