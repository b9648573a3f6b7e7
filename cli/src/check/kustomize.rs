//! kustomize: what a kustomization makes of other files, and a `secretGenerator` with values in plain.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::finding::{Sheet, Show, harmless};
use super::placeholder::is_nothing_yet;
use super::references::Provided;
use super::rule::PLAINTEXT_GENERATOR;
use crate::config::without_parents;
use crate::manifest::{Document, Node, decode, parse};

/// A file that a generator takes values from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueFile {
    /// Lines of `KEY=VALUE`; else the whole file is one value.
    pub is_env: bool,
    /// Name of the generated Secret.
    pub secret: String,
}

/// What links and kustomizations make of other files.
#[derive(Debug, Default)]
pub struct Uses {
    /// Manifests, whatever their names.
    pub manifests: HashSet<PathBuf>,
    /// Values of generators, each file at most once as lines and once as a whole.
    pub values: BTreeMap<(PathBuf, bool), ValueFile>,
}

/// Whether kustomize reads the file as its own.
#[must_use]
pub fn is_kustomization(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| ["kustomization.yaml", "kustomization.yml", "Kustomization"].iter().any(|known| name == *known))
}

impl Uses {
    /// Adds what the kustomization at `path` names. One that cannot be read is reported where it is checked.
    pub fn add(&mut self, path: &Path, bytes: &[u8]) {
        let Ok(source) = decode(bytes.to_vec()) else { return };
        let documents = parse(&source).unwrap_or_default();
        for root in documents.iter().filter_map(Document::root) {
            let near = |named: &str| path.parent().map(|folder| without_parents(&folder.join(named)));
            let list = |field: &str| root.get(field).and_then(Node::as_sequence).unwrap_or_default();
            for entry in MANIFESTS.iter().flat_map(|field| list(field)) {
                let named = entry.as_str().or_else(|| entry.get("path").and_then(Node::as_str));
                self.manifests.extend(named.and_then(near));
            }
            for generator in list("secretGenerator") {
                let secret = generator.get("name").and_then(Node::as_str).unwrap_or_default();
                let mut add = |named: &str, is_env| {
                    if let Some(path) = near(named) {
                        let value = || ValueFile { is_env, secret: secret.to_owned() };
                        self.values.entry((path, is_env)).or_insert_with(value);
                    }
                };
                for named in envs(generator) {
                    add(named, true);
                }
                for (_, named) in files(generator) {
                    add(named, false);
                }
            }
        }
    }
}

/// Fields of a kustomization whose entries name manifests, as text or under `path`.
const MANIFESTS: [&str; 10] = [
    "resources",
    "bases",
    "components",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "crds",
    "generators",
    "transformers",
    "replacements",
];

fn envs(generator: &Node) -> Vec<&str> {
    let list = generator.get("envs").and_then(Node::as_sequence).unwrap_or_default();
    list.iter().chain(generator.get("env")).filter_map(Node::as_str).collect()
}

/// Item and path of each file.
fn files(generator: &Node) -> impl Iterator<Item = (&str, &str)> {
    let list = generator.get("files").and_then(Node::as_sequence).unwrap_or_default();
    list.iter()
        .filter_map(Node::as_str)
        .map(|entry| entry.split_once('=').unwrap_or_else(|| (entry.rsplit('/').next().unwrap_or(entry), entry)))
}

/// Reports literals, and gives what is generated.
pub fn check(sheet: &mut Sheet<'_>, document: &Document<'_>) -> Vec<Provided> {
    let mut provided = Vec::new();
    let root = document.root();
    let generators = root.and_then(|root| root.get("secretGenerator")).and_then(Node::as_sequence).unwrap_or_default();
    let namespace = root.and_then(|root| root.get("namespace")).and_then(Node::as_str);
    for generator in generators {
        sheet.object = Some(generator.outer_start());
        let text = |field: &str| generator.get(field).and_then(Node::as_str);
        let list = |field: &str| generator.get(field).and_then(Node::as_sequence).unwrap_or_default();
        let secret = text("name").unwrap_or_default().to_owned();
        let mut items = Vec::new();
        for literal in list("literals") {
            let Some((item, value)) = literal.as_scalar().and_then(|scalar| scalar.raw().split_once('=')) else { continue };
            items.push(item.to_owned());
            if !is_nothing_yet(value.trim_matches(['"', '\''])) {
                let item = harmless(item);
                let name = harmless(&secret);
                let message = format!("item {item} of the generated Secret {name} is in plain");
                sheet.report(PLAINTEXT_GENERATOR, literal.span(), &Show::Masked(0..0), &format!("{name} {item}"), message);
            }
        }
        items.extend(files(generator).map(|(item, _)| item.to_owned()));
        if !secret.is_empty() {
            let namespace = text("namespace").or(namespace).map(str::to_owned);
            let known = envs(generator).is_empty().then_some(items);
            provided.push(Provided { kind: "secretGenerator", namespace, name: secret, items: known, span: generator.span() });
        }
    }
    provided
}

/// Reports what a file gives to a generator.
pub fn check_value_file(sheet: &mut Sheet<'_>, source: &ValueFile) {
    let name = harmless(&source.secret);
    let text = sheet.text();
    if !source.is_env {
        if is_nothing_yet(text) || is_of_sops(text) {
            return;
        }
        let end = text.find('\n').unwrap_or(text.len());
        let message = format!("this file is a value of the generated Secret {name}");
        sheet.report(PLAINTEXT_GENERATOR, 0..end, &Show::Masked(0..0), &name, message);
        return;
    }
    let (of_sops, mut start) = (is_of_sops(text), 0);
    for line in text.split_inclusive('\n') {
        let (at, content) = (start, line.trim());
        start += line.len();
        // What SOPS says of itself is no value.
        let entry = content.split_once('=').filter(|_| !(content.starts_with('#') || of_sops && content.starts_with("sops_")));
        let Some((item, value)) = entry else { continue };
        let value = value.trim_matches(['"', '\'']);
        if !is_nothing_yet(value) {
            let key = at + line.len() - line.trim_start().len();
            let span = key + item.len() + 1..key + content.len();
            let item_name = harmless(item.trim());
            let message = format!("item {item_name} of the generated Secret {name} is in plain");
            sheet.report(
                PLAINTEXT_GENERATOR,
                span,
                &Show::Masked(key..key + item.len()),
                &format!("{name} {item_name}"),
                message,
            );
        }
    }
}

/// Whether SOPS wrote the file: it signs what it encrypts.
fn is_of_sops(text: &str) -> bool {
    [
        "\nsops_mac=ENC[AES256_GCM,data:",
        "\"mac\": \"ENC[AES256_GCM,data:",
        "\n    mac: ENC[AES256_GCM,data:",
        "\nmac = ENC[AES256_GCM,data:",
    ]
    .iter()
    .any(|mac| text.contains(mac))
}
