//! GitLab Code Quality, <https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format>.

use serde_json::{Value, json};

use crate::check::Report;
use crate::check::finding::Finding;
use crate::check::rule::Severity;
use crate::error::Error;
use crate::json::to_json;

pub(super) fn render(report: &Report) -> Result<String, Error> {
    let all: Vec<Value> =
        report.findings.iter().zip(&report.fingerprints).map(|(finding, fingerprint)| one(finding, fingerprint)).collect();
    to_json(&all)
}

fn one(finding: &Finding, fingerprint: &str) -> Value {
    let severity = match finding.severity {
        Severity::Note => "info",
        Severity::Warning => "minor",
        Severity::Error => "critical",
    };
    json!({
        "description": format!("{}. {}.", finding.message, finding.fix()),
        "check_name": finding.rule.id,
        "fingerprint": fingerprint,
        "severity": severity,
        "location": {"path": finding.file.from_root, "lines": {"begin": finding.line}},
    })
}
