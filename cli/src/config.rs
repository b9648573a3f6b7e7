//! `.bulla.yaml`: which targets a file is sealed to, and with which scope.
//!
//! Found upward from the folder of that file; paths in it are relative to it. It says to whom values are sealed, never what is opened.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use bulla_shared::age::Recipient;
use bulla_shared::binding::ScopeKind;
use bulla_shared::names::Namespace;
use bulla_shared::recipients::RecipientsFile;
use globset::{GlobBuilder, GlobMatcher};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::settings::Settings;
use crate::cluster::sealing_keys::announced_key;
use crate::error::{Error, Kind, note};
use crate::keys::recipients_file;

/// Name of the file.
pub const FILE: &str = ".bulla.yaml";

/// Where its JSON Schema is kept beside it, for editors.
pub const SCHEMA: &str = ".bulla/config.schema.json";

const MAX_BYTES: u64 = 256 * 1024;

/// To whom the secrets of a path are sealed, by whoever works below the folder of this file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(title = ".bulla.yaml")]
struct Manifest {
    /// Version of this form.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// Places that open values, by a name of your choice. A file without any is about checking alone.
    #[serde(default)]
    targets: BTreeMap<String, Target>,
    /// Recipients file that is added to every value; its keys are of the same kind as those of the targets.
    #[serde(default)]
    recovery: Option<PathBuf>,
    /// The first rule whose path matches counts.
    #[serde(default)]
    rules: Vec<Rule>,
    /// What `bulla check` reports.
    #[serde(default)]
    check: Settings,
}

/// A place that opens values; one of both fields at least.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Target {
    /// Committed file of its public keys, relative to this file.
    #[serde(default)]
    recipients: Option<PathBuf>,
    /// Context of its cluster in the kubeconfig.
    #[serde(default)]
    context: Option<String>,
}

/// What holds for files of a path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    /// Glob relative to this file: * stays in its folder, ** does not.
    path: String,
    /// Names of targets.
    #[schemars(length(min = 1))]
    targets: Vec<String>,
    /// Namespace of the Secrets: for those that name none, and no other may be named.
    #[serde(default)]
    namespace: Option<String>,
    /// What values are bound to.
    #[serde(default)]
    scope: Option<Scope>,
    /// When values are due for rotation, such as 90d.
    #[serde(default)]
    #[schemars(regex(pattern = "^[0-9]+d$"))]
    rotate_after: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    /// Namespace, name and item.
    Strict,
    /// The namespace.
    Namespace,
    /// Nothing.
    Cluster,
}

/// The JSON Schema of the file.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(Manifest);
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

/// A configuration, checked: every rule names targets that are there.
#[derive(Debug)]
pub struct Config {
    path: PathBuf,
    folder: PathBuf,
    manifest: Manifest,
    globs: Vec<GlobMatcher>,
    check: (Settings, PathBuf),
}

/// What a rule says about a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Names of the targets.
    pub targets: Vec<String>,
    /// Namespace of the Secrets: for those that name none, and no other may be named.
    pub namespace: Option<Namespace>,
    /// What values are bound to.
    pub scope: Option<ScopeKind>,
    /// Days until rotation is due.
    pub rotate_after: Option<i32>,
}

impl Config {
    /// The configuration for the working directory.
    pub fn here() -> Result<Option<Self>, Error> {
        Self::seen_from_here(&working_directory()?)
    }

    /// The configuration for files of `folder`; which it is is said if it is not the one that is expected from the working directory.
    pub fn seen_from_here(folder: &Path) -> Result<Option<Self>, Error> {
        let here = working_directory()?;
        let config = Self::find(folder)?;
        if let Some(config) = config.as_ref().filter(|config| config.is_elsewhere(&here)) {
            note(format!("using {}", config.path.display()));
        }
        Ok(config)
    }

    /// Whether it is another one than whoever works in `here` would look for: in this folder, or in the root of its repository.
    fn is_elsewhere(&self, here: &Path) -> bool {
        self.folder != here && repository(here) != Some(&self.folder)
    }

    /// What is said where there is none and something cannot be done without.
    #[must_use]
    pub fn missing() -> Error {
        Error::new(Kind::Configuration, format!("there is no {FILE} here or above"))
    }

