//! A finding, the file it is made in, and the one line of source that a report may show of it.
//!
//! No finding holds a value in plain: an excerpt is put together from spans that are named as harmless, and all else on the line is left out.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::inputs::is_template;
use super::rule::{
    AGE_IDENTITY, ENCRYPTED_PRIVATE_KEY, PLAINTEXT_GENERATOR, PLAINTEXT_SECRET, PRIVATE_KEY, Rule, Severity, UNRESOLVED_ITEM,
};
use crate::error::printable;

/// What stands for a value in an excerpt, whatever its length.
const MASK: &str = "********";

/// Longest text of a span that is shown.
const SHOWN: usize = 60;

/// Longest white space that is shown, or looked through for what stands behind it: a line may be as long as the file.
const LONGEST_INDENT: usize = 1000;

/// A file, as reports name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// As the command line has it.
    pub shown: String,
    /// From the root of the repository, with slashes; absolute if it is outside.
    pub from_root: String,
    /// Where it is, for the rules of the configuration; none for standard input.
    pub path: Option<PathBuf>,
    /// Start of the id of the commit whose version this is, if it is not the present one.
    pub commit: Option<String>,
}

impl FileName {
    /// Whether Helm renders it: below `templates` of a chart.
    #[must_use]
    pub fn is_of_helm(&self) -> bool {
        self.path.as_ref().is_some_and(|path| is_template(path, Path::is_file, &HashSet::new()))
    }
}

/// One line of source, as far as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Excerpt {
    /// The text.
    pub text: String,
    /// The characters of it that are meant.
    pub mark: Range<usize>,
}

/// Something that a rule found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Which rule.
    pub rule: &'static Rule,
    /// As configured.
    pub severity: Severity,
    /// Where.
    pub file: FileName,
    /// Line from 1.
    pub line: usize,
    /// Column in characters from 1.
    pub column: usize,
    /// Column behind the last character on this line.
    pub end_column: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// The source line.
    pub excerpt: Excerpt,
    /// What it is about, without line numbers and values: it makes the fingerprint.
    pub subject: String,
    /// Line where the object starts that it is in, if it is in one.
    pub object_line: Option<usize>,
    /// It is staged and not committed yet.
    pub is_staged: bool,
}

impl Finding {
    /// What to do, with the names of the file and of the item where they are known and need no quotes.
    #[must_use]
    pub fn fix(&self) -> String {
        let fix = if self.is_staged && self.rule == PLAINTEXT_SECRET {
            "seal it before it is committed: bulla seal --in-place FILE, then: git add FILE"
        } else if self.is_staged && [PLAINTEXT_GENERATOR, AGE_IDENTITY, PRIVATE_KEY, ENCRYPTED_PRIVATE_KEY].contains(&self.rule) {
            "take it out of the commit: git restore --staged FILE; what is not for Git belongs in .gitignore"
        } else {
            self.rule.fix
        };
        let is_plain = |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._/".contains(&c));
        let named = |fix: &str, word: &str, name: &str| {
            let words = fix.split(' ').map(|part| match part.strip_prefix(word) {
                Some(rest) if rest.is_empty() || rest == "," || rest == ";" => format!("{name}{rest}"),
                _ => part.to_owned(),
            });
            words.collect::<Vec<_>>().join(" ")
        };
        // Which file has the item that is asked for is not known.
        if self.rule == UNRESOLVED_ITEM || self.file.path.is_none() || self.file.commit.is_some() || !is_plain(&self.file.shown) {
            return fix.to_owned();
        }
        let item = self.subject.rsplit(' ').next().filter(|item| is_plain(item)).unwrap_or("ITEM");
        named(&named(fix, "FILE", &self.file.shown), "ITEM", item)
    }
}

/// What of the source may be shown.
#[derive(Debug, Clone)]
pub enum Show {
    /// The text of the span.
    Span,
    /// This key, if it is on the same line and not empty, and a mask for the value.
    Masked(Range<usize>),
    /// Nothing.
    Nothing,
}

/// A file under check: its text, and what was found in it.
#[derive(Debug)]
pub struct Sheet<'t> {
    file: &'t FileName,
    text: &'t str,
    /// Where lines end; not looked for in the many files where nothing is found.
    breaks: OnceCell<Vec<usize>>,
    /// An offset and its column, to go on from on the same line: a line may be as long as the file.
    last: (usize, usize),
    /// What was found, in the order in which it was.
    pub findings: Vec<Finding>,
    /// Where the object starts that is being looked at, if one is.
    pub object: Option<usize>,
    /// So many texts within it could not be read.
    pub unread: usize,
}

