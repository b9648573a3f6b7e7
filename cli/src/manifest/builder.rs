//! Parser events to trees: where each node really starts and ends, limits, duplicate keys.
//!
//! The parser's spans need care: a block scalar's begins after its header and runs into the next line's indentation, a
//! block mapping's end is that of the comments after it, and tags and anchors lie outside.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, ScalarStyle as GranitStyle, Span, StructureStyle, Tag as GranitTag};
use zeroize::Zeroizing;

use super::error::{ManifestError, Place, Reason, push_index, push_key};
use super::node::{Kind, Node, Properties, Style, Tag};
use super::scalar::{Scalar, ScalarStyle};
use super::{MAX_DEPTH, MAX_NODES, Source};

/// A mapping or sequence that is still open.
struct Frame {
    start: usize,
    style: Style,
    properties: Option<Box<Properties>>,
    content: Open,
}

enum Open {
    Mapping { entries: Vec<(Node, Node)>, key: Option<Node> },
    Sequence(Vec<Node>),
}

/// Builds the tree of one document after the other.
pub(super) struct Builder<'s> {
    source: &'s Source,
    /// Where the parser's offset 0 is in the source.
    base: usize,
    frames: Vec<Frame>,
    root: Option<Node>,
    /// End of the last token that was placed.
    cursor: usize,
    /// What the cursor was before the current event.
    before: usize,
    pub(super) document: usize,
    pub(super) nodes: usize,
    pub(super) aliases: bool,
    pub(super) takes_duplicates: bool,
}

impl<'s> Builder<'s> {
    pub(super) fn new(source: &'s Source, base: usize) -> Self {
        let (frames, root, aliases, takes_duplicates) = (Vec::new(), None, false, false);
        Self { source, base, frames, root, cursor: base, before: base, document: 0, nodes: 0, aliases, takes_duplicates }
    }

    /// The bytes of a parser span in the source.
    pub(super) fn range(&self, span: Span) -> Range<usize> {
        // The parser gives byte offsets whenever it reads from a string, as it does here.
        let range = span.byte_range().expect("spans of a string have byte offsets");
        range.start + self.base..range.end + self.base
    }

    pub(super) fn move_to(&mut self, base: usize) {
        self.base = base;
        self.cursor = base;
    }

    pub(super) fn begin(&mut self, start: Range<usize>) {
        self.document += 1;
        self.cursor = self.cursor.max(start.end);
        self.aliases = false;
    }

    pub(super) fn take_root(&mut self) -> Option<Node> {
        self.frames.clear();
        self.root.take()
    }

    pub(super) fn refuse(&self, offset: usize, reason: Reason) -> ManifestError {
        let (line, column) = self.source.position(offset);
        let mut path = String::new();
        for frame in &self.frames {
            match &frame.content {
                Open::Mapping { key: Some(key), .. } => push_key(&mut path, key.as_scalar().map(Scalar::raw)),
                Open::Mapping { key: None, .. } => {}
                Open::Sequence(items) => push_index(&mut path, items.len()),
            }
        }
        ManifestError { place: Place { line, column, document: (self.document > 0).then_some(self.document), path }, reason }
    }

