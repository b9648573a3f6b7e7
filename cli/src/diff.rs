//! `--dry-run`: what would change in a file, as a unified diff.

use std::path::Path;

use crate::error::{Error, printable};
use crate::files::{self, Access};

/// Prints the diff; nothing if there is none. The texts hold no plaintext.
pub fn print(path: &Path, before: &str, after: &str) -> Result<(), Error> {
    let name = printable(&path.display().to_string());
    let diff = similar::TextDiff::from_lines(before, after);
    let text = diff.unified_diff().header(&name, &name).to_string();
    files::write(None, text.as_bytes(), Access::Default)
}
