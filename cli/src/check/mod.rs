//! `bulla check` without its command line: from files to findings. No key and no cluster is asked.
//!
//! | file | idea |
//! | --- | --- |
//! | `rule.rs` | the rules: id, severity, what is wrong, what to do |
//! | `finding.rs` | a finding, and the line of source that may be shown of it |
//! | `inputs.rs`, `git.rs` | which files: below folders, staged, brought by commits |
//! | `sift.rs` | one pass that puts most files down |
//! | `file.rs` | one file against all rules that need no other |
//! | `uses.rs` | what kustomizations and links make of other files |
//! | `readable.rs` | what our reader refuses |
//! | `sealed.rs`, `keys.rs` | SealedSecrets: form, place, dates; their keys |
//! | `plain.rs`, `kustomize.rs`, `private_keys.rs`, `placeholder.rs` | values in plain, and what is none |
//! | `braces.rs`, `actions.rs`, `template.rs` | templates: as YAML, what stands in braces, line by line |
//! | `references.rs`, `tree.rs` | what several documents say together |
//! | `trust.rs` | what a revision says of keys: `--trust-rev`, and recipients that change |
//! | `attributes.rs` | where Git checks out another text than is looked at |
//! | `allow.rs`, `settings.rs`, `baseline.rs` | what is not reported, and why |

pub mod actions;
pub mod allow;
pub mod attributes;
pub mod baseline;
pub mod braces;
pub mod file;
pub mod finding;
pub mod git;
pub mod inputs;
pub mod keys;
pub mod kinds;
pub mod kustomize;
pub mod placeholder;
pub mod plain;
pub mod private_keys;
pub mod readable;
pub mod references;
pub mod rule;
pub mod sealed;
pub mod settings;
pub mod sift;
pub mod template;
pub mod tree;
pub mod trust;
pub mod uses;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use self::file::{Looked, Yardstick};
use self::finding::{FileName, Finding, Sheet, Show};
use self::git::{Content, Git, Tree, Version};
use self::inputs::{Found, Names, is_copy, is_manifest};
use self::keys::Keys;
use self::rule::{LFS_POINTER, NOT_TEXT, Rule, Severity};
use self::trust::Trust;
use crate::config::{self, Config};
use crate::error::{Error, Kind, warn};
use crate::files::Input;
use crate::manifest::{MAX_BYTES, ManifestError};

/// What is asked for.
#[derive(Debug, Default)]
pub struct Request {
    /// Files and folders; `-` is standard input.
    pub paths: Vec<PathBuf>,
    /// What is staged.
    pub staged: bool,
    /// What commits after this revision brought.
    pub since: Option<String>,
    /// Rules that do not count.
    pub skip: Vec<String>,
    /// An earlier report, whose findings are known.
    pub baseline: Option<PathBuf>,
    /// Recipients that are believed instead of those in the repository.
    pub trust: Vec<PathBuf>,
    /// The revision whose configuration and recipients files are believed.
    pub trust_rev: Option<String>,
    /// What is read in the place of `.bulla.yaml`, as if it stood in the root of the repository.
    pub config: Option<PathBuf>,
}

impl Request {
    /// Whether nothing that stands in the repository may turn a rule off.
    fn is_guarded(&self, rule: &Rule) -> bool {
        (!self.trust.is_empty() || self.trust_rev.is_some()) && rule::is_guarded(rule)
    }
}

/// What came out.
#[derive(Debug)]
pub struct Report {
    /// By file and line.
    pub findings: Vec<Finding>,
    /// One for each finding.
    pub fingerprints: Vec<String>,
    /// Names of all files that were looked at, from the root.
    pub files: Vec<String>,
    /// How many findings the baseline knows.
    pub known: usize,
    /// What could not be looked at or proven.
    pub unproven: Vec<&'static str>,
    /// What the next commit would bring: whoever commits is told of what is wrong, and of nothing else.
    pub staged: bool,
}

