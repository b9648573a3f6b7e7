//! Values of flags that several commands have.

use bulla_shared::age::Algorithm;
use bulla_shared::resources::sealing_key::KeyAlgorithm;

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// Kind of a key.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum KeyKind {
    /// ML-KEM-768 with X25519, safe against a later quantum computer
    Hybrid,
    /// X25519 alone, shorter and known to every age tool
    X25519,
}

impl From<KeyKind> for KeyAlgorithm {
    fn from(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Hybrid => Self::Hybrid,
            KeyKind::X25519 => Self::X25519,
        }
    }
}

impl From<KeyKind> for Algorithm {
    fn from(kind: KeyKind) -> Self {
        KeyAlgorithm::from(kind).into()
    }
}
