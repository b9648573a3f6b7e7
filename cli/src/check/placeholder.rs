//! Texts that stand where a value belongs and give nothing away: references, templates, words to be replaced, ciphertext, certificates.

use zeroize::Zeroizing;

use super::actions::{self, Control, Piece, longest_word};

/// Longest word beside the braces of a template that is taken for a part of a name.
pub const BESIDE_BRACES: usize = 15;

/// How often texts may stand within the braces of others.
const MOST_WITHIN: usize = 8;

/// Shortest line of base64 that is not the last.
const SHORTEST_LINE: usize = 40;

/// What the injector of Argo CD does with a value that it has fetched.
const FUNCTIONS: [&str; 7] = ["base64encode", "base64decode", "indent", "jsonParse", "jsonPath", "sha256sum", "yamlParse"];

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

/// Whether this text of a template is no value.
#[must_use]
pub fn is_placeholder(text: &str) -> bool {
    is_reference(text) || is_rendered_elsewhere(text, BESIDE_BRACES, 0)
}

/// Whether this text of a manifest that can be read as it is gives nothing away: what is written beside braces is there already.
#[must_use]
pub fn is_nothing_yet(text: &str) -> bool {
    is_reference(text) || is_rendered_elsewhere(text, 0, 0)
}

fn is_reference(text: &str) -> bool {
    let text = text.trim();
    text.is_empty()
        || is_variable(text)
        || is_word(text)
        || is_repeated(text)
        || is_put_in_later(text)
        || is_ciphertext(text)
        || is_certificates(text)
}

/// What another tool replaces: vals, Vault and its injectors, 1Password, the secret managers of clouds. Each in its whole form: what only
/// begins so is a value.
fn is_put_in_later(text: &str) -> bool {
    let behind = |start: &str| text.strip_prefix(start).filter(|rest| is_one_word(rest));
    let is_path = |rest: &str| rest.contains('/');
    let is_address = |rest: &str| {
        rest.split_once("://").is_some_and(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
    };
    let is_name = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    behind("ref+").is_some_and(is_address)
        || behind("vault:").is_some_and(is_path)
        || text.strip_prefix("<path:").and_then(|rest| rest.strip_suffix('>')).is_some_and(|rest| {
            let (path, functions) = rest.split_once('|').unwrap_or((rest, ""));
            let is_function = |text: &str| FUNCTIONS.iter().any(|name| text.trim_start().starts_with(name));
            let path = path.trim_end();
            path.contains('/') && !rest.contains('>') && is_one_word(path) && (functions.is_empty() || is_function(functions))
        })
        || behind("op://").is_some_and(is_path)
        || behind("secretref:").is_some_and(is_name)
        || behind("arn:aws:secretsmanager:").is_some_and(|rest| rest.contains(":secret:"))
        || behind("projects/").is_some_and(|rest| rest.contains("/secrets/"))
}

/// Whether there is no white space, but for that within the braces of actions and around what is written out in them.
fn is_one_word(text: &str) -> bool {
    let is_word = |text: &str| !text.contains(char::is_whitespace);
    is_word(text)
        || actions::pieces(text).0.iter().all(|piece| {
            if piece.is_action { actions::literals(piece.inner()).into_iter().all(is_word) } else { is_word(piece.text) }
        })
}

/// Base64, in lines of some length if it is in several.
fn is_base64(text: &str) -> bool {
    is_text_of(text, b"+/=")
}

fn is_text_of(text: &str, others: &[u8]) -> bool {
    let mut words = text.split_ascii_whitespace().rev();
    words.next().is_some()
        && words.all(|word| word.len() >= SHORTEST_LINE)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || others.contains(&byte))
}

/// A file of age that is not armoured: its header, whose stanzas are base64, and the MAC of it.
fn is_age_header(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("age-encryption.org/v1\n") else { return false };
    let mut lines = rest.lines();
    let is_line = |line: &str| is_text_of(line, b"+/") || line.is_empty();
    let header = |line: &str| line.starts_with("-> ") || is_line(line);
    rest.starts_with("-> ")
        && lines.find(|line| !header(line)).is_some_and(|line| line.strip_prefix("--- ").is_some_and(is_base64))
        && lines.next().is_none()
}

