//! End to end on a real API server with RBAC and the admission policy on, the controller under its own ServiceAccount.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod audit;
mod bad_objects;
mod canary;
mod chaos;
mod cli;
mod confinement;
mod crash;
mod disaster;
mod flux;
mod guards;
mod healing;
mod key_life;
mod keys;
mod life;
mod malformed;
mod namespaces;
mod operations;
mod oracle;
mod refusals;
mod replicas;
mod restart;
mod rewrap;
mod rights;
mod rotation;
mod second;
mod startup;
mod templates;
mod told;
mod versions;

use bulla_control_plane::Options;
use bulla_tests::cluster::Cluster;
use bulla_tests::controller::Controller;
use tokio::sync::OnceCell;

/// One cluster with one controller for all tests that do not stop it; each test has a namespace of its own.
struct Shared {
    cluster: Cluster,
    _controller: Controller,
}

async fn shared() -> &'static Cluster {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    let start = || async {
        let cluster = Cluster::start(Options::default()).await;
        let controller = cluster.controller(&[]).await;
        Shared { cluster, _controller: controller }
    };
    &SHARED.get_or_init(start).await.cluster
}
