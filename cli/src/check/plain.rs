//! Values in plain in `kind: Secret`, at any depth of any document: Lists, and manifests that stand within others.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::finding::{Sheet, Show, harmless};
use super::placeholder::{is_nothing_yet, is_placeholder};
use super::readable::MOST_REFUSALS;
use super::rule::PLAINTEXT_SECRET;
use super::sift::sift;
use super::{actions, readable, template};
use crate::manifest::{Document, Kind, Node, Scalar, ScalarStyle, ScalarValue, parse_part};

/// As kubectl decodes `data`, and a little more: what it would refuse is in plain all the same.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where a Secret has its values, and whether they are base64.
const FIELDS: [(&str, bool); 2] = [("data", true), ("stringData", false)];

/// How often manifests may stand in blocks of text of others.
const MOST_WITHIN: usize = 3;

/// How a tree came to be.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    /// From a template, its actions replaced by words of the same length: what is meant stands in the text of the file.
    is_replaced: bool,
    /// So many blocks of text around it.
    within: usize,
}

impl Way {
    fn is_nothing(self, text: &str, encoded: bool) -> bool {
        // What stands in a block may be a template, however the file around it is read.
        is(text, encoded, if self.is_replaced || self.within > 0 { is_placeholder } else { is_nothing_yet })
    }
}

/// Reports each value in plain, and gives the bytes that they stand on.
pub fn check(sheet: &mut Sheet<'_>, document: &Document<'_>, covered: &mut Vec<Range<usize>>) {
    if let Some(root) = document.root() {
        walk(sheet, document, root, false, Way::default(), covered);
    }
}

/// The same for a template whose actions were replaced.
pub fn check_replaced(sheet: &mut Sheet<'_>, document: &Document<'_>, covered: &mut Vec<Range<usize>>) {
    if let Some(root) = document.root() {
        walk(sheet, document, root, false, Way { is_replaced: true, within: 0 }, covered);
    }
}

/// `implied`: an item of a `SecretList`, which needs no kind of its own.
fn walk(sheet: &mut Sheet<'_>, document: &Document<'_>, node: &Node, implied: bool, way: Way, covered: &mut Vec<Range<usize>>) {
    match node.kind() {
        Kind::Mapping(entries) => {
            let kinds: Vec<&Node> = named(sheet.text(), node, "kind", way).collect();
            let is = |wanted: &str| kinds.iter().any(|kind| is_kind(sheet.text(), kind, wanted, way));
            // Of a SealedSecret the API server drops such fields; in Git they are all the same.
            let is_secret = is("Secret") || is("SealedSecret") || implied && kinds.is_empty();
            let is_list = is("SecretList");
            if is_secret {
                sheet.object = Some(node.outer_start());
                secret(sheet, node, way, covered);
            }
            for (key, value) in entries {
                // These are reported as a whole.
                if !is_secret || !FIELDS.iter().any(|(field, _)| is_key(sheet.text(), key, field, way)) {
                    walk(sheet, document, value, false, way, covered);
                }
                if is_list && key.as_str() == Some("items") {
                    for item in value.as_sequence().unwrap_or_default() {
                        walk(sheet, document, item, true, way, covered);
                    }
                }
            }
        }
        Kind::Sequence(items) => items.iter().for_each(|item| walk(sheet, document, item, false, way, covered)),
        Kind::Scalar(scalar) if scalar.style() == ScalarStyle::Block && sift(scalar.raw().as_bytes()).may_be_secret() => {
            block(sheet, document, node, way, covered);
        }
        Kind::Scalar(_) | Kind::Alias(_) => {}
    }
}

/// A patch of kustomize, or a manifest that something else will apply: by lines, and as YAML where it is.
fn block(sheet: &mut Sheet<'_>, document: &Document<'_>, node: &Node, way: Way, covered: &mut Vec<Range<usize>>) {
    let before = sheet.findings.len();
    template::check(sheet, node.span(), covered);
    let by_lines = sheet.findings.len();
    let span = node.span();
    let body = document.text(span.clone()).find('\n').map_or(span.end, |at| span.start + at + 1);
    let way = Way { within: way.within + 1, ..way };
    if way.within > MOST_WITHIN || !has_kind(document.text(span.clone())) {
        return;
    }
    if sheet.unread == MOST_REFUSALS {
        sheet.unread += 1;
        readable::stopped(sheet, span.start);
    }
    if sheet.unread > MOST_REFUSALS {
        return;
    }
    let Ok(documents) = parse_part(document.source(), body..span.end) else {
        sheet.unread += 1;
        return;
    };
    for inner in &documents {
        if let Some(root) = inner.root() {
            walk(sheet, inner, root, false, way, covered);
        }
        let most = MOST_REFUSALS.saturating_sub(sheet.unread);
        sheet.unread += readable::report_within(sheet, inner, most);
    }
    sheet.drop_repeated(before, by_lines);
}