    /// The configuration for files of `folder`, in it or above it within the repository.
    pub fn find(folder: &Path) -> Result<Option<Self>, Error> {
        Self::search(within_repository(folder), Self::of)
    }

    /// As [`Config::find`], from texts that stand elsewhere than in files: `read` has that of a path, or why it cannot be used.
    pub fn find_in(
        folder: &Path,
        read: impl Fn(&Path) -> Result<Option<io::Result<String>>, Error>,
    ) -> Result<Option<Self>, Error> {
        Self::search(within_repository(folder), |folder| {
            let path = folder.join(FILE);
            read(&path)?.map(|text| Self::parse(&path, folder, text)).transpose()
        })
    }

    /// The nearest that has targets, with what the nearest of all says about checking; `of` reads that of a folder.
    fn search<'p>(
        folders: impl Iterator<Item = &'p Path>,
        of: impl Fn(&Path) -> Result<Option<Self>, Error>,
    ) -> Result<Option<Self>, Error> {
        let mut nearest: Option<Self> = None;
        for folder in folders {
            let Some(mut found) = of(folder)? else { continue };
            if found.has_targets() {
                found.check = nearest.map_or(found.check, |nearest| nearest.check);
                return Ok(Some(found));
            }
            nearest = nearest.or(Some(found));
        }
        Ok(nearest)
    }

    /// The file of this folder itself. Outside of a repository anybody may have put one above, so that it has to be the user's own.
    fn of(folder: &Path) -> Result<Option<Self>, Error> {
        let file = folder.join(FILE);
        if !file.is_file() {
            return Ok(None);
        }
        if repository(folder).is_none() && !is_own(&file) {
            return Err(Error::new(Kind::Configuration, format!("{} belongs to another user", file.display()))
                .hint("run this in a folder of your own, or in a Git repository"));
        }
        Self::read(&file, folder).map(Some)
    }

    /// Whether it says anything about sealing.
    #[must_use]
    pub fn has_targets(&self) -> bool {
        !self.manifest.targets.is_empty()
    }

    /// Reads a file as if it were the `.bulla.yaml` of `folder`.
    pub fn read(path: &Path, folder: &Path) -> Result<Self, Error> {
        let text = std::fs::metadata(path).and_then(|metadata| match metadata.len() {
            length if length > MAX_BYTES => Err(io::Error::other(format!("longer than {MAX_BYTES} bytes"))),
            _ => std::fs::read_to_string(path),
        });
        Self::parse(path, folder, text)
    }

    /// Reads the text of a file, if it could be had, as if it were the `.bulla.yaml` of `folder`.
    fn parse(path: &Path, folder: &Path, text: io::Result<String>) -> Result<Self, Error> {
        let failed = |cause: &dyn std::fmt::Display, hint: &str| {
            Error::new(Kind::Configuration, format!("cannot use {}", path.display())).cause(cause).hint(hint)
        };
        let text = text.map_err(|cause| {
            let is_text = cause.kind() != io::ErrorKind::InvalidData;
            failed(&cause, if is_text { "check the path, and who may read it: ls -l" } else { "save it as UTF-8" })
        })?;
        let options = serde_saphyr::options! { with_snippet: false };
        let mut manifest: Manifest = serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
            failed(&error, "version: 1, targets: {NAME: {recipients: FILE}}, rules: [{path: GLOB, targets: [NAME]}]")
        })?;
        if manifest.version != 1 {
            return Err(failed(&"version: only 1 is known", "write version: 1, or install the bulla that this file is for"));
        }
        for (name, target) in &manifest.targets {
            if target.recipients.is_none() && target.context.is_none() {
                let cause = format!("target {name} has neither recipients nor context");
                return Err(failed(&cause, "recipients: a committed file of public keys; context: a cluster of the kubeconfig"));
            }
        }
        let known = || format!("its targets are: {}", manifest.targets.keys().cloned().collect::<Vec<_>>().join(", "));
        let mut globs = Vec::new();
        for (number, rule) in (1..).zip(&manifest.rules) {
            if rule.targets.is_empty() {
                return Err(failed(&format!("rule {number} names no target"), &known()));
            }
            if let Some(unknown) = rule.targets.iter().find(|target| !manifest.targets.contains_key(*target)) {
                return Err(failed(&format!("rule {number} names the unknown target {unknown}"), &known()));
            }
            // `*` stays in its folder, `**` does not.
            let glob = GlobBuilder::new(&rule.path).literal_separator(true).build();
            let glob = glob.map_err(|error| failed(&format!("rule {number}: {error}"), "* stays in its folder, ** does not"))?;
            globs.push(glob.compile_matcher());
            choice(rule).map_err(|cause| failed(&format!("rule {number}: {cause}"), "correct it in that rule"))?;
        }
        manifest.check.validate().map_err(|cause| failed(&cause, "docs/rules.md says what stands under check"))?;
        let check = (std::mem::take(&mut manifest.check), folder.to_owned());
        Ok(Self { path: path.to_owned(), folder: folder.to_owned(), manifest, globs, check })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// A file that it names: a regular one in its folder or below, also behind links. Whoever writes to the repository chooses these names.
    fn inside(&self, path: &Path) -> Result<PathBuf, Error> {
        let named = self.folder.join(path);
        let failed = |cause: &str| {
            let failed = Error::new(Kind::Configuration, format!("cannot use {} of {}", path.display(), self.path.display()));
            failed.cause(cause).hint("recipients files stand in the folder of the configuration, or below it")
        };
        if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(failed("it leads out of the folder of the configuration"));
        }
        // What is not there says so where it is read.
        match (std::fs::canonicalize(&named), std::fs::canonicalize(&self.folder)) {
            (Ok(real), Ok(folder)) if !real.starts_with(&folder) => {
                Err(failed("it is a link that leads out of the folder of the configuration"))
            }
            (Ok(real), _) if !real.is_file() => Err(failed("it is no regular file")),
            _ => Ok(named),
        }
    }

    fn committed(&self, path: &Path) -> Result<RecipientsFile, Error> {
        let path = self.inside(path)?;
        recipients_file(&path).map_err(|error| {
            if path.exists() {
                return error;
            }
            let named = format!("{} names it, from its own folder", self.path.display());
            error.hint(format!("{named}; bulla recipients --update writes that of a cluster, bulla keygen -y that of a key"))
        })
    }

    /// The first rule whose path matches: its number from 1, and that path.
    pub fn rule_number(&self, file: &Path) -> Result<Option<(usize, &str)>, Error> {
        let inside = self.inside_path(file)?;
        let found = self.globs.iter().position(|glob| inside.as_ref().is_some_and(|path| glob.is_match(path)));
        Ok(found.map(|index| (index + 1, self.manifest.rules[index].path.as_str())))
    }

    /// A file as rules see it: from the folder of the configuration; none if it is outside.
    pub fn inside_path(&self, file: &Path) -> Result<Option<PathBuf>, Error> {
        let absolute = std::path::absolute(file).map_err(|error| Error::new(Kind::Io, "cannot resolve a path").cause(error))?;
        Ok(without_parents(&absolute).strip_prefix(&self.folder).ok().map(Path::to_owned))
    }

    /// What the first matching rule says about `file`, a path that need not exist yet.
    pub fn rule_for(&self, file: &Path) -> Result<Choice, Error> {
        let rule = self.rule_number(file)?.map(|(number, _)| &self.manifest.rules[number - 1]).ok_or_else(|| {
            Error::new(Kind::Configuration, format!("no rule of {} is for {}", self.path().display(), file.display()))
                .hint("add a rule, or name targets with -t or recipients with -r or -R")
        })?;
        Ok(choice(rule).expect("rules were checked when they were read"))
    }

    /// Names of all targets.
    pub fn targets(&self) -> impl Iterator<Item = &str> {
        self.manifest.targets.keys().map(String::as_str)
    }

    /// The committed recipients of a target and the context of its cluster: one of both at least.
    pub fn target(&self, name: &str) -> Result<(Option<RecipientsFile>, Option<String>), Error> {
        let target = self.find_target(name)?;
        let file = target.recipients.as_ref().map(|path| self.committed(path)).transpose()?;
        Ok((file, target.context.clone()))
    }

    /// Where the recipients of a target are committed, if they are.
    pub fn recipients_path(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        self.find_target(name)?.recipients.as_ref().map(|path| self.inside(path)).transpose()
    }

    /// The context of a target's cluster, if it has one.
    pub fn context(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.find_target(name)?.context.clone())
    }

    fn find_target(&self, name: &str) -> Result<&Target, Error> {
        self.manifest.targets.get(name).ok_or_else(|| {
            let known: Vec<_> = self.targets().collect();
            let has = format!("{} has: {}", self.path().display(), known.join(", "));
            Error::new(Kind::Configuration, format!("there is no target {name}")).hint(has)
        })
    }

    /// What `bulla check` is told, and the folder that its paths are relative to.
    #[must_use]
    pub fn check(&self) -> (&Settings, &Path) {
        (&self.check.0, &self.check.1)
    }

    /// All recipients files that it names, whether they are there or not.
    #[must_use]
    pub fn recipients_files(&self) -> Vec<PathBuf> {
        let named = self.manifest.targets.values().filter_map(|target| target.recipients.as_ref()).chain(&self.manifest.recovery);
        named.map(|path| without_parents(&self.folder.join(path))).collect()
    }

    /// Where the recovery recipients are committed, if there are any.
    pub fn recovery_path(&self) -> Result<Option<PathBuf>, Error> {
        self.manifest.recovery.as_ref().map(|path| self.inside(path)).transpose()
    }

    /// The recovery recipients, if there are any.
    pub fn recovery(&self) -> Result<Option<RecipientsFile>, Error> {
        self.manifest.recovery.as_ref().map(|path| self.committed(path)).transpose()
    }

    /// Recipients of all `targets`, and the recovery recipients.
    pub fn recipients(&self, targets: &[String]) -> Result<Vec<Recipient>, Error> {
        let mut all = Vec::new();
        for name in targets {
            match self.target(name)? {
                (Some(file), _) => all.extend(file.recipients),
                (None, context) => all.push(announced_key(context.as_deref())?),
            }
        }
        all.extend(self.recovery()?.unwrap_or_default().recipients);
        Ok(all)
    }
}