impl Report {
    /// How many findings have this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

/// Looks at everything that is asked for.
pub fn run(request: &Request) -> Result<Report, Error> {
    if let Some(unknown) = request.skip.iter().find(|rule| Rule::named(rule).is_none()) {
        let failed = Error::new(Kind::Usage, format!("there is no rule {}", finding::harmless(unknown)));
        return Err(failed.hint("docs/rules.md lists them, and each finding names its own"));
    }
    let names = Names::new(&request.paths)?;
    let trust = request.trust_rev.as_deref().map(Trust::new).transpose()?;
    let baseline = baseline::find(request.baseline.as_deref(), &names, trust.as_ref())?;
    let outside = from_outside(request, &names, trust.as_ref())?;
    let (is_from_outside, trust) = (outside.is_some(), trust.filter(|_| outside.is_some()));
    let index = request.staged.then(Git::here).transpose()?;
    let config = if is_from_outside { outside } else { configuration(index.as_ref(), request, &names)? };
    let now = Timestamp::now();
    let committed = |path: &Path| recipients(index.as_ref(), &names, path);
    let (keys, of_keys) = Keys::read(config.as_ref(), &request.trust, trust.as_ref(), |path| names.of(path), committed)?;
    let yardstick = Yardstick { config, keys, now, today: now.to_zoned(TimeZone::UTC).date() };
    let from_git = request.staged || request.since.is_some();
    let mut of_change = Vec::new();
    let mut looked = if from_git {
        look_at_git(index, request, &names, &yardstick, &mut of_change)?
    } else {
        look_at_files(request, &names, &yardstick)?
    };
    tree::check(&mut looked, !from_git);
    let of_baseline = baseline_path(request, &names);
    let is_baseline = |file: &FileName| file.path.is_some() && file.path == of_baseline;
    // What a baseline says of comments is none.
    for file in looked.iter_mut().filter(|file| !is_baseline(&file.name)) {
        file.apply_comments(|rule| request.is_guarded(rule));
    }
    let files = looked.iter().map(|file| file.name.from_root.clone()).collect();
    let mut findings: Vec<Finding> = looked.into_iter().flat_map(|file| file.findings).chain(of_keys).chain(of_change).collect();
    settle(&mut findings, request, &yardstick, is_from_outside);
    let fingerprints = baseline::fingerprints(&findings);
    let all = findings.len();
    // A baseline knows nothing of itself.
    let (findings, fingerprints): (Vec<_>, Vec<_>) = findings
        .into_iter()
        .zip(fingerprints)
        .filter(|(finding, fingerprint)| !baseline.contains(fingerprint) || is_baseline(&finding.file))
        .unzip();
    let known = all - findings.len();
    let unproven = unproven(request, &yardstick);
    Ok(Report { findings, fingerprints, files, known, unproven, staged: request.staged })
}

/// The configuration that no branch under check has written.
fn from_outside(request: &Request, names: &Names, trust: Option<&Trust<'_>>) -> Result<Option<Config>, Error> {
    if let Some(file) = &request.config {
        return Config::read(file, names.root()).map(Some);
    }
    let Some(trust) = trust else { return Ok(None) };
    let config = trust.configuration(&names.common(&request.paths))?;
    if config.is_none() {
        // Whoever brings the first one is reviewed, or nobody could.
        let here = "the one that is here is used, and the recipients that it names are believed";
        warn(format!("{} has no {}: {here}", trust.revision(), config::FILE));
    }
    Ok(config)
}

/// The configuration as it is staged, or as it is.
fn configuration(index: Option<&Git>, request: &Request, names: &Names) -> Result<Option<Config>, Error> {
    let folder = names.common(&request.paths);
    let Some(index) = index else { return Config::seen_from_here(&folder) };
    Config::find_in(&folder, |path| {
        let bytes = index.staged_file(path)?;
        Ok(bytes.map(|bytes| config::text(bytes.to_vec())))
    })
}

/// A recipients file as it is staged, or as it is. A link in the working tree may lead to it.
fn recipients(index: Option<&Git>, names: &Names, path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let Some(index) = index else { return Input::File(path.to_owned()).read("recipients") };
    for path in [Some(path.to_owned()), names.behind(path)].into_iter().flatten() {
        if let Some(bytes) = index.staged_file(&path)? {
            return Ok(bytes);
        }
    }
    Err(Error::new(Kind::Io, "it is not staged"))
}

/// Severities as configured, without what is off, skipped or allowed, in order.
fn settle(findings: &mut Vec<Finding>, request: &Request, yardstick: &Yardstick, is_from_outside: bool) {
    if let Some(config) = &yardstick.config {
        let (settings, folder) = config.check();
        let allowed = settings.allowed();
        findings.retain_mut(|finding| {
            let severity = settings.severity(finding.rule);
            // What a branch says of itself, it says to whoever reviews it.
            let of_branch = [rule::NEW_ALLOW, rule::CHANGED_RULES, rule::CHANGED_RECIPIENTS].contains(&finding.rule);
            let of_branch = of_branch && request.since.is_some();
            if !is_from_outside && (of_branch || request.is_guarded(finding.rule)) {
                finding.severity = severity.map_or(finding.severity, |severity| severity.max(finding.severity));
                return true;
            }
            finding.severity = severity.unwrap_or(finding.severity);
            severity.is_some() && !allow::is_allowed(finding, &allowed, folder)
        });
    }
    for finding in findings.iter_mut() {
        finding.is_staged = request.staged;
    }
    findings.retain(|finding| !request.skip.iter().any(|rule| rule == finding.rule.id));
    findings.sort_by(|a, b| {
        let place = |finding: &Finding| (finding.line, finding.column, finding.rule.id);
        (&a.file.from_root, &a.file.commit).cmp(&(&b.file.from_root, &b.file.commit)).then_with(|| place(a).cmp(&place(b)))
    });
}

fn unproven(request: &Request, yardstick: &Yardstick) -> Vec<&'static str> {
    let mut unproven = vec!["without a key MACs are unchecked: what sealed values say of themselves is not proven"];
    if yardstick.keys.are_unknown() {
        unproven.push("keys are not compared: no recipients files are known (.bulla.yaml or --trust)");
    }
    if request.staged || request.since.is_some() {
        unproven.push("references of workloads are not followed: other files are not looked at");
    }
    unproven
}

