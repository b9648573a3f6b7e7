//! The configuration and the recipients files of a revision: what `--trust-rev` believes instead of those of the branch, and what a change
//! does to the keys that values are sealed to.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use bulla_shared::recipients::{OldKey, RecipientsFile};
use zeroize::Zeroizing;

use super::finding::{Finding, Sheet, Show};
use super::git::{Content, Git, Tree, Version};
use super::inputs::Names;
use super::rule::CHANGED_RECIPIENTS;
use crate::config::{self, Config};
use crate::error::{Error, Kind};

/// Ending of recipients files, by which one is known that no configuration names.
const ENDING: &str = "recipients";

/// A revision that is believed: the target branch of a pull request.
pub struct Trust<'r> {
    git: Git,
    revision: &'r str,
    tree: Tree,
}

impl<'r> Trust<'r> {
    /// Finds the revision.
    pub fn new(revision: &'r str) -> Result<Self, Error> {
        let git = Git::here()?;
        let tree = git.tree_at(Some(revision))?;
        Ok(Self { git, revision, tree })
    }

    /// How messages name it.
    #[must_use]
    pub fn revision(&self) -> &str {
        self.revision
    }

    /// The configuration that it has for files of a folder.
    pub fn configuration(&self, folder: &Path) -> Result<Option<Config>, Error> {
        Config::find_in(folder, |path| at(&self.tree, path).map(|version| self.text(version)).transpose())
    }

    /// A recipients file as it has it.
    pub fn recipients(&self, path: &Path) -> Result<RecipientsFile, Error> {
        let text = at(&self.tree, path).map(|version| self.text(version)).transpose()?;
        let text = text.unwrap_or_else(|| Err(io::Error::other("it is not there")));
        let text = text.map_err(|error| error.to_string());
        text.and_then(|text| text.parse::<RecipientsFile>().map_err(|error| error.to_string())).map_err(|cause| {
            Error::new(Kind::Configuration, format!("cannot use {} of {}", path.display(), self.revision))
                .cause(cause)
                .hint("its .bulla.yaml names this file: mend the one or the other there")
        })
    }

    /// Whether a file is in its repository.
    #[must_use]
    pub fn has_in_it(&self, path: &Path) -> bool {
        path.starts_with(self.git.root())
    }

    /// Any file as it has it.
    pub fn file(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let Some(version) = at(&self.tree, path) else { return Ok(None) };
        match self.git.read(version)? {
            Content::Whole(bytes) => Ok(Some(bytes)),
            Content::TooLarge(length) => {
                let failed = Error::new(Kind::Io, format!("cannot read {} of {}", path.display(), self.revision));
                Err(failed.cause(format!("{length} bytes are too many")).hint("make a shorter one"))
            }
        }
    }

    fn text(&self, version: &Version) -> Result<io::Result<String>, Error> {
        Ok(match self.git.read(version)? {
            Content::Whole(bytes) => config::text(bytes.to_vec()),
            Content::TooLarge(length) => Err(io::Error::other(format!("{length} bytes are too many"))),
        })
    }
}

/// A file of a tree, also by way of links.
fn at<'t>(tree: &'t Tree, path: &Path) -> Option<&'t Version> {
    let path = tree.resolve(path);
    tree.files.iter().find(|version| version.path == path && !version.is_link)
}

/// Recipients that come and go with these versions, between two trees: in files that the configuration names, or that are called so. What
/// others changed meanwhile is none of it.
pub fn changed_recipients(
    git: &Git,
    before: &Tree,
    tree: &Tree,
    versions: &[Version],
    names: &Names,
    config: Option<&Config>,
) -> Result<Vec<Finding>, Error> {
    let touched: HashSet<&Path> =
        versions.iter().filter(|version| version.commit.is_none()).map(|version| version.path.as_path()).collect();
    let named = config.map(Config::recipients_files).unwrap_or_default();
    let behind: HashSet<&Path> = named.iter().filter_map(|path| Some(at(tree, path)?.path.as_path())).collect();
    let is_called_so = |path: &&Path| path.extension().is_some_and(|ending| ending == ENDING) && !behind.contains(path);
    let called = touched.iter().copied().filter(is_called_so).map(Path::to_owned);
    let text = |version: &Version| {
        Ok::<_, Error>(match git.read(version)? {
            Content::Whole(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Content::TooLarge(_) => String::new(),
        })
    };
    let mut findings = Vec::new();
    for path in named.iter().cloned().chain(called).collect::<BTreeSet<PathBuf>>() {
        let (Some(now), then) = (at(tree, &path), at(before, &path)) else { continue };
        if then == Some(now) || !(touched.contains(path.as_path()) || touched.contains(now.path.as_path())) {
            continue;
        }
        let (name, text, then) = (names.of(&path), text(now)?, then.map(text).transpose()?.unwrap_or_default());
        let mut sheet = Sheet::new(&name, &text);
        compare(&mut sheet, &then.parse().unwrap_or_default());
        findings.append(&mut sheet.findings);
    }
    Ok(findings)
}

/// What is said of a file that cannot be read, another rule says.
fn compare(sheet: &mut Sheet<'_>, then: &RecipientsFile) {
    let Ok(now) = sheet.text().parse::<RecipientsFile>() else { return };
    let mut report = |line: &str, id: String, message: String| {
        let at = sheet.text().find(line).unwrap_or_default();
        sheet.report(CHANGED_RECIPIENTS, at..at, &Show::Nothing, &id, message);
    };
    for recipient in now.recipients.iter().filter(|recipient| !then.recipients.contains(recipient)) {
        let fingerprint = recipient.fingerprint();
        let message = format!("recipient {fingerprint} is new: whoever holds its key reads what is sealed from now on");
        report(&recipient.to_string(), fingerprint.id().to_string(), message);
    }
    let same = |a: &OldKey, b: &OldKey| a.fingerprint == b.fingerprint && a.state == b.state;
    for old in now.old.iter().filter(|old| !then.old.iter().any(|before| same(before, old))) {
        let message = format!("key {} is called {:?} from now on", old.fingerprint, old.state);
        report(&old.to_string(), old.fingerprint.id().to_string(), message);
    }
    let before =
        then.recipients.iter().map(bulla_shared::age::Recipient::fingerprint).chain(then.old.iter().map(|old| old.fingerprint));
    let is_there = |fingerprint| {
        now.recipients.iter().any(|recipient| recipient.fingerprint() == fingerprint)
            || now.old.iter().any(|old| old.fingerprint == fingerprint)
    };
    for gone in before.filter(|fingerprint| !is_there(*fingerprint)) {
        report("", gone.id().to_string(), format!("key {gone} is named no more"));
    }
}
