//! Actions of templates, `{{ … }}` and `{% … %}`: where they stand, and which literals in them become part of a value.

/// Functions that hand on what they are given.
const HAND_ON: [&str; 16] = [
    "b64enc",
    "b64encode",
    "base64",
    "bcrypt",
    "coalesce",
    "default",
    "htpasswd",
    "lower",
    "quote",
    "squote",
    "ternary",
    "toString",
    "toYaml",
    "tpl",
    "trim",
    "upper",
];

/// Functions that put their operands together.
const JOIN: [&str; 4] = ["cat", "print", "printf", "println"];

/// A stretch of a text: an action with its braces, or what stands between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'t> {
    /// The text.
    pub text: &'t str,
    /// Where it begins.
    pub start: usize,
    /// Whether it is an action.
    pub is_action: bool,
}

impl Piece<'_> {
    /// What an action opens, closes or divides, if it does.
    #[must_use]
    pub fn control(&self) -> Option<Control> {
        let inner = self.inner();
        match inner.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default() {
            "if" | "with" | "range" | "for" | "block" | "define" => Some(Control::Open),
            "else" | "elif" => Some(Control::Else),
            "end" | "endif" | "endfor" | "endwith" => Some(Control::End),
            _ => None,
        }
        .filter(|_| self.is_action)
    }

    /// An action without its braces.
    #[must_use]
    pub fn inner(&self) -> &str {
        let inner = self.text.get(2..self.text.len().saturating_sub(2)).unwrap_or_default();
        inner.trim_matches(['-', '+', '~', ' ', '\t', '\r', '\n'])
    }

    /// Whether it is a comment, which has no width: `Sec{{/* x */}}ret` is one word.
    #[must_use]
    pub fn is_comment(&self) -> bool {
        self.is_action && self.inner().starts_with("/*")
    }

    /// Whether an action gives nothing: it steers, is a comment, or sets a variable.
    #[must_use]
    pub fn is_mute(&self) -> bool {
        let inner = self.inner();
        let is_variable = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"$_, ".contains(&byte));
        let sets = inner.starts_with('$')
            && inner.split_once('=').is_some_and(|(before, _)| is_variable(before.strip_suffix(':').unwrap_or(before)));
        self.is_action && (self.text.starts_with("{%") || self.control().is_some() || inner.starts_with("/*") || sets)
    }
}

/// How an action steers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are the language's")]
pub enum Control {
    Open,
    Else,
    End,
}

/// Whether there is something in the text that begins as an action does.
#[must_use]
pub fn begins_in(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Whether a comment stands within a word, as in `Sec{{/* x */}}ret`.
#[must_use]
pub fn splits_a_word(text: &str) -> bool {
    let is_comment = |rest: &str| rest.trim_start_matches(['-', ' ', '\t', '\r', '\n']).starts_with("/*");
    text.match_indices("{{").any(|(at, open)| text[..at].ends_with(char::is_alphabetic) && is_comment(&text[at + open.len()..]))
}

/// Whether a scalar of a template may be rendered to `wanted`: as one of several, or put together.
#[must_use]
pub fn may_be(text: &str, wanted: &str) -> bool {
    let (pieces, _) = pieces(text);
    let mut whole = String::new();
    for piece in pieces {
        match piece.is_action {
            true if piece.is_comment() => {}
            true => {
                let literals = literals(piece.inner());
                if literals.contains(&wanted) {
                    return true;
                }
                whole.extend(literals.into_iter().filter(|_| !piece.is_mute()));
            }
            false if piece.text.trim() == wanted => return true,
            false => whole.push_str(piece.text),
        }
    }
    whole.trim() == wanted
}

/// Cuts a text at its actions, and says whether something begins as one and does not end.
#[must_use]
pub fn pieces(text: &str) -> (Vec<Piece<'_>>, bool) {
    let (mut pieces, mut done, mut is_open) = (Vec::new(), 0, false);
    let (mut from, mut open) = (0, Open::default());
    while let Some(at) = next(&text[from..]).map(|at| from + at) {
        let Some(length) = length(text, at, &mut open) else {
            is_open = true;
            if text[at..].starts_with("{{") {
                break;
            }
            from = at + 2;
            continue;
        };
        if done < at {
            pieces.push(Piece { text: &text[done..at], start: done, is_action: false });
        }
        let piece = Piece { text: &text[at..at + length], start: at, is_action: true };
        // An action that goes on below and has another one in it has not ended.
        let within = piece.text[2..].rfind("{{").filter(|_| piece.text.contains('\n') && !piece.inner().starts_with("/*"));
        if let Some(within) = within {
            is_open = true;
            done = at + 2 + within;
            pieces.push(Piece { text: &text[at..done], start: at, is_action: false });
        } else {
            done = at + length;
            pieces.push(piece);
        }
        from = done;
    }
    if done < text.len() {
        pieces.push(Piece { text: &text[done..], start: done, is_action: false });
    }
    (pieces, is_open)
}

fn next(text: &str) -> Option<usize> {
    let opens = |at: &usize| matches!(text.as_bytes().get(at + 1), Some(b'{' | b'%'));
    text.match_indices('{').map(|(at, _)| at).find(opens)
}

/// Up to where it is known that nothing closes what is open, so that nothing is looked through twice.
#[derive(Default)]
struct Open {
    double: usize,
    raw: usize,
    percent: usize,
}

/// Length of the action that begins at `start`, if it ends. A comment or a string in it may hold the closing mark; a string in double
/// quotes and `{% … %}` end on their line.
fn length(text: &str, start: usize, open: &mut Open) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = start + 2;
    if bytes[start + 1] == b'%' {
        while at >= open.percent && at < bytes.len() && bytes[at] != b'\n' {
            if bytes[at..].starts_with(b"%}") {
                return Some(at + 2 - start);
            }
            at += 1;
        }
        open.percent = open.percent.max(at);
        return None;
    }
    let inner = &text[at..];
    if inner.trim_start_matches(['-', ' ', '\t', '\r', '\n']).starts_with("/*") {
        let end = inner.find("*/")?;
        return inner[end..].find("}}").map(|at| 2 + end + at + 2);
    }
    while at < bytes.len() {
        let known = match bytes[at] {
            b'}' if bytes[at..].starts_with(b"}}") => return Some(at + 2 - start),
            b'\'' => {
                at += rune(&text[at..]);
                continue;
            }
            b'"' => &mut open.double,
            b'`' => &mut open.raw,
            _ => {
                at += 1;
                continue;
            }
        };
        // A quote that is not closed is none.
        at = if at < *known {
            at + 1
        } else {
            string(bytes, at).unwrap_or_else(|end| {
                *known = end;
                at + 1
            })
        };
    }
    None
}