/// SOPS, eyaml, age in each of its forms, Vault's transit engine.
fn is_ciphertext(text: &str) -> bool {
    let between = |start: &str| text.strip_prefix(start).and_then(|rest| rest.strip_suffix(']'));
    let is_of_sops = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=,:_".contains(&byte);
    let armored = text
        .strip_prefix("-----BEGIN AGE ENCRYPTED FILE-----")
        .and_then(|rest| rest.strip_suffix("-----END AGE ENCRYPTED FILE-----"));
    between("ENC[AES256_GCM,data:").is_some_and(|rest| rest.contains(",iv:") && rest.bytes().all(is_of_sops))
        || ["ENC[PKCS7,", "ENC[GPG,"]
            .iter()
            .any(|start| between(start).is_some_and(|rest| rest.len() >= SHORTEST_LINE && is_base64(rest)))
        || is_age_header(text)
        || text.starts_with("YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+") && is_base64(text)
        || armored.is_some_and(|body| body.trim_start().starts_with("YWdlLWVuY3J5cHRpb24ub3Jn") && is_base64(body))
        || text.strip_prefix("vault:v").and_then(|rest| rest.split_once(':')).is_some_and(|(version, text)| {
            !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()) && text.len() > 16 && is_base64(text)
        })
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
/// or an address without credentials, no literal stands in them as a value, and no branch between them is one.
fn is_rendered_elsewhere(text: &str, longest: usize, depth: usize) -> bool {
    if !actions::begins_in(text) || depth > MOST_WITHIN {
        return false;
    }
    let nothing = |text: &str| is_reference(text) || is_rendered_elsewhere(text, longest, depth + 1);
    let (pieces, is_open) = actions::pieces(text);
    if pieces.iter().any(Piece::is_comment) {
        let written: String = pieces.iter().filter(|piece| !piece.is_comment()).map(|piece| piece.text).collect();
        return nothing(&Zeroizing::new(written));
    }
    let begins_open =
        is_open && pieces.first().is_some_and(|first| !first.is_action && first.text.trim_start().starts_with("{{"));
    if let Some(branches) = branches(text, &pieces).filter(|_| !is_open) {
        return branches.into_iter().all(nothing);
    }
    let is_value = |literal: &str| !nothing(literal) && !literal.starts_with(['.', '%']) && literal != "{{";
    let mut outside = Zeroizing::new(String::with_capacity(text.len()));
    for piece in pieces {
        if !piece.is_action {
            outside.push_str(piece.text);
        } else if actions::literals(piece.inner()).into_iter().any(is_value) {
            return false;
        } else {
            // A mark where braces stood, so that what is left and right of them stays apart.
            outside.push('\u{1}');
        }
    }
    // Braces that do not close render nothing, but for an action that goes on below.
    if is_open {
        return begins_open;
    }
    !has_credentials(&outside) && (longest_word(&outside) <= longest || is_plain_address(&outside))
}

/// An address whose path and query have no word that is longer than a part of a name. Of a host, any may be.
fn is_plain_address(outside: &str) -> bool {
    outside.split_once("://").is_some_and(|(scheme, rest)| {
        let host = rest.find(|c: char| matches!(c, '/' | '?' | '#') || c.is_whitespace()).unwrap_or(rest.len());
        let (host, path) = rest.split_at(host);
        let user = host.rsplit_once('@').map_or("", |(user, _)| user);
        [scheme, user, path].iter().all(|part| longest_word(part) <= BESIDE_BRACES)
    })
}

