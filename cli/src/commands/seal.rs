//! `bulla seal`: each Secret in a stream of manifests becomes a `SealedSecret`; everything else passes byte for byte.

use std::path::{Path, PathBuf};

use bulla_shared::age::Recipient;
use bulla_shared::binding::ScopeKind;
use bulla_shared::convert::{ConvertError, MAX_CLIENT_APPLY, SealOptions, object_size};
use bulla_shared::names::{Namespace, ObjectName};
use bulla_shared::sealed::Recipients;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::values::{Scope, due};
use crate::cluster::sealing_keys::announced_key;
use crate::config::{self, Choice, Config};
use crate::error::{Error, Kind, warn};
use crate::files::{self, Access, Input, STDIN};
use crate::keys::{self, RecipientArgs};
use crate::manifest::{
    Document, DocumentKind, Expected, Layout, ManifestError, Secrets, decode, find_secrets, parse, reindent, splice,
    verify_splice,
};
use crate::plain::{self, NAME_HINT, Overrides};
use crate::yaml::to_yaml;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bulla seal -R prod.recipients secret.yaml -o sealed.yaml\n  \
    kubectl create secret generic db -n prod --from-file=password --dry-run=client -o yaml | bulla seal -r age1pq1… > db.yaml")]
pub struct Args {
    /// Manifests with Secrets, YAML or JSON; standard input without any, or for -
    files: Vec<PathBuf>,
    #[command(flatten)]
    recipients: RecipientArgs,
    /// Context of the kubeconfig whose newest key to seal to [default: the current one, if nothing else names recipients]
    #[arg(long, conflicts_with_all = ["recipients", "recipient_files"])]
    context: Option<String>,
    /// Target of .bulla.yaml to seal to; may be repeated [default: those of the rule for the file]
    #[arg(short, long = "target", value_name = "NAME", conflicts_with_all = ["recipients", "recipient_files", "context"])]
    targets: Vec<String>,
    /// What each value is bound to [default: strict, or what the rule for the file says]
    #[arg(long, value_enum)]
    scope: Option<Scope>,
    /// Namespace of Secrets that name none
    #[arg(short, long)]
    namespace: Option<String>,
    /// Name of the Secret if it names none
    #[arg(long)]
    name: Option<String>,
    /// File to write; standard output without it, or for -
    #[arg(short, long, value_name = "FILE", conflicts_with = "in_place")]
    output: Option<PathBuf>,
    /// Replace each file by its sealed form
    #[arg(long, requires = "files")]
    in_place: bool,
    /// Days after which the values are due for rotation, such as 90d
    #[arg(long, value_name = "DAYS", value_parser = config::days)]
    rotate_after: Option<i32>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let inputs: Vec<Input> = match args.files.as_slice() {
        [] => vec![Input::Stdin],
        files => files.iter().map(|file| Input::from_path(file)).collect(),
    };
    if args.in_place && inputs.contains(&Input::Stdin) {
        return Err(Error::new(Kind::Usage, "standard input cannot be sealed in place").hint("leave out --in-place"));
    }
    if let Some(folder) = args.files.iter().find(|path| path.is_dir()) {
        return Err(Error::new(Kind::Io, format!("{} is a folder", folder.display()))
            .hint("name the files to seal, such as FOLDER/*.yaml: other files may hold Secrets that are not meant"));
    }
    let namespace = name::<Namespace>(args.namespace.as_ref(), "--namespace")?;
    let name = name::<ObjectName>(args.name.as_ref(), "--name")?;
    let flags = from_flags(args)?;
    let now = Timestamp::now();
    let mut to_current_context = None;
    // All is sealed before anything is written: one bad file leaves every file as it was.
    let mut sealed = Vec::new();
    for input in inputs {
        let Resolved { recipients, choice } = resolve(args, &flags, &input, &mut to_current_context)?;
        let rotate_after = args.rotate_after.or(choice.rotate_after);
        let options = SealOptions {
            scope: args.scope.map(ScopeKind::from).or(choice.scope).unwrap_or_default(),
            recipients: &recipients,
            now,
            rotate_by: rotate_after.map(|days| due(now, days)),
        };
        let overrides =
            Overrides { namespace: namespace.as_ref(), default_namespace: choice.namespace.as_ref(), name: name.as_ref() };
        let text = seal_input(&input, &options, overrides)?;
        sealed.push((input, text));
    }
    if args.in_place {
        for (input, text) in &sealed {
            if let Input::File(path) = input {
                files::replace(path, text.as_bytes(), Access::Default)?;
            }
        }
        return Ok(());
    }
    let texts: Vec<_> = sealed.into_iter().map(|(_, text)| text).collect();
    files::write(args.output.as_deref(), join(&texts).as_bytes(), Access::Default)
}

