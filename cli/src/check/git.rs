//! Versions of files that are in Git and nowhere else: what is staged, and what the commits after a revision brought.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use gix::bstr::ByteSlice as _;
use gix::index::entry::Mode;
use gix::objs::tree::EntryKind;
use gix::{ObjectId, Repository};
use zeroize::Zeroizing;

use crate::error::{Error, Kind, warn};
use crate::manifest::MAX_BYTES;

/// One version of a file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version {
    /// Where it is, or was, in the working tree.
    pub path: PathBuf,
    /// Start of the commit's id, if another version is there now.
    pub commit: Option<String>,
    /// It is a link, and its content where it leads.
    pub is_link: bool,
    id: ObjectId,
}

/// A repository with its root.
pub struct Git {
    repository: Repository,
    root: PathBuf,
}

/// All files and links of the index or of a commit.
pub struct Tree {
    /// Regular files.
    pub files: Vec<Version>,
    /// Links, and what they name.
    pub(super) links: HashMap<PathBuf, PathBuf>,
}

/// Most links that a path may lead over, as Linux has it.
const MOST_LINKS: usize = 40;

impl Tree {
    /// Where a path leads in the end.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        let (mut path, mut links) = (path.to_owned(), 0);
        loop {
            let (mut at, mut rest) = (PathBuf::new(), path.components());
            let target = loop {
                match rest.next() {
                    None => return at,
                    Some(Component::ParentDir) => {
                        at.pop();
                    }
                    Some(part) => at.push(part),
                }
                if let Some(target) = self.links.get(&at).filter(|_| links < MOST_LINKS) {
                    break target;
                }
            };
            links += 1;
            at.pop();
            path = at.join(target).join(rest.as_path());
        }
    }
}

/// What became of reading a version.
pub enum Content {
    /// All of it.
    Whole(Zeroizing<Vec<u8>>),
    /// It is longer than what is read: so many bytes.
    TooLarge(u64),
}

/// Path, content and whether it is a link.
type Entry = (Vec<u8>, ObjectId, bool);

/// Whether an entry of the index is a link or a file; none for submodules.
fn is_link(entry: &gix::index::Entry) -> Option<bool> {
    match entry.mode {
        Mode::FILE | Mode::FILE_EXECUTABLE => Some(false),
        Mode::SYMLINK => Some(true),
        _ => None,
    }
}

impl Git {
    /// The repository of the working directory.
    pub fn here() -> Result<Self, Error> {
        let repository = gix::discover(".").map_err(|_| {
            let failed = Error::new(Kind::Usage, "there is no Git repository here").cause("--staged and --since ask one");
            failed.hint("run this in a repository, or check files as they are: bulla check PATH")
        })?;
        Ok(Self::of(repository))
    }

    /// The repository with this root.
    pub fn at(root: &Path) -> Result<Self, Error> {
        gix::open(root).map(Self::of).map_err(|error| failed("cannot read the repository", &error))
    }

    fn of(repository: Repository) -> Self {
        let root = repository.workdir().unwrap_or(repository.git_dir()).to_owned();
        let root = std::fs::canonicalize(&root).unwrap_or(root);
        Self { repository, root }
    }

    /// The root of the working tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the files and links are that the index has, also those in conflict.
    pub fn tracked(&self) -> Result<Vec<PathBuf>, Error> {
        let index = self.index()?;
        let entries = index.entries().iter().filter(|entry| !matches!(entry.mode, Mode::COMMIT | Mode::DIR));
        Ok(entries.map(|entry| self.path(entry.path(&index).as_bytes())).collect())
    }

    /// What the next commit would add or change.
    pub fn staged(&self) -> Result<Vec<Version>, Error> {
        let index = self.index()?;
        let committed = self.entries_of(self.head()?.detach())?;
        let mut versions = Vec::new();
        for entry in index.entries() {
            let path = entry.path(&index);
            let is_empty = entry.flags.contains(gix::index::entry::Flags::INTENT_TO_ADD);
            if let Some(is_link) = is_link(entry)
                && entry.stage_raw() == 0
                && !is_empty
                && committed.get(path.as_bytes()) != Some(&(entry.id, is_link))
            {
                versions.push(Version { path: self.path(path.as_bytes()), commit: None, is_link, id: entry.id });
            }
        }
        Ok(versions)
    }

