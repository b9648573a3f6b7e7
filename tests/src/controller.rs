//! `bulla-controller` as a process of its own, under its own ServiceAccount.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bulla_control_plane::{ControlPlane, Process};

use crate::binaries::binary;

/// One that nobody listens on. NOTE: not one of those that the system gives to connections, of which tests make thousands: between the look at
/// it and the controller's start one of them would take it now and then.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = (Ipv4Addr::LOCALHOST, u16::try_from(20_000 + number % 12_000).unwrap()).into();
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A running controller; killed when dropped, and when the test ends without dropping it.
#[derive(Debug)]
pub struct Controller {
    process: Process,
    /// Where it serves HTTP.
    address: SocketAddr,
}

impl Controller {
    /// Starts a controller with the token of `bulla-system/bulla-controller` and `args`; its log goes on where the last one ended. An
    /// unoptimised one says all that it does.
    pub async fn start(plane: &ControlPlane, args: &[&str]) -> Self {
        Self::start_in(plane, "bulla-system", args).await
    }

    /// As [`Controller::start`], with the token of `namespace/bulla-controller` and its private keys there.
    pub async fn start_in(plane: &ControlPlane, namespace: &str, args: &[&str]) -> Self {
        let kubeconfig = plane.service_account_kubeconfig(namespace, "bulla-controller").await.unwrap();
        Self::start_by(plane, &kubeconfig, namespace, args)
    }

    /// As [`Controller::start_in`], by the way to the API server that a kubeconfig has.
    pub fn start_by(plane: &ControlPlane, kubeconfig: &Path, namespace: &str, args: &[&str]) -> Self {
        let own = format!("--namespace={namespace}");
        let address = free_address();
        let http = format!("--http-address={address}");
        let args: Vec<String> = ["--log-level", if cfg!(debug_assertions) { "debug" } else { "info" }, &http, &own]
            .iter()
            .chain(args)
            .map(|arg| (*arg).to_owned())
            .collect();
        let program = binary("bulla-controller");
        let environment = [("KUBECONFIG", kubeconfig)];
        let process = Process::start("bulla-controller", &program, &args, &environment, plane.folder()).unwrap();
        Self { process, address }
    }

    /// What it answers to `GET path`: code and text; none while it does not serve.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// The value of one line of `/metrics`; none while there is no such line.
    #[must_use]
    pub fn metric(&self, line: &str) -> Option<f64> {
        let text = self.get("/metrics")?.1;
        text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where it and its predecessors on this control plane log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.process.log().to_owned()
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// SIGKILL.
    pub fn kill(self) {
        drop(self);
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }
}

/// Last lines of a log that a failed test shows.
const SHOWN: usize = 60;

impl Drop for Controller {
    /// The folder with the log is gone once the test has failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.process.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- bulla-controller {}:", self.process.id());
            eprintln!("{}", lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
        }
    }
}
