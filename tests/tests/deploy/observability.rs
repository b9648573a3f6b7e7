//! Alert rules and dashboard name only metrics and labels that `docs/metrics.md` lists; the rules pass their own tests.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use bulla_control_plane::tools;
use serde_json::Value;

use crate::repository;

fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap()
}

/// The code words of a table's cell.
fn words(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Of each metric in `docs/metrics.md`: its type, its labels with their listed values.
fn documented() -> BTreeMap<String, (String, Vec<String>)> {
    let text = read("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `bulla_"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        (words(cells[1])[0].clone(), (cells[2].to_owned(), words(cells[3])))
    };
    rows.map(row).collect()
}

/// All expressions of a JSON or YAML value, by key.
fn expressions<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| match value {
            Value::String(text) if key == "expr" => found.push(text),
            other => expressions(other, found),
        }),
        Value::Array(list) => list.iter().for_each(|value| expressions(value, found)),
        _ => {}
    }
}

/// The metrics that an expression names, each with the text in its braces.
fn used(expression: &str) -> Vec<(&str, &str)> {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let mut found = Vec::new();
    for (at, _) in expression.match_indices("bulla_") {
        let rest = &expression[at..];
        let end = rest.find(|char| !is_name(char)).unwrap_or(rest.len());
        let braces = rest[end..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        found.push((&rest[..end], braces));
    }
    found
}

#[test]
fn every_metric_and_label_is_documented() {
    let documented = documented();
    assert!(documented.len() > 15, "{documented:?}");
    let rules: Value = serde_saphyr::from_str(&read("controller/deploy/observability/alerts.yaml")).unwrap();
    let dashboard: Value = serde_json::from_str(&read("controller/deploy/observability/dashboard.json")).unwrap();
    let mut seen = BTreeSet::new();
    for (file, value) in [("alerts", &rules), ("dashboard", &dashboard)] {
        let mut found = Vec::new();
        expressions(value, &mut found);
        assert!(found.len() > 8, "{file}: {found:?}");
        for expression in found {
            let metrics = used(expression);
            assert!(!metrics.is_empty(), "{file}: {expression}");
            for (metric, braces) in metrics {
                let name = metric.strip_suffix("_bucket").unwrap_or(metric);
                let Some((type_, labels)) = documented.get(name) else { panic!("{file}: no {name} in docs/metrics.md") };
                assert_eq!(metric.ends_with("_bucket"), type_ == "histogram", "{file}: {expression}");
                assert_eq!(metric.ends_with("_total"), type_ == "counter", "{file}: {expression}");
                for matcher in braces.split(',').filter(|matcher| matcher.contains('=') && !matcher.contains("job=")) {
                    let (label, value) = matcher.split_once('=').unwrap();
                    let value = value.trim_matches('"').to_owned();
                    assert!(labels[..1] == [label] && labels.contains(&value), "{file}: {matcher} of {name}");
                }
                seen.insert(name.to_owned());
            }
        }
    }
    // And whoever adds a metric shows it.
    let all: BTreeSet<String> = documented.into_keys().collect();
    assert_eq!(seen, all);
}

#[test]
fn every_alert_is_explained() {
    let rules: Value = serde_saphyr::from_str(&read("controller/deploy/observability/alerts.yaml")).unwrap();
    let text = read("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `Bulla"));
    let cells = |line: &str| line.split('|').skip(1).take(2).map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
    let explained: Vec<Vec<String>> = rows.map(cells).collect();
    let said =
        |rule: &Value| [&rule["alert"], &rule["labels"]["severity"]].map(|text| text.as_str().unwrap().to_owned()).to_vec();
    let rules: Vec<Vec<String>> = rules["groups"][0]["rules"].as_array().unwrap().iter().map(said).collect();
    assert_eq!(rules, explained);
}

#[test]
fn promtool_takes_the_rules_and_their_tests_pass() {
    for args in [["check", "rules", "--lint=all", "alerts.yaml"].as_slice(), &["test", "rules", "alerts.test.yaml"]] {
        let folder = repository("controller/deploy/observability");
        let output = Command::new(tools::promtool().unwrap()).current_dir(folder).args(args).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}