/// Configurations with targets, by the files that they are for; each is read once.
#[derive(Debug, Default)]
pub struct Configs {
    by_folder: Mutex<HashMap<PathBuf, Option<Arc<Config>>>>,
    named: Mutex<HashSet<PathBuf>>,
}

impl Configs {
    /// The configuration that says to whom `file` is sealed: that above it, else that of the working directory, so that its targets can be
    /// named for any file.
    pub fn for_file(&self, file: Option<&Path>) -> Result<Option<Arc<Config>>, Error> {
        let here = working_directory()?;
        let folder = file.map(|file| without_parents(&here.join(file))).and_then(|file| file.parent().map(Path::to_owned));
        let above = folder.map(|folder| self.above(&folder)).transpose()?.flatten();
        let config = if above.is_some() { above } else { self.above(&here)? };
        if let Some(config) = config.as_ref().filter(|config| config.is_elsewhere(&here))
            && self.named.lock().expect("no code panics while it inserts").insert(config.path.clone())
        {
            note(format!("using {}", config.path.display()));
        }
        Ok(config)
    }

    fn above(&self, folder: &Path) -> Result<Option<Arc<Config>>, Error> {
        let known = || self.by_folder.lock().expect("no code panics while it inserts");
        if let Some(found) = known().get(folder) {
            return Ok(found.clone());
        }
        let found = match (Config::of(folder)?.filter(Config::has_targets), within_repository(folder).nth(1)) {
            (Some(config), _) => Some(Arc::new(config)),
            (None, Some(parent)) => self.above(parent)?,
            (None, None) => None,
        };
        known().insert(folder.to_owned(), found.clone());
        Ok(found)
    }
}

