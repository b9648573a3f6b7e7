//! A child process that never outlives us, not even when we are killed with SIGKILL.
//!
//! It is started through a shell that first leaves a watcher behind and then becomes the program, so that the child's
//! id is the program's own. The watcher reads from a pipe whose other end only we hold: a line on it means that the
//! child was stopped in order or is let go; its end means that we are gone, and the watcher kills the child.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// `$$` stays the id of the outer shell inside `( )`, and `exec` keeps it.
const BECOME_AND_WATCH: &str = r#"exec 3<&0
(read -r released <&3 || kill -KILL $$) &
exec "$@" 3<&- </dev/null"#;

/// Waits a moment, so that the killed processes do not write any more.
const SWEEP: &str = r#"read -r released || { sleep 1; rm -rf -- "$1"; }"#;

/// A running program; dropped, it is killed and waited for.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    log: PathBuf,
    /// Where in its log it began: the rest is of its predecessors.
    log_start: u64,
    child: Child,
    pipe: Option<ChildStdin>,
    detached: bool,
}

impl Process {
    /// Starts `program` in `folder` with `environment` added to ours; both of its outputs are appended to `logs/<name>.log` there.
    pub fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        environment: &[(&str, &Path)],
        folder: &Path,
    ) -> io::Result<Self> {
        let log = folder.join("logs").join(name).with_extension("log");
        let file = OpenOptions::new().create(true).append(true).open(&log)?;
        let log_start = file.metadata()?.len();
        let mut child = Command::new("/bin/sh")
            .args(["-c", BECOME_AND_WATCH, "sh"])
            .arg(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(folder)
            // Ctrl-C in a terminal is for us, who stop the children in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { name, log, log_start, child, pipe, detached: false })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Where its output goes.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it has logged this since its start.
    pub(crate) fn has_logged(&self, text: &str) -> bool {
        let mut log = Vec::new();
        let read = File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.log_start))?;
            file.read_to_end(&mut log)
        });
        read.is_ok() && String::from_utf8_lossy(&log).contains(text)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        // Without `unsafe` there is no other way. The child has not been waited for, so the id is still its own.
        let _ = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
    }

    /// How it ended, if it did so by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        if status.is_some() {
            // From here on its id may belong to someone else, whom the watcher must not kill.
            release(&mut self.pipe);
        }
        status
    }

    /// Lets it run on after us; returns its id.
    #[must_use]
    pub fn detach(mut self) -> u32 {
        release(&mut self.pipe);
        self.detached = true;
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.detached {
            // NOTE: SIGKILL, as an API server that is asked politely drains for up to a minute.
            let _ = self.child.kill();
            let _ = self.child.wait();
            release(&mut self.pipe);
        }
    }
}

/// Removes a folder when we are gone without having released it.
#[derive(Debug)]
pub(crate) struct Sweeper {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Sweeper {
    pub(crate) fn watch(folder: &Path) -> io::Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SWEEP, "sh"])
            .arg(folder)
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        release(&mut self.pipe);
        let _ = self.child.wait();
    }
}

/// Tells a watcher that there is nothing left to do.
fn release(pipe: &mut Option<ChildStdin>) {
    if let Some(mut pipe) = pipe.take() {
        // A watcher that is gone already needs no word.
        let _ = pipe.write_all(b"released\n");
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::*;

    fn sleeper(folder: &Path) -> Process {
        std::fs::create_dir_all(folder.join("logs")).unwrap();
        Process::start("sleeper", Path::new("/bin/sleep"), &["60".to_owned()], &[], folder).unwrap()
    }

    /// Whether a process of this id runs; one that only waits to be reaped does not count.
    fn alive(id: u32) -> bool {
        let output = Command::new("ps").args(["-o", "stat=", "-p", &id.to_string()]).output().unwrap();
        let state = String::from_utf8(output.stdout).unwrap();
        !state.trim().is_empty() && !state.starts_with('Z')
    }

    fn gone_soon(id: u32) -> bool {
        let start = Instant::now();
        while alive(id) {
            if start.elapsed() > Duration::from_secs(5) {
                return false;
            }
            sleep(Duration::from_millis(20));
        }
        true
    }

    #[test]
    fn dropped_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let process = sleeper(folder.path());
        let id = process.id();
        assert!(alive(id));
        drop(process);
        assert!(!alive(id));
    }

    #[test]
    fn the_end_of_the_pipe_kills_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = sleeper(folder.path());
        assert!(process.ended().is_none());
        // What the kernel does to the pipe when we are killed.
        drop(process.pipe.take());
        assert!(gone_soon(process.id()));
        assert!(process.ended().is_some());
    }

    #[test]
    fn what_its_predecessor_logged_is_not_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("logs/sleeper.log");
        let says = |process: &Process, text: &str| {
            let mut file = OpenOptions::new().append(true).open(&log).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            process.has_logged(text)
        };
        let first = sleeper(folder.path());
        assert!(says(&first, "ready\n"));
        drop(first);
        let second = sleeper(folder.path());
        assert!(!second.has_logged("ready"));
        assert!(says(&second, "ready again\n"));
    }

    #[test]
    fn detached_it_runs_on() {
        let folder = tempfile::tempdir().unwrap();
        let id = sleeper(folder.path()).detach();
        sleep(Duration::from_millis(300));
        assert!(alive(id));
        Command::new("kill").args(["-KILL", &id.to_string()]).status().unwrap();
    }

    #[test]
    fn a_sweeper_removes_only_what_nobody_released() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, lost) = (folder.path().join("kept"), folder.path().join("lost"));
        std::fs::create_dir(&kept).unwrap();
        std::fs::create_dir(&lost).unwrap();
        drop(Sweeper::watch(&kept).unwrap());
        let mut sweeper = Sweeper::watch(&lost).unwrap();
        drop(sweeper.pipe.take());
        sweeper.child.wait().unwrap();
        assert!(kept.exists());
        assert!(!lost.exists());
    }
}
