//! Values in plain in `kind: Secret`, at any depth of any document: Lists, and manifests that stand within others.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::finding::{Sheet, Show, harmless};
use super::placeholder::{is_nothing_yet, is_placeholder};
use super::rule::PLAINTEXT_SECRET;
use super::template;
use crate::manifest::{Document, Kind, Node, Scalar, ScalarStyle, ScalarValue};

/// As kubectl decodes `data`, and a little more: what it would refuse is in plain all the same.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Where a Secret has its values, and whether they are base64.
const FIELDS: [(&str, bool); 2] = [("data", true), ("stringData", false)];

/// Reports each value in plain, and gives the bytes that they stand on.
pub fn check(sheet: &mut Sheet<'_>, document: &Document<'_>, covered: &mut Vec<Range<usize>>) {
    if let Some(root) = document.root() {
        walk(sheet, root, false, covered);
    }
}

/// `implied`: an item of a `SecretList`, which needs no kind of its own.
fn walk(sheet: &mut Sheet<'_>, node: &Node, implied: bool, covered: &mut Vec<Range<usize>>) {
    match node.kind() {
        Kind::Mapping(entries) => {
            let kind = node.get("kind").and_then(kind_of);
            let is_secret = kind.as_deref() == Some("Secret") || kind.is_none() && implied;
            if is_secret {
                sheet.object = node.outer_start();
                secret(sheet, node, covered);
            }
            let implied = kind.as_deref() == Some("SecretList");
            for (key, value) in entries {
                // These are reported as a whole.
                if !is_secret || !key.as_str().is_some_and(|key| FIELDS.iter().any(|(field, _)| *field == key)) {
                    walk(sheet, value, false, covered);
                }
                if implied && key.as_str() == Some("items") {
                    value.as_sequence().unwrap_or_default().iter().for_each(|item| walk(sheet, item, true, covered));
                }
            }
        }
        Kind::Sequence(items) => items.iter().for_each(|item| walk(sheet, item, false, covered)),
        // A patch of kustomize, or a manifest that something else will apply.
        Kind::Scalar(scalar) if scalar.style() == ScalarStyle::Block && scalar.raw().contains("Secret") => {
            template::check(sheet, node.span(), covered);
        }
        Kind::Scalar(_) | Kind::Alias(_) => {}
    }
}

fn kind_of(node: &Node) -> Option<String> {
    match node.as_scalar()?.read() {
        ScalarValue::Binary(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        _ => Some(node.as_scalar()?.raw().to_owned()),
    }
}

fn secret(sheet: &mut Sheet<'_>, node: &Node, covered: &mut Vec<Range<usize>>) {
    let name = object_name(node);
    for (field, encoded) in FIELDS {
        let Some(mapping) = node.get(field) else { continue };
        covered.push(mapping.span());
        for (key, value) in mapping.as_mapping().unwrap_or_default() {
            if has_value(sheet.text(), value, encoded) {
                let item = harmless(key.as_scalar().map(Scalar::raw).unwrap_or_default());
                let message = format!("item {item} of Secret {name} is in plain");
                sheet.report(PLAINTEXT_SECRET, value.span(), &Show::Masked(key.span()), &format!("{name} {item}"), message);
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
fn has_value(text: &str, value: &Node, encoded: bool) -> bool {
    let Some(scalar) = value.as_scalar() else {
        // `{{ .Values.x }}` without quotes is a mapping in a mapping, and no value of a Secret is one.
        let braces = &text[value.span()];
        return braces.starts_with("{{") && !is_nothing(braces, false);
    };
    match scalar.read() {
        ScalarValue::Null => false,
        ScalarValue::Binary(bytes) => !bytes.is_empty(),
        _ => !is(scalar.raw(), encoded, is_nothing_yet),
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
