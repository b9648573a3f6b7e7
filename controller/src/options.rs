//! Command line of the controller.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bulla_keys::rotation::Policy;
use bulla_shared::convert::is_minting;
use bulla_shared::names::Namespace;
use bulla_shared::names::{annotation_key, label_key, label_value};
use bulla_shared::opening::AllowedTypes;
use bulla_shared::resources::is_reserved;
use clap::{Parser, Subcommand, ValueEnum};
use jiff::SignedDuration;

use crate::audit::verify::Verify;
use crate::plan::Defaults;
use crate::watch::Within;

/// Opens SealedSecrets into Secrets, with private keys that never leave their namespace.
#[derive(Debug, Clone, Parser)]
#[command(name = "bulla-controller", version, args_conflicts_with_subcommands = true)]
pub struct Options {
    /// Something else than to run
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Namespace in which private keys are kept
    #[arg(long, env = "POD_NAMESPACE", default_value = "bulla-system", value_parser = namespace)]
    pub namespace: String,
    /// Context of the kubeconfig to use; in a pod, the pod's own ServiceAccount is used without it
    #[arg(long)]
    pub context: Option<String>,
    /// How many objects are reconciled at once [default: twice the cores, 4 to 16]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// A further Secret type that may be made; may be repeated
    #[arg(long = "allow-type", value_name = "TYPE", value_parser = secret_type)]
    pub allow_types: Vec<String>,
    /// A namespace to serve, instead of all; may be repeated
    #[arg(long = "watch-namespace", value_name = "NAMESPACE", value_parser = namespace)]
    pub watch_namespaces: Vec<String>,
    /// A label for every Secret that is made, unless its template has it; may be repeated
    #[arg(long = "default-label", value_name = "KEY=VALUE", value_parser = label)]
    pub default_labels: Vec<(String, String)>,
    /// An annotation for every Secret that is made, unless its template has it; may be repeated
    #[arg(long = "default-annotation", value_name = "KEY=VALUE", value_parser = annotation)]
    pub default_annotations: Vec<(String, String)>,
    /// Generate private keys; switch off on a rebuilt cluster until its backup is restored
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true)]
    pub generate_keys: bool,
    /// Age of the newest key at which the next one is made, such as 365d [default: never]
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub key_renew_period: Option<SignedDuration>,
    /// Age at which a key only opens, once a newer one is Active, such as 400d [default: never]
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub key_decrypt_only_after: Option<SignedDuration>,
    /// Where /healthz, /readyz and /metrics are served
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    pub http_address: SocketAddr,
    /// Give each SealedSecret a line in /metrics, with its name
    #[arg(long)]
    pub metrics_object_names: bool,
    /// How long a standby waits after the last sign of life of the replica that writes, such as 15s
    #[arg(long, value_name = "SECONDS", default_value = "15s", value_parser = lease_seconds)]
    pub lease_duration: Duration,
    /// Where the audit trail goes: - for standard output, off, or a file to append to
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub audit_log: AuditLog,
    /// How much is logged
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
    /// Form of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// What else than running there is.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// The audit trail
    #[command(subcommand)]
    Audit(AuditCommand),
}

/// What can be done with an audit trail.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Find lines that were removed, changed, moved or cut off
    Verify(Verify),
}

/// Where the audit trail goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditLog {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To the end of a file.
    File(PathBuf),
}

