//! What became of each value and file, and how the command ends.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bulla_shared::age::Recipient;
use bulla_shared::binding::KeyId;
use bulla_shared::sealed::SealedValue;
use indicatif::ProgressBar;

use crate::error::{Error, Kind, note, plural, warn};
use crate::files::{self, Access};
use crate::sealed_file::{Found, SealedFile};

/// What became of the values.
#[derive(Default)]
pub(super) struct Tally {
    moved: AtomicUsize,
    files: AtomicUsize,
    current: AtomicUsize,
    failed: AtomicUsize,
    /// Of these, values that stay as they are: they are in no other count.
    failed_values: AtomicUsize,
    added: Mutex<BTreeSet<KeyId>>,
    pub(super) stale: Mutex<Vec<String>>,
    /// Something that is stale is moved with a private key only.
    pub(super) needs_key: AtomicBool,
    /// Something that is stale could be moved by a cluster, and nothing says which one that is.
    pub(super) needs_context: AtomicBool,
}

impl Tally {
    fn add(counter: &AtomicUsize, count: usize) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Says once of each recipient that values get it: whoever has that key reads them from now on.
    pub(super) fn adds(&self, progress: &ProgressBar, recipient: &Recipient) {
        let fingerprint = recipient.fingerprint();
        if self.added.lock().expect("no code panics while it lists").insert(fingerprint.id()) {
            progress.suspend(|| note(format!("values are now under key {fingerprint}")));
        }
    }

    /// One value or file that cannot be dealt with does not stop the others.
    pub(super) fn fail(&self, progress: &ProgressBar, error: &Error) {
        Self::add(&self.failed, 1);
        progress.suspend(|| warn(error.one_line()));
    }

    pub(super) fn fail_value(
        &self,
        progress: &ProgressBar,
        file: &SealedFile,
        found: &Found,
        moved: bool,
        cause: impl std::fmt::Display,
    ) {
        Self::add(&self.failed_values, usize::from(!moved));
        let what = format!("{}: {} is not rewrapped", file.path.display(), found.label());
        self.fail(progress, &Error::new(Kind::Keys, what).cause(cause));
    }

    /// A value that nothing can be said of.
    pub(super) fn unknown(&self, progress: &ProgressBar, file: &SealedFile, found: &Found, cause: impl std::fmt::Display) {
        let what = format!("{}: whether {} is stale is not known", file.path.display(), found.label());
        self.fail(progress, &Error::new(Kind::Keys, what).cause(cause));
    }

    pub(super) fn wrote(&self, progress: &ProgressBar, file: &SealedFile, moved: &[(usize, SealedValue)]) {
        Self::add(&self.current, file.values.len() - moved.len());
        if moved.is_empty() {
            return;
        }
        match file.replace(moved) {
            Ok(()) => {
                Self::add(&self.moved, moved.len());
                Self::add(&self.files, 1);
            }
            Err(error) => self.fail(progress, &error),
        }
    }

    /// What was done so far, in a sentence.
    pub(super) fn done(&self) -> String {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        format!(
            "rewrapped {} in {}; {} needed nothing",
            plural(count(&self.moved), "value", "values"),
            plural(count(&self.files), "file", "files"),
            count(&self.current) - count(&self.failed_values)
        )
    }

    pub(super) fn conclude(self, check: bool) -> Result<(), Error> {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let (failed, done) = (count(&self.failed), self.done());
        let [needs_key, needs_context] = [&self.needs_key, &self.needs_context].map(|needed| needed.load(Ordering::Relaxed));
        let stale = self.stale.into_inner().expect("no code panics while it lists");
        files::write(None, stale.concat().as_bytes(), Access::Default)?;
        if !check {
            note(done);
        }
        if failed > 0 {
            let what = plural(failed, "value or file", "values or files");
            let (did, hint) = if check {
                ("checked", "mend the cause and run this again")
            } else {
                ("dealt with", "what was done stays done: mend the cause and run this again")
            };
            let stale = if stale.is_empty() { String::new() } else { format!("; {} are not under the newest key", stale.len()) };
            return Err(Error::new(Kind::Keys, format!("{what} could not be {did}{stale}"))
                .cause("each is named above")
                .hint(hint));
        }
        if !stale.is_empty() {
            let what = plural(stale.len(), "value is", "values are");
            let hint = if needs_key {
                "bulla rewrap -i KEY with the same paths moves them: a private key that opens them adds recipients, a cluster does not"
            } else if needs_context {
                "bulla rewrap with the same paths moves them: through the cluster that the target's context: in .bulla.yaml or --context names, \
                 or with -i KEY offline"
            } else {
                "bulla rewrap with the same paths moves them"
            };
            return Err(Error::new(Kind::Findings, format!("{what} not under the newest key")).hint(hint));
        }
        Ok(())
    }
}
