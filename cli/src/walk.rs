//! The manifests below a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind};

/// The files that `paths` name: files as they are, folders with what is below them.
pub fn manifests(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(manifests_below(path)?);
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

/// YAML and JSON files below a folder, in order; what starts with a dot is left out, and so are links: what they lead to belongs elsewhere.
pub fn manifests_below(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| {
        Error::new(Kind::Io, format!("cannot read {}", folder.display())).cause(error).hint("check who may read it: ls -l")
    };
    let mut entries = fs::read_dir(folder).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() && !hidden {
            found.extend(manifests_below(&path)?);
        } else if path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|known| ending == *known))
            && kind.is_file()
        {
            found.push(path);
        }
    }
    Ok(found)
}
