//! `bulla set`: items of a sealed file changed or added with public keys only. Nobody needs to be able to read the others.

use super::items::ValueArgs;
use super::sealed_object::{ObjectArgs, known};
use super::sealing::SealingArgs;
use crate::error::{Error, Kind};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bulla set db.yaml password                      asks for the value, without showing it\n  \
    openssl rand -hex 24 | bulla set --trim db.yaml password\n  \
    bulla set db.yaml --from-file tls.crt=server.crt --from-file tls.key=server.key\n\n\
    A value never stands on the command line. Standard input and files are taken byte for byte. An item that is there keeps its scope, \
    a new one has that of the others. Without flags the recipients are those of the rule for the file, else the known ones that its \
    values are under.")]
pub struct Args {
    #[command(flatten)]
    object: ObjectArgs,
    #[command(flatten)]
    values: ValueArgs,
    #[command(flatten)]
    sealing: SealingArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    if !args.values.is_given() {
        return Err(Error::new(Kind::Usage, "no item is named").hint("name one: bulla set FILE ITEM, or --from-file ITEM=FILE"));
    }
    let file = args.object.read()?;
    let object = args.object.choose(&file)?;
    let sealing = args.sealing.read()?.of(Some(&args.object.file), |config| known(config, &object))?;
    let values = args.values.read()?;
    let changes = values.into_iter().map(|(item, value)| args.object.seal(&object, &sealing, item, &value));
    let edited = file.edited(object[0], &changes.collect::<Result<Vec<_>, _>>()?)?;
    sealing.objections.check(file.text(), &edited)?;
    args.object.finish(&file, &edited)
}
