//! Which files are looked at: those below folders that Git does not ignore, those that are named, standard input.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::WalkBuilder;

use super::finding::FileName;
use super::git::Git;
use crate::config::{repository, without_parents};
use crate::error::{Error, Kind, warn};

/// Endings of files that kubectl reads, or that become such files.
const MANIFESTS: [&str; 7] = ["yaml", "yml", "json", "tpl", "tmpl", "gotmpl", "j2"];

/// The longest `.gitignore` that is read, in bytes.
const MOST_IGNORED: u64 = 1024 * 1024;

/// Where names of files start.
#[derive(Debug, Clone)]
pub struct Names {
    here: PathBuf,
    root: PathBuf,
    /// What was asked for by way of links, and where it is.
    linked: Vec<(PathBuf, PathBuf)>,
    /// The repositories that are asked about: what is behind a link counts if it is in one.
    within: Vec<PathBuf>,
}

impl Names {
    /// From the working directory, and from the root of the repository that it is in; `paths` are what is asked for.
    pub fn new(paths: &[PathBuf]) -> Result<Self, Error> {
        let here = std::env::current_dir().map_err(|error| Error::new(Kind::Io, "no working directory").cause(error))?;
        let root = repository(&here).unwrap_or(&here).to_owned();
        let (mut linked, mut within) = (Vec::new(), vec![root.clone()]);
        for path in paths {
            let named = here.join(path);
            let real = without_links(&named);
            within.push(repository(&real).unwrap_or(&real).to_owned());
            let named = without_parents(&named);
            if named != real {
                linked.push((named, real));
            }
        }
        Ok(Self { here, root, linked, within })
    }

    /// The root of the repository, or the working directory where there is none.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that all of these files and folders are in, or are; the working directory without any.
    #[must_use]
    pub fn common(&self, paths: &[PathBuf]) -> PathBuf {
        let folders = paths.iter().filter(|path| *path != Path::new("-")).map(|path| {
            let absolute = self.of(path).path.unwrap_or_default();
            if absolute.is_dir() { absolute } else { absolute.parent().map_or_else(PathBuf::new, Path::to_owned) }
        });
        let shared =
            |a: PathBuf, b: PathBuf| a.ancestors().find(|above| b.starts_with(above)).map_or_else(PathBuf::new, Path::to_owned);
        folders.reduce(shared).unwrap_or_else(|| self.here.clone())
    }

    /// The file in a repository that a link leads to.
    #[must_use]
    pub fn behind(&self, link: &Path) -> Option<PathBuf> {
        self.real(link).filter(|real| real.is_file())
    }

    /// The file or folder in a repository that a link leads to.
    #[must_use]
    pub fn real(&self, link: &Path) -> Option<PathBuf> {
        let real = std::fs::canonicalize(link).ok()?;
        self.within.iter().any(|root| real.starts_with(root)).then_some(real)
    }

    /// Names a file on the disk.
    #[must_use]
    pub fn of(&self, path: &Path) -> FileName {
        let mut absolute = without_parents(&self.here.join(path));
        for (named, real) in &self.linked {
            if let Ok(rest) = absolute.strip_prefix(named) {
                absolute = real.iter().chain(rest).collect();
                break;
            }
        }
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

/// Where a path leads. The last part of it may be a link to a file, and what is not there is no link.
fn without_links(path: &Path) -> PathBuf {
    let mut folders = path.ancestors().skip(usize::from(!path.is_dir()));
    let real = folders.find_map(|folder| Some((folder, std::fs::canonicalize(folder).ok()?)));
    real.and_then(|(folder, real)| Some(real.iter().chain(path.strip_prefix(folder).ok()?).collect()))
        .unwrap_or_else(|| path.to_owned())
}

/// Whether kubectl would read it, or what it is rendered to, or an editor or somebody else has kept it from that.
#[must_use]
pub fn is_manifest(path: &Path) -> bool {
    let name = lower_name(path);
    MANIFESTS.contains(&ending(&name)) || name == "kustomization" || is_copy(path)
}

/// Whether it is called as one that is kept from kubectl: `s.yaml.example`, `s.json~`, `s.yml-old`, `.bulla-aB3x9Z`.
#[must_use]
pub fn is_copy(path: &Path) -> bool {
    let name = lower_name(path);
    let kept = |ending: &str| {
        name.match_indices(ending).any(|(at, _)| name[at + ending.len()..].starts_with(|c: char| !c.is_ascii_alphanumeric()))
    };
    !MANIFESTS.contains(&ending(&name))
        // What a command of ours that was killed has left of the file that it replaced.
        && (name.starts_with(crate::files::TEMPORARY) || [".yaml", ".yml", ".json"].iter().any(|ending| kept(ending)))
}

fn lower_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(_, ending)| ending)
}

/// What Helm renders for whoever installs a chart, and does not apply.
const NOTES: &str = "NOTES.txt";

