//! The user's editor on a text that may hold plaintext: in memory where the system has such a folder, for its owner alone, and gone afterwards
//! however the editor ends.
//!
//! What the editor itself keeps elsewhere (a history, an undo file) is its own matter.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::{fs, io};
#[cfg(unix)]
use std::{future::poll_fn, task::Poll};

#[cfg(unix)]
use signal_hook::consts::{SIGINT, SIGQUIT};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

use crate::error::{Error, Kind, note};
use crate::files::{self, Access, Input};
#[cfg(unix)]
use crate::signals::ending;

/// The longest text that comes back.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// How many useless texts a script may give back: one that changes them without heeding the reason would go on for ever.
const UNATTENDED: usize = 8;

/// How many useless texts the editor may give back. At a terminal an interrupt ends it.
#[must_use]
pub fn patience() -> usize {
    if io::stdin().is_terminal() { usize::MAX } else { UNATTENDED }
}

/// A text on its way through the editor. Its folder goes away with it.
pub struct Draft {
    /// Goes away when it is dropped, and all in it.
    _folder: tempfile::TempDir,
    path: PathBuf,
    editor: Vec<String>,
    watch: Watch,
}

impl Draft {
    /// Puts a text where the editor will find it, under this file name.
    pub fn new(name: &str, text: &str) -> Result<Self, Error> {
        let editor = editor()?;
        let failed = |error: io::Error| {
            Error::new(Kind::Io, "cannot keep the text for the editor")
                .cause(error)
                .hint("check that /dev/shm or $TMPDIR can be written")
        };
        let watch = Watch::new().map_err(failed)?;
        // The folder is its owner's alone, and so is what an editor writes beside the text.
        let mut builder = tempfile::Builder::new();
        builder.prefix("bulla-edit-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = builder.tempdir_in(in_memory()).map_err(failed)?;
        let path = folder.path().join(name);
        let draft = Self { _folder: folder, path, editor, watch };
        files::create(&draft.path, text.as_bytes(), Access::Private)?;
        Ok(draft)
    }

    /// Starts the editor and gives the text as it is when the editor has ended well. What is no text goes back to the editor as it is: it was
    /// typed all the same. Whoever leaves it so gives up.
    pub fn edit(&mut self) -> Result<Zeroizing<String>, Error> {
        let mut useless = None;
        let mut rounds = patience();
        loop {
            self.start()?;
            let bytes = Input::File(self.path.clone()).read("the text");
            let error = match &bytes {
                Ok(bytes) if bytes.len() > MAX_BYTES => no_text(format!("it is larger than {} MiB", MAX_BYTES / 1024 / 1024)),
                Ok(bytes) => match str::from_utf8(bytes) {
                    Ok(text) => return Ok(Zeroizing::new(text.to_owned())),
                    Err(error) => no_text(format!("it is not UTF-8 from byte {} on", error.valid_up_to() + 1)),
                },
                Err(error) => error.clone(),
            };
            let bytes = bytes.ok();
            rounds -= 1;
            if rounds == 0 || useless.as_ref() == Some(&bytes) {
                return Err(error);
            }
            note(format!("error: {}; the editor has it again, and leaving it so gives up", error.one_line()));
            useless = Some(bytes);
        }
    }

    fn start(&mut self) -> Result<(), Error> {
        let [program, args @ ..] = self.editor.as_slice() else { return Err(no_editor()) };
        let mut command = Command::new(program);
        command.args(args).arg(&self.path);
        let status = self.watch.wait(command).map_err(|error| {
            Error::new(Kind::Usage, format!("cannot start the editor {program}"))
                .cause(error)
                .hint("$VISUAL or $EDITOR names the editor")
        })?;
        if status.success() {
            return Ok(());
        }
        Err(Error::new(Kind::Usage, format!("the editor {program} did not end well"))
            .cause(ended(status))
            .hint("nothing was written; $VISUAL or $EDITOR names another editor"))
    }

    /// Puts another text in the place of the last one.
    pub fn rewrite(&self, text: &str) -> Result<(), Error> {
        files::replace(&self.path, text.as_bytes(), Access::Private)
    }
}

/// `$VISUAL`, else `$EDITOR`: words, the first one the program.
fn editor() -> Result<Vec<String>, Error> {
    let set = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let line = set("VISUAL").or_else(|| set("EDITOR")).ok_or_else(no_editor)?;
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

fn no_editor() -> Error {
    Error::new(Kind::Usage, "no editor is named")
        .cause("neither $VISUAL nor $EDITOR is set")
        .hint("set one, such as EDITOR=vi; bulla set changes an item without an editor")
}

fn no_text(cause: String) -> Error {
    Error::new(Kind::Usage, "cannot use the edited text").cause(cause).hint("save it as UTF-8; other bytes are written !!binary")
}

/// A folder in memory, else the one for temporary files.
fn in_memory() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let folders = [Some(PathBuf::from("/dev/shm")), runtime];
    folders.into_iter().flatten().find(|path| is_usable(path)).unwrap_or_else(std::env::temp_dir)
}

fn is_usable(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir() && !metadata.permissions().readonly())
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("its exit code is {code}"),
        None => "it was killed".to_owned(),
    }
}

/// Waits for the editor. An interrupt from the keyboard goes to both; what it means is the editor's business. What tells `bulla` to end
/// ends the editor first, so that the text can be taken away.
#[cfg(unix)]
struct Watch {
    runtime: tokio::runtime::Runtime,
    /// Heard so that they do not end us.
    _ignored: Vec<Signal>,
    heeded: Vec<Signal>,
}

#[cfg(unix)]
impl Watch {
    /// From now on no signal ends the process by itself.
    fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let hear = |numbers: Vec<i32>| -> io::Result<Vec<Signal>> {
            numbers.into_iter().map(|number| signal(SignalKind::from_raw(number))).collect()
        };
        let (ignored, heeded) = ending().partition(|number| [SIGINT, SIGQUIT].contains(number));
        let (ignored, heeded) = (hear(ignored)?, hear(heeded)?);
        drop(entered);
        Ok(Self { runtime, _ignored: ignored, heeded })
    }

    fn wait(&mut self, command: Command) -> io::Result<ExitStatus> {
        let heeded = &mut self.heeded;
        self.runtime.block_on(async {
            let mut child = tokio::process::Command::from(command).spawn()?;
            let told = poll_fn(|context| {
                let told = heeded.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
                if told { Poll::Ready(()) } else { Poll::Pending }
            });
            tokio::select! {
                status = child.wait() => return status,
                () = told => child.start_kill()?,
            }
            child.wait().await
        })
    }
}

#[cfg(not(unix))]
struct Watch;

#[cfg(not(unix))]
impl Watch {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    fn wait(&mut self, mut command: Command) -> io::Result<ExitStatus> {
        command.status()
    }
}
