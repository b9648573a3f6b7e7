//! The private keys for `exec`: from files, a variable, a file descriptor. Never from an argument, and never handed to the command, which runs as
//! the same user and may still find what the shell above has in its environment.

use std::env;
use std::path::PathBuf;

use bulla_shared::age::{Identity, parse_identity_file};
use zeroize::Zeroizing;

use crate::error::{Error, Kind};
use crate::files::Input;
use crate::keys;

/// Where private keys come from.
#[derive(Debug, Clone, clap::Args)]
pub struct SourcesOfIdentities {
    /// File with private keys; may be repeated
    #[arg(short, long = "identity", value_name = "FILE")]
    pub identities: Vec<PathBuf>,
    /// Variable that holds private keys, as text; it is not in the environment of the command
    #[arg(long, value_name = "ENV")]
    pub identity_env: Option<String>,
    /// Open file descriptor to read private keys from; the command does not get it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(3..))]
    pub identity_fd: Option<i32>,
}

impl SourcesOfIdentities {
    /// Reads all of them, and closes the descriptor.
    pub fn read(&self) -> Result<Vec<Identity>, Error> {
        let mut all = keys::all_identities(&self.identities)?;
        if let Some(number) = self.identity_fd {
            all.extend(from_descriptor(number)?);
        }
        if let Some(name) = &self.identity_env {
            all.extend(from_variable(name)?);
        }
        if all.is_empty() {
            let failed = Error::new(Kind::Keys, "there is no private key to open with");
            return Err(failed.hint("give one: -i FILE, --identity-env ENV or --identity-fd N"));
        }
        Ok(all)
    }
}

/// Reads it by its path, and closes it: a command that is started gets what is open.
fn from_descriptor(number: i32) -> Result<Vec<Identity>, Error> {
    let path = PathBuf::from(format!("/dev/fd/{number}"));
    let failed = |what: &str| {
        let hint = format!("a shell opens it: bulla exec --identity-fd {number} … {number}< FILE");
        Error::new(Kind::Io, format!("{what} descriptor {number}")).hint(hint)
    };
    if !path.exists() {
        return Err(failed("there is no open"));
    }
    let identities = keys::identities(&Input::File(path))?;
    nix::unistd::close(number).map_err(|error| failed("cannot close").cause(error))?;
    Ok(identities)
}

fn from_variable(name: &str) -> Result<Vec<Identity>, Error> {
    let failed = |kind| Error::new(kind, format!("cannot use the identities in ${name}"));
    let Some(text) = env::var_os(name) else {
        let hint = "set it; in a pipeline, check that this job may use it: a pull request from elsewhere may not";
        return Err(failed(Kind::Configuration).cause("the variable is not set").hint(hint));
    };
    let text = text.into_string().map(Zeroizing::new);
    let text = text.map_err(|_| failed(Kind::Keys).cause("it is not UTF-8 text").hint("it has the text of an identity file"))?;
    parse_identity_file(&text).map_err(|error| {
        let hint = if text.starts_with(['/', '.']) {
            format!("it holds the name of a file, it seems: -i \"${name}\"")
        } else {
            "it has the text of an identity file, as bulla keygen writes it".to_owned()
        };
        failed(Kind::Keys).cause(error).hint(hint)
    })
}
