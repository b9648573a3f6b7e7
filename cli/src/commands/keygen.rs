//! `bulla keygen`: an age identity file, or the public half of one.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use bulla_shared::age::Identity;
use bulla_shared::binding::time_text;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::values::KeyKind;
use crate::error::{Error, note};
use crate::files::{self, Access, Input};
use crate::keys;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bulla keygen -o recovery.key\n  bulla keygen -y recovery.key > recovery.recipients")]
pub struct Args {
    /// File to write, a private key for its owner alone; an existing file is never overwritten
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the public keys of this identity file (- for standard input) instead of making a key
    #[arg(short = 'y', long = "recipient", value_name = "FILE", num_args = 0..=1, default_missing_value = "-", conflicts_with = "algorithm")]
    recipient_of: Option<PathBuf>,
    /// Kind of the key
    #[arg(long, value_enum, default_value_t = KeyKind::Hybrid)]
    algorithm: KeyKind,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    if let Some(path) = &args.recipient_of {
        let mut text = String::new();
        for identity in keys::identities(&Input::from_path(path))? {
            let _ = writeln!(text, "{}", identity.recipient());
        }
        return write(args, text.as_bytes(), Access::Default);
    }
    let identity = Identity::generate(args.algorithm.into());
    let (created, secret) = (time_text(&Timestamp::now()), identity.to_text());
    let head = format!("# created: {created}\n# public key: {}\n", identity.recipient());
    let mut file = Zeroizing::new(String::with_capacity(head.len() + secret.len() + 1));
    for part in [head.as_str(), &secret, "\n"] {
        file.push_str(part);
    }
    write(args, file.as_bytes(), Access::Private)?;
    // As age-keygen does: whoever does not see the file sees the public key.
    if args.output.is_some() || !std::io::stdout().is_terminal() {
        note(format!("Public key: {}", identity.recipient()));
    }
    Ok(())
}

/// To a new file: with both `-y` and `-o`, one slip would replace a private key by its public half.
fn write(args: &Args, bytes: &[u8], access: Access) -> Result<(), Error> {
    match args.output.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => files::create(path, bytes, access),
        None => files::write(None, bytes, access),
    }
}
