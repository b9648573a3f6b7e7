//! `bulla keys restore`: private keys first, then the `SealingKey`s that name them. What is there already stays as it is.

use std::path::PathBuf;

use bulla_keys::backup::BackupKey;
use bulla_keys::stored::StoredKey;
use bulla_shared::binding::time_text;
use bulla_shared::resources::sealing_key::{SealingKey, SealingKeySpec};

use super::{NamespaceArgs, OpenArgs};
use crate::cluster::{Cluster, ContextArgs};
use crate::error::{Error, Kind, note, warn};

#[derive(Debug, clap::Args)]
#[command(after_help = "On a rebuilt cluster, start the controller with --generate-keys=false until the backup is restored.")]
pub(super) struct Args {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    context: ContextArgs,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let backup = args.open.open(&args.file)?;
    let cluster = args.context.connect()?;
    let namespace = &args.namespace.namespace;
    let there: Vec<String> = cluster.private_keys(namespace)?.iter().map(|key| key.record().fingerprint.to_string()).collect();
    let published = cluster.sealing_keys()?;
    let (mut stored, mut named, all) = (0, 0, backup.len());
    for key in backup {
        let fingerprint = key.fingerprint().to_string();
        let spec = spec(&key, &fingerprint);
        let record = key.sealing_key.clone();
        if !there.contains(&fingerprint) {
            // Named after the key, not after a SealingKey: that has another UID in another cluster.
            let name = format!("restored-{}", key.fingerprint().id());
            if !cluster
                .store_private_key(namespace, &StoredKey { name: name.clone(), identity: key.identity, created: key.created })?
            {
                return Err(Error::new(Kind::Cluster, format!("private key {} is not restored", &fingerprint[..16]))
                    .cause(format!("the Secret {namespace}/{name} is there, and does not hold this key"))
                    .hint("look at it, move it away, and run this again: it goes on where it stopped"));
            }
            stored += 1;
        }
        match record {
            Some(record) => named += usize::from(name_key(&cluster, &published, &record.name, &fingerprint, spec)?),
            None => warn(format!("key {} had no SealingKey: it opens, and nobody seals to it", &fingerprint[..16])),
        }
    }
    note(format!("{all} keys in the backup: {stored} stored, {named} SealingKeys created; the rest was there already"));
    Ok(())
}

fn spec(key: &BackupKey, fingerprint: &str) -> SealingKeySpec {
    let record = key.sealing_key.as_ref();
    SealingKeySpec {
        algorithm: key.identity.recipient().algorithm().into(),
        state: record.and_then(|record| record.state),
        compromised_at: record.and_then(|record| record.compromised_at).map(|at| time_text(&at)),
        fingerprint: Some(fingerprint.to_owned()),
    }
}

/// Creates the `SealingKey` of a restored key, unless one speaks for it already. A name that another key has is left to that key.
fn name_key(
    cluster: &Cluster,
    published: &[SealingKey],
    name: &str,
    fingerprint: &str,
    spec: SealingKeySpec,
) -> Result<bool, Error> {
    if published.iter().any(|key| key.named().is_some_and(|named| named == fingerprint)) {
        return Ok(false);
    }
    let taken = published.iter().any(|key| key.metadata.name.as_deref() == Some(name));
    let other = format!("restored-{}", &fingerprint[..16]);
    if taken {
        warn(format!("the SealingKey {name} is that of another key here: the restored one is called {other}"));
    }
    let name = if taken { &other } else { name };
    if cluster.create_sealing_key(name, spec)? {
        return Ok(true);
    }
    Err(Error::new(Kind::Cluster, format!("cannot create the SealingKey {name}"))
        .cause("another one has taken the name meanwhile")
        .hint("run this again: it goes on where it stopped"))
}