impl<'t> Sheet<'t> {
    /// A file with nothing found.
    #[must_use]
    pub fn new(file: &'t FileName, text: &'t str) -> Self {
        Self { file, text, breaks: OnceCell::new(), last: (0, 1), findings: Vec::new(), object: None, unread: 0 }
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> &'t str {
        self.text
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &FileName {
        self.file
    }

    /// Offset of a line and a column in characters, both from 1.
    #[must_use]
    pub fn offset(&self, line: usize, column: usize) -> usize {
        let span = self.line_span(line.max(1));
        let text = &self.text[span.clone()];
        let mark = text.len() - text.trim_start_matches('\u{feff}').len();
        let inside = text[mark..].char_indices().nth(column.saturating_sub(1)).map(|(at, _)| at);
        inside.map_or(span.end, |at| span.start + mark + at)
    }

    /// Line of an offset, from 1.
    #[must_use]
    pub fn line(&self, offset: usize) -> usize {
        self.breaks().partition_point(|at| *at < offset) + 1
    }

    fn breaks(&self) -> &[usize] {
        self.breaks.get_or_init(|| self.text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The bytes of a line, without its break.
    pub(super) fn line_span(&self, line: usize) -> Range<usize> {
        let start = line.checked_sub(2).and_then(|before| self.breaks().get(before)).map_or(0, |at| at + 1);
        let end = self.breaks().get(line - 1).copied().unwrap_or(self.text.len());
        start..end.max(start)
    }

    /// The same file as another text has it.
    #[must_use]
    pub fn with_text<'u>(&self, text: &'u str) -> Sheet<'u>
    where
        't: 'u,
    {
        Sheet::new(self.file, text)
    }

    /// Drops of the findings from the index `new` on what stands among those from `known` on: the same rule in the same place.
    pub fn drop_repeated(&mut self, known: usize, new: usize) {
        let place = |finding: &Finding| (finding.rule.id, finding.line, finding.column);
        let mut seen: HashSet<_> = self.findings[known..new].iter().map(place).collect();
        let added = self.findings.split_off(new);
        self.findings.extend(added.into_iter().filter(|finding| seen.insert(place(finding))));
    }

    /// Notes something at `span`. `subject` says what it is about, without values.
    pub fn report(&mut self, rule: &'static Rule, span: Range<usize>, show: &Show, subject: &str, message: impl Into<String>) {
        let line = self.line(span.start);
        let whole = self.line_span(line);
        let end = span.end.clamp(span.start, whole.end.max(span.start));
        let (start, end) = (self.column(whole.start, span.start), self.column(whole.start, end));
        let excerpt = self.excerpt(whole, &span, show);
        self.findings.push(Finding {
            rule,
            severity: rule.severity,
            file: self.file.clone(),
            line,
            column: start,
            end_column: end.max(start + 1),
            message: message.into(),
            excerpt,
            subject: subject.to_owned(),
            object_line: self.object.map(|object| self.line(object)),
            is_staged: false,
        });
    }

    /// Column of an offset, in characters from 1. A mark at the start of the file is none.
    fn column(&mut self, line: usize, offset: usize) -> usize {
        let (last, known) = self.last;
        // Back from there, if that is nearer than from the start of the line.
        if line < offset && offset < last && last - offset < offset - line && !self.text[offset..last].contains('\n') {
            self.last = (offset, known - self.text[offset..last].chars().count());
            return self.last.1;
        }
        let (from, column) = if (line..=offset).contains(&last) { self.last } else { (line, 1) };
        let between = &self.text[from..offset];
        let between = if from == 0 { between.trim_start_matches('\u{feff}') } else { between };
        self.last = (offset, column + between.chars().count());
        self.last.1
    }

    fn excerpt(&self, line: Range<usize>, span: &Range<usize>, show: &Show) -> Excerpt {
        let (from, key) = match show {
            Show::Masked(key) if !key.is_empty() && line.contains(&key.start) && key.end <= span.start => {
                (key.start, harmless(&self.text[key.clone()]))
            }
            _ => (span.start, String::new()),
        };
        let before = self.text[line.start..from].trim_start_matches('\u{feff}');
        let blank = before.len() <= LONGEST_INDENT && before.trim_start_matches([' ', '-', '\t']).is_empty();
        let mut text = if blank { before.replace('\t', " ") } else { "… ".to_owned() };
        if !key.is_empty() {
            text.push_str(&key);
            text.push_str(": ");
        }
        let mark = text.chars().count();
        let visible = span.start..span.end.min(line.end).max(span.start);
        match show {
            Show::Masked(_) => text.push_str(MASK),
            Show::Nothing => text.push('…'),
            Show::Span => text.push_str(&shorten(&self.text[visible.clone()])),
        }
        let end = text.chars().count();
        let behind = &self.text.as_bytes()[visible.end..line.end.max(visible.end)];
        if behind.iter().take(LONGEST_INDENT).any(|byte| !byte.is_ascii_whitespace()) {
            text.push_str(" …");
        }
        Excerpt { text, mark: mark..end.max(mark + 1) }
    }
}

/// A key, if it is a name; in a broken file it may be a value.
#[must_use]
pub fn harmless(key: &str) -> String {
    let bare = key.trim_matches(['"', '\'']);
    let name =
        (1..=253).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte));
    if name { bare.to_owned() } else { "?".to_owned() }
}

