//! What kustomizations and links make of other files, in the tree and in Git.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use super::git::{Content, Git, Tree, Version};
use super::inputs::{Found, Names, is_manifest};
use super::kustomize::{Uses, is_kustomization};
use super::read;
use crate::error::Error;
use crate::manifest::{ManifestError, Reason};

/// What was found by following, and what could not be followed, by file or by version of it.
pub struct Followed<K> {
    /// What is made of other files.
    pub uses: Uses,
    /// What kustomize may read otherwise.
    pub refused: HashMap<K, Vec<ManifestError>>,
}

impl<K: Hash + Eq> Followed<K> {
    fn nothing() -> Self {
        Self { uses: Uses::default(), refused: HashMap::new() }
    }

    fn add(&mut self, file: K, folder: &Path, bytes: &[u8]) {
        let refused = self.uses.add(folder, bytes);
        if !refused.is_empty() {
            self.refused.insert(file, refused);
        }
    }
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

/// What kustomizations among the files, and links beside them, make of others.
pub fn of_files(found: &Found, names: &Names) -> Result<Followed<PathBuf>, Error> {
    let mut followed = Followed::nothing();
    let absolute = |path: &PathBuf| names.of(path).path;
    let add = |followed: &mut Followed<_>, file: PathBuf, folder: &Path| {
        if let Some(Content::Whole(bytes)) = read(&file, true)? {
            followed.add(file, folder, &bytes);
        }
        Ok::<_, Error>(())
    };
    for path in found.files.iter().filter(|path| is_kustomization(path)).filter_map(absolute) {
        add(&mut followed, path.clone(), &folder_of(&path))?;
    }
    for link in found.links.iter().filter(|path| is_kustomization(path)).filter_map(absolute) {
        if let Some(file) = names.behind(&link) {
            add(&mut followed, file, &folder_of(&link))?;
        }
    }
    for (file, folder) in std::mem::take(&mut followed.uses.generators) {
        if let Some(file) = names.behind(&file) {
            add(&mut followed, file, &folder)?;
        }
    }
    if !found.links.is_empty() {
        followed.uses.resolve(|path| names.behind(path));
    }
    let links = found.links.iter().filter(|link| is_manifest(link));
    followed.uses.manifests.extend(links.filter_map(|link| names.behind(link)));
    Ok(followed)
}

/// What kustomizations and links make of other files: those of the tree, for what uses a changed file need not have changed, and those of
/// the versions that are looked at.
pub fn in_git(git: &Git, versions: &[Version], tree: &Tree) -> Result<Followed<Version>, Error> {
    let mut followed = Followed::nothing();
    let add = |followed: &mut Followed<_>, version: &Version, folder: &Path| {
        if let Content::Whole(bytes) = git.read(version)? {
            followed.add(version.clone(), folder, &bytes);
        }
        // What was broken on the way here and is mended, nobody can mend any more.
        if version.commit.is_some()
            && let Some(errors) = followed.refused.get_mut(version)
        {
            errors.retain(|error| !matches!(error.reason, Reason::Syntax { .. }));
        }
        Ok::<_, Error>(())
    };
    let of = |path: &Path| tree.files.iter().chain(versions).filter(move |version| version.path == path);
    for version in tree.files.iter().chain(versions).filter(|version| is_kustomization(&version.path)) {
        add(&mut followed, version, &folder_of(&version.path))?;
    }
    for link in tree.links().filter(|link| is_kustomization(link)) {
        for version in of(&tree.resolve(link)) {
            add(&mut followed, version, &folder_of(link))?;
        }
    }
    for (file, folder) in std::mem::take(&mut followed.uses.generators) {
        for version in of(&tree.resolve(&file)) {
            add(&mut followed, version, &folder)?;
        }
    }
    if tree.links().next().is_some() {
        followed.uses.resolve(|path| Some(tree.resolve(path)));
    }
    followed.uses.manifests.extend(tree.links().filter(|link| is_manifest(link)).map(|link| tree.resolve(link)));
    Ok(followed)
}