/// Where the string that begins at `start` is behind, or else where it would have had to end.
fn string(bytes: &[u8], start: usize) -> Result<usize, usize> {
    let quote = bytes[start];
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            byte if byte == quote => return Ok(at + 1),
            b'\n' if quote == b'"' => return Err(at),
            b'\\' if quote == b'"' && bytes.get(at + 1) != Some(&b'\n') => at += 2,
            _ => at += 1,
        }
    }
    Err(bytes.len())
}

/// Length of the rune that `text` begins with, such as `'"'`; 1 if it is none.
fn rune(text: &str) -> usize {
    let mut rest = text[1..].chars();
    let digits = match rest.next() {
        Some('\\') => {
            rest.next();
            rest.as_str().bytes().take(8).take_while(u8::is_ascii_hexdigit).count()
        }
        _ => 0,
    };
    let behind = &rest.as_str()[digits..];
    if behind.starts_with('\'') { text.len() - behind.len() + 1 } else { 1 }
}

/// A function and what it is given, until a `|`, a parenthesis or the end.
#[derive(Default)]
struct Command<'t> {
    function: Option<&'t str>,
    literals: Vec<&'t str>,
    others: usize,
}

impl<'t> Command<'t> {
    /// The literals that become part of what it gives.
    fn values(self) -> Vec<&'t str> {
        let Self { function, literals, others } = self;
        match function {
            // The text itself, and what stands behind it: operands of an operator, or of none.
            None => literals.into_iter().take(1).collect(),
            Some(function) if HAND_ON.contains(&function) => literals,
            Some(function) if JOIN.contains(&function) && others == 0 => literals,
            // Beside other operands a short one is a separator.
            Some(function) if JOIN.contains(&function) => {
                literals.into_iter().filter(|literal| longest_word(literal) > super::placeholder::BESIDE_BRACES).collect()
            }
            Some(_) => Vec::new(),
        }
    }
}

