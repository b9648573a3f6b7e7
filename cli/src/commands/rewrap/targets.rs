//! Which keys the values of each file should be under: by the command line, `.bulla.yaml`, or the current context.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::Args;
use crate::cluster::{CONTEXT, Cluster};
use crate::config::{Config, Configs};
use crate::error::{Error, Kind, note};
use crate::target::{Source, Target};

/// The recovery key is a target that no cluster speaks for.
const RECOVERY: &str = "(recovery)";

/// Where the keys of each file come from: the command line, `.bulla.yaml`, or the current context.
pub(super) struct Targets {
    /// Paths of the command line.
    paths: HashSet<PathBuf>,
    fixed: Option<Vec<Arc<Target>>>,
    /// Names of targets that the command line gives for every file.
    named: Vec<String>,
    configs: Configs,
    context: Option<String>,
    /// By configuration and name.
    cache: Mutex<BTreeMap<(PathBuf, String), Arc<Target>>>,
}

impl Targets {
    pub(super) fn new(args: &Args, files: &[PathBuf]) -> Result<Self, Error> {
        let mut targets = Self {
            paths: args.paths.iter().cloned().collect(),
            fixed: None,
            named: args.targets.clone(),
            configs: Configs::default(),
            context: args.context.clone(),
            cache: Mutex::default(),
        };
        let file = args.recipients.read_file()?;
        if !file.recipients.is_empty() {
            let target = Target::from_file("the recipients given", Source::CommandLine, file, args.context.clone());
            targets.fixed = Some(vec![Arc::new(target)]);
        } else if !args.targets.is_empty() {
            // What is wrong with a target is known before anything is moved.
            for file in files {
                targets.of(file)?;
            }
        } else if args.context.is_some() || !targets.are_configured(files)? {
            if !args.identities.is_empty() {
                return Err(Error::new(
                    Kind::Configuration,
                    "no recipients are given, and there is no .bulla.yaml here or above",
                )
                .hint("name the recipients with -r or -R: the values will be under exactly these"));
            }
            let cluster = Cluster::connect(args.context.as_deref(), CONTEXT)?;
            let target = Target::from_cluster(&cluster, Timestamp::now())?;
            note(format!("using context {}", cluster.context));
            targets.fixed = Some(vec![Arc::new(target)]);
        }
        Ok(targets)
    }

    /// Whether a configuration is for any of the files: then no value of them is held against the current context.
    fn are_configured(&self, files: &[PathBuf]) -> Result<bool, Error> {
        let files = files.iter().map(|file| Some(file.as_path())).chain([None]);
        for file in files {
            if self.configs.for_file(file)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the command line names this very file.
    pub(super) fn is_named(&self, path: &Path) -> bool {
        self.paths.contains(path)
    }

    pub(super) fn of(&self, path: &Path) -> Result<Vec<Arc<Target>>, Error> {
        if let Some(fixed) = &self.fixed {
            return Ok(fixed.clone());
        }
        let config = self.configs.for_file(Some(path))?;
        let config = config.ok_or_else(|| Config::missing().hint("targets are named there; name recipients with -r or -R"))?;
        if self.named.is_empty() {
            return self.named(&config, &config.rule_for(path)?.targets, Source::Rule);
        }
        self.named(&config, &self.named, Source::CommandLine)
    }

    fn named(&self, config: &Config, names: &[String], source: Source) -> Result<Vec<Arc<Target>>, Error> {
        let key = |name: &str| (config.path(), name.to_owned());
        let mut cache = self.cache.lock().expect("no code panics while it caches");
        let mut all = Vec::new();
        for name in names {
            let target = match cache.entry(key(name)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let (file, context) = config.target(name)?;
                    let context = self.context.clone().or(context);
                    let target = if let Some(file) = file {
                        Target::from_file(name, source, file, context)
                    } else {
                        let cluster = Cluster::connect(context.as_deref(), CONTEXT)?;
                        Target::from_cluster(&cluster, Timestamp::now())?
                    };
                    new.insert(Arc::new(target))
                }
            };
            all.push(target.clone());
        }
        if let Some(file) = config.recovery()? {
            let target = cache
                .entry(key(RECOVERY))
                .or_insert_with(|| Arc::new(Target::from_file("recovery", Source::Recovery, file, None)));
            all.push(target.clone());
        }
        Ok(all)
    }
}
