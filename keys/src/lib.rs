//! The life of a sealing key: the ring that opens, the Secret that stores, the rule that selects. No I/O.

pub mod ring;
pub mod select;
pub mod stored;

pub use ring::KeyRing;
