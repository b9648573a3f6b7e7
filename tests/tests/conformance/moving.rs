//! A sealed value in hostile hands: moved, edited, recombined. Nothing of it opens elsewhere, and nothing of it shows.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bulla_keys::KeyRing;
use bulla_shared::age::header::{Header, Limits};
use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::ScopeKind;
use bulla_shared::names::Place;
use bulla_shared::opening::{AllowedTypes, ItemError, Opened, Opening, Refusal, open};
use bulla_shared::resources::sealed_secret::SealedSecretSpec;
use bulla_shared::sealed::{Recipients, SealedValue};

use crate::hex;
use crate::vector::place;

const BOTH: [Algorithm; 2] = [Algorithm::Hybrid, Algorithm::X25519];
const CANARY: &str = "canary-7Qm!x92 of the value that nobody may see";
const BESIDE: &str = "canary-b3Tz&41 of the item beside it, which opens";
const OPENED: &str = "opened";

/// A value sealed to us and to another cluster, in its parts.
struct Parts {
    binding: String,
    ours: String,
    theirs: String,
    /// The MAC line and the payload.
    rest: Vec<u8>,
}

impl Parts {
    fn of(text: &str) -> Self {
        let file = STANDARD.decode(text).unwrap();
        let header = Header::read(&file, Limits::SEALED).unwrap();
        let [binding, ours, theirs] =
            [0, 1, 2].map(|index| String::from_utf8(file[header.stanzas[index].span.clone()].to_vec()).unwrap());
        let rest = file[header.stanzas[2].span.end..].to_vec();
        Self { binding, ours, theirs, rest }
    }

    /// A value of these stanzas, with MAC and payload as they were.
    fn with(&self, stanzas: &[&str]) -> String {
        let header = ["age-encryption.org/v1\n", &stanzas.concat()].concat();
        STANDARD.encode([header.as_bytes(), &self.rest].concat())
    }
}

/// Our key, that of another cluster, and the ring of our controller.
struct Stage {
    ours: Identity,
    theirs: Identity,
    ring: KeyRing,
}

impl Stage {
    fn new(algorithm: Algorithm) -> Self {
        let (ours, theirs) = (Identity::generate(algorithm), Identity::generate(algorithm));
        let ring = KeyRing::from_iter([ours.to_text().parse::<Identity>().unwrap()]);
        Self { ours, theirs, ring }
    }

    fn seal(&self, plaintext: &str, scope: ScopeKind, place: &Place) -> String {
        let recipients = Recipients::new([&self.ours, &self.theirs].map(|identity| identity.recipient().clone())).unwrap();
        let sealed = "2026-11-23T06:50:00Z".parse().unwrap();
        let value = SealedValue::seal(plaintext.as_bytes(), scope.at(place), &recipients, sealed, None);
        value.unwrap().to_string()
    }

    /// Opens a `SealedSecret` at `place` with `value` as its item, and beside it one that opens; returns the class of the item.
    #[track_caller]
    fn outcome(&self, place: &Place, value: &str) -> &'static str {
        let beside = Place { item: "beside".parse().unwrap(), ..place.clone() };
        let items = [
            (place.item.to_string(), value.to_owned()),
            (beside.item.to_string(), self.seal(BESIDE, ScopeKind::Strict, &beside)),
        ];
        let spec = SealedSecretSpec { encrypted_data: BTreeMap::from(items), ..SealedSecretSpec::default() };
        let opening = open(&place.namespace, &place.name, &spec, &self.ring, &AllowedTypes::with([]));
        assert_silent(&opening);

        let report = |name: &str| opening.items.iter().find(|item| item.name == name).unwrap();
        assert!(report("beside").result.is_ok(), "one bad item does not take another down");
        let class = class(&report(place.item.as_str()).result);
        match (opening.secret.map(Opened::render), class) {
            (Ok(secret), OPENED) => assert_eq!(secret.items[&place.item].expose(), CANARY.as_bytes()),
            (Err(Refusal::KeyMissing { missing: 1, all: 2 }), "unknown-key") => {}
            (Err(Refusal::Items { failed: 1, all: 2 }), class) if class != "unknown-key" && class != OPENED => {}
            (secret, class) => panic!("{class} gives {secret:?}"),
        }
        class
    }
}

fn class<T>(result: &Result<T, ItemError>) -> &'static str {
    match result {
        Ok(_) => OPENED,
        Err(ItemError::Sealed(error)) => error.class(),
        Err(error) => panic!("not an error of the value: {error}"),
    }
}

