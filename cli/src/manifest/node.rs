//! Documents and the nodes they are made of, each with the bytes it stands on.
//!
//! A node's span is its content: without tag and anchor, with quotes, brackets or the header of a block scalar, and without
//! the comments and line breaks that follow it.

use std::fmt;
use std::ops::Range;

use super::decode::Source;
use super::error::{ManifestError, Place, Reason, push_index, push_key};
use super::scalar::Scalar;

/// A tag, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are YAML's")]
pub enum Tag {
    /// `!`: as the kind of node says, a scalar is text.
    NonSpecific,
    Str,
    Null,
    Bool,
    Int,
    Float,
    Timestamp,
    Binary,
    Map,
    Seq,
    /// Any other, in full.
    Other(Box<str>),
}

/// How a mapping or sequence is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By indentation.
    Block,
    /// With brackets, as in JSON.
    Flow,
}

/// What a node is.
pub enum Kind {
    /// A scalar.
    Scalar(Scalar),
    /// A mapping, in the order of the text.
    Mapping(Vec<(Node, Node)>),
    /// A sequence.
    Sequence(Vec<Node>),
    /// `*name`, by the anchor's number in this stream.
    Alias(usize),
}

/// What may stand before a node; boxed, since it rarely does.
#[derive(Default)]
pub(super) struct Properties {
    /// Tag of a mapping or sequence; a scalar holds its own.
    pub(super) tag: Option<Tag>,
    /// Number of the anchor, from 1; 0 without one.
    pub(super) anchor: usize,
    /// Where tag or anchor starts.
    pub(super) start: usize,
    /// A `?` stands before this key.
    pub(super) explicit: bool,
}

/// A node of the tree.
pub struct Node {
    pub(super) span: Range<usize>,
    pub(super) style: Style,
    pub(super) properties: Option<Box<Properties>>,
    pub(super) kind: Kind,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Node");
        shown.field("span", &self.span);
        match &self.kind {
            Kind::Scalar(scalar) => shown.field("scalar", scalar),
            Kind::Mapping(entries) => shown.field("keys", &entries.len()),
            Kind::Sequence(items) => shown.field("items", &items.len()),
            Kind::Alias(_) => shown.field("alias", &()),
        };
        shown.finish_non_exhaustive()
    }
}

impl Node {
    /// The content's bytes in the source.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Where the node starts with its tag and anchor.
    #[must_use]
    pub fn outer_start(&self) -> usize {
        self.properties.as_ref().map_or(self.span.start, |properties| properties.start.min(self.span.start))
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// How a mapping or sequence is written. A scalar in quotes is `Flow` too, after YAML's own word.
    #[must_use]
    pub fn style(&self) -> Style {
        self.style
    }

    /// The tag.
    #[must_use]
    pub fn tag(&self) -> Option<&Tag> {
        match &self.kind {
            Kind::Scalar(scalar) => scalar.tag.as_ref(),
            _ => self.properties.as_ref().and_then(|properties| properties.tag.as_ref()),
        }
    }

    /// Number of the anchor that stands before it.
    pub(super) fn anchor(&self) -> Option<usize> {
        self.properties.as_ref().map(|properties| properties.anchor).filter(|&anchor| anchor != 0)
    }

    /// Whether it is a key with a `?` before it.
    pub(super) fn is_explicit_key(&self) -> bool {
        self.properties.as_ref().is_some_and(|properties| properties.explicit)
    }

    /// The scalar, if it is one.
    #[must_use]
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar that is text to everyone, see [`Scalar::as_str`].
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.as_scalar().and_then(Scalar::as_str)
    }

    /// Keys and values, if it is a mapping.
    #[must_use]
    pub fn as_mapping(&self) -> Option<&[(Node, Node)]> {
        match &self.kind {
            Kind::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// Items, if it is a sequence.
    #[must_use]
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The entry of a mapping whose key is this text. Follows no alias and no merge key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<(&Node, &Node)> {
        self.as_mapping()?.iter().find(|(k, _)| k.as_str() == Some(key)).map(|(k, v)| (k, v))
    }

    /// The value of a mapping under this key, see [`Node::entry`].
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The value under a path of keys.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Calls `visit` for this node and all below it, keys included, until it gives something. Depth is bounded by
    /// [`super::MAX_DEPTH`].
    pub(super) fn find<'a, T>(&'a self, visit: &mut impl FnMut(&'a Self) -> Option<T>) -> Option<T> {
        if let Some(found) = visit(self) {
            return Some(found);
        }
        match &self.kind {
            Kind::Mapping(entries) => entries.iter().find_map(|(key, value)| key.find(visit).or_else(|| value.find(visit))),
            Kind::Sequence(items) => items.iter().find_map(|item| item.find(visit)),
            Kind::Scalar(_) | Kind::Alias(_) => None,
        }
    }

    /// Appends the path from here to a node below, if it is there.
    fn path_to(&self, target: &Self, path: &mut String) -> bool {
        if std::ptr::eq(self, target) {
            return true;
        }
        if target.span.start < self.outer_start() || self.span.end < target.span.end {
            return false;
        }
        let before = path.len();
        match &self.kind {
            Kind::Mapping(entries) => entries.iter().any(|(key, value)| {
                path.truncate(before);
                push_key(path, key.as_scalar().map(Scalar::raw));
                key.path_to(target, path) || value.path_to(target, path)
            }),
            Kind::Sequence(items) => items.iter().enumerate().any(|(index, item)| {
                path.truncate(before);
                push_index(path, index);
                item.path_to(target, path)
            }),
            Kind::Scalar(_) | Kind::Alias(_) => false,
        }
    }
}

/// One document of a stream.
pub struct Document<'s> {
    pub(super) source: &'s Source,
    pub(super) number: usize,
    pub(super) span: Range<usize>,
    pub(super) root: Option<Node>,
    pub(super) aliases: bool,
}

impl fmt::Debug for Document<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("number", &self.number).field("span", &self.span).field("root", &self.root).finish()
    }
}

impl<'s> Document<'s> {
    /// The text it is part of.
    #[must_use]
    pub fn source(&self) -> &'s Source {
        self.source
    }

    /// Its number in the stream, from 1.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// All bytes from its `---` (or the start of the text) to where the next document begins: the spans of all documents
    /// cover the text without gaps.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The content; `None` if there are only comments.
    #[must_use]
    pub fn root(&self) -> Option<&Node> {
        self.root.as_ref()
    }

    /// The bytes of a span.
    #[must_use]
    pub fn text(&self, span: Range<usize>) -> &'s str {
        &self.source.text()[span]
    }

    /// Line, column, document and path of a node of this document, to say where something is wrong.
    #[must_use]
    pub fn place(&self, node: &Node) -> Place {
        let (line, column) = self.source.position(node.outer_start());
        let mut path = String::new();
        if !self.root.as_ref().is_some_and(|root| root.path_to(node, &mut path)) {
            path.clear();
        }
        Place { line, column, document: Some(self.number), path }
    }

    pub(super) fn refuse(&self, node: &Node, reason: Reason) -> ManifestError {
        ManifestError { place: self.place(node), reason }
    }
}
