//! Start and end of the process: log, client, watches, workers, signals.

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kube::config::KubeConfigOptions;
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tracing::level_filters::LevelFilter;
use tracing::{error, info};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::options::{LogFormat, LogLevel, Options};
use crate::reconcile::Reconciler;
use crate::rewrap::Rewraps;
use crate::sealing_keys::SealingKeys;
use crate::watch;

/// Runs the controller until a signal or a fatal error ends it.
#[must_use]
pub fn main(options: &Options) -> ExitCode {
    log(options);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let ended = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(options)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the controller ends");
            ExitCode::FAILURE
        }
    }
}

/// Only our own words are logged. NOTE: no variable raises the level of libraries, because a client library logs an answer that it
/// cannot parse, and that may be a Secret.
fn log(options: &Options) {
    let level = match options.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let registry = tracing_subscriber::registry().with(Targets::new().with_target("bulla_controller", level));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false);
    match options.log_format {
        LogFormat::Text => registry.with(lines).init(),
        LogFormat::Json => registry.with(lines.json()).init(),
    }
}

async fn client(options: &Options) -> Result<Client, Box<dyn Error + Send + Sync>> {
    let mut config = match &options.context {
        Some(_) => Config::from_kubeconfig(&KubeConfigOptions { context: options.context.clone(), ..Default::default() }).await?,
        None => Config::infer().await?,
    };
    // It repeats a write up to 15 times, minutes later, behind our back; retries go through the queue.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

async fn run(options: &Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    let client = client(options).await?;
    let version = client.apiserver_version().await?.git_version;
    info!(version = env!("CARGO_PKG_VERSION"), api_server = version, namespace = options.namespace, "controller starts");

    let reporter = Reporter { controller: "bulla-controller".to_owned(), instance: None };
    let recorder = Recorder::new(client.clone(), reporter);
    let reconciler = Arc::new(Reconciler::new(client.clone(), recorder.clone(), &options.namespace, options.allowed_types()));
    let [sealed_listed, secrets_listed, loaded, changed] = std::array::from_fn(|_| Arc::new(Notify::new()));

    // A task that ends, by a panic too, ends the process: half a controller would look healthy and do nothing.
    let mut tasks = JoinSet::new();
    tasks.spawn(watch::sealed_secrets(client.clone(), reconciler.clone(), sealed_listed.clone()));
    tasks.spawn(watch::secrets(client.clone(), reconciler.clone(), secrets_listed.clone()));
    tasks.spawn(watch::keys(client.clone(), options.namespace.clone(), changed.clone()));
    let rewraps = Arc::new(Rewraps::new(client.clone(), reconciler.clone()));
    tasks.spawn(watch::rewrap_requests(client.clone(), rewraps.clone()));
    let keys = SealingKeys {
        client,
        recorder,
        namespace: options.namespace.clone(),
        generate: options.generate_keys,
        policy: options.policy(),
        changed,
    };
    tasks.spawn({
        let (reconciler, loaded) = (reconciler.clone(), loaded.clone());
        async move { keys.work(&reconciler, &loaded).await }
    });

    // Nothing is decided on half a list: a Secret not listed yet would look as if it were missing.
    let complete = async { tokio::join!(sealed_listed.notified(), secrets_listed.notified(), loaded.notified()) };
    tokio::select! {
        _ = complete => {
            info!("lists complete, reconciling");
            reconciler.complete.store(true, Ordering::Release);
            reconciler.usage_changed.notify_one();
        }
        () = stop_signal() => return Ok(()),
        Some(ended) = tasks.join_next() => return Err(task_ended(&ended)),
    }
    for _ in 0..options.workers() {
        let reconciler = reconciler.clone();
        tasks.spawn(async move { reconciler.work().await });
    }
    tasks.spawn(async move { rewraps.work().await });
    tokio::select! {
        () = stop_signal() => Ok(()),
        Some(ended) = tasks.join_next() => Err(task_ended(&ended)),
    }
}

async fn stop_signal() {
    let mut terminate = signal(SignalKind::terminate()).expect("the runtime has a signal driver");
    let mut interrupt = signal(SignalKind::interrupt()).expect("the runtime has a signal driver");
    tokio::select! {
        _ = terminate.recv() => info!("asked to terminate"),
        _ = interrupt.recv() => info!("interrupted"),
    }
}

/// NOTE: the panic itself has been printed by its hook; its message is a constant of the code.
fn task_ended(ended: &Result<(), JoinError>) -> Box<dyn Error + Send + Sync> {
    let how = if ended.as_ref().is_err_and(JoinError::is_panic) { "panicked" } else { "ended" };
    format!("a task {how}, which none of them should").into()
}
