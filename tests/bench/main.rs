//! `just bench-value`: what one value and one command cost, beside Go's `age` and beside `kubeseal`, in one table.
//!
//! | file | idea |
//! | --- | --- |
//! | `measure.rs` | rounds that alternate, and their median |
//! | `peer.rs` | Go's `age` library as a process that is asked a round at a time |
//! | `value.rs` | seal, open and rewrap one value; rings of many keys |
//! | `hostile.rs` | how long a refusal takes |
//! | `process.rs` | the whole `bulla seal` against `kubeseal`: time and memory |
//! | `table.rs` | rows, ratios, goals |
//!
//! Figures of one machine say little, so that everything is compared with something measured in the same minute.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

mod hostile;
mod measure;
mod peer;
mod process;
mod table;
mod value;

use std::process::{Command, ExitCode};

use peer::Peer;
use table::Table;

fn main() -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!("figures of an unoptimised build mean nothing; run: just bench-value");
        return ExitCode::FAILURE;
    }
    let mut peer = Peer::start();
    let rustc = version("rustc", &["--version"]);
    let kubeseal = version(bulla_control_plane::tools::kubeseal().unwrap(), &["--version"]);
    let cores = std::thread::available_parallelism().unwrap();
    println!("{rustc}; {}; age {}; {kubeseal}; {cores} cores\n", peer.go, peer.age);
    let mut table = Table::default();
    value::run(&mut table, &mut peer);
    hostile::run(&mut table);
    process::run(&mut table);
    print!("{table}");
    ExitCode::SUCCESS
}

fn version(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
