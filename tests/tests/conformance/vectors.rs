//! The committed vectors in `tests/vectors`: each value opens, or is refused in its class, with this version as with the first.
//!
//! A file is never changed or removed. `examples/make_vectors` writes new ones.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::ScopeKind;
use bulla_shared::sealed::SealedValue;

use crate::vector::{OPENED, Vector};

/// Every class of [`bulla_shared::sealed::SealedError::class`].
const CLASSES: [&str; 10] =
    ["size", "base64", "header", "binding", "stanza", "unknown-key", "wrong-key", "mac", "scope", "payload"];

/// All vectors by file name.
fn vectors() -> BTreeMap<String, Vector> {
    let mut vectors = BTreeMap::new();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let vector = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        vectors.insert(name, vector);
    }
    vectors
}

#[test]
fn every_vector_has_its_outcome() {
    let mut wrong = Vec::new();
    for (name, vector) in vectors() {
        let (outcome, plaintext) = match vector.open() {
            Ok(opened) => (OPENED, Some(STANDARD.encode(opened.plaintext.expose()))),
            Err(error) => (error.class(), None),
        };
        if outcome != vector.expect || plaintext != vector.plaintext {
            wrong.push(format!("{name} ({}): expected {}, was {outcome}", vector.comment, vector.expect));
        }
        assert!(name.starts_with(&format!("{}-", vector.expect)), "{name} has its class in front");
        let identity: Identity = vector.identity.parse().unwrap();
        assert_eq!(identity.recipient().to_string(), vector.recipient, "{name}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_class_has_a_vector() {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for vector in vectors().into_values() {
        *count.entry(vector.expect).or_default() += 1;
    }
    let mut known = CLASSES.to_vec();
    known.push(OPENED);
    known.sort_unstable();
    assert_eq!(count.keys().map(String::as_str).collect::<Vec<_>>(), known);
}

#[test]
fn every_kind_of_value_has_a_vector_that_opens() {
    let opened: Vec<_> = vectors().into_values().filter(|vector| vector.expect == OPENED).collect();
    let values: Vec<SealedValue> = opened.iter().map(|vector| vector.sealed.parse().unwrap()).collect();
    for algorithm in [Algorithm::Hybrid, Algorithm::X25519] {
        for scope in [ScopeKind::Strict, ScopeKind::Namespace, ScopeKind::Cluster] {
            let kind = |value: &&SealedValue| value.algorithm() == algorithm && value.binding().scope.kind() == scope;
            let of_kind: Vec<_> = values.iter().filter(kind).collect();
            let has = |part: fn(&SealedValue) -> bool| of_kind.iter().any(|value| part(value));
            assert!(has(|value| value.binding().rotate_by.is_some()), "{algorithm}, {scope}");
            assert!(has(|value| value.binding().rotate_by.is_none()), "{algorithm}, {scope}");
            assert!(has(|value| value.binding().keys.len() > 1), "{algorithm}, {scope}");
            assert!(has(|value| value.plaintext_len() == 0), "{algorithm}, {scope}");
        }
    }
    for (vector, value) in opened.iter().zip(&values) {
        assert_eq!(value.to_string(), vector.sealed, "one value has one text");
    }
}
