//! Scalars, and whether kubectl reads one as text.
//!
//! kubectl resolves plain scalars by YAML 1.1 as Go's `yaml.v2` has it, most other tools by YAML 1.2. What either takes for
//! a null, boolean or number is not text here, so a value means the same everywhere or is refused.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::node::Tag;

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarStyle {
    /// Without quotes: may be a number, a boolean or null.
    Plain,
    /// In single or double quotes.
    Quoted,
    /// A block scalar, `|` or `>`.
    Block,
}

/// A scalar. Its text is wiped when dropped and never shown.
#[derive(PartialEq, Eq)]
pub struct Scalar {
    pub(super) value: Zeroizing<String>,
    pub(super) style: ScalarStyle,
    pub(super) tag: Option<Tag>,
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scalar({:?}, {})", self.style, self.read().describe())
    }
}

/// What a scalar stands for.
pub enum ScalarValue<'a> {
    /// Text.
    Text(&'a str),
    /// `!!binary`: the decoded bytes. kubectl reads them as a string, so under `data` they are base64 once more.
    Binary(Zeroizing<Vec<u8>>),
    /// `!!binary` whose text is not base64.
    InvalidBinary,
    /// Null; kubectl makes it the empty string where it wants text.
    Null,
    /// A boolean; `yes` and `on` are ones to kubectl.
    Boolean,
    /// An integer.
    Integer,
    /// A floating point number.
    Float,
    /// A tag that YAML does not define, or one that is not for scalars.
    Custom,
}

impl ScalarValue<'_> {
    /// In words: `a number`.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Binary(_) => "binary data",
            Self::InvalidBinary => "invalid binary data",
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Integer | Self::Float => "a number",
            Self::Custom => "a value with a tag",
        }
    }
}

impl fmt::Debug for ScalarValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScalarValue({})", self.describe())
    }
}

impl Scalar {
    /// The text as written, after escapes and folding, whatever it resolves to.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.value
    }

    /// How it is written.
    #[must_use]
    pub fn style(&self) -> ScalarStyle {
        self.style
    }

    /// What it stands for.
    #[must_use]
    pub fn read(&self) -> ScalarValue<'_> {
        match &self.tag {
            None if self.style == ScalarStyle::Plain => resolve(&self.value),
            None | Some(Tag::NonSpecific | Tag::Str | Tag::Timestamp) => ScalarValue::Text(&self.value),
            Some(Tag::Null) => ScalarValue::Null,
            Some(Tag::Bool) => ScalarValue::Boolean,
            Some(Tag::Int) => ScalarValue::Integer,
            Some(Tag::Float) => ScalarValue::Float,
            Some(Tag::Binary) => self.decode_binary().map_or(ScalarValue::InvalidBinary, ScalarValue::Binary),
            Some(Tag::Map | Tag::Seq | Tag::Other(_)) => ScalarValue::Custom,
        }
    }

    /// The text, if kubectl and YAML 1.2 both read it as text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self.read() {
            ScalarValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, if it is `true` or `false` to kubectl and to YAML 1.2.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match (&self.tag, self.style, self.value.as_str()) {
            (None, ScalarStyle::Plain, "true" | "True" | "TRUE") => Some(true),
            (None, ScalarStyle::Plain, "false" | "False" | "FALSE") => Some(false),
            _ => None,
        }
    }

    fn decode_binary(&self) -> Option<Zeroizing<Vec<u8>>> {
        // As Go's decoder: line breaks do not count, nothing else is forgiven.
        let mut packed = Zeroizing::new(String::with_capacity(self.value.len()));
        packed.extend(self.value.chars().filter(|c| !matches!(c, '\r' | '\n')));
        STANDARD.decode(packed.as_bytes()).ok().map(Zeroizing::new)
    }
}

fn resolve(text: &str) -> ScalarValue<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarValue::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" | "n" | "N" | "no" | "No" | "NO"
        | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return ScalarValue::Boolean,
        ".nan" | ".NaN" | ".NAN" => return ScalarValue::Float,
        _ => {}
    }
    // A number begins so in every version, and is short except when it is a nuisance.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return ScalarValue::Text(text);
    }
    if matches!(unsigned(text), ".inf" | ".Inf" | ".INF") {
        return ScalarValue::Float;
    }
    // YAML 1.1 lets underscores group digits.
    let plain = Zeroizing::new(text.replace('_', ""));
    if is_integer(&plain) {
        ScalarValue::Integer
    } else if is_float(&plain) {
        ScalarValue::Float
    } else {
        ScalarValue::Text(text)
    }
}

