//! The clients of the API server, and the gate that all requests but those for the Lease pass.
//!
//! The gate sends nothing while the API server has asked for a pause (429 or 503 with `Retry-After`), and no write unless this replica holds
//! the lease at that moment; a write that has no answer when the lease ends is given up.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};
use tower::{BoxError, Layer, Service};
use tracing::debug;

use crate::api::PATIENCE;
use crate::lease::Leadership;
use crate::options::Options;

/// Longest pause that is kept: shorter than the patience of whoever waits for the answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Longest silence within an answer.
const SILENCE: Duration = Duration::from_mins(5);

/// The clients of one process.
pub struct Clients {
    /// For all that only the holder of the lease may write, and for what is read and watched.
    pub work: Client,
    /// For what each replica does before it holds the lease: it keeps the pauses alone.
    pub start: Client,
    /// For the Lease, with no gate.
    pub lease: Client,
    /// Where all of them go, for the log.
    pub address: String,
    /// Rung when `work` is refused something (403).
    pub refused: Arc<Notify>,
}

/// The clients that `options` lead to.
pub async fn clients(options: &Options, leadership: Arc<Leadership>) -> Result<Clients, Box<dyn Error + Send + Sync>> {
    // NOTE: its own words quote the lines around, where a token may stand.
    if let Err(KubeconfigError::Parse(_)) = Kubeconfig::read() {
        return Err("the kubeconfig cannot be parsed, and its words are not shown, since they may be a token".into());
    }
    let mut config = match &options.context {
        Some(_) => Config::from_kubeconfig(&KubeConfigOptions { context: options.context.clone(), ..Default::default() }).await?,
        None => Config::infer().await?,
    };
    // In the API server's audit log, and as the manager of fields where nothing else is said.
    let agent = concat!("bulla-controller/", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    // It repeats a write up to 15 times, minutes later, behind our back; retries go through the queue.
    config.default_retry = false;
    // A list whose second half never comes. Longer than a watch is silent: kube gives one up before.
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    let (pause, refused) = (Arc::default(), Arc::default());
    let address = config.cluster_url.to_string();
    let behind =
        |gate: &Gate| Ok::<_, Box<dyn Error + Send + Sync>>(ClientBuilder::try_from(config.clone())?.with_layer(gate).build());
    Ok(Clients {
        work: behind(&Gate { leadership: Some(leadership), pause: Arc::clone(&pause), refused: Arc::clone(&refused) })?,
        // NOTE: its refusals are answers to what it asks about the installation.
        start: behind(&Gate { leadership: None, pause, refused: Arc::default() })?,
        lease: Client::try_from(config)?,
        address,
        refused,
    })
}

/// Lets requests through when they may be sent.
#[derive(Debug, Clone)]
struct Gate {
    /// What writes ask for.
    leadership: Option<Arc<Leadership>>,
    /// Nothing is sent before.
    pause: Arc<Mutex<Option<Instant>>>,
    /// Rung when something is forbidden.
    refused: Arc<Notify>,
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, service: S) -> Gated<S> {
        Gated { gate: self.clone(), pause: None, service }
    }
}

/// A service behind the gate.
#[derive(Debug)]
struct Gated<S> {
    gate: Gate,
    /// The pause that is being kept.
    pause: Option<Pin<Box<Sleep>>>,
    service: S,
}

impl<S, B> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<B>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        while let Some(until) = self.gate.until() {
            let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let needed = self.gate.leadership.as_ref().filter(|_| *request.method() != Method::GET);
        let deadline = needed.and_then(|leadership| leadership.deadline());
        if needed.is_some() && deadline.is_none() {
            return Box::pin(async { Err("this replica does not hold the lease".into()) });
        }
        let (gate, leadership) = (self.gate.clone(), needed.cloned());
        let mut answer = Box::pin(self.service.call(request));
        // Nobody else gives up a list, or a watch that does not begin; and a write that still waits for a connection when the lease ends
        // must not leave any more.
        let patience = Instant::now() + PATIENCE;
        Box::pin(async move {
            let mut end = deadline.map_or(patience, |deadline| deadline.min(patience));
            loop {
                if let Ok(answer) = tokio::time::timeout_at(end, &mut answer).await {
                    return answer.inspect(|response| gate.heed(response));
                }
                // Renewed meanwhile?
                let deadline = leadership.as_ref().and_then(|leadership| leadership.deadline());
                end = deadline.filter(|_| end < patience).ok_or("no answer in time")?.min(patience);
            }
        })
    }
}

