//! `bulla man`: the man pages, made of the same definitions as the help.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

use crate::error::{Error, Kind};
use crate::files::{self, Access};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write all pages into; without it the main page is printed
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    // `bulla help` has no page of its own.
    let mut command = super::Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(folder) = &args.output else {
        return files::write(None, &page(command)?, Access::Default);
    };
    write_pages(folder, "bulla", command)
}

/// The page of a command, and those of its subcommands.
fn write_pages(folder: &Path, name: &str, command: clap::Command) -> Result<(), Error> {
    for sub in command.get_subcommands() {
        write_pages(folder, &format!("{name}-{}", sub.get_name()), sub.clone())?;
    }
    files::replace(&folder.join(format!("{name}.1")), &page(command.name(name.to_owned()))?, Access::Default)
}

fn page(command: clap::Command) -> Result<Vec<u8>, Error> {
    let mut page = Vec::new();
    // Without a date, so that the same sources give the same page.
    let rendered = clap_mangen::Man::new(command).source(concat!("bulla ", env!("CARGO_PKG_VERSION"))).render(&mut page);
    rendered.map(|()| page).map_err(|error| Error::new(Kind::Bug, "cannot write a man page").cause(error))
}
