//! What kustomizations and links make of other files, in the tree and in Git.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::path::{Path, PathBuf};

use super::git::{Content, Git, Tree, Version};
use super::inputs::{CHART, Found, Names, is_manifest, is_template};
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
    /// Files that make charts; none where the disk is asked.
    charts: Option<HashSet<PathBuf>>,
    /// Folders that Helm renders by way of links.
    rendered: HashSet<PathBuf>,
}

/// Most links that are followed one after the other, as Linux has it.
const MOST_LINKS: usize = 40;

impl<K: Clone + Hash + Eq> Followed<K> {
    fn nothing() -> Self {
        Self { uses: Uses::default(), read: HashSet::new(), refused: HashMap::new(), charts: None, rendered: HashSet::new() }
    }

    fn add(&mut self, file: K, folder: &Path, bytes: &[u8]) {
        self.read.insert(file.clone());
        let refused = self.uses.add(folder, bytes);
        if !refused.is_empty() {
            self.refused.insert(file, refused);
        }
    }

    /// Whether a file is a manifest whatever its name.
    #[must_use]
    pub fn is_used(&self, path: &Path) -> bool {
        self.uses.manifests.contains(path) || self.is_rendered(path)
    }

    fn is_rendered(&self, path: &Path) -> bool {
        let is_chart = |chart: &Path| self.charts.as_ref().map_or_else(|| chart.is_file(), |charts| charts.contains(chart));
        is_template(path, is_chart, &self.rendered)
    }

    /// Adds where links lead that kubectl follows because of their names, and Helm because of their places.
    fn add_links(&mut self, links: &[&Path], real: impl Fn(&Path) -> Option<PathBuf>) {
        for _ in 0..MOST_LINKS {
            // A link that is `templates` itself, or a folder below.
            let found = links.iter().filter(|link| self.is_rendered(&link.join("any"))).filter_map(|link| real(link));
            let (found, known) = (found.collect::<Vec<_>>(), self.rendered.len());
            self.rendered.extend(found);
            if self.rendered.len() == known {
                break;
            }
        }
        let links = links.iter().filter(|link| is_manifest(link) || self.is_rendered(link));
        let manifests: Vec<_> = links.filter_map(|link| real(link)).collect();
        self.uses.manifests.extend(manifests);
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
    let links: Vec<PathBuf> = found.links.iter().filter_map(absolute).collect();
    followed.add_links(&links.iter().map(PathBuf::as_path).collect::<Vec<_>>(), |link| names.real(link));
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
    let paths = tree.files.iter().chain(versions).map(|version| &version.path).chain(tree.links.keys());
    followed.charts = Some(paths.filter(|path| path.ends_with(CHART)).cloned().collect());
    followed.add_links(&tree.links.keys().map(PathBuf::as_path).collect::<Vec<_>>(), |link| Some(tree.resolve(link)));
    Ok(followed)
}

/// Files that have not changed, and that kustomizations, links or charts make manifests or values only now.
pub fn newly_used(
    git: &Git,
    before: &Tree,
    tree: &Tree,
    versions: &[Version],
    now: &Followed<Version>,
) -> Result<Vec<Version>, Error> {
    let matters = |version: &Version| now.read.contains(version) || version.path.ends_with(CHART);
    if before.links == tree.links && !versions.iter().any(matters) {
        return Ok(Vec::new());
    }
    let then = in_git(git, &[], before)?;
    let is_value = |uses: &Uses, path: &Path| [true, false].map(|is_env| uses.values.contains_key(&(path.to_owned(), is_env)));
    let is_new = |path: &Path| {
        let manifest = !is_manifest(path) && now.is_used(path) && !then.is_used(path);
        manifest || is_value(&now.uses, path) != is_value(&then.uses, path)
    };
    let known: HashSet<&Version> = versions.iter().collect();
    let files = tree.files.iter().filter(|version| !known.contains(version) && is_new(&version.path));
    Ok(files.cloned().collect())
}