    /// All that the next commit would have.
    pub fn staged_tree(&self) -> Result<Tree, Error> {
        let index = self.index()?;
        let entries = index.entries().iter().filter(|entry| entry.stage_raw() == 0);
        self.tree(entries.filter_map(|entry| Some((entry.path(&index).to_vec(), entry.id, is_link(entry)?))))
    }

    /// All that a revision has, or the last commit.
    pub fn tree_at(&self, revision: Option<&str>) -> Result<Tree, Error> {
        let tree = match revision {
            Some(revision) => {
                self.commit(revision)?.tree_id().map_err(|error| failed("cannot read from the repository", &error))?
            }
            None => self.head()?,
        };
        self.tree(self.brought(None, tree.detach())?)
    }

    fn tree(&self, entries: impl IntoIterator<Item = Entry>) -> Result<Tree, Error> {
        let mut tree = Tree { files: Vec::new(), links: HashMap::new() };
        for (path, id, is_link) in entries {
            let version = Version { path: self.path(&path), commit: None, is_link, id };
            if !is_link {
                tree.files.push(version);
            } else if let Content::Whole(target) = self.read(&version)? {
                tree.links.insert(version.path, PathBuf::from(target.to_str_lossy().as_ref()));
            }
        }
        Ok(tree)
    }

