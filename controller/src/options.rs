//! Command line of the controller.

use bulla_keys::rotation::Policy;
use bulla_shared::opening::AllowedTypes;
use clap::{Parser, ValueEnum};
use jiff::SignedDuration;

/// Opens SealedSecrets into Secrets, with private keys that never leave their namespace.
#[derive(Debug, Clone, Parser)]
#[command(name = "bulla-controller", version)]
pub struct Options {
    /// Namespace in which private keys are kept
    #[arg(long, env = "POD_NAMESPACE", default_value = "bulla-system")]
    pub namespace: String,
    /// Context of the kubeconfig to use; in a pod, the pod's own ServiceAccount is used without it
    #[arg(long)]
    pub context: Option<String>,
    /// How many objects are reconciled at once [default: twice the cores, 4 to 16]
    #[arg(long)]
    pub workers: Option<usize>,
    /// A further Secret type that may be made; may be repeated
    #[arg(long = "allow-type", value_name = "TYPE")]
    pub allow_types: Vec<String>,
    /// Generate private keys; switch off on a rebuilt cluster until its backup is restored
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true)]
    pub generate_keys: bool,
    /// Age of the newest key at which the next one is made, such as 365d [default: never]
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub key_renew_period: Option<SignedDuration>,
    /// Age at which a key only opens, once a newer one is Active, such as 400d [default: never]
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub key_decrypt_only_after: Option<SignedDuration>,
    /// How much is logged
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
    /// Form of the log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
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

impl Options {
    /// The Secret types that are made.
    #[must_use]
    pub fn allowed_types(&self) -> AllowedTypes {
        AllowedTypes::with(self.allow_types.iter().cloned())
    }

    /// When keys change by themselves.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { renew_period: self.key_renew_period, decrypt_only_after: self.key_decrypt_only_after }
    }

    /// The number of workers in effect.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.unwrap_or_else(|| (2 * std::thread::available_parallelism().map_or(2, usize::from)).clamp(4, 16)).max(1)
    }
}

fn days(text: &str) -> Result<SignedDuration, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok()).filter(|days| (1..=36_500).contains(days));
    days.map(|days| SignedDuration::from_hours(24 * days)).ok_or_else(|| "expected days, such as 365d".to_owned())
}
