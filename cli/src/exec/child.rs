//! The command itself: started, given the signals that we get, waited for.
//!
//! It stays in our process group. So the terminal treats both alike: it can read, Ctrl-C and Ctrl-Z reach it without our help, and a shell
//! stops and continues both. What is sent to us alone is passed on.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process, waitid, waitpid};
use signal_hook::consts::{SIGCONT, SIGINT, SIGQUIT, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use super::pump::pump;
use crate::error::{Error, Kind, warn};
use crate::redact::Secrets;
use crate::signals::ending;

/// What is wrong with the program itself, and not with what it takes to start one.
const NOT_RUNNABLE: [Errno; 9] = [
    Errno::ACCESS,
    Errno::PERM,
    Errno::NOEXEC,
    Errno::ISDIR,
    Errno::NOTDIR,
    Errno::LOOP,
    Errno::NAMETOOLONG,
    Errno::TXTBSY,
    Errno::INVAL,
];

/// What to do where a process cannot be started.
const LACKING: &str = "this machine, or a limit of this process, does not allow more: ulimit -a";

/// How long it takes at most until a signal to a group has reached all of it.
const SETTLE: Duration = Duration::from_millis(20);

/// What is sent to us and passed on.
#[derive(Debug)]
pub struct Heard(SignalsInfo<WithOrigin>);

/// From now on no signal ends us by itself. SIGTSTP and its kin are left to stop us: a shell sends them to the group.
pub fn listen() -> Result<Heard, Error> {
    let signals = SignalsInfo::new(ending().chain([SIGWINCH, SIGCONT]));
    signals.map(Heard).map_err(|error| failed("cannot listen for signals", &error))
}

/// Runs the command to its end and gives its exit code, 128 + n if signal n ended it. With `secrets`, its output goes through a redactor.
pub fn run(mut command: Command, Heard(mut signals): Heard, secrets: Option<&Secrets>) -> Result<u8, Error> {
    // Told to end before there is anything to pass it on to.
    if let Some(told) = signals.pending().find(|told| ![SIGWINCH, SIGCONT].contains(&told.signal)) {
        return Ok(exit_code(128 + told.signal));
    }
    // All that we need is there before the command is: it is not started, or it runs to its end. It inherits none of this.
    let lacking = |error: io::Error| failed("cannot make the pipes of the command", &error).hint(LACKING);
    let (ended, end) = io::pipe().map_err(lacking)?;
    let mut sinks = None;
    if secrets.is_some() {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = io::stdout().as_fd().try_clone_to_owned().map_err(lacking)?;
        sinks = Some((output, io::stderr().as_fd().try_clone_to_owned().map_err(lacking)?));
    }
    let mut child = command.spawn().map_err(|error| not_started(&command, &error))?;
    // The values in its environment are the command's now.
    drop(command);
    let pid = Pid::from_child(&child);
    let (output, error) = sinks.unzip();
    let streams = [
        child.stdout.take().map(OwnedFd::from).zip(output).map(|(source, sink)| (source, sink, "output")),
        child.stderr.take().map(OwnedFd::from).zip(error).map(|(source, sink)| (source, sink, "error")),
    ];
    let handle = signals.handle();
    // None once it has been waited for: its number may be another's then.
    let target = Mutex::new(Some(pid));
    let status = thread::scope(|scope| {
        let target = &target;
        scope.spawn(move || pass_on(&mut signals, target));
        for (source, sink, name) in streams.into_iter().flatten() {
            let ended = ended.as_fd();
            scope.spawn(move || {
                let secrets = secrets.expect("its streams are pipes only then");
                match pump(File::from(source), File::from(sink), ended, secrets) {
                    // Nobody listens: the command learns it as it would without us.
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                        warn(format!("cannot write to standard {name}: {error}"));
                    }
                    _ => {}
                }
            });
        }
        let status = wait(pid, target);
        drop(end);
        handle.close();
        status
    });
    let status = status.map_err(|error| failed("cannot wait for the command", &error))?;
    let code = status.exit_status().or_else(|| Some(128 + status.terminating_signal()?));
    Ok(code.map_or(u8::MAX, exit_code))
}

fn exit_code(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// Whether we have a controlling terminal: without one no shell continues what is stopped.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Waits until it is over. While it is stopped by itself, so are we, for the shell to see.
fn wait(pid: Pid, target: &Mutex<Option<Pid>>) -> io::Result<WaitStatus> {
    let look = |more: WaitIdOptions| {
        loop {
            match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT | more) {
                Err(Errno::INTR) => {}
                done => return done,
            }
        }
    };
    while look(WaitIdOptions::empty())?.is_some_and(|status| status.stopped()) {
        // Where the whole group was stopped, we are stopped here, and when we go on it does too.
        thread::sleep(SETTLE);
        if look(WaitIdOptions::NOHANG)?.is_some_and(|status| status.stopped()) {
            if has_terminal() {
                kill_process(rustix::process::getpid(), Signal::STOP)?;
                kill_process(pid, Signal::CONT)?;
            } else {
                // Whoever stopped it continues it. It is told of once.
                waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG)?;
            }
        }
    }
    target.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (_, status) = waitpid(Some(pid), WaitOptions::empty())?.ok_or(io::ErrorKind::NotFound)?;
    Ok(status)
}

/// Passes signals on until the handle is closed.
fn pass_on(signals: &mut SignalsInfo<WithOrigin>, target: &Mutex<Option<Pid>>) {
    for Origin { signal, cause, .. } in signals.forever() {
        // What the keys and the size of a terminal mean goes to the whole group, so the command has it already. That the terminal is gone
        // is told to the leader of the session alone.
        if cause == Cause::Kernel && [SIGINT, SIGQUIT, SIGWINCH].contains(&signal) {
            continue;
        }
        let target = target.lock().unwrap_or_else(PoisonError::into_inner);
        // A real-time signal has no name; what it would do to us is to end us.
        let signal = Signal::from_named_raw(signal).unwrap_or(Signal::TERM);
        if let Some(pid) = *target {
            // It may be over; then nobody is left to tell.
            let _ = kill_process(pid, signal);
        }
    }
}

fn failed(what: &str, error: &io::Error) -> Error {
    Error::new(Kind::Io, what).cause(error).hint("this should not happen; report it, please")
}

fn not_started(command: &Command, error: &io::Error) -> Error {
    let name = command.get_program().display();
    let (kind, hint) = match error.kind() {
        io::ErrorKind::NotFound => {
            (Kind::NotFound, "check its name, and $PATH; a script needs the interpreter in its first line")
        }
        io::ErrorKind::ArgumentListTooLong => (Kind::NotStarted, "hand the values over as files: --as-files"),
        _ if Errno::from_io_error(error).is_some_and(|error| NOT_RUNNABLE.contains(&error)) => {
            (Kind::NotRunnable, "check that it is a program and may be executed: ls -l")
        }
        _ => (Kind::NotStarted, LACKING),
    };
    Error::new(kind, format!("cannot run {name}")).cause(error).hint(hint)
}