fn name<T: std::str::FromStr<Err = bulla_shared::names::NameError>>(
    text: Option<&String>,
    flag: &str,
) -> Result<Option<T>, Error> {
    text.map(|text| text.parse())
        .transpose()
        .map_err(|error| Error::new(Kind::Usage, format!("cannot use {flag}")).cause(error).hint(NAME_HINT))
}

struct Resolved {
    recipients: Recipients,
    choice: Choice,
}

/// What the command line names; read once, since a recipients file may be standard input.
fn from_flags(args: &Args) -> Result<Vec<Recipient>, Error> {
    match &args.context {
        Some(context) => Ok(vec![announced_key(Some(context))?]),
        None => args.recipients.read(),
    }
}

/// Flags, else `.bulla.yaml`, else the newest key of the current context, which is named (and asked for once).
fn resolve(
    args: &Args,
    flags: &[Recipient],
    input: &Input,
    to_current_context: &mut Option<Recipient>,
) -> Result<Resolved, Error> {
    let mut choice = Choice::default();
    let mut given = flags.to_vec();
    if given.is_empty() {
        let config = Config::here()?;
        match (config, args.targets.as_slice()) {
            (Some(config), []) => {
                choice = config.rule_for(committed(args, input)?)?;
                given = config.recipients(&choice.targets)?;
            }
            (Some(config), targets) => given = config.recipients(targets)?,
            (None, []) => {
                let recipient = match to_current_context.take() {
                    Some(recipient) => recipient,
                    None => announced_key(None)?,
                };
                given.push(to_current_context.insert(recipient).clone());
            }
            (None, _) => {
                return Err(Config::missing().hint("targets are named there; name recipients with -r or -R"));
            }
        }
    }
    let recipients = keys::together(given)?;
    Ok(Resolved { recipients, choice })
}

/// The path that a rule is looked up for: that of the file which will hold the ciphertext.
fn committed<'a>(args: &'a Args, input: &'a Input) -> Result<&'a Path, Error> {
    match (&args.output, input) {
        (Some(output), _) if output != Path::new("-") => Ok(output),
        (_, Input::File(path)) => Ok(path),
        (_, Input::Stdin) => Err(Error::new(Kind::Configuration, "no rule can be looked up for standard input")
            .hint("name the file to write with -o, a target with -t, or recipients with -r or -R")),
    }
}

/// Documents of several files as one stream.
fn join(texts: &[Zeroizing<String>]) -> Zeroizing<String> {
    let mut all = Zeroizing::new(String::with_capacity(texts.iter().map(|text| text.len() + 5).sum()));
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            if !all.ends_with('\n') {
                all.push('\n');
            }
            if !text.trim_start_matches('\u{feff}').starts_with("---") {
                all.push_str("---\n");
            }
        }
        all.push_str(text.strip_prefix('\u{feff}').filter(|_| index > 0).unwrap_or(text));
    }
    all
}

fn seal_input(input: &Input, options: &SealOptions<'_>, overrides: Overrides<'_>) -> Result<Zeroizing<String>, Error> {
    let name = input.name();
    let bytes = input.read("manifests")?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::new(Kind::Usage, format!("cannot seal {name}"))
            .cause("it is empty")
            .hint("give a manifest of kind Secret"));
    }
    let refused = |error: ManifestError| manifest_error(&name, &error);
    let source = decode(bytes.to_vec()).map_err(refused)?;
    let documents = parse(&source).map_err(refused)?;
    let mut edits = Vec::new();
    let mut expected = Vec::new();
    let mut kinds = Vec::new();
    for document in &documents {
        let secrets = find_secrets(document).map_err(refused)?;
        kinds.push(secrets.kind);
        seal_document(&name, document, &secrets, options, overrides, &mut edits, &mut expected)?;
    }
    if edits.is_empty() {
        return Err(nothing_to_seal(&name, &kinds));
    }
    let text = splice(source.text(), &edits);
    verify_splice(&documents, &text, &expected).map_err(refused)?;
    Ok(text)
}

