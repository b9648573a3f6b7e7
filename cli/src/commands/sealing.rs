//! To whom and how the commands seal: flags, else the rule for the file, else what the command itself knows.

use std::path::Path;

use bulla_shared::age::Recipient;
use bulla_shared::binding::ScopeKind;
use bulla_shared::sealed::Recipients;
use jiff::Timestamp;
use jiff::civil::Date;

use super::completions;
use super::objections::Objections;
use super::values::{Scope, due};
use crate::cluster::sealing_keys::announced_key;
use crate::config::{self, Choice, Config, Configs};
use crate::error::{Error, Kind};
use crate::keys::{self, RecipientArgs};

/// Flags that say to whom and how.
#[derive(Debug, clap::Args)]
pub(super) struct SealingArgs {
    #[command(flatten)]
    recipients: RecipientArgs,
    /// Context of the kubeconfig whose newest key to seal to
    #[arg(long, conflicts_with_all = ["recipients", "recipient_files"])]
    context: Option<String>,
    /// Target of .bulla.yaml to seal to; may be repeated [default: those of the rule for the file]
    #[arg(short, long = "target", value_name = "NAME", add = completions::targets(), conflicts_with_all = ["recipients", "recipient_files", "context"])]
    targets: Vec<String>,
    /// What a value is bound to [default: what the values in the file are, else what the rule says, else strict]
    #[arg(long, value_enum)]
    scope: Option<Scope>,
    /// Days after which the values are due for rotation, such as 90d
    #[arg(long, value_name = "DAYS", value_parser = config::days)]
    rotate_after: Option<i32>,
}

/// To whom and how one file is sealed.
pub(super) struct Sealing {
    pub(super) recipients: Recipients,
    /// What the command line asks for.
    pub(super) scope: Option<ScopeKind>,
    /// What the rule says where nothing else does.
    pub(super) rule: Choice,
    pub(super) now: Timestamp,
    pub(super) rotate_by: Option<Date>,
    /// What is held against the text that comes of it.
    pub(super) objections: Objections,
}

/// The flags, read once: a recipients file may be standard input.
pub(super) struct Sealer<'a> {
    args: &'a SealingArgs,
    given: Vec<Recipient>,
    configs: Configs,
    now: Timestamp,
}

impl SealingArgs {
    pub(super) fn read(&self) -> Result<Sealer<'_>, Error> {
        let given = match &self.context {
            Some(context) => vec![announced_key(Some(context))?],
            None => self.recipients.read()?,
        };
        Ok(Sealer { args: self, given, configs: Configs::default(), now: Timestamp::now() })
    }
}

impl Sealer<'_> {
    /// For the file that will hold the ciphertext, if it has a path; `otherwise` is asked where neither flags nor a rule say to whom.
    pub(super) fn of(
        &self,
        file: Option<&Path>,
        otherwise: impl FnOnce(Option<&Config>) -> Result<Option<Vec<Recipient>>, Error>,
    ) -> Result<Sealing, Error> {
        let mut rule = Choice::default();
        let config = if self.given.is_empty() { self.configs.for_file(file)? } else { None };
        let given = match (config.as_deref(), self.args.targets.as_slice()) {
            _ if !self.given.is_empty() => self.given.clone(),
            (None, [_, ..]) => return Err(Config::missing().hint("targets are named there; name recipients with -r or -R")),
            (Some(config), targets @ [_, ..]) => config.recipients(targets)?,
            (Some(config), []) => {
                let no_path = || {
                    Error::new(Kind::Configuration, "no rule can be looked up for standard input")
                        .hint("name the file to write with -o, a target with -t, or recipients with -r or -R")
                };
                match config.rule_for(file.ok_or_else(no_path)?) {
                    Ok(found) => {
                        rule = found;
                        config.recipients(&rule.targets)?
                    }
                    Err(error) => otherwise(Some(config))?.ok_or(error)?,
                }
            }
            (None, []) => otherwise(None)?.ok_or_else(|| {
                Error::new(Kind::Configuration, "no recipients are given, and there is no .bulla.yaml here or above")
                    .hint("name them with -r or -R: public keys, as bulla recipients prints them")
            })?,
        };
        let rotate_after = self.args.rotate_after.or(rule.rotate_after);
        Ok(Sealing {
            recipients: keys::together(given)?,
            scope: self.args.scope.map(ScopeKind::from),
            rule,
            now: self.now,
            rotate_by: rotate_after.map(|days| due(self.now, days)),
            objections: Objections::new(file, config),
        })
    }
}
