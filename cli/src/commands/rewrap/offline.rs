//! Moving values with private keys at hand: to exactly the recipients of their targets.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulla_keys::KeyRing;
use bulla_shared::age::{Identity, Recipient};
use bulla_shared::binding::KeyId;
use bulla_shared::sealed::{Keys, Recipients, SealedValue};
use indicatif::ProgressBar;
use jiff::Timestamp;

use super::read;
use super::tally::Tally;
use super::targets::Targets;
use crate::sealed_file::{Found, SealedFile};
use crate::target::Target;

/// Each file on the next free thread: cryptography and disk alternate.
pub(super) fn run(files: &[PathBuf], targets: &Targets, ring: &KeyRing, tally: &Tally, progress: &ProgressBar) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(files.len()) {
            scope.spawn(|| {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some((file, targets)) = read(path, targets, tally, progress) {
                        let moved = move_offline(&file, &targets, ring, tally, progress);
                        tally.wrote(progress, &file, &moved);
                    }
                    progress.inc(1);
                }
            });
        }
    });
}

fn move_offline(
    file: &SealedFile,
    targets: &[Arc<Target>],
    ring: &KeyRing,
    tally: &Tally,
    progress: &ProgressBar,
) -> Vec<(usize, SealedValue)> {
    let wanted: Vec<Recipient> = targets.iter().flat_map(|target| target.newest.iter().cloned()).collect();
    let failed = |found: &Found, cause: &dyn std::fmt::Display| tally.fail_value(progress, file, found, false, cause);
    let recipients = Recipients::new(wanted);
    let mut moved = Vec::new();
    for (index, found) in file.values.iter().enumerate() {
        let recipients = match &recipients {
            Ok(recipients) => recipients,
            Err(error) => {
                failed(found, error);
                continue;
            }
        };
        let now = found.value.binding().keys.iter();
        if recipients.iter().all(|recipient| now.clone().any(|id| *id == recipient.fingerprint().id()))
            && recipients.iter().count() == now.len()
        {
            continue;
        }
        if !targets.iter().any(|target| target.vouches_for(&found.value)) {
            failed(
                found,
                &"it is under no key of the targets of this path; name the recipients with -R or the target with -t, if you mean it",
            );
            continue;
        }
        match found.value.rewrap_to(&Marked { ring, targets }, recipients) {
            Ok(value) => {
                for recipient in recipients.iter().filter(|recipient| !now.clone().any(|id| *id == recipient.fingerprint().id()))
                {
                    tally.adds(progress, recipient);
                }
                moved.push((index, value));
            }
            Err(error) => failed(found, &error),
        }
    }
    moved
}

/// The identities, with what the targets of a file say about keys in other hands.
struct Marked<'a> {
    ring: &'a KeyRing,
    targets: &'a [Arc<Target>],
}

impl Keys for Marked<'_> {
    fn newest(&self, ids: &[KeyId]) -> Option<(usize, &Identity)> {
        self.ring.newest(ids)
    }

    fn compromised_at(&self, id: &KeyId) -> Option<Timestamp> {
        self.targets.iter().find_map(|target| target.compromised.get(id).copied())
    }
}