impl Gate {
    /// The end of the pause, if there is one now.
    fn until(&self) -> Option<Instant> {
        self.pause.lock().expect("no code panics while it holds the pause").filter(|until| Instant::now() < *until)
    }

    fn heed<B>(&self, response: &Response<B>) {
        if response.status() == StatusCode::FORBIDDEN {
            self.refused.notify_one();
        }
        if ![StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&response.status()) {
            return;
        }
        let asked = response.headers().get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(pause) = asked.map(Duration::from_secs) else { return };
        let until = Instant::now() + pause.min(LONGEST_PAUSE);
        let mut now = self.pause.lock().expect("no code panics while it holds the pause");
        *now = Some(now.map_or(until, |before| before.max(until)));
        debug!(seconds = pause.as_secs(), "the API server asks for a pause");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate { leadership: Some(Arc::default()), pause: Arc::default(), refused: Arc::default() }
    }

    fn answer(code: u16, after: Option<&str>) -> Response<()> {
        let mut response = Response::builder().status(code);
        if let Some(after) = after {
            response = response.header("retry-after", after);
        }
        response.body(()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_kept_and_never_shortened() {
        let gate = gate();
        let mut gated = gate.layer(tower::service_fn(|_: Request<Body>| async { Ok::<_, BoxError>(answer(200, None)) }));
        let mut ready = async || {
            let start = Instant::now();
            std::future::poll_fn(|context| gated.poll_ready(context)).await.unwrap();
            start.elapsed()
        };
        for (code, after) in [(200, Some("9")), (429, None), (429, Some("Wed, 21 Oct 2026 07:28:00 GMT")), (500, Some("9"))] {
            gate.heed(&answer(code, after));
        }
        assert_eq!(ready().await, Duration::ZERO);
        gate.heed(&answer(429, Some("5")));
        gate.heed(&answer(503, Some("1")));
        assert_eq!(ready().await, Duration::from_secs(5));
        gate.heed(&answer(429, Some("86400")));
        assert_eq!(ready().await, LONGEST_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_given_up() {
        let gate = gate();
        let silent = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<()>, BoxError>>());
        let start = Instant::now();
        let answer = gate.layer(silent).call(Request::get("/").body(Body::empty()).unwrap()).await;
        assert!(answer.is_err());
        assert_eq!(start.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn no_write_without_the_lease() {
        let gate = gate();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let peer = {
            let sent = sent.clone();
            tower::service_fn(move |request: Request<Body>| {
                sent.lock().unwrap().push(request.method().clone());
                async { Ok::<_, BoxError>(answer(200, None)) }
            })
        };
        let mut gated = gate.layer(peer);
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
            assert_eq!(gated.call(request).await.is_ok(), method == "GET");
        }
        assert_eq!(*sent.lock().unwrap(), [Method::GET]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_goes_on_while_the_lease_is_renewed() {
        let gate = gate();
        let leadership = gate.leadership.clone().unwrap();
        leadership.extend(Instant::now(), Duration::from_secs(3));
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                leadership.extend(Instant::now(), Duration::from_secs(3));
            }
        });
        for (takes, waited) in [(20, 20), (60, 30)] {
            let mut gated = gate.layer(tower::service_fn(move |_: Request<Body>| async move {
                tokio::time::sleep(Duration::from_secs(takes)).await;
                Ok::<_, BoxError>(answer(200, None))
            }));
            let start = Instant::now();
            let request = Request::builder().method("PUT").uri("/").body(Body::empty()).unwrap();
            assert_eq!(gated.call(request).await.is_ok(), takes == waited);
            assert_eq!(start.elapsed(), Duration::from_secs(waited));
        }
        renewing.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_waits_is_given_up_with_the_lease() {
        let gate = gate();
        gate.leadership.as_ref().unwrap().extend(Instant::now(), Duration::from_secs(15));
        let mut gated = gate.layer(tower::service_fn(|_: Request<Body>| async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            Ok::<_, BoxError>(answer(200, None))
        }));
        for (method, seconds) in [("PUT", 10), ("GET", 20)] {
            let start = Instant::now();
            let request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
            assert_eq!(gated.call(request).await.is_ok(), method == "GET");
            assert_eq!(start.elapsed(), Duration::from_secs(seconds));
        }
    }
}