fn look_at_files(request: &Request, names: &Names, yardstick: &Yardstick) -> Result<Vec<Looked>, Error> {
    let here = [PathBuf::from(".")];
    let paths = if request.paths.is_empty() { &here[..] } else { &request.paths };
    let (stdin, paths): (Vec<_>, Vec<_>) = paths.iter().cloned().partition(|path| path == Path::new("-"));
    let named: HashSet<&PathBuf> = paths.iter().filter(|path| !path.is_dir()).collect();
    let found = inputs::find(&paths, names)?;
    let followed = uses::of_files(&found, names)?;
    let Found { files, links, .. } = found;
    let mut looked = in_parallel(&files, |path| {
        let name = names.of(path);
        let used = name.path.as_ref().is_some_and(|path| followed.is_used(path));
        let manifest = named.contains(path) || is_manifest(path) || used;
        Ok(match read(path, manifest)? {
            Some(Content::Whole(bytes)) => {
                let refused = name.path.as_ref().and_then(|path| followed.refused.get(path));
                Some(look(name, &bytes, manifest, !used && is_copy(path), false, refused, yardstick))
            }
            Some(Content::TooLarge(length)) => Some(file::too_large(name, length, manifest)),
            None => None,
        })
    })?;
    for link in links {
        // A key fits into a link as well.
        if let Ok(target) = std::fs::read_link(&link) {
            let target = file::look(names.of(&link), target.as_os_str().as_encoded_bytes(), false, false, yardstick);
            looked.extend(Some(target).filter(|target| !target.findings.is_empty()));
        }
    }
    if !stdin.is_empty() {
        let bytes = Input::Stdin.read("manifests")?;
        if bytes.is_empty() {
            let failed = Error::new(Kind::Usage, "nothing came on standard input");
            return Err(failed.hint("see whether the command before it failed; in bash, set -o pipefail says so"));
        }
        looked.push(file::look(Names::stdin(), &bytes, true, false, yardstick));
    }
    if looked.is_empty() {
        warn("no file was looked at");
    }
    let values = &followed.uses.values;
    if !values.is_empty() {
        let by_path: HashMap<PathBuf, &PathBuf> = files.iter().filter_map(|path| Some((names.of(path).path?, path))).collect();
        for ((path, _), source) in values {
            // What is not among the files is not in the repository either, or was not asked for.
            if let Some(path) = by_path.get(path)
                && let Some(Content::Whole(bytes)) = read(path, true)?
            {
                looked.push(file::value_file(names.of(path), &bytes, source));
            }
        }
    }
    Ok(looked)
}

