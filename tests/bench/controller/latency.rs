//! One object at a time: from its creation until a watch shows its Secret.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use bulla_tests::cluster::{Cluster, plain, seal};
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use super::load;

const OBJECTS: usize = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// Microseconds, sorted, of our controller.
pub(crate) async fn ours(cluster: &Cluster) -> Vec<f64> {
    let recipient = cluster.recipient().await;
    let api = cluster.sealed("latency");
    let sealed = |name: &str| seal(&plain("latency", name, &[("password", "v"), ("user", "v")]), &recipient);
    measure(cluster, "latency", sealed, async |sealed| {
        api.create(&PostParams::default(), &sealed).await.unwrap();
    })
    .await
}

/// The same without a controller: something is created, and then a Secret.
pub(crate) async fn bare(cluster: &Cluster) -> Vec<f64> {
    let (first, second): (Api<ConfigMap>, _) = (Api::namespaced(cluster.admin(), "bare"), cluster.secrets("bare"));
    let metadata = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    measure(cluster, "bare", metadata, async |metadata| {
        let cause = ConfigMap { metadata: metadata.clone(), ..ConfigMap::default() };
        first.create(&PostParams::default(), &cause).await.unwrap();
        second.create(&PostParams::default(), &Secret { metadata, ..Secret::default() }).await.unwrap();
    })
    .await
}

/// From before `create`, which gets what `prepare` made of a name, until a Secret of that name is seen.
async fn measure<T>(cluster: &Cluster, namespace: &str, prepare: impl Fn(&str) -> T, create: impl AsyncFn(T)) -> Vec<f64> {
    cluster.namespace(namespace).await;
    let mut seen = pin!(load::seen(cluster.admin(), namespace));
    let mut all = Vec::new();
    for index in 0..OBJECTS {
        let name = load::name(index);
        let prepared = prepare(&name);
        let start = Instant::now();
        create(prepared).await;
        shown(&mut seen, &name).await;
        all.push(start.elapsed().as_secs_f64() * 1e6);
        tokio::time::sleep(PAUSE).await;
    }
    all.sort_unstable_by(f64::total_cmp);
    all
}

async fn shown(seen: &mut Pin<&mut impl Stream<Item = String>>, name: &str) {
    while seen.next().await.unwrap() != name {}
}
