//! `bulla-controller audit verify`: finds lines of an audit trail that were removed, changed, moved or cut off at the end.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;

use serde::Deserialize;
use thiserror::Error;

use super::chain::{AuditKey, Checkpoint, Mac, unsealed};

/// Longest line that is read; ours are far shorter.
const MAX_LINE: u64 = 1024 * 1024;

/// Checks an audit trail: exit code 0 if it is whole, 1 if not
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example:\n  \
    kubectl -n bulla-system get secret bulla-audit-key -o jsonpath='{.data.key}' | base64 -d > audit.key\n  \
    kubectl -n bulla-system get lease bulla-controller -o jsonpath='{.metadata.annotations.bulla\\.dev/audit-checkpoint}'\n  \
    bulla-controller audit verify --key audit.key --until CHECKPOINT trail.jsonl\n\n\
    Lines that are not of the trail are passed over, so a pod's whole log will do. Take the checkpoint first and the log after it.")]
pub struct Verify {
    /// File with the audit key: data.key of the Secret bulla-audit-key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Checkpoint that earlier lines, kept elsewhere, end with [default: the trail begins with the first chain there ever was]
    #[arg(long, value_name = "CHECKPOINT")]
    pub after: Option<Checkpoint>,
    /// Checkpoint that must be reached: the Lease's annotation bulla.dev/audit-checkpoint [default: the end is not checked]
    #[arg(long, value_name = "CHECKPOINT")]
    pub until: Option<Checkpoint>,
    /// The trail, in order; several files count as one
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// What is wrong with a trail.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key file has no key.
    #[error("{} has no audit key (64 hex digits)", .0.display())]
    Key(PathBuf),
    /// There is no line of a trail.
    #[error("no line of an audit trail is there")]
    Nothing,
    /// A line is not what was written at its place.
    #[error("{}, line {line}: {problem}", path.display())]
    Line {
        /// In which file.
        path: PathBuf,
        /// Where, from 1.
        line: u64,
        /// What.
        problem: Problem,
    },
    /// The end is missing.
    #[error("the trail ends before its checkpoint {0}: lines are missing at the end")]
    CutOff(String),
}

/// What is wrong with a line.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// It says that it is one and cannot be read.
    #[error("a line of the trail that cannot be read")]
    Unreadable,
    /// It was changed, or belongs to another key.
    #[error("changed, or written under another key")]
    Changed,
    /// Lines between it and the one before are missing or elsewhere.
    #[error("line {found} of chain {chain} comes after {before} others of it: lines are missing or out of order")]
    Gap {
        /// Of which chain.
        chain: String,
        /// How many lines of it came before.
        before: usize,
        /// Its own.
        found: u64,
    },
    /// A chain continues nothing, although there was one before.
    #[error("this chain continues nothing, although others came before: the Lease was deleted, or lines are missing")]
    Anew,
    /// A chain continues another one that is not there.
    #[error(
        "this chain continues {0}, which is not there: earlier lines are missing (if they are kept elsewhere, say so with --after)"
    )]
    NotAfter(String),
}

/// What was found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Whole {
    /// Lines.
    pub lines: u64,
    /// Chains.
    pub chains: usize,
}

#[derive(Deserialize)]
struct Head {
    chain: String,
    seq: u64,
    after: Option<String>,
}

/// The codes of all lines so far, by chain: the last continues a chain, and any may be what another chain or the Lease names.
#[derive(Default)]
struct Chains(HashMap<String, Vec<Mac>>);

impl Verify {
    /// Reads the whole trail.
    pub fn run(&self) -> Result<Whole, VerifyError> {
        let read = |path: &PathBuf| File::open(path).map_err(|source| VerifyError::Read { path: path.clone(), source });
        let mut text = zeroize::Zeroizing::new(Vec::new());
        let limited = read(&self.key)?.take(4096).read_to_end(&mut text);
        limited.map_err(|source| VerifyError::Read { path: self.key.clone(), source })?;
        let key = AuditKey::parse(&text).ok_or_else(|| VerifyError::Key(self.key.clone()))?;
        let (mut chains, mut whole) = (Chains::default(), Whole::default());
        for path in &self.files {
            let mut reader = BufReader::new(read(path)?);
            for number in 1.. {
                let mut line = Vec::new();
                let count = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line);
                if count.map_err(|source| VerifyError::Read { path: path.clone(), source })? == 0 {
                    break;
                }
                let failed = |problem| VerifyError::Line { path: path.clone(), line: number, problem };
                whole.lines += u64::from(chains.take(&line, &key, self.after.as_ref()).map_err(failed)?);
            }
        }
        whole.chains = chains.0.len();
        if whole.lines == 0 {
            return Err(VerifyError::Nothing);
        }
        match &self.until {
            Some(until) if !chains.has(until) => Err(VerifyError::CutOff(until.to_string())),
            _ => Ok(whole),
        }
    }
}

impl Chains {
    /// Takes a line; whether it is one of a trail.
    fn take(&mut self, line: &[u8], key: &AuditKey, after: Option<&Checkpoint>) -> Result<bool, Problem> {
        let Some(line) = str::from_utf8(line).ok().map(str::trim_end).filter(|line| line.starts_with("{\"chain\":\"")) else {
            return Ok(false);
        };
        let (body, mac) = unsealed(line).ok_or(Problem::Unreadable)?;
        let head: Head = serde_json::from_str(&body).map_err(|_| Problem::Unreadable)?;
        let codes = self.0.get(&head.chain).map_or(&[][..], Vec::as_slice);
        if usize::try_from(head.seq) != Ok(codes.len()) {
            return Err(Problem::Gap { chain: head.chain, before: codes.len(), found: head.seq });
        }
        if key.mac(codes.last().unwrap_or(&[0; 32]), body.as_bytes()) != mac {
            return Err(Problem::Changed);
        }
        if head.seq == 0 {
            self.may_begin(head.after.as_deref(), after)?;
        }
        self.0.entry(head.chain).or_default().push(mac);
        Ok(true)
    }

