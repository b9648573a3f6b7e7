//! Texts that stand where a value belongs and give nothing away: references, templates, words to be replaced, ciphertext, certificates.

use zeroize::Zeroizing;

/// Words that people write for "fill in here", compared without case and punctuation.
const WORDS: [&str; 18] = [
    "changeme",
    "changeit",
    "changethis",
    "replaceme",
    "replacethis",
    "replace",
    "todo",
    "tbd",
    "fixme",
    "redacted",
    "placeholder",
    "dummy",
    "null",
    "none",
    "empty",
    "fillme",
    "insertme",
    "yoursecrethere",
];

/// What values begin with that another tool puts in later: vals, Vault injectors, 1Password, Secrets Manager.
const REFERENCES: [&str; 8] =
    ["ref+", "vault:", "vault://", "<path:", "op://", "secretref:", "arn:aws:secretsmanager:", "projects/"];

/// Whether this text of a template is no value.
#[must_use]
pub fn is_placeholder(text: &str) -> bool {
    is_reference(text) || is_rendered_elsewhere(text, 15)
}

/// Whether this text of a manifest that can be read as it is gives nothing away: what is written beside braces is there already.
#[must_use]
pub fn is_nothing_yet(text: &str) -> bool {
    is_reference(text) || is_rendered_elsewhere(text, 0)
}

fn is_reference(text: &str) -> bool {
    let text = text.trim();
    text.is_empty()
        || is_variable(text)
        || is_word(text)
        || is_repeated(text)
        || text.starts_with("ENC[") && text.ends_with(']')
        || REFERENCES.iter().any(|start| text.starts_with(start))
        || text.starts_with("age-encryption.org/v1")
        || text.starts_with("YWdlLWVuY3J5cHRpb24ub3Jn")
        || text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----")
        || is_certificates(text)
}

/// `${NAME}`, `$NAME`, `$(name)`, `%NAME%`, `<name>`, `__NAME__`, `@name@`, as a whole.
fn is_variable(text: &str) -> bool {
    let named = |inner: &str| {
        !inner.is_empty()
            && inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-. :?".contains(&byte))
            && !inner.contains(":-")
    };
    let between = |open: &str, close: &str| text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)).is_some_and(named);
    between("${", "}")
        || between("$(", ")")
        || between("<", ">")
        || between("__", "__")
        || between("@", "@")
        || between("%", "%")
        || between("[", "]")
        || text.strip_prefix('$').is_some_and(|name| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
                && !name.starts_with(|first: char| first.is_ascii_digit())
        })
}

fn is_word(text: &str) -> bool {
    if text.len() > 40 {
        return false;
    }
    let bare: String = text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    WORDS.contains(&bare.as_str()) || bare.starts_with("your") && bare.ends_with("here")
}

/// `xxxx`, `****`, `…`: one character and no more, at least three times.
fn is_repeated(text: &str) -> bool {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return true };
    let marks = !first.is_ascii_digit() && characters.all(|c| c == first);
    marks && (text.chars().count() >= 3 || first == '…')
}

/// Certificates and public keys, and nothing else.
fn is_certificates(text: &str) -> bool {
    let mut rest = text.trim();
    if !rest.starts_with("-----BEGIN ") {
        return false;
    }
    while !rest.is_empty() {
        let Some(block) = rest.strip_prefix("-----BEGIN ") else { return false };
        let Some((label, body)) = block.split_once("-----") else { return false };
        let public = label.ends_with("CERTIFICATE")
            || label.ends_with("PUBLIC KEY")
            || label == "CERTIFICATE REQUEST"
            || label == "X509 CRL";
        let end = format!("-----END {label}-----");
        let Some((_, after)) = body.split_once(end.as_str()) else { return false };
        if !public {
            return false;
        }
        rest = after.trim_start();
    }
    true
}

/// Whether a text with `{{ … }}` holds nothing literal that could be a value: what stands around the braces is no longer word than this
/// or an address without credentials, and no literal stands in them as a value or as the default of one.
fn is_rendered_elsewhere(text: &str, longest: usize) -> bool {
    (text.contains("{{") || text.contains("{%"))
        && outside_braces(text)
            .is_some_and(|outside| !has_credentials(&outside) && (longest_word(&outside) <= longest || outside.contains("://")))
}

