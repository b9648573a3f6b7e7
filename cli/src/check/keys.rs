//! The keys of a value against the recipients files of the targets that its path is for, or against those of `--trust`.
//!
//! What these files say is believed. A branch can change them, which is what `--trust` is for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bulla_shared::age::Recipient;
use bulla_shared::binding::{Binding, KeyId};
use bulla_shared::recipients::{OldKey, OldKeyState, RecipientsError, RecipientsFile};
use zeroize::Zeroizing;

use super::finding::{FileName, Finding, Sheet, Show};
use super::rule::{
    BAD_RECIPIENTS, COMPROMISED_KEY, MISSING_RECOVERY, MISSING_TARGET, RETIRED_KEY, Rule, STALE_KEY, UNKNOWN_KEY,
    UNTRUSTED_RECIPIENT, WRONG_TARGET,
};
use super::trust::Trust;
use crate::config::Config;
use crate::error::Error;
use crate::keys::recipients_file;

/// How messages name the recovery key.
const RECOVERY: &str = "recovery";

/// The keys that are known.
#[derive(Debug, Default)]
pub struct Keys {
    /// By name of the target; none for a target whose keys only its cluster knows.
    targets: BTreeMap<String, Option<RecipientsFile>>,
    recovery: Option<RecipientsFile>,
    /// What is believed instead of all of the above.
    trusted: Option<RecipientsFile>,
}

impl Keys {
    /// Reads the recipients files, of the revision that is believed if there is one. What is wrong with those that are `committed` is a
    /// finding, with those of `trust` and of the revision an error.
    pub fn read(
        config: Option<&Config>,
        trust: &[PathBuf],
        revision: Option<&Trust<'_>>,
        name: impl Fn(&Path) -> FileName,
        committed: impl Fn(&Path) -> Result<Zeroizing<Vec<u8>>, Error>,
    ) -> Result<(Self, Vec<Finding>), Error> {
        let mut keys = Self::default();
        for path in trust {
            let file = recipients_file(path)?;
            let all = keys.trusted.get_or_insert_default();
            all.recipients.extend(file.recipients);
            all.old.extend(file.old);
        }
        let mut findings = Vec::new();
        let trusted = keys.trusted.as_ref();
        let mut read = |path: PathBuf| -> Result<Option<RecipientsFile>, Error> {
            let file = name(&path);
            let Some(revision) = revision else {
                let believed = trusted.map(|trusted| (trusted, "among those of --trust"));
                return Ok(understand(committed(&path), &file, believed, &mut findings));
            };
            let of_revision = revision.recipients(&path)?;
            let bytes = committed(&path);
            // A target that goes takes its file along.
            if bytes.is_ok() || path.exists() {
                let place = format!("in this file at {}", revision.revision());
                understand(bytes, &file, Some((&of_revision, &place)), &mut findings);
            }
            Ok(Some(of_revision))
        };
        if let Some(config) = config {
            for target in config.targets() {
                let file = config.recipients_path(target)?.map(&mut read).transpose()?.flatten();
                keys.targets.insert(target.to_owned(), file);
            }
            keys.recovery = config.recovery_path()?.map(&mut read).transpose()?.flatten();
        }
        Ok((keys, findings))
    }

    /// Whether there is nothing to compare with.
    #[must_use]
    pub fn are_unknown(&self) -> bool {
        self.trusted.is_none() && self.targets.values().all(Option::is_none)
    }

    /// What is wrong with the keys of a value that stands where these targets are meant; none if no rule says so.
    #[must_use]
    pub fn check(&self, binding: &Binding, targets: Option<&[String]>) -> Vec<(&'static Rule, String)> {
        let mut found = Vec::new();
        if self.are_unknown() {
            return found;
        }
        if let Some(trusted) = &self.trusted {
            let unknown = binding.keys.iter().filter(|id| !has(trusted, **id));
            found.extend(unknown.map(|id| (UNKNOWN_KEY, format!("sealed to key {id}, which no file of --trust names"))));
            states(binding, "what --trust names", trusted, false, &mut found);
        }
        // What --trust says of keys counts, and not what the repository says of them; which targets a value is for, only that says.
        let committed = self.trusted.is_none();
        let meant = |name: &str| targets.is_none_or(|targets| targets.iter().any(|target| target == name));
        // A target without a file may have any key.
        let open = self.targets.iter().any(|(name, file)| meant(name) && file.is_none());
        for id in &binding.keys {
            let owner = |only_meant: bool| {
                self.targets
                    .iter()
                    .find(|(name, file)| meant(name) == only_meant && file.as_ref().is_some_and(|file| has(file, *id)))
            };
            if owner(true).is_some() || self.recovery.as_ref().is_some_and(|file| has(file, *id)) {
                continue;
            }
            match owner(false) {
                Some((name, _)) => {
                    found.push((WRONG_TARGET, format!("sealed to key {id} of target {name}, which is not for this path")));
                }
                None if open || !committed => {}
                None => found.push((UNKNOWN_KEY, format!("sealed to key {id}, which no recipients file names"))),
            }
        }
        for (name, file) in self.targets.iter().filter(|(name, _)| meant(name)) {
            let Some(file) = file else { continue };
            if targets.is_some() && !binding.keys.iter().any(|id| has(file, *id)) {
                found.push((MISSING_TARGET, format!("not sealed to target {name}")));
            } else if committed {
                states(binding, &format!("target {name}"), file, targets.is_some(), &mut found);
            }
        }
        if let Some(recovery) = &self.recovery {
            if !binding.keys.iter().any(|id| has(recovery, *id)) {
                found.push((MISSING_RECOVERY, "not sealed to the recovery key".to_owned()));
            } else if committed {
                states(binding, RECOVERY, recovery, true, &mut found);
            }
        }
        found
    }
}

