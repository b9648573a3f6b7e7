//! End to end on a real API server with RBAC and the admission policy on, the controller under its own ServiceAccount.

mod life;

use std::sync::Arc;

use bulla_control_plane::Options;
use bulla_tests::cluster::Cluster;
use bulla_tests::controller::Controller;
use tokio::sync::OnceCell;

/// One cluster with one controller for all tests that do not stop it; each test has a namespace of its own.
struct Shared {
    cluster: Cluster,
    _controller: Controller,
}

async fn shared() -> &'static Arc<Shared> {
    static SHARED: OnceCell<Arc<Shared>> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            let cluster = Cluster::start(Options::default()).await;
            let _controller = cluster.controller(&[]).await;
            Arc::new(Shared { cluster, _controller })
        })
        .await
}
