//! `bulla set`: items of a sealed file changed or added with public keys only. Nobody needs to be able to read the others.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use bulla_shared::age::Recipient;
use bulla_shared::binding::{KeyId, ScopeKind};
use bulla_shared::names::{ItemName, Place};
use bulla_shared::sealed::{Recipients, SealedValue};
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::values::{Scope, due};
use crate::config::{self, Choice, Config};
use crate::error::{Error, Kind, warn};
use crate::files::Input;
use crate::keys::{self, RecipientArgs};
use crate::passphrase::ask;
use crate::sealed_file::{Found, SealedFile};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bulla set db.yaml password                      asks for the value, without showing it\n  \
    openssl rand -hex 24 | bulla set --trim db.yaml password\n  \
    bulla set db.yaml --from-file tls.crt=server.crt --from-file tls.key=server.key\n\n\
    A value never stands on the command line. Standard input and files are taken byte for byte. An item that is there keeps its scope.")]
pub struct Args {
    /// File with the SealedSecret
    file: PathBuf,
    /// Item whose value is read from standard input, or asked for on a terminal
    #[arg(required_unless_present = "from_file")]
    item: Option<String>,
    /// Item whose value is the content of a file; may be repeated
    #[arg(long, value_name = "ITEM=FILE")]
    from_file: Vec<String>,
    /// Take line breaks off the end of the value
    #[arg(long)]
    trim: bool,
    /// Name of the SealedSecret, if there are several in the file
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    recipients: RecipientArgs,
    /// Target of .bulla.yaml; may be repeated [default: those of the rule for the file, else the known ones that its values are under]
    #[arg(short, long = "target", value_name = "NAME", conflicts_with_all = ["recipients", "recipient_files"])]
    targets: Vec<String>,
    /// What a new item is bound to [default: what all others are, if that is one]
    #[arg(long, value_enum)]
    scope: Option<Scope>,
    /// Days after which the values are due for rotation, such as 90d
    #[arg(long, value_name = "DAYS", value_parser = config::days)]
    rotate_after: Option<i32>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let assignments = args.assignments()?;
    let (recipients, choice) = args.recipients()?;
    let now = Timestamp::now();
    let rotate_by = args.rotate_after.or(choice.rotate_after).map(|days| due(now, days));
    let file = read(args)?;
    let object = choose(args, &file)?;
    // All is sealed before anything is written.
    let mut sealed = Vec::new();
    for (item, input) in assignments {
        let scope = scope_at(args, &object, &item)?;
        let plain = value(&item, input.as_ref(), args.trim)?;
        let value = SealedValue::seal(&plain, scope, &recipients, now, rotate_by).map_err(|error| {
            Error::new(Kind::Usage, format!("cannot seal item {item}")).cause(error).hint("split it, or keep it elsewhere")
        })?;
        sealed.push((item, value));
    }
    for (item, value) in &sealed {
        // Read anew for each, because where things stand has changed.
        let file = read(args)?;
        let (beside, _) = choose(args, &file)?[0];
        file.set(beside, item, value)?;
    }
    Ok(())
}

/// What the value of an item is bound to: an item that is there keeps its scope.
fn scope_at(args: &Args, object: &[(usize, &Found)], item: &ItemName) -> Result<bulla_shared::binding::Scope, Error> {
    let (_, first) = object[0];
    let scope = match object.iter().find(|(_, found)| found.item == item.as_str()) {
        Some((_, found)) => found.value.binding().scope.kind(),
        None => args.scope.map(ScopeKind::from).or_else(|| common(object)).ok_or_else(|| {
            Error::new(Kind::Usage, format!("the items of {} have different scopes", first.name))
                .hint("say with --scope what the new one is bound to: strict, if nothing speaks against it")
        })?,
    };
    if first.namespace.is_none() && scope != ScopeKind::Cluster {
        return Err(Error::new(Kind::Usage, format!("{} has no namespace in {}", first.name, args.file.display()))
            .hint("add metadata.namespace: a value of this scope is bound to it"));
    }
    let place = first.place().map(|place| Place { item: item.clone(), ..place }).ok_or_else(|| {
        Error::new(Kind::Usage, format!("cannot edit {}", args.file.display()))
            .cause("the SealedSecret has no valid metadata.namespace and metadata.name")
            .hint("values are bound to them")
    })?;
    Ok(scope.at(&place))
}

