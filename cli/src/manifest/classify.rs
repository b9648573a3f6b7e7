//! What a document is, and where its Secrets stand.
//!
//! A document is what kubectl takes it for: `kind` may come from an alias, a merge key or `!!binary`, and anything with
//! `items` is a list to it. A Secret that is written so is refused rather than overlooked.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::error::{ManifestError, Reason};
use super::layout::FlowLayout;
use super::node::{Document, Kind, Node, Style};
use super::refuse::check_secret;
use super::scalar::{ScalarStyle, ScalarValue};
use super::{MAX_DEPTH, MAX_NODES};

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// Nothing, or comments only.
    Empty,
    /// `v1` `Secret`.
    Secret,
    /// `bulla.dev` `SealedSecret`.
    SealedSecret,
    /// `bitnami.com` `SealedSecret`.
    BitnamiSealedSecret,
    /// `v1` `List`.
    List,
    /// `v1` `SecretList`.
    SecretList,
    /// Anything else.
    Other,
}

/// How the bytes of a replacement must look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A YAML block mapping, see [`super::reindent`].
    Block,
    /// JSON, see [`FlowLayout::write`].
    Flow(FlowLayout),
}

/// A Secret, and what to replace to seal it.
#[derive(Debug)]
pub struct SecretSpan<'d> {
    /// Its mapping.
    pub node: &'d Node,
    /// The bytes to replace: from the first key (or brace) to the end of the last value (or brace).
    pub span: Range<usize>,
    /// Characters before it on its first line: the indentation of the lines of a block that takes its place.
    pub column: usize,
    /// How it is written.
    pub layout: Layout,
    /// It starts right after the dash of a sequence.
    pub after_dash: bool,
    /// It is in a `SecretList` and names no kind of its own.
    pub implied: bool,
}

/// The Secrets of a document.
#[derive(Debug)]
pub struct Secrets<'d> {
    /// What the document is.
    pub kind: DocumentKind,
    /// Its Secrets in the order of the text: the document itself, or items of a list.
    pub found: Vec<SecretSpan<'d>>,
    /// The scalar `SecretList`, if there are Secrets in it: once they are sealed it must be `List`.
    pub list_kind: Option<Range<usize>>,
    /// The first that names no `apiVersion`, which kubectl takes for no object.
    unversioned: Option<&'d Node>,
}

impl Secrets<'_> {
    /// Refuses a Secret without `apiVersion`.
    pub fn require_versions(&self, document: &Document<'_>) -> Result<(), ManifestError> {
        self.unversioned.map_or(Ok(()), |node| Err(document.refuse(node, Reason::MissingApiVersion)))
    }
}

/// Finds the Secrets of a document, and refuses those that could not be replaced faithfully.
pub fn find_secrets<'d>(document: &'d Document<'_>) -> Result<Secrets<'d>, ManifestError> {
    let reader = Reader::new(document);
    let mut secrets = Secrets { kind: DocumentKind::Empty, found: Vec::new(), list_kind: None, unversioned: None };
    let unversioned = |head: &Head<'d>, node: &'d Node| head.versions.is_empty().then_some(node);
    let Some(root) = document.root() else { return Ok(secrets) };
    let head = reader.head(root)?;
    secrets.kind = head.kind();
    match secrets.kind {
        DocumentKind::Secret => {
            secrets.unversioned = unversioned(&head, root);
            secrets.found.push(secret_span(&reader, root, false)?);
        }
        DocumentKind::List | DocumentKind::SecretList => {
            let implied = secrets.kind == DocumentKind::SecretList;
            let mut complex = None;
            for (items, written_out) in &head.items {
                for item in items.as_sequence().unwrap_or_default() {
                    let target = reader.follow(item);
                    if reader.holds_secret_below(target, 0)? {
                        return Err(document.refuse(item, Reason::SecretInForeignList));
                    }
                    let head = reader.head(target)?;
                    if !head.is_secret(implied && target.as_mapping().is_some()) {
                        continue;
                    }
                    if !written_out || !std::ptr::eq(item, target) {
                        return Err(document.refuse(item, Reason::Alias));
                    }
                    if !implied {
                        secrets.unversioned = secrets.unversioned.or(unversioned(&head, item));
                    }
                    match secret_span(&reader, item, head.kinds.is_empty()) {
                        // As within a Secret: last.
                        Err(error) if error.reason == Reason::ComplexKey => drop(complex.get_or_insert(error)),
                        found => secrets.found.push(found?),
                    }
                }
            }
            if let Some(error) = complex {
                return Err(error);
            }
            if implied && !secrets.found.is_empty() {
                secrets.unversioned = unversioned(&head, root);
                let kind = written_kind(root).filter(|_| head.kinds.len() == 1);
                secrets.list_kind = Some(kind.ok_or_else(|| document.refuse(root, Reason::Alias))?);
            }
        }
        _ if reader.holds_secret_below(root, 0)? => return Err(document.refuse(root, Reason::SecretInForeignList)),
        _ => {}
    }
    Ok(secrets)
}

