//! Replacing spans of bytes, and fitting a block of YAML to where it is put.
//!
//! Checks nothing about meaning: [`super::verify_splice`] does, after each splice.

use std::ops::Range;

use zeroize::Zeroizing;

use super::LineEnding;

/// Replaces each span by its text. Every other byte stays.
///
/// Spans are those of parsed nodes, in the order of the text.
///
/// # Panics
/// If spans overlap, are out of order, or do not lie on characters of the text: that is an error in the caller.
#[must_use]
pub fn splice(source: &str, edits: &[(Range<usize>, String)]) -> Zeroizing<String> {
    // At full size from the start, so that growing leaves no copy of plaintext behind.
    let added: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let mut edited = Zeroizing::new(String::with_capacity(source.len() + added));
    let mut at = 0;
    for (span, text) in edits {
        assert!(at <= span.start && span.start <= span.end, "edits are sorted and do not overlap");
        edited.push_str(&source[at..span.start]);
        edited.push_str(text);
        at = span.end;
    }
    edited.push_str(&source[at..]);
    edited
}

/// Fits a block of YAML written at column 0 to a column: all lines but the first, which stands where the splice begins, are
/// indented. Blank lines stay empty, line breaks become those of the file, and the last one goes.
#[must_use]
pub fn reindent(block: &str, column: usize, ending: LineEnding) -> String {
    let indent = " ".repeat(column);
    let mut fitted = String::with_capacity(block.len());
    for (index, line) in block.trim_end_matches(['\r', '\n']).lines().enumerate() {
        if index > 0 {
            fitted.push_str(ending.as_str());
            if !line.is_empty() {
                fitted.push_str(&indent);
            }
        }
        fitted.push_str(line);
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_spans_change() {
        let edits = [(1..3, "XYZ".to_owned()), (3..3, "+".to_owned()), (5..6, String::new())];
        assert_eq!(splice("abcdef", &edits).as_str(), "aXYZ+de");
        assert_eq!(splice("abc", &[]).as_str(), "abc");
    }

    #[test]
    #[should_panic(expected = "sorted")]
    fn overlapping_edits_are_a_bug() {
        let _ = splice("abcdef", &[(1..3, String::new()), (2..4, String::new())]);
    }

    #[test]
    fn blocks_fit_their_place() {
        let block = "a:\n  b: |\n    x\n\n    y\n";
        assert_eq!(reindent(block, 2, LineEnding::Lf), "a:\n    b: |\n      x\n\n      y");
        assert_eq!(reindent("a: 1\nb: 2\n", 0, LineEnding::CrLf), "a: 1\r\nb: 2");
        assert_eq!(reindent("a: 1\r\nb: 2\r\n", 1, LineEnding::Lf), "a: 1\n b: 2");
    }
}
