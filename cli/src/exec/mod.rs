//! A command with opened values: what `bulla exec` is made of.
//!
//! [`identity`] reads the private keys, [`selection`] decides which value gets which name, [`names`] which names are refused,
//! [`environment`] and [`files`] hand them over, [`child`] starts the command and waits for it, `pump` carries what it says through
//! the redactor.

pub mod child;
pub mod environment;
pub mod files;
pub mod identity;
pub mod names;
mod pump;
pub mod selection;
