//! The command as people run it: one snapshot per documented command and per refusal, in `snapshots/`.
//!
//! [`harness`] runs it in an empty environment and checks after every run what holds for all of them; the other modules have the cases.
//! `INSTA_UPDATE=always cargo test -p bulla-cli --test cli` writes the snapshots again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as the test does")]

mod bech32;
mod canary;
mod harness;
mod redact;

mod check;
mod cluster;
mod completions;
mod config;
mod create;
mod edit;
mod encodings;
mod exec;
mod exec_child;
mod git;
mod help;
mod init;
mod inspect;
mod interrupted;
mod keygen;
mod keys;
mod manifests;
mod newcomer;
mod output;
mod pages;
mod properties;
mod pty;
mod recipients;
mod replaced;
mod rewrap;
mod seal;
mod seal_again;
mod set;
mod terminal;
mod unseal;
mod unset;
