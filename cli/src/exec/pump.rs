//! One stream of the command on its way to ours, through the redactor.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zeroize::Zeroizing;

use crate::redact::Secrets;

/// Bytes that are read at once; as large as a pipe is here.
const CHUNK: usize = 128 * 1024;

/// Carries everything from `source` to `sink` until `source` ends or, once `ended` hangs up, has nothing more to say at once: the command is
/// over then, and a process that it left behind may hold its end open for ever. A sink that is closed closes the source.
pub(super) fn pump(mut source: File, mut sink: File, ended: BorrowedFd<'_>, secrets: &Secrets) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // Fewer, larger steps; a smaller pipe does as well.
    let _ = rustix::pipe::fcntl_setpipe_size(&source, CHUNK);
    let mut redactor = secrets.redactor();
    let mut input = Zeroizing::new(vec![0; CHUNK]);
    let mut output = Vec::with_capacity(CHUNK);
    // What the command wrote is in the pipe when it ends, so that no more than a pipe full is left to read.
    let mut left = CHUNK;
    while left > 0 {
        let over = match wait(source.as_fd(), ended)? {
            Next::Read => false,
            Next::LastRead => true,
            Next::Nothing => break,
        };
        let count = match source.read(&mut input) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        redactor.push(&input[..count], &mut output);
        sink.write_all(&output)?;
        output.clear();
        if over {
            left = left.saturating_sub(count);
        }
    }
    redactor.finish(&mut output);
    sink.write_all(&output)
}

enum Next {
    Read,
    /// The command is over, and there is something to read.
    LastRead,
    /// The command is over, and there is nothing.
    Nothing,
}

/// Waits until there is something to read, or the command is over.
fn wait(source: BorrowedFd<'_>, ended: BorrowedFd<'_>) -> io::Result<Next> {
    let mut both = [PollFd::from_borrowed_fd(source, PollFlags::IN), PollFd::from_borrowed_fd(ended, PollFlags::IN)];
    loop {
        match poll(&mut both, None) {
            Err(rustix::io::Errno::INTR) => {}
            done => break done.map(drop)?,
        }
    }
    if both[1].revents().is_empty() {
        return Ok(Next::Read);
    }
    // The command may have written between the two looks.
    let mut one = [PollFd::from_borrowed_fd(source, PollFlags::IN)];
    let ready = poll(&mut one, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(if ready > 0 { Next::LastRead } else { Next::Nothing })
}
