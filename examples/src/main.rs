//! `cargo demo`: a Secret from an editor to the cluster, and what happens to one that is copied elsewhere.

mod steps;

use std::process::ExitCode;

use clap::Parser;

/// Seals an example Secret, applies it to a real API server, and shows what becomes of it.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Options {
    /// Use the cluster of this kubeconfig context instead of a control plane on loopback; Bulla is installed into it
    #[arg(long)]
    context: Option<String>,
    /// Leave everything running and print how to use and how to stop it
    #[arg(long)]
    keep: bool,
}

fn main() -> ExitCode {
    match steps::run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