/// What stands around braces, if no literal stands in them.
fn outside_braces(text: &str) -> Option<Zeroizing<String>> {
    let (mut outside, mut rest) = (Zeroizing::new(String::with_capacity(text.len())), text);
    while let Some((at, close)) =
        [("{{", "}}"), ("{%", "%}")].iter().filter_map(|(open, close)| Some((rest.find(open)?, *close))).min()
    {
        outside.push_str(&rest[..at]);
        // A mark where braces stood, so that what is left and right of them stays apart.
        outside.push('\u{1}');
        let Some(length) = rest[at..].find(close) else { return Some(outside) };
        if has_literal(&rest[at + 2..at + length]) {
            return None;
        }
        rest = &rest[at + length + 2..];
    }
    outside.push_str(rest);
    Some(outside)
}

/// Whether a string in an action is a value: the first operand (`"x" | b64enc`), or of `default`.
fn has_literal(action: &str) -> bool {
    let action = action.trim_matches(['-', ' ']);
    let literal = |text: &str| {
        let text = text.trim_start();
        let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
        let inner = quote.and_then(|quote| text[1..].split_once(quote)).map(|(inner, _)| inner);
        inner.is_some_and(|inner| !is_placeholder(inner) && !inner.starts_with(['.', '%']) && inner != "{{")
    };
    literal(action) || action.match_indices("default ").any(|(at, word)| literal(&action[at + word.len()..]))
}

/// `user:password@` with a literal password.
fn has_credentials(outside: &str) -> bool {
    outside.split_once("://").is_some_and(|(_, rest)| {
        let user = rest.split(['/', '?']).next().unwrap_or_default();
        let password = user.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password);
        password.is_some_and(|password| !password.contains('\u{1}') && !is_placeholder(password))
    })
}

fn longest_word(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_value() {
        for text in [
            "",
            "  \n",
            "${DB_PASSWORD}",
            "$DB_PASSWORD",
            "$(password)",
            "<password>",
            "<your password here>",
            "CHANGE_ME",
            "change-me",
            "REPLACE_ME!",
            "xxxx",
            "********",
            "...",
            "…",
            "ENC[AES256_GCM,data:aa,iv:bb]",
            "vault:secret/data/db#password",
            "ref+vault://secret/db#/password",
            "<path:secret/data/db#password>",
            "op://vault/item/field",
            "__PASSWORD__",
            "@password@",
            "{{ .Values.password }}",
            "{{ .Values.password | b64enc | quote }}",
            "\"{{ .Values.password }}\"",
            "{{- .Values.a -}}{{ .Values.b }}",
            "postgres://{{ .Values.user }}:{{ .Values.password }}@db:5432/app",
            "{{ required \"password is needed\" .Values.password }}",
            "{% if a %}{{ b }}{% endif %}",
            "{{ include \"chart.password\" . }}",
            "{{ printf \"%s\" .Values.a }}",
            "{{ .Values.password | default \"\" }}",
            "{{ .Values.password | default \"changeme\" }}",
            "your-token-here",
            "TODO",
            "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n",
        ] {
            assert!(is_placeholder(text), "{text}");
        }
    }

    #[test]
    fn what_is_written_beside_braces() {
        for text in ["hunter2{{\"\"}}", "{{ .a }}x", "a: {{ .b }}"] {
            assert!(is_placeholder(text) && !is_nothing_yet(text), "{text}");
        }
        for text in [
            "{{ .a }}",
            "{{ .a }}-{{ .b }}",
            "\"{{ .a }}\"",
            "postgres://{{ .a }}:{{ .b }}@db/app",
            "vault:{{ .a }}/b#c",
            "CHANGE_ME",
        ] {
            assert!(is_nothing_yet(text), "{text}");
        }
    }

    #[test]
    fn what_is_one() {
        for text in [
            "hunter2",
            "a",
            "0",
            "1111",
            "pa$$word",
            "$2y$10$abcdefghijklmnopqrstuv",
            "change me later: hunter2",
            "<a>b</a>c",
            "{{ \"hunter2\" | b64enc }}",
            "{{ .Values.password | default \"hunter2\" }}",
            "postgres://{{ .Values.user }}:hunter2@db/app",
            "${DB:-hunter2}",
            "correct horse battery staple",
            "prefix-{{ .Values.a }}-0123456789abcdef0123",
            "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
