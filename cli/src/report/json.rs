//! The report as JSON, which is a baseline as well.

use serde::Serialize;

use crate::check::Report;
use crate::check::rule::Severity;
use crate::error::Error;
use crate::json::to_json;

#[derive(Serialize)]
struct Whole<'r> {
    version: u32,
    findings: Vec<One<'r>>,
    files: usize,
    baseline: usize,
    unproven: &'r [&'static str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One<'r> {
    rule: &'static str,
    severity: Severity,
    file: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'r str>,
    line: usize,
    column: usize,
    end_column: usize,
    message: &'r str,
    fix: String,
    fingerprint: &'r str,
}

pub(super) fn render(report: &Report) -> Result<String, Error> {
    let findings = report.findings.iter().zip(&report.fingerprints).map(|(finding, fingerprint)| One {
        rule: finding.rule.id,
        severity: finding.severity,
        file: &finding.file.from_root,
        commit: finding.file.commit.as_deref(),
        line: finding.line,
        column: finding.column,
        end_column: finding.end_column,
        message: &finding.message,
        fix: finding.fix(),
        fingerprint,
    });
    let findings = findings.collect();
    to_json(&Whole { version: 1, findings, files: report.files.len(), baseline: report.known, unproven: &report.unproven })
}
