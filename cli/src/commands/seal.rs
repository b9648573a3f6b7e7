//! `bulla seal`: each Secret in a stream of manifests becomes a `SealedSecret`; everything else passes byte for byte.

use std::path::{Path, PathBuf};

use bulla_shared::age::Recipient;
use bulla_shared::convert::{ConvertError, MAX_CLIENT_APPLY, SealOptions, object_size};
use bulla_shared::names::{Namespace, ObjectName};
use bulla_shared::resources::sealed_secret::SealedSecret;
use zeroize::Zeroizing;

use super::earlier::{Earlier, Witness};
use super::objections::Objections;
use super::replaced::keep_objects;
use super::sealing::SealingArgs;
use crate::cluster::sealing_keys::announced_key;
use crate::cluster::{CONTEXT, Cluster};
use crate::config::Config;
use crate::error::{Error, Kind, warn};
use crate::files::{self, Access, Input, STDIN};
use crate::keys::all_identities;
use crate::manifest::{
    Document, DocumentKind, Expected, Layout, ManifestError, Secrets, decode, find_secrets, parse, reindent, splice,
    verify_splice,
};
use crate::plain::{self, NAME_HINT, Overrides};
use crate::yaml::to_yaml;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bulla seal -R prod.recipients secret.yaml -o sealed.yaml\n  \
    kubectl create secret generic db -n prod --from-file=password --dry-run=client -o yaml |\n    \
    bulla seal -r age1pq1… > db.yaml\n\n\
    Without flags the recipients are those of the rule for the file; where there is no .bulla.yaml, the newest key of the current context.")]
pub struct Args {
    /// Manifests with Secrets, YAML or JSON; standard input without any, or for -
    files: Vec<PathBuf>,
    #[command(flatten)]
    sealing: SealingArgs,
    /// Namespace of Secrets that name none
    #[arg(short, long)]
    namespace: Option<String>,
    /// Name of the Secret if it names none
    #[arg(long)]
    name: Option<String>,
    /// File to write; standard output without it, or for -. One that is there is replaced if no object in it is lost by that
    #[arg(short, long, value_name = "FILE", conflicts_with = "in_place")]
    output: Option<PathBuf>,
    /// Replace each file by its sealed form
    #[arg(long, requires = "files")]
    in_place: bool,
    /// File with private keys, to tell which values have not changed: they keep their ciphertext and scope; may be repeated
    #[arg(short, long = "identity", value_name = "FILE")]
    identities: Vec<PathBuf>,
    /// Tell it by the live Secret in the cluster of this context, read with your own rights
    #[arg(long, value_name = "CONTEXT")]
    keep_live: Option<String>,
}

/// How the Secrets of one input are sealed.
struct Job<'a> {
    options: SealOptions<'a>,
    overrides: Overrides<'a>,
    earlier: Earlier<'a>,
    objections: &'a Objections,
    /// The command line says what values are bound to.
    scope_is_asked: bool,
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
    let sealer = args.sealing.read()?;
    let witness = args.witness()?;
    let mut current_context = None;
    // All is sealed before anything is written: one bad file leaves every file as it was.
    let mut sealed = Vec::new();
    for input in inputs {
        let sealing = sealer.of(committed(args, &input), |config| of_current_context(config, &mut current_context))?;
        let options = SealOptions {
            scope: sealing.scope.or(sealing.rule.scope).unwrap_or_default(),
            recipients: &sealing.recipients,
            now: sealing.now,
            rotate_by: sealing.rotate_by,
        };
        let overrides =
            Overrides { namespace: namespace.as_ref(), default_namespace: sealing.rule.namespace.as_ref(), name: name.as_ref() };
        let in_place = input.path().filter(|_| args.in_place);
        let earlier = Earlier::read(args.output.as_deref(), in_place, &witness);
        let scope_is_asked = sealing.scope.is_some();
        let job = Job { options, overrides, earlier, objections: &sealing.objections, scope_is_asked };
        let before = input.read("manifests")?;
        let text = seal_input(&input.name(), &before, &job)?;
        sealed.push((input, before, text));
    }
    if args.in_place {
        for (input, before, text) in &sealed {
            if let Input::File(path) = input {
                files::replace_if_still(path, before, text.as_bytes())?;
            }
        }
        return Ok(());
    }
    let texts: Vec<_> = sealed.into_iter().map(|(.., text)| text).collect();
    let text = join(&texts);
    keep_objects(args.output.as_deref(), text.as_bytes())?;
    files::write(args.output.as_deref(), text.as_bytes(), Access::Default)
}

