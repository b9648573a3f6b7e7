//! Writes the test vectors in `tests/vectors` that are not there yet; one that is there is never written again.
//!
//! `cargo run -p bulla-tests --example make_vectors`. A vector is a promise: a sealed value opens, or is refused in the same class,
//! with every later version. Each refusal is checked here for its exact reason before it is written.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a generator that cannot go on has to stop")]

mod bad;
mod forge;
mod good;
#[path = "../../tests/conformance/vector.rs"]
mod vector;

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_shared::age::Identity;
use bulla_shared::names::Place;

use vector::{OPENED, Vector};

/// The folder of the vectors and what was done in it.
struct Output {
    folder: PathBuf,
    written: usize,
    kept: usize,
}

/// One value, and who opens it where.
struct Case<'a> {
    /// File name without its ending; starts with the class.
    file: String,
    comment: &'a str,
    identity: &'a Identity,
    place: Place,
    sealed: String,
}

impl Output {
    /// A value that opens.
    fn opens(&mut self, case: &Case<'_>, plaintext: &[u8]) {
        let mut vector = vector(case);
        let opened = vector.open().unwrap_or_else(|error| panic!("{} does not open: {error}", case.file));
        assert_eq!(opened.plaintext.expose(), plaintext, "{}", case.file);
        OPENED.clone_into(&mut vector.expect);
        vector.plaintext = Some(STANDARD.encode(plaintext));
        self.write(&case.file, &vector);
    }

    /// A value that is refused with an error whose text has `reason` in it.
    fn refused(&mut self, case: &Case<'_>, reason: &str) {
        let mut vector = vector(case);
        let error = vector.open().expect_err(&case.file);
        assert!(error.to_string().contains(reason), "{}: {error}", case.file);
        error.class().clone_into(&mut vector.expect);
        self.write(&case.file, &vector);
    }

    fn write(&mut self, file: &str, vector: &Vector) {
        assert!(file.starts_with(&format!("{}-", vector.expect)), "{file} starts with its class, {}", vector.expect);
        match File::create_new(self.folder.join(format!("{file}.json"))) {
            Ok(mut file) => {
                file.write_all((serde_json::to_string_pretty(vector).unwrap() + "\n").as_bytes()).unwrap();
                self.written += 1;
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.kept += 1,
            Err(error) => panic!("{file}: {error}"),
        }
    }
}

fn vector(case: &Case<'_>) -> Vector {
    Vector {
        comment: case.comment.to_owned(),
        identity: case.identity.to_text().to_string(),
        recipient: case.identity.recipient().to_string(),
        namespace: case.place.namespace.to_string(),
        name: case.place.name.to_string(),
        item: case.place.item.to_string(),
        sealed: case.sealed.clone(),
        expect: String::new(),
        plaintext: None,
    }
}

fn main() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
    fs::create_dir_all(&folder).unwrap();
    let mut output = Output { folder, written: 0, kept: 0 };
    good::write(&mut output);
    bad::write(&mut output);
    println!("{} written, {} were there", output.written, output.kept);
}
