//! `bulla keys list`.

use std::fmt::Write as _;

use bulla_keys::select::newest_active;
use bulla_shared::age::Algorithm;
use bulla_shared::resources::conditions::Condition;
use bulla_shared::resources::sealing_key::{KeyAlgorithm, SealingKey};
use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::ContextArgs;
use crate::commands::values::Format;
use crate::error::{Error, printable};
use crate::files::{self, Access};
use crate::json::to_json;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    context: ContextArgs,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    state: Option<String>,
    newest: bool,
    algorithm: KeyAlgorithm,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let mut keys = args.context.connect()?.sealing_keys()?;
    let now = Timestamp::now();
    let newest: Vec<String> = [Algorithm::Hybrid, Algorithm::X25519]
        .into_iter()
        .filter_map(|algorithm| Some(newest_active(&keys, algorithm, now)?.name))
        .collect();
    let created = |key: &SealingKey| key.status.as_ref().and_then(|status| status.created.clone());
    keys.sort_by_key(|key| (created(key), key.metadata.name.clone()));
    let rows: Vec<Row> = keys.iter().rev().map(|key| row(key, &newest)).collect();
    let output = match args.format {
        Format::Json => to_json(&rows)?,
        Format::Text => text(&rows, now),
    };
    files::write(None, output.as_bytes(), Access::Default)
}

fn row(key: &SealingKey, newest: &[String]) -> Row {
    let status = key.status.clone().unwrap_or_default();
    let name = key.metadata.name.clone().unwrap_or_default();
    Row {
        newest: newest.contains(&name),
        name,
        state: status.state.map(|state| state.to_string()),
        algorithm: key.spec.algorithm,
        created: status.created,
        since: status.since,
        items: status.usage.map(|usage| usage.items),
        secrets: status.usage.map(|usage| usage.secrets),
        fingerprint: status.fingerprint,
        problem: Condition::find(&status.conditions, "Stalled").map(|condition| condition.reason.clone()),
    }
}

fn text(rows: &[Row], now: Timestamp) -> String {
    let mut lines = vec![["NAME", "STATE", "AGE", "ITEMS", "SECRETS", "FINGERPRINT"].map(str::to_owned)];
    for row in rows {
        let count = |count: Option<u32>| count.map_or("?".to_owned(), |count| count.to_string());
        let state = row.state.clone().or_else(|| row.problem.clone()).unwrap_or_else(|| "(not yet)".to_owned());
        let age = row.created.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        let age = age.map_or("?".to_owned(), |created| format!("{}d", now.duration_since(created).as_hours() / 24));
        let mark = if row.newest { " (newest)" } else { "" };
        lines.push([
            printable(&row.name),
            printable(&format!("{state}{mark}")),
            age,
            count(row.items),
            count(row.secrets),
            printable(row.fingerprint.as_deref().unwrap_or_default()),
        ]);
    }
    let widths: [usize; 6] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
    let mut output = String::new();
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(output, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    output
}
