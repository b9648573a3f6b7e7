//! `bulla completions`: the script that a shell sources.

use clap::CommandFactory as _;

use crate::error::Error;
use crate::files::{self, Access};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "bulla", &mut script);
    files::write(None, &script, Access::Default)
}
