//! A restart over unchanged objects: the API server itself says that nothing was written.

use bulla_control_plane::Options;
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::{eventually, writes};
use kube::api::{Patch, PatchParams};
use serde_json::json;

const OBJECTS: usize = 40;

#[tokio::test]
async fn a_restart_writes_nothing_and_repairs_drift() {
    let cluster = Cluster::start(Options { audit_policy: Some(writes::POLICY.to_owned()), ..Options::default() }).await;
    let controller = cluster.controller(&[]).await;
    let recipient = cluster.recipient().await;
    let name = |index: usize| format!("object-{index}");
    for index in 0..OBJECTS {
        cluster.apply(&seal(&plain("default", &name(index), &[("a", "1"), ("b", "2")]), &recipient)).await;
    }
    for index in 0..OBJECTS {
        cluster.wait("default", &name(index), "Ready").await;
    }
    // Usage is told a second after the last change.
    let items = u32::try_from(2 * OBJECTS).unwrap();
    eventually("usage told", || async { (cluster.key_status("initial").await.usage?.items == items).then_some(()) }).await;
    let log = controller.log();
    controller.kill();
    let writes = || writes::writes(&cluster.plane);
    let written = || writes().len();
    let before = written();
    assert!(before >= 2 * OBJECTS, "the log shows writes: {before}");

    std::fs::write(&log, "").unwrap();
    let controller = cluster.controller(&[]).await;
    let unchanged = || std::fs::read_to_string(&log).unwrap().lines().filter(|line| line.contains("unchanged")).count();
    eventually("every object looked at", || async { (unchanged() >= OBJECTS).then_some(()) }).await;
    assert_eq!(written(), before, "{:?}", writes().last());
    assert_eq!(controller.metric("bulla_items_opened_total"), Some(0.0), "nothing is opened either");
    controller.kill();

    // Drift while the controller is away.
    let drift = Patch::Merge(json!({"data": {"a": "eA=="}}));
    cluster.secrets("default").patch("object-7", &PatchParams::default(), &drift).await.unwrap();
    let controller = cluster.controller(&[]).await;
    let is_repaired = || async { (cluster.values("default", "object-7").await == ["a=1", "b=2"]).then_some(()) };
    eventually("drift repaired", is_repaired).await;
    cluster.wait("default", "object-7", "Ready").await;
    drop(controller);
}
