//! `bulla keys compromise`: a key in other hands. First there is another key to seal to, then the old one is marked.

use bulla_shared::binding::time_text;
use bulla_shared::resources::sealing_key::KeyState;
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::json;

use super::newest;
use super::rotate::rotate;
use crate::cluster::ContextArgs;
use crate::error::{Error, Kind, note};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "There is no way back. Values sealed before still open; later ones are refused. What stands under the key is flagged until \
    the values themselves are changed, since whoever has the key has them: see docs/operations.md."
)]
pub(super) struct Args {
    /// Name of the SealingKey, or the id of its key
    #[arg(value_name = "NAME")]
    key: String,
    #[command(flatten)]
    context: ContextArgs,
    /// Since when, such as 2026-11-23T06:50:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let now = Timestamp::now();
    let at = args.at.unwrap_or(now);
    if at > now {
        return Err(Error::new(Kind::Usage, "--at lies in the future").hint("leave it out for now"));
    }
    let cluster = args.context.connect()?;
    let key = cluster.sealing_key(&args.key)?;
    let name = &key.name_any();
    let no_other = || Ok(newest(&cluster, key.spec.algorithm)?.is_none_or(|newest| newest == *name));
    if no_other()? {
        rotate(&cluster, key.spec.algorithm)?;
        if no_other()? {
            return Err(Error::new(Kind::Cluster, format!("SealingKey {name} is not marked: there is no other key to seal to"))
                .cause("the new key is not the newest: was this one made in the future?")
                .hint("make another SealingKey, wait until it is Active, then run this again"));
        }
    }
    let patch = json!({"spec": {"state": "Compromised", "compromisedAt": time_text(&at)}});
    cluster.patch_sealing_key(name, &patch)?;
    let id = key.published().map(|fingerprint| format!(" (key {})", fingerprint.id())).unwrap_or_default();
    if cluster.in_effect(name, KeyState::Compromised)? {
        note(format!("SealingKey {name}{id} is compromised since {}", time_text(&at)));
    }
    note("next: bulla recipients --update; bulla rewrap PATH; commit and apply; then change every value that was under the key:");
    note("  bulla inspect --due PATH lists them, since a value that is moved off such a key is due");
    Ok(())
}
