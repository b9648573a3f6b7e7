//! What kustomizations and links make of other files, in the tree and in Git.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
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
    /// Where it was read.
    read: HashSet<K>,
    /// What kustomize may read otherwise.
    pub refused: HashMap<K, Vec<ManifestError>>,
}

impl<K: Clone + Hash + Eq> Followed<K> {
    fn nothing() -> Self {
        Self { uses: Uses::default(), read: HashSet::new(), refused: HashMap::new() }
    }

    fn add(&mut self, file: K, folder: &Path, bytes: &[u8]) {
        self.read.insert(file.clone());
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
    for (file, folder) in std::mem::take(&mut followed.uses.configurations) {
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
    // The present versions are in the tree.
    let all = || tree.files.iter().chain(versions.iter().filter(|version| version.commit.is_some() && !version.is_link));
    let by_path = LazyCell::new(|| {
        let mut by_path: HashMap<&Path, Vec<&Version>> = HashMap::new();
        for version in all() {
            by_path.entry(&version.path).or_default().push(version);
        }
        by_path
    });
    let of = |path: &Path| by_path.get(tree.resolve(path).as_path()).into_iter().flatten();
    for version in all().filter(|version| is_kustomization(&version.path)) {
        add(&mut followed, version, &folder_of(&version.path))?;
    }
    for link in tree.links.keys().filter(|link| is_kustomization(link)) {
        for version in of(link) {
            add(&mut followed, version, &folder_of(link))?;
        }
    }
    for (file, folder) in std::mem::take(&mut followed.uses.configurations) {
        for version in of(&file) {
            add(&mut followed, version, &folder)?;
        }
    }
    if !tree.links.is_empty() {
        followed.uses.resolve(|path| Some(tree.resolve(path)));
    }
    followed.uses.manifests.extend(tree.links.keys().filter(|link| is_manifest(link)).map(|link| tree.resolve(link)));
    Ok(followed)
}

/// Files that have not changed, and that kustomizations or links make manifests or values only now.
pub fn newly_used(
    git: &Git,
    before: &Tree,
    tree: &Tree,
    versions: &[Version],
    now: &Followed<Version>,
) -> Result<Vec<Version>, Error> {
    if before.links == tree.links && !versions.iter().any(|version| now.read.contains(version)) {
        return Ok(Vec::new());
    }
    let then = in_git(git, &[], before)?.uses;
    let now = &now.uses;
    let is_value = |uses: &Uses, path: &Path| [true, false].map(|is_env| uses.values.contains_key(&(path.to_owned(), is_env)));
    let is_new = |path: &Path| {
        let manifest = !is_manifest(path) && now.manifests.contains(path) && !then.manifests.contains(path);
        manifest || is_value(now, path) != is_value(&then, path)
    };
    let known: HashSet<&Version> = versions.iter().collect();
    let files = tree.files.iter().filter(|version| !known.contains(version) && is_new(&version.path));
    Ok(files.cloned().collect())
}
