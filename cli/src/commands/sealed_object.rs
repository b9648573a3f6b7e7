//! The one SealedSecret that `set`, `unset` and `edit` work on: which it is, where it stands, how a value of it is sealed.

use std::path::PathBuf;

use bulla_shared::SecretBytes;
use bulla_shared::age::Recipient;
use bulla_shared::binding::{KeyId, Scope, ScopeKind};
use bulla_shared::names::{ItemName, Namespace, ObjectName, Place};
use bulla_shared::sealed::SealedValue;

use super::completions;
use super::sealing::Sealing;
use crate::config::Config;
use crate::error::{Error, Kind};
use crate::sealed_file::{Change, Found, SealedFile};

/// Flags that say which it is.
#[derive(Debug, clap::Args)]
pub(super) struct ObjectArgs {
    /// File with the SealedSecret
    pub(super) file: PathBuf,
    /// Name of the SealedSecret, if there are several in the file
    #[arg(long, add = completions::objects())]
    name: Option<String>,
    /// Namespace of the SealedSecret, if there are several or it names none
    #[arg(short, long)]
    namespace: Option<Namespace>,
    /// Print what would change instead of writing it
    #[arg(long)]
    dry_run: bool,
}

impl ObjectArgs {
    pub(super) fn read(&self) -> Result<SealedFile, Error> {
        SealedFile::read(&self.file)?.ok_or_else(|| {
            Error::new(Kind::Usage, format!("there is no SealedSecret (bulla.dev) with values in {}", self.file.display()))
                .hint("bulla seal makes one of a Secret, bulla create one of values")
        })
    }

    /// The values of the object that is meant: one at least.
    pub(super) fn choose<'f>(&self, file: &'f SealedFile) -> Result<Vec<&'f Found>, Error> {
        file.choose(self.namespace.as_ref(), self.name.as_deref())
    }

    /// Writes the new text, or shows it.
    pub(super) fn finish(&self, file: &SealedFile, edited: &str) -> Result<(), Error> {
        file.finish(edited, self.dry_run)
    }

    /// A new value, sealed for where it will stand. An item that is there keeps its scope, a new one has the scope of all others.
    pub(super) fn seal(
        &self,
        object: &[&Found],
        sealing: &Sealing,
        item: ItemName,
        value: &SecretBytes,
    ) -> Result<Change, Error> {
        let there = object.iter().find(|found| found.item == item.as_str());
        let kinds = there.map_or(object, std::slice::from_ref).iter().map(|found| found.value.binding().scope.kind());
        let kind = sealing.scope.or_else(|| common(kinds)).ok_or_else(|| {
            Error::new(Kind::Usage, format!("the items of {} have different scopes", object[0].name))
                .hint("say with --scope what the new one is bound to: strict, if nothing speaks against it")
        })?;
        let scope = self.scope(object, sealing, kind, &item)?;
        let sealed = SealedValue::seal(value.expose(), scope, &sealing.recipients, sealing.now, sealing.rotate_by);
        let sealed = sealed.map_err(|error| {
            Error::new(Kind::Usage, format!("cannot seal item {item}")).cause(error).hint("split it, or keep it elsewhere")
        })?;
        Ok(Change::Set(item, Box::new(sealed)))
    }

    fn scope(&self, object: &[&Found], sealing: &Sealing, kind: ScopeKind, item: &ItemName) -> Result<Scope, Error> {
        if kind == ScopeKind::Cluster {
            return Ok(Scope::Cluster);
        }
        let failed = || Error::new(Kind::Usage, format!("cannot seal for {} in {}", object[0].name, self.file.display()));
        let namespace = self.place_of(object, sealing.rule.namespace.as_ref()).ok_or_else(|| {
            failed()
                .cause("it has no valid metadata.namespace, and a value of this scope is bound to it")
                .hint("add it, or give -n NAMESPACE")
        })?;
        let name: ObjectName = object[0]
            .name
            .parse()
            .map_err(|error| failed().cause(error).hint("values are bound to metadata.name; correct it"))?;
        Ok(kind.at(&Place { namespace, name, item: item.clone() }))
    }

    /// The namespace that the values are for: that of the manifest, of the command line, of the rule, or the one that all others are bound to.
    pub(super) fn place_of(&self, object: &[&Found], of_rule: Option<&Namespace>) -> Option<Namespace> {
        if let Some(own) = &object[0].namespace {
            return own.parse().ok();
        }
        let bound = object.iter().filter_map(|found| match &found.value.binding().scope {
            Scope::Strict(place) => Some(place.namespace.clone()),
            Scope::Namespace(namespace) => Some(namespace.clone()),
            Scope::Cluster => None,
        });
        self.namespace.clone().or_else(|| of_rule.cloned()).or_else(|| common(bound))
    }
}

/// What all have in common.
fn common<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// The recipients that the object's first value is under, if a target or the recovery key of the configuration has every one of them.
pub(super) fn known(config: Option<&Config>, object: &[&Found]) -> Result<Option<Vec<Recipient>>, Error> {
    let Some(config) = config else { return Ok(None) };
    let mut known: Vec<Recipient> = config.recovery()?.unwrap_or_default().recipients;
    for name in config.targets() {
        known.extend(config.target(name)?.0.unwrap_or_default().recipients);
    }
    let named: &[KeyId] = &object[0].value.binding().keys;
    Ok(named.iter().map(|id| known.iter().find(|key| key.fingerprint().id() == *id).cloned()).collect())
}
