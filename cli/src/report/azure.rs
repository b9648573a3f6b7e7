//! Logging commands of Azure DevOps, and the summary of a run.
//!
//! <https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands>

use std::fmt::Write as _;
use std::path::Path;

use super::summary;
use crate::check::Report;
use crate::check::rule::Severity;
use crate::error::{Error, printable};
use crate::files::{self, Access};

pub(super) fn render(report: &Report) -> String {
    let mut output = String::new();
    for finding in &report.findings {
        // There are two kinds; a note is a warning.
        let kind = if finding.severity == Severity::Error { "error" } else { "warning" };
        let commit = finding.file.commit.as_deref().map_or(String::new(), |commit| format!(" (in commit {commit})"));
        let _ = writeln!(
            output,
            "##vso[task.logissue type={kind};sourcepath={};linenumber={};columnnumber={};code={};]{}",
            property(&finding.file.from_root),
            finding.line,
            finding.column,
            property(finding.rule.id),
            data(&format!("{}{commit}. {}.", finding.message, finding.fix()))
        );
    }
    if report.count(Severity::Error) == 0 && report.count(Severity::Warning) > 0 {
        output.push_str("##vso[task.complete result=SucceededWithIssues;]\n");
    }
    output
}

/// Writes the summary into the agent's folder for such things, and gives the command that uploads it.
pub(super) fn write_summary(report: &Report, folder: Option<String>) -> Result<Option<String>, Error> {
    let Some(folder) = folder.filter(|folder| !folder.is_empty()) else { return Ok(None) };
    let path = Path::new(&folder).join("bulla-check.md");
    files::replace(&path, summary::render(report).as_bytes(), Access::Default)?;
    Ok(Some(format!("##vso[task.uploadsummary]{}\n", data(&path.display().to_string()))))
}

/// Text behind the bracket, of one line.
fn data(text: &str) -> String {
    printable(text).replace('%', "%AZP25")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(';', "%3B").replace(']', "%5D")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_command_is_escaped() {
        assert_eq!(data("100%\r\n##vso[x]\u{9b}"), "100%AZP25\\r\\n#\\u{23}vso[x]\\u{9b}");
        assert_eq!(property("a;b]c%"), "a%3Bb%5Dc%AZP25");
    }
}
