//! Workflow commands of GitHub Actions, which become annotations, and the step summary.
//!
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;

use super::summary;
use crate::check::Report;
use crate::check::rule::Severity;
use crate::error::{Error, Kind, printable};

pub(super) fn render(report: &Report) -> String {
    let mut output = String::new();
    for finding in &report.findings {
        let command = match finding.severity {
            Severity::Note => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let (line, column, end) = (finding.line, finding.column, finding.end_column);
        let file = property(&finding.file.from_root);
        let commit = finding.file.commit.as_deref().map_or(String::new(), |commit| format!(" (in commit {commit})"));
        let message = data(&format!("{}{commit}. {}.", finding.message, finding.fix()));
        let _ = writeln!(
            output,
            "::{command} file={file},line={line},endLine={line},col={column},endColumn={end},title={}::{message}",
            property(&format!("bulla {}", finding.rule.id))
        );
    }
    output
}

/// Adds to the file that the runner shows as the summary of the step, if there is one.
pub(super) fn write_summary(report: &Report, path: Option<String>) -> Result<(), Error> {
    let Some(path) = path.filter(|path| !path.is_empty()) else { return Ok(()) };
    let added = File::options()
        .append(true)
        .create(true)
        .open(&path)
        .and_then(|mut file| file.write_all(summary::render(report).as_bytes()));
    added.map_err(|error| {
        Error::new(Kind::Io, "cannot write the step summary")
            .cause(error)
            .hint("GITHUB_STEP_SUMMARY names the file; unset it to do without")
    })
}

/// Text behind the `::`, of one line.
fn data(text: &str) -> String {
    printable(text).replace('%', "%25")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_command_is_escaped() {
        assert_eq!(data("100%\r\n::error::x\u{1b}["), "100%25\\r\\n::error::x\\u{1b}[");
        assert_eq!(property("a,line=1::b%"), "a%2Cline=1%3A%3Ab%25");
    }
}
