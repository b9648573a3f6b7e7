//! The folder of one run: temporary and gone with it, or a fixed one whose last run is over.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::kubeconfig;
use crate::process::Sweeper;

/// The administrator's kubeconfig, and the mark by which a folder is known to be ours.
pub(crate) const ADMIN_KUBECONFIG: &str = "admin.kubeconfig";

/// How long a process that was killed may still be seen listening.
const LETS_GO: Duration = Duration::from_secs(1);

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There are other files in it.
    #[error("{0} is not empty and was not made by a control plane: name another folder")]
    Foreign(PathBuf),
    /// The last control plane there is still running.
    #[error("a control plane still runs in {0}: stop it first")]
    InUse(PathBuf),
    /// The system refuses.
    #[error("cannot use {path}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A folder for certificates, data and logs.
#[derive(Debug)]
pub(crate) enum Folder {
    // The sweeper is dropped first, which calls it off; then the folder, which removes it.
    Temporary { sweeper: Sweeper, folder: TempDir },
    Fixed(PathBuf),
}

impl Folder {
    /// An empty folder: the given one, else a temporary one that goes away in any case.
    pub(crate) fn open(fixed: Option<&Path>) -> Result<Self, FolderError> {
        let Some(path) = fixed else {
            return temporary().map_err(at(&std::env::temp_dir()));
        };
        let path = std::path::absolute(path).map_err(at(path))?;
        fs::create_dir_all(&path).map_err(at(&path))?;
        empty(&path)?;
        Ok(Self::Fixed(path))
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Temporary { folder, .. } => folder.path(),
            Self::Fixed(path) => path,
        }
    }

    /// Leaves the folder where it is; returns it if nobody else will ever remove it.
    pub(crate) fn keep(self) -> Option<PathBuf> {
        match self {
            Self::Temporary { sweeper, folder } => {
                drop(sweeper);
                Some(folder.keep())
            }
            Self::Fixed(_) => None,
        }
    }
}

fn temporary() -> io::Result<Folder> {
    let folder = tempfile::Builder::new().prefix("bulla-control-plane-").tempdir()?;
    let sweeper = Sweeper::watch(folder.path())?;
    Ok(Folder::Temporary { sweeper, folder })
}

/// Removes what the last control plane left in a folder of ours.
fn empty(path: &Path) -> Result<(), FolderError> {
    let kubeconfig = path.join(ADMIN_KUBECONFIG);
    let Ok(text) = fs::read_to_string(&kubeconfig) else {
        return match fs::read_dir(path).map_err(at(path))?.next() {
            None => Ok(()),
            Some(_) => Err(FolderError::Foreign(path.to_owned())),
        };
    };
    if kubeconfig::port(&text).is_some_and(answers_for_long) {
        return Err(FolderError::InUse(path.to_owned()));
    }
    // The mark goes last, so that an interruption leaves a folder that is still ours.
    for name in ["certificates", "etcd", "kubeconfigs", "kubectl", "logs"] {
        match fs::remove_dir_all(path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(path)(error)),
            _ => {}
        }
    }
    fs::remove_file(&kubeconfig).map_err(at(path))
}

/// Whether someone listens at a port, and not only until its killed process has let go of it.
fn answers_for_long(port: u16) -> bool {
    let start = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
        if start.elapsed() > LETS_GO {
            return true;
        }
        sleep(Duration::from_millis(50));
    }
    false
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn foreign_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("thesis.tex");
        fs::write(&file, "").unwrap();
        let refused = Folder::open(Some(folder.path()));
        assert!(matches!(refused, Err(FolderError::Foreign(_))));
        assert!(file.exists());
    }

    #[test]
    fn a_running_control_plane_is_left_alone_and_a_stopped_one_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mark = folder.path().join(ADMIN_KUBECONFIG);
        fs::write(&mark, format!("server: https://127.0.0.1:{port}\n")).unwrap();
        fs::create_dir(folder.path().join("etcd")).unwrap();

        let refused = Folder::open(Some(folder.path()));
        assert!(matches!(refused, Err(FolderError::InUse(_))));

        drop(listener);
        let opened = Folder::open(Some(folder.path())).unwrap();
        assert_eq!(fs::read_dir(opened.path()).unwrap().count(), 0);
    }
}
