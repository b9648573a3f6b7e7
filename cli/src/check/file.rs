//! One file: put down at a glance, or read, parsed and held against every rule that needs no other file.

use std::borrow::Cow;
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
use zeroize::Zeroizing;

use super::finding::{FileName, Finding, Sheet, Show};
use super::keys::Keys;
use super::kustomize::{self, ValueFile};
use super::references::{self, Provided, Reference};
use super::rule::{AMBIGUOUS_SECRET, NO_RULE, Rule, TOO_LARGE, UNRENDERED_TEMPLATE, UTF16};
use super::sealed::Expectations;
use super::sift::{Sifted, sift};
use super::{allow, plain, private_keys, readable, sealed, template};
use crate::config::{Choice, Config};
use crate::manifest::{Document, Reason, Source, check_faithful, decode, find_sealed, find_secrets, parse};

/// Most refusals of our reader that are reported of one file.
const MOST_REFUSALS: usize = 100;

/// What all files are held against.
pub struct Yardstick {
    /// The configuration, if there is one.
    pub config: Option<Config>,
    /// The known keys.
    pub keys: Keys,
    /// The present.
    pub now: Timestamp,
    /// Today, in UTC.
    pub today: Date,
}

/// What was found in a file, and what other files may have to do with.
#[derive(Debug)]
pub struct Looked {
    /// Which file.
    pub name: FileName,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Secrets that it provides.
    pub provided: Vec<Provided>,
    /// Secrets that it asks for.
    pub references: Vec<Reference>,
    /// Files that its generators take values from.
    pub value_files: Vec<ValueFile>,
    /// Targets that the rule for it names.
    pub targets: Option<Vec<String>>,
    /// Where its objects go, to know which are the same.
    pub place: String,
    /// The text, if another file may make something of it wrong.
    text: Option<Zeroizing<String>>,
}

impl Looked {
    fn nothing(name: FileName) -> Self {
        let (findings, provided, references, value_files) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { name, findings, provided, references, value_files, targets: None, place: String::new(), text: None }
    }

    /// Keeps the text, if something may still be found in it or its comments allow something.
    fn keep(&mut self, text: &str) {
        if !self.provided.is_empty() || !self.references.is_empty() || text.contains(allow::MARK) {
            self.text = Some(Zeroizing::new(text.to_owned()));
        }
    }

    /// Takes out what comments in the file allow, once everything is found.
    pub(super) fn apply_comments(&mut self) {
        if let Some(text) = self.text.take() {
            let mut sheet = Sheet::new(&self.name, &text);
            sheet.findings = std::mem::take(&mut self.findings);
            allow::apply(&mut sheet);
            self.findings = sheet.findings;
        }
    }

    /// Notes what only shows beside other files.
    pub(super) fn add(&mut self, late: impl IntoIterator<Item = Late>) {
        let text = self.text.as_deref().map_or("", String::as_str);
        let mut sheet = Sheet::new(&self.name, text);
        for Late { rule, span, object, show, subject, message } in late {
            sheet.object = object;
            sheet.report(rule, span, &show, &subject, message);
        }
        let findings = sheet.findings;
        self.findings.extend(findings);
    }
}

/// A finding that another file brings about.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) rule: &'static Rule,
    pub(super) span: Range<usize>,
    /// Where the object starts that it is in.
    pub(super) object: usize,
    pub(super) show: Show,
    pub(super) subject: String,
    pub(super) message: String,
}

