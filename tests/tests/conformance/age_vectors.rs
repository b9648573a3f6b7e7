//! The C2SP/CCTV age vectors (<https://c2sp.org/CCTV/age>): every file opens or fails in the way that it says.
//!
//! Armor and passphrases are no part of sealed values, so vectors of these are counted and left out.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

use aws_lc_rs::digest::{SHA256, digest};
use bulla_control_plane::tools;
use bulla_shared::age::{AgeError, Identity, decrypt};

use crate::hex;

/// One file of the collection: a header of `key: value` lines, an empty line, an age file.
struct AgeVector {
    expect: String,
    payload: Option<String>,
    identities: Vec<Identity>,
    passphrase: bool,
    armored: bool,
    file: Vec<u8>,
}

impl AgeVector {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").expect("an empty line ends the header");
        let mut vector = Self {
            expect: String::new(),
            payload: None,
            identities: Vec::new(),
            passphrase: false,
            armored: false,
            file: bytes[end + 2..].to_vec(),
        };
        for line in str::from_utf8(&bytes[..end]).unwrap().lines() {
            match line.split_once(": ").unwrap() {
                ("expect", class) => class.clone_into(&mut vector.expect),
                ("payload", hash) => vector.payload = Some(hash.to_owned()),
                ("identity", identity) => vector.identities.push(identity.parse().unwrap()),
                ("passphrase", _) => vector.passphrase = true,
                ("armored", "yes") => vector.armored = true,
                ("compressed", "zlib") => {
                    let mut file = Vec::new();
                    flate2::read::ZlibDecoder::new(vector.file.as_slice()).read_to_end(&mut file).unwrap();
                    vector.file = file;
                }
                ("comment" | "file key", _) => {}
                (key, value) => panic!("a vector has the unknown header {key}: {value}"),
            }
        }
        vector
    }

    /// Whether the vector needs a format that sealed values never have.
    fn is_foreign(&self) -> bool {
        self.armored || self.passphrase
    }

    /// The outcome in the words of the collection, and what was released.
    fn run(&self) -> (&'static str, Option<String>) {
        match decrypt(&self.file, &self.identities) {
            Ok(plaintext) => ("success", Some(hex(digest(&SHA256, plaintext.expose()).as_ref()))),
            Err(AgeError::Header(_) | AgeError::Stanza(_)) => ("header failure", None),
            Err(AgeError::NoMatch) => ("no match", None),
            Err(AgeError::Mac) => ("HMAC failure", None),
            Err(AgeError::Payload) => ("payload failure", None),
            Err(error) => panic!("an outcome without a class: {error}"),
        }
    }
}

#[test]
fn every_vector_has_the_outcome_that_it_expects() {
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    let mut skipped = 0;
    let mut wrong = Vec::new();
    for entry in fs::read_dir(tools::age_vectors().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let vector = AgeVector::parse(&fs::read(&path).unwrap());
        if vector.is_foreign() {
            assert!(name.starts_with("armor_") || name.starts_with("scrypt"), "{name} is left out");
            skipped += 1;
            continue;
        }
        let (class, released) = vector.run();
        // The hash of a file that fails late is that of its good part, of which nothing is released here.
        if class != vector.expect || (class == "success" && released != vector.payload) {
            wrong.push(format!("{name}: expected {}, was {class}", vector.expect));
        }
        *ran.entry(vector.expect).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The collection is pinned, so that it cannot shrink unseen.
    let expected = [("HMAC failure", 1), ("header failure", 40), ("no match", 8), ("payload failure", 18), ("success", 18)];
    assert_eq!(ran, expected.map(|(class, count)| (class.to_owned(), count)).into());
    assert_eq!(skipped, 58, "33 with armor, 25 more with a passphrase");
}
