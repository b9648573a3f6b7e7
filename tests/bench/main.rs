//! `just bench-value`: what one value and one command cost, beside Go's `age` and beside `kubeseal`, in one table.
//! `just bench-edit`: what changing one item of a file costs as a whole command.
//! `just bench-keys`: what rewrapping a repository costs, and what a flood of requests for it does to others.
//! `just bench-check`: what checking a tree costs.
//! `just bench-controller`: how fast, how large and how quick again the controller is.
//!
//! | file | idea |
//! | --- | --- |
//! | `measure.rs` | rounds that alternate, and their median |
//! | `peer.rs` | Go's `age` library as a process that is asked a round at a time |
//! | `value.rs` | seal, open and rewrap one value; rings of many keys |
//! | `hostile.rs` | how long a refusal takes |
//! | `check.rs` | a tree of 10,000 files against reading and parsing them |
//! | `controller/` | objects in bulk, a restart, memory, latency, beside the API server's limit and Sealed Secrets |
//! | `rewrap.rs` | a repository of 1,000 files, offline and through a cluster |
//! | `flood.rs` | reconciling while rewrap requests flood in |
//! | `process.rs` | the whole `bulla seal` and `bulla set` against `kubeseal`: time and memory |
//! | `table.rs` | rows, ratios, goals |
//!
//! Figures of one machine say little, so that everything is compared with something measured in the same minute.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

mod check;
mod controller;
mod flood;
mod hostile;
mod measure;
mod peer;
mod process;
mod rewrap;
mod table;
mod value;

use std::process::{Command, ExitCode};

use peer::Peer;
use table::Table;

fn main() -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!(
            "figures of an unoptimised build mean nothing; run: just bench-value, bench-edit, bench-keys, bench-check or bench-controller"
        );
        return ExitCode::FAILURE;
    }
    match std::env::args().nth(1).as_deref() {
        Some("value") => value(),
        Some("edit") => edit(),
        Some("keys") => keys(),
        Some("check") => check(),
        Some("controller") => controller(),
        _ => {
            eprintln!("which? run: just bench-value, bench-edit, bench-keys, bench-check or bench-controller");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn value() {
    let mut peer = Peer::start();
    let kubeseal = version(bulla_control_plane::tools::kubeseal().unwrap(), &["--version"]);
    head(&format!("{}; age {}; {kubeseal}", peer.go, peer.age));
    let mut table = Table::default();
    value::run(&mut table, &mut peer);
    hostile::run(&mut table);
    process::seal(&mut table);
    print!("{table}");
}

fn edit() {
    head(&version(bulla_control_plane::tools::kubeseal().unwrap(), &["--version"]));
    let mut table = Table::default();
    process::set(&mut table);
    print!("{table}");
}

fn keys() {
    head("kube-apiserver 1.37.2");
    let mut table = Table::default();
    rewrap::offline(&mut table);
    runtime().block_on(async {
        let cluster = bulla_tests::cluster::Cluster::start(bulla_control_plane::Options::default()).await;
        let controller = cluster.controller(&[]).await;
        rewrap::through_the_cluster(&mut table, &cluster).await;
        flood::run(&mut table, &cluster).await;
        drop(controller);
    });
    print!("{table}");
}

fn controller() {
    head("kube-apiserver 1.37.2; sealed-secrets 0.27.1");
    let mut table = Table::default();
    runtime().block_on(controller::run(&mut table));
    print!("{table}");
}

fn check() {
    head("granit-parser 2.2");
    let mut table = Table::default();
    check::run(&mut table);
    print!("{table}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

fn head(beside: &str) {
    let cores = std::thread::available_parallelism().unwrap();
    println!("{}; {beside}; {cores} cores\n", version("rustc", &["--version"]));
}

fn version(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
