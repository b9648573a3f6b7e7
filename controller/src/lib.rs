//! `bulla-controller`: opens `SealedSecret`s into Secrets.
//!
//! The way of an object: [`watch`] feeds [`index`] and [`queue`]; [`reconcile`] takes a key from the queue, asks [`plan`] (pure) what
//! to do, and does it through [`api`]. [`sealing_keys`] does the same for keys, and fills the ring that everything opens with.
//! [`rewrap`] answers requests to move values to the newest key.
//!
//! Around it: [`installation`] says what is missing; [`lease`] elects the replica that writes and [`client`] lets no other write;
//! [`audit`] records, [`metrics`] counts, [`http`] tells.

pub mod api;
pub mod audit;
pub mod backoff;
pub mod client;
pub mod http;
pub mod index;
pub mod installation;
pub mod lease;
pub mod metrics;
pub mod plan;
pub mod queue;
pub mod reconcile;
pub mod repairs;
pub mod rewrap;
pub mod sealing_keys;
pub mod status;
pub mod watch;

mod options;
mod run;

pub use options::Options;
pub use run::main;
