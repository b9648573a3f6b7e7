//! Items and their values as the command line names them. A value itself never stands there.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use bulla_shared::SecretBytes;
use bulla_shared::names::ItemName;
use zeroize::Zeroizing;

use super::completions;
use crate::error::{Error, Kind, warn};
use crate::files::Input;
use crate::passphrase::ask;

/// Where values come from.
#[derive(Debug, clap::Args)]
pub(super) struct ValueArgs {
    /// Items whose values are asked for on a terminal; one alone is read from standard input where that is no terminal
    #[arg(value_name = "ITEM", add = completions::items())]
    items: Vec<String>,
    /// Item whose value is the content of a file, - for standard input; may be repeated
    #[arg(long, value_name = "ITEM=FILE")]
    from_file: Vec<String>,
    /// File of lines ITEM=VALUE, as kubectl reads it: quotes and spaces after the = are part of the value
    #[arg(long, value_name = "FILE")]
    from_env_file: Vec<PathBuf>,
    /// Take line breaks off the end of values
    #[arg(long)]
    trim: bool,
    /// Take an empty value from the terminal or standard input
    #[arg(long)]
    allow_empty: bool,
}

impl ValueArgs {
    /// Whether any is named.
    pub(super) fn is_given(&self) -> bool {
        !(self.items.is_empty() && self.from_file.is_empty() && self.from_env_file.is_empty())
    }

    /// Reads them all, in the order of the command line, each name once.
    pub(super) fn read(&self) -> Result<Vec<(ItemName, SecretBytes)>, Error> {
        let names = self.items.iter().map(|text| name(text)).collect::<Result<Vec<_>, _>>()?;
        let mut files = Vec::new();
        for pair in &self.from_file {
            let hint = "--from-file ITEM=FILE, such as --from-file tls.key=server.key";
            let (item, path) =
                pair.split_once('=').ok_or_else(|| Error::new(Kind::Usage, "--from-file has no '='").hint(hint))?;
            files.push((name(item)?, Input::from_path(path.as_ref())));
        }
        let mut values = Vec::new();
        let terminal = std::io::stdin().is_terminal();
        if names.len() > 1 && !terminal {
            return Err(Error::new(Kind::Usage, "standard input is one value, and several items are named")
                .hint("set one at a time, or use --from-file ITEM=FILE or --from-env-file"));
        }
        for item in names {
            let value = if terminal {
                Zeroizing::new(ask(&format!("Value of {item}: "))?.as_bytes().to_vec())
            } else {
                self.ended(&item, Input::Stdin.read("the value")?)
            };
            self.not_empty(&item, &value)?;
            values.push((item, value.into()));
        }
        for (item, input) in files {
            let value = self.ended(&item, input.read("the value")?);
            if input == Input::Stdin {
                self.not_empty(&item, &value)?;
            }
            values.push((item, value.into()));
        }
        for path in &self.from_env_file {
            values.extend(env_file(&Input::from_path(path))?);
        }
        for (index, (item, _)) in values.iter().enumerate() {
            if values[..index].iter().any(|(other, _)| other == item) {
                return Err(Error::new(Kind::Usage, format!("item {item} is named twice")).hint("leave one of them out"));
            }
        }
        Ok(values)
    }

    /// Nothing comes from a program that failed, and would be sealed in the place of a value that works.
    fn not_empty(&self, item: &ItemName, value: &[u8]) -> Result<(), Error> {
        if self.allow_empty || !value.is_empty() {
            return Ok(());
        }
        let failed = Error::new(Kind::Usage, format!("the value of {item} is empty"));
        Err(failed.hint("if a program writes it, look whether that failed; if it is meant, add --allow-empty"))
    }

    /// A value without its last line breaks, if that is asked for; a warning where they are likely a slip.
    fn ended(&self, item: &ItemName, mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
        if self.trim {
            bytes.truncate(end);
        } else if end < bytes.len() && !bytes[..end].contains(&b'\n') {
            warn(format!("the value of {item} is one line that ends in a line break, which is part of it; --trim takes it off"));
        }
        bytes
    }
}

/// The name of an item.
pub(super) fn name(text: &str) -> Result<ItemName, Error> {
    text.parse().map_err(|error| {
        let failed = Error::new(Kind::Usage, "cannot use the name of an item").cause(error);
        failed.hint("letters, digits, - _ and . may stand in it; a value does not belong on the command line")
    })
}

/// Lines `ITEM=VALUE`; blank lines and those that begin with # are passed over.
fn env_file(input: &Input) -> Result<Vec<(ItemName, SecretBytes)>, Error> {
    let bytes = input.read("lines ITEM=VALUE")?;
    let failed = |line: usize, cause: &str| {
        Error::new(Kind::Usage, format!("cannot use {}", input.name()))
            .cause(format!("line {line}: {cause}"))
            .hint("each line is ITEM=VALUE; a value of several lines needs --from-file")
    };
    let mut values = Vec::new();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| number == 1).unwrap_or(line).trim_ascii_start();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let equals = line.iter().position(|byte| *byte == b'=').ok_or_else(|| failed(number, "no '='"))?;
        let item = str::from_utf8(&line[..equals]).ok().and_then(|item| item.parse().ok());
        let item = item.ok_or_else(|| failed(number, "what stands before the = is not the name of an item"))?;
        values.push((item, SecretBytes::new(line[equals + 1..].to_vec())));
    }
    Ok(values)
}
