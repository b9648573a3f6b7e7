//! The forms in which a value shows up in output: as it is, line by line, in base64, escaped for URL, JSON and HTML, quoted for a shell.

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::SHORTEST;
use super::index::varies;

/// One form.
pub(super) type Form = Zeroizing<Vec<u8>>;

/// Whether an encoder escapes a character.
type Escaped = fn(char) -> bool;

/// The length of a line of `base64`, and of `openssl base64`.
const WRAPPED_AT: [usize; 2] = [76, 64];

/// The last line of wrapped base64 is no form if it is shorter: other text would have the same.
const SHORTEST_REST: usize = 8;

/// A line of a value is not looked for in base64 if it is shorter.
const SHORTEST_ENCODED_LINE: usize = 8;

/// Punctuation that encoders leave as it is, beside letters, digits and `-._`, and whether a space becomes `+`.
const URL: [(&[u8], bool); 10] = [
    // RFC 3986; `encodeURIComponent`; Python's `quote`; `encodeURI`.
    (b"~", false),
    (b"~!*'()", false),
    (b"~/", false),
    (b"~!*'();/?:@&=+$,#", false),
    // The user information of a URL: `u.password =` in JavaScript, which leaves `%` too; Go.
    (b"~!$%&'()*+,", false),
    (b"~$&+,;=", false),
    // Forms of HTML and Java; Python's `quote_plus` and Go; PHP; .NET.
    (b"*", true),
    (b"~", true),
    (b"", true),
    (b"!*()", true),
];

/// What encoders escape in a JSON string beside quotes, backslashes and control characters, and whether `/` too: nothing (JavaScript); Go; all but ASCII
/// (Ruby on request); PHP; jq; Python.
const JSON: [(Escaped, bool); 6] = [
    (|_| false, false),
    (|c| "<>&\u{2028}\u{2029}".contains(c), false),
    (|c| !c.is_ascii(), false),
    (|c| !c.is_ascii(), true),
    (|c| c == DELETE, false),
    (|c| !c.is_ascii() || c == DELETE, false),
];

/// A control character that JSON does not count as one.
const DELETE: char = '\u{7f}';

/// How double and single quotes are written beside `&amp;`, `&lt;` and `&gt;`: in text; Python; Go and markupsafe; PHP; JavaScript; XML.
const HTML: [(&str, &str); 6] =
    [("\"", "'"), ("&quot;", "&#x27;"), ("&#34;", "&#39;"), ("&quot;", "&#039;"), ("&quot;", "&#39;"), ("&quot;", "&apos;")];

/// What bash's `printf %q` puts a backslash before wherever it stands.
const SHELL_SPECIAL: &[u8] = b" \t\"'\\|&;()<>!{}*[]?^$`,";

/// All forms of a value that are long enough to be told from other text. White space around it and around its lines does not count: output is
/// indented and cut in many ways, and a prompt often ends in a space.
pub(super) fn forms(value: &[u8]) -> Vec<Form> {
    let whole = value.trim_ascii();
    let mut all = Vec::new();
    if whole.len() < SHORTEST {
        return all;
    }
    for text in printed(value) {
        base64_forms(&text, &mut all);
    }
    aligned(whole, &mut all);
    written(whole, &mut all);
    all.push(words(whole));
    for line in lines(whole).filter(|line| line.len() < whole.len()) {
        written(line, &mut all);
        if line.len() >= SHORTEST_ENCODED_LINE {
            base64_forms(line, &mut all);
            base64_forms(&with_line_end(line), &mut all);
            aligned(line, &mut all);
        }
    }
    all.retain(|form| form.len() >= SHORTEST);
    all
}

/// What programs print of a value for another to encode: as it is, as `$(…)` has it, without white space around it, and each with the end of a line that
/// `echo` adds.
fn printed(value: &[u8]) -> Vec<Form> {
    let ends = value.iter().rev().take_while(|byte| **byte == b'\n').count();
    let mut all: Vec<Form> = Vec::new();
    for text in [value, &value[..value.len() - ends], value.trim_ascii()] {
        for text in [Zeroizing::new(text.to_vec()), with_line_end(text)] {
            if !all.contains(&text) {
                all.push(text);
            }
        }
    }
    all
}