/// Finds the mappings of our `SealedSecret`s: the document itself, or items of a `v1` `List`. Follows no alias.
#[must_use]
pub fn find_sealed<'d>(document: &'d Document<'_>) -> Vec<&'d Node> {
    let reader = Reader::new(document);
    let kind = |node| reader.head(node).map_or(DocumentKind::Other, |head| head.kind());
    let Some(root) = document.root() else { return Vec::new() };
    match kind(root) {
        DocumentKind::SealedSecret => vec![root],
        DocumentKind::List => {
            let items = root.get("items").and_then(Node::as_sequence).unwrap_or_default();
            items.iter().filter(|item| kind(item) == DocumentKind::SealedSecret).collect()
        }
        _ => Vec::new(),
    }
}

/// Finds the SealedSecrets that [`find_sealed`] passes over and kubectl does not: among the items of anything that has some, at any depth,
/// and behind aliases.
#[must_use]
pub fn find_foreign_sealed<'d>(document: &'d Document<'_>) -> Vec<&'d Node> {
    let (reader, mut found) = (Reader::new(document), Vec::new());
    let Some(root) = document.root().filter(|root| reader.head(root).is_ok_and(|head| !head.items.is_empty())) else {
        return found;
    };
    // What refers to itself too often is refused where Secrets are looked for.
    let _ = reader.collect_sealed(root, false, 0, &mut found);
    let known: HashSet<*const Node> = find_sealed(document).into_iter().map(std::ptr::from_ref).collect();
    found.retain(|node| !known.contains(&std::ptr::from_ref(*node)));
    found
}

/// Refuses an object that parsers read differently: aliases, merge keys, tags, keys that are not text to everyone.
pub fn check_faithful(document: &Document<'_>, node: &Node) -> Result<(), ManifestError> {
    check_secret(document, node, &Reader::new(document).referred)
}

/// Refuses Secrets and SealedSecrets anywhere in a document to which aliases and merge keys bring something, at most so many: within other
/// objects nothing else looks for them.
#[must_use]
pub fn find_ambiguous(document: &Document<'_>, most: usize) -> Vec<ManifestError> {
    let mut refused = Vec::new();
    let Some(root) = document.root().filter(|_| document.aliases && most > 0) else { return refused };
    let (reader, none) = (Reader::new(document), HashSet::new());
    root.find(&mut |node| {
        match reader.has_values(node, 0).and_then(|has| Ok(has && reader.head(node)?.is_of_secrets())) {
            // That others refer to it changes nothing here: it is not sealed.
            Ok(true) => {
                refused.extend(check_secret(document, node, &none).err().filter(|error| error.reason != Reason::ComplexKey));
            }
            Ok(false) => {}
            Err(error) => {
                refused.push(error);
                return Some(());
            }
        }
        (refused.len() == most).then_some(())
    });
    refused
}

fn written_kind(root: &Node) -> Option<Range<usize>> {
    root.get("kind").filter(|kind| kind.as_str() == Some("SecretList")).map(Node::span)
}

