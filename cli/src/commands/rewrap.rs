//! `bulla rewrap`: sealed values of whole trees moved to the newest keys, in place; through the cluster, or offline with an identity.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bulla_keys::KeyRing;
use bulla_shared::age::Recipient;
use bulla_shared::binding::Scope;
use bulla_shared::resources::rewrap_request::{Answer, MAX_REQUEST, MAX_VALUES};
use bulla_shared::sealed::{Recipients, SealedValue};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use crate::cluster::{CONTEXT, Cluster};
use crate::config::Config;
use crate::error::{Error, Kind, note, warn};
use crate::files::{self, Access};
use crate::keys::{RecipientArgs, identities};
use crate::rewrap::file::{Found, SealedFile};
use crate::rewrap::target::Target;
use crate::walk;

/// Files whose values are sent together. They are written before the next ones are read, so what is done stays done.
const BATCH: usize = 100;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulla rewrap clusters/                        through the clusters that .bulla.yaml names\n  \
    bulla rewrap --check clusters/                exit code 1 and a list if something is stale\n  \
    bulla rewrap -i keys.txt -R prod.recipients . offline, to exactly these recipients\n\n\
    Through a cluster, its own key in a value is replaced by its newest. To add or remove recipients, or to change their kind, use -i: the\n\
    values are then under exactly the recipients of their targets. Whoever has an old key and an old file has the value: after a leak,\n\
    change the values themselves."
)]
pub struct Args {
    /// Manifests, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Rewrap offline with the private keys of this file; may be repeated
    #[arg(short, long = "identity", value_name = "FILE", conflicts_with = "context")]
    identities: Vec<PathBuf>,
    #[command(flatten)]
    recipients: RecipientArgs,
    /// Context of the kubeconfig to rewrap through [default: that of the target; the current one, if nothing names a target]
    #[arg(long)]
    context: Option<String>,
    /// Target of .bulla.yaml; may be repeated [default: those of the rule for each file]
    #[arg(short, long = "target", value_name = "NAME", conflicts_with_all = ["recipients", "recipient_files"])]
    targets: Vec<String>,
    /// Change nothing: list what is stale, and exit with 1 if there is something
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let files = walk::manifests(&args.paths)?;
    let targets = Targets::new(args)?;
    let progress = progress(files.len());
    let tally = Tally::default();
    if args.check {
        check(&files, &targets, &tally, &progress)
    } else if args.identities.is_empty() {
        through_clusters(&files, &targets, &tally, &progress)
    } else {
        let mut ring = Vec::new();
        for path in &args.identities {
            ring.extend(identities(&files::Input::from_path(path))?);
        }
        offline(&files, &targets, &ring.into_iter().collect(), &tally, &progress)
    }?;
    progress.finish_and_clear();
    tally.conclude(args.check)
}

fn progress(files: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files, {eta} left").expect("the template is well-formed");
    ProgressBar::new(u64::try_from(files).unwrap_or(u64::MAX)).with_style(style)
}

/// What became of the values.
#[derive(Default)]
struct Tally {
    moved: AtomicUsize,
    files: AtomicUsize,
    current: AtomicUsize,
    failed: AtomicUsize,
    stale: Mutex<Vec<String>>,
}

impl Tally {
    fn add(counter: &AtomicUsize, count: usize) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// One value or file that cannot be dealt with does not stop the others.
    fn fail(&self, progress: &ProgressBar, error: &Error) {
        Self::add(&self.failed, 1);
        progress.suspend(|| warn(error.one_line()));
    }

    fn wrote(&self, progress: &ProgressBar, file: &SealedFile, moved: &[(usize, SealedValue)]) {
        Self::add(&self.current, file.values.len() - moved.len());
        if moved.is_empty() {
            return;
        }
        match file.replace(moved) {
            Ok(()) => {
                Self::add(&self.moved, moved.len());
                Self::add(&self.files, 1);
            }
            Err(error) => self.fail(progress, &error),
        }
    }

    fn conclude(self, check: bool) -> Result<(), Error> {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let failed = count(&self.failed);
        let stale = self.stale.into_inner().expect("no code panics while it lists");
        files::write(None, stale.concat().as_bytes(), Access::Default)?;
        if !check {
            note(format!(
                "rewrapped {} values in {} files; {} needed nothing",
                count(&self.moved),
                count(&self.files),
                count(&self.current).saturating_sub(failed)
            ));
        }
        if failed > 0 {
            return Err(Error::new(Kind::Keys, format!("{failed} values or files could not be dealt with"))
                .cause("each is named above")
                .hint("what was done stays done: mend the cause and run this again"));
        }
        if !stale.is_empty() {
            return Err(Error::new(Kind::Findings, format!("{} values are not under the newest key", stale.len()))
                .hint("bulla rewrap with the same paths moves them"));
        }
        Ok(())
    }
}

