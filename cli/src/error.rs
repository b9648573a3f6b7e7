//! How a command ends when it goes wrong: kinds, exit codes, and the one form of every message.

use std::fmt::Display;
use std::process::ExitCode;

/// What kind of thing went wrong; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Arguments or input that cannot be used as they are.
    Usage = 2,
    /// Configuration: recipients, contexts, `.bulla.yaml`.
    Configuration = 3,
    /// Keys or ciphertext.
    Keys = 4,
    /// The cluster.
    Cluster = 5,
    /// A bug of ours.
    Bug = 70,
    /// Reading or writing.
    Io = 74,
}

/// A failed command: what failed, why, and what to do next. Never holds plaintext or a private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Error {
    /// A failure of this kind; `message` says what failed, in lower case and without a full stop.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// Adds why.
    #[must_use]
    pub fn cause(mut self, cause: impl Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what to do next, if there is something to say.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hint = hint.map(Into::into).or(self.hint);
        self
    }

    /// Prints the failure and gives its exit code.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        eprintln!("error: {}", self.message);
        for cause in &self.causes {
            eprintln!("caused by: {cause}");
        }
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(self.kind as u8)
    }
}

/// Says something that does not stop the command.
pub fn warn(message: impl Display) {
    eprintln!("warning: {message}");
}
