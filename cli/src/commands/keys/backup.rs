//! `bulla keys backup`: all private keys in one age file that plain `age` opens.

use std::path::PathBuf;

use bulla_keys::backup::{self as format, BackupKey, SealingKeyRecord};
use bulla_shared::age::{Algorithm, encrypt, encrypt_with_passphrase};
use bulla_shared::resources::sealing_key::SealingKey;
use bulla_shared::sealed::Recipients;
use jiff::Timestamp;

use super::NamespaceArgs;
use crate::cluster::ContextArgs;
use crate::error::{Error, Kind, note, plural, warn};
use crate::files::{self, Access};
use crate::keys::RecipientArgs;
use crate::passphrase::PassphraseArgs;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Needs the right to read Secrets in the controller's namespace. After each rotation, make another backup; keep the identity or \
    passphrase that opens it away from it. age -d opens the file, and what comes out is an identity file."
)]
pub(super) struct Args {
    /// File to write; an existing one is never overwritten
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    recipients: RecipientArgs,
    #[command(flatten)]
    passphrase: PassphraseArgs,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let recipients = args.recipients.read()?;
    if recipients.is_empty() != args.passphrase.is_given() {
        return Err(Error::new(Kind::Usage, "a backup is encrypted: to recipients, or under a passphrase")
            .hint("either -r RECIPIENT or -R FILE, or -p to be asked for a passphrase"));
    }
    if recipients.iter().any(|recipient| recipient.algorithm() == Algorithm::X25519) {
        warn(
            "an x25519 recipient does not protect a stolen backup from a later quantum computer; bulla keygen makes hybrid keys",
        );
    }
    if !recipients.is_empty() {
        Recipients::new(recipients.clone()).map_err(|error| {
            Error::new(Kind::Configuration, "cannot encrypt to these recipients").cause(error).hint("name recipients of one kind")
        })?;
    }
    let passphrase = args.passphrase.choose()?;
    let cluster = args.context.connect()?;
    let published = cluster.sealing_keys()?;
    let keys: Vec<BackupKey> = cluster
        .private_keys(&args.namespace.namespace)?
        .into_iter()
        .map(|key| {
            let fingerprint = key.record().fingerprint.to_string();
            BackupKey { created: key.created, sealing_key: sealing_key(&published, &fingerprint), identity: key.identity }
        })
        .collect();
    if keys.is_empty() {
        return Err(Error::new(Kind::Cluster, format!("there is no private key in namespace {}", args.namespace.namespace))
            .hint("-n names the controller's namespace"));
    }
    let text = format::write(&keys, Timestamp::now());
    let file = match passphrase {
        Some(passphrase) => encrypt_with_passphrase(text.as_bytes(), &passphrase),
        None => encrypt(text.as_bytes(), &recipients),
    };
    files::create(&args.output, &file, Access::Private)?;
    note(format!("{} in {}; next: bulla keys verify-backup", plural(keys.len(), "key", "keys"), args.output.display()));
    Ok(())
}

/// What the oldest `SealingKey` of this fingerprint says: it is the one that has effect.
fn sealing_key(published: &[SealingKey], fingerprint: &str) -> Option<SealingKeyRecord> {
    let named = |key: &&SealingKey| key.status.as_ref().is_some_and(|status| status.fingerprint.as_deref() == Some(fingerprint));
    let oldest = published.iter().filter(named).min_by_key(|key| key.metadata.creation_timestamp.clone().map(|time| time.0))?;
    Some(SealingKeyRecord {
        name: oldest.metadata.name.clone()?,
        state: oldest.spec.state,
        compromised_at: oldest.spec.compromised_at.as_ref().and_then(|text| text.parse().ok()),
    })
}
