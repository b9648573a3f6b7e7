//! The signals that would end us. Whoever keeps plaintext in a file hears all of them, to take it away first.

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
