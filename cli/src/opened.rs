//! A SealedSecret opened offline, as the controller would open it, and why not in words for people.

use bulla_keys::KeyRing;
use bulla_shared::convert::PlainSecret;
use bulla_shared::names::{Namespace, ObjectName};
use bulla_shared::opening::{AllowedTypes, ItemError, ItemReport, Opened, Refusal, open};
use bulla_shared::resources::sealed_secret::SealedSecret;
use bulla_shared::sealed::SealedError;

use crate::error::{Error, Kind};
use crate::files::Input;
use crate::manifest::sealed::SealedDocument;

/// Opens all of it at this place, or nothing.
pub fn open_at(
    input: &Input,
    document: &SealedDocument,
    namespace: &Namespace,
    name: &ObjectName,
    keys: &KeyRing,
) -> Result<PlainSecret, Error> {
    let SealedDocument { place, sealed } = document;
    let types = AllowedTypes::with(type_of(sealed));
    let opening = open(namespace, name, &sealed.spec, keys, &types);
    opening.secret.map(Opened::render).map_err(|refusal| {
        let mut error = Error::new(Kind::Keys, format!("cannot unseal {}", input.name())).cause(format!("{place}: {refusal}"));
        for item in &opening.items {
            if let Err(cause) = &item.result {
                error = error.cause(format!("item {}: {cause}", item.name));
            }
        }
        error.maybe_hint(match refusal {
            Refusal::KeyMissing { .. } => {
                Some("give the identity file of that key with -i; bulla keygen -y FILE prints whose it is")
            }
            Refusal::Items { .. } if moved(&opening.items) => {
                Some("a value opens only under the namespace, name and item that it was sealed for: see bulla inspect")
            }
            Refusal::Items { .. } => Some("take the value from an earlier commit, or seal it again"),
            Refusal::Spec(_) => Some("change the manifest, not the values; the controller refuses it for the same reason"),
            _ => None,
        })
    })
}

/// Whether some value is whole but stands in the wrong place.
fn moved(items: &[ItemReport]) -> bool {
    items.iter().any(|item| matches!(item.result, Err(ItemError::Sealed(SealedError::Scope(_)))))
}

/// Offline, whoever holds the key decides: any type but those that mint.
fn type_of(sealed: &SealedSecret) -> Option<String> {
    sealed.spec.template.as_ref()?.type_.clone()
}