/// Looks at a file. `is_manifest`: kubectl would read it; `history`: only what must never have been committed counts.
#[must_use]
pub fn look(name: FileName, bytes: &Zeroizing<Vec<u8>>, is_manifest: bool, history: bool, yardstick: &Yardstick) -> Looked {
    let sifted = sift(bytes);
    let recoded = matches!(bytes.as_slice(), [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
    let may_be_utf16 = recoded || is_manifest && bytes.contains(&0);
    if !may_be_utf16 && !sifted.manifest && sifted.keys.is_empty() {
        return Looked::nothing(name);
    }
    if !is_manifest {
        return text_only(name, bytes, &sifted);
    }
    let mut looked = Looked::nothing(name);
    match decode(bytes.to_vec()) {
        Ok(source) => manifest(&mut looked, &source, recoded, history, yardstick),
        Err(error) => {
            // As text it may be read all the same, and may not be what its author takes it for.
            let text = lossy(bytes);
            let mut sheet = Sheet::new(&looked.name, &text);
            let within = sift(text.as_bytes());
            let hides = matches!(readable::rule_for(&error.reason).id, "foreign-line-break" | "foreign-document");
            if !history && (mentions_secret(&text) || hides && within.manifest) {
                readable::report(&mut sheet, &error);
            }
            private_keys::check(&mut sheet, &within.keys, &[]);
            let findings = sheet.findings;
            looked.findings = findings;
        }
    }
    looked
}

/// A file that is no manifest: only keys are looked for.
fn text_only(name: FileName, bytes: &[u8], sifted: &Sifted) -> Looked {
    let mut looked = Looked::nothing(name);
    if sifted.keys.is_empty() {
        return looked;
    }
    let text = lossy(bytes);
    let mut sheet = Sheet::new(&looked.name, &text);
    let signs =
        if matches!(text, Cow::Borrowed(_)) { Cow::Borrowed(&sifted.keys) } else { Cow::Owned(sift(text.as_bytes()).keys) };
    private_keys::check(&mut sheet, &signs, &[]);
    let findings = sheet.findings;
    looked.findings = findings;
    looked.keep(&text);
    looked
}

/// The text without what is none; of UTF-16 without a mark, every second byte.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.contains(&0) {
        let text: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
        return Cow::Owned(String::from_utf8_lossy(&text).into_owned());
    }
    String::from_utf8_lossy(bytes)
}

fn manifest(looked: &mut Looked, source: &Source, recoded: bool, history: bool, yardstick: &Yardstick) {
    let name = looked.name.clone();
    let mut sheet = Sheet::new(&name, source.text());
    let sifted = sift(source.text().as_bytes());
    if recoded && sifted.manifest && !history {
        sheet.report(UTF16, 0..0, &Show::Nothing, "", "the file is UTF-16");
    }
    let mut covered = Vec::new();
    if sifted.manifest {
        let is_template = source.text().contains("{{");
        match parse(source) {
            Ok(documents) => parsed(looked, &mut sheet, &documents, is_template, history, yardstick, &mut covered),
            Err(error) => {
                let template = is_template && matches!(error.reason, Reason::Syntax { .. } | Reason::DuplicateKey { .. });
                // What cannot be parsed is read line by line, whether or not it is meant as a template.
                template::check(&mut sheet, &mut covered);
                if !history && template {
                    unrendered(&mut sheet);
                } else if !history && mentions_secret(source.text()) {
                    readable::report(&mut sheet, &error);
                }
            }
        }
    }
    private_keys::check(&mut sheet, &sifted.keys, &covered);
    looked.findings = sheet.findings;
    looked.keep(source.text());
}

/// Whether a text that cannot be parsed has Secrets or SealedSecrets: only then it matters.
fn mentions_secret(text: &str) -> bool {
    text.match_indices("kind").any(|(at, word)| {
        let rest = text[at + word.len()..].trim_start_matches(['"', '\'', ' ']);
        let value = rest.strip_prefix(':').map(|value| value.trim_start_matches(['"', '\'', ' ']));
        let name = value.and_then(|value| value.split(|c: char| !c.is_ascii_alphanumeric()).next());
        matches!(name, Some("Secret" | "SealedSecret" | "SecretList"))
    })
}

