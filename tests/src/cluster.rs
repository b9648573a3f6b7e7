//! A control plane with the shipped manifests installed, and what tests do on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bulla_control_plane::{ControlPlane, Options};
use bulla_keys::select::newest_active;
use bulla_shared::SecretBytes;
use bulla_shared::age::{Algorithm, Recipient};
use bulla_shared::binding::ScopeKind;
use bulla_shared::convert::{PlainSecret, SealOptions};
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::sealed_secret::SealedSecret;
use bulla_shared::resources::sealing_key::{SealingKey, SealingKeyStatus};
use bulla_shared::sealed::Recipients;
use jiff::Timestamp;
use jiff::civil::Date;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::Value;

use crate::controller::Controller;
use crate::eventually;

/// A control plane with Bulla installed.
pub struct Cluster {
    /// The control plane.
    pub plane: ControlPlane,
}

impl Cluster {
    /// Starts a control plane and installs `controller/deploy`. No controller runs yet.
    pub async fn start(options: Options) -> Self {
        let plane = ControlPlane::start(options).await.unwrap();
        plane.apply_kustomize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../controller/deploy")).await.unwrap();
        Self { plane }
    }

    /// The only controller, under its ServiceAccount. It does not wait for the lease of one that was killed before.
    pub async fn controller(&self, args: &[&str]) -> Controller {
        let leases: Api<Lease> = Api::namespaced(self.admin(), "bulla-system");
        match leases.delete("bulla-controller", &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("{error}"),
        }
        self.replica(args).await
    }

    /// A controller beside others, or after one that may still hold the lease.
    pub async fn replica(&self, args: &[&str]) -> Controller {
        Controller::start(&self.plane, args).await
    }

    /// An admin's client.
    pub fn admin(&self) -> Client {
        self.plane.admin()
    }

    /// Creates a namespace of this name.
    pub async fn namespace(&self, name: &str) {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        Api::<Namespace>::all(self.admin()).create(&PostParams::default(), &namespace).await.unwrap();
    }

