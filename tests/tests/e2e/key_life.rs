//! The whole life of a key with two replicas and a repository of 1,000 files: rotated, rewrapped off, retired, destroyed.

use std::path::Path;

use bulla_control_plane::Options;
use bulla_shared::age::Recipient;
use bulla_shared::resources::sealed_secret::SealedSecret;
use bulla_shared::resources::sealing_key::SealingKey;
use bulla_tests::bulla::{bulla_fails, bulla_works};
use bulla_tests::cluster::{Cluster, manifest, plain, seal};
use bulla_tests::eventually;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

const FILES: usize = 1000;

/// A repository of sealed files with two values each.
fn write_repository(folder: &Path, count: usize, recipient: &Recipient) {
    for index in 0..count {
        let secret = plain("shop", &format!("db-{index}"), &[("user", "app"), ("password", &format!("value-{index}"))]);
        let text = manifest(&seal(&secret, recipient));
        let below = folder.join(format!("team-{}", index % 10));
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join(format!("db-{index}.yaml")), format!("# file {index}\n{text}")).unwrap();
    }
}

fn read_repository(folder: &Path) -> Vec<SealedSecret> {
    let teams = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = teams.flat_map(|team| std::fs::read_dir(team).unwrap().map(|entry| entry.unwrap().path()));
    files.map(|path| serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rotate_rewrap_retire_destroy() {
    let cluster = Cluster::start(Options::default()).await;
    let (one, two) = (cluster.controller(&[]).await, cluster.replica(&[]).await);
    cluster.namespace("shop").await;
    let kubeconfig = cluster.plane.admin_kubeconfig();
    let repository = tempfile::tempdir().unwrap();
    let old = cluster.recipient().await;
    write_repository(repository.path(), FILES, &old);
    cluster.apply_all(read_repository(repository.path())).await;
    cluster.all_ready("shop", FILES).await;
    let all = u32::try_from(FILES).unwrap();
    let used = |name: &'static str, items: u32| {
        let cluster = &cluster;
        async move {
            let what = format!("usage of {name}: {items}");
            eventually(&what, || async { (cluster.key_status(name).await.usage?.items == items).then_some(()) }).await;
        }
    };
    used("initial", 2 * all).await;

    // Rotated: another key seals, the old one opens on.
    let (printed, said) = bulla_works(kubeconfig, repository.path(), &["keys", "rotate"]);
    let new: Recipient = printed.trim().parse().unwrap();
    assert!(said.contains(&new.fingerprint().to_string()), "{said}");
    assert_eq!(cluster.recipient().await, new);
    let name = format!("after-{}", old.fingerprint().id());
    cluster.all_ready("shop", FILES).await;
    cluster.secrets("shop").delete("db-0", &DeleteParams::default()).await.unwrap();
    eventually("a value under the old key opens", || async { cluster.secrets("shop").get_opt("db-0").await.unwrap() }).await;
    let (list, _) = bulla_works(kubeconfig, repository.path(), &["keys", "list"]);
    assert!(list.contains(&format!("{name}  Active (newest)")) && list.contains("initial"), "{list}");
    let refused = bulla_fails(kubeconfig, repository.path(), &["keys", "retire", "initial"], 5);
    assert!(refused.contains("values are sealed to it") && refused.contains("2000 items of 1000 SealedSecrets"), "{refused}");
    let keys: Api<SealingKey> = Api::all(cluster.admin());
    assert!(keys.delete("initial", &DeleteParams::default()).await.is_err(), "a key in use is not deleted either");
    let by_id = bulla_fails(kubeconfig, repository.path(), &["keys", "retire", &old.fingerprint().id().to_string()], 5);
    assert!(by_id.contains("cannot retire the SealingKey initial"), "{by_id}");
    let newest = bulla_fails(kubeconfig, repository.path(), &["keys", "retire", &name], 5);
    assert!(newest.contains("it is the newest key"), "{newest}");

    // Rewrapped: only the values change, and the second run has nothing to do.
    let before = std::fs::read_to_string(repository.path().join("team-7/db-7.yaml")).unwrap();
    let stale = bulla_fails(kubeconfig, repository.path(), &["rewrap", "--check", "."], 1);
    assert!(stale.contains("2000 values are not under the newest key"), "{stale}");
    let (_, said) = bulla_works(kubeconfig, repository.path(), &["rewrap", "."]);
    assert!(said.contains("rewrapped 2000 values in 1000 files; 0 needed nothing"), "{said}");
    let after = std::fs::read_to_string(repository.path().join("team-7/db-7.yaml")).unwrap();
    let changed = before.lines().zip(after.lines()).filter(|(before, after)| before != after);
    assert_eq!((changed.count(), before.lines().count()), (2, after.lines().count()));
    let (_, said) = bulla_works(kubeconfig, repository.path(), &["rewrap", "."]);
    assert!(said.contains("rewrapped 0 values in 0 files; 2000 needed nothing"), "{said}");
    bulla_works(kubeconfig, repository.path(), &["rewrap", "--check", "."]);

    // Applied: usage of the old key falls by itself.
    cluster.apply_all(read_repository(repository.path())).await;
    cluster.all_ready("shop", FILES).await;
    used("initial", 0).await;
    assert_eq!(cluster.key_status(&name).await.usage.unwrap().items, 2 * all);

    // Retired: not loaded any more, and its private half stays until somebody destroys it on purpose.
    bulla_works(kubeconfig, repository.path(), &["keys", "retire", "initial"]);
    eventually("retired", || async {
        let state = cluster.key_status("initial").await.state?;
        (state.to_string() == "Retired").then_some(())
    })
    .await;
    assert_eq!(cluster.private_keys().await.len(), 2);
    let refused = keys.delete("initial", &DeleteParams::default()).await.unwrap_err().to_string();
    assert!(refused.contains("would open again: delete its Secret first"), "{refused}");
    let confirm = json!({"metadata": {"annotations": {"bulla.dev/confirm": "initial"}}});
    keys.patch("initial", &PatchParams::default(), &Patch::Merge(confirm)).await.unwrap();
    keys.delete("initial", &DeleteParams::default()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let private = cluster.private_keys().await;
    assert_eq!(private.len(), 2, "a private key is not deleted with its SealingKey");
    let id = old.fingerprint().id().to_string();
    let of_old = |secret: &&k8s_openapi::api::core::v1::Secret| {
        secret.metadata.labels.as_ref().is_some_and(|labels| labels["bulla.dev/sealing-key"] == id)
    };
    let destroyed = private.iter().find(of_old).unwrap().metadata.name.clone().unwrap();
    cluster.secrets("bulla-system").delete(&destroyed, &DeleteParams::default()).await.unwrap();

    // Everything still opens, from nothing but the new key.
    drop((one, two));
    let _controller = cluster.controller(&[]).await;
    cluster.secrets("shop").delete("db-1", &DeleteParams::default()).await.unwrap();
    eventually("opened anew", || async { cluster.secrets("shop").get_opt("db-1").await.unwrap() }).await;
    cluster.all_ready("shop", FILES).await;
    assert_eq!(cluster.values("shop", "db-999").await, ["password=value-999", "user=app"]);
    assert_eq!(cluster.sealing_keys().await.len(), 1, "no other key was made");

    // Against all advice; the annotation that confirms it goes while the controller writes the state.
    bulla_works(kubeconfig, repository.path(), &["keys", "rotate"]);
    let (_, said) = bulla_works(kubeconfig, repository.path(), &["keys", "retire", &name, "--confirm", &name]);
    assert_eq!(said, format!("SealingKey {name} is retired: nothing opens with it any more\n"));
}
