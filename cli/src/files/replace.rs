//! A file that is there gets new content: in one step, one of our commands at a time, and where the new content was made of the old one only
//! if that is still there. Whoever reads the file meanwhile finds the one or the other.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

use super::lock::Lock;
use super::{Access, attributes, folder, reason, temporary};
use crate::error::{Error, Kind, warn};
#[cfg(unix)]
use crate::signals::HeldBack;

/// Replaces a file, and only if its content changes; its owner and permissions stay, unless the new content is private and they do not suit.
pub fn replace(path: &Path, bytes: &[u8], access: Access) -> Result<(), Error> {
    let failed = |error: io::Error| write_error(path, &error);
    let new = Replacement { name: path, path, before: None, after: bytes, access, old: None };
    match fs::metadata(path) {
        // A device or a pipe cannot be replaced.
        Ok(metadata) if !metadata.is_file() => {
            File::options().write(true).open(path).and_then(|mut file| file.write_all(bytes)).map_err(failed)
        }
        Ok(metadata) if attributes::suits(&metadata, access) && is(path, bytes) => Ok(()),
        // A link stays a link: what it points to is replaced.
        Ok(metadata) => {
            let whole = fs::canonicalize(path).map_err(failed)?;
            Replacement { path: &whole, old: attributes::suits(&metadata, access).then_some(&metadata), ..new }.put()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => new.put(),
        Err(error) => Err(failed(error)),
    }
}

/// Replaces a file that still has the content `before`.
pub fn replace_if_still(path: &Path, before: &[u8], after: &[u8]) -> Result<(), Error> {
    if before == after {
        return Ok(());
    }
    let found = fs::canonicalize(path).and_then(|whole| Ok((fs::metadata(&whole)?, whole)));
    let Ok((metadata, whole)) = found else { return Err(changed(path)) };
    let refused = |cause, hint| Err(cannot_write(path).cause(cause).hint(hint));
    if !metadata.is_file() {
        return refused("it is no regular file", "give a file: it is compared with what was read, and replaced in one step");
    }
    if metadata.permissions().readonly() {
        return refused("it is read-only", "it is as it was; chmod u+w makes it writable, if it may be changed");
    }
    let old = Some(&metadata);
    Replacement { name: path, path: &whole, before: Some(before), after, access: Access::Default, old }.put()
}

/// A file that takes a place.
struct Replacement<'a> {
    /// How messages name the place.
    name: &'a Path,
    path: &'a Path,
    /// What has to stand there, if that matters.
    before: Option<&'a [u8]>,
    after: &'a [u8],
    access: Access,
    /// The file whose owner and attributes stay, if there is one.
    old: Option<&'a Metadata>,
}

impl Replacement<'_> {
    /// Makes the file, puts it in place, and says what does not stay as it was.
    fn put(&self) -> Result<(), Error> {
        let failed = |error: io::Error| write_error(self.name, &error);
        let _lock = Lock::of(folder(self.path)).map_err(|held| {
            cannot_write(self.name).cause(held).hint("it is as it was; run this again when that process is done")
        })?;
        #[cfg(unix)]
        let _held = HeldBack::new();
        let file = temporary(self.path, self.access, self.after).map_err(failed)?;
        let lost = match self.old {
            Some(old) => attributes::keep(self.path, old, file.as_file()).map_err(|error| {
                failed(error)
                    .hint("the file is as it was; let its owner do this, or make it yours: cp it, and mv the copy over it")
            })?,
            None => Vec::new(),
        };
        file.as_file().sync_all().map_err(failed)?;
        match self.before {
            Some(before) if !is(self.path, before) => return Err(changed(self.name)),
            Some(before) => self.take_place(file, before)?,
            None => self.persist(file)?,
        }
        for name in lost {
            warn(format!("{} has lost its extended attribute {name}", self.name.display()));
        }
        if self.old.is_some_and(has_other_names) {
            warn(format!("{} has further names (hard links), which have the old content", self.name.display()));
        }
        Ok(())
    }

    fn persist(&self, file: NamedTempFile) -> Result<(), Error> {
        file.persist(self.path).map(drop).map_err(|error| write_error(self.name, &error.error))
    }

    /// Others do not heed our lock: what they wrote since the last look is found in what is swapped out.
    fn take_place(&self, file: NamedTempFile, before: &[u8]) -> Result<(), Error> {
        if !self.exchange(file.path())? {
            return self.persist(file);
        }
        if is(file.path(), before) {
            return Ok(());
        }
        let is_back = self.exchange(file.path()).is_ok_and(|done| done) && is(file.path(), self.after);
        Err(if is_back { changed(self.name) } else { kept(self.name, file) })
    }

    /// Each takes the other's place, in one step; not where the system or the file system cannot do it.
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    fn exchange(&self, other: &Path) -> Result<bool, Error> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, other, CWD, self.path, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
            Err(Errno::NOENT) => Err(changed(self.name)),
            Err(error) => Err(write_error(self.name, &error.into())),
        }
    }

    #[cfg(not(any(target_os = "linux", target_os = "macos")))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "elsewhere it does something")]
    fn exchange(&self, _: &Path) -> Result<bool, Error> {
        Ok(false)
    }
}

fn is(path: &Path, content: &[u8]) -> bool {
    fs::read(path).is_ok_and(|now| now == content)
}

#[cfg(unix)]
fn has_other_names(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) > 1
}

#[cfg(not(unix))]
fn has_other_names(_: &Metadata) -> bool {
    false
}

fn cannot_write(name: &Path) -> Error {
    Error::new(Kind::Io, format!("cannot write {}", name.display()))
}

fn write_error(name: &Path, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "make the folder first",
        io::ErrorKind::StorageFull => "the file is as it was; free some space and try again",
        io::ErrorKind::IsADirectory => "give the name of a file in it",
        _ => "the file is as it was; check that you may write there",
    };
    cannot_write(name).cause(reason(error)).hint(hint)
}

fn changed(name: &Path) -> Error {
    cannot_write(name).cause("somebody else has changed it meanwhile").hint("it is as they left it; run this again")
}

/// Others have written again within the moment of an exchange and of taking it back: nothing of it is removed.
fn kept(name: &Path, file: NamedTempFile) -> Error {
    let other = file.path().display().to_string();
    // It stays, whatever comes of it.
    let _ = file.keep();
    cannot_write(name)
        .cause("others have changed it again and again meanwhile")
        .hint(format!("what one of them wrote is in {other}: compare both"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(any(target_os = "linux", target_os = "macos"))]
    #[test]
    fn what_others_write_in_the_last_moment_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.yaml");
        fs::write(&path, "theirs").unwrap();
        let new = Replacement { name: &path, path: &path, before: None, after: b"ours", access: Access::Default, old: None };
        let file = || temporary(&path, Access::Default, b"ours").unwrap();
        let refused = new.take_place(file(), b"before").unwrap_err();
        assert_eq!(refused, changed(&path));
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        new.take_place(file(), b"theirs").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "ours");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