/// Where the baseline is.
fn baseline_path(request: &Request, names: &Names) -> Option<PathBuf> {
    request.baseline.as_ref().and_then(|path| names.of(path).path)
}

/// `index`: the repository, if it has been opened.
fn look_at_git(
    index: Option<Git>,
    request: &Request,
    names: &Names,
    yardstick: &Yardstick,
    of_change: &mut Vec<Finding>,
) -> Result<Vec<Looked>, Error> {
    let git = index.map_or_else(Git::here, Ok)?;
    let wanted: Vec<PathBuf> = request.paths.iter().filter_map(|path| names.of(path).path).collect();
    let mut versions = match &request.since {
        Some(revision) => git.since(revision)?,
        None => git.staged()?,
    };
    for (path, wanted) in request.paths.iter().zip(&wanted) {
        if !wanted.starts_with(git.root()) {
            let outside = format!("{} is not in the repository {}", path.display(), git.root().display());
            return Err(Error::new(Kind::Usage, outside).hint("run this in the repository that it is in"));
        }
        if !wanted.exists() && !versions.iter().any(|version| version.path.starts_with(wanted)) {
            return Err(inputs::failed(path).cause("it is neither here nor in the commits"));
        }
    }
    let tree = if request.staged { git.staged_tree()? } else { git.tree_at(None)? };
    let before = git.tree_at(request.since.as_deref())?;
    *of_change = trust::changed_recipients(&git, &before, &tree, &versions, names, yardstick.config.as_ref())?;
    let followed = uses::in_git(&git, &versions, &tree)?;
    versions.extend(uses::newly_used(&git, &before, &tree, &versions, &followed)?);
    versions.retain(|version| git::is_within(&version.path, &wanted));
    let mut looked = Vec::new();
    // Not all at once: a long history would not fit.
    for some in versions.chunks(256) {
        let contents: Vec<_> = some.iter().map(|version| Ok((version, git.read(version)?))).collect::<Result<_, Error>>()?;
        looked.extend(in_parallel(&contents, |(version, content)| {
            let name = FileName { commit: version.commit.clone(), ..names.of(&version.path) };
            let used = followed.is_used(&version.path);
            let manifest = !version.is_link && (is_manifest(&version.path) || used);
            let history = version.commit.is_some();
            Ok(Some(match content {
                Content::Whole(bytes) => {
                    let (is_kept, refused) = (!used && is_copy(&version.path), followed.refused.get(version));
                    look(name, bytes, manifest, is_kept, history, refused, yardstick)
                }
                Content::TooLarge(length) => file::too_large(name, *length, manifest),
            }))
        })?);
    }
    for version in versions.iter().filter(|version| !version.is_link) {
        for is_env in [true, false] {
            if let Some(source) = followed.uses.values.get(&(version.path.clone(), is_env))
                && let Content::Whole(bytes) = git.read(version)?
            {
                let name = FileName { commit: version.commit.clone(), ..names.of(&version.path) };
                looked.push(file::value_file(name, &bytes, source));
            }
        }
    }
    if request.since.is_some() {
        compare(&git, &before, &tree, names, baseline_path(request, names).as_deref(), &mut looked)?;
    }
    Ok(looked)
}

/// Looks at a file, and at what it makes of others; `is_kept`: by its name it is a copy that nothing uses, `refused`: what of other files is not
/// followed.
fn look(
    name: FileName,
    bytes: &[u8],
    is_manifest: bool,
    is_kept: bool,
    history: bool,
    refused: Option<&Vec<ManifestError>>,
    yardstick: &Yardstick,
) -> Looked {
    let mut looked = file::look(name, bytes, is_manifest, history, yardstick);
    if let Some(errors) = refused {
        file::unfollowed(&mut looked, bytes, errors);
    }
    if looked.name.from_root.ends_with(".gitattributes") && !history {
        file::attributes(&mut looked, bytes);
    }
    if is_manifest && !history && bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        let mut sheet = Sheet::new(&looked.name, "");
        sheet.report(LFS_POINTER, 0..0, &Show::Nothing, "", "Git has a pointer in its place: nothing in it was looked at");
        let findings = sheet.findings;
        looked.findings.extend(findings);
    }
    if is_kept {
        forgive_packed(&mut looked, bytes);
    }
    looked
}

