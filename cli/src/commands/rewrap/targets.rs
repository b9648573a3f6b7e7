//! Which keys the values of each file should be under: by the command line, `.bulla.yaml`, or the current context.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::Args;
use crate::cluster::{CONTEXT, Cluster};
use crate::config::Config;
use crate::error::{Error, Kind, note};
use crate::target::{Source, Target};

/// The recovery key is a target that no cluster speaks for.
const RECOVERY: &str = "(recovery)";

/// Where the keys of each file come from: the command line, `.bulla.yaml`, or the current context.
pub(super) struct Targets {
    fixed: Option<Vec<Arc<Target>>>,
    config: Option<Config>,
    context: Option<String>,
    cache: Mutex<BTreeMap<String, Arc<Target>>>,
}

impl Targets {
    pub(super) fn new(args: &Args) -> Result<Self, Error> {
        let mut targets =
            Self { fixed: None, config: Config::for_sealing()?, context: args.context.clone(), cache: Mutex::default() };
        let file = args.recipients.read_file()?;
        if !file.recipients.is_empty() {
            let target = Target::from_file("the recipients given", Source::CommandLine, file, args.context.clone());
            targets.fixed = Some(vec![Arc::new(target)]);
        } else if !args.targets.is_empty() {
            targets.fixed = Some(targets.named(&args.targets, Source::CommandLine)?);
        } else if targets.config.is_none() || args.context.is_some() {
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

    pub(super) fn of(&self, path: &Path) -> Result<Vec<Arc<Target>>, Error> {
        match (&self.fixed, &self.config) {
            (Some(fixed), _) => Ok(fixed.clone()),
            (None, Some(config)) => self.named(&config.rule_for(path)?.targets, Source::Rule),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn named(&self, names: &[String], source: Source) -> Result<Vec<Arc<Target>>, Error> {
        let config = self
            .config
            .as_ref()
            .ok_or_else(|| Config::missing().hint("targets are named there; name recipients with -r or -R"))?;
        let mut cache = self.cache.lock().expect("no code panics while it caches");
        let mut all = Vec::new();
        for name in names {
            if !cache.contains_key(name) {
                let (file, context) = config.target(name)?;
                let context = self.context.clone().or(context);
                let target = if let Some(file) = file {
                    Target::from_file(name, source, file, context)
                } else {
                    let cluster = Cluster::connect(context.as_deref(), CONTEXT)?;
                    Target::from_cluster(&cluster, Timestamp::now())?
                };
                cache.insert(name.clone(), Arc::new(target));
            }
            all.push(cache[name].clone());
        }
        if let Some(file) = config.recovery()? {
            let target = cache
                .entry(RECOVERY.to_owned())
                .or_insert_with(|| Arc::new(Target::from_file("recovery", Source::Recovery, file, None)));
            all.push(target.clone());
        }
        Ok(all)
    }
}
