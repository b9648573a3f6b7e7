//! `bulla keys`: the sealing keys of a cluster, for its admins. One file per subcommand.

mod backup;
mod compromise;
mod list;
mod restore;
mod retire;
mod rotate;
mod verify_backup;

use std::path::{Path, PathBuf};

use bulla_keys::backup::{self as format, BackupKey};
use bulla_keys::rotation;
use bulla_keys::select::newest_active;
use bulla_shared::age::{AgeError, decrypt, decrypt_with_passphrase};
use bulla_shared::resources::sealing_key::{KeyAlgorithm, SealingKey};
use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::error::{Error, Kind};
use crate::files::Input;
use crate::keys::all_identities;
use crate::passphrase::PassphraseArgs;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show all keys: state, age, how much each opens, which is the newest
    List(list::Args),
    /// Have the controller make a new key that everybody seals to from now on
    Rotate(rotate::Args),
    /// Have a key opened with no more; refused while values are sealed to it
    Retire(retire::Args),
    /// Record that a key is in other hands: a new one is made, what was sealed before still opens
    Compromise(compromise::Args),
    /// Write all private keys into one encrypted age file
    Backup(backup::Args),
    /// Prove, without a cluster, that a backup opens every sealed file
    VerifyBackup(verify_backup::Args),
    /// Put the keys of a backup into a cluster; what is there already stays
    Restore(restore::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Rotate(args) => rotate::run(args),
        Command::Retire(args) => retire::run(args),
        Command::Compromise(args) => compromise::run(args),
        Command::Backup(args) => backup::run(args),
        Command::VerifyBackup(args) => verify_backup::run(args),
        Command::Restore(args) => restore::run(args),
    }
}

/// The namespace of the private keys.
#[derive(Debug, Clone, clap::Args)]
struct NamespaceArgs {
    /// Namespace of the controller
    #[arg(short, long, default_value = "bulla-system")]
    namespace: String,
}

/// What a backup is opened with.
#[derive(Debug, Clone, clap::Args)]
struct OpenArgs {
    /// File with the private key that the backup is encrypted to; may be repeated
    #[arg(short, long = "identity", value_name = "FILE", conflicts_with_all = ["passphrase", "passphrase_file"])]
    identities: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl OpenArgs {
    /// Reads a backup.
    fn open(&self, path: &Path) -> Result<Vec<BackupKey>, Error> {
        let failed = |cause: &dyn std::fmt::Display| {
            Error::new(Kind::Keys, format!("cannot open the backup {}", path.display())).cause(cause)
        };
        let file = Input::from_path(path).read("a backup")?;
        let plain = match self.passphrase.read()? {
            Some(passphrase) => decrypt_with_passphrase(&file, &passphrase).map_err(|error| {
                failed(&error).hint(hint(&error, "is it the right passphrase, or is the backup encrypted to a key (-i FILE)?"))
            })?,
            None if self.identities.is_empty() => {
                return Err(
                    failed(&"nothing is given to open it with").hint("-i FILE names a private key; -p asks for a passphrase")
                );
            }
            None => {
                let all = all_identities(&self.identities)?;
                let other =
                    "is it encrypted to another key, or under a passphrase (-p)? bulla keygen -y FILE prints whose key it is";
                decrypt(&file, &all).map_err(|error| failed(&error).hint(hint(&error, other)))?
            }
        };
        format::read(plain.expose()).map_err(|error| failed(&error).hint("bulla keys backup writes backups"))
    }
}

/// A file that is damaged is not opened by another key.
fn hint(error: &AgeError, other: &'static str) -> &'static str {
    match error {
        AgeError::NoMatch => other,
        AgeError::Header(_) => "this is no age file, or only the beginning of one: bulla keys backup writes backups",
        _ => "the file was damaged or cut off: take another copy",
    }
}

/// The record of a published key, as the rules of rotation want it.
fn record(key: &SealingKey) -> Option<rotation::Key> {
    let created: Timestamp = key.status.as_ref()?.created.as_ref()?.parse().ok()?;
    Some(rotation::Key { fingerprint: key.published()?, algorithm: key.spec.algorithm.into(), created, asked: key.spec.state })
}

/// The name of the newest key of a kind, which everybody seals to.
fn newest(cluster: &Cluster, algorithm: KeyAlgorithm) -> Result<Option<String>, Error> {
    let keys = cluster.sealing_keys()?;
    Ok(newest_active(&keys, algorithm.into(), Timestamp::now()).map(|newest| newest.name))
}
