//! Writing JSON that a terminal may show.

use std::fmt::Write as _;

use serde::Serialize;

use crate::error::{Error, Kind};

/// Pretty JSON with a line feed at its end.
pub fn to_json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string_pretty(value).map(|json| escape(&json) + "\n").map_err(|_| Error::new(Kind::Bug, "cannot write JSON"))
}

/// JSON without the control characters that it allows in strings: terminals act on some of them.
fn escape(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut output, c| {
        let _ = match c {
            '\u{7f}'..='\u{9f}' => write!(output, "\\u{:04x}", u32::from(c)),
            _ => output.write_char(c),
        };
        output
    })
}
