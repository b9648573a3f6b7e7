//! Values of flags that several commands have.

use bulla_shared::age::Algorithm;
use bulla_shared::binding::ScopeKind;
use bulla_shared::resources::sealing_key::KeyAlgorithm;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

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

/// What a value is bound to.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum Scope {
    /// Namespace, name and item
    Strict,
    /// Only the namespace
    Namespace,
    /// Nothing: opens anywhere in a cluster that has the key
    Cluster,
}

impl From<Scope> for ScopeKind {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Strict => Self::Strict,
            Scope::Namespace => Self::Namespace,
            Scope::Cluster => Self::Cluster,
        }
    }
}

/// The day by which a value should be replaced.
pub(super) fn due(now: Timestamp, days: i32) -> Date {
    now.to_zoned(TimeZone::UTC).date().saturating_add(days.days())
}