fn read(args: &Args) -> Result<SealedFile, Error> {
    SealedFile::read(&args.file)?.ok_or_else(|| {
        Error::new(Kind::Usage, format!("there is no SealedSecret (bulla.dev) in {}", args.file.display()))
            .hint("bulla seal makes one of a Secret")
    })
}

/// The values of the one object that is meant, with their indices.
fn choose<'f>(args: &Args, file: &'f SealedFile) -> Result<Vec<(usize, &'f Found)>, Error> {
    let failed =
        |cause: String| Error::new(Kind::Usage, format!("cannot choose a SealedSecret in {}", args.file.display())).cause(cause);
    let of_name = |found: &Found| args.name.as_ref().is_none_or(|name| *name == found.name);
    let found: Vec<_> = file.values.iter().enumerate().filter(|(_, found)| of_name(found)).collect();
    let Some((_, first)) = found.first() else {
        return Err(failed("none has this name".to_owned()).hint("bulla inspect lists them"));
    };
    if found.iter().any(|(_, other)| !first.is_beside(other)) {
        return Err(failed("there are several".to_owned()).hint("name one with --name, or give them files of their own"));
    }
    Ok(found)
}

/// The scope that all items share.
fn common(object: &[(usize, &Found)]) -> Option<ScopeKind> {
    let mut kinds = object.iter().map(|(_, found)| found.value.binding().scope.kind());
    let first = kinds.next()?;
    kinds.all(|kind| kind == first).then_some(first)
}

fn value(item: &ItemName, input: Option<&Input>, trim: bool) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = match input {
        Some(input) => input.read("the value")?,
        None if std::io::stdin().is_terminal() => Zeroizing::new(ask(&format!("Value of {item}: "))?.as_bytes().to_vec()),
        None => Input::Stdin.read("the value")?,
    };
    let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte)).map_or(0, |last| last + 1);
    if trim {
        bytes.truncate(end);
    } else if end < bytes.len() && !bytes[..end].contains(&b'\n') {
        warn(format!("the value of {item} is one line that ends in a line break, which is part of it; --trim takes it off"));
    }
    Ok(bytes)
}

impl Args {
    /// Items and where their values come from; none is standard input.
    fn assignments(&self) -> Result<Vec<(ItemName, Option<Input>)>, Error> {
        let name = |text: &str| {
            text.parse::<ItemName>().map_err(|error| {
                let failed = Error::new(Kind::Usage, "cannot use the name of an item").cause(error);
                failed.hint("letters, digits, - _ and . may stand in it; a value does not belong on the command line")
            })
        };
        let mut all = Vec::new();
        if let Some(item) = &self.item {
            all.push((name(item)?, None));
        }
        for pair in &self.from_file {
            let (item, path) = pair
                .split_once('=')
                .ok_or_else(|| Error::new(Kind::Usage, "--from-file has no '='").hint("--from-file ITEM=FILE"))?;
            all.push((name(item)?, Some(Input::File(path.into()))));
        }
        Ok(all)
    }

    /// Flags, else the rule for the file, else the known recipients that the file's values name.
    fn recipients(&self) -> Result<(Recipients, Choice), Error> {
        let mut choice = Choice::default();
        let mut given = self.recipients.read()?;
        if given.is_empty() {
            let config = Config::here()?.ok_or_else(|| {
                Error::new(Kind::Configuration, "no recipients are given, and there is no .bulla.yaml here or above")
                    .hint("name them with -r or -R: public keys, as bulla recipients prints them")
            })?;
            given = match (self.targets.as_slice(), config.rule_for(&self.file)) {
                ([], Ok(rule)) => {
                    choice = rule;
                    config.recipients(&choice.targets)?
                }
                ([], Err(error)) => self.known(&config).ok_or(error)?,
                (targets, _) => config.recipients(targets)?,
            };
        }
        Ok((keys::together(given)?, choice))
    }

    /// The recipients of all targets that the values of the object are under, if every one of them is known.
    fn known(&self, config: &Config) -> Option<Vec<Recipient>> {
        let file = SealedFile::read(&self.file).ok()??;
        let named: Vec<KeyId> = choose(self, &file).ok()?.first()?.1.value.binding().keys.clone();
        let files = config.targets().filter_map(|name| config.target(name).ok()?.0).chain(config.recovery().ok()?);
        let all: Vec<Recipient> = files.flat_map(|file| file.recipients).collect();
        named.iter().map(|id| all.iter().find(|key| key.fingerprint().id() == *id).cloned()).collect()
    }
}
