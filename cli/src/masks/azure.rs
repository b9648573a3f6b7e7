//! Azure DevOps: `task.setsecret` and `task.setvariable` on standard output.
//!
//! <https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands>; escaping as in the `taskcommand.ts` of azure-pipelines-task-lib. An
//! agent refuses a secret of several lines, masks no encoded form by itself, and maps no secret variable into the environment.

use zeroize::Zeroizing;

use super::{buffer, escape, texts};

const DATA: &[(u8, &str)] = &[(b'%', "%AZP25"), (b'\r', "%0D"), (b'\n', "%0A")];

/// The commands that mask a value, to be printed before it is used anywhere.
#[must_use]
pub fn mask(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let texts = texts(value, false);
    let mut output = buffer(&texts);
    for text in &texts {
        output.extend_from_slice(b"##vso[task.setsecret]");
        escape(text, DATA, &mut output);
        output.push(b'\n');
    }
    output
}

/// The command that sets a secret variable for later steps; none if the value is no text of one line.
#[must_use]
pub fn variable(name: &str, value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = str::from_utf8(value).ok().filter(|text| !text.contains(['\r', '\n', '\0']))?;
    Some(set_variable(name, ";issecret=true", text))
}

/// The command that sets a variable to the path of a file.
#[must_use]
pub fn path_variable(name: &str, path: &str) -> Zeroizing<Vec<u8>> {
    set_variable(name, "", path)
}

fn set_variable(name: &str, more: &str, text: &str) -> Zeroizing<Vec<u8>> {
    let mut output = Zeroizing::new(Vec::with_capacity(text.len() * 6 + name.len() + 64));
    output.extend_from_slice(format!("##vso[task.setvariable variable={name}{more}]").as_bytes());
    escape(text.as_bytes(), DATA, &mut output);
    output.push(b'\n');
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_byte_for_byte() {
        let secret = |texts: &[&str]| texts.iter().map(|text| format!("##vso[task.setsecret]{text}\n")).collect::<String>();
        for (value, texts) in [
            (&b"password"[..], &["password", "cGFzc3dvcmQ="][..]),
            (b"100%3B%", &["100%AZP253B%AZP25", "MTAwJTNCJQ=="]),
            (b"a;b]c,d:e", &["a;b]c,d:e", "YTtiXWMsZDpl"]),
            (b"'quo\"ted'", &["'quo\"ted'", "'quo\\\"ted'", "J3F1byJ0ZWQn"]),
            ("grüße 😀".as_bytes(), &["grüße 😀", "Z3LDvMOfZSDwn5iA"]),
            (b"1", &[]),
            (b"", &[]),
            (b"first line\r\nsecond\n", &["first line", "second", "first line\\r\\nsecond\\n", "Zmlyc3QgbGluZQ0Kc2Vjb25kCg=="]),
            (
                b"##vso[task.complete result=Failed]",
                &["##vso[task.complete result=Failed]", "IyN2c29bdGFzay5jb21wbGV0ZSByZXN1bHQ9RmFpbGVkXQ=="],
            ),
        ] {
            assert_eq!(str::from_utf8(&mask(value)).unwrap(), secret(texts), "{value:?}");
        }
    }

    #[test]
    fn a_mask_of_1_mib() {
        let value = vec![b'%'; 1 << 20];
        let commands = mask(&value);
        assert_eq!(commands.iter().position(|byte| *byte == b'\n').unwrap(), "##vso[task.setsecret]".len() + (6 << 20));
    }

    #[test]
    fn variables_byte_for_byte() {
        for (value, text) in [("password", "password"), ("5%;]\"", "5%AZP25;]\""), ("grüße", "grüße"), ("", "")] {
            let wanted = format!("##vso[task.setvariable variable=A;issecret=true]{text}\n");
            assert_eq!(variable("A", value.as_bytes()).unwrap().as_slice(), wanted.as_bytes());
        }
        for no_line in [&b"a\nb"[..], b"a\r", b"\xff", b"a\0"] {
            assert!(variable("A", no_line).is_none());
        }
        assert_eq!(path_variable("A_FILE", "/tmp/x").as_slice(), b"##vso[task.setvariable variable=A_FILE]/tmp/x\n");
    }
}