/// Whether a key `kind` is in a text, or a disguise that may hide one: what speaks of Secrets is often a description.
fn has_kind(text: &str) -> bool {
    let is_key = |rest: &str| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':');
    text.match_indices("kind").any(|(at, word)| is_key(&text[at + word.len()..]))
        || text.contains("kind") && text.contains('&')
        || ["\\x6", "\\u006", "\\U0000006", "!!b", "!!%", "!<", "%TAG", "? ", "\\\n"]
            .iter()
            .any(|disguise| text.contains(disguise))
}

/// Values under a key; in a template each branch may have one.
fn named<'n>(text: &'n str, node: &'n Node, field: &'n str, way: Way) -> impl Iterator<Item = &'n Node> {
    let entries = node.as_mapping().unwrap_or_default().iter();
    entries.filter(move |(key, _)| is_key(text, key, field, way)).map(|(_, value)| value)
}

fn is_key(text: &str, key: &Node, field: &str, way: Way) -> bool {
    key.as_str() == Some(field) || way.is_replaced && text[key.span()].contains("{{") && is_kind(text, key, field, way)
}

fn is_kind(text: &str, node: &Node, wanted: &str, way: Way) -> bool {
    let Some(scalar) = node.as_scalar() else { return false };
    if way.is_replaced && actions::begins_in(&text[node.span()]) {
        return actions::may_be(unwrapped(&text[node.span()], scalar.style()), wanted);
    }
    match scalar.read() {
        ScalarValue::Binary(bytes) => *bytes == *wanted.as_bytes(),
        _ => scalar.raw() == wanted,
    }
}

/// A scalar without its quotes or the header of its block.
fn unwrapped(text: &str, style: ScalarStyle) -> &str {
    match style {
        ScalarStyle::Plain => text,
        ScalarStyle::Quoted => text.get(1..text.len() - 1).unwrap_or_default(),
        ScalarStyle::Block => text.split_once('\n').map_or("", |(_, body)| body.trim()),
    }
}

fn secret(sheet: &mut Sheet<'_>, node: &Node, way: Way, covered: &mut Vec<Range<usize>>) {
    let text = sheet.text();
    let name = match node.at(&["metadata", "name"]) {
        name if way.is_replaced => name.map_or_else(|| "?".to_owned(), |name| harmless(&text[name.span()])),
        _ => object_name(node),
    };
    for (field, encoded) in FIELDS {
        for mapping in named(text, node, field, way) {
            covered.push(mapping.span());
            for (key, value) in mapping.as_mapping().unwrap_or_default() {
                if has_value(text, value, encoded, way) {
                    let key_text = if way.is_replaced { &text[key.span()] } else { key.as_scalar().map_or("", Scalar::raw) };
                    let item = harmless(key_text);
                    let message = format!("item {item} of Secret {name} is in plain");
                    sheet.report(PLAINTEXT_SECRET, value.span(), &Show::Masked(key.span()), &format!("{name} {item}"), message);
                }
            }
        }
    }
}

/// `namespace/name` of an object, as far as it has them.
#[must_use]
pub fn object_name(node: &Node) -> String {
    let text = |field: &str| node.at(&["metadata", field]).and_then(Node::as_str).map(harmless);
    let name = text("name").unwrap_or_else(|| "(no name)".to_owned());
    text("namespace").map_or(name.clone(), |namespace| format!("{namespace}/{name}"))
}

/// Whether a value of a Secret gives something away.
fn has_value(text: &str, value: &Node, encoded: bool, way: Way) -> bool {
    let written = &text[value.span()];
    let Some(scalar) = value.as_scalar() else {
        // `{{ .Values.x }}` without quotes is a mapping in a mapping, and no value of a Secret is one.
        return written.starts_with("{{") && !is_nothing(written, false);
    };
    if way.is_replaced && actions::begins_in(written) {
        return !is_nothing(unwrapped(written, scalar.style()), encoded);
    }
    match scalar.read() {
        ScalarValue::Null => false,
        ScalarValue::Binary(bytes) => !bytes.is_empty(),
        _ => !way.is_nothing(scalar.raw(), encoded),
    }
}

/// Whether a text in the template of a Secret is none, as it is or as base64.
#[must_use]
pub fn is_nothing(text: &str, encoded: bool) -> bool {
    is(text, encoded, is_placeholder)
}

fn is(text: &str, encoded: bool, nothing: fn(&str) -> bool) -> bool {
    nothing(text) || encoded && is_in_base64(text, nothing)
}

fn is_in_base64(text: &str, nothing: fn(&str) -> bool) -> bool {
    let bare: Zeroizing<String> = Zeroizing::new(text.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    let Ok(decoded) = LENIENT.decode(bare.as_bytes()).map(Zeroizing::new) else { return false };
    str::from_utf8(&decoded).is_ok_and(nothing)
}
