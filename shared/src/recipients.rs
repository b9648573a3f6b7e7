//! The recipients file: public keys committed to Git, one a line, with the states of older keys as comments.
//!
//! It is age's recipients file (`age -R` reads it); lines that start with `# bulla:` tell keyless checks about older keys.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use thiserror::Error;

use crate::age::{Fingerprint, KeyError, Recipient};
use crate::binding::time_text;

/// Longest recipients file, in bytes.
pub const MAX_FILE: usize = 256 * 1024;

/// State of a key that seals no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldKeyState {
    /// Still opens.
    DecryptOnly,
    /// No longer opens.
    Retired,
    /// In other hands since the date; still opens what was sealed before.
    Compromised,
}

/// What a `# bulla:` comment says about an older key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldKey {
    /// Full SHA-256 of its recipient.
    pub fingerprint: Fingerprint,
    /// Its state in the cluster when the file was written.
    pub state: OldKeyState,
    /// Since when.
    pub since: Timestamp,
}

impl fmt::Display for OldKey {
    /// The comment line that is read back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            OldKeyState::DecryptOnly => "DecryptOnly",
            OldKeyState::Retired => "Retired",
            OldKeyState::Compromised => "Compromised",
        };
        write!(f, "# bulla: key={} state={state} since={}", self.fingerprint, time_text(&self.since))
    }
}

/// A recipients file as read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecipientsFile {
    /// Keys to seal to, in file order.
    pub recipients: Vec<Recipient>,
    /// Keys that seal no longer, in file order.
    pub old: Vec<OldKey>,
}

/// Why a recipients file is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecipientsError {
    /// More bytes than [`MAX_FILE`].
    #[error("the recipients file is longer than {MAX_FILE} bytes")]
    TooLong,
    /// A line that is neither a recipient nor a comment.
    #[error("line {line}: {error}")]
    Line {
        /// Line from 1.
        line: usize,
        /// What is wrong with the key.
        error: KeyError,
    },
    /// A `# bulla:` comment that does not follow the grammar.
    #[error("line {0}: malformed '# bulla:' comment")]
    Comment(usize),
    /// The file names no recipient.
    #[error("no recipient in the file")]
    Empty,
}

impl FromStr for RecipientsFile {
    type Err = RecipientsError;

    fn from_str(text: &str) -> Result<Self, RecipientsError> {
        if text.len() > MAX_FILE {
            return Err(RecipientsError::TooLong);
        }
        let mut file = Self::default();
        for (line, content) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let content = content.trim_ascii();
            if let Some(comment) = content.strip_prefix("# bulla:") {
                file.old.push(old_key(comment).ok_or(RecipientsError::Comment(line))?);
            } else if !content.is_empty() && !content.starts_with('#') {
                file.recipients.push(content.parse().map_err(|error| RecipientsError::Line { line, error })?);
            }
        }
        if file.recipients.is_empty() { Err(RecipientsError::Empty) } else { Ok(file) }
    }
}

/// `key=<64 hex> state=<state> since=<time>`, in this order, single spaces.
fn old_key(comment: &str) -> Option<OldKey> {
    let mut words = comment.strip_prefix(' ')?.split(' ');
    let mut value = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
    let fingerprint = value("key")?.parse().ok()?;
    let state = match value("state")? {
        "DecryptOnly" => OldKeyState::DecryptOnly,
        "Retired" => OldKeyState::Retired,
        "Compromised" => OldKeyState::Compromised,
        _ => return None,
    };
    let text = value("since")?;
    let since = text.parse().ok().filter(|time| time_text(time) == text)?;
    words.next().is_none().then_some(OldKey { fingerprint, state, since })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::age::{Algorithm, Identity};

    #[test]
    fn reads_keys_and_states() {
        let recipient = Identity::generate(Algorithm::X25519).recipient().clone();
        let fingerprint = recipient.fingerprint();
        let text =
            format!("# prod\r\n\n {recipient} \r\n# bulla: key={fingerprint} state=DecryptOnly since=2026-11-23T06:50:00Z\n");
        let file: RecipientsFile = text.parse().unwrap();
        assert_eq!(file.recipients, [recipient]);
        assert_eq!(file.old[0].state, OldKeyState::DecryptOnly);
        assert_eq!(file.old[0].fingerprint, fingerprint);
        assert!(text.ends_with(&format!("{}\n", file.old[0])));
        for (from, to) in [("key=", "key"), ("DecryptOnly", "Active"), ("since=", " since="), (":00Z", ":00Z x"), (":00Z", "")] {
            assert_eq!(text.replacen(from, to, 1).parse::<RecipientsFile>(), Err(RecipientsError::Comment(4)), "{to}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_key() {
        let recipient = Identity::generate(Algorithm::X25519).recipient().clone();
        let file: RecipientsFile = format!("\u{feff}{recipient}\r\n").parse().unwrap();
        assert_eq!(file.recipients, [recipient]);
    }

    #[test]
    fn refuses_an_identity_and_an_empty_file() {
        let identity = Identity::generate(Algorithm::Hybrid).to_text();
        let error = format!("\n{}", *identity).parse::<RecipientsFile>().unwrap_err();
        assert_eq!(error, RecipientsError::Line { line: 2, error: KeyError::IdentityAsRecipient });
        assert!(!error.to_string().contains(&identity[..20]));
        assert_eq!("# nothing\n".parse::<RecipientsFile>(), Err(RecipientsError::Empty));
    }
}
