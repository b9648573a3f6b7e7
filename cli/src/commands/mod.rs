//! The commands, one file each.

mod check;
mod completions;
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

use clap::{Parser, Subcommand};

use crate::error::Error;

/// Seal Secrets for Git: ciphertext that only the cluster can open.
#[derive(Debug, Parser)]
#[command(name = "bulla", version, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 fine; 1 findings; 2 usage or input; 3 configuration; 4 keys or ciphertext; 5 cluster; 70 a bug; 74 input/output"
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
    /// Print shell completions
    Completions(completions::Args),
    /// Print or write the man pages
    Man(man::Args),
}

/// Runs one command.
pub fn run(command: &Command) -> Result<(), Error> {
    match command {
        Command::Keygen(args) => keygen::run(args),
        Command::Seal(args) => seal::run(args),
        Command::Set(args) => set::run(args),
        Command::Unseal(args) => unseal::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Check(args) => check::run(args),
        Command::Recipients(args) => recipients::run(args),
        Command::Rewrap(args) => rewrap::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}
