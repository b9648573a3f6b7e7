//! Round trips, every refusal, and the property that a flipped bit never passes.

use proptest::prelude::*;

use super::*;
use crate::age::header::HeaderErrorKind;
use crate::binding::ScopeKind;

/// Writes a header from the binding, our stanza and that of another kind.
type Parts = fn(&str, &str, &str) -> String;

struct Ring(Vec<Identity>);

impl Keys for Ring {
    fn newest(&self, ids: &[KeyId]) -> Option<(usize, &Identity)> {
        self.0.iter().rev().find_map(|identity| {
            let id = identity.recipient().fingerprint().id();
            Some((ids.iter().position(|wanted| *wanted == id)?, identity))
        })
    }
}

fn ring(algorithm: Algorithm, count: usize) -> Ring {
    Ring((0..count).map(|_| Identity::generate(algorithm)).collect())
}

fn place(item: &str) -> Place {
    Place { namespace: "prod".parse().unwrap(), name: "db".parse().unwrap(), item: item.parse().unwrap() }
}

fn seal(plaintext: &[u8], ring: &Ring) -> SealedValue {
    let recipients = Recipients::new(ring.0.iter().map(|identity| identity.recipient().clone())).unwrap();
    let sealed = "2026-11-23T06:50:00Z".parse().unwrap();
    SealedValue::seal(plaintext, ScopeKind::Strict.at(&place("password")), &recipients, sealed, None).unwrap()
}

/// Seals again what `change` made of the parts of a header: its MAC is right, so only the form can be refused.
fn forged(identity: &Identity, parts: impl FnOnce(&str, &str, &str) -> String) -> Result<SealedValue, SealedError> {
    let file_key = FileKey::generate();
    let binding = format!(
        "-> bulla.dev/v1 scope=strict namespace=prod name=db item=password keys={} sealed=2026-11-23T06:50:00Z\n\n",
        identity.recipient().fingerprint().id()
    );
    let stanza = |recipient: &Recipient| {
        let (args, body) = recipient.wrap(&file_key);
        let mut bytes = Vec::new();
        header::write_stanza(&mut bytes, &args, &body);
        String::from_utf8(bytes).unwrap()
    };
    let other = Identity::generate(Algorithm::X25519);
    let mut bytes =
        [header::INTRO, &parts(&binding, &stanza(identity.recipient()), &stanza(other.recipient()))].concat().into_bytes();
    header::write_mac(&mut bytes, |covered| file_key.mac(covered));
    payload::encrypt(&file_key, b"value", &mut bytes);
    let value: SealedValue = to_base64_padded(&bytes).parse()?;
    value.open(&place("password"), &Ring(vec![identity.to_text().parse().unwrap()])).map(|_| value)
}

#[test]
fn opens_where_it_was_sealed_with_any_of_its_keys() {
    for algorithm in [Algorithm::Hybrid, Algorithm::X25519] {
        let ring = ring(algorithm, 3);
        for plaintext in [&b""[..], b"x", &vec![0xff; 70_000]] {
            let value: SealedValue = seal(plaintext, &ring).to_string().parse().unwrap();
            assert_eq!(value.plaintext_len(), plaintext.len());
            for identity in &ring.0 {
                let one = Ring(vec![identity.to_text().parse().unwrap()]);
                let opened = value.open(&place("password"), &one).unwrap();
                assert_eq!(opened.plaintext.expose(), plaintext);
                assert_eq!(opened.key, identity.recipient().fingerprint().id());
            }
            assert_eq!(value.open(&place("user"), &ring).unwrap_err(), SealedError::Scope(ScopeMismatch::Item));
        }
    }
}

#[test]
fn an_unknown_key_is_named() {
    let value = seal(b"value", &ring(Algorithm::X25519, 2));
    let error = value.open(&place("password"), &ring(Algorithm::X25519, 1)).unwrap_err();
    assert_eq!(error, SealedError::UnknownKey(value.binding().keys.clone()));
    assert!(error.to_string().contains(&value.binding().keys[1].to_string()));
}

