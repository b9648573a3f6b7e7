//! Reconciling while rewrap requests flood in: from the creation of a SealedSecret until its Secret is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bulla_shared::resources::rewrap_request::{RewrapRequest, RewrapRequestSpec};
use bulla_tests::cluster::{Cluster, plain, seal};
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
    cluster.namespace("idle").await;
    cluster.namespace("flooded").await;
    let idle = latencies(cluster, "idle").await;
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let recipient = cluster.recipient().await;
    let sealed = seal(&plain("flooded", "x", &[("a", "a value of thirty-two bytes long")]), &recipient);
    let values: Vec<String> = std::iter::repeat_n(sealed.spec.encrypted_data["a"].clone(), VALUES).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..FLOOD {
        let api: Api<RewrapRequest> = Api::namespaced(cluster.admin(), "flooded");
        let (stop, count, values) = (stop.clone(), count.clone(), values.clone());
        tasks.spawn(async move {
            while !stop.load(Ordering::Relaxed) && count.fetch_add(1, Ordering::Relaxed) < MOST {
                let metadata = ObjectMeta { generate_name: Some("flood-".to_owned()), ..ObjectMeta::default() };
                let request = RewrapRequest { metadata, spec: RewrapRequestSpec { values: values.clone() }, status: None };
                api.create(&PostParams::default(), &request).await.unwrap();
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let flooded = latencies(cluster, "flooded").await;
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let requests = count.load(Ordering::Relaxed).min(MOST);
    for (name, share, goal) in [("p50", 0.5, Goal::None), ("p99", 0.99, Goal::Ratio(2.0, None))] {
        let at = |sorted: &[f64]| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        let what = format!("create to Secret, {name}, under a flood of {requests} requests of {VALUES} values");
        table.add(what, Unit::Time, at(&flooded), Some(("idle", at(&idle))), goal);
    }
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
