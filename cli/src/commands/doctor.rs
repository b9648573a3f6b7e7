//! `bulla doctor`: what is set up here and what is not: configuration, the rule for a path, recipients, clusters, Git.

use std::path::{Path, PathBuf};

use bulla_shared::recipients::RecipientsFile;

use super::git;
use crate::cluster::{CONTEXT, Cluster};
use crate::config::{Config, Configs};
use crate::error::{Error, Kind, plural, printable};
use crate::files::{self, Access};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code 1 if something has to be put right. A cluster that does not answer is said and is no fault: sealing needs none."
)]
pub struct Args {
    /// File to name the rule for; it need not be there yet
    path: Option<PathBuf>,
}

/// Lines of the report, and how many of them are faults.
#[derive(Default)]
struct Report {
    text: String,
    faults: usize,
}

impl Report {
    fn line(&mut self, line: impl AsRef<str>) {
        self.text.extend([printable(line.as_ref()).as_str(), "\n"]);
    }

    fn fault(&mut self, line: impl AsRef<str>) {
        self.faults += 1;
        self.line(format!("FAULT  {}", line.as_ref()));
    }
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let mut report = Report::default();
    let config = Configs::default().for_file(args.path.as_deref())?;
    match &config {
        None => report.line("configuration: none here or above; bulla init writes one"),
        Some(config) => {
            report.line(format!("configuration: {}", config.path().display()));
            targets(&mut report, config);
        }
    }
    if let Some(path) = &args.path {
        rule(&mut report, config.as_deref(), path);
    }
    repository(&mut report)?;
    files::write(None, report.text.as_bytes(), Access::Default)?;
    if report.faults == 0 {
        return Ok(());
    }
    Err(Error::new(Kind::Findings, format!("{} to put right", plural(report.faults, "thing is", "things are")))
        .hint("see the lines that begin with FAULT"))
}

fn targets(report: &mut Report, config: &Config) {
    for name in config.targets() {
        match config.target(name) {
            Err(error) => report.fault(format!("target {name}: {}", error.one_line())),
            Ok((file, context)) => {
                let keys = file.as_ref().map_or("asked for each time".to_owned(), describe);
                report.line(format!("target {name}: {keys}"));
                if let Some(context) = context {
                    cluster(report, &context, file.as_ref());
                }
            }
        }
    }
    match config.recovery() {
        Err(error) => report.fault(format!("recovery: {}", error.one_line())),
        Ok(None) => report.line("recovery: none; with a recovery key kept offline, values outlive the cluster"),
        Ok(Some(file)) => report.line(format!("recovery: {}", describe(&file))),
    }
}

fn describe(file: &RecipientsFile) -> String {
    let ids =
        file.recipients.iter().map(|recipient| format!("{} {}", recipient.algorithm().as_str(), recipient.fingerprint().id()));
    let older = if file.old.is_empty() {
        String::new()
    } else {
        format!("; {} known", plural(file.old.len(), "older key", "older keys"))
    };
    format!("{}{older}", ids.collect::<Vec<_>>().join(", "))
}

fn cluster(report: &mut Report, context: &str, committed: Option<&RecipientsFile>) {
    let newest = Cluster::connect(Some(context), CONTEXT)
        .and_then(|cluster| crate::target::Target::from_cluster(&cluster, jiff::Timestamp::now()));
    match (newest, committed) {
        (Err(error), _) => report.line(format!("  context {context}: {}", error.one_line())),
        (Ok(target), Some(file)) if !target.newest.iter().any(|newest| file.recipients.contains(newest)) => {
            report.fault(format!("  context {context}: its newest key is not committed; bulla recipients --update"));
        }
        (Ok(_), Some(_)) => report.line(format!("  context {context}: its newest key is committed")),
        (Ok(_), None) => report.line(format!("  context {context}: answers")),
    }
}

fn rule(report: &mut Report, config: Option<&Config>, path: &Path) {
    let shown = path.display();
    let Some(config) = config else {
        report.line(format!("{shown}: no configuration, so recipients come from -r, -R or the current context"));
        return;
    };
    let seen = config.inside_path(path).ok().flatten();
    let shown = seen.as_deref().unwrap_or(path).display();
    match (config.rule_number(path), config.rule_for(path)) {
        (Ok(Some((number, glob))), Ok(choice)) => {
            report.line(format!("{shown}: rule {number}, the first whose path matches ({glob})"));
            report.line(format!("  targets {}", choice.targets.join(", ")));
            report.line(format!("  scope {}", choice.scope.unwrap_or_default()));
            if let Some(namespace) = choice.namespace {
                report.line(format!("  namespace {namespace}, which a Secret need not name"));
            }
            if let Some(days) = choice.rotate_after {
                report.line(format!("  rotate after {}", plural(usize::try_from(days).unwrap_or_default(), "day", "days")));
            }
            if let Err(error) = config.recipients(&choice.targets).and_then(crate::keys::together) {
                report.fault(format!("  {}", error.one_line()));
            }
        }
        (Err(error), _) | (_, Err(error)) => report.fault(format!("{shown}: {}", error.one_line())),
        (Ok(None), Ok(_)) => {}
    }
}

fn repository(report: &mut Report) -> Result<(), Error> {
    let here = std::env::current_dir().map_err(|error| Error::new(Kind::Io, "no working directory").cause(error))?;
    let Ok(Some(root)) = git::ask(&here, &["rev-parse", "--show-toplevel"]) else {
        report.line("git: not a working tree");
        return Ok(());
    };
    let root = PathBuf::from(root);
    let (path, hook) = git::hook(&root)?;
    report.line(match hook {
        git::Hook::Checks => format!("git: {} checks what is committed", path.display()),
        git::Hook::Other => format!("git: {} does not run bulla check", path.display()),
        git::Hook::NotExecutable => format!("git: {} is not executable, so Git does not run it", path.display()),
        git::Hook::Missing => "git: no pre-commit hook; bulla git install writes one".to_owned(),
    });
    if git::ask(&root, &["config", "merge.bulla.driver"])?.is_none() {
        report.line("git: sealed files are merged line by line; bulla git install changes that");
    }
    Ok(())
}
