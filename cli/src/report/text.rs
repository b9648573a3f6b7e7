//! The report for people: what, where, the line with a mark, what to do.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::check::Report;
use crate::check::finding::Finding;
use crate::error::{plural, printable};

/// How every sealed value begins, which shows nobody anything.
const SEALED: &str = "YWdlLWVuY3J5cHRpb24ub3Jn";

/// Most items that are named of a finding which several have.
const MOST: usize = 12;

pub(super) fn render(report: &Report) -> String {
    let mut output = String::new();
    for file in report.findings.chunk_by(|a, b| a.file == b.file) {
        for same in same_facts(file) {
            several(&mut output, &same);
        }
    }
    if report.known > 0 {
        let _ = writeln!(output, "{} in the baseline not shown", plural(report.known, "finding", "findings"));
    }
    let is_clean = report.findings.is_empty();
    if is_clean && report.staged {
        return output;
    }
    if is_clean {
        let _ = write!(output, "no findings in {}; ", plural(report.files.len(), "file", "files"));
    }
    for line in &report.unproven {
        let _ = writeln!(output, "{line}");
    }
    output
}

/// Findings of one file, those of one fact about several items together.
fn same_facts(file: &[Finding]) -> Vec<Vec<&Finding>> {
    let (mut facts, mut places): (Vec<Vec<&Finding>>, HashMap<_, usize>) = (Vec::new(), HashMap::new());
    for finding in file {
        let fact = item(&finding.message).filter(|_| is_sealed(finding)).map(|(_, rest)| (finding.rule.id, rest));
        let place = fact.map_or(facts.len(), |fact| *places.entry(fact).or_insert(facts.len()));
        match facts.get_mut(place) {
            Some(same) => same.push(finding),
            None => facts.push(vec![finding]),
        }
    }
    facts
}

/// Item and the rest of a message about a value.
fn item(message: &str) -> Option<(&str, &str)> {
    message.strip_prefix("item ")?.split_once(": ")
}

fn is_sealed(finding: &Finding) -> bool {
    finding.excerpt.text.trim_start_matches([' ', '\u{2026}']).starts_with(SEALED)
}

fn several(output: &mut String, same: &[&Finding]) {
    let first = same[0];
    let Finding { severity, rule, line, column, .. } = first;
    let width = line.to_string().len();
    let message = match item(&first.message).filter(|_| same.len() > 1) {
        Some((_, rest)) => {
            let names: Vec<_> =
                same.iter().filter_map(|finding| item(&finding.message)).map(|(name, _)| name).take(MOST).collect();
            let more = if same.len() > MOST { format!(" and {} more", same.len() - MOST) } else { String::new() };
            format!("items {}{more}: {rest}", names.join(", "))
        }
        None => first.message.clone(),
    };
    let _ = writeln!(output, "{severity}[{}]: {}", rule.id, printable(&message));
    let commit = first.file.commit.as_deref().map_or(String::new(), |commit| format!(" in commit {commit}"));
    let _ = writeln!(output, "{:width$}--> {}:{line}:{column}{commit}", "", printable(&first.file.shown));
    let is_hidden = first.excerpt.text.chars().all(|c| matches!(c, ' ' | '\u{2026}'));
    if !is_sealed(first) && !is_hidden {
        let _ = writeln!(output, "{:width$} |", "");
        let _ = writeln!(output, "{line} | {}", printable(&first.excerpt.text));
        let mark = &first.excerpt.mark;
        let _ = writeln!(output, "{:width$} | {}{}", "", " ".repeat(mark.start), "^".repeat(mark.len()));
    }
    let fix = if same.len() > 1 { Finding { subject: String::new(), ..first.clone() }.fix() } else { first.fix() };
    let _ = writeln!(output, "{:width$} = {}\n", "", printable(&fix));
}