fn seal_document(
    name: &str,
    document: &Document<'_>,
    secrets: &Secrets<'_>,
    options: &SealOptions<'_>,
    overrides: Overrides<'_>,
    edits: &mut Vec<(std::ops::Range<usize>, String)>,
    expected: &mut Vec<Expected>,
) -> Result<(), Error> {
    if let Some(span) = &secrets.list_kind {
        // The items are no Secrets any more.
        expected.push(Expected { span: span.clone(), value: "List".into() });
        let quote = document.text(span.clone()).chars().next().filter(|first| "\"'".contains(*first));
        let quote = quote.map(String::from).unwrap_or_default();
        edits.push((span.clone(), format!("{quote}List{quote}")));
    }
    for found in &secrets.found {
        let plain = plain::read(name, document, found.node, overrides)?;
        let sealed = plain.seal(options).map_err(|error| convert_error(name, document, found.node, &error))?;
        let size = object_size(&sealed);
        if size > MAX_CLIENT_APPLY {
            warn(format!(
                "{}: the SealedSecret has {size} bytes; kubectl apply without --server-side takes at most {MAX_CLIENT_APPLY}",
                plain.name
            ));
        }
        let value = serde_json::to_value(&sealed).map_err(|_| Error::new(Kind::Bug, "cannot write JSON"))?;
        let text = match &found.layout {
            Layout::Block => reindent(&to_yaml(&sealed)?, found.column, document.source().line_ending()),
            Layout::Flow(layout) => layout.write(&value),
        };
        edits.push((found.span.clone(), text));
        expected.push(Expected { span: found.node.span(), value });
    }
    edits.sort_by_key(|(span, _)| span.start);
    Ok(())
}

fn manifest_error(name: &str, error: &ManifestError) -> Error {
    Error::new(Kind::Usage, format!("cannot read {name}")).cause(error).hint(error.hint())
}

fn convert_error(name: &str, document: &Document<'_>, node: &crate::manifest::Node, error: &ConvertError) -> Error {
    let hint = match error {
        ConvertError::NoNamespace(scope) => {
            format!(
                "add metadata.namespace, or run: bulla seal --scope {scope} -n NAMESPACE{}",
                if name == STDIN { String::new() } else { format!(" {name}") }
            )
        }
        ConvertError::NoItems => "add data or stringData".to_owned(),
        ConvertError::TooManyItems | ConvertError::TooLarge(_) => "split it into several Secrets".to_owned(),
        ConvertError::Seal(..) => "a Secret holds at most 1 MiB; keep large files elsewhere and seal the key to them".to_owned(),
        ConvertError::MintingType => "let the cluster make such Secrets itself".to_owned(),
        _ => "see bulla seal --help".to_owned(),
    };
    let place = document.place(node);
    Error::new(Kind::Usage, format!("cannot seal {name}")).cause(format!("{place}: {error}")).hint(hint)
}

fn nothing_to_seal(name: &str, kinds: &[DocumentKind]) -> Error {
    let (cause, hint) = if kinds.contains(&DocumentKind::SealedSecret) {
        ("it is sealed already", "bulla inspect shows to which keys")
    } else if kinds.contains(&DocumentKind::BitnamiSealedSecret) {
        (
            "it is sealed for Bitnami's controller",
            "seal the Secret that it was made from: kubectl get secret NAME -o yaml | bulla seal",
        )
    } else {
        ("there is no Secret (apiVersion v1, kind Secret) in it", "only Secrets are sealed; other kinds pass through beside one")
    };
    Error::new(Kind::Usage, format!("cannot seal {name}")).cause(cause).hint(hint)
}
