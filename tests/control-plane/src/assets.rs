//! Where the control plane's binaries come from: `KUBEBUILDER_ASSETS`, else a build of a pinned Go module.
//!
//! Kubernetes 1.37.2 and etcd 3.7.3; the first build takes about 6 minutes on two cores, later ones none.

use std::env;
use std::path::{Path, PathBuf};

use crate::go_module::{BuildError, GoModule, Product};

const CONTROL_PLANE: GoModule = GoModule {
    name: "control-plane",
    go_mod: include_str!("../go/control-plane/go.mod"),
    go_sum: include_str!("../go/control-plane/go.sum"),
    product: Product::Tools {
        // Without these the binaries call themselves v0.0.0-master, and `kubectl version` fails.
        ldflags: "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2 \
                  -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37",
        // etcd's module path ends in `server/v3`, and `go build` takes its name from there.
        renames: &[("server", "etcd")],
    },
    usually: " (once; about 6 minutes on two cores)",
    instead: "or point KUBEBUILDER_ASSETS at a folder with kube-apiserver, kube-controller-manager, kubectl and etcd",
};

/// Why the control plane's binaries are not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssetsError {
    /// `KUBEBUILDER_ASSETS` is set, and a binary is not in it.
    #[error(
        "KUBEBUILDER_ASSETS={folder} has no {binary}; it must have kube-apiserver, kube-controller-manager, kubectl and \
         etcd (unset it to have all four built)"
    )]
    Missing {
        /// The folder it names.
        folder: PathBuf,
        /// What is not in it.
        binary: &'static str,
    },
    /// They could not be built.
    #[error("cannot build the control plane")]
    Build(#[from] BuildError),
}

/// The four binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binaries {
    /// The API server.
    pub kube_apiserver: PathBuf,
    /// The controller manager.
    pub kube_controller_manager: PathBuf,
    /// The command-line client.
    pub kubectl: PathBuf,
    /// The store.
    pub etcd: PathBuf,
}

/// Finds or builds the binaries. Blocks, for minutes at the very first time.
pub fn binaries() -> Result<Binaries, AssetsError> {
    match env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()) {
        Some(folder) => {
            let folder = std::path::absolute(&folder).unwrap_or_else(|_| folder.into());
            in_folder(&folder)
        }
        None => in_folder(&CONTROL_PLANE.ready()?),
    }
}

fn in_folder(folder: &Path) -> Result<Binaries, AssetsError> {
    let find = |binary| {
        let path = folder.join(binary);
        let folder = folder.to_owned();
        path.is_file().then_some(path).ok_or(AssetsError::Missing { folder, binary })
    };
    Ok(Binaries {
        kube_apiserver: find("kube-apiserver")?,
        kube_controller_manager: find("kube-controller-manager")?,
        kubectl: find("kubectl")?,
        etcd: find("etcd")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_is_named() {
        let folder = tempfile::tempdir().unwrap();
        // What the usual download of these assets has in it.
        for name in ["kube-apiserver", "kubectl", "etcd"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let error = in_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("has no kube-controller-manager"), "{error}");

        std::fs::write(folder.path().join("kube-controller-manager"), "").unwrap();
        assert_eq!(in_folder(folder.path()).unwrap().etcd, folder.path().join("etcd"));
    }
}