#[test]
fn only_the_allowed_stanzas_in_their_order() {
    let identity = Identity::generate(Algorithm::Hybrid);
    let count = |named, found| SealedError::KeyCount { named, found };
    assert!(forged(&identity, |binding, ours, _| format!("{binding}{ours}")).is_ok());
    assert!(forged(&identity, |binding, ours, _| format!("{binding}{ours}-> x-grease y\nAAAA\n")).is_ok());
    let table: [(Parts, SealedError); 11] = [
        (|_, ours, _| ours.to_owned(), SealedError::NoBinding),
        (|binding, ours, _| format!("{ours}{binding}"), SealedError::NoBinding),
        (|binding, ours, _| format!("{binding}{binding}{ours}"), SealedError::Stanza(2)),
        (|binding, ours, _| format!("{binding}{ours}{binding}"), SealedError::Stanza(3)),
        (|binding, ours, _| format!("{}AAAA\n{ours}", binding.trim_end_matches('\n').to_owned() + "\n"), SealedError::NoBinding),
        (|binding, ours, other| format!("{binding}{ours}{other}"), SealedError::Stanza(3)),
        (|binding, ours, _| format!("{binding}{ours}{ours}"), count(1, 2)),
        (|binding, _, _| binding.to_owned(), count(1, 0)),
        (|binding, ours, _| format!("{binding}-> scrypt AAAA 18\n\n{ours}"), SealedError::Stanza(2)),
        (|binding, ours, _| format!("{binding}-> x-grease\n\n{ours}"), SealedError::Stanza(2)),
        (|binding, ours, _| format!("{binding}{ours}-> x-grease\n\n-> y-grease\n\n"), SealedError::Stanza(3)),
    ];
    for (index, (parts, error)) in table.into_iter().enumerate() {
        assert_eq!(forged(&identity, parts), Err(error), "row {index}");
    }
}

#[test]
fn recipient_stanzas_have_one_form() {
    let zero_share = "A".repeat(43);
    for algorithm in [Algorithm::Hybrid, Algorithm::X25519] {
        let identity = Identity::generate(algorithm);
        let malformed = |change: &dyn Fn(&str) -> String| {
            let error = forged(&identity, |binding, ours, _| format!("{binding}{}", change(ours))).unwrap_err();
            assert_eq!(error, SealedError::Recipient(2), "{algorithm}");
        };
        malformed(&|ours| ours.replacen('\n', " extra\n", 1));
        malformed(&|ours| format!("-> {}\n{}", algorithm.stanza(), ours.split_once('\n').unwrap().1));
        malformed(&|ours| ours.replacen(&ours[ours.len() - 44..], "AAAA\n", 1));
        malformed(&|ours| {
            let (head, body) = ours.split_once('\n').unwrap();
            format!("{}\n{body}", &head[..head.len() - 4])
        });
        malformed(&|ours| {
            let (head, body) = ours.split_once('\n').unwrap();
            // The share is the end of a hybrid encapsulation; 32 of its 1,120 bytes do not fall on a base64 border.
            let mut enc = crate::encoding::base64_exact::<1120>(head.split(' ').nth(2).unwrap());
            let share = enc.as_mut().map_or(zero_share.clone(), |enc| {
                enc[1088..].fill(0);
                crate::encoding::base64_unpadded(enc)
            });
            format!("-> {} {share}\n{body}", algorithm.stanza())
        });
    }
}

#[test]
fn the_binding_cannot_be_exchanged() {
    let ring = ring(Algorithm::Hybrid, 1);
    let value = seal(b"value", &ring);
    for (from, to, error) in [
        ("scope=strict namespace=prod name=db item=password", "scope=cluster", SealedError::Mac),
        ("item=password", "item=user", SealedError::Mac),
        ("2026", "2025", SealedError::Mac),
        ("namespace=prod", "namespace=", SealedError::Binding("".parse::<crate::names::Namespace>().unwrap_err().into())),
    ] {
        let text = String::from_utf8_lossy(&value.bytes[..value.wraps[0].1.start]).into_owned();
        let changed = [text.replacen(from, to, 1).as_bytes(), &value.bytes[text.len()..]].concat();
        let item = if to == "item=user" { "user" } else { "password" };
        let outcome =
            to_base64_padded(&changed).parse::<SealedValue>().and_then(|value| value.open(&place(item), &ring).map(drop));
        assert_eq!(outcome, Err(error), "{to}");
    }
}

