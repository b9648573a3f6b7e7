//! One file: put down at a glance, or read, parsed and held against every rule that needs no other file.

use std::borrow::Cow;
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::Date;
use zeroize::Zeroizing;

use super::finding::{FileName, Finding, Sheet, Show};
use super::keys::Keys;
use super::kustomize::{self, ValueFile};
use super::readable::MOST_REFUSALS;
use super::references::{self, Provided, Reference};
use super::rule::{
    AMBIGUOUS_SECRET, CHANGED_RULES, FOREIGN_DOCUMENT, LARGE_TEXT, NO_RULE, NOT_YAML, Rule, TOO_LARGE, UNRENDERED_TEMPLATE, UTF16,
};
use super::sealed::Expectations;
use super::sift::{Sifted, sift};
use super::{actions, allow, attributes, braces, kinds, plain, private_keys, readable, sealed, template};
use crate::config::{Choice, Config};
use crate::manifest::{
    Document, ManifestError, Node, Reason, Source, check_faithful, decode, find_foreign_sealed, find_sealed, find_secrets, parse,
    parse_part, parse_pieces,
};

/// Endings of templates, behind that of what they are rendered to.
const TEMPLATES: [&str; 4] = [".tpl", ".tmpl", ".gotmpl", ".j2"];

/// What is said of a kustomization that our reader takes, and does not follow.
const UNFOLLOWED: &str = "what names files or values in a kustomization is not plain text here, so that it is not followed";

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
    /// Targets that the rule for it names.
    pub targets: Option<Vec<String>>,
    /// Where its objects go, to know which are the same.
    pub place: String,
    /// The text, if another file may make something of it wrong, or its comments allow something.
    text: Option<Zeroizing<String>>,
    /// Whether comments in it may allow something.
    pub(super) has_comments: bool,
    /// The text that it had before the commits that are looked at.
    before: Option<Zeroizing<String>>,
}