fn has(file: &RecipientsFile, id: KeyId) -> bool {
    file.recipients.iter().any(|recipient| recipient.fingerprint().id() == id) || old(file, id).is_some()
}

fn old(file: &RecipientsFile, id: KeyId) -> Option<&OldKey> {
    file.old.iter().find(|old| old.fingerprint.id() == id)
}

/// What the file says about those keys of the value that are its own. `complete`: the value should be under all of the newest.
fn states(binding: &Binding, owner: &str, file: &RecipientsFile, complete: bool, found: &mut Vec<(&'static Rule, String)>) {
    let newest = |id: &KeyId| file.recipients.iter().any(|recipient| recipient.fingerprint().id() == *id);
    let current = binding.keys.iter().any(newest);
    let mut stale = false;
    for old in binding.keys.iter().filter_map(|id| old(file, *id)) {
        let id = old.fingerprint.id();
        match old.state {
            OldKeyState::Compromised if binding.sealed > old.since => {
                found.push((
                    COMPROMISED_KEY,
                    format!("sealed to key {id} of {owner} after it was compromised: the controller refuses it"),
                ));
            }
            OldKeyState::Compromised => {
                found.push((COMPROMISED_KEY, format!("sealed to key {id} of {owner}, which is in other hands")));
            }
            OldKeyState::Retired if !current => {
                found.push((RETIRED_KEY, format!("sealed to key {id} of {owner}, which was retired")));
            }
            OldKeyState::Retired | OldKeyState::DecryptOnly if !newest(&id) => {
                stale = true;
                found.push((STALE_KEY, format!("sealed to key {id} of {owner}, which is not the newest")));
            }
            _ => {}
        }
    }
    let missing = file.recipients.iter().map(|recipient| recipient.fingerprint().id()).find(|id| !binding.keys.contains(id));
    if let Some(id) = missing.filter(|_| complete && current && !stale) {
        found.push((STALE_KEY, format!("not sealed to key {id}, which {owner} has beside the one that the value is under")));
    }
}

/// Understands a committed file; what is wrong with it is noted. Nothing of it is shown: what stands in a wrong line may be a private key.
fn understand(
    bytes: Result<Zeroizing<Vec<u8>>, Error>,
    name: &FileName,
    believed: Option<(&RecipientsFile, &str)>,
    findings: &mut Vec<Finding>,
) -> Option<RecipientsFile> {
    let text = bytes.map_err(|error| error.reason().to_owned());
    let text = text.and_then(|bytes| str::from_utf8(&bytes).map(str::to_owned).map_err(|_| "not UTF-8 text".to_owned()));
    let (text, unreadable) = text.map_or_else(|cause| (String::new(), Some(cause)), |text| (text, None));
    let mut sheet = Sheet::new(name, &text);
    let file = match (unreadable, text.parse::<RecipientsFile>()) {
        (Some(cause), _) => {
            sheet.report(BAD_RECIPIENTS, 0..0, &Show::Nothing, "", cause);
            None
        }
        (None, Err(error)) => {
            let line = match error {
                RecipientsError::Line { line, .. } | RecipientsError::Comment(line) => line,
                _ => 1,
            };
            let at = sheet.offset(line, 1);
            sheet.report(BAD_RECIPIENTS, at..at, &Show::Nothing, "", error.to_string());
            None
        }
        (None, Ok(file)) => {
            if let Some((believed, place)) = believed {
                // A branch that others went on from has a key that the target had.
                let known = |recipient: &&Recipient| {
                    let id = recipient.fingerprint().id();
                    believed.recipients.contains(recipient)
                        || old(believed, id).is_some_and(|old| old.state != OldKeyState::Compromised)
                };
                for recipient in file.recipients.iter().filter(|recipient| !known(recipient)) {
                    let at = text.find(&recipient.to_string()).unwrap_or_default();
                    let id = recipient.fingerprint().id();
                    let message = format!("recipient {id} is not {place}");
                    sheet.report(UNTRUSTED_RECIPIENT, at..at, &Show::Nothing, &id.to_string(), message);
                }
            }
            Some(file)
        }
    };
    findings.append(&mut sheet.findings);
    file
}
