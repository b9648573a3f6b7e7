//! `bulla-controller audit verify`: finds lines of an audit trail that were removed, changed, moved or cut off at the end.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

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
    /// Checkpoint that earlier lines, kept elsewhere, end with, as a run over those says; may be repeated [default: the trail begins with the first chain there ever was]
    #[arg(long, value_name = "CHECKPOINT")]
    pub after: Vec<Checkpoint>,
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
        before: u64,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// Lines.
    pub lines: u64,
    /// Chains.
    pub chains: usize,
    /// The last line: what later lines, kept elsewhere, come after. A chain of one line that begins after it may go on there too.
    pub ends: Vec<Checkpoint>,
}

#[derive(Deserialize)]
struct Head {
    chain: String,
    seq: u64,
    after: Option<String>,
}

/// A chain as far as it was read.
struct Chain {
    /// Number and code of the line before the first one that is here.
    before: (u64, Mac),
    /// The codes of its lines.
    codes: Vec<Mac>,
    /// None if that is elsewhere.
    begins: Option<Beginning>,
    /// Which line of all lines its last one is.
    ends: u64,
}

/// The first line of a chain.
struct Beginning {
    path: PathBuf,
    line: u64,
    /// What it says it goes on after.
    after: Option<Checkpoint>,
    /// Whether that came before.
    follows: bool,
}

impl Checkpoint {
    /// Whether lines up to here, that are whole, have `other` among them. A chain goes on after what the Lease said, which lags behind.
    fn covers(&self, other: &Self) -> bool {
        self.chain == other.chain && (other.seq < self.seq || self == other)
    }
}

impl Chain {
    /// The number of the next line.
    fn next(&self) -> u64 {
        self.before.0 + self.codes.len() as u64
    }

    fn last(&self) -> Mac {
        self.codes.last().copied().unwrap_or(self.before.1)
    }
}

/// All chains; any line of one may be what another or the Lease names.
#[derive(Default)]
struct Chains {
    by_name: HashMap<String, Chain>,
    /// Their names, in the order in which they begin.
    order: Vec<String>,
    /// How many lines there are.
    lines: u64,
}

impl Verify {
    /// Reads the whole trail.
    pub fn run(&self) -> Result<Whole, VerifyError> {
        let read = |path: &PathBuf| File::open(path).map_err(|source| VerifyError::Read { path: path.clone(), source });
        let mut text = zeroize::Zeroizing::new(Vec::new());
        let limited = read(&self.key)?.take(4096).read_to_end(&mut text);
        limited.map_err(|source| VerifyError::Read { path: self.key.clone(), source })?;
        let key = AuditKey::parse(&text).ok_or_else(|| VerifyError::Key(self.key.clone()))?;
        let mut chains = Chains::default();
        for path in &self.files {
            let mut reader = BufReader::new(read(path)?);
            for number in 1.. {
                let mut line = Vec::new();
                let count = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line);
                if count.map_err(|source| VerifyError::Read { path: path.clone(), source })? == 0 {
                    break;
                }
                let failed = |problem| VerifyError::Line { path: path.clone(), line: number, problem };
                chains.take(&line, &key, &self.after, (path, number)).map_err(failed)?;
            }
        }
        if chains.lines == 0 {
            return Err(VerifyError::Nothing);
        }
        let ends = chains.hang_together(&self.after, self.until.as_ref())?;
        match &self.until {
            Some(until) if !chains.has(until) => Err(VerifyError::CutOff(until.to_string())),
            _ => Ok(Whole { lines: chains.lines, chains: chains.order.len(), ends }),
        }
    }
}

