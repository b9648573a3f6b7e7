//! age v1 files (<https://c2sp.org/age>): keys, header and payload, with every strictness of the specification.
//!
//! What a sealed value adds to an age file, and what it forbids, stands in [`crate::sealed`].

mod file;
mod file_key;
pub mod header;
mod hybrid;
mod keys;
mod passphrase;
pub mod payload;
mod primitives;
mod x25519;

pub use file::{AgeError, decrypt, decrypt_with_passphrase, encrypt, encrypt_with_passphrase};
pub use file_key::FileKey;
pub use keys::{Algorithm, Fingerprint, Identity, KeyError, Recipient, WrappedKey, parse_identity_file};

#[cfg(test)]
mod tests;
