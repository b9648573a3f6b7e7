//! Writing JSON that a terminal or the log of a pipeline may show.

use std::fmt::Write as _;

use serde::Serialize;

use crate::error::{Error, Kind};

/// Pretty JSON with a line feed at its end.
pub fn to_json(value: &impl Serialize) -> Result<String, Error> {
    // Azure DevOps and GitHub Actions act on ##vso[ and ##[ wherever they stand in a line. Outside of strings JSON has no #.
    let escape = |json: String| escape(&json).replace("##", "#\\u0023") + "\n";
    serde_json::to_string_pretty(value).map(escape).map_err(|_| Error::new(Kind::Bug, "cannot write JSON"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_told_nothing_and_a_reader_all() {
        let text = "##vso[a]###[b]#\\##[c]\u{9b}\n";
        let json = to_json(&text).unwrap();
        assert!(!json.contains("##") && !json.contains('\u{9b}'), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
