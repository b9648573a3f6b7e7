//! `bulla git textconv`: a file as `git diff` should see it: sealed values as what they say about themselves. No key is needed.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use bulla_shared::binding::{Scope, time_text};
use bulla_shared::sealed::SealedValue;

use crate::error::{Error, Kind};
use crate::files::{self, Access, Input};
use crate::manifest::splice;
use crate::sealed_file::SealedFile;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let sealed = Input::File(args.file.clone()).read("a file").and_then(|bytes| SealedFile::of(&args.file, &bytes));
    match sealed {
        Ok(Some(file)) => {
            let values = file.values.iter().map(|found| (file.span(found), describe(&found.value)));
            files::write(None, splice(file.text(), &values.collect::<Vec<_>>()).as_bytes(), Access::Default)
        }
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

/// One line about a value: it differs whenever the ciphertext does.
fn describe(value: &SealedValue) -> String {
    let binding = value.binding();
    let mut line = format!("(sealed {}: {}", time_text(&binding.sealed), binding.scope.kind());
    // Writing to memory does not fail.
    let _ = match &binding.scope {
        Scope::Strict(place) => write!(line, " {}/{}/{}", place.namespace, place.name, place.item),
        Scope::Namespace(namespace) => write!(line, " {namespace}"),
        Scope::Cluster => Ok(()),
    };
    let _ = write!(line, ", {} bytes, keys", value.plaintext_len());
    for key in &binding.keys {
        let _ = write!(line, " {key}");
    }
    if let Some(date) = binding.rotate_by {
        let _ = write!(line, ", rotate by {date}");
    }
    let _ = write!(line, ", ciphertext {})", value.digest());
    line
}