fn secret_span<'d>(reader: &Reader<'d, '_>, node: &'d Node, implied: bool) -> Result<SecretSpan<'d>, ManifestError> {
    let document = reader.document;
    check_secret(document, node, &reader.referred)?;
    let span = node.span();
    let text = document.source().text();
    let (line, column) = reader.line_and_column(span.start);
    let before = &text[line..span.start];
    let layout = match node.style() {
        Style::Flow => Layout::Flow(FlowLayout::of(document, node)),
        // The next lines would not stand below the first.
        Style::Block if before.contains('\t') => return Err(document.refuse(node, Reason::TabIndent)),
        Style::Block => Layout::Block,
    };
    let after_dash = before.trim_end().ends_with('-');
    Ok(SecretSpan { node, span, column, layout, after_dash, implied })
}

/// The fields that say what an object is, with every value that some parser may take for them.
#[derive(Default)]
struct Head<'d> {
    versions: Vec<Cow<'d, str>>,
    kinds: Vec<Cow<'d, str>>,
    /// Also whether they are written in the object, not brought by an alias or merge key.
    items: Vec<(&'d Node, bool)>,
}

impl Head<'_> {
    fn is_kind(&self, kind: &str) -> bool {
        self.kinds.iter().any(|found| found == kind)
    }

    fn is_of_secrets(&self) -> bool {
        self.is_kind("Secret") || self.is_kind("SealedSecret")
    }

    fn is_v1(&self) -> bool {
        self.versions.is_empty() || self.versions.iter().any(|version| version == "v1")
    }

    fn is_secret(&self, implied: bool) -> bool {
        self.is_v1() && (self.is_kind("Secret") || implied && self.kinds.is_empty())
    }

    fn kind(&self) -> DocumentKind {
        let group = |name: &str| self.versions.iter().any(|version| version.split_once('/').is_some_and(|(g, _)| g == name));
        if self.is_secret(false) {
            DocumentKind::Secret
        } else if self.is_v1() && self.is_kind("SecretList") {
            DocumentKind::SecretList
        } else if self.is_v1() && self.is_kind("List") {
            DocumentKind::List
        } else if self.is_kind("SealedSecret") && group("bulla.dev") {
            DocumentKind::SealedSecret
        } else if self.is_kind("SealedSecret") && group("bitnami.com") {
            DocumentKind::BitnamiSealedSecret
        } else {
            DocumentKind::Other
        }
    }
}

/// Reads heads, following aliases and merge keys within bounds.
struct Reader<'d, 's> {
    document: &'d Document<'s>,
    anchors: HashMap<usize, &'d Node>,
    /// Anchors that aliases refer to.
    referred: HashSet<usize>,
    steps: Cell<usize>,
    /// The last Secret's offset, the start of its line, and its column.
    last: Cell<(usize, usize, usize)>,
}

impl<'d, 's> Reader<'d, 's> {
    fn new(document: &'d Document<'s>) -> Self {
        let mark = document.source().mark_len();
        let (mut anchors, mut referred) = (HashMap::new(), HashSet::new());
        if document.aliases
            && let Some(root) = &document.root
        {
            root.find(&mut |node| {
                if let Some(anchor) = node.anchor() {
                    anchors.insert(anchor, node);
                }
                if let Kind::Alias(anchor) = node.kind() {
                    referred.insert(*anchor);
                }
                None::<()>
            });
        }
        Self { document, anchors, referred, steps: Cell::new(0), last: Cell::new((mark, mark, 0)) }
    }

