//! Which form begins at a place in a text, and whether one might.
//!
//! Not an Aho-Corasick automaton: a value of 1 MiB has some 20 MiB of forms, whose automaton takes ten times as much, and the crate's
//! stream search neither finds the longest match nor tells how much of the text can still become one. Here a filter over the
//! next four bytes says no at nearly every place, and a binary search in sorted pieces decides the rest.

use std::ops::Range;

use zeroize::Zeroizing;

use super::SHORTEST;
use super::forms::Form;

/// A form longer than this is known by pieces of this length. So no more than this is ever held back, and most of a form that was cut off
/// is found too.
pub(super) const PIECE: usize = 64;

/// A piece of a longer form is not shorter than this, or other text would have the same.
const SHORTEST_PIECE: usize = 16;

/// Pieces of forms, sorted.
#[derive(Default)]
pub(super) struct Index {
    text: Zeroizing<Vec<u8>>,
    pieces: Vec<Range<usize>>,
    /// One bit for each hash of four bytes that a piece begins with.
    filter: Vec<u64>,
}

/// What begins at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// The length of the longest piece; 0 if none begins here.
    pub(super) length: usize,
    /// The text ends inside a longer piece.
    pub(super) open: bool,
}

impl Index {
    pub(super) fn new(forms: &[Form]) -> Self {
        // A buffer that grew would leave forms behind.
        let mut text = Zeroizing::new(Vec::with_capacity(forms.iter().map(|form| form.len()).sum()));
        let mut pieces = Vec::new();
        for form in forms {
            let start = text.len();
            text.extend_from_slice(form);
            // A row of one character is part of much that is not secret. A form that is nothing else has no other piece.
            let telling = |piece: &Range<usize>| form.len() <= PIECE || varies(&form[piece.clone()]) || !varies(form);
            pieces.extend(split(form).into_iter().filter(telling).map(|piece| start + piece.start..start + piece.end));
        }
        pieces.sort_unstable_by(|a, b| text[a.clone()].cmp(&text[b.clone()]));
        pieces.dedup_by(|a, b| text[a.clone()] == text[b.clone()]);
        // 16 bits for each piece: one place in sixteen passes by chance, at most.
        let words = (pieces.len() / 4).next_power_of_two().max(1024);
        let mut index = Self { text, pieces, filter: vec![0; words] };
        for piece in &index.pieces {
            let (word, bit) = slot(&index.text[piece.clone()], words);
            index.filter[word] |= bit;
        }
        index
    }

    /// Whether a piece may begin with these bytes, of which the first four count.
    pub(super) fn may_begin(&self, text: [u8; SHORTEST]) -> bool {
        let (word, bit) = slot(&text, self.filter.len());
        self.filter[word] & bit != 0
    }

    /// What begins at the start of `text`.
    pub(super) fn at(&self, text: &[u8]) -> Found {
        let mut candidates = self.pieces.as_slice();
        let mut found = Found { length: 0, open: false };
        for (depth, byte) in text.iter().enumerate() {
            // All candidates agree up to here; one that ends here is the first.
            let byte_of = |piece: &Range<usize>| self.text[piece.clone()].get(depth);
            let low = candidates.partition_point(|piece| byte_of(piece) < Some(byte));
            let count = candidates[low..].partition_point(|piece| byte_of(piece) == Some(byte));
            candidates = &candidates[low..low + count];
            match candidates.first() {
                None => return found,
                Some(first) if first.len() == depth + 1 => found.length = depth + 1,
                Some(_) => {}
            }
        }
        found.open = candidates.last().is_some_and(|piece| piece.len() > text.len());
        found
    }

    /// All pieces.
    #[cfg(test)]
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces.iter().map(|piece| &self.text[piece.clone()])
    }
}

/// Pieces that cover a form. All but the first begin in a word, as far as the form has any: the end of a line, or of a prompt, would otherwise
/// wait for what follows.
fn split(form: &[u8]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    loop {
        let end = form.len().min(start + PIECE);
        pieces.push(start..end);
        if end == form.len() {
            return pieces;
        }
        start = next_start(form, end);
    }
}

