//! kustomize's `secretGenerator`: literals in plain, and files in the same tree that values come from.

use std::path::{Component, Path, PathBuf};

use super::finding::{FileName, Sheet, Show, harmless};
use super::placeholder::is_placeholder;
use super::references::Provided;
use super::rule::PLAINTEXT_GENERATOR;
use crate::manifest::{Document, Node};

/// A file that a generator takes values from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueFile {
    /// Where.
    pub path: PathBuf,
    /// Lines of `KEY=VALUE`; else the whole file is one value.
    pub is_env: bool,
    /// Name of the generated Secret.
    pub secret: String,
}

/// Reports literals; gives the files that are named, and what is generated.
pub fn check(sheet: &mut Sheet<'_>, file: &FileName, document: &Document<'_>) -> (Vec<ValueFile>, Vec<Provided>) {
    let (mut files, mut provided) = (Vec::new(), Vec::new());
    let root = document.root();
    let generators = root.and_then(|root| root.get("secretGenerator")).and_then(Node::as_sequence).unwrap_or_default();
    let namespace = root.and_then(|root| root.get("namespace")).and_then(Node::as_str);
    for generator in generators {
        sheet.object = generator.outer_start();
        let text = |field: &str| generator.get(field).and_then(Node::as_str);
        let list = |field: &str| generator.get(field).and_then(Node::as_sequence).unwrap_or_default();
        let secret = text("name").unwrap_or_default().to_owned();
        let mut items = Vec::new();
        for literal in list("literals") {
            let Some((item, value)) = literal.as_scalar().and_then(|scalar| scalar.raw().split_once('=')) else { continue };
            items.push(item.to_owned());
            if !is_placeholder(value.trim_matches(['"', '\''])) {
                let item = harmless(item);
                let name = harmless(&secret);
                let message = format!("item {item} of the generated Secret {name} is in plain");
                sheet.report(PLAINTEXT_GENERATOR, literal.span(), &Show::Masked(0..0), &format!("{name} {item}"), message);
            }
        }
        let envs: Vec<_> = list("envs").iter().chain(generator.get("env")).filter_map(Node::as_str).collect();
        let folder = file.path.as_deref().and_then(Path::parent);
        let mut add = |path: &str, is_env| {
            let path = folder.map(|folder| without_parents(&folder.join(path)));
            files.extend(path.map(|path| ValueFile { path, is_env, secret: secret.clone() }));
        };
        for env in &envs {
            add(env, true);
        }
        for entry in list("files").iter().filter_map(Node::as_str) {
            let (item, path) = entry.split_once('=').unwrap_or_else(|| (entry.rsplit('/').next().unwrap_or(entry), entry));
            items.push(item.to_owned());
            add(path, false);
        }
        if !secret.is_empty() {
            let namespace = text("namespace").or(namespace).map(str::to_owned);
            let known = envs.is_empty().then_some(items);
            provided.push(Provided {
                kind: "secretGenerator",
                namespace,
                name: secret,
                items: known,
                span: generator.span(),
                line: 0,
            });
        }
    }
    (files, provided)
}

/// Reports what a file gives to a generator.
pub fn check_value_file(sheet: &mut Sheet<'_>, source: &ValueFile) {
    let name = harmless(&source.secret);
    let text = sheet.text();
    let encrypted = text.contains("ENC[AES256_GCM,") || text.starts_with("age-encryption.org/") || is_placeholder(text);
    if encrypted {
        return;
    }
    if !source.is_env {
        let end = text.find('\n').unwrap_or(text.len());
        let message = format!("this file is a value of the generated Secret {name}");
        sheet.report(PLAINTEXT_GENERATOR, 0..end, &Show::Masked(0..0), &name, message);
        return;
    }
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let (at, content) = (start, line.trim());
        start += line.len();
        let entry = content.split_once('=').filter(|_| !content.starts_with('#'));
        let Some((item, value)) = entry else { continue };
        let value = value.trim_matches(['"', '\'']);
        if !is_placeholder(value) {
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

/// `a/../b` as `b`.
#[must_use]
pub fn without_parents(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}
