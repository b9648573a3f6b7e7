//! JUnit XML as GitLab, Azure DevOps and Jenkins read it: one test case for each file, failed if there is an error in it.
//!
//! The Ant schema, of which the others are dialects, allows one `failure` in a case: it has all findings of the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::check::Report;
use crate::check::finding::Finding;
use crate::check::rule::Severity;

pub(super) fn render(report: &Report) -> String {
    let mut by_file: BTreeMap<&str, Vec<&Finding>> = report.files.iter().map(|file| (file.as_str(), Vec::new())).collect();
    for finding in &report.findings {
        by_file.entry(&finding.file.from_root).or_default().push(finding);
    }
    let failed = by_file.values().filter(|findings| is_failure(findings)).count();
    let mut output = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _ = writeln!(
        output,
        "  <testsuite name=\"bulla check\" tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"0\">",
        by_file.len()
    );
    for (file, findings) in &by_file {
        let name = escape(file);
        let _ = write!(output, "    <testcase classname=\"bulla check\" name=\"{name}\" time=\"0\"");
        if findings.is_empty() {
            output.push_str("/>\n");
            continue;
        }
        let text: String = findings.iter().map(|finding| line(finding)).collect();
        // What is no error fails nothing, and is shown all the same.
        let (open, close) = if is_failure(findings) {
            let first = findings.iter().find(|finding| finding.severity == Severity::Error).expect("a failure has an error");
            let (message, rule) = (escape(&first.message), first.rule.id);
            (format!("<failure message=\"{message}\" type=\"{rule}\">"), "</failure>")
        } else {
            ("<system-out>".to_owned(), "</system-out>")
        };
        let _ = writeln!(output, ">\n      {open}{}{close}\n    </testcase>", escape(&text));
    }
    let _ = writeln!(output, "    <system-out>{}</system-out>", escape(&report.unproven.join("\n")));
    output.push_str("  </testsuite>\n</testsuites>\n");
    output
}

fn is_failure(findings: &[&Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error)
}

fn line(finding: &Finding) -> String {
    let Finding { severity, line, column, message, rule, file, .. } = finding;
    let commit = file.commit.as_deref().map_or(String::new(), |commit| format!(" (in commit {commit})"));
    format!("{}:{line}:{column}: {severity}[{}]: {message}{commit}\n    {}\n", file.from_root, rule.id, finding.fix())
}

/// Text in XML 1.0: what has a meaning there is written as an entity, what may not stand there at all is left out.
fn escape(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => output.push_str("&amp;"),
            '<' => output.push_str("&lt;"),
            '>' => output.push_str("&gt;"),
            '"' => output.push_str("&quot;"),
            // Azure DevOps and GitHub Actions act on ##vso[ and ##[ wherever they stand in a log.
            '#' if output.ends_with('#') => output.push_str("&#35;"),
            // As they are, an attribute would have them as spaces.
            '\n' | '\r' | '\t' => {
                let _ = write!(output, "&#{};", u32::from(c));
            }
            ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => output.push(c),
            _ => output.push('\u{fffd}'),
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_an_attribute() {
        assert_eq!(escape("a\"/><b>&\u{1}\u{ffff}é"), "a&quot;/&gt;&lt;b&gt;&amp;\u{fffd}\u{fffd}é");
        assert_eq!(escape("a\nb\r\tc"), "a&#10;b&#13;&#9;c");
        assert_eq!(escape("# ##vso[x]###[y]"), "# #&#35;vso[x]#&#35;#[y]");
    }
}