    /// Takes an event that stands for a node or the end of one, and the span of the node's anchor if it has one.
    pub(super) fn event(&mut self, event: Event<'_>, span: Span, anchor_span: Option<Span>) -> Result<(), ManifestError> {
        self.before = self.cursor;
        let range = self.range(span);
        let tag_span = span.tag_span().map(|tag| self.range(tag));
        let anchor_span = anchor_span.map(|anchor| self.range(anchor));
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                let value = Zeroizing::new(value.into_owned());
                let properties = self.properties(anchor, None, tag_span, anchor_span);
                self.scalar(value, style, tag.as_deref().map(tag_of), properties, range)
            }
            Event::Alias(anchor) => {
                self.aliases = true;
                self.cursor = range.end;
                self.place(Node { span: range, style: Style::Flow, properties: None, kind: Kind::Alias(anchor) })
            }
            Event::MappingStart(style, anchor, tag) => {
                let content = Open::Mapping { entries: Vec::new(), key: None };
                let properties = self.properties(anchor, tag.as_deref().map(tag_of), tag_span, anchor_span);
                self.open(range, style, properties, content)
            }
            Event::SequenceStart(style, anchor, tag) => {
                let properties = self.properties(anchor, tag.as_deref().map(tag_of), tag_span, anchor_span);
                self.open(range, style, properties, Open::Sequence(Vec::new()))
            }
            Event::MappingEnd | Event::SequenceEnd => self.close(range),
            _ => Ok(()),
        }
    }

    /// What stands before a node. Moves the cursor behind it.
    fn properties(
        &mut self,
        anchor: usize,
        tag: Option<Tag>,
        tag_span: Option<Range<usize>>,
        anchor_span: Option<Range<usize>>,
    ) -> Option<Box<Properties>> {
        let present = anchor != 0 || tag_span.is_some();
        let mut start = usize::MAX;
        for span in tag_span.into_iter().chain(anchor_span) {
            start = start.min(span.start);
            self.cursor = self.cursor.max(span.end);
        }
        present.then(|| Box::new(Properties { tag, anchor, start, explicit: false }))
    }

    fn expects_value(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { content: Open::Mapping { key: Some(_), .. }, .. }))
    }

    fn scalar(
        &mut self,
        mut value: Zeroizing<String>,
        style: GranitStyle,
        tag: Option<Tag>,
        properties: Option<Box<Properties>>,
        range: Range<usize>,
    ) -> Result<(), ManifestError> {
        let text = self.source.text();
        let (span, style) = match style {
            GranitStyle::Plain if range.is_empty() => {
                // Nothing is written there. The parser calls it `~` and places it before the colon.
                value.clear();
                let colon = self.expects_value() && text.as_bytes().get(range.start) == Some(&b':');
                let at = (range.start + usize::from(colon)).max(self.cursor).min(text.len());
                (at..at, ScalarStyle::Plain)
            }
            GranitStyle::Plain => (range, ScalarStyle::Plain),
            GranitStyle::Literal | GranitStyle::Folded => {
                let header = skip_to_header(text, self.cursor.min(range.start), range.start);
                let header_end = text[header..].find(|c: char| !matches!(c, '|' | '>' | '+' | '-' | '0'..='9'));
                let header_end = header_end.map_or(text.len(), |len| header + len);
                (header..block_scalar_end(text, header_end, range), ScalarStyle::Block)
            }
            _ => (range, ScalarStyle::Quoted),
        };
        let flow = if style == ScalarStyle::Block { Style::Block } else { Style::Flow };
        self.cursor = self.cursor.max(span.end);
        self.place(Node { span, style: flow, properties, kind: Kind::Scalar(Scalar { value, style, tag }) })
    }

    fn open(
        &mut self,
        range: Range<usize>,
        style: StructureStyle,
        properties: Option<Box<Properties>>,
        content: Open,
    ) -> Result<(), ManifestError> {
        if self.frames.len() == MAX_DEPTH {
            return Err(self.refuse(range.start, Reason::TooDeep));
        }
        let style = if matches!(style, StructureStyle::Flow) { Style::Flow } else { Style::Block };
        let mut start = range.start;
        if style == Style::Block && matches!(content, Open::Sequence(_)) && self.expects_value() {
            // Of a sequence that is not indented below its key, the parser gives the first item.
            let dash = gap(self.source.text(), self.cursor.min(start), start).find(|&(_, byte)| byte == b'-');
            start = dash.map_or(start, |(at, _)| at);
        }
        self.frames.push(Frame { start, style, properties, content });
        Ok(())
    }

    fn close(&mut self, range: Range<usize>) -> Result<(), ManifestError> {
        let Some(Frame { start, style, properties, content }) = self.frames.pop() else { return Ok(()) };
        let (first, last, kind) = match content {
            Open::Mapping { entries, .. } => {
                if !self.takes_duplicates {
                    self.refuse_duplicates(&entries)?;
                }
                let first = entries.first().map(|(key, _)| key.outer_start());
                let last = entries.last().map(|(key, value)| value.span.end.max(key.span.end));
                (first, last, Kind::Mapping(entries))
            }
            Open::Sequence(items) => {
                let last = items.last().map(|item| item.span.end);
                (None, last, Kind::Sequence(items))
            }
        };
        // `[a: b]` holds a mapping without brackets of its own, called a flow mapping all the same.
        let brackets = style == Style::Flow && !range.is_empty();
        let (start, end) = if brackets { (start, range.end) } else { (first.unwrap_or(start), last.unwrap_or(start)) };
        self.cursor = self.cursor.max(end);
        self.place(Node { span: start..end.max(start), style, properties, kind })
    }

    /// kubectl refuses a key that is there twice, or lets the last one win, depending on its version.
    fn refuse_duplicates(&self, entries: &[(Node, Node)]) -> Result<(), ManifestError> {
        let mut seen: HashMap<&str, &Node> = HashMap::with_capacity(entries.len());
        for (key, _) in entries {
            let Some(name) = comparable(key) else { continue };
            if let Some(first) = seen.insert(name, key) {
                let first = self.source.position(first.span.start).0;
                let mut refusal = self.refuse(key.span.start, Reason::DuplicateKey { first });
                push_key(&mut refusal.place.path, Some(name));
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Puts a finished node into the collection it belongs to.
    fn place(&mut self, mut node: Node) -> Result<(), ManifestError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.refuse(node.span.start, Reason::TooManyNodes));
        }
        let text = self.source.text();
        match self.frames.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Open::Sequence(items)) => items.push(node),
            Some(Open::Mapping { entries, key: open_key }) => {
                if let Some(key) = open_key.take() {
                    entries.push((key, node));
                    return Ok(());
                }
                if has_question_mark(text, self.before, node.outer_start()) {
                    let start = node.outer_start();
                    node.properties.get_or_insert_with(|| Box::new(Properties { start, ..Properties::default() })).explicit =
                        true;
                }
                *open_key = Some(node);
            }
        }
        Ok(())
    }
}