    fn may_begin(&self, named: Option<&str>, after: Option<&Checkpoint>) -> Result<(), Problem> {
        let Some(named) = named else {
            return if self.0.is_empty() { Ok(()) } else { Err(Problem::Anew) };
        };
        let checkpoint: Checkpoint = named.parse().map_err(|_| Problem::Unreadable)?;
        if self.has(&checkpoint) || after == Some(&checkpoint) {
            return Ok(());
        }
        Err(Problem::NotAfter(named.to_owned()))
    }

    fn has(&self, checkpoint: &Checkpoint) -> bool {
        let codes = self.0.get(&checkpoint.chain);
        let code = usize::try_from(checkpoint.seq).ok().and_then(|seq| codes?.get(seq));
        code == Some(&checkpoint.mac)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::super::{Event, Trail, generate_key};
    use super::*;
    use crate::options::AuditLog;

    /// A trail of two chains in a folder, and the last checkpoint.
    fn trail() -> (tempfile::TempDir, Verify) {
        let folder = tempfile::tempdir().unwrap();
        let [key, log] = ["audit.key", "trail.jsonl"].map(|name| folder.path().join(name));
        let text = generate_key();
        fs::write(&key, text.as_bytes()).unwrap();
        let mut after = None;
        for replica in ["a", "b"] {
            let key = AuditKey::parse(text.as_bytes()).unwrap();
            let trail = Trail::open(&AuditLog::File(log.clone()), key).unwrap().unwrap();
            trail.begin(replica, after.as_ref()).unwrap();
            for name in ["x", "y", "z"] {
                trail.record(&Event::KeyChanged { name, change: "published" }).unwrap();
            }
            after = trail.checkpoint();
        }
        (folder, Verify { key, after: None, until: after, files: vec![log] })
    }

    fn with(verify: &Verify, lines: &[String]) -> Result<Whole, String> {
        fs::write(&verify.files[0], lines.concat()).unwrap();
        verify.run().map_err(|error| error.to_string())
    }

    fn lines(verify: &Verify) -> Vec<String> {
        fs::read_to_string(&verify.files[0]).unwrap().split_inclusive('\n').map(str::to_owned).collect()
    }

    #[test]
    fn whole_alone_and_among_other_lines() {
        let (_folder, verify) = trail();
        let good = lines(&verify);
        assert_eq!(with(&verify, &good), Ok(Whole { lines: 8, chains: 2 }));
        let mut mixed = good.clone();
        mixed.insert(3, "INFO Secret created\n".to_owned());
        mixed.insert(0, "{\"level\":\"INFO\"}\n".to_owned());
        assert_eq!(with(&verify, &mixed), Ok(Whole { lines: 8, chains: 2 }));
    }

    #[test]
    fn earlier_lines_kept_elsewhere() {
        let (_folder, mut verify) = trail();
        let good = lines(&verify);
        let error = with(&verify, &good[4..]).unwrap_err();
        assert!(error.contains("earlier lines are missing"), "{error}");
        let body: serde_json::Value = serde_json::from_str(&good[4]).unwrap();
        verify.after = Some(body["after"].as_str().unwrap().parse().unwrap());
        assert_eq!(with(&verify, &good[4..]), Ok(Whole { lines: 4, chains: 1 }));
        assert!(with(&verify, &[]).unwrap_err().starts_with("no line"));
    }

    #[test]
    fn a_line_that_a_crash_has_cut_is_told_and_hides_no_other() {
        let (_folder, verify) = trail();
        let whole = fs::read_to_string(&verify.files[0]).unwrap();
        fs::write(&verify.files[0], &whole[..whole.len() - 20]).unwrap();
        let key = AuditKey::parse(&fs::read(&verify.key).unwrap()).unwrap();
        let trail = Trail::open(&AuditLog::File(verify.files[0].clone()), key).unwrap().unwrap();
        trail.begin("c", None).unwrap();
        assert_eq!(lines(&verify).len(), 9);
        let error = verify.run().unwrap_err().to_string();
        assert!(error.ends_with("line 8: a line of the trail that cannot be read"), "{error}");
    }

    proptest! {
        #[test]
        fn removed_moved_cut_or_changed(at in 0_usize..8, to in 0_usize..8, bit in 0_usize..4000) {
            let (_folder, verify) = trail();
            let good = lines(&verify);
            let mut removed = good.clone();
            removed.remove(at);
            prop_assert!(with(&verify, &removed).is_err());
            prop_assert!(with(&verify, &good[..at]).is_err());
            let mut moved = good.clone();
            let line = moved.remove(at);
            moved.insert(to, line);
            // The two chains may be told apart wherever they stand, so only what is in one chain has an order.
            prop_assert_eq!(with(&verify, &moved).is_ok(), moved == good);
            let mut changed = good.clone();
            let mut bytes = changed[at].clone().into_bytes();
            let place = (bit / 8) % (bytes.len() - 1);
            bytes[place] ^= 1 << (bit % 7);
            if let Ok(text) = String::from_utf8(bytes) {
                changed[at] = text;
                prop_assert!(with(&verify, &changed).is_err());
            }
        }
    }
}
