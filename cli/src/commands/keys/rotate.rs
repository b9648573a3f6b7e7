//! `bulla keys rotate`: a new `SealingKey`; the controller makes the private key, which never leaves the cluster.

use std::io::IsTerminal as _;

use bulla_keys::rotation::{Holder, next_name};
use bulla_shared::age::{Algorithm, Recipient};
use bulla_shared::resources::sealing_key::{KeyAlgorithm, SealingKeySpec};

use super::record;
use crate::cluster::{Cluster, ContextArgs};
use crate::commands::values::KeyKind;
use crate::error::{Error, note};
use crate::files::{self, Access};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Values that are in Git stay under the old key, and still open. Next: bulla recipients --update, then bulla rewrap."
)]
pub(super) struct Args {
    #[command(flatten)]
    context: ContextArgs,
    /// Kind of the key
    #[arg(long, value_enum, default_value_t = KeyKind::Hybrid)]
    algorithm: KeyKind,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let recipient = rotate(&args.context.connect()?, args.algorithm.into())?;
    note("next: bulla recipients --update; bulla rewrap PATH; commit and apply");
    // Two thousand characters that nobody reads; a pipe or a file gets them.
    if std::io::stdout().is_terminal() {
        Ok(())
    } else {
        files::write(None, format!("{recipient}\n").as_bytes(), Access::Default)
    }
}

/// Makes the next key and waits until it is published. Its name follows from the newest one, so two admins at once make one key.
pub(super) fn rotate(cluster: &Cluster, algorithm: KeyAlgorithm) -> Result<Recipient, Error> {
    let keys = cluster.sealing_keys()?;
    let all: Vec<_> = keys.iter().filter_map(record).collect();
    let first = match algorithm {
        KeyAlgorithm::Hybrid => "initial",
        KeyAlgorithm::X25519 => "initial-x25519",
    };
    let holder = |name: &str| match keys.iter().find(|key| key.metadata.name.as_deref() == Some(name)) {
        None => Holder::Nobody,
        // One that is not published yet is the one that is waited for below.
        Some(key) => record(key).map_or(Holder::Nobody, |key| Holder::Key(key.fingerprint.id())),
    };
    let name = next_name(Algorithm::from(algorithm), &all, holder).unwrap_or_else(|| first.to_owned());
    let new = cluster.create_sealing_key(&name, SealingKeySpec { algorithm, ..SealingKeySpec::default() })?;
    if !new {
        note(format!("the SealingKey {name} is there already: waiting for it"));
    }
    let recipient = cluster.published(&name)?;
    note(format!("SealingKey {name}, fingerprint {}", recipient.fingerprint()));
    Ok(recipient)
}
