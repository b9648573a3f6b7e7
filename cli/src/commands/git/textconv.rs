//! `bulla git textconv`: a file as `git diff` should see it: sealed values as what they say about themselves. No key is needed.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::error::{Error, Kind};
use crate::files::{self, Access, Input};
use crate::sealed_file::SealedFile;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let sealed = Input::File(args.file.clone()).read("a file").and_then(|bytes| SealedFile::of(&args.file, &bytes));
    match sealed {
        Ok(Some(file)) => files::write(None, file.described().as_bytes(), Access::Default),
        // A diff must not fail: what cannot be read is shown as it is, whatever its length.
        _ => {
            File::open(&args.file).and_then(|mut file| io::copy(&mut file, &mut io::stdout().lock())).map(drop).map_err(|error| {
                Error::new(Kind::Io, format!("cannot show {}", args.file.display()))
                    .cause(error)
                    .hint("check that it is a file that can be read")
            })
        }
    }
}
