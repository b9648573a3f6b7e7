//! Text to documents: runs the parser, cuts the stream, names what is not YAML.
//!
//! JSON is YAML and needs no second reader; only JSON documents one after the other without `---` are cut here first, as
//! kubectl does.

use std::ops::Range;

use granit_parser::{ErrorKind, Event, Options, Parser, ScanError};

use super::MAX_DEPTH;
use super::builder::Builder;
use super::decode::Source;
use super::error::{ManifestError, Place, Reason};
use super::node::Document;
use super::scalar::ScalarStyle;

/// Reads all documents of a stream.
pub fn parse(source: &Source) -> Result<Vec<Document<'_>>, ManifestError> {
    let whole = source.mark_len()..source.text().len();
    let documents = documents(source, std::slice::from_ref(&whole)).or_else(|failure| {
        // Only now: what YAML reads as a whole must not be cut otherwise.
        match json_values(source, whole) {
            Some(values) => documents(source, &values),
            None => Err(failure),
        }
    })?;
    check_json_beginning(source, &documents)?;
    Ok(documents)
}

/// Reads a stream that cannot be read as a whole piece by piece, cut where kubectl cuts it: before each line that begins with three dashes.
pub fn parse_pieces(source: &Source) -> impl Iterator<Item = (Range<usize>, Result<Vec<Document<'_>>, ManifestError>)> {
    let text = source.text();
    let (mut start, mut number, mut nodes) = (source.mark_len(), 0, 0);
    std::iter::from_fn(move || {
        if start == text.len() {
            return None;
        }
        let end = text[start..].find("\n---").map_or(text.len(), |at| start + at + 1);
        let piece = start..end;
        start = end;
        let mut builder = Builder::new(source, piece.start);
        (builder.document, builder.nodes) = (number, nodes);
        let documents = read(source, &mut builder, std::slice::from_ref(&piece));
        (number, nodes) = (builder.document, builder.nodes);
        Some((piece, documents))
    })
}

/// Reads a part of a stream, in whose mappings a key may be there twice: branches of a template, of which one is rendered.
pub fn parse_part(source: &Source, part: Range<usize>) -> Result<Vec<Document<'_>>, ManifestError> {
    let mut builder = Builder::new(source, part.start);
    builder.takes_duplicates = true;
    read(source, &mut builder, std::slice::from_ref(&part))
}

/// Where a stream begins with `{`, kubectl reads JSON values until one fails, and only then YAML. Refuses what it would
/// take apart differently: `{"kind": "Secret"…}: x` is a mapping with a strange key to YAML, and a Secret to it.
fn check_json_beginning(source: &Source, documents: &[Document<'_>]) -> Result<(), ManifestError> {
    let text = source.text();
    let start = text.len() - text.trim_start().len();
    if !text[start..].starts_with('{') {
        return Ok(());
    }
    let mut stream = serde_json::Deserializer::from_str(&text[start..]).into_iter::<serde::de::IgnoredAny>();
    let value = match stream.next() {
        Some(Ok(_)) => start..start + stream.byte_offset(),
        // Not JSON, so it reads YAML, but has eaten Unicode spaces that are part of a scalar to YAML.
        _ if !text[..start].is_ascii() => 0..0,
        _ => return Ok(()),
    };
    let same = documents.first().and_then(Document::root).is_some_and(|root| root.span() == value);
    let mut rest = text[value.end..].lines().map(str::trim).skip_while(|line| line.is_empty() || line.starts_with('#'));
    // It does not know the mark that ends a document.
    if same && !rest.next().is_some_and(|line| line.starts_with("...")) {
        return Ok(());
    }
    let (line, column) = source.position(value.end);
    let place = Place { line, column, document: Some(1), path: String::new() };
    Err(ManifestError { place, reason: Reason::JsonBeginning })
}

/// Where JSON values stand that follow each other, if that is all the text is.
fn json_values(source: &Source, whole: Range<usize>) -> Option<Vec<Range<usize>>> {
    let text = &source.text()[whole.clone()];
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut values = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    let mut start = whole.start;
    while let Some(value) = stream.next() {
        value.ok()?;
        let end = whole.start + stream.byte_offset();
        values.push(start..end);
        start = end;
    }
    values.last_mut()?.end = whole.end;
    (values.len() > 1).then_some(values)
}

fn options() -> Options {
    // Nesting may go one level further than ours, so that ours is the limit reported. Keys stay at the default of 1024
    // characters, which is also kubectl's: a longer look ahead would hold that many more tokens in memory.
    granit_parser::options! {
        emit_anchor_events: true,
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH + 1,
        block_nesting_limit: MAX_DEPTH + 1,
    }
}

fn documents<'s>(source: &'s Source, parts: &[Range<usize>]) -> Result<Vec<Document<'s>>, ManifestError> {
    let mut documents = read(source, &mut Builder::new(source, 0), parts)?;
    if let Some(first) = documents.first_mut() {
        first.span.start = 0;
    }
    Ok(documents)
}