impl Looked {
    fn nothing(name: FileName) -> Self {
        let (findings, provided, references) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            name,
            findings,
            provided,
            references,
            targets: None,
            place: String::new(),
            text: None,
            has_comments: false,
            before: None,
        }
    }

    /// Keeps the text, if something may still be found in it or its comments allow something.
    fn keep(&mut self, text: Zeroizing<String>) {
        self.has_comments = text.contains(allow::MARK);
        if !self.provided.is_empty() || !self.references.is_empty() || self.has_comments {
            self.text = Some(text);
        }
    }

    /// The text that was kept, to name places in it.
    pub(super) fn sheet(&self) -> Sheet<'_> {
        Sheet::new(&self.name, self.text.as_deref().map_or("", String::as_str))
    }

    /// What it was before: then comments that are new are reported.
    pub(super) fn compare_with(&mut self, before: &[u8]) {
        self.before = Some(Zeroizing::new(String::from_utf8_lossy(before).into_owned()));
    }

    /// Takes out what comments in the file allow, once everything is found; `guarded` findings stay whatever they say.
    pub(super) fn apply_comments(&mut self, guarded: impl Fn(&Rule) -> bool) {
        if let Some(text) = self.text.take().filter(|_| self.has_comments) {
            let mut sheet = Sheet::new(&self.name, &text);
            sheet.findings = std::mem::take(&mut self.findings);
            allow::apply(&mut sheet, guarded);
            if let Some(before) = self.before.take() {
                allow::report_new(&mut sheet, &before);
            }
            self.findings = sheet.findings;
        }
    }

    /// Notes what only shows beside other files.
    pub(super) fn add(&mut self, late: impl IntoIterator<Item = Late>) {
        let text = self.text.as_deref().map_or("", String::as_str);
        let mut sheet = Sheet::new(&self.name, text);
        for Late { rule, span, object, show, subject, message } in late {
            sheet.object = Some(object);
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
pub fn look(name: FileName, bytes: &[u8], is_manifest: bool, history: bool, yardstick: &Yardstick) -> Looked {
    let sifted = sift(bytes);
    let recoded = matches!(bytes, [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
    let may_be_utf16 = recoded || is_manifest && bytes.contains(&0);
    if !may_be_utf16 && !sifted.manifest && sifted.keys.is_empty() {
        return Looked::nothing(name);
    }
    if !is_manifest {
        return text_only(name, bytes, sifted, recoded);
    }
    let mut looked = Looked::nothing(name);
    match decode(bytes.to_vec()) {
        Ok(source) if recoded => manifest(&mut looked, source, None, history, yardstick),
        Ok(source) => manifest(&mut looked, source, Some(sifted), history, yardstick),
        // What was committed stays in the history, whether or not it could be applied: read as well as it can be.
        Err(_) if history => {
            let mended = mended(bytes);
            let sifted = sift(mended.as_bytes());
            if let Ok(source) = decode(mended.as_bytes().to_vec()) {
                manifest(&mut looked, source, Some(sifted), history, yardstick);
            }
        }
        Err(error) => {
            // As text it may be read all the same, and may not be what its author takes it for.
            let text = lossy(bytes);
            let mut sheet = Sheet::new(&looked.name, &text);
            let within = sift(text.as_bytes());
            if !history && within.may_be_secret() {
                readable::report(&mut sheet, &error);
            }
            private_keys::check(&mut sheet, &within, &[]);
            let findings = sheet.findings;
            looked.findings = findings;
        }
    }
    looked
}

/// A file that is no manifest: only keys are looked for. `recoded`: in UTF-16, where the sieve meets nothing.
fn text_only(name: FileName, bytes: &[u8], sifted: Sifted, recoded: bool) -> Looked {
    let mut looked = Looked::nothing(name);
    if sifted.keys.is_empty() && !recoded {
        return looked;
    }
    let text = lossy(bytes);
    let sifted = if matches!(text, Cow::Borrowed(_)) { sifted } else { sift(text.as_bytes()) };
    let mut sheet = Sheet::new(&looked.name, &text);
    private_keys::check(&mut sheet, &sifted, &[]);
    let findings = sheet.findings;
    looked.findings = findings;
    looked.keep(Zeroizing::new(text.into_owned()));
    looked
}

/// The text without what is none; of UTF-16, what is ASCII.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    if bytes.contains(&0) {
        let text: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
        return Cow::Owned(String::from_utf8_lossy(&text).into_owned());
    }
    String::from_utf8_lossy(bytes)
}

/// The text with a line break for each character that kubectl takes for one, and without what no text has.
fn mended(bytes: &[u8]) -> Zeroizing<String> {
    let text = Zeroizing::new(lossy(bytes).into_owned());
    let mut mended = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => mended.push('\n'),
            '\u{feff}' => {}
            '\n' | '\t' => mended.push(c),
            '#' if mended.ends_with("\n---") || *mended == "---" => mended.push_str("\n#"),
            c if c.is_control() || c == char::REPLACEMENT_CHARACTER => mended.push(' '),
            c => mended.push(c),
        }
    }
    mended
}

/// `sifted`: what the sieve met, but for a text that was recoded.
fn manifest(looked: &mut Looked, source: Source, sifted: Option<Sifted>, history: bool, yardstick: &Yardstick) {
    let name = looked.name.clone();
    let mut sheet = Sheet::new(&name, source.text());
    let recoded = sifted.is_none();
    let sifted = sifted.unwrap_or_else(|| sift(source.text().as_bytes()));
    if recoded && sifted.manifest && !history {
        sheet.report(UTF16, 0..0, &Show::Nothing, "", "the file is UTF-16");
    }
    let mut covered = Vec::new();
    if sifted.manifest {
        match parse(&source) {
            Ok(documents) => parsed(looked, &mut sheet, &documents, history, yardstick, &mut covered),
            Err(error) => in_pieces(looked, &mut sheet, &source, &error, history, yardstick, &mut covered),
        }
        if sifted.may_be_secret() && actions::begins_in(source.text()) {
            braces::check(&mut sheet, &mut covered);
        }
    }
    private_keys::check(&mut sheet, &sifted, &covered);
    looked.findings = sheet.findings;
    looked.keep(source.into_text());
}