/// No form of a plaintext, whole or in part, stands in anything that an [`Opening`] can print.
#[track_caller]
fn assert_silent(opening: &Opening) {
    let mut shown = vec![format!("{opening:?}"), format!("{opening:#?}")];
    for item in &opening.items {
        shown.extend(item.result.as_ref().err().map(|error| format!("{error} {error:?}")));
    }
    shown.push(match &opening.secret {
        Ok(opened) => {
            let secret = opened.clone().render();
            format!("{secret:?} {}", secret.frame())
        }
        Err(refusal) => format!("{refusal} {refusal:?}"),
    });
    let shown = shown.join("\n");
    for plaintext in [CANARY, BESIDE] {
        // The start of a plaintext is looked for by itself, so that a shortened one does not pass.
        for form in forms(plaintext).iter().chain(&forms(&plaintext[..14])) {
            assert!(!shown.contains(form), "{form} in {shown}");
        }
    }
}

/// How bytes can show: as text, as base64 at any offset, as hex, as a list of numbers.
fn forms(plaintext: &str) -> Vec<String> {
    let bytes = plaintext.as_bytes();
    let base64 = (0..3).map(|offset| STANDARD_NO_PAD.encode(&bytes[offset..]));
    // The last character may hang on bytes that follow.
    let base64 = base64.map(|text| text[..text.len() - 1].to_owned());
    let list = format!("{bytes:?}");
    [plaintext.to_owned(), hex(bytes), list[1..list.len() - 1].to_owned()].into_iter().chain(base64).collect()
}