impl Chains {
    /// Takes a line that stands at `place`, if it is one of a trail.
    fn take(&mut self, line: &[u8], key: &AuditKey, after: &[Checkpoint], place: (&Path, u64)) -> Result<(), Problem> {
        let Some(line) = str::from_utf8(line).ok().map(str::trim_end).filter(|line| line.starts_with("{\"chain\":\"")) else {
            return Ok(());
        };
        let (body, mac) = unsealed(line).ok_or(Problem::Unreadable)?;
        let head: Head = serde_json::from_str(&body).map_err(|_| Problem::Unreadable)?;
        let named: Option<Checkpoint> = head.after.map(|named| named.parse().map_err(|_| Problem::Unreadable)).transpose()?;
        let follows = named.as_ref().is_some_and(|named| self.has(named) || after.iter().any(|after| after.covers(named)));
        let chain = self.by_name.entry(head.chain.clone()).or_insert_with(|| {
            self.order.push(head.chain.clone());
            let (before, begins) = match after.iter().find(|after| after.chain == head.chain && after.seq + 1 == head.seq) {
                Some(after) => ((head.seq, after.mac), None),
                None => ((0, [0; 32]), Some(Beginning { path: place.0.to_owned(), line: place.1, after: named, follows })),
            };
            Chain { before, codes: Vec::new(), begins, ends: 0 }
        });
        if head.seq != chain.next() {
            return Err(Problem::Gap { before: chain.next(), chain: head.chain, found: head.seq });
        }
        if key.mac(&chain.last(), body.as_bytes()) != mac {
            return Err(Problem::Changed);
        }
        chain.codes.push(mac);
        self.lines += 1;
        chain.ends = self.lines;
        Ok(())
    }

    /// Whether each chain goes on after one that is there. One of a single line that nothing names is of a replica that did not get the
    /// Lease: it did nothing, and nothing goes on after it. What later lines come after.
    fn hang_together(&self, after: &[Checkpoint], until: Option<&Checkpoint>) -> Result<Vec<Checkpoint>, VerifyError> {
        let begins = |name: &String| self.by_name[name].begins.as_ref();
        let named = self.order.iter().filter_map(|name| begins(name)?.after.as_ref());
        let named: HashSet<&String> = named.chain(until).map(|at| &at.chain).collect();
        let counts = |name: &&String| {
            let chain = &self.by_name[*name];
            named.contains(name) || chain.begins.is_none() || chain.codes.len() > 1
        };
        for (index, name) in self.order.iter().filter(counts).enumerate() {
            let Some(Beginning { path, line, after: named, follows }) = begins(name) else { continue };
            let problem = match named {
                Some(_) if *follows => continue,
                Some(named) => Problem::NotAfter(named.to_string()),
                None if index == 0 && after.is_empty() => continue,
                None => Problem::Anew,
            };
            return Err(VerifyError::Line { path: path.clone(), line: *line, problem });
        }
        let last = self.order.iter().filter(counts).map(|name| self.by_name[name].ends).max().unwrap_or(0);
        // One of a single line may go on in later lines, where nobody asks any more what it goes on after.
        let hangs = |index: usize, name: &String| {
            let begins = begins(name);
            begins.is_none_or(|begins| begins.follows || begins.after.is_none() && index == 0 && after.is_empty())
        };
        let ends = self.order.iter().enumerate().filter(|(index, name)| self.by_name[*name].ends >= last && hangs(*index, name));
        let ends = ends.map(|(_, name)| {
            let chain = &self.by_name[name];
            Checkpoint { chain: name.clone(), seq: chain.next() - 1, mac: chain.last() }
        });
        Ok(ends.collect())
    }

    fn has(&self, checkpoint: &Checkpoint) -> bool {
        let code = self.by_name.get(&checkpoint.chain).and_then(|chain| {
            let at = checkpoint.seq.checked_sub(chain.before.0)?;
            chain.codes.get(usize::try_from(at).ok()?)
        });
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
        trail_after(3)
    }

    /// The same; the second chain goes on after what the Lease said when the first one had `named` lines besides its beginning.
    fn trail_after(named: usize) -> (tempfile::TempDir, Verify) {
        let folder = tempfile::tempdir().unwrap();
        let [key, log] = ["audit.key", "trail.jsonl"].map(|name| folder.path().join(name));
        let text = generate_key();
        fs::write(&key, text.as_bytes()).unwrap();
        let (mut after, mut until) = (None, None);
        for replica in ["a", "b"] {
            let key = AuditKey::parse(text.as_bytes()).unwrap();
            let trail = Trail::open(&AuditLog::File(log.clone()), key).unwrap().unwrap();
            trail.begin(replica, after.as_ref()).unwrap();
            for (index, name) in ["x", "y", "z"].into_iter().enumerate() {
                trail.record(&Event::KeyChanged { name, change: "published" }).unwrap();
                if index < named {
                    after = trail.checkpoint();
                }
            }
            until = trail.checkpoint();
        }
        (folder, Verify { key, after: Vec::new(), until, files: vec![log] })
    }

    /// How many lines and chains are whole.
    fn with(verify: &Verify, lines: &[String]) -> Result<(u64, usize), String> {
        fs::write(&verify.files[0], lines.concat()).unwrap();
        verify.run().map(|whole| (whole.lines, whole.chains)).map_err(|error| error.to_string())
    }

