//! Reading input and writing output: limits, standard streams, new files. A file that is there is replaced in one step.

mod attributes;
mod lock;
mod replace;

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Error, Kind};
use crate::manifest::MAX_BYTES;
#[cfg(unix)]
use crate::signals::HeldBack;

pub use replace::{replace, replace_if_still};

/// How names of files begin that take the place of others.
pub const TEMPORARY: &str = ".bulla-";

/// How messages name standard input.
pub const STDIN: &str = "standard input";

/// Where input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input, written `-` or nothing.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// `-` is standard input.
    #[must_use]
    pub fn from_path(path: &Path) -> Self {
        if path == Path::new("-") { Self::Stdin } else { Self::File(path.to_owned()) }
    }

    /// Its path, if it has one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
        }
    }

    /// How messages name it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => STDIN.to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Reads all of it; `what` says what belongs there, for the one who sits before an empty prompt.
    pub fn read(&self, what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::NotFound if self.name().to_ascii_uppercase().contains("AGE-SECRET-KEY-") => {
                    "a private key stands where the name of a file belongs: save it in a file, and clear the shell's history"
                }
                io::ErrorKind::NotFound => "check the path; it is taken from the working directory unless it begins with /",
                io::ErrorKind::IsADirectory => "give the files in the folder",
                io::ErrorKind::PermissionDenied => "check who may read it: ls -l",
                io::ErrorKind::FileTooLarge => "split the file",
                _ => "check that it is a file that can be read",
            };
            let kind = if error.kind() == io::ErrorKind::FileTooLarge { Kind::Usage } else { Kind::Io };
            Error::new(kind, format!("cannot read {}", self.name())).cause(error).hint(hint)
        };
        match self {
            Self::Stdin if io::stdin().is_terminal() => {
                Err(Error::new(Kind::Usage, "standard input is a terminal").hint(format!("give {what} as a file, or pipe it in")))
            }
            Self::Stdin => read_limited(io::stdin().lock(), 0).map_err(failed),
            Self::File(path) => {
                let file = File::open(path).map_err(failed)?;
                let length = file.metadata().map_err(failed)?.len();
                read_limited(file, usize::try_from(length).unwrap_or(usize::MAX)).map_err(failed)
            }
        }
    }
}

/// Reads no more than the longest manifest. What is longer is an error, never cut.
fn read_limited(source: impl Read, expected: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let most = MAX_BYTES + 1;
    // A buffer that grows leaves plaintext behind; a file of the expected length does not make it grow.
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected.saturating_add(1).min(most)));
    source.take(u64::try_from(most).expect("32 MiB")).read_to_end(&mut bytes)?;
    if bytes.len() == most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", MAX_BYTES / 1024 / 1024)));
    }
    Ok(bytes)
}

/// Who may read a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// As the user's umask says.
    Default,
    /// The owner alone.
    Private,
}

/// Writes to `path`, or to standard output for none or `-`.
pub fn write(path: Option<&Path>, bytes: &[u8], access: Access) -> Result<(), Error> {
    match path {
        None => write_stdout(bytes),
        Some(path) if path == Path::new("-") => write_stdout(bytes),
        Some(path) => replace(path, bytes, access),
    }
}

fn write_stdout(bytes: &[u8]) -> Result<(), Error> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|error| {
        let hint = "the output is not complete; write it to a file with -o";
        Error::new(Kind::Io, "cannot write to standard output").cause(error).hint(hint)
    })
}

/// Writes a file that must not be there yet.
pub fn create(path: &Path, bytes: &[u8], access: Access) -> Result<(), Error> {
    let failed = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                "an existing file is never overwritten, since it may be a private key; choose another name"
            }
            io::ErrorKind::NotFound => "make the folder first",
            io::ErrorKind::StorageFull => "free some space and try again",
            _ => "check that you may write there",
        };
        Error::new(Kind::Io, format!("cannot create {}", path.display())).cause(reason(&error)).hint(hint)
    };
    // Known before a private key is on the disk at all; it may still appear until the file takes its name.
    if fs::symlink_metadata(path).is_ok() {
        return Err(failed(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already")));
    }
    // No file is left behind under a temporary name.
    #[cfg(unix)]
    let _held = HeldBack::new();
    let temporary = temporary(path, access, bytes).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist_noclobber(path).map(drop).map_err(|error| failed(error.error))
}

/// A file beside `path` with all bytes in it; it goes away unless it takes the place of `path`.
fn temporary(path: &Path, access: Access, bytes: &[u8]) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY);
    #[cfg(unix)]
    if access == Access::Default {
        use std::os::unix::fs::PermissionsExt as _;
        // The umask takes away from this; without it the file would be its owner's alone.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder(path))?;
    file.write_all(bytes)?;
    Ok(file)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What went wrong, without the name of the temporary file that it went wrong with.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" at path ").map(|(reason, _)| reason.to_owned()).unwrap_or(text)
}
