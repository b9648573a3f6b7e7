//! `bulla keys verify-backup`: opens every sealed value with the keys of a backup, and throws away what comes out.

use std::path::PathBuf;

use bulla_keys::KeyRing;
use bulla_shared::sealed::SealedError;

use super::OpenArgs;
use crate::error::{Error, Kind, note, warn};
use crate::sealed_file::SealedFile;
use crate::walk;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The backup
    file: PathBuf,
    /// Manifests, or folders of them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    open: OpenArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let backup = args.open.open(&args.file)?;
    let keys = backup.len();
    let ring: KeyRing = backup.into_iter().map(|key| key.identity).collect();
    let (mut opened, mut failed) = (0, 0);
    for path in walk::manifests(&args.paths)? {
        let file = match SealedFile::read(&path) {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(error) => {
                warn(error.one_line());
                failed += 1;
                continue;
            }
        };
        for found in &file.values {
            // The names are part of what has to be right.
            let result = found.place().ok_or_else(|| "its names are not valid".to_owned());
            let result = result.and_then(|place| found.value.open(&place, &ring).map_err(|error: SealedError| error.to_string()));
            match result {
                Ok(_) => opened += 1,
                Err(error) => {
                    warn(format!("{}: {}: {error}", path.display(), found.label()));
                    failed += 1;
                }
            }
        }
    }
    note(format!("{opened} values open with the {keys} keys of the backup"));
    if failed > 0 {
        return Err(Error::new(Kind::Findings, format!("{failed} values or files do not open"))
            .cause("each is named above")
            .hint("make another backup, and check what is sealed to other keys: bulla inspect"));
    }
    if opened == 0 {
        return Err(
            Error::new(Kind::Usage, "there is no sealed value under these paths").hint("name the folder of the sealed files")
        );
    }
    Ok(())
}
