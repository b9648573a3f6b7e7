//! What is known already and not reported again: a baseline is an earlier report in JSON.
//!
//! A fingerprint is made of the rule, the path and the names of object and item: it outlives other lines above, and gives away no value,
//! not even to whoever tries all of them.

use std::collections::HashSet;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;

use super::finding::Finding;
use super::inputs::Names;
use super::trust::Trust;
use crate::error::{Error, Kind, warn};
use crate::files::Input;

#[derive(Deserialize)]
struct Report {
    findings: Vec<Known>,
}

#[derive(Deserialize)]
struct Known {
    fingerprint: String,
}

/// The fingerprints that are known: where a revision is believed, those that it has.
pub fn find(path: Option<&Path>, names: &Names, trust: Option<&Trust<'_>>) -> Result<HashSet<String>, Error> {
    let Some(path) = path else { return Ok(HashSet::new()) };
    let here = || parse(path, &Input::File(path.to_owned()).read("a report")?);
    let Some(trust) = trust else { return here() };
    let real = std::fs::canonicalize(path).ok();
    let Some(inside) = [names.of(path).path, real].into_iter().flatten().find(|path| trust.has_in_it(path)) else {
        return here();
    };
    if let Some(bytes) = trust.file(&inside)? {
        return parse(path, &bytes);
    }
    here()?;
    warn(format!("{} has no {}: no finding counts as known", trust.revision(), path.display()));
    Ok(HashSet::new())
}

/// Reads the fingerprints of a report.
fn parse(path: &Path, bytes: &[u8]) -> Result<HashSet<String>, Error> {
    let report: Report = serde_json::from_slice(bytes).map_err(|_| {
        Error::new(Kind::Configuration, format!("cannot use the baseline {}", path.display()))
            .cause("it is no report of bulla check in JSON")
            .hint("bulla check --format json -o FILE writes one")
    })?;
    Ok(report.findings.into_iter().map(|known| known.fingerprint).collect())
}

/// The fingerprints of findings, in their order; several alike are numbered.
#[must_use]
pub fn fingerprints(findings: &[Finding]) -> Vec<String> {
    let mut seen = std::collections::HashMap::new();
    findings
        .iter()
        .map(|finding| {
            let about =
                [finding.rule.id, &finding.file.from_root, finding.file.commit.as_deref().unwrap_or_default(), &finding.subject];
            let number = seen.entry(about.map(str::to_owned)).and_modify(|number| *number += 1).or_insert(0_usize);
            let text = format!("{}\n{number}", about.join("\n"));
            digest(&SHA256, text.as_bytes()).as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
        })
        .collect()
}
