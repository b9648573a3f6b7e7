//! `bulla completions`: the script that a shell sources, and what it asks for from then on: names of items, objects, targets and rules.
//!
//! The script runs `bulla` with the words so far, and [`answer`] prints how the last one may go on. Names are read from the files at hand:
//! nothing is opened and no cluster is asked. Some shells put a candidate on the command line unquoted, so one with a character that a shell
//! may act on is left out: a name in a repository is anybody's.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::engine::{PathCompleter, ValueCompleter as _};
use clap_complete::env::Shells;
use clap_complete::{ArgValueCandidates, ArgValueCompleter, CompleteEnv, CompletionCandidate};

use crate::check::rule;
use crate::config::Config;
use crate::error::Error;
use crate::files::{self, Access};
use crate::sealed_file::{Found, SealedFile};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  source <(bulla completions bash)       in ~/.bashrc; for zsh in ~/.zshrc\n  \
    bulla completions fish | source        in ~/.config/fish/completions/bulla.fish\n\n\
    The script asks bulla itself at each completion, so it is sourced anew in each shell: one that was kept in a file may not fit a later version.")]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Variable by which the script says that it asks. One of our own: others have found other uses for `COMPLETE`.
const VARIABLE: &str = "BULLA_COMPLETE";

/// Most files that are looked at for names: whoever presses a key waits for it.
#[cfg(unix)]
const MAX_FILES: usize = 1000;

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell.to_string()).expect("both lists of shells are the same");
    shell.write_registration(VARIABLE, "bulla", "bulla", "bulla", &mut script).expect("writing to memory does not fail");
    files::write(None, &script, Access::Default)
}

/// Answers the script of a shell, if that is who asks: it puts the words behind `--`. What it cannot be told stays unsaid.
pub fn answer(args: &[OsString]) -> Option<ExitCode> {
    if args.get(1).is_none_or(|arg| arg != "--") {
        return None;
    }
    let here = std::env::current_dir().ok();
    match CompleteEnv::with_factory(command).var(VARIABLE).try_complete(args.iter().cloned(), here.as_deref()) {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// Our own command line, with paths that a shell takes as they are. For others bash falls back on its own completion, which quotes.
fn command() -> clap::Command {
    fn plain_paths(command: clap::Command) -> clap::Command {
        let arg = |arg: clap::Arg| {
            let is_path = arg.get_value_hint() == clap::ValueHint::AnyPath;
            if is_path { arg.add(ArgValueCompleter::new(paths)) } else { arg }
        };
        command.mut_args(arg).mut_subcommands(plain_paths)
    }
    plain_paths(super::Cli::command())
}

fn paths(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut paths = PathCompleter::any().complete(current);
    paths.retain(|path| path.get_value().to_str().is_some_and(is_plain));
    paths
}

/// Whether no shell sees more in it than a word.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/=@:+".contains(&byte))
}

/// Items of the sealed file that is named.
pub(super) fn items() -> ArgValueCandidates {
    ArgValueCandidates::new(|| of_file(|found| found.item.clone()))
}

/// Names of the SealedSecrets in the file that is named.
pub(super) fn objects() -> ArgValueCandidates {
    ArgValueCandidates::new(|| of_file(|found| found.name.clone()))
}

/// Targets of `.bulla.yaml`.
pub(super) fn targets() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let config = Config::here().ok().flatten();
        once(config.iter().flat_map(Config::targets).map(str::to_owned))
    })
}

/// Rules of `bulla check`.
pub(super) fn rules() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        rule::ALL.iter().map(|rule| CompletionCandidate::new(rule.id).help(Some(rule.title.into()))).collect()
    })
}

/// `NAMESPACE/NAME=FILE` of all below the working directory that Git does not ignore.
#[cfg(unix)]
pub(super) fn places() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let files = ignore::WalkBuilder::new(".").build().flatten().filter(|entry| {
            let ending = entry.path().extension().and_then(|ending| ending.to_str());
            matches!(ending, Some("yaml" | "yml" | "json")) && entry.file_type().is_some_and(|kind| kind.is_file())
        });
        let places = files.take(MAX_FILES).filter_map(|entry| sealed(entry.path())).flat_map(|file| {
            let path = file.path.strip_prefix(".").unwrap_or(&file.path).display().to_string();
            let place = |found: &Found| format!("{}/{}={path}", found.namespace.as_deref().unwrap_or("default"), found.name);
            file.values.iter().map(place).collect::<Vec<_>>()
        });
        once(places)
    })
}

fn of_file(name: impl Fn(&Found) -> String) -> Vec<CompletionCandidate> {
    // The words so far, behind the program's name; the first that is a sealed file is meant.
    let words = std::env::args_os().skip_while(|arg| arg != "--").skip(2);
    let file = words.map(PathBuf::from).filter(|path| path.is_file()).find_map(|path| sealed(&path));
    once(file.iter().flat_map(|file| &file.values).map(name))
}

fn sealed(path: &Path) -> Option<SealedFile> {
    SealedFile::read(path).ok().flatten()
}

/// Each name that a shell takes as it is, once, in the order in which they come.
fn once(names: impl Iterator<Item = String>) -> Vec<CompletionCandidate> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        if is_plain(&name) && !all.contains(&name) {
            all.push(name);
        }
    }
    all.into_iter().map(CompletionCandidate::new).collect()
}
