//! `bulla git`: what makes Git treat sealed files well: a hook, a diff by items, a merge by items. `git` itself is asked where its files are.

mod install;
mod merge;
mod textconv;

use std::path::Path;
use std::process::{Command, Stdio};

use clap::Subcommand;

pub(super) use install::{Hook, hook, install};

use crate::error::{Error, Kind};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: GitCommand,
}

#[derive(Debug, Subcommand)]
enum GitCommand {
    /// Set up this repository: pre-commit hook, diff and merge of sealed files
    Install(install::Args),
    /// Print a sealed file with a description in the place of each value (for git diff)
    Textconv(textconv::Args),
    /// Merge sealed files item by item (for git merge)
    Merge(merge::Args),
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    match &args.command {
        GitCommand::Install(args) => install::run(args),
        GitCommand::Textconv(args) => textconv::run(args),
        GitCommand::Merge(args) => merge::run(args),
    }
}

/// `git` in a folder that may be anybody's: a repository within it, as a bare one in a few files, must not have its configuration run commands,
/// and no object is fetched for a look.
pub(super) fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.args(["-c", "safe.bareRepository=explicit", "-C"]).arg(folder);
    git.env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none").stdin(Stdio::null());
    git
}

/// What `git` answers, without the line break at its end; none if it fails.
pub(super) fn ask(folder: &Path, args: &[&str]) -> Result<Option<String>, Error> {
    let output = git(folder).args(args).stderr(Stdio::null()).output().map_err(|error| {
        Error::new(Kind::Io, "cannot run git").cause(error).hint("install git, or do without: the files themselves need none")
    })?;
    let text = String::from_utf8_lossy(&output.stdout).trim_end_matches(['\r', '\n']).to_owned();
    Ok(output.status.success().then_some(text))
}