fn shorten(text: &str) -> String {
    // More than is shown, as what is left out of it must be whole.
    let start: String = text.chars().take(10 * SHOWN).collect();
    let text = printable(start.trim_end());
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::rule::{MALFORMED_VALUE, ROTATION_DUE, STALE_KEY};

    fn excerpt(text: &str, span: Range<usize>, show: &Show) -> (String, String) {
        let file = FileName { shown: "a".into(), from_root: "a".into(), path: None, commit: None };
        let mut sheet = Sheet::new(&file, text);
        sheet.report(PLAINTEXT_SECRET, span, show, "", "");
        let Excerpt { text, mark } = sheet.findings.remove(0).excerpt;
        let marked = text.chars().skip(mark.start).take(mark.len()).collect();
        (text, marked)
    }

    #[test]
    fn only_what_is_named_harmless_is_shown() {
        let text = "data:\n  pass: hunter2 # old: hunter1\n";
        assert_eq!(excerpt(text, 14..21, &Show::Masked(8..12)), ("  pass: ******** …".into(), MASK.into()));
        let text = r#"{"kind":"Secret","data":{"a":"aHVudGVyMg==","b":"aHVudGVyMw=="}}"#;
        assert_eq!(excerpt(text, 48..62, &Show::Masked(44..47)).0, "… b: ******** …");
        assert_eq!(excerpt("x: hunter2\n", 3..10, &Show::Nothing).0, "… …");
        assert_eq!(excerpt("hunter2 hunter2: x\n", 17..18, &Show::Masked(0..15)).0, "?: ********");
        assert_eq!(excerpt("name: db # note\n", 6..8, &Show::Span), ("… db …".into(), "db".into()));
    }

    #[test]
    fn places_are_counted_in_characters() {
        let file = FileName { shown: "a".into(), from_root: "a".into(), path: None, commit: None };
        let mut sheet = Sheet::new(&file, "\u{feff}é: 1\né: xyz\nlast");
        sheet.report(MALFORMED_VALUE, 3..5, &Show::Nothing, "", "");
        sheet.report(MALFORMED_VALUE, 13..16, &Show::Nothing, "", "");
        sheet.report(MALFORMED_VALUE, 13..21, &Show::Nothing, "", "");
        sheet.report(MALFORMED_VALUE, 21..21, &Show::Nothing, "", "");
        let places: Vec<_> = sheet.findings.iter().map(|found| (found.line, found.column, found.end_column)).collect();
        assert_eq!(places, [(1, 1, 2), (2, 4, 7), (2, 4, 7), (3, 5, 6)]);
    }

    #[test]
    fn a_fix_has_the_names() {
        let of = |path: &str, rule, subject: &str| {
            let file = FileName { shown: path.into(), from_root: path.into(), path: Some(path.into()), commit: None };
            let mut sheet = Sheet::new(&file, "");
            sheet.report(rule, 0..0, &Show::Nothing, subject, "");
            sheet.findings.remove(0)
        };
        let fix = of("prod/db.yaml", ROTATION_DUE, "shop/db password").fix();
        assert!(fix.ends_with("bulla set prod/db.yaml password"), "{fix}");
        let fix = of("a b.yaml", ROTATION_DUE, "shop/db password").fix();
        assert!(fix.ends_with("bulla set FILE ITEM"), "{fix}");
        let fix = of("a.yaml", UNRESOLVED_ITEM, "Deployment web db user").fix();
        assert!(fix.ends_with("bulla set FILE ITEM"), "it is in another file: {fix}");
        let mut key = of("ci.key", AGE_IDENTITY, "");
        assert!(key.fix().contains("known to all"));
        key.is_staged = true;
        assert!(key.fix().contains("git restore --staged ci.key;"), "{}", key.fix());
        assert!(of("a.yaml", STALE_KEY, "").fix().ends_with("bulla rewrap a.yaml"));
    }
}
