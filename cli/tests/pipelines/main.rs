//! The example pipelines: every script in them runs as its host would run it, and every file is what its host takes.
//!
//! [`pre_commit`] runs the hook that repositories of others name. [`scripts`] takes the scripts out of the files, [`emulator`] answers for the download, the code host and the cluster, [`repository`] is what they
//! work on. What a host does between steps is done here, by its documentation.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as the test does")]
#![cfg(unix)]

mod azure;
mod emulator;
mod github;
mod gitlab;
mod jenkins;
mod pre_commit;
mod repository;
mod schemas;
mod scripts;
