//! What a Secret may not contain, since parsers read it differently or sealing would change what it means.
//!
//! Documents of other kinds pass through untouched and may contain all of it.

use std::collections::HashSet;
use std::ops::Range;

use super::error::{ManifestError, Reason};
use super::node::{Document, Kind, Node, Style, Tag};
use super::scalar::{ScalarStyle, ScalarValue};

/// Refuses aliases, merge keys, tags of others, keys that are not text to everyone, and anchors that are `referred` to. Complex
/// keys are refused last: braces of a template are such, and say nothing of what else is there.
pub(super) fn check_secret(document: &Document<'_>, secret: &Node, referred: &HashSet<usize>) -> Result<(), ManifestError> {
    let mut complex = None;
    check(document, secret, false, &mut complex)?;
    // An anchor goes with the Secret that is replaced, so nothing may need it. On the Secret itself it would name another
    // object than before.
    let is_referred = |anchor: &usize| referred.contains(anchor);
    if !referred.is_empty()
        && let Some(anchor) = secret.find(&mut |node| node.anchor().filter(is_referred))
    {
        return Err(document.refuse(alias_of(document, anchor).unwrap_or(secret), Reason::ReferredAnchor));
    }
    complex.map_or(Ok(()), |key| Err(document.refuse(key, Reason::ComplexKey)))
}

/// Refuses to edit the mapping at `span` where an alias repeats it or what it is part of, and where parsers read it differently.
pub fn check_editable(document: &Document<'_>, span: &Range<usize>) -> Result<(), ManifestError> {
    let Some(root) = document.root() else { return Ok(()) };
    if let Some(node) = root.find(&mut |node| (node.span == *span).then_some(node)) {
        let mut complex = None;
        check(document, node, false, &mut complex)?;
        if let Some(key) = complex {
            return Err(document.refuse(key, Reason::ComplexKey));
        }
    }
    let mut anchors = HashSet::new();
    root.find(&mut |node| {
        let overlaps = node.span.start < span.end && span.start < node.span.end;
        anchors.extend(node.anchor().filter(|_| overlaps));
        None::<()>
    });
    let alias = root.find(&mut |node| matches!(node.kind(), Kind::Alias(anchor) if anchors.contains(anchor)).then_some(node));
    alias.map_or(Ok(()), |alias| Err(document.refuse(alias, Reason::ReferredAnchor)))
}

/// Refuses a node that parsers read differently, as far as it says so itself: an alias, a tag, and of a mapping the keys.
pub fn check_node(document: &Document<'_>, node: &Node) -> Result<(), ManifestError> {
    match node.kind() {
        _ if node.tag().is_some() => Err(document.refuse(node, Reason::Tag)),
        Kind::Alias(_) => Err(document.refuse(node, Reason::Alias)),
        Kind::Mapping(entries) => entries.iter().try_for_each(|(key, _)| check_key(document, key, node.style() == Style::Flow)),
        Kind::Scalar(_) | Kind::Sequence(_) => Ok(()),
    }
}

fn alias_of<'d>(document: &'d Document<'_>, anchor: usize) -> Option<&'d Node> {
    document.root()?.find(&mut |node| matches!(node.kind(), Kind::Alias(target) if *target == anchor).then_some(node))
}

/// The first of the `complex` keys is noted.
fn check<'n>(
    document: &Document<'_>,
    node: &'n Node,
    in_flow: bool,
    complex: &mut Option<&'n Node>,
) -> Result<(), ManifestError> {
    check_tag(document, node, in_flow)?;
    let flow = node.style() == Style::Flow;
    match node.kind() {
        Kind::Scalar(_) => {}
        Kind::Alias(_) => return Err(document.refuse(node, Reason::Alias)),
        Kind::Sequence(items) => {
            for item in items {
                check(document, item, flow, complex)?;
            }
        }
        Kind::Mapping(entries) => {
            for (key, value) in entries {
                if key.is_explicit_key() || key.as_scalar().is_none() {
                    complex.get_or_insert(key);
                }
                check_key(document, key, flow)?;
                check(document, value, flow, complex)?;
            }
        }
    }
    Ok(())
}

fn check_key(document: &Document<'_>, key: &Node, in_flow: bool) -> Result<(), ManifestError> {
    let refuse = |reason| Err(document.refuse(key, reason));
    let scalar = match key.kind() {
        Kind::Scalar(scalar) => scalar,
        Kind::Alias(_) => return refuse(Reason::Alias),
        Kind::Mapping(_) | Kind::Sequence(_) => return Ok(()),
    };
    let unquoted = scalar.style() == ScalarStyle::Plain || scalar.tag.is_some();
    if scalar.raw() == "<<" && unquoted {
        return refuse(Reason::MergeKey);
    }
    check_tag(document, key, in_flow)?;
    match scalar.read() {
        ScalarValue::Text(_) => Ok(()),
        other => refuse(Reason::KeyNotText { found: other.describe() }),
    }
}

fn check_tag(document: &Document<'_>, node: &Node, in_flow: bool) -> Result<(), ManifestError> {
    let Some(tag) = node.tag() else { return Ok(()) };
    let fits = match tag {
        _ if in_flow => false,
        Tag::NonSpecific => true,
        Tag::Map => matches!(node.kind(), Kind::Mapping(_)),
        Tag::Seq => matches!(node.kind(), Kind::Sequence(_)),
        other => !matches!(other, Tag::Other(_)) && matches!(node.kind(), Kind::Scalar(_)),
    };
    if fits { Ok(()) } else { Err(document.refuse(node, Reason::Tag)) }
}