/// The three places that differ from the usual one in one part.
fn places() -> [(&'static str, Place); 3] {
    [
        ("namespace", Place { namespace: "dev".parse().unwrap(), ..place() }),
        ("name", Place { name: "web".parse().unwrap(), ..place() }),
        ("item", Place { item: "other".parse().unwrap(), ..place() }),
    ]
}

#[test]
fn a_moved_value_opens_only_within_its_scope() {
    for algorithm in BOTH {
        let stage = Stage::new(algorithm);
        for (scope, expected) in [
            (ScopeKind::Strict, ["scope", "scope", "scope"]),
            (ScopeKind::Namespace, ["scope", OPENED, OPENED]),
            (ScopeKind::Cluster, [OPENED, OPENED, OPENED]),
        ] {
            let value = stage.seal(CANARY, scope, &place());
            assert_eq!(stage.outcome(&place(), &value), OPENED, "{algorithm}, {scope}");
            for ((part, place), expected) in places().into_iter().zip(expected) {
                assert_eq!(stage.outcome(&place, &value), expected, "{algorithm}, {scope}, another {part}");
            }
        }
    }
}

#[test]
fn an_edited_binding_moves_nothing() {
    for algorithm in BOTH {
        let stage = Stage::new(algorithm);
        let parts = Parts::of(&stage.seal(CANARY, ScopeKind::Strict, &place()));
        let names = "strict namespace=prod name=db item=item";
        let edits = [
            ("namespace=prod", "namespace=dev", 0),
            ("name=db", "name=web", 1),
            ("item=item", "item=other", 2),
            (names, "namespace namespace=dev", 0),
            (names, "namespace namespace=prod", 1),
            (names, "cluster", 0),
            (names, "cluster", 1),
            (names, "cluster", 2),
        ];
        for (from, to, place) in edits {
            assert_eq!(parts.binding.matches(from).count(), 1);
            let edited = parts.with(&[&parts.binding.replace(from, to), &parts.ours, &parts.theirs]);
            assert_eq!(stage.outcome(&places()[place].1, &edited), "mac", "{algorithm}, {to}");
        }
        let later = parts.with(&[&parts.binding.replace("sealed=2026", "sealed=2027"), &parts.ours, &parts.theirs]);
        assert_eq!(stage.outcome(&place(), &later), "mac", "{algorithm}, a value does not get younger");
    }
}

#[test]
fn stanzas_cannot_be_edited_removed_doubled_or_reordered() {
    for algorithm in BOTH {
        let stage = Stage::new(algorithm);
        let Parts { binding, ours, theirs, .. } = &Parts::of(&stage.seal(CANARY, ScopeKind::Strict, &place()));
        let parts = Parts::of(&stage.seal(CANARY, ScopeKind::Strict, &place()));
        assert_ne!(parts.ours, *ours, "two values are two");
        let ids = [&stage.ours, &stage.theirs].map(|identity| identity.recipient().fingerprint().id().to_string());
        let keys = |keys: &str| parts.binding.replace(&ids.join(","), keys);
        let (first, second) = (keys(&ids[0]), keys(&ids[1]));
        let swapped = keys(&format!("{},{}", ids[1], ids[0]));
        for (what, stanzas, expected) in [
            ("untouched", vec![&parts.binding, &parts.ours, &parts.theirs], OPENED),
            ("our body edited", vec![&parts.binding, &edit(&parts.ours), &parts.theirs], "wrong-key"),
            ("their body edited", vec![&parts.binding, &parts.ours, &edit(&parts.theirs)], "mac"),
            ("binding removed", vec![&parts.ours, &parts.theirs], "binding"),
            ("ours removed", vec![&parts.binding, &parts.theirs], "stanza"),
            ("theirs removed", vec![&parts.binding, &parts.ours], "stanza"),
            ("ours removed with its id", vec![&second, &parts.theirs], "unknown-key"),
            ("theirs removed with its id", vec![&first, &parts.ours], "mac"),
            ("binding doubled", vec![&parts.binding, &parts.binding, &parts.ours, &parts.theirs], "stanza"),
            ("ours doubled", vec![&parts.binding, &parts.ours, &parts.ours, &parts.theirs], "stanza"),
            ("ours in place of theirs", vec![&parts.binding, &parts.ours, &parts.ours], "mac"),
            ("theirs in place of ours", vec![&parts.binding, &parts.theirs, &parts.theirs], "wrong-key"),
            ("recipients reordered", vec![&parts.binding, &parts.theirs, &parts.ours], "wrong-key"),
            ("recipients and ids reordered", vec![&swapped, &parts.theirs, &parts.ours], "mac"),
            ("binding last", vec![&parts.ours, &parts.theirs, &parts.binding], "binding"),
            ("our stanza of another value", vec![&parts.binding, ours, &parts.theirs], "mac"),
            ("their stanza of another value", vec![&parts.binding, &parts.ours, theirs], "mac"),
            ("both stanzas of another value", vec![&parts.binding, ours, theirs], "mac"),
            ("the whole header of another value but its MAC", vec![binding, ours, theirs], "mac"),
        ] {
            let stanzas: Vec<&str> = stanzas.into_iter().map(String::as_str).collect();
            assert_eq!(stage.outcome(&place(), &parts.with(&stanzas)), expected, "{algorithm}, {what}");
        }
    }
}

/// Changes the first character of the body.
fn edit(stanza: &str) -> String {
    let (line, body) = stanza.split_once('\n').unwrap();
    let first = if body.starts_with('A') { "B" } else { "A" };
    format!("{line}\n{first}{}", &body[1..])
}

#[test]
fn keys_that_lie_open_nothing() {
    for algorithm in BOTH {
        let stage = Stage::new(algorithm);
        let parts = Parts::of(&stage.seal(CANARY, ScopeKind::Strict, &place()));
        let [ours, theirs] = [&stage.ours, &stage.theirs].map(|identity| identity.recipient().fingerprint().id().to_string());
        for (what, lie, expected) in [
            ("swapped", format!("{theirs},{ours}"), "wrong-key"),
            ("ours hidden", format!("0000000000000000,{theirs}"), "unknown-key"),
            ("theirs hidden", format!("{ours},0000000000000000"), "mac"),
            ("ours claimed for both", format!("{ours},{ours}"), "binding"),
            ("ours claimed for theirs", format!("0000000000000000,{ours}"), "wrong-key"),
            ("one too few", ours.clone(), "stanza"),
            ("one too many", format!("{ours},{theirs},0000000000000000"), "stanza"),
        ] {
            let binding = parts.binding.replace(&format!("{ours},{theirs}"), &lie);
            assert_ne!(binding, parts.binding);
            let value = parts.with(&[&binding, &parts.ours, &parts.theirs]);
            assert_eq!(stage.outcome(&place(), &value), expected, "{algorithm}, {what}");
        }
    }
}

#[test]
fn a_payload_cannot_be_exchanged_or_changed() {
    for algorithm in BOTH {
        let stage = Stage::new(algorithm);
        let [one, two] = [(); 2].map(|()| STANDARD.decode(stage.seal(CANARY, ScopeKind::Strict, &place())).unwrap());
        let payload = Header::read(&one, Limits::SEALED).unwrap().payload;
        let exchanged = [&one[..payload], &two[payload..]].concat();
        assert_eq!(stage.outcome(&place(), &STANDARD.encode(exchanged)), "payload", "{algorithm}");
        for at in [payload, payload + 16, one.len() - 1] {
            let mut changed = one.clone();
            changed[at] ^= 0x20;
            assert_eq!(stage.outcome(&place(), &STANDARD.encode(changed)), "payload", "{algorithm}, byte {at}");
        }
        assert_eq!(stage.outcome(&place(), &STANDARD.encode(&one[..one.len() - 1])), "payload", "{algorithm}");
        assert_eq!(stage.outcome(&place(), &STANDARD.encode(&one[..payload + 31])), "size", "{algorithm}");
    }
}

#[test]
fn a_plaintext_would_be_noticed() {
    for plaintext in [CANARY, BESIDE] {
        let encoded = STANDARD.encode(format!("xy{plaintext}z"));
        let shown = format!("{encoded} {:?} {plaintext}", plaintext.as_bytes());
        let found = forms(plaintext).iter().filter(|form| shown.contains(form.as_str())).count();
        assert_eq!(found, 3, "text, list and base64 at one of its three offsets");
    }
}
