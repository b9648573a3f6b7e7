//! GitLab CI: nothing masks at run time, and variables reach later jobs only in a dotenv artifact, which whoever may read the project's artifacts
//! downloads. So this is written only when told.
//!
//! <https://docs.gitlab.com/ci/variables/dotenv/>

use zeroize::Zeroizing;

/// The line of one variable; none if the format has no way to write the value.
#[must_use]
pub fn variable(name: &str, value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = str::from_utf8(value).ok().filter(|text| !text.contains(|c: char| c.is_control() || c.is_whitespace()))?;
    let mut output = Zeroizing::new(Vec::with_capacity(name.len() + text.len() + 2));
    for part in [name, "=", text, "\n"] {
        output.extend_from_slice(part.as_bytes());
    }
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_byte_for_byte() {
        assert_eq!(variable("A", b"pa=ss\"'%").unwrap().as_slice(), b"A=pa=ss\"'%\n");
        for no_line in [&b"a b"[..], b"a\n", b"a\tb", b"\xff", b"a\0"] {
            assert!(variable("A", no_line).is_none(), "{no_line:?}");
        }
    }
}
