//! Values as environment variables of the command.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::selection::Chosen;
use crate::error::{Error, Kind};

/// The longest `NAME=value` that Linux takes, with the NUL at its end (`MAX_ARG_STRLEN`).
const LONGEST: usize = 128 * 1024;

/// What to do with a value that no variable can hold.
const AS_FILES: &str = "hand it over as a file: --as-files";

/// The value as a variable has it.
pub fn value(chosen: &Chosen) -> Result<&OsStr, Error> {
    let bytes = chosen.value.expose();
    let failed = || Error::new(Kind::Usage, format!("{} cannot be an environment variable", chosen.label)).hint(AS_FILES);
    if bytes.contains(&0) {
        return Err(failed().cause("it has a NUL byte"));
    }
    if chosen.variable.as_str().len() + bytes.len() + 2 > LONGEST {
        return Err(failed().cause("it is longer than 128 KiB"));
    }
    Ok(OsStr::from_bytes(bytes))
}
