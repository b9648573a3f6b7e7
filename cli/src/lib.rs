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
    or_bug(|| run(&args))
}

/// Runs `work`. What a panic says may quote a value, or be a command to a pipeline: only its place is printed.
fn or_bug(work: impl FnOnce() -> ExitCode) -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error::note(format!("error: this is a bug, at {place}"));
    }));
    // Unwinding, so that what holds plaintext is wiped, and files of ours are taken away.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        error::note("hint: please report it, without the secret values");
        ExitCode::from(error::Kind::Bug as u8)
    })
}

fn run(args: &[OsString]) -> ExitCode {
    if let Some(code) = commands::answer(args) {
        return code;
    }
    let arguments = match commands::Cli::try_parse_from(args) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// In a process of its own: the hook is for all threads of one.
    #[test]
    fn a_bug_says_where_it_is_and_not_what_it_met() {
        if std::env::var_os("BULLA_TEST_BUG").is_some() {
            let code = or_bug(|| {
                std::thread::spawn(|| panic!("\n##vso[hunter2]"))
                    .join()
                    .map_or_else(|_| panic!("hunter2"), |()| ExitCode::SUCCESS)
            });
            std::process::exit(i32::from(code == ExitCode::from(70)));
        }
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "tests::a_bug_says_where_it_is_and_not_what_it_met", "--nocapture"]).env("BULLA_TEST_BUG", "1");
        let output = again.output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("error: this is a bug, at cli/src/lib.rs:") && !said.contains("hunter2"), "{said}");
    }
}
