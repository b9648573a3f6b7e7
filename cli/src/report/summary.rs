//! The summary in Markdown that pipelines show beside their log: counts, and the findings as a table.

use std::fmt::Write as _;

use crate::check::Report;
use crate::check::rule::Severity;
use crate::error::{plural, printable};

/// Most rows of the table: a pipeline takes 1 MiB a step.
const ROWS: usize = 200;

pub(super) fn render(report: &Report) -> String {
    let (errors, warnings, notes) =
        (report.count(Severity::Error), report.count(Severity::Warning), report.count(Severity::Note));
    let mut output = String::from("### bulla check\n\n");
    let _ = writeln!(
        output,
        "{}, {}, {} in {}.\n",
        plural(errors, "error", "errors"),
        plural(warnings, "warning", "warnings"),
        plural(notes, "note", "notes"),
        plural(report.files.len(), "file", "files")
    );
    if !report.findings.is_empty() {
        output.push_str("| | rule | where | what |\n| --- | --- | --- | --- |\n");
        for finding in report.findings.iter().take(ROWS) {
            let place = cell(&format!("{}:{}", finding.file.from_root, finding.line));
            let _ = writeln!(output, "| {} | `{}` | {place} | {} |", finding.severity, finding.rule.id, cell(&finding.message));
        }
        if report.findings.len() > ROWS {
            let _ = writeln!(output, "\nand {} more.", report.findings.len() - ROWS);
        }
        output.push('\n');
    }
    for line in &report.unproven {
        let _ = writeln!(output, "- {line}");
    }
    output
}

/// Text that stays in its cell and makes neither a link nor HTML.
fn cell(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '<' => output.push_str("&lt;"),
            '&' => output.push_str("&amp;"),
            '|' | '\\' | '[' | ']' | '*' | '_' | '`' | '~' | '!' | '@' | '#' => {
                output.push('\\');
                output.push(c);
            }
            _ => output.push(c),
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_holds_its_text() {
        assert_eq!(cell("a|b\n<img> [x](y) `z`"), "a\\|b\\\\n&lt;img> \\[x\\](y) \\`z\\`");
    }
}
