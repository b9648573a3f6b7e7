//! The HTTP endpoint: `/healthz`, `/readyz`, `/metrics`, and nothing else. It takes no body, and its answers depend on no plaintext.
//!
//! Any pod may reach it, so nobody may keep others out: a peer has few connections, for a short time, and one more ends its oldest one; so
//! what asks and goes, as a probe does, is answered whoever else is there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::audit::Trail;
use crate::lease::Leadership;
use crate::metrics::View;
use crate::reconcile::Reconciler;

/// Connections at once, of all peers and of one.
const CONNECTIONS: (usize, usize) = (64, 4);

/// How long a connection may take for all that it asks, and for the head of one request.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(2));

/// How long the text of the metrics stands: counting over all objects keeps the index for itself.
const FRESH: Duration = Duration::from_millis(250);

const STARTING: &str = "the audit key has not been read yet";

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What answers are made from.
pub struct Shown {
    /// Everything about objects and keys.
    pub reconciler: Arc<Reconciler>,
    /// Whether this replica writes.
    pub leadership: Arc<Leadership>,
    /// The audit trail, if there is one.
    pub trail: Option<Arc<Trail>>,
    /// Whether metrics name objects.
    pub names: bool,
}

/// Answers from the start on, with what there is to show by then.
#[derive(Default)]
pub struct Endpoint {
    /// Set once the audit key has been read.
    pub shown: OnceLock<Shown>,
    /// Connections, the oldest first.
    connections: Mutex<VecDeque<(IpAddr, AbortHandle)>>,
    metrics: Mutex<Option<(Instant, Bytes)>>,
}

impl Endpoint {
    /// Serves for ever.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        info!(
            address = listener.local_addr().map_or_else(|_| String::new(), |address: SocketAddr| address.to_string()),
            "serving HTTP"
        );
        loop {
            match listener.accept().await {
                Ok((stream, from)) => self.seat(from.ip(), stream),
                Err(error) => {
                    debug!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn seat(self: &Arc<Self>, peer: IpAddr, stream: TcpStream) {
        let mut connections = self.connections.lock().expect("no code panics while it counts");
        connections.retain(|(_, connection)| !connection.is_finished());
        let of = |peer: IpAddr| connections.iter().filter(|(of, _)| *of == peer).count();
        let crowded = if of(peer) >= CONNECTIONS.1 {
            Some(peer)
        } else if connections.len() >= CONNECTIONS.0 {
            // Of equals the one that has been there longest.
            connections.iter().rev().map(|(peer, _)| *peer).max_by_key(|peer| of(*peer))
        } else {
            None
        };
        if let Some(at) = connections.iter().position(|(of, _)| Some(*of) == crowded)
            && let Some((peer, oldest)) = connections.remove(at)
        {
            debug!(%peer, "too many connections, its oldest one ends");
            oldest.abort();
        }
        connections.push_back((peer, tokio::spawn(self.clone().connected(stream)).abort_handle()));
    }

    async fn connected(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(|request| {
            let answer = self.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(PATIENCE.1).max_buf_size(16 * 1024);
        // One that sends slowly, or asks without end, ends too.
        drop(tokio::time::timeout(PATIENCE.0, server.serve_connection(TokioIo::new(stream), service)).await);
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
            "/metrics" => match self.shown.get() {
                None => text(StatusCode::SERVICE_UNAVAILABLE, format!("{STARTING}\n")),
                Some(shown) => {
                    let mut answer = text(StatusCode::OK, self.metrics(shown));
                    answer.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(METRICS_TYPE));
                    answer
                }
            },
            _ => text(StatusCode::NOT_FOUND, "/healthz, /readyz and /metrics are all there is\n"),
        }
    }

    fn not_ready(&self) -> Option<String> {
        let Some(Shown { reconciler, .. }) = self.shown.get() else { return Some(STARTING.to_owned()) };
        if !reconciler.listed.load(Ordering::Acquire) {
            return Some("the lists of SealedSecrets and Secrets are not complete yet".to_owned());
        }
        let elsewhere = reconciler.elsewhere();
        elsewhere.map(|other| format!("the sealing keys belong to the installation in namespace {other}; this one stands aside"))
    }

    fn metrics(&self, shown: &Shown) -> Bytes {
        let mut last = self.metrics.lock().expect("no code panics while it writes metrics");
        if let Some((_, text)) = last.as_ref().filter(|(made, _)| made.elapsed() < FRESH) {
            return text.clone();
        }
        let text = Bytes::from(shown.metrics());
        *last = Some((Instant::now(), text.clone()));
        text
    }
}

impl Shown {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;

    use super::*;

    const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

    async fn serving() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(Arc::new(Endpoint::default()).serve(listener));
        address
    }

    /// A connection of the peer 127.0.0.`peer`.
    async fn connect(peer: u8, to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((std::net::Ipv4Addr::new(127, 0, 0, peer), 0).into()).unwrap();
        socket.connect(to).await.unwrap()
    }

    /// What is answered until the end of the connection, or nothing if it is closed.
    async fn asks(mut stream: TcpStream, what: &[u8]) -> String {
        let mut answer = Vec::new();
        drop(stream.write_all(what).await);
        drop(stream.read_to_end(&mut answer).await);
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn whoever_holds_on_to_connections_keeps_nobody_out() {
        let address = serving().await;
        let mut held = Vec::new();
        for _ in 0..=CONNECTIONS.1 {
            held.push(connect(2, address).await);
        }
        // As a probe of the node that such a pod shares its address with.
        assert!(asks(connect(2, address).await, ASK).await.starts_with("HTTP/1.1 200"));
        assert_eq!(asks(held.remove(0), ASK).await, "", "the oldest one has ended");
        held.clear();
        for peer in 10..10 + u8::try_from(CONNECTIONS.0).unwrap() {
            held.push(connect(peer, address).await);
        }
        assert!(asks(connect(3, address).await, ASK).await.starts_with("HTTP/1.1 200"));
        assert!(asks(held.pop().unwrap(), ASK).await.starts_with("HTTP/1.1 200"), "not the newest has ended");
        assert_eq!(asks(held.remove(0), ASK).await, "", "but the oldest");
    }

    #[tokio::test]
    async fn whoever_says_nothing_is_let_go() {
        let address = serving().await;
        let start = Instant::now();
        assert_eq!(asks(connect(2, address).await, b"").await, "");
        assert!(start.elapsed() < PATIENCE.0);
    }

    #[tokio::test]
    async fn before_there_is_anything_to_show() {
        let address = serving().await;
        for (path, code) in [("/healthz", 200), ("/readyz", 503), ("/metrics", 503), ("/else", 404)] {
            let ask = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            let answer = asks(connect(4, address).await, ask.as_bytes()).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {code}")), "{path}: {answer}");
        }
    }
}
