//! `bulla exec`: a command with opened values, as variables or files, and its output redacted.
//!
//! What may be opened stands on the command line. Neither the file nor `.bulla.yaml` decides it: whoever writes to the repository must not.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::str::FromStr;

use bulla_keys::KeyRing;
use bulla_shared::age::Identity;

use super::completions;
use crate::error::{Error, Kind, plural, warn};
use crate::exec::files::{Files, Storage};
use crate::exec::names::Variable;
use crate::exec::selection::{Chosen, Object, Only, Rules, choose};
use crate::exec::{child, environment, identity, selection};
use crate::files::{self, Access};
use crate::masks::{Host, azure, github, gitlab};
use crate::redact::{SHORTEST, Secrets, Short, too_short};
use crate::source::{SealedFileSource, Source as _};

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(after_help = "\
Examples:
  bulla exec -i ci.key --prefix DB_ shop/db=deploy/db.yaml -- ./migrate
  bulla exec --identity-env BULLA_IDENTITY --only password=PGPASSWORD \\
    shop/db=deploy/db.yaml -- psql -f migrate.sql
  bulla exec -i ci.key --as-files --only kubeconfig=KUBECONFIG \\
    ops/prod=access.yaml -- kubectl apply -k .

Exit codes: that of CMD, 128+n if signal n ended it; 125 if it was not started, 126 if it may not be run, 127 if it is not there")]
pub struct Args {
    /// What may be opened, and the sealed file it is in; may be repeated
    #[arg(value_name = "NAMESPACE/NAME=FILE", required = true, add = completions::places())]
    files: Vec<Named>,
    #[command(flatten)]
    identity: identity::SourcesOfIdentities,
    /// Hand over this item, as ENV or under its own name in upper case; may be repeated
    #[arg(long, value_name = "[NAMESPACE/NAME/]ITEM[=ENV]")]
    only: Vec<Only>,
    /// Put this before the names of variables that --only does not give; without --only it hands over all items
    #[arg(long, default_value = "", hide_default_value = true)]
    prefix: String,
    /// Set this variable although it changes how programs run, or is set already; may be repeated
    #[arg(long, value_name = "ENV")]
    allow_name: Vec<Variable>,
    /// Hand over files on memory-backed storage; the variables, with _FILE after names not given by --only, hold their paths
    #[arg(long)]
    as_files: bool,
    /// Folder for these files, memory-backed too
    #[arg(long, value_name = "FOLDER", requires = "as_files")]
    files_in: Option<PathBuf>,
    /// The folder need not be memory-backed
    #[arg(long, requires = "files_in")]
    allow_disk: bool,
    /// Leave the output of CMD as it is, and its streams our own
    #[arg(long)]
    no_redact: bool,
    /// First tell GitHub Actions or Azure DevOps to mask the values
    #[arg(long)]
    mask: bool,
    /// Instead of running CMD, mask the values and set them as variables for the later steps of this job
    #[arg(long, conflicts_with_all = ["command", "as_files", "no_redact", "mask"])]
    export: bool,
    /// On GitLab, export into this dotenv artifact, which others can download
    #[arg(long, value_name = "FILE", requires = "export")]
    allow_artifact: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// `NAMESPACE/NAME=FILE`.
#[derive(Debug, Clone)]
struct Named {
    object: Object,
    file: PathBuf,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (object, file) = text.split_once('=').ok_or("=FILE is missing")?;
        if file.is_empty() || file == "-" {
            return Err("FILE has to be a file; standard input is for the command".to_owned());
        }
        Ok(Self { object: object.parse()?, file: file.into() })
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Error> {
    if args.command.is_empty() && !args.export {
        let failed = Error::new(Kind::NotStarted, "there is no command");
        return Err(failed.hint("write it after two dashes: bulla exec -i FILE NAMESPACE/NAME=FILE -- ./deploy"));
    }
    if args.only.is_empty() && args.prefix.is_empty() {
        let failed = Error::new(Kind::NotStarted, "nothing says which variables there will be");
        return Err(failed.cause("the file would choose their names, and many names change how programs run").hint(
            "name each item: --only ITEM or --only ITEM=ENV; or hand over all of them under names that begin alike: --prefix DB_",
        ));
    }
    let identities = args.identity.read().map_err(Error::before_the_command)?;
    // Redacted too: the command may find the file that they came from.
    let keys_text: Vec<_> = identities.iter().map(Identity::to_text).collect();
    let chosen = chosen(args, identities).map_err(Error::before_the_command)?;
    if args.export {
        return export(args, &chosen).map(|()| ExitCode::SUCCESS).map_err(Error::before_the_command);
    }
    let secrets = (!args.no_redact).then(|| {
        let values = chosen.iter().map(|chosen| chosen.value.expose());
        Secrets::new(values.chain(keys_text.iter().map(|text| text.as_bytes())))
    });
    drop(keys_text);
    announce(args, &chosen).map_err(Error::before_the_command)?;
    // Before there is a file to take away, and after what may have to wait for a reader.
    let heard = child::listen().map_err(Error::before_the_command)?;
    let (command, files) = prepare(args, &chosen).map_err(Error::before_the_command)?;
    drop(chosen);
    let ended = child::run(command, heard, secrets.as_ref());
    if let Some(files) = files {
        files.remove();
    }
    ended.map(ExitCode::from).map_err(Error::before_the_command)
}

/// Opens what is named, and gives it names.
fn chosen(args: &Args, identities: Vec<Identity>) -> Result<Vec<Chosen>, Error> {
    let keys: KeyRing = identities.into_iter().collect();
    let mut opened = Vec::new();
    for Named { object, file } in &args.files {
        let Object { namespace, name } = object.clone();
        opened.push((object.clone(), SealedFileSource { namespace, name, file: file.clone(), keys: &keys }.open()?));
    }
    let any_case = args.export && host() == Some(Host::Azure);
    let rules = Rules { only: &args.only, prefix: &args.prefix, allowed: &args.allow_name, as_files: args.as_files, any_case };
    choose(opened, rules, if any_case { is_set_in_any_case } else { is_set })
}

/// Whose pipeline this runs in.
fn host() -> Option<Host> {
    Host::detect(|name| std::env::var_os(name))
}

/// Whether the command would have the variable anyway.
fn is_set(name: &OsStr) -> bool {
    std::env::var_os(name).is_some()
}

/// The same for an agent of Azure DevOps.
fn is_set_in_any_case(name: &OsStr) -> bool {
    std::env::vars_os().any(|(set, _)| set.eq_ignore_ascii_case(name))
}

/// What is said before the command runs: of what will not be redacted, and to the host.
fn announce(args: &Args, chosen: &[Chosen]) -> Result<(), Error> {
    if !args.no_redact {
        warn_of_short(chosen, "redacted");
    }
    if args.mask { mask(chosen) } else { Ok(()) }
}

/// The command as it will be started, and the folder of its files.
fn prepare(args: &Args, chosen: &[Chosen]) -> Result<(Command, Option<Files>), Error> {
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]);
    if let Some(name) = &args.identity.identity_env {
        command.env_remove(name);
    }
    let storage = match &args.files_in {
        None => Storage::Memory,
        Some(folder) if args.allow_disk => Storage::Anywhere(folder.clone()),
        Some(folder) => Storage::MemoryAt(folder.clone()),
    };
    let files = if args.as_files { Some(Files::new(&storage)?) } else { None };
    for chosen in chosen {
        match &files {
            Some(files) => command.env(chosen.variable.as_str(), files.write(chosen)?),
            None => command.env(chosen.variable.as_str(), environment::value(chosen)?),
        };
    }
    // No core dump of ours, which would hold the values; the command's own are its business.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    Ok((command, files))
}

/// `done` is what does not happen to something that is everywhere.
fn warn_of_short(chosen: &[Chosen], done: &str) {
    for Chosen { label, value, .. } in chosen {
        match too_short(value.expose()) {
            None => {}
            Some(Short::Value) => warn(format!("{label} has fewer than {SHORTEST} bytes and is not {done}")),
            Some(Short::Lines(count)) => {
                let lines = plural(count, "line", "lines");
                warn(format!("{lines} of {label} with fewer than {SHORTEST} bytes are not {done} where they stand alone"));
            }
        }
    }
}

/// Tells the host to mask the values.
fn mask(chosen: &[Chosen]) -> Result<(), Error> {
    let command = match host() {
        Some(Host::GitHub) => github::mask,
        Some(Host::Azure) => azure::mask,
        host => {
            let failed = Error::new(Kind::Configuration, "nothing can be told to mask the values").cause(without(host));
            return Err(failed.hint("leave out --mask: the output of the command is redacted in any case"));
        }
    };
    for chosen in chosen {
        files::write(None, &command(chosen.value.expose()), Access::Private)?;
    }
    Ok(())
}

/// Why a host does nothing for us.
fn without(host: Option<Host>) -> String {
    host.map_or("this is no pipeline that is known".to_owned(), |host| format!("{} has nothing of the kind", host.name()))
}

/// Sets the values as variables for later steps.
fn export(args: &Args, chosen: &[Chosen]) -> Result<(), Error> {
    match host() {
        Some(host @ (Host::GitHub | Host::Azure)) if args.allow_artifact.is_some() => {
            let failed = Error::new(Kind::Usage, format!("there is no artifact on {}", host.name()));
            Err(failed.hint("leave out --allow-artifact: later steps get the values as variables"))
        }
        Some(Host::GitHub) => export_to_github(chosen),
        Some(Host::Azure) => export_to_azure(args, chosen),
        Some(Host::GitLab) => match &args.allow_artifact {
            Some(path) => export_to_artifact(chosen, path),
            None => Err(Error::new(Kind::Usage, "GitLab passes variables to later jobs in an artifact only")
                .cause("whoever may read the artifacts of the project could download the values")
                .hint("run exec in the job that needs them; or, if that is accepted, add --allow-artifact FILE")),
        },
        host => {
            let failed = Error::new(Kind::Configuration, "there are no later steps to export to").cause(without(host));
            Err(failed.hint("run what needs the values: bulla exec … -- CMD"))
        }
    }
}

fn export_to_github(chosen: &[Chosen]) -> Result<(), Error> {
    let path = std::env::var_os("GITHUB_ENV").map(PathBuf::from).ok_or_else(|| {
        let failed = Error::new(Kind::Configuration, "cannot export").cause("$GITHUB_ENV is not set");
        failed.hint("run this in a step of the job itself, not in a container of its own")
    })?;
    let mut lines = Vec::new();
    for chosen in chosen {
        let line = github::variable(chosen.variable.as_str(), chosen.value.expose(), &delimiter()?);
        lines.push(line.ok_or_else(|| no_text(chosen, "hand it over in the step that needs it: --as-files"))?);
    }
    warn_of_short(chosen, "masked");
    mask(chosen)?;
    append(&path, &lines)
}

fn export_to_azure(args: &Args, chosen: &[Chosen]) -> Result<(), Error> {
    let folder = std::env::var_os("AGENT_TEMPDIRECTORY").map(PathBuf::from);
    let commands: Vec<_> = chosen.iter().map(|chosen| azure::variable(chosen.variable.as_str(), chosen.value.expose())).collect();
    // A value that goes into a file has another name, which is looked at as the first one was.
    for (in_file, _) in chosen.iter().zip(&commands).filter(|(_, command)| command.is_none()) {
        let name = in_file.variable.of_file();
        selection::allow(&in_file.label, &name, &args.allow_name, is_set_in_any_case)?;
        if let Some(other) = chosen.iter().find(|other| other.variable.in_any_case() == name.in_any_case()) {
            return Err(selection::same_name(&name, &in_file.label, &other.label));
        }
    }
    warn_of_short(chosen, "masked");
    mask(chosen)?;
    for (chosen, command) in chosen.iter().zip(commands) {
        let command = match command {
            Some(command) => command,
            None => azure::path_variable(chosen.variable.of_file().as_str(), &kept_file(chosen, folder.as_deref())?),
        };
        files::write(None, &command, Access::Private)?;
    }
    Ok(())
}

/// A value that is no line of text, in a file of its own for its owner alone. The agent empties that folder after the job.
fn kept_file(chosen: &Chosen, folder: Option<&Path>) -> Result<String, Error> {
    let failed = |cause: String| {
        let failed = Error::new(Kind::Io, format!("cannot write a file for {}", chosen.label)).cause(cause);
        failed.hint("values of several lines go to the folder that $AGENT_TEMPDIRECTORY names")
    };
    let folder = folder.ok_or_else(|| failed("$AGENT_TEMPDIRECTORY is not set".to_owned()))?;
    let written = tempfile::Builder::new().prefix("bulla-").tempfile_in(folder).and_then(|mut file| {
        file.write_all(chosen.value.expose())?;
        Ok(file.keep()?.1)
    });
    let path = written.map_err(|error| failed(error.kind().to_string()))?;
    path.into_os_string().into_string().map_err(|_| failed("its path is not UTF-8".to_owned()))
}

fn export_to_artifact(chosen: &[Chosen], path: &Path) -> Result<(), Error> {
    let mut lines = Vec::new();
    for chosen in chosen {
        let line = gitlab::variable(chosen.variable.as_str(), chosen.value.expose());
        lines.push(line.ok_or_else(|| no_text(chosen, "a dotenv artifact takes text without spaces and line breaks"))?);
    }
    let all = zeroize::Zeroizing::new(lines.iter().map(|line| line.as_slice()).collect::<Vec<_>>().concat());
    files::write(Some(path), &all, Access::Private)
}

fn no_text(chosen: &Chosen, hint: &str) -> Error {
    Error::new(Kind::Usage, format!("{} cannot be exported", chosen.label))
        .cause("its value does not fit into the format")
        .hint(hint)
}

/// What ends a value in `$GITHUB_ENV`: random, so that whoever seals a value cannot have it in there.
fn delimiter() -> Result<String, Error> {
    let mut random = [0; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
    read.map_err(|error| {
        Error::new(Kind::Io, "cannot draw a random number").cause(error).hint("check that /dev/urandom is there")
    })?;
    Ok(format!("bulla_{:032x}", u128::from_ne_bytes(random)))
}

/// Appends to a file of the host's. Its last line may lack its end, which would make ours a part of it; blank lines are passed over.
fn append(path: &Path, lines: &[impl AsRef<[u8]>]) -> Result<(), Error> {
    let appended = OpenOptions::new().append(true).open(path).and_then(|mut file| {
        file.write_all(b"\n")?;
        lines.iter().try_for_each(|line| file.write_all(line.as_ref()))
    });
    appended.map_err(|error| {
        let failed = Error::new(Kind::Io, format!("cannot append to {}", path.display())).cause(error);
        failed.hint("the runner makes the file that $GITHUB_ENV names before each step")
    })
}
