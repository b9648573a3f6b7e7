//! Command line of the controller.

use bulla_shared::opening::AllowedTypes;
use clap::{Parser, ValueEnum};

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

    /// The number of workers in effect.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.unwrap_or_else(|| (2 * std::thread::available_parallelism().map_or(2, usize::from)).clamp(4, 16)).max(1)
    }
}