fn with_line_end(text: &[u8]) -> Form {
    Zeroizing::new([text, b"\n"].concat())
}

/// The lines of a value, without white space around them; empty ones are left out.
pub(super) fn lines(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

/// A text as it is, and escaped in every way that changes it.
fn written(text: &[u8], all: &mut Vec<Form>) {
    let mut push = |form: Form| {
        if *form != text {
            all.push(form);
        }
    };
    for (kept, plus) in URL {
        push(url(text, kept, plus, b"0123456789ABCDEF"));
        push(url(text, kept, plus, b"0123456789abcdef"));
    }
    if let Ok(text) = str::from_utf8(text) {
        for (escaped, slash) in JSON {
            push(json(text, escaped, slash));
        }
        push(json_dotnet(text));
    }
    for (double, single) in HTML {
        push(html(text, double, single));
    }
    for form in shell(text) {
        push(form);
    }
    all.push(Zeroizing::new(text.to_vec()));
}

/// Base64 of exactly this, with and without padding, in both alphabets, in one line and wrapped.
fn base64_forms(bytes: &[u8], all: &mut Vec<Form>) {
    for encoded in both_alphabets(bytes) {
        let telling = |line: &&[u8]| line.len() >= SHORTEST_REST && varies(line);
        for length in WRAPPED_AT.into_iter().filter(|length| encoded.len() > *length) {
            all.extend(encoded.chunks(length).filter(telling).map(|line| Zeroizing::new(line.to_vec())));
        }
        let unpadded = encoded.iter().position(|byte| *byte == b'=').unwrap_or(encoded.len());
        all.push(Zeroizing::new(encoded[..unpadded].to_vec()));
        all.push(encoded);
    }
}

/// Base64 of a text that holds this somewhere: for each of the three alignments, the characters that do not depend on its neighbours.
fn aligned(bytes: &[u8], all: &mut Vec<Form>) {
    for before in 0..3 {
        let mut padded = Zeroizing::new(Vec::with_capacity(before + bytes.len()));
        padded.resize(before, 0);
        padded.extend_from_slice(bytes);
        let (start, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        all.extend(both_alphabets(&padded).map(|encoded| Zeroizing::new(encoded[start..end.max(start)].to_vec())));
    }
}

/// Base64 with `+/` and, if that is another text, with `-_`.
fn both_alphabets(bytes: &[u8]) -> impl Iterator<Item = Form> {
    let [standard, url] =
        [STANDARD, URL_SAFE].map(|alphabet| encode(&GeneralPurpose::new(&alphabet, GeneralPurposeConfig::new()), bytes));
    let url = Some(url).filter(|url| *url != standard);
    std::iter::once(standard).chain(url)
}

fn encode(engine: &GeneralPurpose, bytes: &[u8]) -> Form {
    let mut encoded = Zeroizing::new(vec![0; bytes.len().div_ceil(3) * 4]);
    let length = engine.encode_slice(bytes, &mut encoded).expect("four characters for each three bytes");
    encoded.truncate(length);
    encoded
}

/// A buffer that does not grow, since growing would leave what it held behind: `most` is the longest escape of one byte.
fn buffer(text: &[u8], most: usize) -> Form {
    Zeroizing::new(Vec::with_capacity(text.len() * most))
}

/// Percent-encoding; `plus` writes a space as forms do.
fn url(text: &[u8], kept: &[u8], plus: bool, digits: &[u8; 16]) -> Form {
    let mut form = buffer(text, 3);
    for byte in text {
        match byte {
            b' ' if plus => form.push(b'+'),
            b'-' | b'.' | b'_' => form.push(*byte),
            byte if byte.is_ascii_alphanumeric() || kept.contains(byte) => form.push(*byte),
            byte => form.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]),
        }
    }
    form
}