    fn lines(verify: &Verify) -> Vec<String> {
        fs::read_to_string(&verify.files[0]).unwrap().split_inclusive('\n').map(str::to_owned).collect()
    }

    #[test]
    fn whole_alone_and_among_other_lines() {
        let (_folder, verify) = trail();
        let good = lines(&verify);
        assert_eq!(with(&verify, &good), Ok((8, 2)));
        let mut mixed = good.clone();
        mixed.insert(3, "INFO Secret created\n".to_owned());
        mixed.insert(0, "{\"level\":\"INFO\"}\n".to_owned());
        assert_eq!(with(&verify, &mixed), Ok((8, 2)));
    }

    #[test]
    fn earlier_lines_kept_elsewhere() {
        let (_folder, mut verify) = trail();
        let good = lines(&verify);
        let error = with(&verify, &good[4..]).unwrap_err();
        assert!(error.contains("earlier lines are missing"), "{error}");
        let body: serde_json::Value = serde_json::from_str(&good[4]).unwrap();
        verify.after = vec![body["after"].as_str().unwrap().parse().unwrap()];
        assert_eq!(with(&verify, &good[4..]), Ok((4, 1)));
        assert!(with(&verify, &[]).unwrap_err().starts_with("no line"));
    }

    #[test]
    fn cut_within_a_chain() {
        let (_folder, mut verify) = trail();
        let good = lines(&verify);
        for cut in 1..8 {
            verify.until = None;
            verify.after.clear();
            assert!(with(&verify, &good[cut..]).is_err());
            with(&verify, &good[..cut]).unwrap();
            verify.after = verify.run().unwrap().ends;
            assert_eq!(with(&verify, &good[cut..]).unwrap().0, 8 - cut as u64, "{cut}");
            if cut < 7 {
                assert!(with(&verify, &good[cut + 1..]).is_err(), "one line less");
            }
        }
    }

    #[test]
    fn the_log_of_each_pod_by_itself() {
        for named in 1..=3 {
            let (_folder, mut verify) = trail_after(named);
            let good = lines(&verify);
            let until = verify.until.take();
            with(&verify, &good[..4]).unwrap();
            let ends = verify.run().unwrap().ends;
            assert_eq!(ends.iter().map(|end| end.seq).collect::<Vec<_>>(), [3], "up to its last line");
            (verify.after, verify.until) = (ends, until);
            assert_eq!(with(&verify, &good[4..]), Ok((4, 1)), "{named}");
        }
    }

    #[test]
    fn no_chain_hides_between_two_parts() {
        let (_folder, mut verify) = trail();
        let key = || AuditKey::parse(&fs::read(&verify.key).unwrap()).unwrap();
        let third = Trail::open(&AuditLog::File(verify.files[0].clone()), key()).unwrap().unwrap();
        third.begin("c", verify.until.as_ref()).unwrap();
        for name in ["x", "y"] {
            third.record(&Event::KeyChanged { name, change: "published" }).unwrap();
        }
        let good = lines(&verify);
        verify.until = None;
        with(&verify, &[&good[..4], &good[8..9]].concat()).unwrap();
        verify.after = verify.run().unwrap().ends;
        verify.until = third.checkpoint();
        assert!(with(&verify, &good[9..]).is_err(), "the second chain is gone");
        verify.after.clear();
        verify.until = None;
        with(&verify, &good[..9]).unwrap();
        verify.after = verify.run().unwrap().ends;
        verify.until = third.checkpoint();
        assert_eq!(with(&verify, &good[9..]), Ok((2, 1)));
    }

    #[test]
    fn replicas_that_did_not_get_the_lease() {
        let (_folder, verify) = trail();
        let good = lines(&verify);
        let key = || AuditKey::parse(&fs::read(&verify.key).unwrap()).unwrap();
        let late = verify.files[0].with_extension("late");
        for _ in 0..2 {
            let trail = Trail::open(&AuditLog::File(late.clone()), key()).unwrap().unwrap();
            trail.begin("late", None).unwrap();
        }
        let late: Vec<String> = fs::read_to_string(late).unwrap().split_inclusive('\n').map(str::to_owned).collect();
        for at in 0..=8 {
            let mixed = [&good[..at], &late[..], &good[at..]].concat();
            assert_eq!(with(&verify, &mixed), Ok((10, 4)), "{at}");
        }
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
