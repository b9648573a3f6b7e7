//! Redaction of a stream: every form of every secret becomes `***`, wherever the stream is cut into chunks.
//!
//! What is held back is the least that can be: the end of the stream so far, from the first place on where a form may have begun
//! that is not decided yet. A prompt that is no beginning of a secret comes out at once, without a timer; text that is, waits
//! for the byte that decides, or for the end. A place that two forms cover, or that stands between two that touch, is one `***`.

mod forms;
mod index;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use index::{Index, PIECE};

/// The shortest text that is taken for a secret: shorter ones are found everywhere.
pub const SHORTEST: usize = 4;

/// What stands in the place of a secret.
pub const MASK: &[u8] = b"***";

/// Bytes that are looked at together.
const CHUNK: usize = 128 * 1024;

/// The secrets that are looked for.
#[derive(Default)]
pub struct Secrets(Index);

impl Secrets {
    /// Looks for all forms of these values.
    #[must_use]
    pub fn new<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let forms: Vec<_> = values.into_iter().flat_map(forms::forms).collect();
        Self(Index::new(&forms))
    }

    /// A redactor of one stream.
    #[must_use]
    pub fn redactor(&self) -> Redactor<'_> {
        // The window does not grow, since growing would leave what it held behind.
        Redactor { index: &self.0, window: Zeroizing::new(Vec::with_capacity(PIECE + CHUNK)), said: 0, masked: false }
    }
}

/// The text as the inside of a JSON string, with no more escapes than needed.
#[must_use]
pub fn json_escaped(text: &str) -> Zeroizing<Vec<u8>> {
    forms::json(text, |_| false, false)
}

/// What of a value is too short to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// The whole value.
    Value,
    /// So many of its lines, where they stand alone.
    Lines(usize),
}

/// Whether something of a value is not looked for.
#[must_use]
pub fn too_short(value: &[u8]) -> Option<Short> {
    let whole = value.trim_ascii();
    if whole.len() < SHORTEST {
        return (!whole.is_empty()).then_some(Short::Value);
    }
    let lines = forms::lines(whole).filter(|line| line.len() < SHORTEST).count();
    (lines > 0).then_some(Short::Lines(lines))
}

/// One stream on its way.
pub struct Redactor<'s> {
    index: &'s Index,
    /// The end of the stream that is not decided, and then the bytes that came.
    window: Zeroizing<Vec<u8>>,
    /// How many bytes of the window are in the output: they are secret, and may belong to a longer secret as well.
    said: usize,
    /// The last that was put out is a mask.
    masked: bool,
}

impl Redactor<'_> {
    /// Takes the next bytes, and appends to `output` what can be said now.
    pub fn push(&mut self, bytes: &[u8], output: &mut Vec<u8>) {
        for chunk in bytes.chunks(CHUNK) {
            self.window.extend_from_slice(chunk);
            let undecided = self.scan(true, output);
            self.say(undecided, output);
            self.said -= undecided.min(self.said);
            self.window.drain(..undecided);
        }
    }

    /// The stream has ended: appends the rest.
    pub fn finish(mut self, output: &mut Vec<u8>) {
        let end = self.scan(false, output);
        self.say(end, output);
    }

    /// Puts a mask over each form in the window, and gives the place up to which all is decided. If `more` may come, that is the first
    /// place where a form may have begun.
    fn scan(&mut self, more: bool, output: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while let Some(next) = self.candidate(at) {
            let end = self.window.len().min(next + PIECE);
            let found = self.index.at(&self.window[next..end]);
            if found.length > 0 {
                self.say(next, output);
                if !self.masked {
                    output.extend_from_slice(MASK);
                    self.masked = true;
                }
                self.said = self.said.max(next + found.length);
            }
            if found.open && more {
                return next;
            }
            at = next + 1;
        }
        self.window.len()
    }

    /// The next place from `at` on where a form may begin.
    fn candidate(&self, at: usize) -> Option<usize> {
        let rest = self.window.get(at..)?;
        let found = rest.windows(SHORTEST).position(|next| next.first_chunk().is_some_and(|next| self.index.may_begin(*next)));
        // The last bytes are too few for the filter.
        let unfiltered = rest.len().saturating_sub(SHORTEST - 1);
        Some(at + found.unwrap_or(unfiltered)).filter(|next| *next < self.window.len())
    }

    /// Puts out the plain text up to a place in the window.
    fn say(&mut self, end: usize, output: &mut Vec<u8>) {
        if end > self.said {
            output.extend_from_slice(&self.window[self.said..end]);
            self.said = end;
            self.masked = false;
        }
    }
}
