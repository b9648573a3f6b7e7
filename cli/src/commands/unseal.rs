//! `bulla unseal`: `SealedSecret`s opened offline, as the controller would open them.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::completions;
use super::replaced::{keep_manifests, keep_objects};
use crate::error::{Error, Kind};
use crate::files::{self, Access, Input};
use crate::keys::IdentityArgs;
use crate::manifest::sealed::{SealedDocument, read_sealed};
use crate::opened::open_at;
use crate::yaml::secret_to_yaml;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulla unseal -i recovery.key sealed.yaml\n  bulla unseal -i recovery.key --item password sealed.yaml"
)]
pub struct Args {
    /// Manifest with SealedSecrets, YAML or JSON; standard input for -
    file: PathBuf,
    #[command(flatten)]
    identities: IdentityArgs,
    /// Print the bytes of this one item and nothing else
    #[arg(long, add = completions::items())]
    item: Option<String>,
    /// File to write, for its owner alone; standard output without it, or for -. One that is there is replaced if no object in it is lost
    /// by that
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let input = Input::from_path(&args.file);
    let keys = args.identities.read()?;
    let found = read_sealed(&input)?;
    if found.is_empty() {
        return Err(Error::new(Kind::Usage, format!("cannot unseal {}", input.name()))
            .cause("there is no SealedSecret (bulla.dev) in it")
            .hint("bulla seal makes one of a Secret"));
    }
    if let (Some(item), [_, _, ..]) = (&args.item, found.as_slice()) {
        return Err(Error::new(Kind::Usage, format!("cannot choose item {item}"))
            .cause("there are several SealedSecrets in the file")
            .hint("leave out --item, or give a file with one"));
    }
    let mut output = Zeroizing::new(Vec::new());
    for document in &found {
        let secret = unseal(&input, document, &keys)?;
        if let Some(item) = &args.item {
            let value = secret.items.iter().find(|(name, _)| name.as_str() == item);
            let value = value
                .ok_or_else(|| Error::new(Kind::Usage, format!("there is no item {item}")).hint("bulla inspect lists them"))?;
            keep_manifests(args.output.as_deref())?;
            return files::write(args.output.as_deref(), value.1.expose(), Access::Private);
        }
        let yaml = secret_to_yaml(&secret)?;
        // A new buffer with room for both: one that grew would leave plaintext behind.
        let mut longer = Zeroizing::new(Vec::with_capacity(output.len() + yaml.len() + 4));
        longer.extend_from_slice(&output);
        longer.extend_from_slice(if output.is_empty() { b"" } else { b"---\n" });
        longer.extend_from_slice(yaml.as_bytes());
        output = longer;
    }
    keep_objects(args.output.as_deref(), &output)?;
    files::write(args.output.as_deref(), &output, Access::Private)
}

fn unseal(
    input: &Input,
    document: &SealedDocument,
    keys: &bulla_keys::KeyRing,
) -> Result<bulla_shared::convert::PlainSecret, Error> {
    let SealedDocument { place, sealed } = document;
    let failed = |kind| Error::new(kind, format!("cannot unseal {}", input.name()));
    let namespace = sealed.metadata.namespace.as_deref().unwrap_or("default");
    let name = sealed.metadata.name.as_deref().unwrap_or_default();
    let names = (namespace.parse(), name.parse());
    let (Ok(namespace), Ok(name)) = names else {
        return Err(failed(Kind::Usage)
            .cause(format!("{place}: the SealedSecret has no valid metadata.namespace and metadata.name"))
            .hint("values are bound to them; add what they were sealed for"));
    };
    open_at(input, document, &namespace, &name, keys)
}
