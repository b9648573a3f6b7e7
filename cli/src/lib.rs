//! The `bulla` command.
//!
//! One file per command in [`commands`]; `exec` has rooms of its own: [`source`], [`exec`], [`redact`], [`masks`]. What they share: [`manifest`] reads and splices YAML, [`plain`] turns a Secret's manifest into
//! values, [`keys`] reads recipients and identities, [`passphrase`] asks for what must not be shown, [`config`] finds the rule for a file,
//! [`cluster`] asks the API server, [`opened`] opens, [`sealed_file`] edits values in place, [`editor`] shows a text to its user, [`target`] says
//! which keys values should be under, [`json`], [`yaml`] and [`diff`] write, [`check`] finds what is wrong and [`report`] says it, [`walk`] and
//! [`files`] find, read and write, [`signals`] are heard by whoever has plaintext to take away, [`error`] is how it ends when it goes wrong.

pub mod check;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod diff;
pub mod editor;
pub mod error;
#[cfg(unix)]
pub mod exec;
pub mod files;
pub mod json;
pub mod keys;
pub mod manifest;
#[cfg(unix)]
pub mod masks;
pub mod opened;
pub mod passphrase;
pub mod plain;
pub mod redact;
pub mod report;
pub mod sealed_file;
#[cfg(unix)]
pub mod signals;
pub mod source;
pub mod target;
pub mod walk;
pub mod yaml;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

/// Runs the command line `args`, the program's name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = commands::answer(&args) {
        return code;
    }
    let arguments = match commands::Cli::try_parse_from(&args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, with code 0.
            let plain = error.to_string();
            if error::without_identities(&plain) == plain {
                let _ = error.print();
            } else {
                plain.lines().for_each(error::note);
            }
            return match u8::try_from(error.exit_code()).unwrap_or(2) {
                0 => ExitCode::SUCCESS,
                _ if args.get(1).is_some_and(|command| command == "exec") => ExitCode::from(error::Kind::NotStarted as u8),
                code => ExitCode::from(code),
            };
        }
    };
    match commands::run(&arguments.command) {
        Ok(code) => code,
        Err(error) => error.report(),
    }
}
