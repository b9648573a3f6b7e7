//! Bytes that are not plain UTF-8 with line feeds: read rightly or refused, never garbled.

use super::canary::CANARY;
use super::harness::{SECRET, World};

const VALUE: &str = "bulla-canary-7f3a é€😀";

fn secret() -> String {
    SECRET.replace(CANARY, VALUE)
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

/// Seals `bytes` and gives the sealed text, if it opens to `value`.
fn sealed(bytes: &[u8], value: &str) -> String {
    let world = World::new();
    world.write("secret.yaml", bytes);
    let sealed = world.bulla(&["seal", "-R", "hybrid.recipients", "secret.yaml"]).works();
    let run = world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "-"]).stdin(&sealed.stdout).reveals();
    assert_eq!(run.works().text(), value);
    sealed.text().to_owned()
}

fn refused(name: &str, bytes: impl AsRef<[u8]>) {
    let world = World::new();
    world.write("secret.yaml", bytes);
    world.bulla(&["seal", "-R", "hybrid.recipients", "--in-place", "secret.yaml"]).fails(2, name);
}

#[test]
fn a_utf_8_mark_stays() {
    let text = sealed(format!("\u{feff}{}", secret()).as_bytes(), VALUE);
    assert!(text.starts_with("\u{feff}apiVersion: bulla.dev"));
    refused("encoding_mark_inside", format!("{}---\n\u{feff}{}", secret(), secret()));
}

#[test]
fn a_mark_of_a_later_file_does_not_end_up_inside() {
    let world = World::new();
    world.write("a.yaml", SECRET);
    world.write("b.yaml", format!("\u{feff}{SECRET}"));
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "a.yaml", "b.yaml"]).works();
    assert!(!outcome.text().contains('\u{feff}'));
    world.bulla(&["inspect", "-"]).stdin(outcome.stdout).works();
}

#[test]
fn utf_16_with_a_mark_becomes_utf_8() {
    let text = format!("\u{feff}{}", secret().replace('\n', "\r\n"));
    for bytes in [utf16(&text, u16::to_le_bytes), utf16(&text, u16::to_be_bytes)] {
        let sealed = sealed(&bytes, VALUE);
        assert!(sealed.starts_with("apiVersion: bulla.dev") && sealed.contains("\r\n"));
    }
    let bytes = utf16(&text, u16::to_le_bytes);
    refused("encoding_utf_16_cut", &bytes[..bytes.len() - 1]);
    refused("encoding_utf_16_half_pair", [&bytes[..bytes.len() - 4], &[0x00, 0xd8, b'\n', 0]].concat());
}

#[test]
fn utf_16_without_a_mark_is_refused() {
    refused("encoding_utf_16_le_no_mark", utf16(&secret(), u16::to_le_bytes));
    refused("encoding_utf_16_be_no_mark", utf16(&secret(), u16::to_be_bytes));
}

#[test]
fn other_bytes_are_refused() {
    refused("encoding_latin_1", [SECRET.as_bytes(), b"  city: Z\xfcrich\n"].concat());
    refused("encoding_binary", [b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", CANARY.as_bytes(), &[0; 16]].concat());
    let junk: Vec<u8> = (0..4096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    refused("encoding_junk", junk);
    refused("encoding_nul", SECRET.replace(CANARY, "bulla-canary-7f3a\0"));
    refused("encoding_control_character", SECRET.replace(CANARY, "bulla-canary-7f3a\u{1b}[0m"));
}

#[test]
fn windows_line_ends_stay() {
    let world = World::new();
    world.write("secret.yaml", SECRET.replace('\n', "\r\n"));
    let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", "secret.yaml"]).succeeds("encoding_crlf");
    assert_eq!(outcome.text().matches('\n').count(), outcome.text().matches("\r\n").count());
    sealed(SECRET.replace('\n', "\r\n").as_bytes(), CANARY);
}

#[test]
fn line_breaks_of_other_parsers_are_refused() {
    for (name, character) in [("0085", '\u{85}'), ("2028", '\u{2028}'), ("2029", '\u{2029}'), ("000d", '\r')] {
        refused(
            &format!("encoding_line_break_{name}"),
            SECRET.replace("kind: Secret\n", &format!("kind: Secret # note{character}x\n")),
        );
        refused(
            &format!("encoding_line_break_{name}_in_value"),
            SECRET.replace(CANARY, &format!("'bulla-canary-7f3a{character}x'")),
        );
    }
}
