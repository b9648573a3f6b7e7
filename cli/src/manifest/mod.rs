//! Manifest streams: YAML or JSON read into documents with byte spans, and edited by splicing at those spans.
//!
//! The way of a file: [`decode()`] (bytes to text that every parser reads alike), [`parse()`] (text to trees), [`find_secrets`]
//! (trees to the mappings to replace), [`splice()`] (new text), [`verify_splice`] (the new text is what was meant).
//!
//! Nothing here knows how a Secret is sealed, reads a file or prints. Manifests may hold plaintext: the text and every
//! scalar are wiped when dropped, and no `Debug` and no error shows a value.

mod builder;
mod classify;
mod decode;
mod error;
mod layout;
mod node;
mod parse;
mod refuse;
mod scalar;
pub mod sealed;
mod splice;
mod verify;

#[cfg(test)]
mod tests;

pub use builder::gap as between_tokens;
pub use classify::{
    DocumentKind, Layout, SecretSpan, Secrets, check_faithful, find_ambiguous, find_foreign_sealed, find_sealed, find_secrets,
};
pub use decode::{LineEnding, Source, decode};
pub use error::{ManifestError, Place, Reason};
pub use layout::FlowLayout;
pub use node::{Document, Kind, Node, Style, Tag};
pub use parse::{parse, parse_part, parse_pieces};
pub use refuse::{check_editable, check_node};
pub use scalar::{Scalar, ScalarStyle, ScalarValue, is_plain_key};
pub use splice::{reindent, splice};
pub use verify::{Expected, verify_splice};

/// The longest manifest stream that is read, in bytes. An API server takes 1.5 MB an object, so this is many of them.
pub const MAX_BYTES: usize = 32 * 1024 * 1024;

/// The deepest nesting of mappings and sequences that is read. Resource definitions reach about half of it.
pub const MAX_DEPTH: usize = 64;

/// The most nodes (scalars, aliases, mappings, sequences) that a stream may hold.
pub const MAX_NODES: usize = 1_000_000;
