//! Moving values through the clusters that open them: ciphertext there and back, in requests of many values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bulla_shared::binding::{KeyId, Scope};
use bulla_shared::names::Namespace;
use bulla_shared::resources::rewrap_request::{Answer, MAX_REQUEST, MAX_VALUES};
use bulla_shared::sealed::SealedValue;
use indicatif::ProgressBar;

use super::read;
use super::tally::Tally;
use super::targets::Targets;
use crate::cluster::{CONTEXT, Cluster};
use crate::error::Error;
use crate::sealed_file::{Found, SealedFile};
use crate::target::Target;

/// Files whose values are sent together. They are written before the next ones are read, so what is done stays done.
const BATCH: usize = 100;

/// What is said of an answer that must not be written.
const OTHER: &str =
    "the cluster answered with something else than this value under its newest key: compare with bulla recipients";

/// A batch of files at a time, and in it one cluster after the other.
pub(super) fn run(files: &[PathBuf], targets: &Targets, tally: &Tally, progress: &ProgressBar) -> Result<(), Error> {
    let mut clusters = BTreeMap::new();
    for batch in files.chunks(BATCH) {
        let mut read: Vec<_> = batch.iter().filter_map(|path| read(path, targets, tally, progress)).map(Moving::new).collect();
        let contexts: BTreeSet<String> = read.iter().flat_map(Moving::contexts).collect();
        for context in contexts {
            if !clusters.contains_key(&context) {
                clusters.insert(context.clone(), Cluster::connect(Some(&context), CONTEXT)?);
            }
            ask(&clusters[&context], &mut read)?;
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
    fn for_cluster(&self, context: &str) -> Vec<(usize, Option<Namespace>, String)> {
        let of_it = |value: &SealedValue| {
            let mut targets = self.targets.iter().filter(|target| target.context.as_deref() == Some(context));
            targets.any(|target| target.missing(value).next().is_some())
        };
        let stale = self.now.iter().enumerate().filter(|(_, value)| of_it(value));
        stale.map(|(index, value)| (index, namespace(value, &self.file.values[index]), value.to_string())).collect()
    }

    /// Takes an answer, if it can be the same value, under a key that this cluster should have it under and without any key of others gone.
    fn take(&mut self, index: usize, context: &str, answer: Answer) {
        let before = &self.now[index];
        let (own, others): (Vec<_>, Vec<_>) = self.targets.iter().partition(|target| target.context.as_deref() == Some(context));
        let is_good = |after: &SealedValue| {
            let (old, new) = (&before.binding().keys, &after.binding().keys);
            let mut added = new.iter().filter(|id| !old.contains(id));
            let mut removed = old.iter().filter(|id| !new.contains(id));
            let newest = |id: &KeyId| own.iter().flat_map(|target| &target.newest).any(|key| key.fingerprint().id() == *id);
            after.is_rewrap_of(before) && added.all(newest) && !removed.any(|id| others.iter().any(|target| target.has(id)))
        };
        match answer {
            Answer::Value(text) => match text.parse() {
                Ok(after) if is_good(&after) => self.now[index] = after,
                Ok(_) => self.refused[index] = Some(OTHER.to_owned()),
                Err(error) => self.refused[index] = Some(format!("{OTHER}: {error}")),
            },
            Answer::Error(error) => self.refused[index] = Some(error),
        }
    }

    /// What has moved; what is still stale is told.
    fn finish(&self, tally: &Tally, progress: &ProgressBar) -> Vec<(usize, SealedValue)> {
        let mut moved = Vec::new();
        for (index, value) in self.now.iter().enumerate() {
            let found = &self.file.values[index];
            let missing: Vec<_> =
                self.targets.iter().flat_map(|target| target.missing(value).map(move |key| (target, key))).collect();
            if let Some((target, key)) = missing.first() {
                let cause = self.refused[index].clone().unwrap_or_else(|| {
                    let lacks = if target.context.is_none() && target.can_move(value, key) {
                        "nothing names the target's cluster (context: in .bulla.yaml, --context)"
                    } else {
                        "only -i adds one"
                    };
                    format!("{} of {} is no recipient yet, and {lacks}", key.fingerprint().id(), target.name)
                });
                // One that has come half of the way is written, and told all the same.
                tally.fail_value(progress, &self.file, found, *value != found.value, cause);
            }
            if *value != found.value {
                moved.push((index, value.clone()));
            }
        }
        moved
    }
}

/// Where a value may be rewrapped: in the namespace that it is bound to.
fn namespace(value: &SealedValue, found: &Found) -> Option<Namespace> {
    match &value.binding().scope {
        Scope::Strict(place) => Some(place.namespace.clone()),
        Scope::Namespace(namespace) => Some(namespace.clone()),
        Scope::Cluster => found.namespace.as_deref().unwrap_or("default").parse().ok(),
    }
}

fn ask(cluster: &Cluster, files: &mut [Moving]) -> Result<(), Error> {
    let mut by_namespace: BTreeMap<Namespace, Vec<(usize, usize, String)>> = BTreeMap::new();
    for (number, moving) in files.iter_mut().enumerate() {
        for (index, namespace, text) in moving.for_cluster(&cluster.context) {
            let Some(namespace) = namespace else {
                moving.refused[index] = Some("metadata.namespace is no name of a namespace".to_owned());
                continue;
            };
            if text.len() > MAX_REQUEST {
                moving.refused[index] = Some("it is too long for a request; use -i".to_owned());
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
            let texts = now.iter().map(|(_, _, text)| text.clone()).collect();
            let answers = match cluster.rewrap(&namespace, texts)? {
                Ok(answers) => answers,
                // One namespace that is not there or not ours does not stop the others.
                Err(refused) => now.iter().map(|_| Answer::Error(refused.clone())).collect(),
            };
            for ((number, index, _), answer) in now.iter().zip(answers) {
                files[*number].take(*index, &cluster.context, answer);
            }
        }
    }
    Ok(())
}
