//! `just bench-controller`: objects in bulk, a restart over them, memory, latency. One run on one API server, beside what the API server
//! can do at most and beside the controller of Sealed Secrets.
//!
//! | file | idea |
//! | --- | --- |
//! | `load.rs` | objects made in bulk, until the last Secret is there |
//! | `limit.rs` | the same writes and watches by a loop that seals and decides nothing |
//! | `incumbent.rs` | the controller of Sealed Secrets, with its own kind of objects |
//! | `latency.rs` | one object at a time |
//! | `usage.rs` | processor time and memory of a process |

mod incumbent;
mod latency;
mod limit;
mod load;
mod usage;

use std::time::{Duration, Instant};

use bulla_control_plane::Options;
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::controller::Controller;
use bulla_tests::{eventually, writes};
use kube::core::DynamicObject;

use crate::table::{Goal, Table, Unit};
use load::{Load, bring};

const SIZES: [usize; 3] = [1_000, 4_000, LARGEST];
const LARGEST: usize = 10_000;
const MIB: f64 = 1024.0;
/// A plaintext that makes an object of a megabyte.
const LARGE: usize = 740_000;
const LARGE_OBJECTS: usize = 500;

pub(crate) async fn run(table: &mut Table) {
    let cluster = Cluster::start(Options { audit_policy: Some(writes::POLICY.to_owned()), ..Options::default() }).await;
    let sample = limit::Sample::take(&cluster).await;
    let incumbent = incumbent::Incumbent::install(&cluster).await;
    let mut first_cost = None;
    for size in SIZES {
        progress(&format!("{size} objects: the limit"));
        let ours = Load { kind: load::ours(), namespace: "default", objects: sealed(&cluster, size, 32).await };
        let limit = sample.start(&cluster).await;
        let least = bring(&cluster, &ours, 16).await;
        drop(limit);
        load::remove(&cluster, &ours).await;

        progress(&format!("{size} objects: bulla-controller"));
        let controller = started(&cluster).await;
        let before = usage::cpu(controller.id());
        let took = bring(&cluster, &ours, 16).await;
        settled(&controller).await;
        let cost = (usage::cpu(controller.id()) - before) / load::count(size);
        let memory = usage::resident(controller.id());
        controller.kill();
        if size == LARGEST {
            restart(table, &cluster, size).await;
        }
        load::remove(&cluster, &ours).await;

        progress(&format!("{size} objects: sealed-secrets"));
        let theirs = incumbent.load(size);
        let process = incumbent.start(&cluster).await;
        let before = usage::cpu(process.id());
        let their_time = bring(&cluster, &theirs, 16).await;
        let their_cost = (usage::cpu(process.id()) - before) / load::count(size);
        let their_memory = usage::resident(process.id());
        drop(process);
        load::remove(&cluster, &theirs).await;

        let what = format!("{size} objects of two values, first create to last Secret");
        table.add(&what, Unit::Time, took, Some(("the same writes and watches alone", least)), Goal::Ratio(1.25, None));
        table.add(what, Unit::Time, took, Some(("sealed-secrets", their_time)), Goal::Ratio(0.25, None));
        let what = format!("processor time an object, {size} objects");
        table.add(&what, Unit::Time, cost, Some(("sealed-secrets", their_cost)), Goal::Ratio(0.1, None));
        let first = *first_cost.get_or_insert(cost);
        table.add(what, Unit::Time, cost, Some(("at 1000 objects", first)), Goal::None);
        let goal = if size == LARGEST { Goal::Own(60.0 * MIB) } else { Goal::None };
        table.add(format!("resident memory, {size} objects"), Unit::Memory, memory, Some(("sealed-secrets", their_memory)), goal);
    }
    progress("latency");
    let bare = latency::bare(&cluster).await;
    let controller = started(&cluster).await;
    let ours = latency::ours(&cluster).await;
    drop(controller);
    for (name, share, most) in [("p50", 50, 20_000.0), ("p99", 99, 60_000.0)] {
        let at = |sorted: &[f64]| sorted[(sorted.len() - 1) * share / 100];
        let what = format!("create to Secret seen, idle, {name} of {}", ours.len());
        table.add(what, Unit::Time, at(&ours), Some(("two bare writes", at(&bare))), Goal::Own(most));
    }
    drop(cluster);
    large(table).await;
}

