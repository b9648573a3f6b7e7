//! The planted value, and finding it or an identity in any form in what a command says.

use std::collections::HashSet;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::harness::{Keys, SECRET, World};

/// The plaintext in every Secret of these tests.
pub(crate) const CANARY: &str = "bulla-canary-7f3a";

/// Pieces that are this long are found.
const PIECE: usize = 8;

/// Base64 of the planted value.
pub(crate) fn base64() -> String {
    STANDARD.encode(CANARY)
}

/// The first trace of the planted value in `bytes`, whole or in a piece: as it is, backwards, in base64 at any of the three
/// positions, in hex, or in JSON escapes.
pub(crate) fn trace(bytes: &[u8]) -> Option<String> {
    static PIECES: OnceLock<HashSet<Vec<u8>>> = OnceLock::new();
    let pieces = PIECES.get_or_init(|| forms().iter().flat_map(|form| form.windows(PIECE).map(<[u8]>::to_vec)).collect());
    let found = bytes.windows(PIECE).find(|piece| pieces.contains(*piece))?;
    Some(String::from_utf8_lossy(found).into_owned())
}

fn forms() -> Vec<Vec<u8>> {
    let mut forms = vec![CANARY.as_bytes().to_vec(), CANARY.bytes().rev().collect()];
    for before in 0..3 {
        // The first and last letters depend on the neighbours.
        let encoded = STANDARD.encode([&vec![0; before], CANARY.as_bytes(), &[0; 2]].concat());
        let known = &encoded.as_bytes()[(before * 8).div_ceil(6)..(before + CANARY.len()) * 8 / 6];
        forms.push(known.to_vec());
        forms.push(known.iter().map(|byte| if *byte == b'/' { b'_' } else { *byte }).collect());
    }
    for escape in ["", "\\u00", "\\x", "%"] {
        forms.push(CANARY.bytes().flat_map(|byte| format!("{escape}{byte:02x}").into_bytes()).collect());
        forms.push(CANARY.bytes().flat_map(|byte| format!("{escape}{byte:02X}").into_bytes()).collect());
    }
    forms
}

#[test]
fn every_form_is_found() {
    let json_escaped: String = CANARY.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let forms = [
        CANARY.to_owned(),
        CANARY[3..11].to_owned(),
        CANARY.chars().rev().collect(),
        base64(),
        STANDARD.encode(format!("x{CANARY}")),
        STANDARD.encode(format!("xy{CANARY}z")),
        hex.to_uppercase(),
        hex,
        json_escaped,
    ];
    for form in forms {
        assert!(trace(format!("caused by: found '{form}' there").as_bytes()).is_some(), "{form}");
    }
    assert_eq!(trace(b"cannot read secret.yaml: bulla seal -R hybrid.recipients"), None);
    assert_eq!(trace(&CANARY.as_bytes()[..PIECE - 1]), None);
}

/// The check after every run can fail.
#[test]
#[should_panic(expected = "plaintext on standard output")]
fn plaintext_where_it_is_not_expected_fails_the_run() {
    let world = World::new();
    let sealed = world.bulla(&["seal", "-R", "hybrid.recipients"]).stdin(SECRET).works();
    world.bulla(&["unseal", "-i", "hybrid.key", "-"]).stdin(sealed.stdout).works();
}

/// It sees files too, and identities.
#[test]
#[should_panic(expected = "an identity on all.yaml")]
fn an_identity_where_it_is_not_expected_fails_the_run() {
    let world = World::new();
    let all = format!("kind: ConfigMap\na: {}\n---\n{SECRET}", Keys::get().identity("other").to_lowercase());
    world.bulla(&["seal", "-R", "hybrid.recipients", "-o", "all.yaml"]).stdin(all).works();
}
