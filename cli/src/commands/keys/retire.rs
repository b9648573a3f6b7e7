//! `bulla keys retire`.

use serde_json::json;

use crate::cluster::ContextArgs;
use crate::error::{Error, Kind, note};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The private key stays in its Secret until an admin deletes that: until then, state DecryptOnly brings the key back."
)]
pub(super) struct Args {
    /// Name of the SealingKey
    name: String,
    #[command(flatten)]
    context: ContextArgs,
    /// Retire it although values are sealed to it; say the name once more
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let Args { name, context, confirm } = args;
    if confirm.as_ref().is_some_and(|confirmed| confirmed != name) {
        return Err(Error::new(Kind::Usage, "--confirm says another name").hint(format!("--confirm {name}, if you mean it")));
    }
    let cluster = context.connect()?;
    let usage = cluster.sealing_key(name)?.status.and_then(|status| status.usage);
    let mut patch = json!({"spec": {"state": "Retired"}});
    if let Some(confirmed) = confirm {
        patch["metadata"] = json!({"annotations": {"bulla.dev/confirm": confirmed}});
    }
    cluster.patch_sealing_key(name, &patch).map_err(|error| match usage {
        Some(usage) if usage.items > 0 => error.hint(format!(
            "{} items of {} SealedSecrets are under it: bulla rewrap moves them, and the number falls by itself once they are applied",
            usage.items, usage.secrets
        )),
        _ => error,
    })?;
    note(format!("SealingKey {name} is retired: nothing opens with it any more"));
    Ok(())
}
