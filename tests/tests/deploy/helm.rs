//! The real `helm`, with a home of its own, and the chart.

use std::process::{Command, Output};

use bulla_control_plane::{ControlPlane, tools};
use tempfile::TempDir;

use crate::manifests::Manifests;
use crate::repository;

/// `helm` with nothing of the user's.
pub(crate) struct Helm(TempDir);

impl Helm {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A `helm` command; of what cluster, the caller says.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(tools::helm().unwrap());
        for home in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(home, self.0.path());
        }
        command.env("KUBECONFIG", self.0.path().join("none")).arg(verb);
        command
    }

    /// `helm VERB` of the release `bulla` in `bulla-system` on a cluster.
    pub(crate) fn release(&self, plane: &ControlPlane, verb: &str, args: &[&str]) -> Output {
        let mut command = self.command(verb);
        command.env("KUBECONFIG", plane.admin_kubeconfig()).args(["bulla", "--namespace=bulla-system"]).args(args);
        command.output().unwrap()
    }
}

/// The chart's folder.
pub(crate) fn chart() -> String {
    repository("controller/deploy/chart").display().to_string()
}

/// What `helm template` says about the chart with these values, each `PATH=JSON`.
pub(crate) fn template(namespace: &str, values: &[&str]) -> Result<String, String> {
    let helm = Helm::new();
    let mut command = helm.command("template");
    command.args(["bulla", &chart(), "--namespace", namespace]);
    for value in values {
        command.args(["--set-json", value]);
    }
    let output = command.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

/// The objects that the chart renders in `bulla-system` with these values.
pub(crate) fn render(values: &[&str]) -> Manifests {
    Manifests::parse(&template("bulla-system", values).unwrap())
}
