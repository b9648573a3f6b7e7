//! Recipients files and identity files. Either may be given in the place of the other, so no error may repeat a key.
#![no_main]

use bulla_shared::age::{Identity, parse_identity_file};
use bulla_shared::recipients::RecipientsFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<RecipientsFile>() {
        Ok(file) => {
            assert!(!file.recipients.is_empty());
            for recipient in &file.recipients {
                assert_eq!(recipient.to_string().parse().as_ref(), Ok(recipient));
                assert!(text.contains(&recipient.to_string()), "a recipient has one text");
            }
        }
        Err(error) => quiet(&format!("{error} {error:?}")),
    }
    match parse_identity_file(text) {
        Ok(identities) => {
            for identity in identities {
                quiet(&format!("{identity:?}"));
                assert!(text.contains(identity.to_text().as_str()), "an identity has one text");
                let again: Identity = identity.to_text().parse().expect("its own text is an identity");
                assert_eq!(again.recipient(), identity.recipient());
            }
        }
        Err(error) => quiet(&format!("{error} {error:?}")),
    }
});

/// No `AGE-SECRET-KEY-` in `said` has data behind it. The prefixes themselves stand there, as in `AGE-SECRET-KEY-PQ-1…`.
fn quiet(said: &str) {
    for after in said.to_ascii_uppercase().split("AGE-SECRET-KEY-").skip(1) {
        let data = after.strip_prefix("PQ-").unwrap_or(after);
        let data = data.strip_prefix('1').unwrap_or(data);
        assert!(!data.starts_with(|next: char| next.is_ascii_alphanumeric()), "an error repeats a private key: {said}");
    }
}