    /// The tree of the last commit.
    fn head(&self) -> Result<gix::Id<'_>, Error> {
        self.repository.head_tree_id_or_empty().map_err(|error| failed("cannot read HEAD", &error))
    }

    /// A file as it is staged, if it is.
    pub fn staged_file(&self, path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let index = self.index()?;
        let mut files = index.entries().iter().filter(|entry| is_link(entry) == Some(false) && entry.stage_raw() == 0);
        let Some(entry) = files.find(|entry| self.path(entry.path(&index).as_bytes()) == path) else { return Ok(None) };
        Ok(match self.read(&Version { path: path.to_owned(), commit: None, is_link: false, id: entry.id })? {
            Content::Whole(bytes) => Some(bytes),
            Content::TooLarge(_) => None,
        })
    }

    fn index(&self) -> Result<gix::worktree::Index, Error> {
        self.repository.index_or_empty().map_err(|error| failed("cannot read the index of the repository", &error))
    }

    fn commit(&self, revision: &str) -> Result<gix::Commit<'_>, Error> {
        self.repository.rev_parse_single(revision).and_then(|id| id.object()?.peel_to_commit()).map_err(|_| {
            let failed = Error::new(Kind::Usage, format!("cannot find the commit {revision}"));
            let clone = if self.repository.is_shallow().unwrap_or_default() {
                "the clone is shallow, and what is older is not there"
            } else {
                "no branch, tag or id leads to one"
            };
            failed.cause(clone).hint("fetch more of the history: git fetch --unshallow, or fetch-depth: 0 in the pipeline")
        })
    }

    /// What the commits after `revision` brought, also what later ones of them took away again. The present version of a file has no
    /// commit; earlier ones have that which brought them.
    pub fn since(&self, revision: &str) -> Result<Vec<Version>, Error> {
        let shallow = self.repository.is_shallow().unwrap_or_default();
        let head = self.repository.head_id().map_err(|_| {
            Error::new(Kind::Usage, "this repository has no commit").hint("check what is staged (--staged), or files as they are")
        })?;
        let from = self.commit(revision)?;
        let present = self.entries_of(self.head()?.detach())?;
        let unreadable = |error: &dyn std::fmt::Display| failed("cannot read the history of the repository", error);
        let walk = self.repository.rev_walk([head.detach()]).with_hidden([from.id]).all().map_err(|error| unreadable(&error))?;
        let mut known = HashMap::new();
        for info in walk {
            let info = info.map_err(|error| unreadable(&error))?;
            let commit = info.id().object().and_then(gix::Object::try_into_commit).map_err(|error| unreadable(&error))?;
            let tree = commit.tree_id().map_err(|error| unreadable(&error))?.detach();
            let mut parents = Vec::new();
            for parent in info.parent_ids() {
                // Of a shallow clone the parents of the oldest commit are not there.
                let Some(parent) = parent.object().ok().and_then(|object| object.try_into_commit().ok()) else { continue };
                parents.push(parent.tree_id().map_err(|error| unreadable(&error))?.detach());
            }
            if shallow && parents.is_empty() {
                warn(format!("the clone is shallow: everything in {} counts as new", commit.id().shorten_or_id()));
            }
            let mut brought = self.brought(parents.first().copied(), tree)?;
            for parent in parents.iter().skip(1) {
                // A merge brings what none of its sides had.
                let also: HashSet<_> = self.brought(Some(*parent), tree)?.into_iter().collect();
                brought.retain(|version| also.contains(version));
            }
            for (path, id, is_link) in brought {
                let commit = (present.get(&path) != Some(&(id, is_link))).then(|| commit.id().shorten_or_id().to_string());
                known.insert((path, id, is_link), commit);
            }
        }
        let version =
            |((path, id, is_link), commit): ((Vec<u8>, _, _), _)| Version { path: self.path(&path), commit, is_link, id };
        let versions = known.into_iter().map(version);
        let mut versions: Vec<_> = versions.collect();
        versions.sort_by(|a, b| (&a.path, &a.commit).cmp(&(&b.path, &b.commit)));
        Ok(versions)
    }

    /// Reads a version.
    pub fn read(&self, version: &Version) -> Result<Content, Error> {
        let failed = |error: &dyn std::fmt::Display| failed("cannot read from the repository", error);
        let header = self.repository.find_header(version.id).map_err(|error| failed(&error))?;
        if header.size() > MAX_BYTES as u64 {
            return Ok(Content::TooLarge(header.size()));
        }
        let mut object = self.repository.find_object(version.id).map_err(|error| failed(&error))?;
        Ok(Content::Whole(Zeroizing::new(std::mem::take(&mut object.data))))
    }

    fn path(&self, path: &[u8]) -> PathBuf {
        // Only Windows has paths that are no text of its own.
        gix::path::from_bstr(path.as_bstr())
            .map_or_else(|_| self.root.join(path.to_str_lossy().as_ref()), |path| self.root.join(path))
    }

    /// All files and links of a tree, by path.
    fn entries_of(&self, tree: ObjectId) -> Result<HashMap<Vec<u8>, (ObjectId, bool)>, Error> {
        Ok(self.brought(None, tree)?.into_iter().map(|(path, id, is_link)| (path, (id, is_link))).collect())
    }

    /// The files and links that are in `after` and not, or not so, in `before`.
    fn brought(&self, before: Option<ObjectId>, after: ObjectId) -> Result<Vec<Entry>, Error> {
        let mut found = Vec::new();
        let mut todo = vec![(Vec::new(), before, after)];
        while let Some((folder, before, after)) = todo.pop() {
            let (old, new) = (before.map(|id| self.entries(id)).transpose()?.unwrap_or_default(), self.entries(after)?);
            let old: HashMap<_, _> = old.into_iter().map(|(name, kind, id)| (name, (kind, id))).collect();
            for (name, kind, id) in new {
                let before = old.get(&name);
                // A link that becomes a file may keep its content.
                let is_link = kind == EntryKind::Link;
                if before.is_some_and(|(old_kind, old)| *old == id && is_link == (*old_kind == EntryKind::Link)) {
                    continue;
                }
                let path = if folder.is_empty() { name } else { [&folder[..], b"/", &name].concat() };
                match kind {
                    EntryKind::Tree => {
                        todo.push((path, before.filter(|(kind, _)| *kind == EntryKind::Tree).map(|(_, id)| *id), id));
                    }
                    EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link => found.push((path, id, is_link)),
                    EntryKind::Commit => {}
                }
            }
        }
        Ok(found)
    }

    fn entries(&self, tree: ObjectId) -> Result<Vec<(Vec<u8>, EntryKind, ObjectId)>, Error> {
        let failed = |error: &dyn std::fmt::Display| failed("cannot read from the repository", error);
        let tree = self.repository.find_tree(tree).map_err(|error| failed(&error))?;
        let decoded = tree.decode().map_err(|error| failed(&error))?;
        Ok(decoded.entries.iter().map(|entry| (entry.filename.to_vec(), entry.mode.kind(), entry.oid.to_owned())).collect())
    }
}

/// Whether a path is one of `paths`, or below one.
#[must_use]
pub fn is_within(path: &Path, paths: &[PathBuf]) -> bool {
    paths.is_empty() || paths.iter().any(|folder| path.starts_with(folder))
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Io, what).cause(error).hint("git fsck says what is wrong with it; a partial clone may lack objects")
}
