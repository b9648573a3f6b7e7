//! The redactor against a slow one that has the whole text at hand.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// The text as chunks, redacted.
fn redact(secrets: &Secrets, chunks: &[&[u8]]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut redactor = secrets.redactor();
    for chunk in chunks {
        redactor.push(chunk, &mut output);
    }
    redactor.finish(&mut output);
    output
}

/// Every byte of every occurrence is secret; each run of secret bytes is one mask.
fn slowly(secrets: &Secrets, text: &[u8]) -> Vec<u8> {
    let mut secret = vec![false; text.len()];
    for piece in secrets.0.pieces() {
        for at in 0..text.len() {
            if text[at..].starts_with(piece) {
                secret[at..at + piece.len()].fill(true);
            }
        }
    }
    let mut output = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        match secret[at] {
            true if at == 0 || !secret[at - 1] => output.extend_from_slice(MASK),
            true => {}
            false => output.push(*byte),
        }
    }
    output
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Values that overlap, begin alike and repeat themselves, of few letters; values of all bytes; values of several lines; long ones.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[ab]{1,9}".prop_map(String::into_bytes),
        "[a-c \n]{1,20}".prop_map(String::into_bytes),
        "[ -)+-~\n\té😀]{1,40}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>().prop_filter("no star", |byte| *byte != b'*'), 1..40),
        "[a-z]{1,12}".prop_map(|part| part.repeat(12).into_bytes()),
    ]
}

