//! What pipeline hosts offer for values that later steps need: masks, and variables for those steps. One file per host.

pub mod azure;
pub mod github;
pub mod gitlab;

use std::ffi::OsString;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::redact::{SHORTEST, Short, json_escaped, too_short};

/// A system that runs pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// GitHub Actions, and what is made to look like it.
    GitHub,
    /// Azure DevOps.
    Azure,
    /// GitLab CI.
    GitLab,
    /// Jenkins.
    Jenkins,
}

impl Host {
    /// The one that this process runs on, by the variables that it sets.
    #[must_use]
    pub fn detect(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let is = |name, wanted: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case(wanted));
        let hosts = [
            (Self::GitHub, is("GITHUB_ACTIONS", "true")),
            (Self::Azure, is("TF_BUILD", "true")),
            (Self::GitLab, is("GITLAB_CI", "true")),
            (Self::Jenkins, variable("JENKINS_URL").is_some()),
        ];
        hosts.into_iter().find(|(_, here)| *here).map(|(host, _)| host)
    }

    /// How messages name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub Actions",
            Self::Azure => "Azure DevOps",
            Self::GitLab => "GitLab CI",
            Self::Jenkins => "Jenkins",
        }
    }
}

/// The texts that a host is told to mask for one value: the whole, each line, base64, the inside of a JSON string.
///
/// The whole of several lines is left out where `whole_lines` is false, or where one of its lines is short: hosts that take it also take its
/// lines apart, and masking `{` makes a log unreadable.
fn texts(value: &[u8], whole_lines: bool) -> Vec<Zeroizing<Vec<u8>>> {
    let short = too_short(value);
    if short == Some(Short::Value) || value.trim_ascii().is_empty() {
        return Vec::new();
    }
    let owned = |bytes: &[u8]| Zeroizing::new(bytes.to_vec());
    let mut texts = Vec::new();
    if let Ok(text) = str::from_utf8(value) {
        let lines = text.split(['\r', '\n']).map(str::trim_ascii);
        let several = text.contains(['\r', '\n']);
        if !several || (whole_lines && short.is_none()) {
            texts.push(owned(value));
        }
        texts.extend(lines.filter(|line| line.len() >= SHORTEST).map(|line| owned(line.as_bytes())));
        texts.push(json_escaped(text));
    }
    let mut encoded = Zeroizing::new(vec![0; value.len().div_ceil(3) * 4]);
    STANDARD.encode_slice(value, &mut encoded).expect("four characters for each three bytes");
    texts.push(encoded);
    let mut seen = std::collections::HashSet::new();
    let first = texts.iter().map(|text| seen.insert(text.as_slice())).collect::<Vec<_>>();
    let mut first = first.into_iter();
    texts.retain(|_| first.next() == Some(true));
    texts
}

/// Appends `text`, each of the bytes in `escapes` replaced.
fn escape(text: &[u8], escapes: &[(u8, &str)], output: &mut Vec<u8>) {
    for byte in text {
        match escapes.iter().find(|(escaped, _)| escaped == byte) {
            Some((_, escape)) => output.extend_from_slice(escape.as_bytes()),
            None => output.push(*byte),
        }
    }
}

/// A buffer for commands about these values that does not grow: growing would leave what it held behind.
fn buffer(texts: &[Zeroizing<Vec<u8>>]) -> Zeroizing<Vec<u8>> {
    // The longest escape has six characters; a command has less than 200 beside.
    Zeroizing::new(Vec::with_capacity(texts.iter().map(|text| text.len() * 6 + 200).sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_known_by_what_they_set() {
        for (name, value, host) in [
            ("GITHUB_ACTIONS", "true", Some(Host::GitHub)),
            ("TF_BUILD", "True", Some(Host::Azure)),
            ("GITLAB_CI", "true", Some(Host::GitLab)),
            ("JENKINS_URL", "https://ci/", Some(Host::Jenkins)),
            ("CI", "true", None),
            ("GITHUB_ACTIONS", "false", None),
        ] {
            assert_eq!(Host::detect(|asked| (asked == name).then(|| value.into())), host, "{name}");
        }
    }

    /// One text in every form, once.
    #[test]
    fn texts_of_a_value() {
        let all = |value: &[u8], whole| -> Vec<String> {
            texts(value, whole).iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
        };
        assert_eq!(all(b"password", true), ["password", "cGFzc3dvcmQ="]);
        assert_eq!(all(b"say \"hi\"", true), ["say \"hi\"", "say \\\"hi\\\"", "c2F5ICJoaSI="]);
        assert_eq!(all(b"line1\nline2\n", true), ["line1\nline2\n", "line1", "line2", "line1\\nline2\\n", "bGluZTEKbGluZTIK"]);
        assert_eq!(all(b"line1\nline2\n", false), ["line1", "line2", "line1\\nline2\\n", "bGluZTEKbGluZTIK"]);
        assert_eq!(all(b"{\n  \"a\": 1\n}", true), ["\"a\": 1", "{\\n  \\\"a\\\": 1\\n}", "ewogICJhIjogMQp9"]);
        assert_eq!(all(b"\xff\xfe\xfd\xfc", true), ["//79/A=="]);
        for short in [&b""[..], b"x", b"\n\n", b"abc\n"] {
            assert!(all(short, true).is_empty(), "{short:?}");
        }
    }
}
