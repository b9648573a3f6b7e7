//! What `controller/deploy/` installs, on a real API server: kustomize, the Helm chart, policies, rights, and what watches over the controller.
//!
//! There is no kubelet: a pod's specification is taken by the API server and its pod security, and nothing more is known of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod argocd;
mod chart;
mod confinement;
mod helm;
mod manifests;
mod namespaced;
mod observability;
mod pods;
mod priority;
mod release;

use std::path::{Path, PathBuf};

use bulla_control_plane::Options;
use bulla_tests::cluster::Cluster;
use tokio::sync::OnceCell;

/// A cluster with `controller/deploy` installed, for all tests that do not change what is installed.
async fn shared() -> &'static Cluster {
    static SHARED: OnceCell<Cluster> = OnceCell::const_new();
    SHARED.get_or_init(|| Cluster::start(Options::default())).await
}

/// A path below the root of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