#[test]
fn limits_come_before_work() {
    assert_eq!("A".repeat(MAX_CHARACTERS + 1).parse::<SealedValue>(), Err(SealedError::TooLong));
    for text in ["=", "AAA", "AAB=", "AA A", "AAAA\n", "AAAAA==="] {
        assert!(matches!(text.parse::<SealedValue>(), Err(SealedError::Base64(_))), "{text:?}");
    }
    let ring = ring(Algorithm::X25519, 1);
    let most = seal(&vec![1; MAX_PLAINTEXT], &ring);
    assert!(most.to_string().len() <= MAX_CHARACTERS);
    assert_eq!(most.open(&place("password"), &ring).unwrap().plaintext.expose().len(), MAX_PLAINTEXT);
    let recipients = Recipients::new([ring.0[0].recipient().clone()]).unwrap();
    let long = SealedValue::seal(&vec![1; MAX_PLAINTEXT + 1], Scope::Cluster, &recipients, Timestamp::UNIX_EPOCH, None);
    assert_eq!(long, Err(SealError::TooLong));
    let cut = &most.bytes[..most.payload + 20];
    assert_eq!(to_base64_padded(cut).parse::<SealedValue>(), Err(SealedError::PayloadLength));
}

#[test]
fn recipients_are_of_one_kind() {
    let hybrid = Identity::generate(Algorithm::Hybrid).recipient().clone();
    let x25519 = Identity::generate(Algorithm::X25519).recipient().clone();
    assert_eq!(Recipients::new([]), Err(SealError::NoRecipient));
    assert_eq!(Recipients::new([hybrid.clone(), x25519]), Err(SealError::MixedRecipients));
    assert_eq!(Recipients::new([hybrid.clone(), hybrid.clone()]).unwrap().iter().count(), 1);
    let many = |count| Recipients::new((0..count).map(|_| Identity::generate(Algorithm::X25519).recipient().clone()));
    assert!(many(MAX_RECIPIENTS).is_ok());
    assert_eq!(many(MAX_RECIPIENTS + 1), Err(SealError::TooManyRecipients));
}

#[test]
fn rewrap_moves_our_stanza_and_nothing_else() {
    for algorithm in [Algorithm::Hybrid, Algorithm::X25519] {
        let all = ring(algorithm, 3);
        let value = seal(b"value", &all);
        let new = Identity::generate(algorithm);
        let ours = Ring(vec![all.0[1].to_text().parse().unwrap()]);
        let moved = value.rewrap(&ours, new.recipient()).unwrap();
        assert_eq!(moved.bytes[moved.payload..], value.bytes[value.payload..]);
        assert_eq!(moved.bytes[moved.wraps[0].1.clone()], value.bytes[value.wraps[0].1.clone()]);
        assert_eq!(moved.bytes[moved.wraps[2].1.clone()], value.bytes[value.wraps[2].1.clone()]);
        assert_eq!(moved.binding().keys[1], new.recipient().fingerprint().id());
        assert_eq!(moved.binding().sealed, value.binding().sealed);
        let again: SealedValue = moved.to_string().parse().unwrap();
        assert_eq!(again.open(&place("password"), &Ring(vec![new])).unwrap().plaintext.expose(), b"value");
        assert!(matches!(again.open(&place("password"), &ours), Err(SealedError::UnknownKey(_))));
        assert_eq!(again.open(&place("password"), &all).unwrap().plaintext.expose(), b"value");
    }
}

