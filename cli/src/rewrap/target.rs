//! Which keys a value should be under: a target is one place that opens values, and the keys that it has and had.

use std::collections::HashMap;

use bulla_keys::select::newest_active;
use bulla_shared::age::{Algorithm, Recipient};
use bulla_shared::binding::KeyId;
use bulla_shared::recipients::{OldKeyState, RecipientsFile};
use bulla_shared::resources::sealing_key::SealingKey;
use bulla_shared::sealed::SealedValue;
use jiff::Timestamp;

/// A place that opens values.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// How messages name it.
    pub name: String,
    /// The keys that values should be under.
    pub newest: Vec<Recipient>,
    /// All keys that it has or had; none if that is not known.
    pub known: Option<Vec<KeyId>>,
    /// Keys in other hands, and since when.
    pub compromised: HashMap<KeyId, Timestamp>,
    /// The cluster to ask; none if it has no name for us.
    pub context: Option<String>,
}

impl Target {
    /// As a committed recipients file has it.
    #[must_use]
    pub fn from_file(name: &str, file: RecipientsFile, context: Option<String>) -> Self {
        let compromised = file.old.iter().filter(|old| old.state == OldKeyState::Compromised);
        let compromised = compromised.map(|old| (old.fingerprint.id(), old.since)).collect();
        Self { name: name.to_owned(), newest: file.recipients, known: None, compromised, context }
    }

    /// As a cluster publishes it.
    #[must_use]
    pub fn from_cluster(context: &str, keys: &[SealingKey], now: Timestamp) -> Self {
        let newest = [Algorithm::Hybrid, Algorithm::X25519].into_iter().filter_map(|kind| newest_active(keys, kind, now));
        let status = |key: &SealingKey| key.status.as_ref()?.fingerprint.as_ref()?.parse().ok();
        let known = keys.iter().filter_map(status).map(|fingerprint: bulla_shared::age::Fingerprint| fingerprint.id());
        Self {
            name: context.to_owned(),
            newest: newest.map(|key| key.recipient).collect(),
            known: Some(known.collect()),
            compromised: HashMap::new(),
            context: Some(context.to_owned()),
        }
    }

    /// The keys of the value's kind that it should be under and is not. One that names no key of the target is not for it, if all of its
    /// keys are known.
    pub fn missing<'a>(&'a self, value: &'a SealedValue) -> impl Iterator<Item = &'a Recipient> {
        let ids = &value.binding().keys;
        let concerned = self.known.as_ref().is_none_or(|known| ids.iter().any(|id| known.contains(id)));
        // What a file names is meant for every value; a cluster has keys of both kinds.
        let fits = |recipient: &&Recipient| self.known.is_none() || recipient.algorithm() == value.algorithm();
        self.newest
            .iter()
            .filter(move |_| concerned)
            .filter(fits)
            .filter(|recipient| !ids.contains(&recipient.fingerprint().id()))
    }
}
