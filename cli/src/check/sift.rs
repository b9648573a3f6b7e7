//! One pass over the bytes of a file that says whether there is anything in it to look at. Most files are put down here.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

/// What was met.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sifted {
    /// A word of Secrets, or a disguise that may hide one.
    pub manifest: bool,
    /// The key `kind`, or a disguise: without it kubectl applies nothing.
    kind: bool,
    /// Where private keys may be, with what they begin.
    pub keys: Vec<(usize, Sign)>,
    /// There are more of these than are looked at.
    pub too_many: bool,
}

impl Sifted {
    /// Whether an object of ours may be in it, should anybody be able to read it.
    #[must_use]
    pub fn may_be_secret(&self) -> bool {
        self.manifest && self.kind
    }
}

/// The beginning of a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// `AGE-SECRET-KEY-`.
    Identity,
    /// `PRIVATE KEY`, as in the first line of PEM.
    Pem,
    /// Base64 of either.
    Base64,
}

/// Most places of private keys that are looked at in one file.
const MOST: usize = 10_000;

/// `Secret`, `secretGenerator`, `imagePullSecrets` and all the others have this in common.
const WORD: &str = "ecret";

/// How `Secret` and `kind` may be written so that no search finds the words: `"\x53ecret"`; `"Sec\` and the rest behind any of the line
/// breaks of YAML 1.1; `!!binary`, whose tag has a long form, abbreviations, and escapes of its own; comments of templates within the words.
const DISGUISES: [&str; 32] = [
    "\\x5",
    "\\x6",
    "\\x7",
    "\\u005",
    "\\u006",
    "\\u007",
    "\\U0000005",
    "\\U0000006",
    "\\U0000007",
    "\\\n",
    "\\\r",
    "\\\u{85}",
    "\\\u{2028}",
    "\\\u{2029}",
    "!!b",
    "!!%",
    "!<",
    "%T",
    "S{{/",
    "S{{-",
    "e{{/",
    "e{{-",
    "c{{/",
    "c{{-",
    "r{{/",
    "r{{-",
    "k{{/",
    "k{{-",
    "i{{/",
    "i{{-",
    "n{{/",
    "n{{-",
];

/// `AGE-SECRET-KEY-` and `PRIVATE KEY` in base64, at each of the three offsets; and how the file of an identity begins, `# created:`,
/// because a line break may stand amid the others.
const ENCODED: [&str; 7] = [
    "QUdFLVNFQ1JFVC1LRVkt",
    "FHRS1TRUNSRVQtS0VZL",
    "BR0UtU0VDUkVULUtFWS",
    "UFJJVkFURSBLRV",
    "BSSVZBVEUgS0VZ",
    "QUklWQVRFIEtFW",
    "IyBjcmVhdGVkOi",
];

static SEARCH: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let words = [WORD, "kind", "AGE-SECRET-KEY-", "PRIVATE KEY"].into_iter().chain(ENCODED).chain(DISGUISES);
    // Of this kind it passes over what begins no word many bytes at a time, if there are at most 64 of them.
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(words).expect("a few short words")
});

/// Looks through `bytes`.
#[must_use]
pub fn sift(bytes: &[u8]) -> Sifted {
    let mut sifted = Sifted::default();
    for found in SEARCH.find_iter(bytes) {
        let sign = match found.pattern().as_usize() {
            2 => Sign::Identity,
            3 => Sign::Pem,
            4..11 => Sign::Base64,
            word => {
                sifted.manifest |= word != 1;
                sifted.kind |= word != 0;
                continue;
            }
        };
        if sifted.keys.len() == MOST {
            sifted.too_many = true;
        } else {
            sifted.keys.push((found.start(), sign));
        }
    }
    sifted
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn base64_of_keys_is_met_wherever_it_begins() {
        for text in ["AGE-SECRET-KEY-PQ-1QQ", "-----BEGIN RSA PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\n"] {
            for before in 0..3 {
                let encoded = STANDARD.encode([&vec![b'\n'; before], text.as_bytes()].concat());
                assert_eq!(sift(encoded.as_bytes()).keys.len(), 1, "{before} {text}");
            }
        }
    }

    #[test]
    fn no_word_ends_where_a_key_begins() {
        let words: Vec<_> = [WORD, "kind"].into_iter().chain(ENCODED).chain(DISGUISES).collect();
        for key in ["AGE-SECRET-KEY-", "PRIVATE KEY"] {
            let overlaps = |word: &&&str| (1..word.len().min(key.len())).any(|n| word.ends_with(&key[..n]));
            assert_eq!(words.iter().find(overlaps), None, "{key} would not be seen behind it");
        }
    }

    #[test]
    fn words_of_secrets_are_met_in_disguise() {
        for text in [
            "kind: Secret",
            "kind: \"S\\x65cr\\u0065t\"",
            "kind: \"Se\\\n  cret\"",
            "kind: \"Sec\\\rret\"",
            "kind: \"Sec\\\u{2028}ret\"",
            "kind: !!binary |\n  U2Vj\n  cmV0",
            "kind: !<tag:yaml.org,2002:binary> U2Vj",
            "kind: Sec{{/* x */}}ret",
            "ki{{- /* x */ -}}nd: Secret",
            "%TAG !b! tag:yaml.org,2002:bin\n---\nkind: !b!ary U2VjcmV0",
        ] {
            assert!(sift(text.as_bytes()).may_be_secret(), "{text}");
        }
        assert!(sift(b"secretGenerator:").manifest);
        assert!(!sift(b"kind: ConfigMap\ndata: {a: b}\n").manifest);
    }
}
