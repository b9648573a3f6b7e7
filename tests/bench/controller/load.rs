//! Objects made in bulk, until the last Secret is there.

use std::collections::HashSet;
use std::pin::pin;
use std::time::{Duration, Instant};

use bulla_tests::cluster::Cluster;
use bulla_tests::eventually;
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DeleteParams, ListParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};

/// Objects of one kind that a controller makes Secrets of.
pub(crate) struct Load {
    pub(crate) kind: ApiResource,
    pub(crate) namespace: &'static str,
    pub(crate) objects: Vec<DynamicObject>,
}

/// Our kind of object.
pub(crate) fn ours() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("bulla.dev", "v1alpha1", "SealedSecret"))
}

pub(crate) fn name(index: usize) -> String {
    format!("object-{index}")
}

#[allow(clippy::cast_precision_loss, reason = "a few thousands")]
pub(crate) fn count(of: usize) -> f64 {
    of as f64
}

/// The names of Secrets in a namespace as a watch shows them.
pub(crate) fn seen(client: Client, namespace: &str) -> impl Stream<Item = String> + Send + use<> {
    let stream = watcher(Api::<PartialObjectMeta<Secret>>::namespaced(client, namespace), watcher::Config::default());
    stream.applied_objects().map(|secret| secret.unwrap().metadata.name.unwrap())
}

/// Microseconds from the first creation until the last Secret is seen, with so many creations on their way at any time.
pub(crate) async fn bring(cluster: &Cluster, load: &Load, at_once: usize) -> f64 {
    let mut seen = pin!(seen(cluster.admin(), load.namespace));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.admin(), load.namespace, &load.kind);
    let mut missing: HashSet<String> = (0..load.objects.len()).map(name).collect();
    let start = Instant::now();
    let creations = load.objects.iter().map(|object| {
        let api = api.clone();
        async move { api.create(&PostParams::default(), object).await.unwrap() }
    });
    let created = futures_util::stream::iter(creations).buffer_unordered(at_once).for_each(|_| async {});
    let shown = async {
        while !missing.is_empty() {
            let next = tokio::time::timeout(Duration::from_mins(2), seen.next()).await;
            missing.remove(&next.expect("a Secret at least every two minutes").unwrap());
        }
    };
    tokio::join!(created, shown);
    start.elapsed().as_secs_f64() * 1e6
}

/// Removes the objects and their Secrets, so that the next finds an empty cluster.
pub(crate) async fn remove(cluster: &Cluster, load: &Load) {
    let objects: Api<DynamicObject> = Api::namespaced_with(cluster.admin(), load.namespace, &load.kind);
    let secrets = cluster.secrets(load.namespace);
    // Secrets first: the garbage collector would ask for each one whose owner is gone, for minutes, while the next has its turn.
    secrets.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    objects.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    eventually("an empty namespace", || async {
        let one = ListParams::default().limit(1);
        (objects.list_metadata(&one).await.unwrap().items.is_empty()
            && secrets.list_metadata(&one).await.unwrap().items.is_empty())
        .then_some(())
    })
    .await;
}
