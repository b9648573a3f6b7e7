//! The HTTP endpoint: `/healthz`, `/readyz`, `/metrics`, and nothing else. It takes no body, and its answers depend on no plaintext.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, info};

use crate::audit::Trail;
use crate::lease::Leadership;
use crate::metrics::View;
use crate::reconcile::Reconciler;

/// Connections at once; more wait.
const CONNECTIONS: usize = 16;

/// How long a connection may take for all that it asks.
const PATIENCE: Duration = Duration::from_secs(10);

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What answers are made from.
pub struct Endpoint {
    /// Everything about objects and keys.
    pub reconciler: Arc<Reconciler>,
    /// Whether this replica writes.
    pub leadership: Arc<Leadership>,
    /// The audit trail, if there is one.
    pub trail: Option<Arc<Trail>>,
    /// Whether metrics name objects.
    pub names: bool,
}

impl Endpoint {
    /// Serves for ever.
    pub async fn serve(self, listener: TcpListener) {
        let endpoint = Arc::new(self);
        let seats = Arc::new(Semaphore::new(CONNECTIONS));
        info!(
            address = listener.local_addr().map_or_else(|_| String::new(), |address: SocketAddr| address.to_string()),
            "serving HTTP"
        );
        loop {
            let seat = seats.clone().acquire_owned().await.expect("the semaphore is never closed");
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    debug!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let endpoint = endpoint.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let answer = endpoint.answer(&request);
                    async move { Ok::<_, Infallible>(answer) }
                });
                let mut server = http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(16 * 1024);
                // One that sends slowly, or asks without end, gives its seat up.
                drop(tokio::time::timeout(PATIENCE, server.serve_connection(TokioIo::new(stream), service)).await);
                drop(seat);
            });
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => match self.not_ready() {
                None => text(StatusCode::OK, "ok\n"),
                Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
            },
            "/metrics" => {
                let mut answer = text(StatusCode::OK, self.metrics());
                answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(METRICS_TYPE));
                answer
            }
            _ => text(StatusCode::NOT_FOUND, "/healthz, /readyz and /metrics are all there is\n"),
        }
    }

    fn not_ready(&self) -> Option<String> {
        if !self.reconciler.listed.load(Ordering::Acquire) {
            return Some("the lists of SealedSecrets and Secrets are not complete yet".to_owned());
        }
        let elsewhere = self.reconciler.elsewhere();
        elsewhere.map(|other| format!("the sealing keys belong to the installation in namespace {other}; this one stands aside"))
    }

    fn metrics(&self) -> String {
        let reconciler = &self.reconciler;
        let ring = reconciler.keys();
        let heads = reconciler.index.lock();
        reconciler.metrics.text(View {
            heads: Box::new(heads.sealed.iter()),
            ring: &ring,
            queued: reconciler.queue.len(),
            works: reconciler.complete.load(Ordering::Acquire),
            leads: self.leadership.holds(),
            audit_lines: self.trail.as_ref().map_or(0, |trail| trail.lines()),
            names: self.names,
            now: Timestamp::now(),
        })
    }
}

fn text(code: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = code;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
