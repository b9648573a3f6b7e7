//! Which files are looked at: those below folders that Git does not ignore, those that are named, standard input.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;

use super::finding::FileName;
use super::kustomize::without_parents;
use crate::error::{Error, Kind};

/// Endings of files that kubectl reads, or that become such files.
const MANIFESTS: [&str; 7] = ["yaml", "yml", "json", "tpl", "tmpl", "gotmpl", "j2"];

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
        let root = here.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&here).to_owned();
        Ok(Self { here, root })
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
    let ending = path.extension().map(|ending| ending.to_string_lossy()).unwrap_or_default();
    MANIFESTS.contains(&&*ending) || name == "Kustomization" || name.contains(".yaml.") || name.contains(".yml.")
}

/// The files below `paths`, in order, each once. A link is not followed, and what Git ignores is left out, unless it is named.
pub fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            // Files that begin with a dot belong to the repository as well.
            let walk = WalkBuilder::new(path)
                .hidden(false)
                .sort_by_file_name(Ord::cmp)
                .filter_entry(|entry| entry.file_name() != ".git")
                .build();
            for entry in walk {
                let entry = entry.map_err(|error| failed(path).cause(error))?;
                if entry.file_type().is_some_and(|kind| kind.is_file()) {
                    found.push(entry.into_path());
                }
            }
        } else {
            std::fs::metadata(path).map_err(|error| failed(path).cause(error))?;
            found.push(path.clone());
        }
    }
    let mut seen = std::collections::HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

fn failed(path: &Path) -> Error {
    Error::new(Kind::Io, format!("cannot read {}", path.display())).hint("check the path, and who may read it: ls -l")
}
