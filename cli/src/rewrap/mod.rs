//! Sealed values of whole trees, moved to other keys in place.
//!
//! [`mod@file`] finds the values of a file and puts others in their place; [`target`] says which keys a value should be under. What moves
//! them, a cluster or an identity, is up to the command.

pub mod file;
pub mod target;
