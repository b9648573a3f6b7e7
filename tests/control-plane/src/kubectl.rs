//! Applying manifests as a user would: with the real `kubectl`, server-side, as the administrator.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::ControlPlane;

const APPLY: [&str; 3] = ["apply", "--server-side", "--force-conflicts"];

/// Why manifests were not applied, or not all of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// `kubectl` cannot be run.
    #[error("cannot run kubectl")]
    Run(#[from] io::Error),
    /// `kubectl` says no.
    #[error("kubectl apply failed:\n{0}")]
    Refused(String),
}

impl ControlPlane {
    /// The `kubectl` binary of this control plane's version.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.binaries().kubectl.clone()
    }

    /// A `kubectl` command as the administrator, with a discovery cache of its own: ports come back, and the usual
    /// cache below the home directory goes by address.
    #[must_use]
    pub fn kubectl_command(&self) -> Command {
        let mut command = Command::new(&self.binaries().kubectl);
        command
            .env("KUBECONFIG", self.admin_kubeconfig())
            .env("KUBECACHEDIR", self.folder().join("kubectl"))
            .env("KUBECTL_KUBERC", "false");
        command
    }

    /// Applies the documents of a YAML text; returns what `kubectl` says it did.
    ///
    /// NOTE: a `CustomResourceDefinition` and a resource of it cannot go in one text: the second is unknown until the
    /// first is established.
    pub async fn apply(&self, yaml: &str) -> Result<String, ApplyError> {
        self.apply_with(yaml, &[]).await
    }

    /// As [`ControlPlane::apply`], but nothing is stored; an unknown field is an error.
    pub async fn apply_dry(&self, yaml: &str) -> Result<String, ApplyError> {
        self.apply_with(yaml, &["--dry-run=server", "--validate=strict"]).await
    }

    /// Applies a kustomization; returns what `kubectl` says it did.
    pub async fn apply_kustomize(&self, folder: impl AsRef<Path>) -> Result<String, ApplyError> {
        let mut command = self.kubectl_command();
        command.args(APPLY).arg("-k").arg(folder.as_ref());
        command.stdin(Stdio::null());
        run(command).await
    }

    async fn apply_with(&self, yaml: &str, flags: &[&str]) -> Result<String, ApplyError> {
        // A file, not a pipe: nobody has to write while kubectl does not read.
        let mut file = self.scratch()?;
        file.write_all(yaml.as_bytes())?;
        file.rewind()?;
        let mut command = self.kubectl_command();
        command.args(APPLY).args(flags).args(["-f", "-"]).stdin(file);
        run(command).await
    }

    fn scratch(&self) -> io::Result<File> {
        let folder = self.folder().join("kubectl");
        fs::create_dir_all(&folder)?;
        tempfile::tempfile_in(folder)
    }
}

async fn run(mut command: Command) -> Result<String, ApplyError> {
    let output = tokio::task::spawn_blocking(move || command.output()).await.map_err(io::Error::other)??;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(ApplyError::Refused(said(&output.stderr))) }
}