/// The text of a file that comes from somewhere else than a folder, such as from Git.
pub fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8 text"))
}

fn working_directory() -> Result<PathBuf, Error> {
    std::env::current_dir().map_err(|error| Error::new(Kind::Io, "no working directory").cause(error))
}

/// A folder and those above it, up to the root of its repository if it is in one.
fn within_repository(folder: &Path) -> impl Iterator<Item = &Path> {
    let root = repository(folder);
    folder.ancestors().take_while(move |above| root.is_none_or(|root| above.starts_with(root)))
}

/// The root of the repository that a folder is in.
#[must_use]
pub fn repository(folder: &Path) -> Option<&Path> {
    folder.ancestors().find(|folder| folder.join(".git").exists())
}

/// Whether a file is the user's, or the administrator's.
fn is_own(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let own = |uid: u32| uid == 0 || uid == rustix::process::geteuid().as_raw();
        std::fs::metadata(path).is_ok_and(|metadata| own(metadata.uid()))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        true
    }
}

/// `/a/../b` as `/b`: what counts is the folder that a file is in, not the way there.
#[must_use]
pub fn without_parents(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

fn choice(rule: &Rule) -> Result<Choice, String> {
    let namespace = rule.namespace.as_ref().map(|text| text.parse().map_err(|error| format!("{error}"))).transpose()?;
    let rotate_after = rule.rotate_after.as_deref().map(days).transpose()?;
    let scope = rule.scope.map(|scope| match scope {
        Scope::Strict => ScopeKind::Strict,
        Scope::Namespace => ScopeKind::Namespace,
        Scope::Cluster => ScopeKind::Cluster,
    });
    Ok(Choice { targets: rule.targets.clone(), namespace, scope, rotate_after })
}

/// Reads a number of days, such as `90d`.
pub fn days(text: &str) -> Result<i32, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse().ok()).filter(|days| (1..=36_500).contains(days));
    days.ok_or_else(|| "expected days, such as 90d".to_owned())
}