/// Where the keys of each file come from: the command line, `.bulla.yaml`, or the current context.
struct Targets {
    fixed: Option<Vec<Arc<Target>>>,
    config: Option<Config>,
    context: Option<String>,
    cache: Mutex<BTreeMap<String, Arc<Target>>>,
}

impl Targets {
    fn new(args: &Args) -> Result<Self, Error> {
        let folder = std::env::current_dir().map_err(|error| Error::new(Kind::Io, "no working directory").cause(error))?;
        let mut targets =
            Self { fixed: None, config: Config::find(&folder)?, context: args.context.clone(), cache: Mutex::default() };
        let file = args.recipients.read_file()?;
        if !file.recipients.is_empty() {
            let target = Target::from_file("the recipients given", file, args.context.clone());
            targets.fixed = Some(vec![Arc::new(target)]);
        } else if !args.targets.is_empty() {
            targets.fixed = Some(targets.named(&args.targets)?);
        } else if targets.config.is_none() || args.context.is_some() {
            if !args.identities.is_empty() {
                return Err(Error::new(
                    Kind::Configuration,
                    "no recipients are given, and there is no .bulla.yaml here or above",
                )
                .hint("name the recipients with -r or -R: the values will be under exactly these"));
            }
            let cluster = Cluster::connect(args.context.as_deref(), CONTEXT)?;
            let target = Target::from_cluster(&cluster.context, &cluster.sealing_keys()?, Timestamp::now());
            note(format!("using context {}", cluster.context));
            targets.fixed = Some(vec![Arc::new(target)]);
        }
        Ok(targets)
    }

    fn of(&self, path: &Path) -> Result<Vec<Arc<Target>>, Error> {
        match (&self.fixed, &self.config) {
            (Some(fixed), _) => Ok(fixed.clone()),
            (None, Some(config)) => self.named(&config.rule_for(path)?.targets),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn named(&self, names: &[String]) -> Result<Vec<Arc<Target>>, Error> {
        let config = self.config.as_ref().ok_or_else(|| {
            Error::new(Kind::Configuration, format!("there is no {} here or above", crate::config::FILE))
                .hint("targets are named there; name recipients with -r or -R")
        })?;
        let mut cache = self.cache.lock().expect("no code panics while it caches");
        let mut all = Vec::new();
        for name in names {
            if !cache.contains_key(name) {
                let (file, context) = config.target(name)?;
                let context = self.context.clone().or(context);
                let target = match file {
                    Some(file) => Target::from_file(name, file, context),
                    None => {
                        let cluster = Cluster::connect(context.as_deref(), CONTEXT)?;
                        Target::from_cluster(&cluster.context, &cluster.sealing_keys()?, Timestamp::now())
                    }
                };
                cache.insert(name.clone(), Arc::new(target));
            }
            all.push(cache[name].clone());
        }
        // The recovery key is a target that no cluster speaks for.
        const RECOVERY: &str = "(recovery)";
        if let Some(file) = config.recovery()? {
            let target = cache.entry(RECOVERY.to_owned()).or_insert_with(|| Arc::new(Target::from_file("recovery", file, None)));
            all.push(target.clone());
        }
        Ok(all)
    }
}

/// A file with sealed values and its targets; what cannot be read is counted.
fn read(path: &Path, targets: &Targets, tally: &Tally, progress: &ProgressBar) -> Option<(SealedFile, Vec<Arc<Target>>)> {
    let read = SealedFile::read(path).and_then(|file| file.map(|file| Ok((file, targets.of(path)?))).transpose());
    read.unwrap_or_else(|error| {
        tally.fail(progress, &error);
        None
    })
}

fn check(files: &[PathBuf], targets: &Targets, tally: &Tally, progress: &ProgressBar) -> Result<(), Error> {
    for path in files {
        if let Some((file, targets)) = read(path, targets, tally, progress) {
            let mut stale = tally.stale.lock().expect("no code panics while it lists");
            for found in &file.values {
                let missing = targets.iter().flat_map(|target| target.missing(&found.value).map(|key| (&target.name, key)));
                let missing: Vec<_> = missing.map(|(name, key)| format!("{} of {name}", key.fingerprint().id())).collect();
                if !missing.is_empty() {
                    let keys = ids(&found.value);
                    stale.push(format!(
                        "{}: {}: under {keys}, not under {}\n",
                        path.display(),
                        found.label(),
                        missing.join(", ")
                    ));
                }
            }
        }
        progress.inc(1);
    }
    Ok(())
}

fn ids(value: &SealedValue) -> String {
    value.binding().keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Each file on the next free thread: cryptography and disk alternate.
fn offline(files: &[PathBuf], targets: &Targets, ring: &KeyRing, tally: &Tally, progress: &ProgressBar) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(files.len()) {
            scope.spawn(|| {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some((file, targets)) = read(path, targets, tally, progress) {
                        let moved = move_offline(&file, &targets, ring, tally, progress);
                        tally.wrote(progress, &file, &moved);
                    }
                    progress.inc(1);
                }
            });
        }
    });
    Ok(())
}

