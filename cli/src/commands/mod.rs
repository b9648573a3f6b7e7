//! The commands, one file each.

mod completions;
#[cfg(unix)]
mod exec;
mod inspect;
mod keygen;
mod keys;
mod man;
mod recipients;
mod rewrap;
mod seal;
mod set;
mod unseal;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;

/// Seal Secrets for Git: ciphertext that only the cluster can open.
#[derive(Debug, Parser)]
#[command(name = "bulla", version, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 fine; 1 findings; 2 usage or input; 3 configuration; 4 keys or ciphertext; 5 cluster; 70 a bug; 74 input/output; 125 to 127 of exec"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a private key, or print the public half of one
    Keygen(keygen::Args),
    /// Turn Secrets into SealedSecrets
    Seal(seal::Args),
    /// Change or add items of a sealed file, with public keys only
    Set(set::Args),
    /// Open SealedSecrets offline, with a private key
    Unseal(unseal::Args),
    /// Run a command with opened values, its output redacted
    #[cfg(unix)]
    Exec(exec::Args),
    /// Show scope, keys and dates of sealed values, without any key
    Inspect(inspect::Args),
    /// Compare the committed public keys with those of the clusters
    Recipients(recipients::Args),
    /// Move sealed values to the newest keys, in place
    Rewrap(rewrap::Args),
    /// Look after the sealing keys of a cluster
    Keys(keys::Args),
    /// Print shell completions
    Completions(completions::Args),
    /// Print or write the man pages
    Man(man::Args),
}

/// Runs one command.
pub fn run(command: &Command) -> Result<ExitCode, Error> {
    match command {
        #[cfg(unix)]
        Command::Exec(args) => return exec::run(args),
        Command::Keygen(args) => keygen::run(args),
        Command::Seal(args) => seal::run(args),
        Command::Set(args) => set::run(args),
        Command::Unseal(args) => unseal::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Recipients(args) => recipients::run(args),
        Command::Rewrap(args) => rewrap::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
    .map(|()| ExitCode::SUCCESS)
}
