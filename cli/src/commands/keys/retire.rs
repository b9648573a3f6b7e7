//! `bulla keys retire`.

use bulla_shared::resources::sealing_key::{KeyState, KeyUsage};
use kube::ResourceExt as _;
use serde_json::json;

use super::newest;
use crate::cluster::ContextArgs;
use crate::error::{Error, Kind, note};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The private key stays in its Secret until an admin deletes that: until then, state DecryptOnly brings the key back."
)]
pub(super) struct Args {
    /// Name of the SealingKey, or the id of its key
    #[arg(value_name = "NAME")]
    key: String,
    #[command(flatten)]
    context: ContextArgs,
    /// Retire it although values are sealed to it; say the name once more
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let Args { key: asked, context, confirm } = args;
    if confirm.as_ref().is_some_and(|confirmed| confirmed != asked) {
        return Err(Error::new(Kind::Usage, "--confirm says another name").hint(format!("--confirm {asked}, if you mean it")));
    }
    let cluster = context.connect()?;
    let key = cluster.sealing_key(asked)?;
    let name = &key.name_any();
    let refused = |cause: String| {
        let hint = format!(
            "bulla rewrap moves values, and usage falls once they are applied; --confirm {asked} retires it all the same"
        );
        Error::new(Kind::Cluster, format!("cannot retire the SealingKey {name}")).cause(cause).hint(hint)
    };
    if confirm.is_none() {
        if newest(&cluster, key.spec.algorithm)?.as_ref() == Some(name) {
            return Err(refused("it is the newest key, which everybody seals to".to_owned()).hint("bulla keys rotate first"));
        }
        match key.status.as_ref().and_then(|status| status.usage) {
            None => return Err(refused("its usage is not known".to_owned())),
            Some(KeyUsage { items, secrets }) if items > 0 => {
                let users = cluster.users_of(&key)?.join(", ");
                return Err(refused(format!(
                    "values are sealed to it: {items} items of {secrets} SealedSecrets, among them {users}"
                )));
            }
            Some(_) => {}
        }
    }
    let mut patch = json!({"spec": {"state": "Retired"}});
    if confirm.is_some() {
        patch["metadata"] = json!({"annotations": {"bulla.dev/confirm": name}});
    }
    cluster.patch_sealing_key(name, &patch)?;
    if confirm.is_some() {
        // Confirmed once, not for ever.
        cluster.patch_sealing_key(name, &json!({"metadata": {"annotations": {"bulla.dev/confirm": null}}}))?;
    }
    if cluster.in_effect(name, KeyState::Retired)? {
        note(format!("SealingKey {name} is retired: nothing opens with it any more"));
    }
    Ok(())
}
