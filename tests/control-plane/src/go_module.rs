//! Builds a pinned Go module once into the user's cache, however many processes ask at the same time.
//!
//! A finished build is a folder named after everything the build depends on; it appears by a rename, so an interrupted
//! build never counts as done. Nothing is ever updated in place or removed.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;

/// How often a wait is looked at.
const POLL: Duration = Duration::from_millis(100);
/// How often a long wait says that it still goes on.
const SAY_EVERY: Duration = Duration::from_secs(15);
/// How much of a failed command's output an error carries.
const LOG_LINES: usize = 20;

/// Why something that is built from a Go module is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// None of `BULLA_CACHE`, `XDG_CACHE_HOME` and the home directory is known.
    #[error("no cache folder: set BULLA_CACHE, XDG_CACHE_HOME or HOME")]
    NoCache,
    /// `go` cannot be run.
    #[error("go cannot be run, and {name} is built with it: install Go 1.26 or later ({instead})")]
    NoGo {
        /// What was to be built.
        name: &'static str,
        /// What to do where Go is not wanted.
        instead: &'static str,
        /// What running it said.
        source: io::Error,
    },
    /// `go` ran and failed.
    #[error("{command} failed while building {name}:\n{log}")]
    Failed {
        /// What was to be built.
        name: &'static str,
        /// The command, without its flags.
        command: &'static str,
        /// The end of its output.
        log: String,
    },
    /// The cache cannot be read or written.
    #[error("cannot use the cache at {path}")]
    Cache {
        /// The file or folder in question.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A Go module whose `go.mod` and `go.sum` pin everything.
pub(crate) struct GoModule {
    /// The folder name in the cache and the name in messages.
    pub(crate) name: &'static str,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
    pub(crate) product: Product,
    /// How long it usually takes, for whoever waits.
    pub(crate) usually: &'static str,
    /// What to do where Go is not wanted.
    pub(crate) instead: &'static str,
}

/// What is taken from a Go module.
pub(crate) enum Product {
    /// The binaries of its `tool` lines.
    Tools {
        ldflags: &'static str,
        /// Binaries that come out under another name than wanted.
        renames: &'static [(&'static str, &'static str)],
    },
    /// The files of one folder of a module that it requires.
    Files { module: &'static str, folder: &'static str },
}

impl GoModule {
    /// The folder with the finished product: built now, by another process meanwhile, or long ago.
    pub(crate) fn ready(&self) -> Result<PathBuf, BuildError> {
        let home = cache_folder()?.join(self.name);
        let done = home.join(self.id());
        let product = done.join("bin");
        if product.is_dir() {
            return Ok(product);
        }
        fs::create_dir_all(&home).map_err(at(&home))?;
        let lock = self.lock(&done.with_extension("lock"))?;
        if !product.is_dir() {
            self.build(&home, &done)?;
        }
        drop(lock);
        Ok(product)
    }

    /// Names a build by all that it depends on.
    fn id(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        let (first, second) = match self.product {
            Product::Tools { ldflags, .. } => ("tools", ldflags),
            Product::Files { module, folder } => (module, folder),
        };
        let (os, arch) = (env::consts::OS, env::consts::ARCH);
        for part in [self.go_mod, self.go_sum, first, second, os, arch] {
            context.update(&part.len().to_le_bytes());
            context.update(part.as_bytes());
        }
        let hash = context.finish();
        hash.as_ref()[..8].iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Waits until no other process builds this; the lock ends with the file, also when the process is killed.
    fn lock(&self, path: &Path) -> Result<File, BuildError> {
        let file = File::create(path).map_err(at(path))?;
        let mut wait = Wait::new(format!("another process builds {}", self.name), "");
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => wait.pause(),
                Err(TryLockError::Error(source)) => {
                    let path = path.to_owned();
                    return Err(BuildError::Cache { path, source });
                }
            }
        }
    }

    fn build(&self, home: &Path, done: &Path) -> Result<(), BuildError> {
        let prefix = format!("{}-building-", self.id());
        remove_leftovers(home, &prefix);
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(home).map_err(at(home))?;
        let folder = folder.path();
        let out = folder.join("done/bin");
        fs::create_dir_all(&out).map_err(at(&out))?;
        for (name, text) in [("go.mod", self.go_mod), ("go.sum", self.go_sum)] {
            let path = folder.join(name);
            fs::write(&path, text).map_err(at(&path))?;
        }
        match self.product {
            Product::Tools { ldflags, renames } => {
                let mut go = go(folder, "build");
                go.args(["-trimpath", "-buildvcs=false", "-mod=readonly"])
                    .args(["-ldflags", ldflags, "-o"])
                    .arg(&out)
                    .arg("tool");
                self.run(go, "go build", folder)?;
                for (from, to) in renames {
                    fs::rename(out.join(from), out.join(to)).map_err(at(&out))?;
                }
            }
            Product::Files { module, folder: of } => {
                let mut download = go(folder, "mod");
                download.args(["download", module]);
                self.run(download, "go mod download", folder)?;
                let mut list = go(folder, "list");
                list.args(["-mod=readonly", "-m", "-f", "{{.Dir}}", module]);
                let module_folder = self.run(list, "go list", folder)?;
                copy_files(&Path::new(module_folder.trim()).join(of), &out)?;
            }
        }
        fs::rename(folder.join("done"), done).map_err(at(done))
    }

    /// Runs a `go` command to its end and says meanwhile that it still runs; its standard output comes back.
    fn run(&self, mut go: Command, command: &'static str, folder: &Path) -> Result<String, BuildError> {
        let (out, log) = (folder.join("stdout"), folder.join("stderr"));
        go.stdin(Stdio::null()).stdout(File::create(&out).map_err(at(&out))?).stderr(File::create(&log).map_err(at(&log))?);
        let mut child = go.spawn().map_err(|source| BuildError::NoGo { name: self.name, instead: self.instead, source })?;
        let mut wait = Wait::new(format!("{command} for {}", self.name), self.usually);
        loop {
            match child.try_wait().map_err(at(folder))? {
                Some(status) if status.success() => {
                    return fs::read_to_string(&out).map_err(at(&out));
                }
                Some(_) => {
                    let log = last_lines(&log, LOG_LINES);
                    let name = self.name;
                    return Err(BuildError::Failed { name, command, log });
                }
                None => wait.pause(),
            }
        }
    }
}

