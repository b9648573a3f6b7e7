//! Start and end of the process: log, client, watches, workers, signals.

use std::error::Error;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tracing::level_filters::LevelFilter;
use tracing::{error, info, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::audit::Trail;
use crate::audit::verify::{Verify, Whole};
use crate::backoff::Backoff;
use crate::client::Clients;
use crate::http::{Endpoint, Shown};
use crate::installation::Installation;
use crate::lease::{Election, Leadership};
use crate::options::{AuditCommand, AuditLog, Command, LogFormat, LogLevel, Options, refuse};
use crate::reconcile::Reconciler;
use crate::rewrap::Rewraps;
use crate::sealing_keys::SealingKeys;
use crate::{api, client, watch};

type Failure = Box<dyn Error + Send + Sync>;

/// Runs the controller until a signal or a fatal error ends it.
#[must_use]
pub fn main(options: &Options) -> ExitCode {
    if let Some(Command::Audit(AuditCommand::Verify(verify))) = &options.command {
        return verified(verify);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(format!("no threads can be started: {error}")),
    };
    let leadership = Arc::new(Leadership::default());
    let clients = match runtime.block_on(client::clients(options, leadership.clone())) {
        Ok(clients) => clients,
        Err(error) => return refuse(format!("no way to the API server is known: {error}; see --context and KUBECONFIG")),
    };
    log(options);
    match runtime.block_on(run(options, clients, leadership)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the controller ends");
            ExitCode::FAILURE
        }
    }
}

/// The answer is for people and scripts alike: one line, and an exit code.
fn verified(verify: &Verify) -> ExitCode {
    let (line, code) = match verify.run() {
        Ok(Whole { lines, chains, ends }) => {
            let end = ends.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            let open = if verify.until.is_some() { "" } else { "; whether lines are missing at the end only --until can tell" };
            (format!("whole: {lines} lines in {chains} chains, up to {end}{open}\n"), ExitCode::SUCCESS)
        }
        Err(error) => (format!("error: {error}\n"), ExitCode::FAILURE),
    };
    // Nothing is left to be told to whoever does not listen.
    drop(std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()));
    code
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

async fn run(
    options: &Options,
    Clients { work: client, start, lease, address, refused }: Clients,
    leadership: Arc<Leadership>,
) -> Result<(), Failure> {
    let listener = TcpListener::bind(options.http_address)
        .await
        .map_err(|error| format!("cannot serve HTTP on {}: {error}; choose another with --http-address", options.http_address))?;
    info!(version = env!("CARGO_PKG_VERSION"), namespace = options.namespace, api_server = address, "controller starts");
    // A task that ends, by a panic too, ends the process: half a controller would look healthy and do nothing.
    let mut tasks = JoinSet::new();
    let endpoint = Arc::new(Endpoint::default());
    tasks.spawn(endpoint.clone().serve(listener));
    let installation = Installation::new(start.clone(), &options.namespace, options.watched());
    // By itself, whatever else waits for what is missing.
    let completed = Arc::new(Notify::new());
    tasks.spawn(installation.watch(refused, completed.clone()));
    let mut stop = pin!(stop_signal());
    let trail = tokio::select! {
        () = &mut stop => return Ok(()),
        trail = open_trail(options, &start) => trail?,
    };

    let reporter = Reporter { controller: "bulla-controller".to_owned(), instance: None };
    let recorder = Recorder::new(client.clone(), reporter);
    let reconciler = Arc::new(Reconciler::new(
        client.clone(),
        recorder.clone(),
        leadership.clone(),
        trail.clone(),
        &options.namespace,
        options.allowed_types(),
        options.defaults(),
    ));
    tasks.spawn({
        let reconciler = reconciler.clone();
        async move { reconciler.wake_failed_at(&completed).await }
    });
    let [listed, elected, loaded, changed] = std::array::from_fn(|_| Arc::new(Notify::new()));
    endpoint.shown.get_or_init(|| Shown {
        reconciler: reconciler.clone(),
        leadership: leadership.clone(),
        trail: trail.clone(),
        names: options.metrics_object_names,
    });
    tasks.spawn(watch::keys(client.clone(), options.namespace.clone(), changed.clone()));
    let rewraps = Arc::new(Rewraps::new(client.clone(), reconciler.clone()));
    let lists = watch_all(options, &client, &reconciler, &rewraps, &mut tasks);
    let election = Arc::new(Election::new(lease, &options.namespace, options.lease_duration, leadership, trail.clone()));
    let mut leading = JoinSet::new();
    leading.spawn({
        let (election, listed, elected) = (election.clone(), listed.clone(), elected.clone());
        async move {
            // A replica that cannot list must not keep another one from writing.
            listed.notified().await;
            let lease = election.acquire().await;
            elected.notify_one();
            election.keep(lease).await;
        }
    });
    let work = async {
        // Nothing is decided on half a list: a Secret not listed yet would look as if it were missing.
        for list in &lists {
            list.notified().await;
        }
        reconciler.listed.store(true, Ordering::Release);
        info!("lists complete");
        listed.notify_one();
        elected.notified().await;
        let keys = SealingKeys {
            client,
            recorder,
            namespace: options.namespace.clone(),
            generate: options.generate_keys,
            policy: options.policy(),
            changed,
        };
        let mut workers = JoinSet::new();
        workers.spawn({
            let (reconciler, loaded) = (reconciler.clone(), loaded.clone());
            async move { keys.work(&reconciler, &loaded).await }
        });
        loaded.notified().await;
        info!("keys loaded, reconciling");
        reconciler.complete.store(true, Ordering::Release);
        reconciler.usage_changed.notify_one();
        for _ in 0..options.workers() {
            let reconciler = reconciler.clone();
            workers.spawn(async move { reconciler.work().await });
        }
        workers.spawn(async move { rewraps.work().await });
        workers.join_next().await
    };
    let ended = tokio::select! {
        () = stop => Ok(()),
        Some(ended) = tasks.join_next() => Err(task_ended(&ended)),
        Some(ended) = leading.join_next() => Err(lease_ended(&ended)),
        Some(ended) = work => Err(task_ended(&ended)),
        () = audit_failed(trail.as_deref()) => Err("what cannot be recorded must not happen".into()),
    };
    leading.shutdown().await;
    tasks.shutdown().await;
    // Whoever stands by need not wait for the lease to run out.
    election.release().await;
    ended
}

