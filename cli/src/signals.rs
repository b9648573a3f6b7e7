//! The signals that would end us. Whoever keeps plaintext in a file hears all of them, to take it away first; whoever needs a moment, or a
//! terminal, holds them back.

use std::os::unix::thread::JoinHandleExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::pthread::pthread_kill;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use signal_hook::consts::{
    SIGBUS, SIGCHLD, SIGCONT, SIGFPE, SIGILL, SIGKILL, SIGPIPE, SIGSEGV, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH,
};

/// What is left alone: what nobody can catch, faults of our own (there is no going on after one), what ends no process, and SIGPIPE, which
/// Rust ignores.
const LEFT: &[i32] = &[
    SIGKILL,
    SIGSTOP,
    SIGILL,
    SIGBUS,
    SIGFPE,
    SIGSEGV,
    SIGCHLD,
    SIGCONT,
    SIGURG,
    SIGWINCH,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGPIPE,
    #[cfg(not(target_os = "linux"))]
    signal_hook::consts::SIGINFO,
];

/// All others that we were not started to ignore, as with `nohup`: a handler would undo that.
pub fn ending() -> impl Iterator<Item = i32> {
    let ignored = ignored();
    let is_ignored = move |signal: &i32| ignored >> (signal - 1) & 1 == 1;
    (1..=31).chain(real_time()).filter(|signal| !LEFT.contains(signal)).filter(move |signal| !is_ignored(signal))
}

/// Below these are the C library's own.
#[cfg(target_os = "linux")]
fn real_time() -> std::ops::RangeInclusive<i32> {
    if cfg!(target_env = "gnu") { 34..=64 } else { 35..=64 }
}

#[cfg(not(target_os = "linux"))]
fn real_time() -> std::ops::Range<i32> {
    0..0
}

#[cfg(target_os = "linux")]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// Other systems do not tell.
#[cfg(not(target_os = "linux"))]
fn ignored() -> u64 {
    0
}

/// While this lives, the signals that end the process wait. They count for this thread, and for those that it starts meanwhile.
pub struct HeldBack(SigSet);

impl HeldBack {
    /// From now on they wait.
    #[must_use]
    pub fn new() -> Self {
        let mut all = SigSet::all();
        LEFT.iter().filter_map(|signal| Signal::try_from(*signal).ok()).for_each(|signal| all.remove(signal));
        // Without it they do not wait, which is no reason to do nothing.
        Self(all.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap_or_else(|_| SigSet::empty()))
    }

    /// Does what takes long. A signal ends the process meanwhile all the same, once `undo` is done; but for the real-time ones, which wait.
    pub fn while_doing<T>(&self, undo: impl FnOnce() + Send + 'static, work: impl FnOnce() -> T) -> T {
        /// Which one says that the work is done does not matter.
        const DONE: Signal = Signal::SIGALRM;
        let mut ends: SigSet = ending().filter_map(|signal| Signal::try_from(signal).ok()).collect();
        ends.add(DONE);
        let is_done = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_done);
        // Nobody else takes them, so no handler is needed, which would stay.
        let watch = thread::spawn(move || match ends.wait() {
            Ok(DONE) if told.load(Ordering::SeqCst) => {}
            Ok(signal) => {
                undo();
                let _ = SigSet::from(signal).thread_unblock();
                let _ = raise(signal);
            }
            Err(_) => {}
        });
        let result = work();
        is_done.store(true, Ordering::SeqCst);
        let _ = pthread_kill(watch.as_pthread_t(), DONE);
        let _ = watch.join();
        result
    }
}

impl Default for HeldBack {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        let _ = self.0.thread_set_mask();
    }
}
