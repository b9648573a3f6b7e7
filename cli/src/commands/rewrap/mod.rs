//! `bulla rewrap`: sealed values of whole trees moved to the newest keys, in place; through the cluster, or offline with an identity.
//!
//! [`targets`] says which keys the values of a file should be under, [`clusters`] and [`offline`] move them, [`tally`] counts and concludes.

mod clusters;
mod offline;
mod tally;
mod targets;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bulla_shared::sealed::SealedValue;
use indicatif::{ProgressBar, ProgressStyle};

use self::tally::Tally;
use self::targets::Targets;
use crate::error::{Error, Kind, note, printable, warn};
use crate::files::Input;
use crate::keys::{RecipientArgs, all_identities};
use crate::manifest::decode;
use crate::sealed_file::SealedFile;
use crate::target::Target;
use crate::walk;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulla rewrap clusters/                        through the clusters that .bulla.yaml names\n  \
    bulla rewrap --check clusters/                exit code 1 and a list if something is stale\n  \
    bulla rewrap -i keys.txt -R prod.recipients . offline, to exactly these recipients\n\n\
    Through a cluster, its own key in a value is replaced by its newest. To add or remove recipients, or to change their kind, use -i: the \
    values are then under exactly the recipients of their targets. Whoever has an old key and an old file has the value: after a leak, \
    change the values themselves.\n\n\
    Stale is what is not under the newest key of the committed recipients file, where a target has one: bulla recipients says whether the \
    cluster has a newer one."
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
    let targets = Targets::new(args, &files)?;
    let progress = progress(files.len());
    let tally = Tally::default();
    if args.check {
        check(&files, &targets, &tally, &progress);
    } else if args.identities.is_empty() {
        clusters::run(&files, &targets, &tally, &progress).inspect_err(|_| {
            progress.finish_and_clear();
            note(format!("{} so far: run this again, and it goes on from there", tally.done()));
        })?;
    } else {
        let ring = all_identities(&args.identities)?.into_iter().collect();
        offline::run(&files, &targets, &ring, &tally, &progress);
    }
    progress.finish_and_clear();
    tally.conclude(args.check)
}

fn progress(files: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files, {eta} left").expect("the template is well-formed");
    ProgressBar::new(u64::try_from(files).unwrap_or(u64::MAX)).with_style(style)
}

/// A file with sealed values and its targets; what cannot be read is counted.
fn read(path: &Path, targets: &Targets, tally: &Tally, progress: &ProgressBar) -> Option<(SealedFile, Vec<Arc<Target>>)> {
    let read = Input::File(path.to_owned()).read("manifests").and_then(|bytes| {
        let file = SealedFile::of(path, &bytes)?;
        if file.is_none() && targets.is_named(path) {
            if decode(bytes.to_vec()).map_or(true, |source| source.text().contains('\0')) {
                return Err(Error::new(Kind::Usage, format!("cannot read {}", path.display()))
                    .cause("it is not text, or UTF-16 without its mark")
                    .hint("save it as UTF-8"));
            }
            progress.suspend(|| warn(format!("there is no SealedSecret (bulla.dev) in {}", path.display())));
        }
        file.map(|file| Ok((file, targets.of(path)?))).transpose()
    });
    read.unwrap_or_else(|error| {
        tally.fail(progress, &error);
        None
    })
}

fn check(files: &[PathBuf], targets: &Targets, tally: &Tally, progress: &ProgressBar) {
    for path in files {
        if let Some((file, targets)) = read(path, targets, tally, progress) {
            let mut stale = tally.stale.lock().expect("no code panics while it lists");
            for found in &file.values {
                if !targets.iter().any(|target| target.can_judge(&found.value)) {
                    let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
                    let keys = ids(&found.value);
                    tally.unknown(progress, &file, found, format!("under {keys}, no key of {}", names.join(", ")));
                    continue;
                }
                let missing: Vec<_> =
                    targets.iter().flat_map(|target| target.missing(&found.value).map(move |key| (target, key))).collect();
                for (target, key) in &missing {
                    if !target.can_move(&found.value, key) {
                        tally.needs_key.store(true, Ordering::Relaxed);
                    } else if target.context.is_none() {
                        tally.needs_context.store(true, Ordering::Relaxed);
                    }
                }
                let missing: Vec<_> =
                    missing.iter().map(|(target, key)| format!("{} of {}", key.fingerprint().id(), target.name)).collect();
                if !missing.is_empty() {
                    let keys = ids(&found.value);
                    let (path, label, missing) = (path.display(), found.label(), missing.join(", "));
                    // A line a value, whatever the names are like.
                    stale.push(printable(&format!("{path}: {label}: under {keys}, not under {missing}")) + "\n");
                }
            }
        }
        progress.inc(1);
    }
}

fn ids(value: &SealedValue) -> String {
    value.binding().keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
