//! The cluster, as far as commands need it: connecting, and one form of every failure. What is asked stands in the files beside this one.
//!
//! All calls block. Nothing here prints an answer of the API server about a Secret.

pub mod live;
pub mod private_keys;
pub mod rewrap;
pub mod sealing_keys;

use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::runtime::Runtime;

use crate::error::{Error, Kind};

const PATIENCE: Duration = Duration::from_secs(15);

/// What those do who only seal.
pub const OFFLINE: &str = "give recipients with -r or -R; a file of them committed to Git needs no cluster";
/// What those do who need a cluster.
pub const CONTEXT: &str =
    "--context names another one of the kubeconfig ($KUBECONFIG, else ~/.kube/config); kubectl config get-contexts lists them";

/// A cluster that can be asked.
pub struct Cluster {
    /// The name of the context.
    pub context: String,
    client: Client,
    server: String,
    runtime: Runtime,
    hint: &'static str,
}

/// Which cluster to ask.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ContextArgs {
    /// Context of the kubeconfig [default: the current one]
    #[arg(long)]
    pub context: Option<String>,
}

impl ContextArgs {
    /// Connects to it.
    pub fn connect(&self) -> Result<Cluster, Error> {
        Cluster::connect(self.context.as_deref(), CONTEXT)
    }
}

impl Cluster {
    /// Prepares to ask `context`, or the current one; `hint` says what to do where there is none.
    pub fn connect(context: Option<&str>, hint: &'static str) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Error::new(Kind::Io, "cannot start").cause(error))?;
        let kubeconfig = Kubeconfig::read().map_err(|error| {
            let missing = matches!(&error, KubeconfigError::ReadConfig(error, _) if error.kind() == std::io::ErrorKind::NotFound);
            let what = if missing { "there is no kubeconfig" } else { "the kubeconfig cannot be read" };
            let hint =
                if missing && hint == CONTEXT { "it is ~/.kube/config, or what KUBECONFIG names, as for kubectl" } else { hint };
            Error::new(Kind::Configuration, what).hint(hint)
        })?;
        // kubectl writes an empty name where there is none.
        let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
        let name = context.map(str::to_owned).or(current);
        let name = name.ok_or_else(|| Error::new(Kind::Configuration, "there is no current context").hint(hint))?;
        if !kubeconfig.contexts.iter().any(|context| context.name == name) {
            return Err(Error::new(Kind::Configuration, format!("there is no context {name} in the kubeconfig")).hint(hint));
        }
        let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
        let unusable = || {
            let failed = Error::new(Kind::Cluster, format!("the context {name} cannot be used"));
            failed.cause("its cluster or user is not in the kubeconfig, or is incomplete").hint(hint)
        };
        let (client, server) = runtime.block_on(async {
            let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|_| unusable())?;
            // In the API server's audit log, and as the manager of the fields that are written.
            let agent = concat!("bulla/", env!("CARGO_PKG_VERSION"));
            config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
            config.default_retry = false;
            config.connect_timeout = Some(PATIENCE);
            config.read_timeout = Some(PATIENCE);
            // Host and port alone: there may be a password in the rest.
            let url = &config.cluster_url;
            let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
            let server = format!("{}{port}", url.host().unwrap_or("an unknown address"));
            Ok::<_, Error>((Client::try_from(config).map_err(|_| unusable())?, server))
        })?;
        Ok(Self { context: name, client, server, runtime, hint })
    }

    /// Asks, and says what was being done if that fails.
    fn ask<T>(&self, doing: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
        self.runtime.block_on(request).map_err(|error| self.failure(doing, &error))
    }

    fn failure(&self, doing: &str, error: &kube::Error) -> Error {
        let failed = Error::new(Kind::Cluster, format!("cannot {doing} in context {}", self.context)).hint(self.hint);
        match error {
            kube::Error::Api(status) => match status.code {
                401 => failed.cause("the cluster does not know you (401)"),
                403 => failed.cause("you may not (403)").hint("ask a cluster admin for the right; see docs/operations.md"),
                404 => failed.cause("not found (404)").hint("is Bulla installed there? kubectl apply -k controller/deploy"),
                409 => failed.cause("it is there already, or has changed meanwhile (409)").hint("try again"),
                code => failed.cause(format!("the API server answered {code}")),
            },
            _ => failed.cause(format!("no answer from the API server at {}", self.server)),
        }
    }
}
