//! A backup of sealing keys: an identity file that says of each key what it was in the cluster.
//!
//! Its text is a secret. It is written to disk only inside an age file, and any age tool opens values with what comes out.

use bulla_shared::age::{Fingerprint, Identity};
use bulla_shared::binding::time_text;
use bulla_shared::resources::sealing_key::KeyState;
use jiff::Timestamp;
use thiserror::Error;
use zeroize::Zeroizing;

/// Longest backup, in bytes: tens of thousands of keys.
pub const MAX_BACKUP: usize = 16 * 1024 * 1024;

/// One key of a backup.
#[derive(Debug)]
pub struct BackupKey {
    /// The private key.
    pub identity: Identity,
    /// When it was made.
    pub created: Timestamp,
    /// Its `SealingKey`, if it had one.
    pub sealing_key: Option<SealingKeyRecord>,
}

/// What a `SealingKey` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealingKeyRecord {
    /// Its name.
    pub name: String,
    /// What an admin asked of it.
    pub state: Option<KeyState>,
    /// Since when the key is in other hands.
    pub compromised_at: Option<Timestamp>,
}

/// Why a text is not a backup. Holds nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Longer than [`MAX_BACKUP`].
    #[error("longer than {MAX_BACKUP} bytes")]
    TooLong,
    /// Not UTF-8.
    #[error("not a text")]
    NotText,
    /// A `# bulla:` line of another form.
    #[error("line {0}: malformed '# bulla:' line")]
    Record(usize),
    /// A line that is neither a comment nor an identity.
    #[error("line {0}: not an age identity")]
    Identity(usize),
    /// An identity without a `# bulla:` line of its own.
    #[error("line {0}: this identity has no '# bulla:' line, so when it was made is not known")]
    NoRecord(usize),
    /// No key at all.
    #[error("there is no key in it")]
    Empty,
}

impl BackupKey {
    /// Full SHA-256 of the recipient.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.recipient().fingerprint()
    }
}

/// Writes a backup; the buffer never grows.
#[must_use]
pub fn write(keys: &[BackupKey], now: Timestamp) -> Zeroizing<String> {
    let head = format!("# Private sealing keys of a Bulla cluster, {}\n", time_text(&now));
    let entries: Vec<_> = keys.iter().map(|key| (comments(key), key.identity.to_text())).collect();
    let length = entries.iter().map(|(comments, identity)| comments.len() + identity.len() + 1).sum::<usize>();
    let mut text = Zeroizing::new(String::with_capacity(head.len() + length));
    text.push_str(&head);
    for (comments, identity) in &entries {
        text.push_str(comments);
        text.push_str(identity);
        text.push('\n');
    }
    text
}

fn comments(key: &BackupKey) -> String {
    let mut words = vec![format!("created={}", time_text(&key.created))];
    if let Some(sealing_key) = &key.sealing_key {
        words.push(format!("sealingkey={}", sealing_key.name));
        words.extend(sealing_key.state.map(|state| format!("state={state}")));
        words.extend(sealing_key.compromised_at.map(|at| format!("compromised={}", time_text(&at))));
    }
    format!("# bulla: {}\n# public key: {}\n", words.join(" "), key.identity.recipient())
}

/// Reads a backup.
pub fn read(bytes: &[u8]) -> Result<Vec<BackupKey>, BackupError> {
    if bytes.len() > MAX_BACKUP {
        return Err(BackupError::TooLong);
    }
    let text = str::from_utf8(bytes).map_err(|_| BackupError::NotText)?;
    let (mut keys, mut record) = (Vec::new(), None);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_ascii();
        if let Some(comment) = line.strip_prefix("# bulla:") {
            record = Some(self::record(comment).ok_or(BackupError::Record(number))?);
        } else if !line.is_empty() && !line.starts_with('#') {
            let identity = line.parse().map_err(|_| BackupError::Identity(number))?;
            let (created, sealing_key) = record.take().ok_or(BackupError::NoRecord(number))?;
            keys.push(BackupKey { identity, created, sealing_key });
        }
    }
    if keys.is_empty() { Err(BackupError::Empty) } else { Ok(keys) }
}

fn record(comment: &str) -> Option<(Timestamp, Option<SealingKeyRecord>)> {
    let mut words = comment.strip_prefix(' ')?.split(' ').peekable();
    let mut value = |key: &str| {
        let text = words.peek()?.strip_prefix(key)?.strip_prefix('=')?;
        words.next();
        Some(text)
    };
    // One text for one time, so that nothing is lost by writing it again.
    let time = |text: &str| text.parse::<Timestamp>().ok().filter(|time| time_text(time) == text);
    let created = time(value("created")?)?;
    let name = value("sealingkey").map(str::to_owned);
    let state = value("state").map(str::parse::<KeyState>).transpose().ok()?;
    let compromised_at = match value("compromised") {
        Some(text) => Some(time(text)?),
        None => None,
    };
    if words.next().is_some() || (name.is_none() && (state.is_some() || compromised_at.is_some())) {
        return None;
    }
    Some((created, name.map(|name| SealingKeyRecord { name, state, compromised_at })))
}

#[cfg(test)]
mod tests {
    use bulla_shared::age::{Algorithm, parse_identity_file};

    use super::*;

    fn keys() -> Vec<BackupKey> {
        let key = |name: Option<&str>, state, compromised_at| BackupKey {
            identity: Identity::generate(Algorithm::X25519),
            created: "2026-01-01T00:00:00Z".parse().unwrap(),
            sealing_key: name.map(|name| SealingKeyRecord { name: name.to_owned(), state, compromised_at }),
        };
        let at = "2026-02-03T04:05:06Z".parse().ok();
        vec![key(None, None, None), key(Some("initial"), None, None), key(Some("b"), Some(KeyState::Compromised), at)]
    }

    #[test]
    fn reads_what_it_writes_and_age_reads_it_too() {
        let keys = keys();
        let text = write(&keys, "2026-11-25T00:00:00Z".parse().unwrap());
        let read = read(text.as_bytes()).unwrap();
        for (read, written) in read.iter().zip(&keys) {
            assert_eq!(read.fingerprint(), written.fingerprint());
            assert_eq!((read.created, &read.sealing_key), (written.created, &written.sealing_key));
        }
        assert_eq!(parse_identity_file(&text).unwrap().len(), 3);
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let text = write(&keys(), "2026-11-25T00:00:00Z".parse().unwrap());
        let read = |text: &str| read(text.as_bytes()).unwrap_err();
        assert_eq!(read(""), BackupError::Empty);
        assert_eq!(read(&text.replacen("created=2", "created=x", 1)), BackupError::Record(2));
        assert_eq!(read(&text.replacen(" state=Compromised", " state=Broken", 1)), BackupError::Record(8));
        assert_eq!(read(&text.replacen("# bulla: ", "# ", 1)), BackupError::NoRecord(4));
        let error = read(&text.replacen("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1Q", 1));
        assert_eq!(error, BackupError::Identity(4));
        assert!(!error.to_string().contains("AGE-SECRET"));
        assert_eq!(super::read(b"\xff").unwrap_err(), BackupError::NotText);
    }
}
