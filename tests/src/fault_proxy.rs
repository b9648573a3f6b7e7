//! A proxy in front of the API server that lets requests fail in the ways there are, and cuts watches.
//!
//! It speaks plain HTTP on loopback to the controller. What it passes on reaches the real API server as it came, token and all.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bulla_control_plane::ControlPlane;
use bytes::Bytes;
use fastrand::Rng;
use futures_util::{StreamExt as _, stream};
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::net::TcpListener;

/// How long a watch lasts while they are cut.
const WATCH: Duration = Duration::from_secs(1);

type Failure = Box<dyn Error + Send + Sync>;

type Answer = Response<UnsyncBoxBody<Bytes, Failure>>;

/// What a request meets instead of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 409, of a write.
    Conflict,
    /// 429, with so many seconds in `Retry-After`.
    TooMany(u64),
    /// 500.
    Broken,
    /// The connection ends before the API server has heard of it.
    Lost,
    /// The connection ends when the API server has done it.
    AnswerLost,
    /// It waits, before the API server hears of it, until whoever asked gives up.
    Held,
    /// The API server does it, and its answer waits until whoever asked gives up.
    AnswerHeld,
}

/// A request that has come.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// What for.
    pub path: String,
    /// What it met.
    pub fault: Option<Fault>,
}

/// A running proxy; it ends with the async runtime.
#[derive(Debug)]
pub struct FaultProxy {
    state: Arc<State>,
    kubeconfig: PathBuf,
}

#[derive(Debug)]
struct State {
    upstream: Upstream,
    chances: Mutex<Chances>,
    seen: Mutex<Vec<Seen>>,
}

/// A client that has no `Debug`.
struct Upstream(Client);

/// What may happen to a request that comes now.
#[derive(Debug)]
struct Chances {
    random: Rng,
    /// So many of a thousand requests meet each.
    faults: Vec<(Fault, u32)>,
    cuts_watches: bool,
}

impl FaultProxy {
    /// Starts one for `bulla-system/bulla-controller` that passes everything on, until told otherwise; `seed` decides which requests meet what.
    pub async fn start(plane: &ControlPlane, seed: u64) -> Self {
        let direct = plane.service_account_kubeconfig("bulla-system", "bulla-controller").await.unwrap();
        let read = Kubeconfig::read_from(&direct).unwrap();
        let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        // It would hide what the API server answers.
        config.default_retry = false;
        config.proxy_url = None;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let kubeconfig = through(&direct, listener.local_addr().unwrap());
        let state = Arc::new(State {
            upstream: Upstream(Client::try_from(config).unwrap()),
            chances: Mutex::new(Chances { random: Rng::with_seed(seed), faults: Vec::new(), cuts_watches: false }),
            seen: Mutex::default(),
        });
        tokio::spawn(serve(listener, state.clone()));
        Self { state, kubeconfig }
    }

    /// The controller's kubeconfig, by way of this proxy.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// From now on, so many of a thousand requests meet each of these.
    pub fn inject(&self, faults: &[(Fault, u32)]) {
        self.state.chances().faults = faults.to_vec();
    }

    /// From now on, watches end after a second or do not, one half of them in the middle.
    pub fn cut_watches(&self, cut: bool) {
        self.state.chances().cuts_watches = cut;
    }

    /// What has come until now.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen().clone()
    }
}

/// A kubeconfig beside this one, with another server.
fn through(direct: &Path, address: SocketAddr) -> PathBuf {
    let text = std::fs::read_to_string(direct).unwrap();
    let line = |line: &str| {
        let server = line.trim_start().starts_with("server: ");
        if server { format!("    server: http://{address}\n") } else { format!("{line}\n") }
    };
    let path = direct.with_extension("through-proxy");
    std::fs::write(&path, text.lines().map(line).collect::<String>()).unwrap();
    path
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| state.answer(request));
            // A service that fails ends the connection without an answer.
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, Failure> {
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, Body::from(body.collect().await?.to_bytes()));
        let fault = self.chances().choose(request.method());
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        self.seen().push(Seen { at: Instant::now(), path, fault });
        match fault {
            None => self.pass(request).await,
            Some(Fault::Conflict) => Ok(refusal(409, "Conflict", None)),
            Some(Fault::TooMany(seconds)) => Ok(refusal(429, "TooManyRequests", Some(seconds))),
            Some(Fault::Broken) => Ok(refusal(500, "InternalError", None)),
            Some(Fault::Lost) => Err("lost".into()),
            Some(Fault::AnswerLost) => {
                self.pass(request).await?;
                Err("answer lost".into())
            }
            // Whoever gives up ends the connection, and this with it.
            Some(Fault::Held) => std::future::pending().await,
            Some(Fault::AnswerHeld) => {
                let _answer = self.pass(request).await?;
                std::future::pending().await
            }
        }
    }

    async fn pass(&self, request: Request<Body>) -> Result<Answer, Failure> {
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let (head, body) = self.upstream.0.send(request).await?.into_parts();
        let cut = is_watch.then(|| self.chances().cut()).flatten();
        let body = match cut {
            None => body.map_err(Failure::from).boxed_unsync(),
            Some(end) => {
                let frames = BodyStream::new(body.map_err(Failure::from)).take_until(tokio::time::sleep(WATCH));
                let end = stream::iter((end == End::Broken).then(|| Err("cut".into())));
                StreamBody::new(frames.chain(end)).boxed_unsync()
            }
        };
        Ok(Response::from_parts(head, body))
    }

    fn chances(&self) -> MutexGuard<'_, Chances> {
        self.chances.lock().unwrap()
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }
}

/// How a watch ends that is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// As if the API server had had enough.
    Clean,
    /// In the middle.
    Broken,
}

impl Chances {
    fn choose(&mut self, method: &Method) -> Option<Fault> {
        let mut drawn = self.random.u32(..1000);
        for (fault, chance) in &self.faults {
            if drawn < *chance {
                // No read conflicts with anything.
                return (*fault != Fault::Conflict || method != Method::GET).then_some(*fault);
            }
            drawn -= chance;
        }
        None
    }

    fn cut(&mut self) -> Option<End> {
        self.cuts_watches.then(|| if self.random.bool() { End::Clean } else { End::Broken })
    }
}

/// An answer in the API server's form.
fn refusal(code: u16, reason: &str, retry_after: Option<u64>) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "injected", "reason": reason, "code": code,
    });
    let mut answer = Response::builder().status(code).header("content-type", "application/json");
    if let Some(seconds) = retry_after {
        answer = answer.header("retry-after", seconds);
    }
    answer.body(Full::new(Bytes::from(status.to_string())).map_err(Failure::from).boxed_unsync()).unwrap()
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upstream")
    }
}
