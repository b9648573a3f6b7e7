//! age identities, private keys in PEM, and base64 of both, in any text. What only looks like one (documentation, cut examples) is not one.

use std::collections::HashSet;
use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bulla_shared::age::Identity;
use zeroize::Zeroizing;

use super::finding::{Sheet, Show};
use super::rule::{AGE_IDENTITY, ENCRYPTED_PRIVATE_KEY, PRIVATE_KEY, Rule, TOO_LARGE};
use super::sift::{Sifted, Sign, sift};

/// Longer than any identity.
const LONGEST_IDENTITY: usize = 128;

/// As much base64 as is decoded to see whether it is a key.
const LONGEST: usize = 16 * 1024;

/// Shortest line that shows a body, and shortest of those that follow it.
const SHORTEST_BODY: usize = 40;
const SHORTEST_LINE: usize = 16;

/// As far from the first line a body begins at most: headers and the words of a language stand between.
const FARTHEST: usize = 300;

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// Looks at each sign that the sieve met, but for those within `covered`: there something else is reported already.
pub fn check(sheet: &mut Sheet<'_>, sifted: &Sifted, covered: &[Range<usize>]) {
    let text = sheet.text();
    if let Some((at, _)) = sifted.keys.last().filter(|_| sifted.too_many) {
        sheet.report(
            TOO_LARGE,
            *at..*at,
            &Show::Nothing,
            "",
            "too much that may be a private key: what follows was not looked at",
        );
    }
    // Base64 that was decoded is not decoded again for the next sign in it.
    let (mut seen, mut decoded) = (HashSet::new(), 0);
    for (at, sign) in &sifted.keys {
        if covered.iter().any(|span| span.contains(at)) || *sign == Sign::Base64 && *at < decoded {
            continue;
        }
        let found = match sign {
            Sign::Identity => identity(text, *at).map(|span| (AGE_IDENTITY, span)),
            Sign::Pem => pem(text, *at),
            Sign::Base64 => {
                let run = Run::around(text, *at);
                decoded = run.span.end;
                run.key().map(|rule| (rule, run.span))
            }
        };
        let Some((rule, span)) = found else { continue };
        if seen.insert(span.start) {
            let in_base64 = if *sign == Sign::Base64 { ", in base64" } else { "" };
            let title = rule.title.split_once(',').map_or(rule.title, |(short, _)| short).to_lowercase();
            sheet.report(rule, span, &Show::Masked(0..0), "", format!("{title}{in_base64}"));
        }
    }
}

/// An identity whose checksum is right.
fn identity(text: &str, at: usize) -> Option<Range<usize>> {
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let length = text.as_bytes()[at..].iter().take(LONGEST_IDENTITY + 1).take_while(|byte| belongs(byte)).count();
    if length > LONGEST_IDENTITY {
        return None;
    }
    text[at..at + length].parse::<Identity>().ok().map(|_| at..at + length)
}

/// A block whose body could be a key: base64, long enough, and not one letter all over.
fn pem(text: &str, at: usize) -> Option<(&'static Rule, Range<usize>)> {
    let near = &text[floor(text, at.saturating_sub(40))..at];
    let start = at - (near.len() - near.rfind("-----BEGIN ")?);
    let label = &text[start + 11..at];
    if !label.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ') {
        return None;
    }
    let end = at + text[at..floor(text, at + 24)].find("-----")? + 5;
    let head = text[end..floor(text, end + 4096)].split("-----").next().unwrap_or_default();
    let encrypted = label.starts_with("ENCRYPTED") || head.contains("ENCRYPTED");
    let rule = if encrypted { ENCRYPTED_PRIVATE_KEY } else { PRIVATE_KEY };
    has_body(head).then_some((rule, start..end))
}

/// Whether there is a line of base64 soon, behind whatever a language puts around it, and no dots that say that it is cut.
fn has_body(head: &str) -> bool {
    // Line breaks may be written as in JSON.
    let head = Zeroizing::new(head.replace("\\n", "\n").replace("\\r", ""));
    let is_letter = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let runs = |text: &'_ str| text.split(move |c| !is_letter(c)).map(str::len).max().unwrap_or_default();
    let mut at = 0;
    let found = head.split(|c| !is_letter(c)).find_map(|run| {
        let begins = at;
        // What divides runs is one character.
        at += run.len() + head[at + run.len()..].chars().next().map_or(0, char::len_utf8);
        let letters: HashSet<char> = run.chars().collect();
        (run.len() >= SHORTEST_BODY && letters.len() >= 12).then_some(begins)
    });
    let Some(begins) = found.filter(|begins| *begins < FARTHEST) else { return false };
    let is_dots = |line: &str| {
        let line = line.trim_end_matches(|c: char| c.is_whitespace() || "]\"'`".contains(c));
        line.ends_with("...") || line.ends_with(". . .") || line.ends_with('\u{2026}')
    };
    !head[begins..].lines().take_while(|line| runs(line) >= SHORTEST_LINE || is_dots(line)).any(is_dots)
}

/// The end of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

/// Base64, perhaps in lines.
struct Run {
    span: Range<usize>,
    letters: Zeroizing<String>,
}

