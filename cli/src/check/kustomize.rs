//! kustomize: what a kustomization makes of other files, and a `secretGenerator` with values in plain.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::finding::{Sheet, Show, harmless};
use super::placeholder::is_nothing_yet;
use super::references::Provided;
use super::rule::PLAINTEXT_GENERATOR;
use crate::config::without_parents;
use crate::manifest::{Document, ManifestError, Node, Reason, Scalar, ScalarValue, check_node, decode, parse};

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
    /// Configurations of generators and transformers, and the folder that the names in them start from.
    pub configurations: BTreeSet<(PathBuf, PathBuf)>,
}

/// Whether kustomize reads the file as its own.
#[must_use]
pub fn is_kustomization(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| ["kustomization.yaml", "kustomization.yml", "Kustomization"].iter().any(|known| name == *known))
}

impl Uses {
    /// Adds what a kustomization names, or the configuration of a generator or transformer; `folder`: where these names start. Gives what kustomize may
    /// follow and this does not.
    pub fn add(&mut self, folder: &Path, bytes: &[u8]) -> Vec<ManifestError> {
        let source = match decode(bytes.to_vec()) {
            Ok(source) => source,
            Err(error) => return vec![error],
        };
        match parse(&source) {
            Ok(documents) => documents.iter().filter_map(|document| self.add_document(folder, document, false).err()).collect(),
            Err(error) => vec![error],
        }
    }

    /// Adds where the paths lead that links are on.
    pub fn resolve(&mut self, real: impl Fn(&Path) -> Option<PathBuf>) {
        let manifests: Vec<_> = self.manifests.iter().filter_map(|path| real(path)).collect();
        self.manifests.extend(manifests);
        let values = self.values.iter().filter_map(|((path, is_env), source)| Some(((real(path)?, *is_env), source.clone())));
        for (file, source) in values.collect::<Vec<_>>() {
            self.values.entry(file).or_insert(source);
        }
    }

    /// `is_inline`: a configuration that stands in the place of its file's name, in which no others stand.
    fn add_document(&mut self, folder: &Path, document: &Document<'_>, is_inline: bool) -> Result<(), ManifestError> {
        let Some(root) = document.root() else { return Ok(()) };
        let near = |named: &str| without_parents(&folder.join(named));
        let mut reader = Reader { document, refused: None };
        reader.see(root);
        reader.list(root, "kind");
        let items = reader.list(root, "items");
        for item in items {
            reader.list(item, "kind");
        }
        // Of a transformer that applies patches.
        for object in [root].into_iter().chain(items) {
            for named in object.get("path").into_iter().chain(reader.list(object, "paths")) {
                self.manifests.extend(reader.text(named).map(near));
            }
        }
        for field in MANIFESTS.into_iter().filter(|_| !is_inline) {
            for entry in reader.list(root, field) {
                let Some(named) = reader.text(entry).or_else(|| reader.text(entry.get("path")?)) else { continue };
                self.manifests.insert(near(named));
                if !CONFIGURATIONS.contains(&field) {
                    continue;
                }
                // A name may look like a configuration, and what is none to us may be one to kustomize: both are followed.
                self.configurations.insert((near(named), folder.to_owned()));
                if named.contains(':') {
                    let refused = decode(named.into()).and_then(|source| {
                        parse(&source)?.iter().try_for_each(|document| self.add_document(folder, document, true))
                    });
                    reader.note(refused.map_err(|error| ManifestError { place: document.place(entry), reason: error.reason }));
                }
            }
        }
        for generator in generators(root) {
            reader.see(generator);
            let secret = name_of(generator);
            let mut add = |named: &str, is_env| {
                let value = || ValueFile { is_env, secret: secret.to_owned() };
                self.values.entry((near(named), is_env)).or_insert_with(value);
            };
            for field in ["literals", "files", "envs", "env"] {
                reader.list(generator, field);
            }
            for named in envs(generator) {
                add(named, true);
            }
            for (_, named) in files(generator) {
                add(named, false);
            }
        }
        reader.refused.map_or(Ok(()), Err)
    }
}

/// Reads fields that are followed, and notes the first that is written so that kustomize may read something else.
struct Reader<'d, 's> {
    document: &'d Document<'s>,
    refused: Option<ManifestError>,
}

