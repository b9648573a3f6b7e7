//! `bulla unset`: items taken out of a sealed file, without any key.

use super::completions;
use super::items::name;
use super::objections::Objections;
use super::sealed_object::ObjectArgs;
use crate::config::Configs;
use crate::error::Error;
use crate::sealed_file::Change;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bulla unset db.yaml old-password\n\n\
    Whoever has the key and the history of the repository can still open the value: make it useless where it was used.")]
pub struct Args {
    #[command(flatten)]
    object: ObjectArgs,
    /// Items to take out
    #[arg(value_name = "ITEM", required = true, add = completions::items())]
    items: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let file = args.object.read()?;
    let object = args.object.choose(&file)?;
    let changes = args.items.iter().map(|item| Ok(Change::Unset(name(item)?)));
    let edited = file.edited(object[0], &changes.collect::<Result<Vec<_>, Error>>()?)?;
    let config = Configs::default().for_file(Some(&args.object.file)).ok().flatten();
    Objections::new(Some(&args.object.file), config).check(file.text(), &edited)?;
    args.object.finish(&file, &edited)
}