/// What stands between `if`, `else` and `end`, if these are all that the text is.
fn branches<'t>(text: &'t str, pieces: &[Piece<'t>]) -> Option<Vec<&'t str>> {
    let (mut branches, mut depth, mut start) = (Vec::new(), 0_usize, None);
    for piece in pieces.iter().filter(|piece| piece.is_action || !piece.text.trim().is_empty()) {
        match (piece.control(), depth) {
            (Some(Control::Open), 0) if start.is_none() => start = Some(piece.start + piece.text.len()),
            (_, 0) => return None,
            (Some(Control::Else | Control::End), 1) => {
                branches.push(text[start?..piece.start].trim());
                start = Some(piece.start + piece.text.len());
            }
            _ => {}
        }
        match piece.control() {
            Some(Control::Open) => depth += 1,
            Some(Control::End) => depth -= 1,
            _ => {}
        }
    }
    (depth == 0 && !branches.is_empty()).then_some(branches)
}

/// `user:password@` with a literal password.
fn has_credentials(outside: &str) -> bool {
    outside.split_once("://").is_some_and(|(_, rest)| {
        let user = rest.split(['/', '?']).next().unwrap_or_default();
        let password = user.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password);
        password.is_some_and(|password| !password.contains('\u{1}') && !is_placeholder(password))
    })
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
            "ENC[AES256_GCM,data:aa+/=,iv:bb=,tag:cc==,type:str]",
            "<path:secret/data/db#password | base64encode>",
            "projects/p/secrets/s/versions/1",
            "arn:aws:secretsmanager:eu-west-1:1:secret:a/b-c",
            "https://a-host-with-a-long-name.{{ .Values.domain }}:8080/path/of/parts?user={{ .a }}",
            "<{{/* x */}}password>",
            "{{/* x */}}{{ .Values.a }}",
            "ENC[GPG,hQIMA0fWzzvxVHFgAQ/+Jn2vJ2DqK7n0q5cZ0n8rX0cV7JkW5o2Q\n  hQIMA0fWzzvxVHFgAQ/+Jn2vJ2DqK7n0q5cZ0n8rX0cV7JkW5o2Q\n  abc=]",
            "ENC[PKCS7,MIIBiQYJKoZIhvcNAQcDoIIBejCCAXYCAQAxggEhMIIBHQIBAD]",
            "vault:secret/data/db#password",
            "vault:v1:8SDd3WHDOjf7mq69CyCqYjBXAiQQAVZRkFM13ok481zoCmHnSeDX9vyf7w==",
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
            "{{ if .Values.a }}{{ .Values.a }}{{ else }}changeme{{ end }}",
            "{{ include \"a\" (dict \"b\" . \"c\" \"d\") | b64enc }}",
            "{{ printf \"%s:%s\" .Values.a .Values.b | b64enc }}",
            "{{ eq .Values.a \"b\" }}",
            "{{ include \"a\"",
            "age-encryption.org/v1\n-> X25519 aa\nbb\n--- cc",
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
            "{{ b64enc \"hunter2\" }}",
            "{{ print \"hunter2\" }}",
            "{{ coalesce .Values.password \"hunter2\" }}",
            "{{ .Values.password | default (\"hunter2\") }}",
            "{{ if .Values.a }}hunter2{{ end }}",
            "{{- if .Values.a }}{{ .Values.a }}{{ else if .Values.b }}hunter2{{ else }}{{ .Values.c }}{{ end }}",
            "hunter2{%}",
            "hunter2{{",
            "x://hunter2hunter2{{",
            "age-encryption.org/v1 hunter2",
            "vault:hunter2",
            "ENC[hunter2]",
            "ref+hunter2",
            "op://hunter2",
            "{{ .Values.password | default \"hunter2\" }}",
            "postgres://{{ .Values.user }}:hunter2@db/app",
            "https://hooks.slack.com/services/T01ABCDEF/B01ABCDEF/abcdefghijklmnopqrstuvwx?x={{a}}",
            "postgres://db/?user=a&password=hunter2hunter2hunter2{{a}}",
            "https://hunter2hunter2hunter2@{{ .host }}/",
            "hunter2hunter2hunter2 x://{{ .host }}",
            "projects/\nhunter2 hunter2\n/secrets/",
            "arn:aws:secretsmanager:x:secret:\nhunter2",
            "op://x/ hunter2 \n hunter3",
            "vault:{{ .a }}/b hunter2hunter2hunter2",
            "vault:a/{{ \"hunter2 hunter3\" }}",
            "<path:a/ hunter2 hunter3>",
            "ref+vault://a hunter2",
            "age-encryption.org/v1\n-> x\nhunter2",
            "age-encryption.org/v1\n-> x\naa\n--- bb\nhunter2",
            "ENC[GPG,hunter2 hunter3]",
            "ENC[GPG,hunter2]",
            "ENC[AES256_GCM,data:hunter2]",
            "ENC[AES256_GCM,data:hunter2 hunter3,iv:aa]",
            "vault:v1:hunter2 hunter2 hunter2",
            "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+ hunter2",
            "-----BEGIN AGE ENCRYPTED FILE-----\nhunter2\n-----END AGE ENCRYPTED FILE-----",
            "hunter2hunter{{/* x */}}2hunter2",
            "hunter2{{/* x */}}",
            "{{ .a }} hunter2hunter2hunter2 {{",
            "${DB:-hunter2}",
            "correct horse battery staple",
            "prefix-{{ .Values.a }}-0123456789abcdef0123",
            "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