impl std::str::FromStr for AuditLog {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" => return Err("expected -, off or a file"),
            "off" => Self::Off,
            "-" => Self::Stdout,
            path => Self::File(path.into()),
        })
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogLevel {
    /// Only what an admin has to act on.
    Error,
    /// And what may need a look.
    Warn,
    /// And each change made.
    Info,
    /// And why nothing was done.
    Debug,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Exit code of a command line, or an environment, that cannot be meant.
const USAGE: u8 = 2;

/// Says in one line what cannot be meant, whatever the form of the log: it has not been read then.
pub(crate) fn refuse(what: impl Display) -> ExitCode {
    let line = what.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    // Nothing is left to be told to whoever does not listen.
    drop(std::io::stderr().write_all(format!("error: {line}\n").as_bytes()));
    ExitCode::from(USAGE)
}

impl Options {
    /// The options of this process, from its command line and environment; else what to end with, once it has been told why.
    pub fn of_process() -> Result<Self, ExitCode> {
        let options = Self::try_parse().map_err(|error| {
            if !error.use_stderr() {
                drop(error.print());
                return ExitCode::SUCCESS;
            }
            let text = error.to_string();
            let what = text.split("\n\nUsage:").next().unwrap_or_default().split("\n\nFor more").next().unwrap_or_default();
            refuse(format!("{}; see --help", what.trim_start_matches("error: ")))
        })?;
        options.contradiction().map_or(Ok(options), |what| Err(refuse(what)))
    }

    /// What cannot be meant together.
    fn contradiction(&self) -> Option<String> {
        if !self.generate_keys && self.key_renew_period.is_some() {
            return Some("--key-renew-period asks for keys to be made, and --generate-keys=false for none".to_owned());
        }
        if self.watch_namespaces.contains(&self.namespace) {
            return Some(format!("--watch-namespace={} has the private keys: no SealedSecret is opened there", self.namespace));
        }
        let twice = |flag: &str, pairs: &[(String, String)]| {
            let mut seen = BTreeMap::new();
            let twice = pairs.iter().find(|(key, value)| seen.insert(key, value).is_some_and(|before| before != value));
            twice.map(|(key, _)| format!("{flag} gives {key} two values"))
        };
        twice("--default-label", &self.default_labels).or_else(|| twice("--default-annotation", &self.default_annotations))
    }

    /// The Secret types that are made.
    #[must_use]
    pub fn allowed_types(&self) -> AllowedTypes {
        AllowedTypes::with(self.allow_types.iter().cloned())
    }

    /// What every Secret gets that is made.
    #[must_use]
    pub fn defaults(&self) -> Defaults {
        let map = |pairs: &[(String, String)]| pairs.iter().cloned().collect();
        Defaults { labels: map(&self.default_labels), annotations: map(&self.default_annotations) }
    }

    /// The namespaces to watch, each by itself, or all at once.
    #[must_use]
    pub fn watched(&self) -> Vec<Within> {
        let named: BTreeSet<String> = self.watch_namespaces.iter().cloned().collect();
        if named.is_empty() { vec![None] } else { named.into_iter().map(Some).collect() }
    }

    /// When keys change by themselves.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { renew_period: self.key_renew_period, decrypt_only_after: self.key_decrypt_only_after }
    }

    /// The number of workers in effect.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.map_or_else(|| (2 * std::thread::available_parallelism().map_or(2, usize::from)).clamp(4, 16), usize::from)
    }
}

fn namespace(text: &str) -> Result<String, String> {
    text.parse::<Namespace>().map(|namespace| namespace.to_string()).map_err(|error| error.to_string())
}

fn secret_type(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if text.is_empty() || text.len() > 253 || !text.bytes().all(is_plain) {
        return Err("expected a type of Secrets, such as example.com/other".to_owned());
    }
    if is_minting(text) {
        return Err("the cluster acts on Secrets of this type: they are never made".to_owned());
    }
    Ok(text.to_owned())
}

/// A label as the API server takes it: what it refuses later would stall every object.
fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = pair(text)?;
    label_key(&key).and(label_value(&value)).map_err(|error| error.to_string())?;
    Ok((key, value))
}

fn annotation(text: &str) -> Result<(String, String), String> {
    let (key, value) = pair(text)?;
    annotation_key(&key).map_err(|error| error.to_string())?;
    Ok((key, value))
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as example.com/team=shop")?;
    if is_reserved(key) {
        return Err("this key is reserved".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn days(text: &str) -> Result<SignedDuration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()).filter(|days| (1..=36_500).contains(days));
    days.map(|days| SignedDuration::from_hours(24 * days)).ok_or_else(|| "expected days, such as 365d".to_owned())
}

fn lease_seconds(text: &str) -> Result<Duration, String> {
    let seconds =
        text.strip_suffix('s').and_then(|seconds| seconds.parse::<u64>().ok()).filter(|seconds| (2..=600).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "expected 2s to 600s, such as 15s".to_owned())
}
