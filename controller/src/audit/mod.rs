//! The audit trail: one JSON line for each opening, refusal, change of a key and rewrap. `chain.rs` says how lines hang together,
//! [`verify`] finds what is missing. No line depends on plaintext.

mod chain;
pub mod verify;

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use aws_lc_rs::rand;
use bulla_shared::binding::time_text;
use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;
use tokio::sync::Notify;
use tracing::error;

pub use self::chain::{AuditKey, Checkpoint};
use self::chain::{Mac, hex, sealed};
use crate::options::AuditLog;

/// Bytes of names and errors in a line.
const NAMED: usize = 4096;

/// What is recorded.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum Event<'a> {
    /// A replica has taken the lease and begins a chain.
    #[serde(rename_all = "camelCase")]
    Started {
        /// Who.
        replica: &'a str,
        /// The checkpoint that it found on the Lease.
        after: Option<&'a str>,
    },
    /// All values of an object were opened; its Secret is written next.
    #[serde(rename_all = "camelCase")]
    Opened {
        /// Of which object.
        object: Object<'a>,
        /// With which keys.
        items: Vec<Item<'a>>,
        /// How many items are not named.
        #[serde(skip_serializing_if = "is_zero")]
        more: usize,
    },
    /// Not all values of an object got into its Secret: some value was refused, or the Secret was.
    #[serde(rename_all = "camelCase")]
    Refused {
        /// Of which object.
        object: Object<'a>,
        /// Why, as `Ready` says it.
        reason: &'a str,
        /// Item by item.
        items: Vec<Item<'a>>,
        /// How many items are not named.
        #[serde(skip_serializing_if = "is_zero")]
        more: usize,
    },
    /// A sealing key was made, stored or published.
    #[serde(rename_all = "camelCase")]
    KeyChanged {
        /// Name of the `SealingKey`.
        name: &'a str,
        /// What was done.
        change: &'a str,
    },
    /// Values were moved to the newest key.
    #[serde(rename_all = "camelCase")]
    Rewrapped {
        /// Namespace of the request.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
        /// How many values were moved.
        moved: usize,
        /// Of how many.
        all: usize,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// As many items as a line names, and how many are left: whoever writes an object over and over must not wash the trail away.
#[must_use]
pub fn first(mut items: Vec<Item<'_>>) -> (Vec<Item<'_>>, usize) {
    let mut length = 0;
    let named = items.iter().take_while(|item| {
        length += item.name.len() + item.error.as_ref().map_or(0, String::len);
        length <= NAMED
    });
    let named = named.count();
    let more = items.len() - named;
    items.truncate(named);
    (items, more)
}

/// Which `SealedSecret`, as it was then.
#[derive(Debug, Clone, Serialize)]
pub struct Object<'a> {
    /// Namespace.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// UID.
    pub uid: &'a str,
    /// Generation.
    pub generation: i64,
}

/// One item of it.
#[derive(Debug, Clone, Serialize)]
pub struct Item<'a> {
    /// Name.
    pub name: &'a str,
    /// The key that opened it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Why it was not opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Serialize)]
struct Line<'a> {
    chain: &'a str,
    seq: u64,
    time: String,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

/// A trail that is being written.
pub struct Trail {
    key: AuditKey,
    state: Mutex<State>,
    /// How many this process has written; whoever asks does not wait for one that is being written.
    lines: AtomicU64,
    /// Rung when a line cannot be written: the process ends.
    pub failed: Notify,
}

/// A line could not be written. What it says must not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the audit trail cannot be written")]
pub struct Unrecorded;

struct State {
    out: Box<dyn Write + Send>,
    last: Option<Checkpoint>,
    /// A line was not written: whatever comes after it would hang in the air.
    broken: bool,
}

impl Trail {
    /// A trail at `to`; none if that is off.
    pub fn open(to: &AuditLog, key: AuditKey) -> io::Result<Option<Self>> {
        let out: Box<dyn Write + Send> = match to {
            AuditLog::Off => return Ok(None),
            AuditLog::Stdout => Box::new(io::stdout()),
            AuditLog::File(path) => Box::new(append(path)?),
        };
        let state = Mutex::new(State { out, last: None, broken: false });
        Ok(Some(Self { key, state, lines: AtomicU64::new(0), failed: Notify::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it writes the trail")
    }

    /// Begins a new chain after what the Lease says now; what the Lease says once it is taken. The line is there before the Lease names
    /// it: one that is not named in the end belongs to a replica that did nothing.
    pub fn begin(&self, replica: &str, after: Option<&Checkpoint>) -> Result<Checkpoint, Unrecorded> {
        let after = after.map(ToString::to_string);
        let event = Event::Started { replica, after: after.as_deref() };
        let (line, checkpoint) = self.line(random_name(), 0, &[0; 32], &event);
        self.write(&mut self.lock(), &line, checkpoint.clone())?;
        Ok(checkpoint)
    }

    /// Writes a line, before what it says is done. Nobody but the holder of the lease acts, and its chain has begun.
    pub fn record(&self, event: &Event<'_>) -> Result<(), Unrecorded> {
        let mut state = self.lock();
        let last = state.last.clone().ok_or(Unrecorded)?;
        let (line, checkpoint) = self.line(last.chain, last.seq + 1, &last.mac, event);
        self.write(&mut state, &line, checkpoint)
    }

    /// The last line, for the Lease.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.lock().last.clone()
    }

    /// How many lines this process has written.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    fn line(&self, chain: String, seq: u64, before: &Mac, event: &Event<'_>) -> (String, Checkpoint) {
        let line = Line { chain: &chain, seq, time: time_text(&Timestamp::now()), event };
        let line = serde_json::to_string(&line).expect("an event is JSON");
        let mac = self.key.mac(before, line.as_bytes());
        (sealed(&line, &mac) + "\n", Checkpoint { chain, seq, mac })
    }

    fn write(&self, state: &mut State, line: &str, checkpoint: Checkpoint) -> Result<(), Unrecorded> {
        if state.broken {
            return Err(Unrecorded);
        }
        state.out.write_all(line.as_bytes()).and_then(|()| state.out.flush()).map_err(|error| {
            error!(%error, "the audit trail cannot be written");
            state.broken = true;
            self.failed.notify_one();
            Unrecorded
        })?;
        state.last = Some(checkpoint);
        self.lines.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A file to append lines to. A line that a crash has cut stays as it is, and the next one does not hide behind it.
fn append(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    // NOTE: what is no file is not opened for reading: a pipe would then never have lost its last reader.
    let length = Some(file.metadata()?).filter(Metadata::is_file).map_or(0, |metadata| metadata.len());
    if let Some(at) = length.checked_sub(1) {
        let mut last = [0];
        // Whoever may only write it cannot know.
        if File::open(path).and_then(|file| file.read_exact_at(&mut last, at)).is_ok() && last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

/// 16 random hex digits.
#[must_use]
pub fn random_name() -> String {
    let mut name = [0; 8];
    rand::fill(&mut name).expect("the system has random bytes");
    hex(&name)
}

/// Text of a new key.
#[must_use]
pub fn generate_key() -> zeroize::Zeroizing<String> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).expect("the system has random bytes");
    zeroize::Zeroizing::new(hex(&*bytes))
}