/// Watches what is served; what is rung once each list of it is complete.
fn watch_all(
    options: &Options,
    client: &Client,
    reconciler: &Arc<Reconciler>,
    rewraps: &Arc<Rewraps>,
    tasks: &mut JoinSet<()>,
) -> Vec<Arc<Notify>> {
    let mut lists = Vec::new();
    for within in options.watched() {
        let [sealed, secrets] = std::array::from_fn(|_| Arc::new(Notify::new()));
        reconciler.will_list(within.clone());
        tasks.spawn(watch::sealed_secrets(client.clone(), within.clone(), reconciler.clone(), sealed.clone()));
        tasks.spawn(watch::secrets(client.clone(), within.clone(), reconciler.clone(), secrets.clone()));
        tasks.spawn(watch::rewrap_requests(client.clone(), within, rewraps.clone()));
        lists.extend([sealed, secrets]);
    }
    lists
}

/// The audit trail under the key that all replicas share; waits for the API server if need be.
async fn open_trail(options: &Options, client: &Client) -> Result<Option<Arc<Trail>>, Failure> {
    if options.audit_log == AuditLog::Off {
        return Ok(None);
    }
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    let key = loop {
        match api::audit_key(client, &options.namespace).await {
            Ok(key) => break key,
            Err(error) => {
                warn!(%error, "the audit key cannot be read or made in {}, will be tried again", options.namespace);
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    };
    let trail = Trail::open(&options.audit_log, key).map_err(|error| {
        let to = if let AuditLog::File(path) = &options.audit_log { format!(" to {}", path.display()) } else { String::new() };
        format!("cannot write the audit trail{to}: {error}")
    })?;
    Ok(trail.map(Arc::new))
}

async fn audit_failed(trail: Option<&Trail>) {
    match trail {
        Some(trail) => trail.failed.notified().await,
        None => std::future::pending().await,
    }
}

/// From its first poll on, so that the first process of a container hears it as well.
async fn stop_signal() {
    let mut terminate = signal(SignalKind::terminate()).expect("the runtime has a signal driver");
    let mut interrupt = signal(SignalKind::interrupt()).expect("the runtime has a signal driver");
    tokio::select! {
        _ = terminate.recv() => info!("asked to terminate"),
        _ = interrupt.recv() => info!("interrupted"),
    }
}

fn lease_ended(ended: &Result<(), JoinError>) -> Failure {
    match ended {
        Ok(()) => "the lease is lost: another replica has it, or the API server did not answer in time".into(),
        Err(_) => task_ended(ended),
    }
}

/// NOTE: the panic itself has been printed by its hook; its message is a constant of the code.
fn task_ended(ended: &Result<(), JoinError>) -> Failure {
    let how = if ended.as_ref().is_err_and(JoinError::is_panic) { "panicked" } else { "ended" };
    format!("a task {how}, which none of them should").into()
}
