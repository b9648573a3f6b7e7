//! The text of a backup, and the age file around it. No error may repeat a key.
#![no_main]

use bulla_keys::backup::{read, write};
use bulla_shared::age::decrypt;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match read(bytes) {
        Ok(keys) => {
            let text = write(&keys, "2026-11-25T00:00:00Z".parse().expect("a time"));
            let again = read(text.as_bytes()).expect("what is written is read");
            assert_eq!(again.len(), keys.len());
            for (again, key) in again.iter().zip(&keys) {
                assert_eq!(again.fingerprint(), key.fingerprint());
                assert_eq!((again.created, &again.sealing_key), (key.created, &key.sealing_key));
            }
        }
        Err(error) => assert!(!format!("{error} {error:?}").contains("AGE-SECRET-KEY-1")),
    }
    let _ = decrypt(bytes, &[]);
});
