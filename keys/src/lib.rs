//! The life of a sealing key: the ring that opens, the Secret that stores, the rule that selects, the states and when they change, the
//! backup. No I/O.

pub mod backup;
pub mod ring;
pub mod rotation;
pub mod select;
pub mod stored;

pub use ring::KeyRing;
