//! The commands, one file each.

mod check;
mod completions;
mod create;
mod doctor;
mod earlier;
mod edit;
#[cfg(unix)]
mod exec;
mod git;
mod init;
mod inspect;
mod items;
mod keygen;
mod keys;
mod man;
mod objections;
mod recipients;
mod replaced;
mod rewrap;
mod seal;
mod sealed_object;
mod sealing;
mod set;
mod unseal;
mod unset;
mod values;

use std::process::ExitCode;

pub use completions::answer;

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
    /// Write a configuration from what is found here
    Init(init::Args),
    /// Make a private key, or print the public half of one
    Keygen(keygen::Args),
    /// Make a new SealedSecret of values at hand
    Create(create::Args),
    /// Turn Secrets into SealedSecrets
    Seal(seal::Args),
    /// Change or add items of a sealed file, with public keys only
    Set(set::Args),
    /// Edit the items of a sealed file in an editor; without a private key values are placeholders
    Edit(edit::Args),
    /// Take items out of a sealed file, without any key
    Unset(unset::Args),
    /// Open SealedSecrets offline, with a private key
    Unseal(unseal::Args),
    /// Run a command with opened values, its output redacted
    #[cfg(unix)]
    Exec(exec::Args),
    /// Show scope, keys and dates of sealed values, without any key
    Inspect(inspect::Args),
    /// Look for plaintext and for what is wrong with sealed files, without any key
    Check(check::Args),
    /// Compare the committed public keys with those of the clusters
    Recipients(recipients::Args),
    /// Move sealed values to the newest keys, in place
    Rewrap(rewrap::Args),
    /// Look after the sealing keys of a cluster
    Keys(keys::Args),
    /// Say what is set up here, and which rule a path has
    Doctor(doctor::Args),
    /// Make Git treat sealed files well: hook, diff, merge
    Git(git::Args),
    /// Print the script by which a shell completes, also names of items and targets
    Completions(completions::Args),
    /// Print or write the man pages
    Man(man::Args),
}

/// Runs one command.
pub fn run(command: &Command) -> Result<ExitCode, Error> {
    match command {
        #[cfg(unix)]
        Command::Exec(args) => return exec::run(args),
        Command::Init(args) => init::run(args),
        Command::Keygen(args) => keygen::run(args),
        Command::Create(args) => create::run(args),
        Command::Seal(args) => seal::run(args),
        Command::Set(args) => set::run(args),
        Command::Edit(args) => edit::run(args),
        Command::Unset(args) => unset::run(args),
        Command::Unseal(args) => unseal::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Check(args) => check::run(args),
        Command::Recipients(args) => recipients::run(args),
        Command::Rewrap(args) => rewrap::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Git(args) => git::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
    .map(|()| ExitCode::SUCCESS)
}