    /// Secrets of a namespace.
    pub fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.admin(), namespace)
    }

    /// SealedSecrets of a namespace.
    pub fn sealed(&self, namespace: &str) -> Api<SealedSecret> {
        Api::namespaced(self.admin(), namespace)
    }

    /// The recipient that the cluster publishes, as soon as it does.
    pub async fn recipient(&self) -> Recipient {
        eventually("a published key", || async {
            let keys = Api::<SealingKey>::all(self.admin()).list(&ListParams::default()).await.unwrap().items;
            newest_active(&keys, Algorithm::Hybrid, Timestamp::now()).map(|key| key.recipient)
        })
        .await
    }

    /// Waits until a key that is made now is newer than all others: of two of one second either may count as the newest.
    pub async fn next_second(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// All `SealingKey`s.
    pub async fn sealing_keys(&self) -> Vec<SealingKey> {
        Api::<SealingKey>::all(self.admin()).list(&ListParams::default()).await.unwrap().items
    }

    /// The status of a `SealingKey`.
    pub async fn key_status(&self, name: &str) -> SealingKeyStatus {
        Api::<SealingKey>::all(self.admin()).get(name).await.unwrap().status.unwrap_or_default()
    }

    /// The private keys in the controller's namespace.
    pub async fn private_keys(&self) -> Vec<Secret> {
        self.secrets("bulla-system").list(&ListParams::default().labels("bulla.dev/sealing-key")).await.unwrap().items
    }

    /// Applies many at once, as a GitOps controller does.
    pub async fn apply_all(&self, all: Vec<SealedSecret>) {
        for chunk in all.chunks(16) {
            let mut tasks = tokio::task::JoinSet::new();
            for sealed in chunk.iter().cloned() {
                let api = self.sealed(sealed.metadata.namespace.as_deref().unwrap());
                tasks.spawn(async move {
                    let params = PatchParams::apply("gitops").force();
                    api.patch(sealed.metadata.name.as_deref().unwrap(), &params, &Patch::Apply(&sealed)).await.unwrap();
                });
            }
            while let Some(done) = tasks.join_next().await {
                done.unwrap();
            }
        }
    }

    /// Waits until all SealedSecrets of a namespace are Ready in their newest generation, and there are `count`.
    pub async fn all_ready(&self, namespace: &str, count: usize) {
        eventually(&format!("{count} Ready in {namespace}"), || async {
            let all = self.sealed(namespace).list(&ListParams::default()).await.unwrap().items;
            let ready = all.iter().filter(|sealed| {
                let status = sealed.status.clone().unwrap_or_default();
                let ready = Condition::find(&status.conditions, "Ready");
                status.observed_generation == sealed.metadata.generation && ready.is_some_and(|ready| ready.status == "True")
            });
            (ready.count() == count).then_some(())
        })
        .await;
    }

    /// Server-side apply, as a GitOps controller does it.
    pub async fn apply(&self, sealed: &SealedSecret) -> SealedSecret {
        self.try_apply(sealed).await.unwrap()
    }

    /// As [`Cluster::apply`], for what the API server refuses.
    pub async fn try_apply(&self, sealed: &SealedSecret) -> Result<SealedSecret, kube::Error> {
        let params = PatchParams::apply("gitops").force();
        let api = self.sealed(sealed.metadata.namespace.as_deref().unwrap());
        api.patch(sealed.metadata.name.as_deref().unwrap(), &params, &Patch::Apply(sealed)).await
    }

    /// Deletes a `SealedSecret`.
    pub async fn delete(&self, namespace: &str, name: &str) {
        self.sealed(namespace).delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until the status is about the newest generation and `Ready` has this reason; gives the object.
    pub async fn wait(&self, namespace: &str, name: &str, reason: &str) -> SealedSecret {
        eventually(&format!("{namespace}/{name} {reason}"), || async {
            let sealed = self.sealed(namespace).get(name).await.unwrap();
            let status = sealed.status.clone().unwrap_or_default();
            let found = Condition::find(&status.conditions, "Ready").is_some_and(|ready| ready.reason == reason);
            (found && status.observed_generation == sealed.metadata.generation).then_some(sealed)
        })
        .await
    }

    /// The values of a Secret as `item=text`, in order.
    pub async fn values(&self, namespace: &str, name: &str) -> Vec<String> {
        let secret = self.secrets(namespace).get(name).await.unwrap();
        let line = |(item, bytes): (String, k8s_openapi::ByteString)| format!("{item}={}", String::from_utf8_lossy(&bytes.0));
        secret.data.unwrap_or_default().into_iter().map(line).collect()
    }
}

/// A plain Secret with these items.
#[must_use]
pub fn plain(namespace: &str, name: &str, items: &[(&str, &str)]) -> PlainSecret {
    let item = |(item, value): &(&str, &str)| (item.parse().unwrap(), SecretBytes::new(value.as_bytes().to_vec()));
    PlainSecret {
        namespace: Some(namespace.parse().unwrap()),
        name: name.parse().unwrap(),
        type_: None,
        immutable: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        items: items.iter().map(item).collect(),
    }
}

/// Seals a plain Secret strictly.
#[must_use]
pub fn seal(secret: &PlainSecret, recipient: &Recipient) -> SealedSecret {
    seal_until(secret, recipient, None)
}

/// As [`seal`], with a date by which the values are to be changed.
#[must_use]
pub fn seal_until(secret: &PlainSecret, recipient: &Recipient, rotate_by: Option<Date>) -> SealedSecret {
    let recipients = Recipients::new([recipient.clone()]).unwrap();
    let options = SealOptions { scope: ScopeKind::Strict, recipients: &recipients, now: Timestamp::now(), rotate_by };
    secret.seal(&options).unwrap()
}

/// As it stands in a repository: one line a value, as `bulla seal` writes it.
#[must_use]
pub fn manifest(sealed: &SealedSecret) -> String {
    serde_saphyr::to_string_with_options(sealed, serde_saphyr::ser_options! { prefer_block_scalars: false }).unwrap()
}

/// The state and message of each item.
#[must_use]
pub fn items(sealed: &SealedSecret) -> Vec<Value> {
    sealed.status.iter().flat_map(|status| &status.items).map(|item| serde_json::to_value(item).unwrap()).collect()
}
