//! The cluster, as far as sealing needs it: the newest Active key that it publishes.

use std::time::Duration;

use bulla_keys::select::{SealingRecipient, newest_active};
use bulla_shared::age::{Algorithm, Recipient};
use bulla_shared::resources::sealing_key::SealingKey;
use jiff::Timestamp;
use kube::api::ListParams;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config};

use crate::error::{Error, Kind, note};

const PATIENCE: Duration = Duration::from_secs(15);

/// A key to seal to, and the context that it came from.
#[derive(Debug)]
struct FromContext {
    context: String,
    key: SealingRecipient,
}

/// The newest key of `context`, or of the current one; says on standard error where it came from.
pub fn announced_key(context: Option<&str>) -> Result<Recipient, Error> {
    let from = newest_key(context)?;
    note(format!("sealing to key {} of context {}", from.key.recipient.fingerprint().id(), from.context));
    Ok(from.key.recipient)
}

/// Asks `context`, or the current one, for its newest Active hybrid key.
fn newest_key(context: Option<&str>) -> Result<FromContext, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::new(Kind::Io, "cannot start").cause(error))?;
    runtime.block_on(ask(context))
}

async fn ask(context: Option<&str>) -> Result<FromContext, Error> {
    const OFFLINE: &str = "give recipients with -r or -R; a file of them committed to Git needs no cluster";
    let kubeconfig = Kubeconfig::read().map_err(|error| {
        let missing = matches!(&error, KubeconfigError::ReadConfig(error, _) if error.kind() == std::io::ErrorKind::NotFound);
        let what = if missing { "no kubeconfig" } else { "the kubeconfig cannot be read" };
        Error::new(Kind::Configuration, format!("no recipients given, and {what}")).hint(OFFLINE)
    })?;
    // kubectl writes an empty name where there is none.
    let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
    let name = context.map(str::to_owned).or(current);
    let name =
        name.ok_or_else(|| Error::new(Kind::Configuration, "no recipients given, and no current context").hint(OFFLINE))?;
    let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
    let failed = |cause: &str| {
        Error::new(Kind::Cluster, format!("cannot read the SealingKeys of context {name}")).cause(cause).hint(OFFLINE)
    };
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|_| failed("the context cannot be used"))?;
    config.default_retry = false;
    config.connect_timeout = Some(PATIENCE);
    config.read_timeout = Some(PATIENCE);
    let client = Client::try_from(config).map_err(|_| failed("the context cannot be used"))?;
    let keys = Api::<SealingKey>::all(client).list(&ListParams::default()).await.map_err(|error| match error {
        kube::Error::Api(status) if status.is_forbidden() => failed("you may not list sealingkeys.bulla.dev (403)")
            .hint(format!("ask for the ClusterRole bulla-sealer, or {OFFLINE}")),
        kube::Error::Api(status) if status.is_not_found() => {
            failed("the cluster has no SealingKeys (404)").hint("is Bulla installed there? kubectl apply -k controller/deploy")
        }
        kube::Error::Api(status) if status.code == 401 => failed("the cluster does not know you (401)"),
        kube::Error::Api(status) => failed(&format!("the API server answered {}", status.code)),
        _ => failed("no answer from the API server"),
    })?;
    let key = newest_active(&keys.items, Algorithm::Hybrid, Timestamp::now());
    let key = key.ok_or_else(|| {
        failed("the cluster publishes no Active key").hint("is bulla-controller running? kubectl get sealingkeys")
    })?;
    Ok(FromContext { context: name, key })
}