fn read<'s>(source: &'s Source, builder: &mut Builder<'s>, parts: &[Range<usize>]) -> Result<Vec<Document<'s>>, ManifestError> {
    let text = source.text();
    let mut documents: Vec<Document<'s>> = Vec::new();
    for part in parts {
        builder.move_to(part.start);
        // Where the next document begins, if its own start does not say.
        let mut next_start = Some(part.start);
        let mut parser = Parser::new_from_str_with_options(&text[part.clone()], options());
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| syntax(builder, part, source, &error))?;
            match event {
                Event::DocumentStart(..) => {
                    let mark = builder.range(span);
                    let start = next_start.take().unwrap_or(mark.start);
                    builder.begin(mark);
                    documents.push(Document {
                        source,
                        number: builder.document,
                        span: start..part.end,
                        root: None,
                        aliases: false,
                    });
                }
                Event::DocumentEnd => {
                    let mark = builder.range(span);
                    if !mark.is_empty() {
                        let line = text[mark.end..].find('\n').map_or(text.len(), |at| mark.end + at + 1);
                        next_start = Some(line);
                    }
                    if let Some(document) = documents.last_mut() {
                        document.root = builder.take_root().filter(|root| {
                            let nothing = root.as_scalar().is_some_and(|s| s.style() == ScalarStyle::Plain);
                            !(nothing && root.span().is_empty() && root.properties.is_none())
                        });
                        document.aliases = builder.aliases;
                    }
                }
                event => {
                    // An anchor is told after its node, but belongs to it.
                    let anchor = match (event.anchor_id(), parser.peek()) {
                        (Some(_), Some(Ok((Event::Anchor(..), anchor)))) => Some(*anchor),
                        _ => None,
                    };
                    builder.event(event, span, anchor)?;
                }
            }
        }
    }
    for at in 1..documents.len() {
        documents[at - 1].span.end = documents[at].span.start;
    }
    Ok(documents)
}

fn syntax(builder: &Builder<'_>, part: &Range<usize>, source: &Source, error: &ScanError) -> ManifestError {
    if let Some(mark) = source.conflict_mark() {
        return builder.refuse(mark, Reason::ConflictMarks);
    }
    let at = part.start + error.marker().byte_offset().unwrap_or(0);
    let reason = match error.kind() {
        ErrorKind::RecursionLimitExceeded => Reason::TooDeep,
        kind => Reason::Syntax { what: describe(kind), template: source.has_braces() },
    };
    builder.refuse(at, reason)
}

/// Fixed words only: the parser's own may quote the text.
fn describe(kind: &ErrorKind) -> &'static str {
    use ErrorKind as E;
    match kind {
        E::UnexpectedEofFlowSequence | E::UnclosedFlowCollection { open: '[' } => "a [ is not closed",
        E::UnexpectedEofFlowMapping | E::UnexpectedEofImplicitFlowMapping | E::UnclosedFlowCollection { .. } => {
            "a { is not closed"
        }
        E::MisplacedFlowCollectionEnd | E::MismatchedFlowCollectionEnd { .. } => "a closing bracket without its opening one",
        E::ExpectedFlowMappingSeparator | E::ExpectedFlowSequenceSeparator => "a comma or closing bracket is missing",
        E::UnclosedQuotedScalar => "a quote is not closed",
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => "text after a closing quote",
        E::UnknownQuotedScalarEscape
        | E::InvalidQuotedScalarHexEscape
        | E::InvalidLowSurrogateHexEscape
        | E::InvalidLowSurrogate
        | E::MissingLowSurrogate
        | E::UnpairedLowSurrogate
        | E::InvalidUnicodeEscape => "an escape in double quotes that does not exist",
        E::TabNotAllowed | E::TabInBlockIndentation | E::TabInIndentation | E::TabAtBlockScalarStart | E::TabInPlainScalar => {
            "a tab where only spaces may stand"
        }
        E::InvalidIndentation | E::InvalidBlockScalarIndent | E::InvalidQuotedScalarIndent | E::InvalidFlowScalarIndent => {
            "the indentation does not fit"
        }
        E::ExpectedBlockMappingKey | E::SimpleKeyExpected | E::InvalidSimpleKey => "a key with its colon is expected here",
        E::MappingValueNotAllowed | E::MappingKeyNotAllowed | E::InvalidColonPlacement => "a colon that cannot stand here",
        E::BlockSequenceEntryNotAllowed | E::BlockEntryInFlowCollection | E::ExpectedBlockSequenceEntry => {
            "a dash that cannot stand here, or one that is missing"
        }
        E::UnknownAnchor => "an alias whose anchor does not exist",
        E::UndeclaredTagHandle => "a tag whose prefix is not declared",
        E::ExpectedDocumentStart => "text after the end of the document; is a line of three dashes missing?",
        E::UnexpectedCharacter { .. } => "a reserved character outside quotes",
        E::CommentNotSeparated | E::CommentInterceptedScalar => "a # that cannot start a comment here",
        E::InvalidBlockScalarHeader | E::ZeroBlockScalarIndent => "a block scalar whose first line is wrong",
        E::UnexpectedEof => "the text ends too early",
        _ => "it cannot be read here",
    }
}