/// The inside of a JSON string: as short as may be, but for what else is to be escaped.
pub(super) fn json(text: &str, escaped: Escaped, slash: bool) -> Form {
    let mut form = buffer(text.as_bytes(), 6);
    let unit = |form: &mut Form, unit: u16| push_unit(form, unit, b"0123456789abcdef");
    for c in text.chars() {
        match c {
            '"' | '\\' => form.extend([b'\\', u8::try_from(c).expect("ASCII")]),
            '/' if slash => form.extend(b"\\/"),
            '\n' => form.extend(b"\\n"),
            '\r' => form.extend(b"\\r"),
            '\t' => form.extend(b"\\t"),
            '\u{8}' => form.extend(b"\\b"),
            '\u{c}' => form.extend(b"\\f"),
            c if c < ' ' || escaped(c) => {
                for code in c.encode_utf16(&mut [0; 2]) {
                    unit(&mut form, *code);
                }
            }
            c => form.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    form
}

/// The inside of a JSON string of .NET's `System.Text.Json`: nothing but ASCII, what has a meaning in HTML escaped too, digits in upper case.
fn json_dotnet(text: &str) -> Form {
    let mut form = buffer(text.as_bytes(), 6);
    for c in text.chars() {
        match c {
            '\\' => form.extend(b"\\\\"),
            '\n' => form.extend(b"\\n"),
            '\r' => form.extend(b"\\r"),
            '\t' => form.extend(b"\\t"),
            '\u{8}' => form.extend(b"\\b"),
            '\u{c}' => form.extend(b"\\f"),
            ' '..='~' if !"\"&'+<>`".contains(c) => form.push(u8::try_from(c).expect("ASCII")),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| push_unit(&mut form, *unit, b"0123456789ABCDEF")),
        }
    }
    form
}

fn push_unit(form: &mut Form, unit: u16, digits: &[u8; 16]) {
    let digit = |shift: u16| digits[usize::from(unit >> shift & 15)];
    form.extend([b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Text in HTML or XML.
fn html(text: &[u8], double: &str, single: &str) -> Form {
    let mut form = buffer(text, 6);
    for byte in text {
        match byte {
            b'&' => form.extend(b"&amp;"),
            b'<' => form.extend(b"&lt;"),
            b'>' => form.extend(b"&gt;"),
            b'"' => form.extend(double.as_bytes()),
            b'\'' => form.extend(single.as_bytes()),
            byte => form.push(*byte),
        }
    }
    form
}

/// What `echo $VALUE` makes of it: words, with one space between them.
fn words(text: &[u8]) -> Form {
    let mut form = buffer(text, 1);
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
        if !form.is_empty() {
            form.push(b' ');
        }
        form.extend(word);
    }
    form
}

/// The inside of what shells and their helpers quote: in single quotes as bash and as Python do it, in double quotes, with backslashes, and
/// bash's `$'…'`, with bytes beyond ASCII as they are and as numbers (locale C).
fn shell(text: &[u8]) -> [Form; 8] {
    let escaped = |most, escape: fn(u8, &mut Form)| {
        let mut form = buffer(text, most);
        for byte in text {
            escape(*byte, &mut form);
        }
        form
    };
    [
        escaped(4, |byte, form| if byte == b'\'' { form.extend(b"'\\''") } else { form.push(byte) }),
        escaped(5, |byte, form| if byte == b'\'' { form.extend(b"'\"'\"'") } else { form.push(byte) }),
        escaped(2, |byte, form| with_backslash(byte, b"\"\\$`", form)),
        escaped(2, |byte, form| with_backslash(byte, if b"#~".contains(&byte) { b"#~" } else { SHELL_SPECIAL }, form)),
        printf_q(text, true),
        printf_q(text, false),
        escaped(4, |byte, form| ansi_c(byte, false, form)),
        escaped(4, |byte, form| ansi_c(byte, true, form)),
    ]
}

/// bash's `printf %q`. `#` has a meaning in the first place only, `~` there and after `:` and `=`; the text may stand after other text.
fn printf_q(text: &[u8], first: bool) -> Form {
    let mut form = buffer(text, 2);
    for (at, byte) in text.iter().enumerate() {
        let special = match (byte, at.checked_sub(1).map(|before| text[before])) {
            (b'#' | b'~', None) => first,
            (b'~', Some(before)) => b":=".contains(&before),
            _ => SHELL_SPECIAL.contains(byte),
        };
        with_backslash(*byte, if special { std::slice::from_ref(byte) } else { b"" }, &mut form);
    }
    form
}

/// One byte in bash's `$'…'`.
fn ansi_c(byte: u8, ascii: bool, form: &mut Form) {
    match byte {
        b'\n' => form.extend(b"\\n"),
        b'\r' => form.extend(b"\\r"),
        b'\t' => form.extend(b"\\t"),
        b'\x1b' => form.extend(b"\\E"),
        byte if byte < b' ' || byte == 0x7f || (ascii && !byte.is_ascii()) => {
            form.extend([b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]);
        }
        byte => with_backslash(byte, b"'\\", form),
    }
}

fn with_backslash(byte: u8, special: &[u8], form: &mut Form) {
    if special.contains(&byte) {
        form.push(b'\\');
    }
    form.push(byte);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(value: &str, form: &str) {
        let all = forms(value.as_bytes());
        assert!(all.iter().any(|found| found.as_slice() == form.as_bytes()), "{form:?} is no form of {value:?}");
    }

    /// What encoders make of it, by their own account: coreutils, OpenSSL, Python, Go, PHP, JavaScript, bash.
    #[test]
    fn forms_that_tools_write() {
        let value = "pa ss'w\"ö/<$\\~rd\n";
        has(value, value.trim_end());
        has(value, "cGEgc3MndyLDti88JFx+cmQK");
        has(value, "cGEgc3MndyLDti88JFx-cmQK");
        has(value, "cGEgc3MndyLDti88JFx+cmQ=");
        has(value, "cGEgc3MndyLDti88JFx+cmQ");
        has(value, "pa%20ss%27w%22%C3%B6%2F%3C%24%5C~rd");
        has(value, "pa%20ss'w%22%C3%B6%2F%3C%24%5C~rd");
        has(value, "pa%20ss%27w%22%C3%B6/%3C%24%5C~rd");
        has(value, "pa%20ss%27w%22%c3%b6%2f%3c%24%5c~rd");
        has(value, "pa+ss%27w%22%C3%B6%2F%3C%24%5C%7Erd");
        has(value, "pa+ss%27w%22%C3%B6%2F%3C%24%5C~rd");
        has("a b*c~d", "a+b*c%7Ed");
        has("a b*c~d", "a+b%2Ac~d");
        has("a b*c~d", "a+b%2Ac%7Ed");
        has("a b*c~(d)", "a+b*c%7e(d)");
        has(value, "pa ss'w\\\"ö/<$\\\\~rd");
        has(value, "pa ss'w\\\"ö/\\u003c$\\\\~rd");
        has(value, "pa ss'w\\\"\\u00f6/<$\\\\~rd");
        has(value, "pa ss'w\\\"\\u00f6\\/<$\\\\~rd");
        has(value, "pa ss'\\''w\"ö/<$\\~rd");
        has(value, "pa ss'\"'\"'w\"ö/<$\\~rd");
        has(value, "pa ss'w\\\"ö/<\\$\\\\~rd");
        has(value, "pa\\ ss\\'w\\\"ö/\\<\\$\\\\\\~rd");
        has(value, "pa ss\\u0027w\\u0022\\u00F6/\\u003C$\\\\~rd");
        has("a+b&`😀\t\u{7f}", "a\\u002Bb\\u0026\\u0060\\uD83D\\uDE00\\t\\u007F");
        has("a&<>\"'", "a&amp;&lt;&gt;\"'");
        has("a&<>\"'", "a&amp;&lt;&gt;&quot;&#x27;");
        has("a&<>\"'", "a&amp;&lt;&gt;&#34;&#39;");
        has("a&<>\"'", "a&amp;&lt;&gt;&quot;&#039;");
        has("a&<>\"'", "a&amp;&lt;&gt;&quot;&#39;");
        has("a&<>\"'", "a&amp;&lt;&gt;&quot;&apos;");
        has(" two  words\tand\n more ", "two words and more");
        has("two\nlines\u{1}\u{1b}'", "two\\nlines\\001\\E\\'");
        has("two\nlines", "two\\nlines");
        has("  four\r\n\tlines\nand\nmore\n", "lines");
        has("😀!!", "\\ud83d\\ude00!!");
        // The user information of a URL: JavaScript's `u.password =`; Go's `url.UserPassword`.
        has("a b!\"#$%&'()*+,/:;=@~", "a%20b!%22%23$%&'()*+,%2F%3A%3B%3D%40~");
        has("a b!\"#$%&'()*+,/:;=@~", "a%20b%21%22%23$%25&%27%28%29%2A+,%2F%3A;=%40~");
        // jq, and Python.
        has("a<ö\u{7f}", "a<ö\\u007f");
        has("a<ö\u{7f}", "a<\\u00f6\\u007f");
        // bash, where the locale is C.
        has("straße\n'", "straße\\n\\'");
        has("straße\n'", "stra\\303\\237e\\n\\'");
        // `printf %q` alone, and after other text.
        has("#a#~b:~c=~d e", "\\#a#~b:\\~c=\\~d\\ e");
        has("#a#~b:~c=~d e", "#a#~b:\\~c=\\~d\\ e");
        has("~a~ e", "\\~a~\\ e");
        has("~a~ e", "~a~\\ e");
    }

    fn base64(bytes: &[u8]) -> Form {
        encode(&GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new()), bytes)
    }

    fn has_base64(value: &str, encoded: &[u8]) {
        has(value, str::from_utf8(&base64(encoded)).unwrap());
    }

    /// `echo "$VALUE"` adds the end of a line to what is there, and `$(…)` takes those that are there away.
    #[test]
    fn base64_of_what_echo_prints() {
        has_base64("a token", b"a token\n");
        has_base64("a token\n", b"a token");
        has_base64("a token\n", b"a token\n\n");
        has_base64(" a token \n\n", b" a token \n");
        // The last line of it, where it is wrapped.
        let value = "t".repeat(70);
        let encoded = base64(format!("{value}\n").as_bytes());
        has(&value, str::from_utf8(&encoded[76..]).unwrap());
    }

    /// As of `head -1 FILE | base64`, and inside of other text.
    #[test]
    fn base64_of_one_line() {
        let long = "the second, which base64 puts into two lines of its own, as it is so long";
        let value = format!("the first line\n  {long}\nshort\n");
        has_base64(&value, b"the first line");
        has_base64(&value, b"the first line\n");
        let encoded = base64(format!("{long}\n").as_bytes());
        encoded.chunks(76).for_each(|line| has(&value, str::from_utf8(line).unwrap()));
        let all = forms(value.as_bytes());
        let text = base64(b"> the first line: 3");
        assert!(all.iter().any(|form| form.len() > 16 && text.windows(form.len()).any(|part| part == form.as_slice())));
        let short = base64(b"short");
        assert!(all.iter().all(|form| *form != short), "too common");
    }

    /// Where text without a secret would have the same.
    #[test]
    fn no_form_is_a_short_rest_or_a_row_of_one_character() {
        let value = [&b"key"[..], &[0; 300], b"end"].concat();
        let all = forms(&value);
        assert!(all.iter().all(|form| form.len() > 7 && form.iter().any(|byte| *byte != form[0])));
        assert!(forms(&[b'x'; 58]).iter().all(|form| form.len() > 7));
    }

    #[test]
    fn base64_is_found_inside_of_a_longer_text() {
        let all = forms(b"s3cret-v");
        for before in 0..3 {
            let text = [&b"abc"[..before], b"s3cret-v", b"z"].concat();
            let text = base64(&text);
            assert!(all.iter().any(|form| text.windows(form.len()).any(|part| part == form.as_slice())), "{before}");
        }
    }

    #[test]
    fn wrapped_base64_is_known_line_by_line() {
        let value = "x".repeat(200);
        for (length, last) in [(76, 40), (64, 12)] {
            let encoded = base64(value.as_bytes());
            let lines: Vec<&[u8]> = encoded.chunks(length).collect();
            assert_eq!(lines.last().unwrap().len(), last, "268 characters");
            let all = forms(value.as_bytes());
            assert!(lines.iter().all(|line| all.iter().any(|form| form.as_slice() == *line)));
        }
    }

    #[test]
    fn what_is_short_has_no_form() {
        assert!(forms(b"abc").is_empty() && forms(b" a \n b").iter().all(|form| form.len() >= SHORTEST));
    }
}