#[test]
fn rewrap_drops_further_keys_of_ours_and_keeps_grease() {
    let identity = Identity::generate(Algorithm::X25519);
    let greased = forged(&identity, |binding, ours, _| format!("{binding}{ours}-> x-grease y\nAAAA\n")).unwrap();
    let new = Identity::generate(Algorithm::X25519);
    let moved = greased.rewrap(&Ring(vec![identity]), new.recipient()).unwrap();
    assert_eq!(moved.bytes[moved.grease.clone().unwrap()], *b"-> x-grease y\nAAAA\n");

    let ours = ring(Algorithm::X25519, 2);
    let moved = seal(b"value", &ours).rewrap(&ours, new.recipient()).unwrap();
    assert_eq!(moved.binding().keys, [new.recipient().fingerprint().id()]);
}

#[test]
fn rewrap_refuses_what_opening_refuses_and_other_kinds() {
    let ring = ring(Algorithm::Hybrid, 1);
    let value = seal(b"value", &ring);
    let hybrid = Identity::generate(Algorithm::Hybrid);
    let x25519 = Identity::generate(Algorithm::X25519);
    assert_eq!(value.rewrap(&ring, x25519.recipient()), Err(RewrapError::OtherKind));
    let mut broken = value.clone();
    *broken.bytes.last_mut().unwrap() ^= 1;
    assert_eq!(broken.rewrap(&ring, hybrid.recipient()), Err(SealedError::Payload.into()));
    let two = Ring(vec![Identity::generate(Algorithm::Hybrid), ring.0[0].to_text().parse().unwrap()]);
    let both = seal(b"value", &two);
    assert_eq!(both.rewrap(&ring, two.0[0].recipient()), Err(RewrapError::AlreadyRecipient));
}

#[test]
fn offline_rewrap_makes_recipients_the_only_ones() {
    let old = ring(Algorithm::Hybrid, 2);
    let value = seal(b"value", &old);
    let new = Identity::generate(Algorithm::Hybrid);
    let kept = old.0[1].recipient().clone();
    let to = |all: &[&Recipient]| Recipients::new(all.iter().map(|recipient| (*recipient).clone())).unwrap();
    let moved = value.rewrap_to(&old, &to(&[new.recipient(), &kept])).unwrap();
    assert_eq!(moved.binding().keys, [new.recipient(), &kept].map(|recipient| recipient.fingerprint().id()));
    assert_eq!(moved.bytes[moved.wraps[1].1.clone()], value.bytes[value.wraps[1].1.clone()], "the stanza of one that stays");
    assert!(moved.is_rewrap_of(&value));
    let other = Identity::generate(Algorithm::X25519);
    let weaker = moved.rewrap_to(&Ring(vec![new]), &to(&[other.recipient()])).unwrap();
    assert_eq!((weaker.algorithm(), weaker.wraps.len()), (Algorithm::X25519, 1));
    let opened = weaker.to_string().parse::<SealedValue>().unwrap().open(&place("password"), &Ring(vec![other])).unwrap();
    assert_eq!(opened.plaintext.expose(), b"value");
    assert!(matches!(
        value.rewrap_to(&ring(Algorithm::Hybrid, 1), &to(&[&kept])),
        Err(RewrapError::Sealed(SealedError::UnknownKey(_)))
    ));
}

#[test]
fn what_a_rewrap_cannot_have_done_is_seen_without_a_key() {
    let all = ring(Algorithm::X25519, 2);
    let value = seal(b"value", &all);
    let new = Identity::generate(Algorithm::X25519);
    let ours = Ring(vec![all.0[0].to_text().parse().unwrap()]);
    let moved = value.rewrap(&ours, new.recipient()).unwrap();
    assert!(moved.is_rewrap_of(&value));
    assert!(!seal(b"value", &all).is_rewrap_of(&value), "another payload");
    let mut changed = moved.clone();
    changed.bytes[moved.wraps[1].1.end - 5] ^= 1;
    assert!(!changed.is_rewrap_of(&value), "the stanza of somebody else");
    let mut later = moved.clone();
    later.binding.sealed = "2026-11-24T00:00:00Z".parse().unwrap();
    assert!(!later.is_rewrap_of(&value), "another time");
    let mut wider = moved.clone();
    wider.binding.scope = Scope::Cluster;
    assert!(!wider.is_rewrap_of(&value), "another scope");
    let mut due = value.clone();
    due.binding.rotate_by = "2026-12-01".parse().ok();
    assert!(!moved.is_rewrap_of(&due), "due no more");
}

