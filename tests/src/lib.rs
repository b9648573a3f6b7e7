//! Harness of the end-to-end and interop tests: the real binaries against a real control plane.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a harness that cannot go on fails its test")]

pub mod binaries;
pub mod bulla;
pub mod cluster;
pub mod controller;
pub mod fault_proxy;
pub mod flux;
pub mod store;
pub mod writes;

use std::time::{Duration, Instant};

/// Longest wait for anything. The garbage collector looks for new kinds of resources every 30 s only, and takes its time to follow them.
const PATIENCE: Duration = Duration::from_mins(3);

/// Asks every 50 ms until `ask` has an answer; panics with `what` when patience ends.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