#[cfg(test)]
mod tests {
    use bulla_shared::age::{Algorithm, Identity};

    use super::*;

    const TEXT: &str = "version: 1\ntargets:\n  staging: {recipients: staging.recipients}\n  prod: {recipients: prod.recipients}\n\
        recovery: recovery.recipients\nrules:\n- {path: 'staging/**', targets: [staging], scope: namespace}\n\
        - {path: 'prod/*.yaml', targets: [prod, staging], namespace: shop, rotateAfter: 90d}\n";

    fn folder(text: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), text).unwrap();
        for name in ["staging", "prod", "recovery"] {
            let recipient = Identity::generate(Algorithm::X25519).recipient().to_string();
            std::fs::write(folder.path().join(format!("{name}.recipients")), recipient).unwrap();
        }
        folder
    }

    #[test]
    fn the_first_matching_rule_counts() {
        let folder = folder(TEXT);
        let below = folder.path().join("staging/a/b");
        std::fs::create_dir_all(&below).unwrap();
        let config = Config::find(&below).unwrap().unwrap();
        let rule = |path: &str| config.rule_for(&folder.path().join(path));
        assert_eq!(rule("staging/a/b/c.yaml").unwrap().targets, ["staging"]);
        assert_eq!(rule("staging/a/b/c.yaml").unwrap().scope, Some(ScopeKind::Namespace));
        let prod = rule("prod/db.yaml").unwrap();
        assert_eq!((prod.namespace.unwrap().as_str(), prod.rotate_after), ("shop", Some(90)));
        assert!(rule("prod/deeper/db.yaml").is_err(), "* stays in its folder");
        assert_eq!(rule("staging/../prod/db.yaml").unwrap().targets, ["prod", "staging"]);
        assert!(rule("staging/../../staging/db.yaml").is_err());
        assert!(config.rule_for(Path::new("/elsewhere/prod/db.yaml")).is_err());
        assert_eq!(config.recipients(&prod.targets).unwrap().len(), 3, "both targets and the recovery key");
        assert!(config.recipients(&["nobody".to_owned()]).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, cause) in [
            ("version: 1", "version: 2", "only 1 is known"),
            ("targets: [staging],", "targets: [stagin],", "rule 1 names the unknown target stagin"),
            ("targets: [staging],", "targets: [],", "rule 1 names no target"),
            ("{recipients: prod.recipients}", "{}", "target prod has neither"),
            ("'prod/*.yaml'", "'prod/[.yaml'", "rule 2: error parsing glob"),
            ("90d", "90", "rule 2: expected days"),
            ("shop", "Shop", "rule 2: namespace has a character"),
            ("scope: namespace", "scop: namespace", "scop"),
        ] {
            let folder = folder(&TEXT.replacen(from, to, 1));
            let error = format!("{:?}", Config::find(folder.path()).unwrap_err());
            assert!(error.contains(cause), "{to}: {error}");
        }
    }
}