/// Two keys of ours of which the newer is in other hands since a time.
struct Compromised(Ring, &'static str);

impl Keys for Compromised {
    fn newest(&self, ids: &[KeyId]) -> Option<(usize, &Identity)> {
        self.0.newest(ids)
    }

    fn compromised_at(&self, id: &KeyId) -> Option<Timestamp> {
        (self.0.0.last()?.recipient().fingerprint().id() == *id).then(|| self.1.parse().unwrap())
    }
}

#[test]
fn a_key_in_other_hands_opens_what_was_sealed_before() {
    let new = Identity::generate(Algorithm::X25519);
    for (since, opens) in [("2026-11-23T06:50:00Z", true), ("2026-11-24T00:00:00Z", true), ("2026-11-23T06:49:59Z", false)] {
        let keys = Compromised(ring(Algorithm::X25519, 1), since);
        let value = seal(b"value", &keys.0);
        let moved = value.rewrap(&keys, new.recipient());
        if opens {
            assert_eq!(value.open(&place("password"), &keys).unwrap().plaintext.expose(), b"value");
            assert_eq!(moved.unwrap().binding().rotate_by, since[..10].parse().ok(), "due since that day");
        } else {
            let id = keys.0.0[0].recipient().fingerprint().id();
            assert_eq!(value.open(&place("password"), &keys).unwrap_err(), SealedError::Compromised(id));
            assert_eq!(moved, Err(SealedError::Compromised(id).into()));
        }
    }
    // An earlier date stays.
    let keys = Compromised(ring(Algorithm::X25519, 1), "2026-11-24T00:00:00Z");
    let recipients = Recipients::new([keys.0.0[0].recipient().clone()]).unwrap();
    let due = "2026-11-01".parse().ok();
    let value = SealedValue::seal(b"value", Scope::Cluster, &recipients, "2026-10-01T00:00:00Z".parse().unwrap(), due).unwrap();
    assert_eq!(value.rewrap(&keys, new.recipient()).unwrap().binding().rotate_by, due);
}

#[test]
fn a_long_header_is_refused_at_the_first_stanza_too_many() {
    let header = [header::INTRO, &"-> a\n\n".repeat(10_900)].concat();
    let error = to_base64_padded(header.as_bytes()).parse::<SealedValue>().unwrap_err();
    assert!(matches!(error, SealedError::Header(HeaderError { line: 66, kind: HeaderErrorKind::ManyStanzas, .. })), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_flipped_bit_fails(hybrid: bool, position: prop::sample::Index, bit in 0u8..8, plaintext: Vec<u8>) {
        let ring = ring(if hybrid { Algorithm::Hybrid } else { Algorithm::X25519 }, 1);
        let mut bytes = seal(&plaintext, &ring).bytes;
        let at = position.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let outcome = to_base64_padded(&bytes).parse::<SealedValue>().and_then(|value| value.open(&place("password"), &ring));
        prop_assert!(outcome.is_err(), "bit {bit} of byte {at}");
    }

    #[test]
    fn any_plaintext_comes_back(plaintext: Vec<u8>, hybrid: bool) {
        let ring = ring(if hybrid { Algorithm::Hybrid } else { Algorithm::X25519 }, 1);
        let value: SealedValue = seal(&plaintext, &ring).to_string().parse().unwrap();
        let opened = value.open(&place("password"), &ring).unwrap();
        prop_assert_eq!(opened.plaintext.expose(), plaintext);
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = text.parse::<SealedValue>();
    }
}
