//! `.gitattributes`: where Git writes another text into the working tree than the one that is looked at.

use super::finding::{Sheet, Show};
use super::rule::NOT_TEXT;

/// The attribute that makes Git encode what it checks out.
const ENCODING: &str = "working-tree-encoding=";

/// Encodings that have letters and digits where UTF-8 has them, or that kubectl does not read at all: these names, with nothing behind them
/// but a number or the order of bytes. `LATIN-GREEK` has others.
const HARMLESS: [&str; 6] = ["utf8", "utf16", "iso8859", "latin", "windows125", "cp125"];

/// Reports encodings in which what stands in Git for one thing may be another.
pub fn check(sheet: &mut Sheet<'_>) {
    let text = sheet.text();
    for (at, _) in text.match_indices(ENCODING) {
        let line = text[..at].rfind('\n').map_or(0, |at| at + 1);
        let end = text[at..].find(|c: char| c.is_ascii_whitespace()).map_or(text.len(), |length| at + length);
        if !text[line..].starts_with('#') && !is_harmless(&text[at + ENCODING.len()..end]) {
            let message = "what Git checks out in this encoding is another text than the one that is looked at";
            sheet.report(NOT_TEXT, at..end, &Show::Span, &text[at..end], message);
        }
    }
}

fn is_harmless(encoding: &str) -> bool {
    let name: String = encoding.chars().filter(|c| !matches!(c, '-' | '_')).collect::<String>().to_ascii_lowercase();
    let is_number = |rest: &str| {
        let order = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        ["", "le", "be", "bom", "lebom", "bebom"].contains(&order)
    };
    // `ASCII//TRANSLIT` makes letters of what are none.
    matches!(name.as_str(), "ascii" | "usascii") || HARMLESS.iter().any(|known| name.strip_prefix(known).is_some_and(is_number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::FileName;

    #[test]
    fn encodings_that_are_other_texts() {
        let file = FileName { shown: "a".into(), from_root: "a".into(), path: None, commit: None };
        let lines = |text: &str| -> Vec<usize> {
            let mut sheet = Sheet::new(&file, text);
            check(&mut sheet);
            sheet.findings.iter().map(|found| found.line).collect()
        };
        let odd = "*.yaml text\n*.a working-tree-encoding=IBM037\n[attr]e text working-tree-encoding=UTF-7 diff\n*.c working-tree-encoding=ascii//TRANSLIT\n*.d working-tree-encoding=LATIN-GREEK\n*.e working-tree-encoding=latin_greek_1\n*.f working-tree-encoding=utf8x";
        assert_eq!(lines(odd), [2, 3, 4, 5, 6, 7]);
        let usual = "*.ps1 working-tree-encoding=UTF-16LE-BOM\n*.c working-tree-encoding=ISO-8859-1 eol=lf\n*.e working-tree-encoding=Latin-1\n*.f working-tree-encoding=windows-1252\n*.g working-tree-encoding=UTF-8-BOM\n*.h working-tree-encoding=US-ASCII\n# working-tree-encoding=IBM037\n*.d -working-tree-encoding\n";
        assert_eq!(lines(usual), [] as [usize; 0]);
    }
}
