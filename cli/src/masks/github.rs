//! GitHub Actions: `::add-mask::` on standard output, `$GITHUB_ENV` for later steps.
//!
//! <https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands>; escaping as the runner's `ActionCommand` undoes it.

use zeroize::Zeroizing;

use super::{buffer, escape, texts};

/// The percent sign first when undone last; in one pass over the bytes the order does not matter.
const DATA: &[(u8, &str)] = &[(b'%', "%25"), (b'\r', "%0D"), (b'\n', "%0A")];

/// The commands that mask a value, to be printed before it is used anywhere.
#[must_use]
pub fn mask(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let texts = texts(value, true);
    let mut output = buffer(&texts);
    for text in &texts {
        output.extend_from_slice(b"::add-mask::");
        escape(text, DATA, &mut output);
        output.push(b'\n');
    }
    output
}

/// What is appended to `$GITHUB_ENV` for one variable; none if the value is no text, or has the delimiter as a line, which the caller draws at
/// random.
#[must_use]
pub fn variable(name: &str, value: &[u8], delimiter: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = str::from_utf8(value).ok().filter(|text| !text.contains('\0') && !text.contains(delimiter))?;
    let mut output = Zeroizing::new(Vec::with_capacity(text.len() + name.len() + 2 * delimiter.len() + 8));
    for part in [name, "<<", delimiter, "\n", text, "\n", delimiter, "\n"] {
        output.extend_from_slice(part.as_bytes());
    }
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_byte_for_byte() {
        for (value, commands) in [
            (&b"password"[..], "::add-mask::password\n::add-mask::cGFzc3dvcmQ=\n"),
            (b"100%25\r", "::add-mask::100%2525%0D\n::add-mask::100%2525\n::add-mask::100%2525\\r\n::add-mask::MTAwJTI1DQ==\n"),
            (b"a;b]c,d:e", "::add-mask::a;b]c,d:e\n::add-mask::YTtiXWMsZDpl\n"),
            (b"'quo\"ted'", "::add-mask::'quo\"ted'\n::add-mask::'quo\\\"ted'\n::add-mask::J3F1byJ0ZWQn\n"),
            ("grüße 😀".as_bytes(), "::add-mask::grüße 😀\n::add-mask::Z3LDvMOfZSDwn5iA\n"),
            (b" spaced ", "::add-mask:: spaced \n::add-mask::spaced\n::add-mask::IHNwYWNlZCA=\n"),
            (b"1", ""),
            (b"", ""),
            (
                b"first line\nsecond\n",
                "::add-mask::first line%0Asecond%0A\n::add-mask::first line\n::add-mask::second\n::add-mask::first line\\nsecond\\n\n::add-mask::Zmlyc3QgbGluZQpzZWNvbmQK\n",
            ),
            (b"::add-mask::x", "::add-mask::::add-mask::x\n::add-mask::OjphZGQtbWFzazo6eA==\n"),
        ] {
            assert_eq!(str::from_utf8(&mask(value)).unwrap(), commands, "{value:?}");
        }
    }

    #[test]
    fn a_mask_of_1_mib() {
        let value = vec![b'%'; 1 << 20];
        let commands = mask(&value);
        assert_eq!(commands[..12], *b"::add-mask::");
        assert_eq!(commands[12..].iter().position(|byte| *byte == b'\n').unwrap(), 3 << 20);
        assert!(commands.capacity() >= commands.len() && commands.split(|byte| *byte == b'\n').count() == 3);
    }

    /// What the runner reads back: the first line up to `<<`, everything to the line that is the delimiter.
    #[test]
    fn variables_byte_for_byte() {
        for (value, wanted) in [
            ("password", "A<<end_1\npassword\nend_1\n"),
            ("50%\r\n", "A<<end_1\n50%\r\n\nend_1\n"),
            ("one\ntwo", "A<<end_1\none\ntwo\nend_1\n"),
            ("", "A<<end_1\n\nend_1\n"),
            ("B=c", "A<<end_1\nB=c\nend_1\n"),
        ] {
            assert_eq!(variable("A", value.as_bytes(), "end_1").unwrap().as_slice(), wanted.as_bytes());
        }
        assert!(variable("A", b"x\nend_1\nB=c", "end_1").is_none());
        assert!(variable("A", b"\xff", "end_1").is_none() && variable("A", b"a\0b", "end_1").is_none());
    }
}