/// A stream that cannot be read as a whole. kubectl takes of it what it can, and so do we; of the rest, what may be a Secret is an error,
/// unless it is a template.
fn in_pieces(
    looked: &mut Looked,
    sheet: &mut Sheet<'_>,
    source: &Source,
    whole: &ManifestError,
    history: bool,
    yardstick: &Yardstick,
    covered: &mut Vec<Range<usize>>,
) {
    let (mut documents, mut failed, mut replaced) = (Vec::new(), 0, None);
    for (span, piece) in parse_pieces(source) {
        let error = match piece {
            Ok(read) => {
                documents.extend(read);
                continue;
            }
            Err(error) => error,
        };
        failed += 1;
        if failed > MOST_REFUSALS {
            readable::stopped(sheet, span.start);
            break;
        }
        template::check(sheet, span.clone(), covered);
        if history || !sift(source.text()[span.clone()].as_bytes()).may_be_secret() {
            continue;
        }
        let text = &source.text()[span.clone()];
        // What is no YAML with its actions replaced either may be a manifest whose kind nobody here has seen.
        let mut is_seen = || {
            !braces::names_secret(text) || kinds::are_seen(text) || {
                let replaced = replaced.get_or_insert_with(|| braces::source(sheet));
                replaced.as_ref().is_some_and(|source| parse_part(source, span.clone()).is_ok())
            }
        };
        if is_template(text, &error.reason) && is_seen() {
            unrendered(sheet, span);
        } else if readable::rule_for(&error.reason) != NOT_YAML || !is_of_another_language(sheet) {
            readable::report(sheet, &error);
        }
    }
    if failed == 0 && !history {
        readable::report(sheet, whole);
    }
    parsed(looked, sheet, &documents, history, yardstick, covered);
}

/// Whether a text that is no YAML becomes one when it is rendered. In braces of its own, JSON above all, the reader of templates sees nothing.
fn is_template(text: &str, reason: &Reason) -> bool {
    let content = text.trim_start_matches('-').trim_start();
    let in_braces = content.starts_with(['{', '[']) && !content.starts_with("{{") && !content.starts_with("{%");
    matches!(reason, Reason::Syntax { .. }) && !in_braces && braces::expects_rendering(text)
}

/// Whether it is a template of a shell script, of Go, or of anything else that is no manifest: `deploy.sh.j2`. Helm renders them all the same.
fn is_of_another_language(sheet: &Sheet<'_>) -> bool {
    let (file, text) = (sheet.file(), sheet.text());
    let name = file.from_root.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let inner = TEMPLATES.iter().find_map(|ending| name.strip_suffix(ending)).and_then(|name| name.rsplit_once('.'));
    let is_manifest = ["apiVersion:", "kind:"].iter().all(|key| text.contains(key));
    inner.is_some_and(|(_, ending)| !matches!(ending, "yaml" | "yml" | "json")) && !is_manifest && !file.is_of_helm()
}

fn parsed(
    looked: &mut Looked,
    sheet: &mut Sheet<'_>,
    documents: &[Document<'_>],
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
        looked.provided.extend(kustomize::check(sheet, document));
        if refusals > MOST_REFUSALS {
            continue;
        }
        sheet.object = document.root().map(Node::outer_start);
        if let Err(error) = find_secrets(document) {
            refusals += 1;
            let at = sheet.offset(error.place.line, error.place.column);
            // Braces without quotes are keys that are mappings; what else is refused is found where they are replaced.
            if !matches!(error.reason, Reason::ComplexKey) || !is_in_braces(sheet.text(), at) {
                readable::report_at(sheet, &error, at);
            }
        }
        refusals += readable::report_within(sheet, document, MOST_REFUSALS.saturating_sub(refusals));
        if history {
            continue;
        }
        let foreign = find_foreign_sealed(document);
        for node in &foreign {
            let message = "a SealedSecret that kubectl takes out of what is no v1 List, or by an alias";
            sheet.report(FOREIGN_DOCUMENT, node.outer_start()..node.outer_start(), &Show::Nothing, "", message);
        }
        for node in find_sealed(document).into_iter().chain(foreign) {
            sealed_here.get_or_insert(node.get("kind").unwrap_or(node).span());
            if let Err(error) = check_faithful(document, node) {
                refusals += 1;
                let at = sheet.offset(error.place.line, error.place.column);
                sheet.report(AMBIGUOUS_SECRET, at..at, &Show::Nothing, &error.place.path, error.reason.to_string());
                if refusals > MOST_REFUSALS {
                    break;
                }
            } else {
                sealed::check(sheet, node, &expected);
            }
        }
        if refusals > MOST_REFUSALS {
            readable::stopped(sheet, document.span().start);
        }
        references::collect(document, &mut looked.provided, &mut looked.references);
    }
    sheet.object = None;
    let has_rules = yardstick.config.as_ref().is_some_and(|config| config.targets().next().is_some());
    if let Some(span) = sealed_here.filter(|_| has_rules && choice.is_none() && looked.name.path.is_some()) {
        sheet.report(NO_RULE, span, &Show::Span, "", "no rule of .bulla.yaml is for this file");
    }
}

