//! Harness of the end-to-end and interop tests: the real binaries against a real control plane.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a harness that cannot go on fails its test")]

pub mod binaries;
pub mod cluster;
pub mod controller;

use std::time::{Duration, Instant};

/// Asks every 50 ms until `ask` has an answer; panics with `what` after 30 s.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
