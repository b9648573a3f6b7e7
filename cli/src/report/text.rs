//! The report for people: what, where, the line with a mark, what to do.

use std::fmt::Write as _;

use crate::check::Report;
use crate::check::finding::Finding;
use crate::error::{plural, printable};

pub(super) fn render(report: &Report) -> String {
    let mut output = String::new();
    for finding in &report.findings {
        one(&mut output, finding);
    }
    if report.known > 0 {
        let _ = writeln!(output, "{} in the baseline not shown", plural(report.known, "finding", "findings"));
    }
    let _ = writeln!(output, "looked at {}", plural(report.files.len(), "file", "files"));
    for line in &report.unproven {
        let _ = writeln!(output, "{line}");
    }
    output
}

fn one(output: &mut String, finding: &Finding) {
    let Finding { severity, rule, line, column, .. } = finding;
    let width = line.to_string().len();
    let _ = writeln!(output, "{severity}[{}]: {}", rule.id, printable(&finding.message));
    let commit = finding.file.commit.as_deref().map_or(String::new(), |commit| format!(" in commit {commit}"));
    let _ = writeln!(output, "{:width$}--> {}:{line}:{column}{commit}", "", printable(&finding.file.shown));
    let _ = writeln!(output, "{:width$} |", "");
    let _ = writeln!(output, "{line} | {}", printable(&finding.excerpt.text));
    let mark = &finding.excerpt.mark;
    let _ = writeln!(output, "{:width$} | {}{}", "", " ".repeat(mark.start), "^".repeat(mark.len()));
    let _ = writeln!(output, "{:width$} = {}\n", "", rule.fix);
}
