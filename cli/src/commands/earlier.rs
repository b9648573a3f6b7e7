//! Ciphertext that `seal` keeps: a value that was sealed before, has not changed and stays under the same keys is not sealed again, so that
//! a diff shows only what is new.

use std::path::Path;

use bulla_keys::KeyRing;
use bulla_shared::SecretBytes;
use bulla_shared::convert::{PlainSecret, SealOptions};
use bulla_shared::names::{ItemName, Place};
use bulla_shared::resources::sealed_secret::SealedSecret;
use bulla_shared::sealed::{SealError, SealedValue};

use super::git::git;
use crate::cluster::Cluster;
use crate::cluster::live::Live;
use crate::error::{Error, Kind};
use crate::sealed_file::{Found, SealedFile};

/// How it is known that a value has not changed.
pub(super) struct Witness {
    /// Private keys that open the earlier value.
    pub(super) ring: KeyRing,
    /// A cluster that has it in a Secret.
    pub(super) cluster: Option<Cluster>,
}

/// The sealed file that is about to be replaced.
pub(super) struct Earlier<'w> {
    file: Option<SealedFile>,
    witness: &'w Witness,
}

impl<'w> Earlier<'w> {
    /// What stands in the file that will be written; of one that is sealed in place, what Git has committed.
    pub(super) fn read(output: Option<&Path>, in_place: Option<&Path>, witness: &'w Witness) -> Self {
        // What cannot be read there is replaced all the same.
        let file = match (output, in_place) {
            (Some(path), _) if path.is_file() => SealedFile::read(path).ok().flatten(),
            (_, Some(path)) => committed(path).and_then(|bytes| SealedFile::of(path, &bytes).ok().flatten()),
            _ => None,
        };
        Self { file, witness }
    }

    /// Puts earlier ciphertext in the place of new where it holds the same; an item keeps its scope unless another one `is_asked` for.
    pub(super) fn keep(
        &self,
        plain: &PlainSecret,
        options: &SealOptions<'_>,
        is_asked: bool,
        sealed: &mut SealedSecret,
    ) -> Result<(), Error> {
        let (Some(file), Some(namespace)) = (&self.file, &plain.namespace) else { return Ok(()) };
        let mut live = None;
        for (item, value) in &plain.items {
            let same = |found: &&Found| {
                found.namespace.as_deref() == Some(namespace.as_str())
                    && found.name == plain.name.as_str()
                    && found.item == item.as_str()
            };
            let Some(found) = file.values.iter().find(same) else { continue };
            let place = Place { namespace: namespace.clone(), name: plain.name.clone(), item: item.clone() };
            let kind = if is_asked { options.scope } else { found.value.binding().scope.kind() };
            let new = if kind.at(&place) == found.value.binding().scope
                && is_under(&found.value, options)
                && (self.opens_to(found, &place, value) || self.is_live(&mut live, &place, &found.value, value)?)
            {
                found.value.clone()
            } else if kind == options.scope {
                continue;
            } else {
                let new = SealedValue::seal(value.expose(), kind.at(&place), options.recipients, options.now, options.rotate_by);
                new.map_err(|error| too_long(item, &error))?
            };
            sealed.spec.encrypted_data.insert(item.to_string(), new.to_string());
        }
        Ok(())
    }

    fn opens_to(&self, found: &Found, place: &Place, value: &SecretBytes) -> bool {
        found.value.open(place, &self.witness.ring).is_ok_and(|opened| opened.plaintext.expose() == value.expose())
    }

    fn is_live(&self, live: &mut Option<Live>, place: &Place, sealed: &SealedValue, value: &SecretBytes) -> Result<bool, Error> {
        let Some(cluster) = &self.witness.cluster else { return Ok(false) };
        if live.is_none() {
            *live = Some(cluster.live(&place.namespace, &place.name)?);
        }
        Ok(live.as_ref().is_some_and(|live| live.holds(&place.item, sealed, value)))
    }
}

fn too_long(item: &ItemName, error: &SealError) -> Error {
    Error::new(Kind::Usage, format!("cannot seal item {item}")).cause(error).hint("split it, or keep it elsewhere")
}

/// Whether a value is under exactly the keys that it would be sealed to now.
fn is_under(value: &SealedValue, options: &SealOptions<'_>) -> bool {
    let keys = &value.binding().keys;
    let wanted: Vec<_> = options.recipients.iter().map(|recipient| recipient.fingerprint().id()).collect();
    wanted.len() == keys.len() && wanted.iter().all(|id| keys.contains(id))
}

/// The file as the last commit has it; none if there is no Git, no commit or no such file.
fn committed(path: &Path) -> Option<Vec<u8>> {
    let path = std::path::absolute(path).ok()?;
    let name = path.file_name()?.to_str()?;
    let output = git(path.parent()?).args(["cat-file", "blob", &format!("HEAD:./{name}")]).output();
    output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
}