fn parsed(
    looked: &mut Looked,
    sheet: &mut Sheet<'_>,
    documents: &[Document<'_>],
    is_template: bool,
    history: bool,
    yardstick: &Yardstick,
    covered: &mut Vec<Range<usize>>,
) {
    let choice = looked.name.path.as_deref().and_then(|path| yardstick.config.as_ref()?.rule_for(path).ok());
    looked.place = place(&looked.name, choice.as_ref());
    looked.targets = choice.as_ref().map(|choice| choice.targets.clone());
    let expected = Expectations { choice: choice.as_ref(), keys: &yardstick.keys, now: yardstick.now, today: yardstick.today };
    let (mut sealed_here, mut refusals) = (None, 0);
    for document in documents {
        plain::check(sheet, document, covered);
        let (files, generated) = kustomize::check(sheet, &looked.name, document);
        looked.value_files.extend(files);
        looked.provided.extend(generated);
        if history {
            continue;
        }
        sheet.object = document.root().map_or(0, crate::manifest::Node::outer_start);
        // To say where something is costs a look at the whole text.
        if refusals < MOST_REFUSALS
            && let Err(error) = find_secrets(document)
        {
            refusals += 1;
            // Braces without quotes are keys that are mappings.
            let braces = is_template && matches!(error.reason, Reason::ComplexKey);
            if !braces && !matches!(error.reason, Reason::MissingApiVersion) {
                readable::report(sheet, &error);
            }
        }
        for node in find_sealed(document) {
            sealed_here.get_or_insert(node.get("kind").unwrap_or(node).span());
            if refusals < MOST_REFUSALS
                && let Err(error) = check_faithful(document, node)
            {
                refusals += 1;
                let at = sheet.offset(error.place.line, error.place.column);
                sheet.report(AMBIGUOUS_SECRET, at..at, &Show::Nothing, &error.place.path, error.reason.to_string());
            } else {
                sealed::check(sheet, node, &expected);
            }
        }
        references::collect(document, &mut looked.provided, &mut looked.references);
    }
    for provided in &mut looked.provided {
        provided.line = sheet.line(provided.span.start);
    }
    sheet.object = 0;
    let has_rules = yardstick.config.as_ref().is_some_and(|config| config.targets().next().is_some());
    if let Some(span) = sealed_here.filter(|_| has_rules && choice.is_none() && looked.name.path.is_some()) {
        sheet.report(NO_RULE, span, &Show::Span, "", "no rule of .bulla.yaml is for this file");
    }
}

fn place(name: &FileName, choice: Option<&Choice>) -> String {
    let folder = name.from_root.rsplit_once('/').map_or("", |(folder, _)| folder);
    choice.map_or_else(|| format!("folder {folder}"), |choice| format!("targets {}", choice.targets.join(",")))
}

fn unrendered(sheet: &mut Sheet<'_>) {
    let text = sheet.text();
    if let Some(at) = text.find("kind: SealedSecret").filter(|_| text.contains("bulla.dev/")) {
        sheet.object = 0;
        let message = "sealed values in a template are looked at only when it is rendered";
        sheet.report(UNRENDERED_TEMPLATE, at..at + "kind: SealedSecret".len(), &Show::Span, "", message);
    }
}

/// A file that cannot be looked at because of its size.
#[must_use]
pub fn too_large(name: FileName, length: u64) -> Looked {
    let mut looked = Looked::nothing(name);
    let mut sheet = Sheet::new(&looked.name, "");
    sheet.report(TOO_LARGE, 0..0, &Show::Nothing, "", format!("{} MiB: nothing in it was looked at", length / 1024 / 1024));
    let findings = sheet.findings;
    looked.findings = findings;
    looked
}

/// A file that a generator takes values from.
#[must_use]
pub fn value_file(name: FileName, bytes: &[u8], source: &ValueFile) -> Looked {
    let mut looked = Looked::nothing(name);
    let text = String::from_utf8_lossy(bytes);
    let mut sheet = Sheet::new(&looked.name, &text);
    kustomize::check_value_file(&mut sheet, source);
    looked.findings = sheet.findings;
    looked.keep(&text);
    looked
}
