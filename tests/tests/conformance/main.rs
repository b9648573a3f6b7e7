//! Conformance: the age specification's own vectors, Go's `age` beside us, the project's committed vectors, values that were moved.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that cannot go on fails its test")]

mod age_vectors;
mod interop;
mod moving;
mod vector;
mod vectors;

/// Lower-case hex.
fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
}
