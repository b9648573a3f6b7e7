//! Which rule a manifest breaks that our reader refuses.

use super::finding::{Sheet, Show};
use super::rule::{AMBIGUOUS_SECRET, DUPLICATE_KEY, FOREIGN_DOCUMENT, FOREIGN_LINE_BREAK, NOT_TEXT, NOT_YAML, Rule, TOO_LARGE};
use crate::manifest::{Document, ManifestError, Reason, find_ambiguous};

/// Most places in one file that cannot be read: to say where one is costs a look at the whole text.
pub const MOST_REFUSALS: usize = 100;

/// The rule for a reason.
#[must_use]
pub fn rule_for(reason: &Reason) -> &'static Rule {
    match reason {
        Reason::TooLarge | Reason::TooDeep | Reason::TooManyNodes | Reason::TooManyReferences => TOO_LARGE,
        Reason::NotUtf8 | Reason::Utf16WithoutMark | Reason::BadUtf16 | Reason::Binary | Reason::ControlCharacter { .. } => {
            NOT_TEXT
        }
        Reason::ForeignLineBreak { .. } | Reason::InteriorByteOrderMark => FOREIGN_LINE_BREAK,
        Reason::ForeignDocumentMark | Reason::JsonBeginning | Reason::SecretInForeignList => FOREIGN_DOCUMENT,
        Reason::DuplicateKey { .. } => DUPLICATE_KEY,
        Reason::Syntax { .. } | Reason::ConflictMarks => NOT_YAML,
        _ => AMBIGUOUS_SECRET,
    }
}

/// Notes a refusal where it says it is.
pub fn report(sheet: &mut Sheet<'_>, error: &ManifestError) {
    let at = sheet.offset(error.place.line, error.place.column);
    report_at(sheet, error, at);
}

/// Notes a refusal at an offset.
pub fn report_at(sheet: &mut Sheet<'_>, error: &ManifestError, at: usize) {
    sheet.report(rule_for(&error.reason), at..at, &Show::Nothing, &error.place.path, error.reason.to_string());
}

/// Notes Secrets within other objects that parsers read differently, at most so many, unless that is noted already; says how many.
pub fn report_within(sheet: &mut Sheet<'_>, document: &Document<'_>, most: usize) -> usize {
    let (errors, new) = (find_ambiguous(document, most), sheet.findings.len());
    for error in &errors {
        let at = sheet.with_text(document.source().text()).offset(error.place.line, error.place.column);
        report_at(sheet, error, at);
    }
    if !errors.is_empty() {
        sheet.drop_repeated(0, new);
    }
    errors.len()
}

/// Says that not everything was looked at: there are more than [`MOST_REFUSALS`].
pub fn stopped(sheet: &mut Sheet<'_>, at: usize) {
    let message = format!("more than {MOST_REFUSALS} places that cannot be read: what follows was not looked at");
    sheet.report(TOO_LARGE, at..at, &Show::Nothing, "", message);
}
