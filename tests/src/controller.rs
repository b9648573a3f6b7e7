//! `bulla-controller` as a process of its own, under its own ServiceAccount.

use std::path::PathBuf;

use bulla_control_plane::{ControlPlane, Process};

use crate::binaries::binary;

/// A running controller; killed when dropped, and when the test ends without dropping it.
#[derive(Debug)]
pub struct Controller(Process);

impl Controller {
    /// Starts a controller with the token of `bulla-system/bulla-controller` and `args`; its log goes on where the last one ended. An
    /// unoptimised one says all that it does.
    pub async fn start(plane: &ControlPlane, args: &[&str]) -> Self {
        let kubeconfig = plane.service_account_kubeconfig("bulla-system", "bulla-controller").await.unwrap();
        let args: Vec<String> = ["--log-level", if cfg!(debug_assertions) { "debug" } else { "warn" }]
            .iter()
            .chain(args)
            .map(|arg| (*arg).to_owned())
            .collect();
        let program = binary("bulla-controller");
        let environment = [("KUBECONFIG", kubeconfig.as_path())];
        Self(Process::start("bulla-controller", &program, &args, &environment, plane.folder()).unwrap())
    }

    /// Where it and its predecessors on this control plane log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.log().to_owned()
    }

    /// SIGKILL.
    pub fn kill(self) {
        drop(self);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.0.ended().is_none()
    }
}