fn move_offline(
    file: &SealedFile,
    targets: &[Arc<Target>],
    ring: &KeyRing,
    tally: &Tally,
    progress: &ProgressBar,
) -> Vec<(usize, SealedValue)> {
    let wanted: Vec<Recipient> = targets.iter().flat_map(|target| target.newest.iter().cloned()).collect();
    let failed = |found: &Found, cause: &dyn std::fmt::Display| {
        let what = format!("{}: {} is not rewrapped", file.path.display(), found.label());
        tally.fail(progress, &Error::new(Kind::Keys, what).cause(cause));
    };
    let recipients = Recipients::new(wanted);
    let mut moved = Vec::new();
    for (index, found) in file.values.iter().enumerate() {
        let recipients = match &recipients {
            Ok(recipients) => recipients,
            Err(error) => {
                failed(found, error);
                continue;
            }
        };
        let now = found.value.binding().keys.iter();
        if recipients.iter().all(|recipient| now.clone().any(|id| *id == recipient.fingerprint().id()))
            && recipients.iter().count() == now.len()
        {
            continue;
        }
        match found.value.rewrap_to(&Marked { ring, targets }, recipients) {
            Ok(value) => moved.push((index, value)),
            Err(error) => failed(found, &error),
        }
    }
    moved
}

/// The identities, with what the targets of a file say about keys in other hands.
struct Marked<'a> {
    ring: &'a KeyRing,
    targets: &'a [Arc<Target>],
}

impl bulla_shared::sealed::Keys for Marked<'_> {
    fn newest(&self, ids: &[bulla_shared::binding::KeyId]) -> Option<(usize, &bulla_shared::age::Identity)> {
        self.ring.newest(ids)
    }

    fn compromised_at(&self, id: &bulla_shared::binding::KeyId) -> Option<Timestamp> {
        self.targets.iter().find_map(|target| target.compromised.get(id).copied())
    }
}

fn through_clusters(files: &[PathBuf], targets: &Targets, tally: &Tally, progress: &ProgressBar) -> Result<(), Error> {
    let mut clusters = BTreeMap::new();
    for batch in files.chunks(BATCH) {
        let mut read: Vec<_> = batch.iter().filter_map(|path| read(path, targets, tally, progress)).map(Moving::new).collect();
        let contexts: std::collections::BTreeSet<String> = read.iter().flat_map(Moving::contexts).collect();
        for context in contexts {
            if !clusters.contains_key(&context) {
                clusters.insert(context.clone(), Cluster::connect(Some(&context), CONTEXT)?);
            }
            ask(&clusters[&context], &mut read, tally, progress)?;
        }
        for moving in read {
            let moved = moving.finish(tally, progress);
            tally.wrote(progress, &moving.file, &moved);
        }
        progress.inc(u64::try_from(batch.len()).unwrap_or_default());
    }
    Ok(())
}

/// A file whose values are on their way: a value may have to pass several clusters.
struct Moving {
    file: SealedFile,
    targets: Vec<Arc<Target>>,
    now: Vec<SealedValue>,
    refused: Vec<Option<String>>,
}

impl Moving {
    fn new((file, targets): (SealedFile, Vec<Arc<Target>>)) -> Self {
        let now: Vec<SealedValue> = file.values.iter().map(|found| found.value.clone()).collect();
        let refused = vec![None; now.len()];
        Self { file, targets, now, refused }
    }