/// What a program prints: forms of the values, their beginnings and ends, and other text, cut anywhere.
fn stream() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<u8>, Vec<usize>)> {
    let values = proptest::collection::vec(value(), 1..5);
    let parts = proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_u8), 0..12);
    let plain = proptest::collection::vec(prop_oneof!["[ab]{0,6}", "[a-z \n]{0,30}"], 12);
    (values, parts, plain, proptest::collection::vec(1..40_usize, 1..30)).prop_map(|(values, parts, plain, cuts)| {
        let forms: Vec<_> = values.iter().flat_map(|value| forms::forms(value)).collect();
        let mut text = Vec::new();
        for ((form, cut, what), plain) in parts.into_iter().zip(plain) {
            text.extend_from_slice(plain.as_bytes());
            if forms.is_empty() {
                continue;
            }
            let form = form.get(&forms);
            let cut = cut.index(form.len());
            match what {
                0 => text.extend_from_slice(&form[..cut]),
                1 => text.extend_from_slice(&form[cut..]),
                _ => text.extend_from_slice(form),
            }
        }
        (values, text, cuts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_form_survives_any_chunking((values, text, cuts) in stream()) {
        let secrets = Secrets::new(values.iter().map(Vec::as_slice));
        let mut chunks = Vec::new();
        let mut rest = text.as_slice();
        for cut in cuts.into_iter().cycle().take_while(|_| !text.is_empty()) {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            chunks.push(chunk);
            rest = after;
        }
        let output = redact(&secrets, &chunks);
        for form in values.iter().flat_map(|value| forms::forms(value)) {
            prop_assert!(!contains(&output, &form));
        }
        prop_assert_eq!(output, slowly(&secrets, &text));
    }

    #[test]
    fn text_without_secrets_passes_unchanged(text in proptest::collection::vec(any::<u8>(), 0..600), cut in 1..70_usize) {
        let secrets = Secrets::new([&b"correct horse battery staple"[..], b"-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----\n"]);
        let chunks: Vec<&[u8]> = text.chunks(cut).collect();
        prop_assert_eq!(redact(&secrets, &chunks), text);
    }

    /// After every chunk, what is held back is the beginning of a form: nothing shorter would do.
    #[test]
    fn no_more_is_held_than_can_become_a_secret((values, text, _) in stream(), cut in select(&[1_usize, 2, 7][..])) {
        let secrets = Secrets::new(values.iter().map(Vec::as_slice));
        let mut redactor = secrets.redactor();
        let mut output = Vec::new();
        for chunk in text.chunks(cut) {
            redactor.push(chunk, &mut output);
            let held = redactor.window.as_slice();
            prop_assert!(held.is_empty() || secrets.0.pieces().any(|piece| piece.len() > held.len() && piece.starts_with(held)));
        }
    }
}

#[test]
fn a_prompt_comes_out_at_once() {
    let secrets = Secrets::new([&b"hunter2-hunter2"[..]]);
    let mut output = Vec::new();
    let mut redactor = secrets.redactor();
    redactor.push(b"Password for the other machine: ", &mut output);
    assert_eq!(output, b"Password for the other machine: ");
    redactor.push(b"h", &mut output);
    assert_eq!(output, b"Password for the other machine: ", "the beginning of a secret waits");
    redactor.push(b"i", &mut output);
    assert_eq!(output, b"Password for the other machine: hi");
    redactor.push(b"hunter2-hunter", &mut output);
    redactor.push(b"2", &mut output);
    assert_eq!(output, b"Password for the other machine: hi***", "a whole secret is decided by its last byte");
}

/// Neither the end of a line nor that of a prompt waits, whatever stands in the middle of a long value.
#[test]
fn prompts_come_out_at_once_beside_values_of_many_lines() {
    let characters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let base64 = |length: usize| -> String {
        (0..length).map(|at| char::from(characters[at.wrapping_mul(2_654_435_761) >> 7 & 63])).collect()
    };
    let lines: Vec<String> = (0..25).map(|at| base64(64 + at)[at..].to_owned()).collect();
    let pem = format!("-----BEGIN RSA {0}-----\n{1}\n-----END RSA {0}-----\n", "PRIVATE KEY", lines.join("\n"));
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: prod\n  cluster:\n    server: https://10.0.0.1:6443\n    certificate-authority-data: {0}\n\
         contexts:\n- name: prod\n  context: {{cluster: prod, user: ci, namespace: shop}}\ncurrent-context: prod\nusers:\n- name: ci\n  user:\n    \
         client-certificate-data: {0}\n    client-key-data: {0}\n",
        base64(1400)
    );
    // Wherever the pieces of it fall.
    for shift in 0..64 {
        let values = [format!("{}\n{pem}", &base64(64)[..shift]), format!("{}\n{kubeconfig}", &base64(64)[..shift])];
        let secrets = Secrets::new(values.iter().map(String::as_bytes));
        for text in ["Password: ", "$ ", "> ", "Go on? [y/N] ", "PS1# ", "done.\n", "14ms\n", "  a: 1\n", "{\n    ", "x:"] {
            let mut output = Vec::new();
            secrets.redactor().push(text.as_bytes(), &mut output);
            assert_eq!(output, text.as_bytes(), "{shift}");
        }
    }
}

/// A match that could go on is put out as a mask at once, and what follows joins it.
#[test]
fn a_secret_that_begins_another_does_not_wait() {
    let secrets = Secrets::new([&b"token-1"[..], b"token-1-and-more"]);
    let mut output = Vec::new();
    let mut redactor = secrets.redactor();
    redactor.push(b"is token-1", &mut output);
    assert_eq!(output, b"is ***");
    redactor.push(b"-and-", &mut output);
    assert_eq!(output, b"is ***");
    redactor.push(b"more.", &mut output);
    assert_eq!(output, b"is ***.");
    redactor.push(b" token-1-and-so", &mut output);
    redactor.finish(&mut output);
    assert_eq!(output, b"is ***. ***-and-so");
}

#[test]
fn secrets_that_touch_are_one_mask() {
    let secrets = Secrets::new([&b"secret-a"[..], b"a-other"]);
    assert_eq!(redact(&secrets, &[b"<secret-a-other>"]), b"<***>");
    assert_eq!(redact(&secrets, &[b"<secret-a", b"secret-a", b"secret-a>"]), b"<***>");
    assert_eq!(redact(&secrets, &[b"<secret-a secret-a>"]), b"<*** ***>");
}

#[test]
fn a_chunk_of_any_length() {
    let secrets = Secrets::new([&b"needle-in-a-haystack"[..]]);
    for around in [0, 1, CHUNK - 21, CHUNK - 20, CHUNK - 10, CHUNK, 3 * CHUNK] {
        let text = [vec![b'x'; around], b"needle-in-a-haystack".to_vec(), vec![b'n'; around]].concat();
        let wanted = [vec![b'x'; around], MASK.to_vec(), vec![b'n'; around]].concat();
        assert!(redact(&secrets, &[&text]) == wanted, "{around}");
    }
}

#[test]
fn without_secrets_nothing_is_held() {
    let secrets = Secrets::default();
    assert_eq!(redact(&secrets, &[b"abc", b"", b"def"]), b"abcdef");
}

#[test]
fn a_long_value_is_found_whole_and_cut() {
    let value: Vec<u8> =
        (0..1_u32 << 17).map(|number| b'!' + u8::try_from(number.wrapping_mul(2_654_435_761) >> 25).unwrap() % 90).collect();
    let secrets = Secrets::new([value.as_slice()]);
    assert_eq!(redact(&secrets, &[b"<", &value, b">"]), b"<***>");
    let cut = redact(&secrets, &[&value[..1000]]);
    assert!(cut.len() < MASK.len() + PIECE, "all but the last piece: {}", cut.len());
}

#[test]
fn what_is_too_short_is_told() {
    for (value, short) in [
        (&b""[..], None),
        (b" \n", None),
        (b"1", Some(Short::Value)),
        (b"123\n", Some(Short::Value)),
        (b"1234", None),
        (b"{\n  \"a\": 1\n}\n", Some(Short::Lines(2))),
    ] {
        assert_eq!(too_short(value), short, "{value:?}");
    }
}