/// `$BULLA_CACHE`, else `$XDG_CACHE_HOME/bulla`, else `~/.cache/bulla`; always absolute, as `go` runs elsewhere.
fn cache_folder() -> Result<PathBuf, BuildError> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let folder = set("BULLA_CACHE")
        .map(PathBuf::from)
        .or_else(|| set("XDG_CACHE_HOME").map(|base| Path::new(&base).join("bulla")))
        .or_else(|| env::home_dir().map(|home| home.join(".cache/bulla")))
        .ok_or(BuildError::NoCache)?;
    std::path::absolute(&folder).map_err(at(&folder))
}

/// A `go` command that takes nothing from an enclosing workspace and needs no C compiler.
fn go(folder: &Path, verb: &str) -> Command {
    let mut command = Command::new("go");
    command.current_dir(folder).env("CGO_ENABLED", "0").env("GOWORK", "off").env_remove("GOOS").env_remove("GOARCH").arg(verb);
    command
}

/// Removes what interrupted builds left; whoever calls holds the lock, so none of it is in use.
fn remove_leftovers(home: &Path, prefix: &str) {
    for entry in fs::read_dir(home).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<(), BuildError> {
    for entry in fs::read_dir(from).map_err(at(from))? {
        let path = entry.map_err(at(from))?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            // Read and written, not copied: the module cache is read-only and the copy need not be.
            let bytes = fs::read(&path).map_err(at(&path))?;
            fs::write(to.join(name), bytes).map_err(at(to))?;
        }
    }
    Ok(())
}

/// The end of a log, for an error message.
pub(crate) fn last_lines(path: &Path, count: usize) -> String {
    let text = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::Cache { path, source }
}

/// A wait that says every 15 s what it waits for.
struct Wait {
    what: String,
    usually: &'static str,
    since: Instant,
    said: Duration,
}

impl Wait {
    fn new(what: String, usually: &'static str) -> Self {
        let (since, said) = (Instant::now(), Duration::ZERO);
        Self { what, usually, since, said }
    }

    fn pause(&mut self) {
        sleep(POLL);
        let elapsed = self.since.elapsed();
        if elapsed >= self.said + SAY_EVERY {
            self.said = elapsed;
            // NOTE: not `eprintln!`, which the test harness holds back until the test is over.
            let line = format!("{}: {} s{}\n", self.what, elapsed.as_secs(), self.usually);
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: &str = "";

    fn module(ldflags: &'static str) -> GoModule {
        GoModule {
            name: "nothing",
            go_mod: "module nothing\n",
            go_sum: NONE,
            product: Product::Tools { ldflags, renames: &[] },
            usually: NONE,
            instead: NONE,
        }
    }

    #[test]
    fn another_flag_is_another_build() {
        assert_eq!(module("-s").id(), module("-s").id());
        assert_ne!(module("-s").id(), module("-w").id());
        assert_eq!(module("-s").id().len(), 16);
    }

    #[test]
    fn a_failed_build_says_why_and_leaves_nothing_that_counts() {
        let home = tempfile::tempdir().unwrap();
        let done = home.path().join("done");
        let mut broken = module(NONE);
        broken.go_mod = "modul nothing\n";
        let error = broken.build(home.path(), &done).unwrap_err();
        assert!(matches!(error, BuildError::Failed { .. }), "{error}");
        assert!(error.to_string().contains("go.mod"), "{error}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_second_to_ask_waits_for_the_first() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let first = module(NONE).lock(&path).unwrap();
        let second = std::thread::spawn(move || module(NONE).lock(&path).map(|_| Instant::now()));
        sleep(3 * POLL);
        let released = Instant::now();
        drop(first);
        assert!(second.join().unwrap().unwrap() >= released);
    }

    #[test]
    fn the_end_of_a_log_is_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "one\ntwo\nthree\n").unwrap();
        assert_eq!(last_lines(&log, 2), "two\nthree");
        assert_eq!(last_lines(&log, 9), "one\ntwo\nthree");
        assert_eq!(last_lines(&folder.path().join("none"), 2), "");
    }
}
