//! How long to wait after a failure: twice as long each time up to a limit, less up to a half at random, so that many who failed together
//! do not come back together.

use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use kube::runtime::watcher::{self, Event};

/// Pauses of a watch that is refused or cut.
const WATCH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Failures in a row of one thing.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    failures: u32,
}

impl Backoff {
    /// Pauses from `first` to `last`.
    #[must_use]
    pub fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, failures: 0 }
    }

    /// Counts a failure; how long to wait now.
    pub fn pause(&mut self) -> Duration {
        let full = self.first.saturating_mul(1 << self.failures.min(16)).min(self.last);
        self.failures = self.failures.saturating_add(1);
        let permille = 500 + u32::try_from(RandomState::new().hash_one(self.failures) % 500).expect("below 500");
        full * permille / 1000
    }

    /// Counts a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Pauses of a watch that is refused or cut.
pub(crate) fn watch_backoff() -> Backoff {
    Backoff::new(WATCH.0, WATCH.1)
}

/// A watch that is left alone for a while after each failure.
///
/// NOTE: not `WatchStreamExt::default_backoff`, which takes every event for a success. A watcher says `Init` before it asks for a list, so a
/// list that is refused, or breaks off in the middle, would be asked for every second for ever.
pub fn patient<K: Send>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send {
    let start = (Box::pin(events), watch_backoff(), Duration::ZERO);
    futures_util::stream::unfold(start, |(mut events, mut backoff, pause)| async move {
        // NOTE: a sleep of zero takes a millisecond, and there are thousands of events.
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let event = Pin::new(&mut events).next().await?;
        let mut pause = Duration::ZERO;
        match &event {
            Ok(Event::Init | Event::InitApply(_)) => {}
            Ok(_) => backoff.reset(),
            Err(_) => pause = backoff.pause(),
        }
        Some((event, (events, backoff, pause)))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Request, Response};
    use k8s_openapi::api::core::v1::Secret;
    use kube::client::Body;
    use kube::runtime::watcher::{Config, watcher};
    use kube::{Api, Client};
    use tower::BoxError;

    use super::*;

    #[test]
    fn ever_longer_up_to_a_limit() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for full in [1, 2, 4, 5, 5] {
            let pause = backoff.pause();
            assert!((full * 500..=full * 1000).contains(&pause.as_millis()), "{pause:?} of {full} s");
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_secs(1));
    }

    /// An API server that refuses `refused` requests, and then has an empty list and no watch.
    async fn asked_within(time: Duration, refused: usize) -> usize {
        let asked = Arc::new(AtomicUsize::new(0));
        let server = tower::service_fn({
            let asked = asked.clone();
            move |request: Request<Body>| {
                let refuses =
                    asked.fetch_add(1, Ordering::Relaxed) < refused || request.uri().query().unwrap().contains("watch=");
                let (code, text) = if refuses {
                    (403, r#"{"kind":"Status","status":"Failure","reason":"Forbidden","message":"no","code":403}"#)
                } else {
                    (200, r#"{"kind":"SecretList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#)
                };
                async move { Ok::<_, BoxError>(Response::builder().status(code).body(Body::from(text.as_bytes().to_vec())).unwrap()) }
            }
        });
        let secrets: Api<Secret> = Api::all(Client::new(server, "default"));
        let events = patient(watcher(secrets, Config::default())).for_each(|_| async {});
        assert!(tokio::time::timeout(time, events).await.is_err(), "a watch never ends");
        asked.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_list_is_asked_for_ever_more_rarely() {
        let asked = asked_within(Duration::from_mins(10), usize::MAX).await;
        // At most 0.5 + 1 + 2 + 4 + 8 s, and then 15 to 30 s each.
        assert!((20..=45).contains(&asked), "{asked}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_watch_as_well_and_a_list_counts_as_a_success() {
        let asked = asked_within(Duration::from_mins(10), 5).await;
        assert!((25..=55).contains(&asked), "{asked}");
    }
}
