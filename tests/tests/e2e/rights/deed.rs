//! What a right is for: how it is asked for, and how anyone can see that it is done.

use bulla_control_plane::ControlPlane;
use bulla_shared::resources::rewrap_request::{RewrapRequest, RewrapRequestSpec};
use bulla_shared::resources::sealed_secret::{CreationPolicy, SealedSecret};
use bulla_shared::resources::sealing_key::{SealingKey, SealingKeySpec};
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::{eventually, store};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

/// Where everything is done that has a namespace.
pub(super) const NAMESPACE: &str = "rights";

/// What a right is for, as anyone can see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// An empty cluster gets its first key, and it is published.
    FirstKey,
    /// A `SealingKey` that an admin creates gets a private key and is published.
    NewKey,
    /// A new `SealedSecret` becomes Ready.
    Opened,
    /// A Secret that was edited gets its value back.
    Repaired,
    /// An item is merged into a Secret whose owner lets it.
    Merged,
    /// An event is recorded when an object stalls.
    Recorded,
    /// The same event is counted when it stalls again.
    Counted,
    /// A `RewrapRequest` is answered.
    Answered,
    /// A `RewrapRequest` goes ten minutes after its creation.
    Removed,
    /// What changes is told at once. Without it an ended watch rings as well, so nothing but the refusals shows.
    Told,
}

impl Deed {
    /// What must be there before.
    pub(super) async fn prepare(self, cluster: &Cluster, name: &str) {
        match self {
            Self::Repaired => {
                cluster.apply(&sealed(cluster, name).await).await;
                cluster.wait(NAMESPACE, name, "Ready").await;
            }
            Self::Merged => {
                let metadata = json!({
                    "name": name,
                    "labels": {"bulla.dev/secret": "merge"},
                    "annotations": {"bulla.dev/merge": "a"},
                });
                let secret = serde_json::from_value(json!({"metadata": metadata})).unwrap();
                cluster.secrets(NAMESPACE).create(&PostParams::default(), &secret).await.unwrap();
            }
            Self::Counted => {
                stall(cluster, name).await;
                cluster.apply(&sealed(cluster, name).await).await;
                cluster.wait(NAMESPACE, name, "Ready").await;
            }
            _ => {}
        }
    }

    /// Asks for it.
    pub(super) async fn begin(self, cluster: &Cluster, name: &str) {
        match self {
            Self::FirstKey | Self::Told | Self::Removed => {}
            Self::NewKey => {
                let keys: Api<SealingKey> = Api::all(cluster.admin());
                keys.create(&PostParams::default(), &SealingKey::new(name, SealingKeySpec::default())).await.unwrap();
            }
            Self::Opened => drop(cluster.apply(&sealed(cluster, name).await).await),
            Self::Merged => {
                let mut sealed = sealed(cluster, name).await;
                sealed.spec.target.creation_policy = CreationPolicy::Merge;
                cluster.apply(&sealed).await;
            }
            Self::Repaired => {
                let drift = Patch::Merge(json!({"data": {"a": "eA=="}}));
                cluster.secrets(NAMESPACE).patch(name, &PatchParams::default(), &drift).await.unwrap();
            }
            Self::Recorded | Self::Counted => stall(cluster, name).await,
            Self::Answered => ask(cluster, name).await,
        }
    }

    /// Waits until it is done.
    pub(super) async fn done(self, cluster: &Cluster, name: &str) {
        eventually(&format!("{self:?} {name}"), || async { self.is_done(cluster, name).await.then_some(()) }).await;
    }

    pub(super) async fn is_done(self, cluster: &Cluster, name: &str) -> bool {
        match self {
            Self::FirstKey => {
                let keys = cluster.sealing_keys().await;
                keys.iter().any(|key| key.status.as_ref().is_some_and(|status| status.recipient.is_some()))
            }
            Self::NewKey => cluster.key_status(name).await.recipient.is_some(),
            Self::Opened => {
                let status = cluster.sealed(NAMESPACE).get(name).await.unwrap().status.unwrap_or_default();
                status.conditions.iter().any(|condition| condition.reason == "Ready")
            }
            Self::Repaired | Self::Merged => cluster.values(NAMESPACE, name).await == ["a=1"],
            Self::Recorded | Self::Counted => {
                let events: Api<Event> = Api::namespaced(cluster.admin(), NAMESPACE);
                let all = events.list(&ListParams::default()).await.unwrap().items;
                let mut own =
                    all.iter().filter(|event| event.regarding.as_ref().is_some_and(|of| of.name.as_deref() == Some(name)));
                own.any(|event| self == Self::Recorded || event.series.is_some())
            }
            Self::Answered => requests(cluster).get(name).await.unwrap().status.is_some_and(|status| !status.values.is_empty()),
            Self::Removed => requests(cluster).get_opt(name).await.unwrap().is_none(),
            Self::Told => {
                let log = cluster.plane.audit_log().unwrap();
                let last = log.iter().rfind(|event| event["objectRef"]["resource"] == "sealingkeys" && event["verb"] == "watch");
                last.is_some_and(|event| event["responseStatus"]["code"] == 200)
            }
        }
    }

    /// An event is recorded once or never, so what was missed does not come later: it is asked for anew.
    pub(super) fn is_missed_for_good(self) -> bool {
        matches!(self, Self::Recorded | Self::Counted)
    }
}

async fn sealed(cluster: &Cluster, name: &str) -> SealedSecret {
    seal(&plain(NAMESPACE, name, &[("a", "1")]), &cluster.recipient().await)
}

async fn stall(cluster: &Cluster, name: &str) {
    let mut broken = sealed(cluster, name).await;
    broken.spec.encrypted_data.insert("a".to_owned(), "bm90IGFnZQ==".to_owned());
    cluster.apply(&broken).await;
    cluster.wait(NAMESPACE, name, "ItemsRefused").await;
}

fn requests(cluster: &Cluster) -> Api<RewrapRequest> {
    Api::namespaced(cluster.admin(), NAMESPACE)
}

async fn ask(cluster: &Cluster, name: &str) {
    let values = sealed(cluster, name).await.spec.encrypted_data.into_values().collect();
    let request = RewrapRequest::new(name, RewrapRequestSpec { values });
    requests(cluster).create(&PostParams::default(), &request).await.unwrap();
}

/// A request that looks as if it had been created eleven minutes ago. No API server would take it: it is put into the store.
pub(super) fn age(plane: &ControlPlane, name: &str) {
    let long_ago = json!(jiff::Timestamp::now() - jiff::SignedDuration::from_mins(11));
    store::change(plane, &format!("/registry/bulla.dev/rewraprequests/{NAMESPACE}/{name}"), |object| {
        object["metadata"]["creationTimestamp"] = long_ago;
    });
}
