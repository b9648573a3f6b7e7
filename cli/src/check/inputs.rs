//! Which files are looked at: those below folders that Git does not ignore, those that are named, standard input.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::WalkBuilder;

use super::finding::FileName;
use crate::config::{repository, without_parents};
use crate::error::{Error, Kind};

/// Endings of files that kubectl reads, or that become such files.
const MANIFESTS: [&str; 7] = ["yaml", "yml", "json", "tpl", "tmpl", "gotmpl", "j2"];

/// The longest `.gitignore` that is read, in bytes.
const MOST_IGNORED: u64 = 1024 * 1024;

/// Where names of files start.
#[derive(Debug, Clone)]
pub struct Names {
    here: PathBuf,
    root: PathBuf,
}

impl Names {
    /// From the working directory, and from the root of the repository that it is in.
    pub fn here() -> Result<Self, Error> {
        let here = std::env::current_dir().map_err(|error| Error::new(Kind::Io, "no working directory").cause(error))?;
        let root = repository(&here).unwrap_or(&here).to_owned();
        Ok(Self { here, root })
    }

    /// The root of the repository, or the working directory where there is none.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The working directory and the folders above it within the repository.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.here.ancestors().take_while(|folder| folder.starts_with(&self.root))
    }

    /// The file in the repository that a link leads to.
    #[must_use]
    pub fn behind(&self, link: &Path) -> Option<PathBuf> {
        let real = std::fs::canonicalize(link).ok()?;
        let root = std::fs::canonicalize(&self.root).ok()?;
        let inside = real.strip_prefix(root).ok()?;
        real.is_file().then(|| self.root.join(inside))
    }

    /// Names a file on the disk.
    #[must_use]
    pub fn of(&self, path: &Path) -> FileName {
        let absolute = without_parents(&self.here.join(path));
        let from_root = absolute.strip_prefix(&self.root).unwrap_or(&absolute);
        let from_root = from_root.to_string_lossy().replace('\\', "/");
        let shown = path.strip_prefix("./").unwrap_or(path);
        let shown = shown.strip_prefix(&self.here).unwrap_or(shown);
        FileName { shown: shown.display().to_string(), from_root, path: Some(absolute), commit: None }
    }

    /// Names standard input.
    #[must_use]
    pub fn stdin() -> FileName {
        FileName { shown: crate::files::STDIN.to_owned(), from_root: "stdin".to_owned(), path: None, commit: None }
    }
}

/// Whether kubectl would read it, or what it is rendered to.
#[must_use]
pub fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    MANIFESTS.contains(&ending) || name == "kustomization" || name.contains(".yaml.") || name.contains(".yml.")
}

/// What is looked at.
#[derive(Debug, Default)]
pub struct Found {
    /// Files, each once.
    pub files: Vec<PathBuf>,
    /// Links that kubectl follows because of their names.
    pub links: Vec<PathBuf>,
}

/// The files below `paths`. A link is not followed, and what Git ignores is left out, unless it is named or `tracked`.
pub fn find(paths: &[PathBuf], names: &Names, tracked: &[PathBuf]) -> Result<Found, Error> {
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() {
            below(path, names, &mut found)?;
            let absolute = names.of(path).path.unwrap_or_default();
            for file in tracked.iter().filter_map(|file| file.strip_prefix(&absolute).ok()) {
                let file = path.join(file);
                if std::fs::symlink_metadata(&file).is_ok_and(|metadata| metadata.is_file()) {
                    found.files.push(file);
                }
            }
        } else {
            std::fs::metadata(path).map_err(|error| failed(path).cause(error))?;
            found.files.push(path.clone());
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.files.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

fn below(path: &Path, names: &Names, found: &mut Found) -> Result<(), Error> {
    let absolute = names.of(path).path.unwrap_or_default();
    check_ignore_file(path)?;
    for folder in absolute.ancestors().skip(1).take_while(|folder| folder.starts_with(&names.root)) {
        check_ignore_file(folder)?;
    }
    let refused = Arc::new(Mutex::new(None));
    let refuse = Arc::clone(&refused);
    // Files that begin with a dot belong to the repository as well; files named .ignore are other tools'.
    let walk = WalkBuilder::new(path)
        .hidden(false)
        .ignore(false)
        .parents(absolute != names.root)
        .sort_by_file_name(Ord::cmp)
        .filter_entry(move |entry| {
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            if is_folder && let Err(error) = check_ignore_file(entry.path()) {
                *refuse.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return false;
            }
            entry.file_name() != ".git"
        })
        .build();
    for entry in walk {
        let entry = entry.map_err(|error| failed(path).cause(error))?;
        match entry.file_type() {
            Some(kind) if kind.is_file() => found.files.push(entry.into_path()),
            Some(kind) if kind.is_symlink() => found.links.push(entry.into_path()),
            _ => {}
        }
    }
    let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
    refused.map_or(Ok(()), Err)
}

/// Whether the `.gitignore` of a folder can be read: Git reads none that is a link, and one that leads to a device has no end.
fn check_ignore_file(folder: &Path) -> Result<(), Error> {
    let file = folder.join(".gitignore");
    match std::fs::symlink_metadata(&file) {
        Ok(metadata) if !metadata.is_file() || metadata.len() > MOST_IGNORED => {
            let cause = format!("it is no regular file of at most {MOST_IGNORED} bytes");
            Err(failed(&file).cause(cause))
        }
        _ => Ok(()),
    }
}

/// What is said of a path that leads nowhere.
pub(super) fn failed(path: &Path) -> Error {
    Error::new(Kind::Io, format!("cannot read {}", path.display())).hint("check the path, and who may read it: ls -l")
}
