//! The text of `spec.encryptedData`, as a repository has it.
#![no_main]

use bulla_fuzz::check_sealed;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| check_sealed(text));
