//! `bulla check`: the one linter, without key and cluster. The work is in [`crate::check`], the forms of its report in [`crate::report`].

use std::path::PathBuf;

use super::completions;
use crate::check::rule::Severity;
use crate::check::{self, Report, Request};
use crate::error::{Error, Kind, note, plural};
use crate::files::{self, Access};
use crate::report::{Format, summary};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bulla check                              all here and below that Git does not ignore\n  \
    bulla check --staged                     what the next commit would add\n  \
    bulla check --since origin/main          what a branch brought, also what it took away again\n  \
    bulla check --since REV --trust-rev REV  the same, by the rules and keys of REV\n  \
    helm template chart | bulla check -      what is applied in the end\n  \
    bulla check --format json -o known.json  a baseline: what is known\n  \
    bulla check --baseline known.json        what is new since then\n\n\
    Exit code 1 if there is an error; warnings and notes do not fail a run, unless .bulla.yaml makes them errors.\n\n\
    In GitHub Actions and Azure DevOps the report is annotations, with -o a file that the pipeline reads; in GitLab and Jenkins with -o as well.\n\n\
    docs/rules.md describes each rule. A comment beside what is found allows it: # bulla:allow RULE reason\n\n\
    Without a key the MAC is unchecked: whoever can write a sealed value can write what it says of itself.")]
pub struct Args {
    /// Files, or folders of them; standard input for - [default: the working directory, or all that --staged or --since find]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Check what is staged, as it is staged
    #[arg(long, conflicts_with = "since")]
    staged: bool,
    /// Check what the commits after this one brought
    #[arg(long, value_name = "REV")]
    since: Option<String>,
    /// Leave out a rule; may be repeated
    #[arg(long, value_name = "RULE", add = completions::rules())]
    skip: Vec<String>,
    /// Leave out what this earlier report in JSON has
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Recipients that may be sealed to, instead of those that the repository names; may be repeated
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// Take .bulla.yaml, the recipients files that it names and the baseline from this revision, such as the target branch of a pull request
    #[arg(long, value_name = "REV", conflicts_with_all = ["trust", "config"])]
    trust_rev: Option<String>,
    /// Configuration to use instead of .bulla.yaml, as if it stood in the root of the repository
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Form of the report [default: text, or what the pipeline reads that this runs in]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write the report to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    // One that came with the files under check would choose what is overwritten.
    if let Some(output) = args.output.as_ref().filter(|output| output.is_symlink()) {
        let failed = Error::new(Kind::Io, format!("cannot write the report to {}", output.display())).cause("it is a link");
        return Err(failed.hint("remove it, or name another file; - is standard output"));
    }
    let report = check::run(&Request {
        paths: args.paths.clone(),
        staged: args.staged,
        since: args.since.clone(),
        skip: args.skip.clone(),
        baseline: args.baseline.clone(),
        trust: args.trust.clone(),
        trust_rev: args.trust_rev.clone(),
        config: args.config.clone(),
    })?;
    let variable = |name: &str| std::env::var(name).ok();
    let format = args.format.unwrap_or_else(|| Format::detect(args.output.is_some(), variable));
    let mut output = format.render(&report)?;
    output.extend(summary(format, &report, variable)?);
    files::write(args.output.as_deref(), output.as_bytes(), Access::Default)?;
    conclude(&report)
}

fn conclude(report: &Report) -> Result<(), Error> {
    let (errors, warnings, notes) =
        (report.count(Severity::Error), report.count(Severity::Warning), report.count(Severity::Note));
    let found = [(errors, "error", "errors"), (warnings, "warning", "warnings"), (notes, "note", "notes")];
    let found: Vec<_> =
        found.into_iter().filter(|(count, ..)| *count > 0).map(|(count, one, many)| plural(count, one, many)).collect();
    let text = format!("{} in {}", found.join(", "), plural(report.files.len(), "file", "files"));
    match (errors, found.is_empty()) {
        (0, true) => Ok(()),
        (0, false) => {
            note(text);
            Ok(())
        }
        _ => Err(Error::new(Kind::Findings, text).hint("docs/rules.md says what each means and how one is allowed")),
    }
}