impl Run {
    fn around(text: &str, at: usize) -> Self {
        let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"+/".contains(&byte);
        let bytes = text.as_bytes();
        let start = at - bytes[..at].iter().rev().take(LONGEST).take_while(|byte| belongs(**byte)).count();
        let (mut letters, mut end) = (Zeroizing::new(String::with_capacity(2 * LONGEST)), start);
        for (offset, byte) in bytes[start..].iter().enumerate().take(2 * LONGEST) {
            if belongs(*byte) {
                letters.push(char::from(*byte));
                end = start + offset + 1;
            } else if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                break;
            }
        }
        Self { span: start..end, letters }
    }

    /// What it is the base64 of, if that is a key. Where it begins is not known, so all four offsets are tried.
    fn key(&self) -> Option<&'static Rule> {
        (0..4).find_map(|skip| {
            let whole = self.letters.get(skip..)?;
            // One letter more than groups of four is none.
            let whole = &whole[..whole.len() - usize::from(whole.len() % 4 == 1)];
            let decoded = Zeroizing::new(LENIENT.decode(whole).ok()?);
            let inner = Zeroizing::new(String::from_utf8_lossy(&decoded).into_owned());
            sift(inner.as_bytes()).keys.iter().find_map(|(at, sign)| match sign {
                Sign::Identity => identity(&inner, *at).map(|_| AGE_IDENTITY),
                Sign::Pem => pem(&inner, *at).map(|(rule, _)| rule),
                Sign::Base64 => None,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use bulla_shared::age::Algorithm;

    use super::super::finding::FileName;
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, usize)> {
        let file = FileName { shown: "a".into(), from_root: "a".into(), path: None, commit: None };
        let mut sheet = Sheet::new(&file, text);
        check(&mut sheet, &sift(text.as_bytes()), &[]);
        sheet.findings.iter().map(|finding| (finding.rule.id, finding.line)).collect()
    }

    /// No key, only as long and as mixed as one.
    fn body() -> String {
        STANDARD.encode((0..96_u8).map(|byte| byte.wrapping_mul(37)).collect::<Vec<_>>())
    }

    #[test]
    fn identities_of_both_kinds_as_they_are_and_in_base64() {
        for algorithm in [Algorithm::Hybrid, Algorithm::X25519] {
            let identity = Identity::generate(algorithm).to_text();
            assert_eq!(found(&format!("# key\nkey={}\n", *identity)), [("age-identity", 2)]);
            for before in ["", "# created: 2020-01-01T00:00:00Z\n# public key: age1\n", "ab"] {
                let encoded = STANDARD.encode(format!("{before}{}\n", *identity));
                assert_eq!(found(&format!("a: {encoded}\n")), [("age-identity", 1)], "{before}");
                let lines: Vec<_> =
                    encoded.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
                assert_eq!(found(&format!("a: |\n  {}\n", lines.join("\n  "))), [("age-identity", 2)]);
            }
            let broken = identity[..identity.len() - 1].to_owned() + if identity.ends_with('Q') { "P" } else { "Q" };
            assert_eq!(found(&broken), []);
        }
        assert_eq!(found("AGE-SECRET-KEY-1…, AGE-SECRET-KEY-PQ-1QQQ, AGE-SECRET-KEY-"), []);
    }

    #[test]
    fn private_keys_with_a_body() {
        let body = body();
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"] {
            let pem = format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
            assert_eq!(found(&pem), [("private-key", 1)]);
            assert_eq!(found(&format!("{{\"key\": \"{}\"}}", pem.replace('\n', "\\n"))), [("private-key", 1)]);
            assert_eq!(found(&STANDARD.encode(&pem)), [("private-key", 1)]);
        }
        let lines = |before: &str, behind: &str| {
            let lines = body.as_bytes().chunks(64).map(|line| format!("{before}{}{behind}\n", String::from_utf8_lossy(line)));
            format!("{before}-----BEGIN PRIVATE KEY-----{behind}\n{}", lines.collect::<String>())
        };
        for (before, behind) in [
            ("# ", ""),
            ("  // ", ""),
            (" * ", ""),
            ("\"", "\\n\" +"),
            ("'", "',"),
            ("", "\r"),
            ("+", ""),
            ("", "\\n\\"),
            ("b\"", "\\n\""),
            ("\"", "\" + System.lineSeparator() +"),
            ("echo '", "' >> k"),
            ("12: ", ""),
            ("", "<br>"),
            ("", "&#10;"),
            ("", "%0A"),
            ("", "\\u000a"),
            ("", "\\x0a"),
        ] {
            assert_eq!(found(&lines(before, behind)), [("private-key", 1)], "{before} {behind}");
        }
        let noted = lines("", "").replacen('\n', "\nX-Note: mine\n# a comment\n", 1) + "other: example.com\n";
        assert_eq!(found(&noted), [("private-key", 1)]);
        let on_one_line = lines("", "").replace('\n', " ");
        assert_eq!(found(&on_one_line), [("private-key", 1)]);
        let headers = "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\nComment: a b\n\n";
        assert_eq!(found(&format!("{headers}{body}\n=abcd\n")), [("private-key", 1)]);
        let proc = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n";
        assert_eq!(found(&format!("{proc}{body}\n")), [("encrypted-private-key", 1)]);
        let encrypted = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{body}\n");
        assert_eq!(found(&encrypted), [("encrypted-private-key", 1)]);
        for text in [
            "-----BEGIN PRIVATE KEY-----\nMIIE...\n-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\n{{ .Values.key }}\n-----END PRIVATE KEY-----",
            "a PRIVATE KEY is secret",
            &format!(
                "## -----BEGIN PRIVATE KEY-----\n{}sha = {body}\n",
                "## is how the file of a key begins, and it is long\n".repeat(7)
            ),
            &format!("-----BEGIN PRIVATE KEY-----\n{0}\n...\n{0}\n-----END PRIVATE KEY-----", &body[..64]),
            &format!("-----BEGIN PRIVATE KEY-----\n{0}\n# [...]\n{0}\n", &body[..64]),
            &format!("-----BEGIN PRIVATE KEY-----\n{}\u{2026}\n", &body[..64]),
            &format!("-----BEGIN PRIVATE KEY-----\n{}...\n", &body[..64]),
            &format!("-----BEGIN PRIVATE KEY-----\n{}\n", "A".repeat(64)),
            &format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"),
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
