//! A template, and the values that it is rendered with: the text up to the first byte 0xff, then the value of every item.
#![no_main]

use bulla_shared::template::Template;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut halves = input.splitn(2, |byte| *byte == 0xff);
    let (text, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let Ok(text) = str::from_utf8(text) else { return };
    let Ok(template) = Template::parse(text) else { return };
    let is_json = template.json_skeleton().is_ok();
    let Ok(checked) = template.check(|_| Some(value.len())) else { return };
    // The value, nothing at all, and as many bytes that most filters write longest.
    for value in [value, &[], &vec![0; value.len()]] {
        let output = checked.render(|_| value);
        assert!(output.len() <= checked.max_len(), "{} bytes of {}", output.len(), checked.max_len());
        assert_eq!(output.capacity(), checked.max_len(), "the output was never reallocated");
        assert!(!output.is_empty() || !checked.is_never_empty(|_| value.len()));
        if is_json {
            let json: serde_json::Value = serde_json::from_slice(&output).expect("what has a JSON skeleton is JSON");
            assert!(json.is_object());
        }
    }
});