impl Args {
    fn witness(&self) -> Result<Witness, Error> {
        let ring = all_identities(&self.identities)?.into_iter().collect();
        let cluster = self.keep_live.as_deref().map(|context| Cluster::connect(Some(context), CONTEXT)).transpose()?;
        Ok(Witness { ring, cluster })
    }
}

fn name<T: std::str::FromStr<Err = bulla_shared::names::NameError>>(
    text: Option<&String>,
    flag: &str,
) -> Result<Option<T>, Error> {
    text.map(|text| text.parse())
        .transpose()
        .map_err(|error| Error::new(Kind::Usage, format!("cannot use {flag}")).cause(error).hint(NAME_HINT))
}

/// The newest key of the current context, which is named and asked for once: only where there is no configuration either.
pub(super) fn of_current_context(
    config: Option<&Config>,
    asked: &mut Option<Recipient>,
) -> Result<Option<Vec<Recipient>>, Error> {
    if config.is_some() {
        return Ok(None);
    }
    let recipient = asked.take().map_or_else(|| announced_key(None), Ok)?;
    Ok(Some(vec![asked.insert(recipient).clone()]))
}

/// The path that a rule is looked up for: that of the file which will hold the ciphertext.
fn committed<'a>(args: &'a Args, input: &'a Input) -> Option<&'a Path> {
    match (&args.output, input) {
        (Some(output), _) if output != Path::new("-") => Some(output),
        (_, Input::File(path)) => Some(path),
        (_, Input::Stdin) => None,
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

fn seal_input(name: &str, bytes: &[u8], job: &Job<'_>) -> Result<Zeroizing<String>, Error> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::new(Kind::Usage, format!("cannot seal {name}"))
            .cause("it is empty")
            .hint("give a manifest of kind Secret"));
    }
    let refused = |error: ManifestError| manifest_error(name, &error);
    let source = decode(bytes.to_vec()).map_err(refused)?;
    let documents = parse(&source).map_err(refused)?;
    let mut edits = Vec::new();
    let mut expected = Vec::new();
    let mut kinds = Vec::new();
    for document in &documents {
        let secrets = find_secrets(document).map_err(refused)?;
        secrets.require_versions(document).map_err(refused)?;
        kinds.push(secrets.kind);
        seal_document(name, document, &secrets, job, &mut edits, &mut expected)?;
    }
    if edits.is_empty() {
        return Err(nothing_to_seal(name, &kinds));
    }
    let text = splice(source.text(), &edits);
    verify_splice(&documents, &text, &expected).map_err(refused)?;
    job.objections.check(source.text(), &text)?;
    Ok(text)
}

fn seal_document(
    name: &str,
    document: &Document<'_>,
    secrets: &Secrets<'_>,
    job: &Job<'_>,
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
        let plain = plain::read(name, document, found.node, job.overrides)?;
        let mut sealed = plain.seal(&job.options).map_err(|error| convert_error(name, document, found.node, &error))?;
        job.earlier.keep(&plain, &job.options, job.scope_is_asked, &mut sealed)?;
        warn_of_size(&plain.name, &sealed);
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

/// Says where an object needs server-side apply.
pub(super) fn warn_of_size(name: &ObjectName, sealed: &SealedSecret) {
    let size = object_size(sealed);
    if size > MAX_CLIENT_APPLY {
        warn(format!(
            "{name}: the SealedSecret has {size} bytes; kubectl apply without --server-side takes at most {MAX_CLIENT_APPLY}"
        ));
    }
}

fn convert_error(name: &str, document: &Document<'_>, node: &crate::manifest::Node, error: &ConvertError) -> Error {
    let file = if name == STDIN { String::new() } else { format!(" {name}") };
    let scope = if let ConvertError::NoNamespace(scope) = error { scope.as_str() } else { "strict" };
    let no_namespace = format!("add metadata.namespace, or run: bulla seal --scope {scope} -n NAMESPACE{file}");
    let hint = convert_hint(error, &no_namespace, "add data or stringData");
    let place = document.place(node);
    Error::new(Kind::Usage, format!("cannot seal {name}")).cause(format!("{place}: {error}")).hint(hint)
}

/// What to do about a Secret that is not sealed.
pub(super) fn convert_hint(error: &ConvertError, no_namespace: &str, no_items: &str) -> String {
    match error {
        ConvertError::NoNamespace(_) => no_namespace,
        ConvertError::NoItems => no_items,
        ConvertError::TooManyItems | ConvertError::TooLarge(_) => "split it into several Secrets",
        ConvertError::Seal(..) => "a Secret holds at most 1 MiB; keep large files elsewhere and seal the key to them",
        ConvertError::MintingType => "let the cluster make such Secrets itself",
        _ => "see --help",
    }
    .to_owned()
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