impl<'d> Reader<'d, '_> {
    fn note(&mut self, seen: Result<(), ManifestError>) {
        self.refused = self.refused.take().or(seen.err());
    }

    fn see(&mut self, node: &'d Node) {
        if self.refused.is_none() {
            self.note(check_node(self.document, node).and_then(|()| self.check_letters(node)));
        }
    }

    /// Go's `encoding/json` takes a key for a field whatever the case of its letters, and `ſ` and the Kelvin sign for `s` and `k`.
    fn check_letters(&self, node: &Node) -> Result<(), ManifestError> {
        for key in node.as_mapping().unwrap_or_default().iter().filter_map(|(key, _)| key.as_scalar().map(|_| key)) {
            let written = key.as_scalar().map_or("", Scalar::raw);
            let folded = written.to_lowercase().replace('ſ', "s");
            let field = MANIFESTS.iter().chain(&FIELDS).find(|field| field.eq_ignore_ascii_case(&folded) && **field != written);
            if let Some(field) = field {
                return Err(ManifestError { place: self.document.place(key), reason: Reason::FoldedKey { field } });
            }
        }
        Ok(())
    }

    fn text(&mut self, node: &'d Node) -> Option<&'d str> {
        self.see(node);
        match node.as_scalar()?.read() {
            ScalarValue::Text(text) => Some(text),
            ScalarValue::Null => None,
            // Without leading zeros, kustomize takes the number for its digits.
            ScalarValue::Integer if node.as_scalar()?.raw().starts_with(|c| ('1'..='9').contains(&c)) => {
                Some(node.as_scalar()?.raw())
            }
            other => {
                let reason = Reason::KeyNotText { found: other.describe() };
                self.note(Err(ManifestError { place: self.document.place(node), reason }));
                None
            }
        }
    }

    fn list(&mut self, of: &'d Node, field: &str) -> &'d [Node] {
        let list = of.get(field);
        let entries = list.and_then(Node::as_sequence).unwrap_or_default();
        for node in list.into_iter().chain(entries) {
            self.see(node);
        }
        entries
    }
}

/// The field whose entries name generators, or are some.
const GENERATORS: &str = "generators";

/// Fields whose entries may also be the configuration itself.
const CONFIGURATIONS: [&str; 3] = [GENERATORS, "transformers", "validators"];

/// Other fields that are followed.
const FIELDS: [&str; 7] = ["secretGenerator", "literals", "files", "envs", "env", "path", "paths"];

/// Fields of a kustomization whose entries name manifests, as text or under `path`.
const MANIFESTS: [&str; 11] = [
    "resources",
    "bases",
    "components",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "crds",
    GENERATORS,
    "transformers",
    "validators",
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

/// The generators of a kustomization, or objects that are some.
fn generators(root: &Node) -> impl Iterator<Item = &Node> {
    let list = |field| root.get(field).and_then(Node::as_sequence).unwrap_or_default();
    let objects = [root].into_iter().chain(list("items"));
    let is_generator = |node: &&Node| node.get("kind").and_then(Node::as_str) == Some("SecretGenerator");
    list("secretGenerator").iter().chain(objects.filter(is_generator))
}

/// Name of the Secret that is made.
fn name_of(generator: &Node) -> &str {
    generator.get("name").or_else(|| generator.at(&["metadata", "name"])).and_then(Node::as_str).unwrap_or_default()
}

/// Reports literals, and gives what is generated.
pub fn check(sheet: &mut Sheet<'_>, document: &Document<'_>) -> Vec<Provided> {
    let Some(root) = document.root() else { return Vec::new() };
    let mut provided = Vec::new();
    for generator in generators(root) {
        sheet.object = Some(generator.outer_start());
        provided.extend(check_generator(sheet, root, generator, None));
    }
    for entry in root.get(GENERATORS).and_then(Node::as_sequence).unwrap_or_default() {
        // One that stands in the place of its file's name.
        let inline = entry.as_str().filter(|text| text.contains(':'));
        let Some(source) = inline.and_then(|text| decode(text.into()).ok()) else { continue };
        sheet.object = Some(entry.outer_start());
        for document in parse(&source).unwrap_or_default() {
            let generators = document.root().into_iter().flat_map(generators);
            provided.extend(generators.filter_map(|generator| check_generator(sheet, root, generator, Some(entry.span()))));
        }
    }
    provided
}

/// `within`: what stands for all places in a generator that has none of its own in the file.
fn check_generator(sheet: &mut Sheet<'_>, root: &Node, generator: &Node, within: Option<Range<usize>>) -> Option<Provided> {
    let list = |field: &str| generator.get(field).and_then(Node::as_sequence).unwrap_or_default();
    let secret = name_of(generator).to_owned();
    let mut items = Vec::new();
    for literal in list("literals") {
        let Some((item, value)) = literal.as_scalar().and_then(|scalar| scalar.raw().split_once('=')) else { continue };
        items.push(item.to_owned());
        if !is_nothing_yet(value.trim_matches(['"', '\''])) {
            let item = harmless(item);
            let name = harmless(&secret);
            let message = format!("item {item} of the generated Secret {name} is in plain");
            let span = within.clone().unwrap_or_else(|| literal.span());
            sheet.report(PLAINTEXT_GENERATOR, span, &Show::Masked(0..0), &format!("{name} {item}"), message);
        }
    }
    items.extend(files(generator).map(|(item, _)| item.to_owned()));
    let namespace = [generator.get("namespace"), generator.at(&["metadata", "namespace"]), root.get("namespace")];
    let namespace = namespace.into_iter().flatten().find_map(Node::as_str).map(str::to_owned);
    let known = envs(generator).is_empty().then_some(items);
    let span = within.unwrap_or_else(|| generator.span());
    (!secret.is_empty()).then_some(Provided { kind: "secretGenerator", namespace, name: secret, items: known, span })
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