/// Where the piece begins that comes after the one with this end: as far to the right as may be; of those that reach the end of the form, the longest.
fn next_start(form: &[u8], end: usize) -> usize {
    let last = form.len() - PIECE;
    let letter = |at: usize| form[at].is_ascii_alphanumeric();
    // A prompt may end in a letter and a colon.
    let word = |at: usize| (at..at + 4).all(letter);
    let find = |begins: &dyn Fn(usize) -> bool| {
        let reaches_the_end = (last..=end.min(form.len() - SHORTEST_PIECE)).find(|at| begins(*at));
        reaches_the_end.or_else(|| (end - PIECE + 1..=end.min(last)).rev().find(|at| begins(*at)))
    };
    find(&word).or_else(|| find(&letter)).unwrap_or(end.min(last))
}

/// Whether these are not all the same.
pub(super) fn varies(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| *byte != bytes[0])
}

/// Where the filter has the bit for these bytes; `words` is a power of two, and there are four bytes at least.
fn slot(text: &[u8], words: usize) -> (usize, u64) {
    let first = u32::from_le_bytes(*text.first_chunk().expect("no form is shorter"));
    // Fibonacci hashing: the upper bits depend on all four bytes.
    let hash = u64::from(first).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    (usize::try_from(hash >> 6).expect("26 bits") & (words - 1), 1 << (hash & 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(forms: &[&str]) -> Index {
        Index::new(&forms.iter().map(|form| Zeroizing::new(form.as_bytes().to_vec())).collect::<Vec<_>>())
    }

    #[test]
    fn the_longest_that_begins_here() {
        let index = index(&["abcd", "abcdef", "abxx", "zzzz", "abcd"]);
        for (text, length, open) in [
            ("", 0, true),
            ("a", 0, true),
            ("abc", 0, true),
            ("abcd", 4, true),
            ("abcde", 4, true),
            ("abcdef", 6, false),
            ("abcdeg", 4, false),
            ("abcx", 0, false),
            ("abxx", 4, false),
            ("q", 0, false),
        ] {
            assert_eq!(index.at(text.as_bytes()), Found { length, open }, "{text}");
        }
    }

    #[test]
    fn long_forms_are_known_by_pieces_that_cover_them() {
        for text in ["x", " ", "word ", "a-b-", "\n    indented: ", "---------------------------------------- 1234 "] {
            for length in [1, 63, 64, 65, 127, 128, 129, 130, 180, 192, 1000] {
                let form = &text.repeat(length).into_bytes()[..length];
                let pieces = split(form);
                assert!(
                    pieces.iter().all(|piece| (length.min(SHORTEST_PIECE)..=PIECE).contains(&piece.len())),
                    "{text} {length}: {pieces:?}"
                );
                assert!((0..length).all(|at| pieces.iter().any(|piece| piece.contains(&at))), "{text} {length}: {pieces:?}");
                assert!(pieces.len() <= 2 * length.div_ceil(PIECE), "{text} {length}: {pieces:?}");
            }
        }
    }

    /// What ends a line or a prompt begins none of them.
    #[test]
    fn pieces_begin_in_a_word() {
        let form = "apiVersion: v1\nusers:\n- name: ci\n  user:\n    token: abcdefgh\n".repeat(20);
        let pieces = split(form.as_bytes());
        assert!(pieces.iter().all(|piece| form[piece.start..piece.start + 4].bytes().all(|byte| byte.is_ascii_alphanumeric())));
    }

    #[test]
    fn a_row_of_one_character_is_no_piece() {
        let form = format!("key{}end", "A".repeat(500));
        let index = index(&[&form, &"x".repeat(200)]);
        assert_eq!(index.at("A".repeat(64).as_bytes()).length, 0);
        assert_ne!(index.at(form.as_bytes()).length, 0);
        assert_ne!(index.at("x".repeat(64).as_bytes()).length, 0, "there is nothing else to know it by");
    }
}
