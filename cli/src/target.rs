//! Which keys a value should be under: a target is one place that opens values, and the keys that it has and had.

use std::collections::HashMap;

use bulla_keys::select::newest_active;
use bulla_shared::age::{Algorithm, Recipient};
use bulla_shared::binding::KeyId;
use bulla_shared::recipients::{OldKeyState, RecipientsFile};
use bulla_shared::resources::sealing_key::SealingKey;
use bulla_shared::sealed::SealedValue;
use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::error::Error;

/// A place that opens values.
#[derive(Debug, Clone)]
pub struct Target {
    /// How messages name it.
    pub name: String,
    /// The keys that values should be under.
    pub newest: Vec<Recipient>,
    /// The keys that it has or had, as far as is known.
    known: Vec<KeyId>,
    source: Source,
    /// Keys in other hands, and since when.
    pub compromised: HashMap<KeyId, Timestamp>,
    /// The cluster to ask; none if it has no name for us.
    pub context: Option<String>,
}

/// Where a target comes from, and so what it says about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Named on the command line: whoever did so means it for every value.
    CommandLine,
    /// A target of `.bulla.yaml`, meant for the values of its rule.
    Rule,
    /// The recovery key of `.bulla.yaml`, which values of all targets share.
    Recovery,
    /// A cluster that was asked: it knows all of its keys, and has nothing to do with values under others.
    Cluster,
}

impl Target {
    /// As a recipients file has it.
    #[must_use]
    pub fn from_file(name: &str, source: Source, file: RecipientsFile, context: Option<String>) -> Self {
        let newest = file.recipients.iter().map(|recipient| recipient.fingerprint().id());
        let known = newest.chain(file.old.iter().map(|old| old.fingerprint.id())).collect();
        let compromised = file.old.iter().filter(|old| old.state == OldKeyState::Compromised);
        let compromised = compromised.map(|old| (old.fingerprint.id(), old.since)).collect();
        Self { name: name.to_owned(), newest: file.recipients, known, source, compromised, context }
    }

    /// As a cluster publishes it.
    pub fn from_cluster(cluster: &Cluster, now: Timestamp) -> Result<Self, Error> {
        let (context, keys) = (&cluster.context, &cluster.sealing_keys()?);
        let newest = [Algorithm::Hybrid, Algorithm::X25519].into_iter().filter_map(|kind| newest_active(keys, kind, now));
        let id = |key: &SealingKey| key.published().map(|fingerprint| fingerprint.id());
        let compromised = |key: &SealingKey| Some((id(key)?, key.spec.compromised_at.as_ref()?.parse().ok()?));
        let newest: Vec<_> = newest.map(|key| key.recipient).collect();
        if newest.is_empty() {
            return Err(cluster.no_active_key());
        }
        Ok(Self {
            name: context.to_owned(),
            newest,
            known: keys.iter().filter_map(id).collect(),
            source: Source::Cluster,
            compromised: keys.iter().filter_map(compromised).collect(),
            context: Some(context.to_owned()),
        })
    }

    /// Whether the value is under a key of this target, as far as is known.
    #[must_use]
    pub fn opens(&self, value: &SealedValue) -> bool {
        value.binding().keys.iter().any(|id| self.known.contains(id))
    }

    /// Whether the key is one of this target's.
    #[must_use]
    pub fn has(&self, id: &KeyId) -> bool {
        self.known.contains(id)
    }

    /// Whether that the value stands where it does says that this target may read it. Anybody who writes to the repository can put a value
    /// of one target where another's rule holds, so a rule alone says nothing about a value that none of its targets has.
    #[must_use]
    pub fn vouches_for(&self, value: &SealedValue) -> bool {
        match self.source {
            Source::CommandLine => true,
            Source::Rule | Source::Cluster => self.opens(value),
            Source::Recovery => false,
        }
    }

    /// Whether it can be said which keys the value should be under: of a value that is not for it, a cluster knows nothing.
    #[must_use]
    pub fn can_judge(&self, value: &SealedValue) -> bool {
        self.source != Source::Cluster || self.opens(value)
    }

    /// Whether a cluster that has the keys of this target can put the value under this one: it replaces the one that opens it, and adds none.
    #[must_use]
    pub fn can_move(&self, value: &SealedValue, key: &Recipient) -> bool {
        let is_old = |id: &&KeyId| self.known.contains(*id) && !self.newest.iter().any(|key| key.fingerprint().id() == **id);
        self.source != Source::Recovery
            && value.binding().keys.iter().any(|id| is_old(&id))
            && key.algorithm() == value.algorithm()
    }

    /// The keys that the value should be under and is not.
    pub fn missing<'a>(&'a self, value: &'a SealedValue) -> impl Iterator<Item = &'a Recipient> {
        let ids = &value.binding().keys;
        // What a file names is meant for every value; a cluster has keys of both kinds, and values that are not for it.
        let asked = self.source == Source::Cluster;
        let fits = move |recipient: &&Recipient| !asked || (self.opens(value) && recipient.algorithm() == value.algorithm());
        self.newest.iter().filter(fits).filter(|recipient| !ids.contains(&recipient.fingerprint().id()))
    }
}

#[cfg(test)]
mod tests {
    use bulla_shared::age::Identity;
    use bulla_shared::binding::Scope;
    use bulla_shared::recipients::OldKey;
    use bulla_shared::sealed::Recipients;

    use super::*;

    fn value(recipient: &Recipient) -> SealedValue {
        SealedValue::seal(b"", Scope::Cluster, &Recipients::new([recipient.clone()]).unwrap(), Timestamp::now(), None).unwrap()
    }

    #[test]
    fn a_cluster_judges_no_value_of_others() {
        let [own, other] = std::array::from_fn(|_| Identity::generate(Algorithm::X25519).recipient().clone());
        let file = || RecipientsFile { recipients: vec![own.clone()], old: Vec::new() };
        let cluster = Target::from_file("prod", Source::Cluster, file(), None);
        assert!(cluster.can_judge(&value(&own)) && !cluster.can_judge(&value(&other)));
        assert_eq!(cluster.missing(&value(&other)).count(), 0);
        let target = Target::from_file("prod", Source::Rule, file(), None);
        assert!(target.can_judge(&value(&other)));
        assert_eq!(target.missing(&value(&other)).count(), 1);
    }

    #[test]
    fn a_cluster_replaces_its_older_keys_and_adds_none() {
        let [newest, second, old] = std::array::from_fn(|_| Identity::generate(Algorithm::X25519).recipient().clone());
        let target = |source| {
            let since = "2026-11-23T06:50:00Z".parse().unwrap();
            let old = OldKey { fingerprint: old.fingerprint(), state: OldKeyState::DecryptOnly, since };
            Target::from_file(
                "prod",
                source,
                RecipientsFile { recipients: vec![newest.clone(), second.clone()], old: vec![old] },
                None,
            )
        };
        assert!(target(Source::Rule).can_move(&value(&old), &newest));
        assert!(!target(Source::Rule).can_move(&value(&second), &newest), "both are asked for");
        assert!(!target(Source::Recovery).can_move(&value(&old), &newest), "a recovery key has no cluster");
    }
}
