//! The labelled corpus of `tests/corpus/plaintext`: which values in plain are found, and what is taken for one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::super::harness::BULLA;

/// What `bulla check` does not look for.
const ELSEWHERE: &str = "leak/elsewhere/";

#[test]
fn every_value_that_is_looked_for_is_found_and_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/plaintext");
    let labels: BTreeMap<String, Vec<(u64, u64)>> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("labels.json")).unwrap()).unwrap();
    let output = Command::new(BULLA).args(["check", "--format", "json", "leak", "clean"]).current_dir(&folder).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let root = folder.join("../../..").canonicalize().unwrap();
    let inside = folder.canonicalize().unwrap().strip_prefix(root).unwrap().display().to_string();
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| {
        ["plaintext-secret", "plaintext-generator", "age-identity", "private-key"].contains(&finding["rule"].as_str().unwrap())
    });
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for finding in findings {
        let file = finding["file"].as_str().unwrap().trim_start_matches(&inside).trim_start_matches('/').to_owned();
        found.entry(file).or_default().push(finding["line"].as_u64().unwrap());
    }
    let (mut missed, mut wrong) = (Vec::new(), Vec::new());
    for (file, values) in &labels {
        let lines = found.get(file).map_or(&[][..], Vec::as_slice);
        let seen = |(first, last): &&(u64, u64)| lines.iter().any(|line| line + 1 >= *first && line <= last);
        missed.extend(values.iter().filter(|value| !seen(value)).map(|value| format!("{file}:{}", value.0)));
    }
    for (file, lines) in &found {
        let values = labels.get(file).map_or(&[][..], Vec::as_slice);
        let labelled = |line: &&u64| values.iter().any(|(first, last)| *line + 1 >= *first && *line <= last);
        wrong.extend(lines.iter().filter(|line| !labelled(line)).map(|line| format!("{file}:{line}")));
    }
    let expected: Vec<_> = missed.iter().filter(|place| place.starts_with(ELSEWHERE)).cloned().collect();
    assert_eq!((missed, wrong), (expected, Vec::new()));
}
