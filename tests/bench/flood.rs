//! Reconciling while rewrap requests flood in: from the creation of a SealedSecret until its Secret is there.
//!
//! Beside it the same flood of `ConfigMap`s, which no controller of ours looks at: what an API server on two cores is busy with anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bulla_shared::resources::rewrap_request::{RewrapRequest, RewrapRequestSpec};
use bulla_tests::cluster::{Cluster, plain, seal};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use crate::table::{Goal, Table, Unit};

const OBJECTS: usize = 200;
/// A request of this many hybrid values has about half of the characters that one may have.
const VALUES: usize = 128;
/// Requests on their way at any time.
const FLOOD: usize = 4;
/// Enough for the whole measurement, and an end in any case.
const MOST: usize = 400;

pub(crate) async fn run(table: &mut Table, cluster: &Cluster) {
    for namespace in ["idle", "beside", "flooded"] {
        cluster.namespace(namespace).await;
    }
    let recipient = cluster.recipient().await;
    let sealed = seal(&plain("flooded", "x", &[("a", "a value of thirty-two bytes long")]), &recipient);
    let values: Vec<String> = std::iter::repeat_n(sealed.spec.encrypted_data["a"].clone(), VALUES).collect();
    let idle = latencies(cluster, "idle").await;
    let data = Some([("values".to_owned(), values.concat())].into());
    let ballast = ConfigMap { metadata: metadata(), data, ..ConfigMap::default() };
    let (beside, _) = flooded(cluster, "beside", ballast).await;
    let request = RewrapRequest { metadata: metadata(), spec: RewrapRequestSpec { values }, status: None };
    let (under, requests) = flooded(cluster, "flooded", request).await;
    for (name, share, goal) in [("p50", 50, Goal::None), ("p99", 99, Goal::Ratio(2.0, None))] {
        let at = |sorted: &[f64]| sorted[(sorted.len() - 1) * share / 100];
        let what = format!("create to Secret, {name}, under a flood of {requests} requests of {VALUES} values");
        table.add(&what, Unit::Time, at(&under), Some(("idle", at(&idle))), goal);
        table.add(what, Unit::Time, at(&under), Some(("the same flood of ConfigMaps", at(&beside))), Goal::None);
    }
}

fn metadata() -> ObjectMeta {
    ObjectMeta { generate_name: Some("flood-".to_owned()), ..ObjectMeta::default() }
}

/// Latencies while copies of `object` are created, and how many were.
async fn flooded<K>(cluster: &Cluster, namespace: &str, object: K) -> (Vec<f64>, usize)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..FLOOD {
        let api: Api<K> = Api::namespaced(cluster.admin(), namespace);
        let (stop, count, object) = (stop.clone(), count.clone(), object.clone());
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) && count.fetch_add(1, Ordering::Relaxed) < MOST {
                api.create(&PostParams::default(), &object).await.unwrap();
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let all = latencies(cluster, namespace).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    (all, count.load(Ordering::Relaxed).min(MOST))
}

/// Microseconds from before the creation until the Secret is there, sorted.
async fn latencies(cluster: &Cluster, namespace: &str) -> Vec<f64> {
    let recipient = cluster.recipient().await;
    let secrets = cluster.secrets(namespace);
    let mut all = Vec::new();
    for index in 0..OBJECTS {
        let name = format!("object-{index}");
        let sealed = seal(&plain(namespace, &name, &[("a", "1")]), &recipient);
        let start = Instant::now();
        cluster.apply(&sealed).await;
        while secrets.get_metadata_opt(&name).await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        all.push(start.elapsed().as_secs_f64() * 1e6);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    all.sort_unstable_by(f64::total_cmp);
    all
}