/// Nothing has changed: nothing may be written or opened.
async fn restart(table: &mut Table, cluster: &Cluster, size: usize) {
    progress(&format!("{size} objects: restart"));
    let before = writes::writes(&cluster.plane).len();
    let start = Instant::now();
    let controller = started(cluster).await;
    let took = start.elapsed().as_secs_f64() * 1e6;
    settled(&controller).await;
    let looked = start.elapsed().as_secs_f64() * 1e6;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let written = load::count(writes::writes(&cluster.plane).len() - before);
    let opened = controller.metric("bulla_items_opened_total").unwrap();
    table.add(format!("restart over {size} unchanged objects, until ready and leading"), Unit::Time, took, None, Goal::Own(3e6));
    table.add("the same, until every object is looked at", Unit::Time, looked, None, Goal::None);
    table.add("the same, writes besides the Lease", Unit::Count, written, None, Goal::Own(0.0));
    table.add("the same, values opened", Unit::Count, opened, None, Goal::Own(0.0));
    let memory = usage::resident(controller.id());
    table.add("the same, resident memory", Unit::Memory, memory, None, Goal::Own(60.0 * MIB));

    let standby = cluster.replica(&[]).await;
    eventually("it stands by", || async { (standby.get("/readyz")?.0 == 200).then_some(()) }).await;
    controller.kill();
    let start = Instant::now();
    eventually("it leads", || async { (standby.metric("bulla_leader") == Some(1.0)).then_some(()) }).await;
    let took = start.elapsed().as_secs_f64() * 1e6;
    table.add("takeover after the end of the leader by SIGKILL, lease of 15 s", Unit::Time, took, None, Goal::Own(17e6));
}

/// Objects as large as they get.
async fn large(table: &mut Table) {
    progress("large objects");
    let cluster = Cluster::start(Options::default()).await;
    let controller = started(&cluster).await;
    let load = Load { kind: load::ours(), namespace: "default", objects: sealed(&cluster, LARGE_OBJECTS, LARGE).await };
    bring(&cluster, &load, 4).await;
    settled(&controller).await;
    let what = format!("resident memory, {LARGE_OBJECTS} objects of 1 MB, after they were opened");
    table.add(what, Unit::Memory, usage::resident(controller.id()), None, Goal::Own(100.0 * MIB));
    controller.kill();
    let controller = started(&cluster).await;
    settled(&controller).await;
    let what = format!("resident memory, {LARGE_OBJECTS} objects of 1 MB, after a restart");
    table.add(what, Unit::Memory, usage::resident(controller.id()), None, Goal::Own(100.0 * MIB));
}

/// A controller that is ready and writes.
async fn started(cluster: &Cluster) -> Controller {
    let controller = cluster.controller(&[]).await;
    let patience = Instant::now();
    while controller.get("/readyz").is_none_or(|(code, _)| code != 200) || controller.metric("bulla_leader") != Some(1.0) {
        assert!(
            patience.elapsed() < Duration::from_mins(1),
            "the controller does not start; its log: {}",
            controller.log().display()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    controller
}

/// Waits until nothing is left to do.
async fn settled(controller: &Controller) {
    // Metrics of before may stand for a quarter of a second.
    tokio::time::sleep(Duration::from_millis(300)).await;
    eventually("an empty queue", || async { (controller.metric("bulla_queue_depth") == Some(0.0)).then_some(()) }).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Objects with two values; half of `length` each.
async fn sealed(cluster: &Cluster, size: usize, length: usize) -> Vec<DynamicObject> {
    let recipient = cluster.recipient().await;
    let value = "v".repeat(length / 2);
    let object = |index: usize| {
        let sealed = seal(&plain("default", &load::name(index), &[("password", &value), ("user", &value)]), &recipient);
        serde_json::from_value(serde_json::to_value(sealed).unwrap()).unwrap()
    };
    (0..size).map(object).collect()
}

/// The table comes at the end, many minutes later.
fn progress(what: &str) {
    eprintln!("{what} …");
}
