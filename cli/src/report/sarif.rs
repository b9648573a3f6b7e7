//! SARIF 2.1.0, <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>, as code hosts read it: paths from the root of the
//! repository, a fingerprint for each result, no snippet of source.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::check::Report;
use crate::check::finding::Finding;
use crate::check::rule::{ALL, Rule};
use crate::error::Error;
use crate::json::to_json;

/// Where the rules are described.
const RULES: &str = "docs/rules.md";

pub(super) fn render(report: &Report) -> Result<String, Error> {
    let results: Vec<Value> =
        report.findings.iter().zip(&report.fingerprints).map(|(finding, fingerprint)| result(finding, fingerprint)).collect();
    to_json(&json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "bulla",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": ALL.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications":
                    report.unproven.iter().map(|text| json!({"level": "note", "message": {"text": text}})).collect::<Vec<_>>(),
            }],
            "results": results,
        }],
    }))
}

fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": format!("{}.", rule.title)},
        "help": {"text": format!("{}. {RULES} says more.", rule.fix)},
        "defaultConfiguration": {"level": rule.severity.as_str()},
    })
}

fn result(finding: &Finding, fingerprint: &str) -> Value {
    let commit = finding.file.commit.as_deref().map_or(String::new(), |commit| format!(" (in commit {commit})"));
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": ALL.iter().position(|rule| rule == finding.rule),
        "level": finding.severity.as_str(),
        "message": {"text": format!("{}{commit}. {}.", finding.message, finding.fix())},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&finding.file.from_root), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": finding.line, "startColumn": finding.column, "endColumn": finding.end_column},
        }}],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint},
    })
}

/// A path as a relative reference of RFC 3986.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=@".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
