//! Values as files on memory-backed storage, for their owner alone, gone when the command is.
//!
//! A SIGKILL of `bulla`, or a fault in it, leaves them in memory until the machine stops; nothing else does, and nothing puts them on a disk.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::selection::Chosen;
use crate::error::{Error, Kind};

/// Where files may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// Wherever this machine has memory-backed storage.
    Memory,
    /// This folder, which has to be memory-backed.
    MemoryAt(PathBuf),
    /// This folder, whatever it is.
    Anywhere(PathBuf),
}

/// A folder with the values, which goes with this.
#[derive(Debug)]
pub struct Files(TempDir);

impl Files {
    /// An empty folder.
    pub fn new(storage: &Storage) -> Result<Self, Error> {
        let folder = match storage {
            Storage::Memory => usual()?,
            Storage::MemoryAt(folder) if is_memory(folder) => folder.clone(),
            Storage::MemoryAt(folder) => {
                let failed = Error::new(Kind::Io, format!("{} is not memory-backed", folder.display()));
                return Err(failed.hint("name a tmpfs; or, if plaintext may be on that disk, add --allow-disk"));
            }
            Storage::Anywhere(folder) => folder.clone(),
        };
        let made = tempfile::Builder::new().prefix("bulla-").permissions(private(0o700)).tempdir_in(&folder);
        made.map(Self).map_err(|error| failed(&folder, &error))
    }

    /// Writes the value to a file of its own, NAMESPACE/NAME/ITEM, and gives its path.
    pub fn write(&self, chosen: &Chosen) -> Result<PathBuf, Error> {
        let object = &chosen.object;
        let folder = self.0.path().join(object.namespace.as_str()).join(object.name.as_str());
        let path = folder.join(chosen.item.as_str());
        let written = DirBuilder::new().recursive(true).mode(0o700).create(&folder).and_then(|()| {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(chosen.value.expose())
        });
        // The folder's own name is a random one.
        let above = self.0.path().parent().unwrap_or(self.0.path());
        written.map(|()| path).map_err(|error| failed(above, &error))
    }

    /// Removes everything, and says if that is not possible.
    pub fn remove(self) {
        let path = self.0.path().to_owned();
        if let Err(error) = self.0.close() {
            crate::error::warn(format!("cannot remove the files in {}: {error}", path.display()));
        }
    }
}

fn failed(folder: &Path, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some of that memory, or name another tmpfs with --files-in FOLDER"
        }
        _ => "check that you may write there, or name another tmpfs with --files-in FOLDER",
    };
    // The name of what failed is that of a temporary file.
    let cause = error.get_ref().and_then(|inner| inner.source()).map_or_else(|| error.to_string(), ToString::to_string);
    Error::new(Kind::Io, format!("cannot write files to {}", folder.display())).cause(cause).hint(hint)
}

fn private(mode: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(mode)
}

/// The user's own tmpfs, or that of the machine.
fn usual() -> Result<PathBuf, Error> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let found = own.into_iter().chain(["/dev/shm".into()]).find(|folder| is_memory(folder));
    found.ok_or_else(|| {
        let failed =
            Error::new(Kind::Io, "there is no memory-backed storage").cause("neither $XDG_RUNTIME_DIR nor /dev/shm is a tmpfs");
        failed.hint("name one with --files-in FOLDER; or, if plaintext may be on a disk, add --allow-disk")
    })
}

/// Whether the file system of a folder lives in memory.
#[cfg(target_os = "linux")]
fn is_memory(folder: &Path) -> bool {
    /// Of `statfs(2)`.
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    const RAMFS_MAGIC: i64 = 0x8584_58f6;
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "the type differs between systems")]
    rustix::fs::statfs(folder).is_ok_and(|about| [TMPFS_MAGIC, RAMFS_MAGIC].contains(&(about.f_type as i64)))
}

/// Other systems have no file system that is known to live in memory.
#[cfg(not(target_os = "linux"))]
fn is_memory(_: &Path) -> bool {
    false
}
