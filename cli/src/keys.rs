//! Recipients and identities as the command line gives them. What was given is never repeated: it may be a private key.

use std::path::{Path, PathBuf};

use bulla_keys::KeyRing;
use bulla_shared::age::{Identity, KeyError, Recipient, parse_identity_file};
use bulla_shared::recipients::{RecipientsError, RecipientsFile};
use bulla_shared::sealed::{Recipients, SealError};

use crate::error::{Error, Kind};
use crate::files::Input;

/// To whom to seal.
#[derive(Debug, Clone, clap::Args)]
pub struct RecipientArgs {
    /// Public key to seal to (age1pq1… or age1…); may be repeated
    #[arg(short, long = "recipient", value_name = "RECIPIENT")]
    pub recipients: Vec<String>,
    /// File of public keys, one a line; may be repeated
    #[arg(short = 'R', long = "recipients-file", value_name = "FILE")]
    pub recipient_files: Vec<PathBuf>,
}

impl RecipientArgs {
    /// Everything that was named, in order; empty if nothing was.
    pub fn read(&self) -> Result<Vec<Recipient>, Error> {
        Ok(self.read_file()?.recipients)
    }

    /// The same, with what the files say about older keys.
    pub fn read_file(&self) -> Result<RecipientsFile, Error> {
        let mut all = RecipientsFile::default();
        for text in &self.recipients {
            let what = "cannot use the recipient given with -r (a file of them is given with -R)";
            all.recipients.push(text.parse().map_err(|error| recipient_error(what, error, &error))?);
        }
        for path in &self.recipient_files {
            let file = recipients_file(path)?;
            all.recipients.extend(file.recipients);
            all.old.extend(file.old);
        }
        Ok(all)
    }
}

/// Reads a recipients file.
pub fn recipients_file(path: &Path) -> Result<RecipientsFile, Error> {
    recipients_text(path).map(|(_, file)| file)
}

/// Reads a recipients file, and gives its text as well.
pub fn recipients_text(path: &Path) -> Result<(String, RecipientsFile), Error> {
    let input = Input::from_path(path);
    let what = format!("cannot use the recipients in {}", input.name());
    let text = text(&input, "recipients")?;
    let file = text.parse().map_err(|error: RecipientsError| match &error {
        RecipientsError::Line { error: key, .. } => recipient_error(&what, *key, &error),
        _ => Error::new(Kind::Configuration, what.clone()).cause(&error).hint("one public key a line (age1pq1… or age1…)"),
    })?;
    Ok((text.to_string(), file))
}

/// Recipients that can seal one value together.
pub fn together(recipients: Vec<Recipient>) -> Result<Recipients, Error> {
    Recipients::new(recipients).map_err(|error| {
        let hint = match error {
            SealError::MixedRecipients => "name recipients of one kind: hybrid begins with age1pq1, x25519 does not",
            SealError::TooManyRecipients => "seal to fewer; each value is readable to every recipient",
            _ => "bulla keygen -y FILE prints a recipient",
        };
        Error::new(Kind::Configuration, "cannot seal to these recipients").cause(error).hint(hint)
    })
}

fn recipient_error(what: &str, key: KeyError, cause: &dyn std::fmt::Display) -> Error {
    let hint = match key {
        KeyError::IdentityAsRecipient => "keep it secret; its public half is printed by: bulla keygen -y FILE",
        _ => "a recipient is one line of the output of: bulla keygen -y FILE",
    };
    Error::new(Kind::Configuration, what).cause(cause).hint(hint)
}

/// Private keys to open with.
#[derive(Debug, Clone, clap::Args)]
pub struct IdentityArgs {
    /// File with private keys, as bulla keygen or age-keygen write it; may be repeated
    #[arg(short, long = "identity", value_name = "FILE", required = true)]
    pub identities: Vec<PathBuf>,
}

impl IdentityArgs {
    /// All identities of all files.
    pub fn read(&self) -> Result<KeyRing, Error> {
        Ok(all_identities(&self.identities)?.into_iter().collect())
    }
}

/// Reads the identities of several files.
pub fn all_identities(paths: &[PathBuf]) -> Result<Vec<Identity>, Error> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(identities(&Input::from_path(path))?);
    }
    Ok(all)
}

/// Reads the identities of one file.
pub fn identities(input: &Input) -> Result<Vec<Identity>, Error> {
    parse_identity_file(&text(input, "an identity file")?).map_err(|error| {
        let hint = match error {
            KeyError::RecipientAsIdentity => "the private key is in the file that bulla keygen -o wrote",
            _ => "an identity file is written by: bulla keygen -o FILE",
        };
        Error::new(Kind::Keys, format!("cannot use the identities in {}", input.name())).cause(error).hint(hint)
    })
}

fn text(input: &Input, what: &str) -> Result<zeroize::Zeroizing<String>, Error> {
    let bytes = input.read(what)?;
    let text = str::from_utf8(&bytes).map(|text| zeroize::Zeroizing::new(text.to_owned()));
    text.map_err(|_| {
        let failed = Error::new(Kind::Configuration, format!("cannot read {}", input.name()));
        if bytes.starts_with(b"age-encryption.org/") {
            return failed
                .cause("it is encrypted")
                .hint("is it a backup? age -d opens it, and so do bulla keys restore and verify-backup");
        }
        failed.cause("the file is not UTF-8 text").hint("save it as UTF-8; in PowerShell: … | Out-File -Encoding ascii FILE")
    })
}
