//! Rounds that alternate, and their median: whatever else the machine does meanwhile falls on all alike.

use std::hint::black_box;
use std::time::Instant;

/// One round of something: its microseconds per operation.
pub(crate) type Round<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// A round of `count` operations.
pub(crate) fn round<'a, T>(count: u32, mut operation: impl FnMut() -> T + 'a) -> Round<'a> {
    Box::new(move || {
        let start = Instant::now();
        for _ in 0..count {
            black_box(operation());
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    })
}

/// Runs a round of each in turn, `times` times after one that does not count; the median of each.
pub(crate) fn alternate<const N: usize>(times: usize, mut rounds: [Round<'_>; N]) -> [f64; N] {
    let mut all = [const { Vec::new() }; N];
    for time in 0..=times {
        for (round, all) in rounds.iter_mut().zip(&mut all) {
            let took = round();
            if time > 0 {
                all.push(took);
            }
        }
    }
    all.map(median)
}

pub(crate) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}
