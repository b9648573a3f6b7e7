//! Reading an edited text again and comparing: what was replaced is what was meant, and nothing else has changed.
//!
//! A guard against errors of ours. A difference means that nothing may be written.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

use super::decode::decode;
use super::error::{ManifestError, Place, Reason};
use super::node::{Document, Kind, Node};
use super::parse::parse;
use super::scalar::{Scalar, ScalarStyle};

/// What must stand where a node stood.
#[derive(Clone)]
pub struct Expected {
    /// Span of the node in the original text, as [`Node::span`] has it.
    pub span: Range<usize>,
    /// The intended value. Text must be text to YAML 1.1 and 1.2 alike.
    pub value: Value,
}

impl std::fmt::Debug for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expected").field("span", &self.span).finish_non_exhaustive()
    }
}

/// Compares an edited text with the documents before the edit.
pub fn verify_splice(original: &[Document<'_>], edited: &str, expected: &[Expected]) -> Result<(), ManifestError> {
    let source = decode(edited.as_bytes().to_vec())?;
    let documents = parse(&source)?;
    let mut comparison = Comparison {
        expected: expected.iter().map(|e| ((e.span.start, e.span.end), &e.value)).collect(),
        anchors: HashMap::new(),
    };
    let met_once = comparison.expected.len() == expected.len();
    if !met_once || original.len() != documents.len() {
        return Err(mismatch(original.first(), None));
    }
    for (before, after) in original.iter().zip(&documents) {
        let differs = match (before.root(), after.root()) {
            (Some(old), Some(new)) => comparison.difference(old, new),
            (None, None) => continue,
            (Some(old), None) => Some(old),
            (None, Some(_)) => return Err(mismatch(Some(before), None)),
        };
        if differs.is_some() {
            return Err(mismatch(Some(before), differs));
        }
    }
    // A span that no node has was never compared.
    if comparison.expected.is_empty() { Ok(()) } else { Err(mismatch(original.first(), None)) }
}

fn mismatch(document: Option<&Document<'_>>, node: Option<&Node>) -> ManifestError {
    let place = match (document, node) {
        (Some(document), Some(node)) => document.place(node),
        (Some(document), None) => Place { line: 1, column: 1, document: Some(document.number()), path: String::new() },
        (None, _) => Place { line: 1, column: 1, ..Place::default() },
    };
    ManifestError { place, reason: Reason::EditMismatch }
}

struct Comparison<'e> {
    /// Not met yet.
    expected: HashMap<(usize, usize), &'e Value>,
    /// Numbers of anchors before and after: those in replaced nodes are gone.
    anchors: HashMap<usize, usize>,
}

impl Comparison<'_> {
    /// The first node of the original that reads otherwise now.
    fn difference<'o>(&mut self, old: &'o Node, new: &Node) -> Option<&'o Node> {
        let here = Some(old);
        if let Some(value) = self.expected.remove(&(old.span.start, old.span.end)) {
            return if equals(new, value) { None } else { here };
        }
        match (old.anchor(), new.anchor()) {
            (Some(old), Some(new)) => {
                self.anchors.insert(old, new);
            }
            (None, None) => {}
            _ => return here,
        }
        if old.tag() != new.tag() || old.style() != new.style() {
            return here;
        }
        match (old.kind(), new.kind()) {
            (Kind::Scalar(old), Kind::Scalar(new)) if old == new => None,
            (Kind::Alias(old), Kind::Alias(new)) if self.anchors.get(old) == Some(new) => None,
            (Kind::Sequence(old), Kind::Sequence(new)) if old.len() == new.len() => {
                old.iter().zip(new).find_map(|(old, new)| self.difference(old, new))
            }
            (Kind::Mapping(old), Kind::Mapping(new)) if old.len() == new.len() => {
                old.iter().zip(new).find_map(|((old_key, old_value), (new_key, new_value))| {
                    self.difference(old_key, new_key).or_else(|| self.difference(old_value, new_value))
                })
            }
            _ => here,
        }
    }
}

fn equals(node: &Node, value: &Value) -> bool {
    let plain =
        |text: &str| node.as_scalar().is_some_and(|s| s.style() == ScalarStyle::Plain && s.tag.is_none() && s.raw() == text);
    match value {
        Value::Null => plain("null"),
        Value::Bool(_) => node.as_scalar().and_then(Scalar::as_bool) == value.as_bool(),
        Value::Number(number) => plain(&number.to_string()),
        Value::String(text) => node.as_str() == Some(text),
        Value::Array(values) => node.as_sequence().is_some_and(|items| {
            items.len() == values.len() && items.iter().zip(values).all(|(item, value)| equals(item, value))
        }),
        Value::Object(fields) => node.as_mapping().is_some_and(|entries| {
            entries.len() == fields.len()
                && entries
                    .iter()
                    .all(|(key, value)| key.as_str().and_then(|key| fields.get(key)).is_some_and(|field| equals(value, field)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verify(before: &str, edited: &str, expected: &[Expected]) -> Result<(), Reason> {
        let source = decode(before.into()).unwrap();
        verify_splice(&parse(&source).unwrap(), edited, expected).map_err(|error| error.reason)
    }

    fn expect(span: Range<usize>, value: Value) -> Expected {
        Expected { span, value }
    }

    #[test]
    fn the_intended_change_passes() {
        let before = "a: 1\nb: x\n---\nc: 3\n";
        assert_eq!(verify(before, "a: 1\nb: \"y\"\n---\nc: 3\n", &[expect(8..9, json!("y"))]), Ok(()));
        assert_eq!(
            verify(before, "a: 1\nb: {c: [1, true, null]}\n---\nc: 3\n", &[expect(8..9, json!({"c": [1, true, null]}))]),
            Ok(())
        );
    }

    #[test]
    fn any_other_change_is_an_error() {
        let before = "a: 1\nb: x\n---\nc: &k 3\nd: *k\n";
        for edited in [
            "a: 1\nb: z\n---\nc: &k 3\nd: *k\n",
            "a: 2\nb: y\n---\nc: &k 3\nd: *k\n",
            "a: '1'\nb: y\n---\nc: &k 3\nd: *k\n",
            "a: 1\nb: y\ne: 1\n---\nc: &k 3\nd: *k\n",
            "a: 1\nb: y\n---\nc: &k 3\nd: *k\n---\n",
            "a: 1\nb: y\n---\n# c: &k 3\n",
            "a: 1\nb: y\n---\nc: &k 3\nd: 3\n",
            "a: 1\nb: y\n---\nc: &k !!str 3\nd: *k\n",
        ] {
            assert_eq!(verify(before, edited, &[expect(8..9, json!("y"))]), Err(Reason::EditMismatch), "{edited}");
        }
    }

    #[test]
    fn an_expectation_must_meet_a_node_and_text_must_be_text() {
        assert_eq!(verify("a: x\n", "a: x\n", &[expect(2..4, json!("x"))]), Err(Reason::EditMismatch));
        assert_eq!(verify("a: x\n", "a: on\n", &[expect(3..4, json!("on"))]), Err(Reason::EditMismatch));
        assert_eq!(verify("a: x\n", "a: \"on\"\n", &[expect(3..4, json!("on"))]), Ok(()));
    }

    #[test]
    fn anchors_may_be_renumbered() {
        let before = "- &a x\n- &b y\n- *b\n";
        assert_eq!(verify(before, "- z\n- &b y\n- *b\n", &[expect(5..6, json!("z"))]), Ok(()));
    }
}