/// Whether a key is what stands between the braces of an action.
fn is_in_braces(text: &str, at: usize) -> bool {
    let (before, key) = text.split_at(at);
    key.starts_with("{{") || key.starts_with('{') && before.ends_with('{')
}

fn place(name: &FileName, choice: Option<&Choice>) -> String {
    let folder = name.from_root.rsplit_once('/').map_or("", |(folder, _)| folder);
    choice.map_or_else(|| format!("folder {folder}"), |choice| format!("targets {}", choice.targets.join(",")))
}

fn unrendered(sheet: &mut Sheet<'_>, span: Range<usize>) {
    let text = &sheet.text()[span.clone()];
    if let Some(at) = text.find("kind: SealedSecret").filter(|_| text.contains("bulla.dev/")) {
        let at = span.start + at;
        sheet.object = None;
        let message = "sealed values in a template are looked at only when it is rendered";
        sheet.report(UNRENDERED_TEMPLATE, at..at + "kind: SealedSecret".len(), &Show::Span, "", message);
    }
}

/// A file that cannot be looked at because of its size.
#[must_use]
pub fn too_large(name: FileName, length: u64, is_manifest: bool) -> Looked {
    let mut looked = Looked::nothing(name);
    let mut sheet = Sheet::new(&looked.name, "");
    let rule = if is_manifest { TOO_LARGE } else { LARGE_TEXT };
    sheet.report(rule, 0..0, &Show::Nothing, "", format!("{} MiB: nothing in it was looked at", length / 1024 / 1024));
    let findings = sheet.findings;
    looked.findings = findings;
    looked
}

/// A configuration that differs from what it was.
#[must_use]
pub fn changed_configuration(name: FileName) -> Looked {
    let mut looked = Looked::nothing(name);
    let mut sheet = Sheet::new(&looked.name, "");
    sheet.report(CHANGED_RULES, 0..0, &Show::Nothing, "", "what is reported, and for whom values are sealed, changes here");
    let findings = sheet.findings;
    looked.findings = findings;
    looked
}

/// Reports what a `.gitattributes` makes of other files.
pub fn attributes(looked: &mut Looked, bytes: &[u8]) {
    let text = lossy(bytes);
    let mut sheet = Sheet::new(&looked.name, &text);
    attributes::check(&mut sheet);
    let mut findings = sheet.findings;
    looked.findings.append(&mut findings);
    looked.keep(Zeroizing::new(text.into_owned()));
}

/// Reports why a kustomization is not followed, unless it is reported already.
pub fn unfollowed(looked: &mut Looked, bytes: &[u8], errors: &[ManifestError]) {
    let text = lossy(bytes);
    let mut sheet = Sheet::new(&looked.name, &text);
    for error in errors {
        let rule = readable::rule_for(&error.reason);
        let at = sheet.offset(error.place.line, error.place.column);
        let message = match rule {
            _ if rule == AMBIGUOUS_SECRET && !matches!(error.reason, Reason::FoldedKey { .. }) => UNFOLLOWED.to_owned(),
            _ => error.reason.to_string(),
        };
        sheet.report(rule, at..at, &Show::Nothing, &error.place.path, message);
    }
    let mut findings = sheet.findings;
    findings.retain(|new| !looked.findings.iter().any(|old| (old.rule, old.line) == (new.rule, new.line)));
    looked.findings.append(&mut findings);
    looked.keep(Zeroizing::new(text.into_owned()));
}

/// A file that a generator takes values from.
#[must_use]
pub fn value_file(name: FileName, bytes: &[u8], source: &ValueFile) -> Looked {
    let mut looked = Looked::nothing(name);
    let text = String::from_utf8_lossy(bytes);
    let mut sheet = Sheet::new(&looked.name, &text);
    kustomize::check_value_file(&mut sheet, source);
    looked.findings = sheet.findings;
    looked.keep(Zeroizing::new(text.into_owned()));
    looked
}