/// Whether the name of an item needs no quotes as a key: text to YAML 1.1 and 1.2, also to parsers that read dates and times.
#[must_use]
pub fn is_plain_key(name: &str) -> bool {
    let first = name.strip_prefix('.').unwrap_or(name).chars().next();
    first.is_some_and(|first| first.is_ascii_alphabetic() || first == '_') && matches!(resolve(name), ScalarValue::Text(_))
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

fn all(text: &str, digit: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(digit)
}

fn is_integer(text: &str) -> bool {
    let digits = unsigned(text);
    let mut start = digits.chars();
    match (start.next(), start.next().map(|c| c.to_ascii_lowercase())) {
        (Some('0'), Some('x')) => all(start.as_str(), |c| c.is_ascii_hexdigit()),
        (Some('0'), Some('o')) => all(start.as_str(), |c| matches!(c, '0'..='7')),
        // Go reads a second sign after 0b as well.
        (Some('0'), Some('b')) => all(unsigned(start.as_str()), |c| matches!(c, '0' | '1')),
        _ => all(digits, |c| c.is_ascii_digit()),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, the same in Go and in YAML 1.2's core schema.
fn is_float(text: &str) -> bool {
    let text = unsigned(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => all(fraction, |c| c.is_ascii_digit()),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => all(mantissa, |c| c.is_ascii_digit()),
    };
    mantissa && exponent.is_none_or(|exponent| all(unsigned(exponent), |c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(value: &str, style: ScalarStyle, tag: Option<Tag>) -> Scalar {
        Scalar { value: Zeroizing::new(value.to_owned()), style, tag }
    }

    fn plain(value: &str) -> &'static str {
        scalar(value, ScalarStyle::Plain, None).read().describe()
    }

    #[test]
    fn plain_scalars_resolve_as_kubectl_and_yaml_1_2_do() {
        for word in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(plain(word), "null", "{word}");
        }
        for word in ["y", "N", "yes", "No", "on", "OFF", "true", "False"] {
            assert_eq!(plain(word), "a boolean", "{word}");
        }
        for word in "0 123 +1 -1 0123 08 0x1F 0X1f -0x1 0o17 0O7 0b101 -0b1 0b-1 1_000 +_1 18446744073709551616 1.0 1. .5 \
             -.5 1e3 1E+3 1.5e-3 ._5 .inf -.Inf +.INF .nan .NaN 0x_1"
            .split(' ')
        {
            assert_eq!(plain(word), "a number", "{word}");
        }
        for word in "a yEs nUll nil _1 0x 0xg 0o8 0b2 1e e3 . - + ..5 1.2.3 1,000 12:30 190:20:30 2026-11-23 \
             2001-12-14t21:59:43.10-05:00 << = 0b ++.inf 1e3.5 .e3 +-1 hunter2 0x1.8p1 infinity NaN ١٢"
            .split(' ')
        {
            assert_eq!(plain(word), "text", "{word}");
        }
    }

    #[test]
    fn item_names_in_quotes_only_where_a_parser_would_err() {
        for name in "a db tls.crt .dockerconfigjson _x A1 yes.pem e3 tls-key".split(' ') {
            assert!(is_plain_key(name), "{name}");
        }
        for name in
            "y N on Off yes null Null true FALSE 1.0 0123 0x1F 1e3 .5 ._5 .inf .nan 2026-11-23 1_000 - -1 -a --- 1password"
                .split(' ')
        {
            assert!(!is_plain_key(name), "{name}");
        }
    }

    #[test]
    fn quotes_and_tags_decide() {
        let quoted = |value, tag| scalar(value, ScalarStyle::Quoted, tag);
        assert_eq!(quoted("123", None).as_str(), Some("123"));
        assert_eq!(scalar("yes", ScalarStyle::Block, None).as_str(), Some("yes"));
        assert_eq!(scalar("123", ScalarStyle::Plain, Some(Tag::Str)).as_str(), Some("123"));
        assert_eq!(scalar("123", ScalarStyle::Plain, Some(Tag::NonSpecific)).as_str(), Some("123"));
        assert_eq!(quoted("123", Some(Tag::Int)).as_str(), None);
        assert_eq!(quoted("", Some(Tag::Null)).read().describe(), "null");
        assert_eq!(quoted("x", Some(Tag::Other("!x".into()))).as_str(), None);
        assert_eq!(scalar("True", ScalarStyle::Plain, None).as_bool(), Some(true));
        assert_eq!(scalar("yes", ScalarStyle::Plain, None).as_bool(), None);
        assert_eq!(quoted("true", None).as_bool(), None);
    }

    #[test]
    fn binary_is_decoded_as_go_does() {
        let read = |value: &str| match scalar(value, ScalarStyle::Block, Some(Tag::Binary)).read() {
            ScalarValue::Binary(bytes) => Some(bytes.to_vec()),
            _ => None,
        };
        assert_eq!(read("AP8=").as_deref(), Some(&[0, 255][..]));
        assert_eq!(read("AP\r\n8=\n").as_deref(), Some(&[0, 255][..]));
        assert_eq!(read("AP 8="), None);
        assert_eq!(read("AP8"), None);
    }

    #[test]
    fn debug_shows_no_text() {
        let shown = format!("{:?} {:?}", scalar("hunter2", ScalarStyle::Plain, None), ScalarValue::Text("hunter2"));
        assert_eq!(shown, "Scalar(Plain, text) ScalarValue(text)");
    }
}