/// Where the files are that Helm renders.
const TEMPLATES: &str = "templates";

/// The file that makes a folder a chart.
pub const CHART: &str = "Chart.yaml";

/// Whether Helm renders it, whatever its name: below `templates` in a chart, or below a folder that is `rendered` by way of a link.
pub(super) fn is_template(path: &Path, is_chart: impl Fn(&Path) -> bool, rendered: &HashSet<PathBuf>) -> bool {
    let is_rendered =
        |folder: &Path| rendered.contains(folder) || folder.ends_with(TEMPLATES) && is_chart(&folder.with_file_name(CHART));
    // Nearly all are put down here, and all files are asked about.
    let may_be = !rendered.is_empty()
        || path.as_os_str().as_encoded_bytes().windows(TEMPLATES.len()).any(|part| part == TEMPLATES.as_bytes());
    may_be && path.file_name().is_some_and(|name| name != NOTES) && path.ancestors().skip(1).any(is_rendered)
}

/// What is looked at.
#[derive(Debug, Default)]
pub struct Found {
    /// Files, each once.
    pub files: Vec<PathBuf>,
    /// Links that kubectl follows because of their names.
    pub links: Vec<PathBuf>,
    /// Folders with a repository of their own.
    repositories: Vec<PathBuf>,
}

/// The files below `paths`. A link is not followed, and what Git ignores is left out, unless it is named or Git has it all the same.
pub fn find(paths: &[PathBuf], names: &Names) -> Result<Found, Error> {
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() {
            let Found { files, links, .. } = below(path, names)?;
            found.files.extend(files);
            found.links.extend(links);
        } else {
            std::fs::metadata(path).map_err(|error| failed(path).cause(error))?;
            found.files.push(path.clone());
        }
    }
    let mut seen = HashSet::new();
    found.files.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

fn below(path: &Path, names: &Names) -> Result<Found, Error> {
    let absolute = names.of(path).path.unwrap_or_default();
    let mut found = walk(path, &absolute, true)?;
    let inside = found.repositories.iter().filter_map(|folder| names.of(folder).path);
    let repositories: HashSet<PathBuf> = repository(&absolute).map(Path::to_owned).into_iter().chain(inside).collect();
    for repository in repositories {
        let tracked = match Git::at(&repository).and_then(|git| git.tracked()) {
            Ok(tracked) => tracked,
            Err(error) => {
                let unknown = format!("what Git has in {} is not known, so nothing counts as ignored", repository.display());
                warn(format!("{unknown}: {}", error.one_line()));
                return walk(path, &absolute, false);
            }
        };
        for file in tracked.iter().filter_map(|file| file.strip_prefix(&absolute).ok()) {
            let file = path.join(file);
            match std::fs::symlink_metadata(&file) {
                Ok(metadata) if metadata.is_file() => found.files.push(file),
                Ok(metadata) if metadata.is_symlink() => found.links.push(file),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// `absolute`: where `path` is; `ignoring`: whether what Git ignores is left out.
fn walk(path: &Path, absolute: &Path, ignoring: bool) -> Result<Found, Error> {
    let root = repository(absolute);
    check_ignore_file(path)?;
    for folder in absolute.ancestors().skip(1).take_while(|folder| root.is_some_and(|root| folder.starts_with(root))) {
        check_ignore_file(folder)?;
    }
    let refused = Arc::new(Mutex::new(None));
    let repositories = Arc::new(Mutex::new(Vec::new()));
    let (refuse, inside) = (Arc::clone(&refused), Arc::clone(&repositories));
    // Files that begin with a dot belong to the repository as well; files named .ignore are other tools'.
    let walk = WalkBuilder::new(path)
        .standard_filters(false)
        .git_ignore(ignoring)
        .git_exclude(ignoring)
        .git_global(ignoring)
        .parents(root != Some(absolute))
        .sort_by_file_name(Ord::cmp)
        .filter_entry(move |entry| {
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            if is_folder && let Err(error) = check_ignore_file(entry.path()) {
                *refuse.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return false;
            }
            // Not where the walk comes upon it: an ignored one it does not.
            if is_folder && entry.path().join(".git").exists() {
                inside.lock().unwrap_or_else(PoisonError::into_inner).push(entry.path().to_owned());
            }
            entry.file_name() != ".git"
        })
        .build();
    let mut found = Found::default();
    for entry in walk {
        let entry = entry.map_err(|error| failed(path).cause(error))?;
        match entry.file_type() {
            Some(kind) if kind.is_file() => found.files.push(entry.into_path()),
            Some(kind) if kind.is_symlink() => found.links.push(entry.into_path()),
            _ => {}
        }
    }
    found.repositories = std::mem::take(&mut *repositories.lock().unwrap_or_else(PoisonError::into_inner));
    let refused = refused.lock().unwrap_or_else(PoisonError::into_inner).take();
    refused.map_or(Ok(found), Err)
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
