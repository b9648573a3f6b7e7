//! Where opened values come from. Whoever uses them knows this interface and nothing else of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bulla_keys::KeyRing;
use bulla_shared::SecretBytes;
use bulla_shared::names::{ItemName, Namespace, ObjectName};

use crate::error::{Error, Kind};
use crate::files::Input;
use crate::manifest::sealed::{SealedDocument, read_sealed};
use crate::opened::open_at;

/// Opened values, by item.
pub type Values = BTreeMap<ItemName, SecretBytes>;

/// A place that has the values of one object.
pub trait Source {
    /// Gets all of them, or none.
    fn open(&self) -> Result<Values, Error>;
}

/// A sealed file and the keys that open it.
#[derive(Debug)]
pub struct SealedFileSource<'k> {
    /// The namespace that the values have to be for.
    pub namespace: Namespace,
    /// The name that they have to be for.
    pub name: ObjectName,
    /// The manifest.
    pub file: PathBuf,
    /// The keys.
    pub keys: &'k KeyRing,
}

impl Source for SealedFileSource<'_> {
    /// Opens the one SealedSecret of this namespace and name. One without a namespace may be it: what its values are bound to decides.
    fn open(&self) -> Result<Values, Error> {
        let input = Input::from_path(&self.file);
        let found = read_sealed(&input)?;
        let is_ours = |document: &&SealedDocument| {
            let metadata = &document.sealed.metadata;
            metadata.name.as_deref() == Some(self.name.as_str())
                && metadata.namespace.as_deref().is_none_or(|namespace| namespace == self.namespace.as_str())
        };
        let mut ours = found.iter().filter(is_ours);
        let failed = |cause: &str| Error::new(Kind::Usage, format!("cannot unseal {}", input.name())).cause(cause);
        let wanted = format!("{}/{}", self.namespace, self.name);
        match (ours.next(), ours.next()) {
            (Some(document), None) => {
                open_at(&input, document, &self.namespace, &self.name, self.keys).map(|secret| secret.items)
            }
            (None, _) => {
                let others = found.iter().map(|document| {
                    let metadata = &document.sealed.metadata;
                    format!(
                        "{}/{}",
                        metadata.namespace.as_deref().unwrap_or("(no namespace)"),
                        metadata.name.as_deref().unwrap_or_default()
                    )
                });
                let others = others.take(5).collect::<Vec<_>>().join(", ");
                let hint =
                    if others.is_empty() { "bulla seal makes one of a Secret".to_owned() } else { format!("it has: {others}") };
                Err(failed(&format!("there is no SealedSecret {wanted} in it")).hint(hint))
            }
            _ => Err(failed(&format!("there are several SealedSecrets {wanted} in it")).hint("give a file with one")),
        }
    }
}
