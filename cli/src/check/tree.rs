//! What only shows when several documents are put together: objects that are there twice, and Secrets that workloads ask for in vain.

use std::collections::HashMap;
use std::ops::Range;

use super::file::{Late, Looked};
use super::finding::{Sheet, Show, harmless};
use super::references::{Provided, Reference};
use super::rule::{DUPLICATE_OBJECT, Rule, UNRESOLVED_ITEM, UNRESOLVED_REF};

/// Most objects of one name that a reference is compared with.
const MOST: usize = 1000;

/// Objects that would become the same Secret in the same place.
#[derive(PartialEq, Eq, Hash)]
struct Identity<'f> {
    /// Files of one place: those of the same targets, or of one folder where no rule says which.
    place: &'f str,
    namespace: Option<&'f str>,
    name: &'f str,
}

/// Puts together what was found in all files.
pub fn check(files: &mut [Looked], with_references: bool) {
    let mut found = duplicates(files);
    if with_references {
        found.extend(unresolved(files));
    }
    let mut by_file: HashMap<usize, Vec<Late>> = HashMap::new();
    for (index, late) in found {
        by_file.entry(index).or_default().push(late);
    }
    for (index, late) in by_file {
        files[index].add(late);
    }
}

fn duplicates(files: &[Looked]) -> Vec<(usize, Late)> {
    let mut first: HashMap<Identity<'_>, (usize, &Provided)> = HashMap::new();
    // Lines are counted once for each file, not for each object.
    let mut sheets: HashMap<usize, Sheet<'_>> = HashMap::new();
    let mut found = Vec::new();
    for (index, file) in files.iter().enumerate() {
        for provided in file.provided.iter().filter(|provided| matches!(provided.kind, "Secret" | "SealedSecret")) {
            let identity = Identity { place: &file.place, namespace: provided.namespace.as_deref(), name: &provided.name };
            let Some((other, before)) = first.get(&identity) else {
                first.insert(identity, (index, provided));
                continue;
            };
            let (name, start) = (provided.label(), provided.span.start);
            let message = format!(
                "{} {name} is there already, as {} on line {} of {}",
                provided.kind,
                before.kind,
                sheets.entry(*other).or_insert_with(|| files[*other].sheet()).line(before.span.start),
                files[*other].name.shown
            );
            found.push((index, late(DUPLICATE_OBJECT, start..start, start, Show::Nothing, name, message)));
        }
    }
    found
}

fn unresolved(files: &[Looked]) -> Vec<(usize, Late)> {
    let mut by_name: HashMap<&str, Vec<(&Looked, &Provided)>> = HashMap::new();
    for file in files {
        for provided in &file.provided {
            by_name.entry(&provided.name).or_default().push((file, provided));
        }
    }
    let mut found = Vec::new();
    for (index, file) in files.iter().enumerate() {
        for reference in &file.references {
            let candidates = by_name.get(reference.name.as_str()).map_or(&[][..], Vec::as_slice);
            let providers: Vec<&Provided> = candidates
                .iter()
                .take(MOST)
                .filter(|(other, provided)| fits(file, reference, other, provided))
                .map(|(_, provided)| *provided)
                .collect();
            let name = harmless(&reference.name);
            if providers.is_empty() {
                let message = format!("{} asks for Secret {name}, which nothing here provides", reference.workload);
                let subject = format!("{} {name}", reference.workload);
                found.push((index, late(UNRESOLVED_REF, reference.span.clone(), reference.object, Show::Span, subject, message)));
                continue;
            }
            for (item, span) in &reference.items {
                let has = |provided: &&Provided| provided.items.as_ref().is_none_or(|items| items.contains(item));
                if !providers.iter().any(has) {
                    let item = harmless(item);
                    let message = format!("{} asks for item {item} of Secret {name}, which it does not have", reference.workload);
                    let subject = format!("{} {name} {item}", reference.workload);
                    found.push((index, late(UNRESOLVED_ITEM, span.clone(), reference.object, Show::Span, subject, message)));
                }
            }
        }
    }
    found
}

fn late(rule: &'static Rule, span: Range<usize>, object: usize, show: Show, subject: String, message: String) -> Late {
    Late { rule, span, object, show, subject, message }
}

/// Whether this may be the Secret that is asked for: nothing that is known speaks against it.
fn fits(asking: &Looked, reference: &Reference, providing: &Looked, provided: &Provided) -> bool {
    let same_targets = asking.targets.is_none() || providing.targets.is_none() || asking.targets == providing.targets;
    let namespaces = reference.namespace.as_ref().zip(provided.namespace.as_ref());
    same_targets && namespaces.is_none_or(|(asked, has)| asked == has)
}

impl Provided {
    /// `namespace/name`, as far as it has them.
    fn label(&self) -> String {
        let name = harmless(&self.name);
        self.namespace.as_deref().map_or(name.clone(), |namespace| format!("{}/{name}", harmless(namespace)))
    }
}