/// A key's text, to find it again. Merge keys may repeat.
fn comparable(key: &Node) -> Option<&str> {
    let scalar = key.as_scalar()?;
    let merge = scalar.raw() == "<<" && scalar.style == ScalarStyle::Plain;
    (!merge).then_some(scalar.raw())
}

fn tag_of(tag: &GranitTag) -> Tag {
    let known = match tag.suffix_in_namespace("tag:yaml.org,2002:").as_deref() {
        Some("str") => Some(Tag::Str),
        Some("null") => Some(Tag::Null),
        Some("bool") => Some(Tag::Bool),
        Some("int") => Some(Tag::Int),
        Some("float") => Some(Tag::Float),
        Some("timestamp") => Some(Tag::Timestamp),
        Some("binary") => Some(Tag::Binary),
        Some("map") => Some(Tag::Map),
        Some("seq") => Some(Tag::Seq),
        _ => None,
    };
    known.unwrap_or_else(|| match (tag.handle(), tag.suffix()) {
        ("", "!") | ("!", "") => Tag::NonSpecific,
        (handle, suffix) => Tag::Other(format!("{handle}{suffix}").into()),
    })
}

/// Skips spaces, comments and indicators between two tokens to the `|` or `>` of a block scalar.
fn skip_to_header(text: &str, from: usize, to: usize) -> usize {
    gap(text, from, to).find(|&(_, byte)| matches!(byte, b'|' | b'>')).map_or(to, |(at, _)| at)
}

fn has_question_mark(text: &str, from: usize, to: usize) -> bool {
    from < to && gap(text, from, to).any(|(_, byte)| byte == b'?')
}

/// The bytes between two tokens that are neither space nor comment.
pub fn gap(text: &str, from: usize, to: usize) -> impl Iterator<Item = (usize, u8)> {
    let mut comment = false;
    text.as_bytes()[from..to].iter().enumerate().filter_map(move |(at, &byte)| {
        match byte {
            b'#' => comment = true,
            b'\n' => comment = false,
            _ => {}
        }
        (!comment && !byte.is_ascii_whitespace()).then_some((from + at, byte))
    })
}

/// Where the text of a block scalar ends: neither with the blank lines after it nor with the next line's indentation, which
/// the parser counts in. A value that ends in blank lines (`|+`) leaves them standing: they hold nothing.
fn block_scalar_end(text: &str, header_end: usize, range: Range<usize>) -> usize {
    // Of an empty one at the end of the text, the parser gives the header as well.
    let first_line = text[header_end..].find('\n').map_or(text.len(), |at| header_end + at + 1);
    let start = range.start.max(first_line);
    let body = text.get(start..range.end).unwrap_or_default();
    let trimmed = body.trim_end_matches([' ', '\t', '\r', '\n']);
    if trimmed.is_empty() { header_end } else { start + trimmed.len() }
}
