//! `bulla init`: a configuration from what is found: recipients files, contexts of the kubeconfig, folders of clusters, Git.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::git;
use super::recipients::published;
use crate::config::{Config, FILE, SCHEMA};
use crate::error::{Error, Kind, note};
use crate::files::{self, Access};
use crate::keys::recipients_file;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Recipients files that are there (*.recipients here and in .bulla/) become targets; without any, the newest key of each \
    --context, or of the current one, is asked for and written. A file recovery.recipients becomes the recovery key. Nothing that is there is replaced."
)]
pub struct Args {
    /// Context of the kubeconfig to make a target of; may be repeated
    #[arg(long, value_name = "CONTEXT")]
    context: Vec<String>,
    /// Leave out the Git hook, and what git diff and git merge need
    #[arg(long)]
    no_hook: bool,
}

/// A target to be, with paths relative to the configuration.
struct Target {
    name: String,
    recipients: String,
    context: Option<String>,
}

/// The folder of recipients files.
const FOLDER: &str = ".bulla";
const RECOVERY: &str = "recovery";

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let here = std::env::current_dir().map_err(|error| Error::new(Kind::Io, "no working directory").cause(error))?;
    let root = git::ask(&here, &["rev-parse", "--show-toplevel"]).ok().flatten().map(PathBuf::from);
    let folder = root.clone().unwrap_or(here);
    if let Some(config) = Config::find(&folder)? {
        return Err(Error::new(Kind::Configuration, format!("there is {} already", config.path().display()))
            .hint("bulla doctor says what it does"));
    }
    let mut targets = found(&folder)?;
    let recovery = targets.iter().position(|target| target.name == RECOVERY).map(|at| targets.remove(at));
    let contexts: Vec<Option<&str>> = match args.context.as_slice() {
        [] if targets.is_empty() => vec![None],
        contexts => contexts.iter().map(|context| Some(context.as_str())).collect(),
    };
    for context in contexts {
        let target = of_context(&folder, context).map_err(|error| {
            error.hint("name a cluster with --context; or put public keys in .bulla/NAME.recipients first: bulla keygen -y FILE prints one")
        })?;
        targets.retain(|other| other.name != target.name);
        targets.push(target);
    }
    write(&folder.join(SCHEMA), &crate::config::schema())?;
    write(&folder.join(FILE), &text(&folder, &targets, recovery.as_ref()))?;
    // It is read as any other: what init writes is right, or init fails.
    Config::find(&folder)?;
    match root {
        Some(root) => git::install(&root, !args.no_hook).map(drop),
        None => Ok(()),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| {
            Error::new(Kind::Io, format!("cannot make {}", folder.display())).cause(error).hint("check who may write there")
        })?;
    }
    files::create(path, text.as_bytes(), Access::Default)?;
    note(format!("wrote {}", path.display()));
    Ok(())
}

/// Recipients files in the folder itself and in `.bulla`.
fn found(folder: &Path) -> Result<Vec<Target>, Error> {
    let mut targets = Vec::new();
    for place in ["", FOLDER] {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(folder.join(place)).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "recipients")) {
            let (Some(name), Ok(relative)) = (path.file_stem(), path.strip_prefix(folder)) else { continue };
            recipients_file(&path)?;
            let (name, recipients) = (name.to_string_lossy().into_owned(), relative.to_string_lossy().into_owned());
            if !targets.iter().any(|target: &Target| target.name == name) {
                targets.push(Target { name, recipients, context: None });
            }
        }
    }
    Ok(targets)
}

/// A target of what a cluster publishes, written to a file.
fn of_context(folder: &Path, context: Option<&str>) -> Result<Target, Error> {
    let (context, text) = published(context)?;
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = context.chars().map(plain).collect();
    let recipients = format!("{FOLDER}/{name}.recipients");
    let path = folder.join(&recipients);
    if !path.exists() {
        write(&path, &text)?;
    }
    Ok(Target { name, recipients, context: Some(context) })
}

fn text(folder: &Path, targets: &[Target], recovery: Option<&Target>) -> String {
    // JSON strings are YAML, whatever is in them.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = format!(
        "# yaml-language-server: $schema={SCHEMA}\n# To whom the secrets of a path are sealed. bulla doctor PATH says which rule counts.\nversion: 1\ntargets:\n"
    );
    // Writing to memory does not fail.
    for Target { name, recipients, context } in targets {
        let context = context.as_ref().map_or(String::new(), |context| format!(", context: {}", quoted(context)));
        let _ = writeln!(text, "  {}: {{recipients: {}{context}}}", quoted(name), quoted(recipients));
    }
    if let Some(recovery) = recovery {
        let _ = writeln!(text, "recovery: {}  # added to every value", quoted(&recovery.recipients));
    }
    text.push_str("rules:  # the first match counts; * stays in its folder, ** does not\n");
    for target in targets {
        for path in paths_of(folder, &target.name) {
            let _ = writeln!(text, "- {{path: {}, targets: [{}]}}", quoted(&format!("{path}/**")), quoted(&target.name));
        }
    }
    let names: Vec<_> = targets.iter().map(|target| quoted(&target.name)).collect();
    if !text.contains("- {path: ") {
        let _ = writeln!(text, "- {{path: \"**\", targets: [{}]}}", names.join(", "));
    }
    text
}

/// Folders that are usual for the files of one cluster.
fn paths_of(folder: &Path, target: &str) -> Vec<String> {
    let usual = ["clusters/", "overlays/", "environments/", "envs/", "apps/", ""].map(|parent| format!("{parent}{target}"));
    usual.into_iter().filter(|path| folder.join(path).is_dir()).collect()
}