    fn contexts(&self) -> Vec<String> {
        let stale = |target: &&Arc<Target>| self.now.iter().any(|value| target.missing(value).next().is_some());
        self.targets.iter().filter(stale).filter_map(|target| target.context.clone()).collect()
    }

    /// The values that this cluster should move, with the namespace to ask in.
    fn for_cluster(&self, context: &str) -> Vec<(usize, String, String)> {
        let of_it = |value: &SealedValue| {
            let mut targets = self.targets.iter().filter(|target| target.context.as_deref() == Some(context));
            targets.any(|target| target.missing(value).next().is_some())
        };
        let stale = self.now.iter().enumerate().filter(|(_, value)| of_it(value));
        stale.map(|(index, value)| (index, namespace(value, &self.file.values[index]), value.to_string())).collect()
    }

    /// What has moved; what is still stale is told.
    fn finish(&self, tally: &Tally, progress: &ProgressBar) -> Vec<(usize, SealedValue)> {
        let mut moved = Vec::new();
        for (index, value) in self.now.iter().enumerate() {
            let found = &self.file.values[index];
            let missing: Vec<_> =
                self.targets.iter().flat_map(|target| target.missing(value).map(move |key| (target, key))).collect();
            if let Some((target, key)) = missing.first() {
                let cause = self.refused[index].clone().unwrap_or_else(|| match target.context {
                    Some(_) => format!(
                        "the newest key of the cluster is not {} of {}: compare with bulla recipients",
                        key.fingerprint().id(),
                        target.name
                    ),
                    None => format!("{} of {} is no recipient yet, and only -i adds one", key.fingerprint().id(), target.name),
                });
                let what = format!("{}: {} is not rewrapped", self.file.path.display(), found.label());
                tally.fail(progress, &Error::new(Kind::Keys, what).cause(cause));
            }
            if *value != found.value {
                moved.push((index, value.clone()));
            }
        }
        moved
    }
}

/// Where a value may be rewrapped: in the namespace that it is bound to.
fn namespace(value: &SealedValue, found: &Found) -> String {
    match &value.binding().scope {
        Scope::Strict(place) => place.namespace.to_string(),
        Scope::Namespace(namespace) => namespace.to_string(),
        Scope::Cluster => found.namespace.clone().unwrap_or_else(|| "default".to_owned()),
    }
}

fn ask(cluster: &Cluster, files: &mut [Moving], tally: &Tally, progress: &ProgressBar) -> Result<(), Error> {
    let mut by_namespace: BTreeMap<String, Vec<(usize, usize, String)>> = BTreeMap::new();
    for (number, moving) in files.iter().enumerate() {
        for (index, namespace, text) in moving.for_cluster(&cluster.context) {
            if text.len() > MAX_REQUEST {
                moving_failed(moving, index, tally, progress);
                continue;
            }
            by_namespace.entry(namespace).or_default().push((number, index, text));
        }
    }
    for (namespace, values) in by_namespace {
        let mut rest = values.as_slice();
        while !rest.is_empty() {
            let mut size = 0;
            let fits = |(_, _, text): &&(usize, usize, String)| {
                size += text.len();
                size <= MAX_REQUEST
            };
            let count = rest.iter().take_while(fits).count().min(MAX_VALUES);
            let (now, later) = rest.split_at(count);
            rest = later;
            let answers = cluster.rewrap(&namespace, now.iter().map(|(_, _, text)| text.clone()).collect())?;
            for ((number, index, _), answer) in now.iter().zip(answers) {
                let moving = &mut files[*number];
                match answer {
                    Answer::Value(text) => match text.parse() {
                        Ok(value) if is_same(&moving.now[*index], &value) => moving.now[*index] = value,
                        _ => moving.refused[*index] = Some("the cluster answered with another value".to_owned()),
                    },
                    Answer::Error(error) => moving.refused[*index] = Some(error),
                }
            }
        }
    }
    Ok(())
}

fn moving_failed(moving: &Moving, index: usize, tally: &Tally, progress: &ProgressBar) {
    let found = &moving.file.values[index];
    let what = format!("{}: {} is not rewrapped", moving.file.path.display(), found.label());
    tally.fail(progress, &Error::new(Kind::Keys, what).cause("it is too long for a request; use -i"));
}

/// Whether an answer can be the same value: what rewrapping leaves alone is as it was.
fn is_same(before: &SealedValue, after: &SealedValue) -> bool {
    let (old, new) = (before.binding(), after.binding());
    old.scope == new.scope && old.sealed == new.sealed && before.has_payload_of(after)
}
