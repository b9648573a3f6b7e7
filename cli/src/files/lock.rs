//! The lock that each of our commands holds while it compares a file and puts another in its place: an advisory one (`flock`) on the folder,
//! since the file itself is not the same one afterwards. Others need not heed it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Some hundred times what a write takes on a slow disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "closing it ends the lock")] Option<File>);

/// Who holds it, as far as the system tells.
#[derive(Debug)]
pub(super) struct Held(Option<String>);

impl Lock {
    /// Waits a moment for whoever has it. Where a folder cannot be locked, on some network file systems and on Windows, there is none.
    pub(super) fn of(folder: &Path) -> Result<Self, Held> {
        Self::within(folder, PATIENCE)
    }

    fn within(folder: &Path, patience: Duration) -> Result<Self, Held> {
        let Ok(file) = File::open(folder) else { return Ok(Self(None)) };
        let until = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(Some(file))),
                Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(Duration::from_millis(5)),
                Err(TryLockError::WouldBlock) => return Err(Held(holder(&file))),
                Err(TryLockError::Error(_)) => return Ok(Self(None)),
            }
        }
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} holds the lock on its folder", self.0.as_deref().unwrap_or("another process"))
    }
}

/// The process that has it, by its number and name (proc(5), `/proc/locks`).
#[cfg(target_os = "linux")]
fn holder(file: &File) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let inode = format!(":{}", file.metadata().ok()?.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let process = locks.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, "FLOCK", _, _, process, of, ..] if of.ends_with(&inode) => Some(process),
        _ => None,
    })?;
    let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(format!("process {process} ({})", name.trim_end()))
}

#[cfg(not(target_os = "linux"))]
fn holder(_: &File) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_whoever_waits_is_told_for_whom() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::of(folder.path()).unwrap();
        let told = Lock::within(folder.path(), Duration::from_millis(20)).unwrap_err().to_string();
        let ours = format!("process {} (", std::process::id());
        assert!(!cfg!(target_os = "linux") || told.starts_with(&ours), "{told}");
        drop(held);
        assert!(Lock::within(folder.path(), Duration::ZERO).is_ok());
    }
}
