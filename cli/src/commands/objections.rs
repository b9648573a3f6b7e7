//! What `bulla check` would say of the text that a command is about to write, as far as it needs no recipients files: an error is refused, a
//! warning said. What the text had before is not this command's doing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulla_shared::opening::SpecError;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::check::finding::{FileName, Finding, Sheet};
use crate::check::keys::Keys;
use crate::check::rule::{SPEC_REFUSED, Severity};
use crate::check::{allow, sealed};
use crate::config::{Choice, Config};
use crate::error::{Error, Kind, warn};
use crate::files::STDIN;
use crate::manifest::{decode, find_sealed, parse};

/// What a text is held against.
pub(super) struct Objections {
    path: Option<PathBuf>,
    config: Option<Arc<Config>>,
    choice: Option<Choice>,
}

impl Objections {
    /// For the file that will hold the ciphertext, if it has a path.
    pub(super) fn new(path: Option<&Path>, config: Option<Arc<Config>>) -> Self {
        let choice = path.and_then(|path| config.as_ref()?.rule_for(path).ok());
        Self { path: path.map(Path::to_owned), config, choice }
    }

    /// Refuses what would be an error that `before` does not have.
    pub(super) fn check(&self, before: &str, after: &str) -> Result<(), Error> {
        let known = self.findings(before);
        let is_new = |found: &&Finding| {
            !known
                .iter()
                .any(|known| (known.rule, &known.subject, &known.message) == (found.rule, &found.subject, &found.message))
        };
        for found in self.findings(after).iter().filter(is_new) {
            let said = format!("{}: {}", found.rule.id, found.message);
            match self.severity(found) {
                Some(Severity::Error) => {
                    return Err(Error::new(Kind::Usage, "bulla check would refuse what would be written")
                        .cause(said)
                        .hint(found.fix()));
                }
                Some(Severity::Warning) => warn(said),
                _ => {}
            }
        }
        Ok(())
    }

    /// As the configuration has it. A controller may be started with further types, which nobody here knows.
    fn severity(&self, found: &Finding) -> Option<Severity> {
        let is_type = found.rule == SPEC_REFUSED && found.message == SpecError::Type.to_string();
        let default = if is_type { Severity::Warning } else { found.severity };
        let Some(config) = &self.config else { return Some(default) };
        let (settings, folder) = config.check();
        let severity = settings.severity(found.rule).filter(|_| !allow::is_allowed(found, &settings.allowed(), folder))?;
        Some(if severity == found.severity { default } else { severity })
    }

    fn findings(&self, text: &str) -> Vec<Finding> {
        let now = Timestamp::now();
        let keys = Keys::default();
        let today = now.to_zoned(TimeZone::UTC).date();
        let expected = sealed::Expectations { choice: self.choice.as_ref(), keys: &keys, now, today };
        let shown = self.path.as_ref().map_or_else(|| STDIN.to_owned(), |path| path.display().to_string());
        let path = self.path.as_ref().and_then(|path| std::path::absolute(path).ok());
        let name = FileName { from_root: shown.clone(), shown, path, commit: None };
        let mut sheet = Sheet::new(&name, text);
        // What cannot be read has nothing to say; nothing of that kind is written.
        if let Ok(source) = decode(text.as_bytes().to_vec())
            && let Ok(documents) = parse(&source)
        {
            for document in &documents {
                for node in find_sealed(document) {
                    sealed::check(&mut sheet, node, &expected);
                }
            }
        }
        sheet.findings
    }
}
