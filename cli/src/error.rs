//! How a command ends when it goes wrong: kinds, exit codes, and the one form of every message.

use std::fmt::{Display, Write as _};
use std::io::Write as _;
use std::process::ExitCode;

/// What kind of thing went wrong; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The command did its work and found what it looked for: stale or differing things.
    Findings = 1,
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
    /// `exec` failed before the command was started, whatever the reason.
    NotStarted = 125,
    /// The command of `exec` may not be run.
    NotRunnable = 126,
    /// The command of `exec` is not there.
    NotFound = 127,
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

    /// Puts what was being done before what failed.
    #[must_use]
    pub fn during(mut self, message: impl Into<String>) -> Self {
        self.causes.insert(0, std::mem::replace(&mut self.message, message.into()));
        self
    }

    /// The same failure, as one of `exec`: whoever starts a command tells its exit codes from ours.
    #[must_use]
    pub fn before_the_command(mut self) -> Self {
        if !matches!(self.kind, Kind::NotRunnable | Kind::NotFound) {
            self.kind = Kind::NotStarted;
        }
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

    /// Why, in one line, without what failed.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.causes.first().unwrap_or(&self.message)
    }

    /// What failed and why, in one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        let all: Vec<&str> = [&self.message].into_iter().chain(&self.causes).map(String::as_str).collect();
        all.join(": ")
    }

    /// Prints the failure and gives its exit code.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        note(format!("error: {}", self.message));
        for cause in &self.causes {
            note(format!("caused by: {cause}"));
        }
        if let Some(hint) = &self.hint {
            note(format!("hint: {hint}"));
        }
        ExitCode::from(self.kind as u8)
    }
}

/// A number with its noun.
#[must_use]
pub fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Says something that does not stop the command.
pub fn warn(message: impl Display) {
    note(format!("warning: {message}"));
}

/// Prints one line on standard error. Where nobody can read it, the work goes on all the same.
pub fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{}", printable(&line.to_string()));
}

/// Text that comes from files and arguments, fit for one line of a terminal or of a pipeline's log: control characters, what is not seen and
/// what turns the direction of writing are written as escapes, a command to the pipeline is broken, and a private key in the wrong place is
/// left out.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for c in without_identities(text).chars() {
        let unseen =
            matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        // Writing to memory does not fail.
        let _ = if unseen || c.is_control() { write!(output, "{}", c.escape_default()) } else { output.write_char(c) };
    }
    without_commands(&output)
}

/// Azure DevOps and GitHub Actions act on `##vso[` and `##[` wherever they stand in what a step prints, and on `::` at the start of a line.
fn without_commands(text: &str) -> String {
    let text = text.replace("##vso[", "#\\u{23}vso[").replace("##[", "#\\u{23}[");
    if text.trim_start().starts_with("::") { text.replacen("::", ":\\u{3a}", 1) } else { text }
}

/// The text with each `AGE-SECRET-KEY-…`, in either case, replaced.
#[must_use]
pub fn without_identities(text: &str) -> String {
    const START: &str = "age-secret-key-";
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    // Only ASCII changes its case, so offsets stay.
    while let Some(at) = rest.to_ascii_lowercase().find(START) {
        output.push_str(&rest[..at]);
        output.push_str("(a private key)");
        let after = &rest[at + START.len()..];
        rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '-');
    }
    output + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_or_opens_a_value_is_printed() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{9b}\u{202e}é"), "a\\u{1b}[2J\\nb\\u{9b}\\u{202e}é");
        assert_eq!(printable("a\u{200b}\u{ad}"), "a\\u{200b}\\u{ad}");
        let text = "read /keys/AGE-SECRET-KEY-PQ-1QQQ/x or 'age-secret-key-1qqq'";
        assert_eq!(printable(text), "read /keys/(a private key)/x or '(a private key)'");
    }

    #[test]
    fn a_pipeline_is_told_nothing() {
        assert_eq!(printable("a ##vso[task.x]##[y] # ## b"), "a #\\u{23}vso[task.x]#\\u{23}[y] # ## b");
        assert_eq!(printable(" ::error::x::"), " :\\u{3a}error::x::");
        assert_eq!(printable("a::b #[c]"), "a::b #[c]");
    }
}
