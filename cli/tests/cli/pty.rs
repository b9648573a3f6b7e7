//! A pseudo-terminal, and what runs before it.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

use super::canary;
use super::harness::{BULLA, World};

/// A command before a terminal of its own.
pub(crate) struct Terminal {
    pub(crate) master: File,
    pub(crate) child: Child,
    seen: Vec<u8>,
}

impl Terminal {
    /// Starts a program as the leader of a session whose terminal this is.
    pub(crate) fn start(world: &World, program: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        // What another test starts would hold it open.
        #[cfg(target_os = "linux")]
        let flags = flags | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = || -> OwnedFd { File::options().read(true).write(true).open(&name).unwrap().into() };
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).args(program).current_dir(world.path("")).env_remove("USER").env("BULLA", BULLA);
        let child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        drop(command);
        Self { master: File::from(master), child, seen: Vec::new() }
    }

    /// Reads until this has been seen.
    pub(crate) fn expect(&mut self, wanted: &str) -> &mut Self {
        while !self.text().contains(wanted) {
            assert!(self.read(), "{wanted:?} does not come: {}", self.text());
        }
        self
    }

    pub(crate) fn send(&mut self, keys: &str) -> &mut Self {
        self.master.write_all(keys.as_bytes()).unwrap();
        self
    }

    /// Whether it shows what is typed.
    pub(crate) fn echoes(&self) -> bool {
        tcgetattr(&self.master).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    /// Reads to the end; gives the exit code and everything that was seen.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        while self.read() {}
        assert_eq!(canary::trace(&self.seen), None, "{}", self.text());
        (self.child.wait().unwrap().code(), self.text())
    }

    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        // The end of a terminal is an error.
        let count = self.master.read(&mut buffer).unwrap_or(0);
        self.seen.extend_from_slice(&buffer[..count]);
        count > 0
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).replace("\r\n", "\n")
    }
}