/// Literals in an action that become a value or part of one.
#[must_use]
pub fn literals(inner: &str) -> Vec<&str> {
    let (mut found, mut around) = (Vec::new(), Vec::new());
    let mut command = Command::default();
    let mut at = 0;
    if inner.starts_with("/*") {
        return found;
    }
    while let Some(c) = inner[at..].chars().next() {
        let rest = &inner[at..];
        at += match c {
            '"' | '`' | '\'' => {
                let end = closing_quote(rest, |quote| quote != b'`').unwrap_or(rest.len());
                command.literals.push(&rest[1..end]);
                (end + 1).min(rest.len())
            }
            '(' => {
                around.push(std::mem::take(&mut command));
                // `default('x')`, as Jinja has it, is no operand in parentheses.
                if let Some(outer) = around.last().filter(|_| inner[..at].ends_with(|c: char| c.is_ascii_alphanumeric())) {
                    command.function = outer.function;
                }
                1
            }
            ')' => {
                found.extend(std::mem::take(&mut command).values());
                command = around.pop().unwrap_or_default();
                command.others += 1;
                1
            }
            '|' | '=' => {
                found.extend(std::mem::take(&mut command).values());
                1
            }
            c if c.is_alphanumeric() || matches!(c, '.' | '$' | '_') => {
                let word = rest.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '$' | '_'))).next().unwrap_or(rest);
                if command.function.is_none() && command.literals.is_empty() {
                    command.function = Some(word);
                } else {
                    command.others += 1;
                }
                word.len()
            }
            c => c.len_utf8(),
        };
    }
    found.extend(command.values());
    found.extend(around.into_iter().flat_map(Command::values));
    found
}

/// Where the string that `text` begins with has its closing quote; `escapes`: whether a backslash keeps this kind of quote from closing.
pub(super) fn closing_quote(text: &str, escapes: impl Fn(u8) -> bool) -> Option<usize> {
    let quote = text.as_bytes()[0];
    let (escapes, mut escaped) = (escapes(quote), false);
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == quote && !escaped;
        escaped = escapes && byte == b'\\' && !escaped;
        ends
    });
    end.map(|end| end + 1)
}

/// Length of the longest run of letters and digits.
#[must_use]
pub fn longest_word(text: &str) -> usize {
    text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::len).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_actions_end() {
        let cut = |text: &'static str| {
            let (pieces, is_open) = pieces(text);
            (pieces.into_iter().map(|piece| (piece.text, piece.is_action)).collect::<Vec<_>>(), is_open)
        };
        assert_eq!(cut("a"), (vec![("a", false)], false));
        assert_eq!(cut("a{{ b }}{% c %}d"), (vec![("a", false), ("{{ b }}", true), ("{% c %}", true), ("d", false)], false));
        assert_eq!(cut("{{ \"}}\" }}"), (vec![("{{ \"}}\" }}", true)], false));
        assert_eq!(cut("{{/* }} don't */}}a"), (vec![("{{/* }} don't */}}", true), ("a", false)], false));
        assert_eq!(cut("{{ \" }}a"), (vec![("{{ \" }}", true), ("a", false)], false), "a quote that is not closed");
        for open in ["{{", "{%}", "{{ a }", "{%", "{{/* }}", "{%\n%}"] {
            assert_eq!(cut(open), (vec![(open, false)], true));
        }
        assert_eq!(cut("{% a\n{{ b }}"), (vec![("{% a\n", false), ("{{ b }}", true)], true), "of one line");
        for rune in [r#"'"'"#, r"'`'", r"'\''", r"'\\'", r"'\x22'", r#"'a' '"'"#, "'é'"] {
            let action = format!("{{{{ $x := {rune} }}}}");
            let text = format!("{action}\na\n# \"`'}}}}");
            assert_eq!(pieces(&text).0[0].text, action);
        }
        assert_eq!(cut("{{ a\n {{ b }}"), (vec![("{{ a\n ", false), ("{{ b }}", true)], true));
    }

    #[test]
    fn which_literals_become_values() {
        for (action, values) in [
            (".Values.a", &[][..]),
            ("\"a\" | b64enc", &["a"]),
            ("b64enc \"a\" | quote", &["a"]),
            (".a | default \"b\"", &["b"]),
            (".a | default (\"b\")", &["b"]),
            ("coalesce .a \"b\" `c`", &["b", "c"]),
            ("print \"a\" \"b\"", &["a", "b"]),
            ("print .a \":\" .b", &[]),
            ("printf \"%s-0123456789abcdef\" .b", &["%s-0123456789abcdef"]),
            ("ternary \"a\" \"b\" (eq .c \"d\")", &["a", "b"]),
            ("if eq .a \"b\"", &[]),
            ("include \"a\" (dict \"b\" .c)", &[]),
            ("required \"a\" .b | b64enc", &[]),
            ("index .a \"b\" | default \"c\"", &["c"]),
            ("a | default('b')", &["b"]),
            ("lookup('env', 'A')", &[]),
            ("$a := \"b\"", &["b"]),
            ("/* \"a\" */", &[]),
            ("\"", &[""]),
        ] {
            assert_eq!(literals(action), values, "{action}");
        }
    }
}