    /// Start of the line of an offset, and characters between. Goes on from the last call: Secrets come in order, and
    /// thousands may be on one line.
    fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let text = self.document.source().text();
        let start = self.document.source().mark_len();
        let known = self.last.get();
        let (last, mut line, mut column) = if known.0 <= offset { known } else { (start, start, 0) };
        let between = &text[last..offset];
        match between.rfind('\n') {
            Some(at) => {
                line = last + at + 1;
                column = text[line..offset].chars().count();
            }
            None => column += between.chars().count(),
        }
        self.last.set((offset, line, column));
        (line, column)
    }

    fn follow(&self, node: &'d Node) -> &'d Node {
        match node.kind() {
            Kind::Alias(anchor) => self.anchors.get(anchor).copied().unwrap_or(node),
            _ => node,
        }
    }

    /// Counts work, so that aliases cannot multiply it.
    fn step(&self, count: usize, depth: usize, node: &Node) -> Result<(), ManifestError> {
        self.steps.set(self.steps.get().saturating_add(count));
        if self.steps.get() > 4 * MAX_NODES || depth > MAX_DEPTH {
            return Err(self.document.refuse(node, Reason::TooManyReferences));
        }
        Ok(())
    }

    fn head(&self, node: &'d Node) -> Result<Head<'d>, ManifestError> {
        let mut head = Head::default();
        self.collect(node, true, 0, &mut head)?;
        Ok(head)
    }

    fn collect(&self, node: &'d Node, own: bool, depth: usize, head: &mut Head<'d>) -> Result<(), ManifestError> {
        let entries = node.as_mapping().unwrap_or_default();
        self.step(entries.len() + 1, depth, node)?;
        for (key, value) in entries {
            let target = self.follow(value);
            match text_of(self.follow(key)).as_deref() {
                Some("apiVersion") => head.versions.extend(text_of(target).filter(|version| !version.is_empty())),
                Some("kind") => head.kinds.extend(text_of(target).filter(|kind| !kind.is_empty())),
                Some("items") => head.items.push((target, own && std::ptr::eq(target, value))),
                // Which value wins differs between parsers, so every one counts.
                Some("<<") if !is_quoted(key) => {
                    self.collect(target, false, depth + 1, head)?;
                    for part in target.as_sequence().unwrap_or_default() {
                        self.collect(self.follow(part), false, depth + 1, head)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether the mapping has values, of its own or by a merge key.
    fn has_values(&self, node: &'d Node, depth: usize) -> Result<bool, ManifestError> {
        let entries = node.as_mapping().unwrap_or_default();
        self.step(entries.len(), depth, node)?;
        for (key, value) in entries {
            match text_of(self.follow(key)).as_deref() {
                Some("data" | "stringData") => return Ok(true),
                Some("<<") if !is_quoted(key) => {
                    let target = self.follow(value);
                    for part in std::iter::once(target).chain(target.as_sequence().unwrap_or_default()) {
                        if self.has_values(self.follow(part), depth + 1)? {
                            return Ok(true);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(false)
    }

    /// Finds SealedSecrets here and below. `implied`: an item of a `SealedSecretList`, which needs no kind of its own.
    fn collect_sealed(
        &self,
        node: &'d Node,
        implied: bool,
        depth: usize,
        found: &mut Vec<&'d Node>,
    ) -> Result<(), ManifestError> {
        self.step(1, depth, node)?;
        let head = self.head(node)?;
        if head.kind() == DocumentKind::SealedSecret || implied && head.kinds.is_empty() && node.as_mapping().is_some() {
            found.push(node);
        }
        let implied = head.is_kind("SealedSecretList");
        for (items, _) in &head.items {
            for item in items.as_sequence().unwrap_or_default() {
                self.collect_sealed(self.follow(item), implied, depth + 1, found)?;
            }
        }
        Ok(())
    }

    /// Whether there is a Secret among the items of this object, or of a list among them.
    fn holds_secret_below(&self, node: &'d Node, depth: usize) -> Result<bool, ManifestError> {
        self.step(1, depth, node)?;
        let head = self.head(node)?;
        let implied = head.is_v1() && head.is_kind("SecretList");
        for (items, _) in &head.items {
            for item in items.as_sequence().unwrap_or_default() {
                let target = self.follow(item);
                let implied = implied && target.as_mapping().is_some();
                if self.head(target)?.is_secret(implied) || self.holds_secret_below(target, depth + 1)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

fn is_quoted(key: &Node) -> bool {
    key.as_scalar().is_some_and(|key| key.style() != ScalarStyle::Plain && key.tag.is_none())
}

/// Text of a scalar as kubectl has it, tags or not.
fn text_of(node: &Node) -> Option<Cow<'_, str>> {
    let scalar = node.as_scalar()?;
    match scalar.read() {
        ScalarValue::Binary(bytes) => Some(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())),
        ScalarValue::Null => None,
        _ => Some(Cow::Borrowed(scalar.raw())),
    }
}