/// Takes back that a copy is no text where it has no word of Secrets: compressed or encrypted it has any bytes, also those of a disguise.
fn forgive_packed(looked: &mut Looked, bytes: &[u8]) {
    if looked.findings.iter().any(|finding| finding.rule == NOT_TEXT) {
        let text: Zeroizing<Vec<u8>> = Zeroizing::new(bytes.iter().copied().filter(|byte| *byte != 0).collect());
        if ["ecret", "kind"].iter().any(|word| !text.windows(word.len()).any(|part| part == word.as_bytes())) {
            looked.findings.retain(|finding| finding.rule != NOT_TEXT);
        }
    }
}

/// Finds what a branch changes about its own check: the configuration, the baseline, and comments that allow something.
fn compare<'t>(
    git: &Git,
    before: &'t Tree,
    tree: &'t Tree,
    names: &Names,
    baseline: Option<&Path>,
    looked: &mut Vec<Looked>,
) -> Result<(), Error> {
    let by_path = |tree: &'t Tree| -> HashMap<&'t Path, &'t Version> {
        tree.files.iter().map(|version| (version.path.as_path(), version)).collect()
    };
    let (earlier, present) = (by_path(before), by_path(tree));
    for file in looked.iter_mut().filter(|file| file.has_comments) {
        let Some(path) = &file.name.path else { continue };
        // What the present version says too is reported there.
        let later = present.get(path.as_path()).filter(|_| file.name.commit.is_some());
        let mut known = Zeroizing::new(Vec::new());
        for version in earlier.get(path.as_path()).into_iter().chain(later) {
            if let Content::Whole(bytes) = git.read(version)? {
                known.extend_from_slice(&bytes);
                known.push(b'\n');
            }
        }
        file.compare_with(&known);
    }
    let is_configuration = |version: &&Version| version.path.ends_with(config::FILE) || Some(version.path.as_path()) == baseline;
    let now: HashSet<&Version> = tree.files.iter().filter(is_configuration).collect();
    let then: HashSet<&Version> = before.files.iter().filter(is_configuration).collect();
    let changed: BTreeSet<&PathBuf> = now.symmetric_difference(&then).map(|version| &version.path).collect();
    looked.extend(changed.into_iter().map(|path| file::changed_configuration(names.of(path))));
    Ok(())
}

/// The content of a file; none if it is not text and not meant as such.
fn read(path: &Path, manifest: bool) -> Result<Option<Content>, Error> {
    let failed = |error: std::io::Error| {
        Error::new(Kind::Io, format!("cannot read {}", path.display())).cause(error).hint("check who may read it: ls -l")
    };
    let mut file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let most = MAX_BYTES as u64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length.min(most)).unwrap_or_default() + 1));
    if length > most {
        // The beginning says whether it is text.
        (&mut file).take(8192).read_to_end(&mut bytes).map_err(failed)?;
        let is_text = manifest || !bytes.contains(&0) || matches!(bytes.as_slice(), [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
        return Ok(is_text.then_some(Content::TooLarge(length)));
    }
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(Content::Whole(bytes)))
}

/// Does something for each of `items` on all cores, and keeps their order. The first error ends it.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Result<Option<R>, Error> + Sync) -> Result<Vec<R>, Error> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len().div_ceil(16)).max(1);
    let run = || {
        let mut done = Vec::new();
        while let Some((index, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, items.get(index)?)))
        {
            if let Some(result) = work(item)? {
                done.push((index, result));
            }
        }
        Ok(done)
    };
    let all = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let own = run();
        let others = others.into_iter().map(|thread| thread.join().expect("a thread that checks does not panic"));
        [own].into_iter().chain(others).collect::<Result<Vec<_>, Error>>()
    })?;
    let mut all: Vec<(usize, R)> = all.into_iter().flatten().collect();
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}
