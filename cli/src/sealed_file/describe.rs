//! A sealed file as a diff should show it: in the place of each value what it says about itself.

use std::fmt::Write as _;

use bulla_shared::binding::{Scope, time_text};
use bulla_shared::sealed::SealedValue;
use zeroize::Zeroizing;

use super::SealedFile;
use crate::manifest::splice;

impl SealedFile {
    /// The text with a description in the place of each value.
    #[must_use]
    pub fn described(&self) -> Zeroizing<String> {
        let values = self.values.iter().map(|found| (self.span(found), describe(&found.value)));
        splice(self.text(), &values.collect::<Vec<_>>())
    }
}

/// One line about a value: it differs whenever the ciphertext does.
fn describe(value: &SealedValue) -> String {
    let binding = value.binding();
    let mut line = format!("(sealed {}: {}", time_text(&binding.sealed), binding.scope.kind());
    // Writing to memory does not fail.
    let _ = match &binding.scope {
        Scope::Strict(place) => write!(line, " {}/{}/{}", place.namespace, place.name, place.item),
        Scope::Namespace(namespace) => write!(line, " {namespace}"),
        Scope::Cluster => Ok(()),
    };
    let _ = write!(line, ", {} bytes, keys", value.plaintext_len());
    for key in &binding.keys {
        let _ = write!(line, " {key}");
    }
    if let Some(date) = binding.rotate_by {
        let _ = write!(line, ", rotate by {date}");
    }
    let _ = write!(line, ", ciphertext {})", value.digest());
    line
}
