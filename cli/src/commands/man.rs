//! `bulla man`: the man pages, made of the same definitions as the help.

use std::path::PathBuf;

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
    let pages = command.get_subcommands().cloned().collect::<Vec<_>>();
    files::replace(&folder.join("bulla.1"), &page(command)?, Access::Default)?;
    for sub in pages {
        let name = format!("bulla-{}", sub.get_name());
        let path = folder.join(format!("{name}.1"));
        files::replace(&path, &page(sub.name(name))?, Access::Default)?;
    }
    Ok(())
}

fn page(command: clap::Command) -> Result<Vec<u8>, Error> {
    let mut page = Vec::new();
    // Without a date, so that the same sources give the same page.
    let rendered = clap_mangen::Man::new(command).source(concat!("bulla ", env!("CARGO_PKG_VERSION"))).render(&mut page);
    rendered.map(|()| page).map_err(|error| Error::new(Kind::Bug, "cannot write a man page").cause(error))
}
