//! Refused for its stanzas: which may stand where, how many, of what form.

use bulla_shared::age::{Algorithm, Identity};

use super::{Stage, line};
use crate::forge::{base64, bytes_unpadded, random, stanza};

pub(super) fn order(stage: &mut Stage<'_>) {
    let (binding, ours) = (stage.binding.clone(), stage.ours.clone());
    let theirs = stage.key.wrap(stage.stranger.recipient());
    let both = stage.binding_of(&[&stage.identity, &stage.stranger]);
    let other = match stage.algorithm {
        Algorithm::Hybrid => Identity::generate(Algorithm::X25519),
        Algorithm::X25519 => Identity::generate(Algorithm::Hybrid),
    };
    let mixed = stage.key.wrap(other.recipient());
    let mixed_binding = stage.binding_of(&[&stage.identity, &other]);
    let scrypt = stanza(&format!("scrypt {} 10", base64(&[7; 16])), &[0; 32]);
    let (grease, more_grease) = ("-> a-grease b\nAAAA\n", "-> c-grease\n\n");
    let upper = match stage.algorithm {
        Algorithm::Hybrid => ours.replacen("mlkem768x25519", "MLKEM768X25519", 1),
        Algorithm::X25519 => ours.replacen("X25519", "x25519", 1),
    };
    let not_here = |position: usize| format!("stanza {position} may not stand here");
    let count = |named: usize, found: usize| format!("the binding names {named} keys for {found} recipient stanzas");
    for (what, comment, stanzas, reason) in [
        ("two-bindings", "the binding stands twice", format!("{binding}{binding}{ours}"), not_here(2)),
        ("binding-last", "the binding stands again at the end", format!("{binding}{ours}{binding}"), not_here(3)),
        ("unknown", "a recipient of an unknown type", format!("{binding}-> piv-p256 AAAA\nAAAA\n"), not_here(2)),
        ("unknown-more", "a further recipient of an unknown type", format!("{both}{ours}-> piv-p256 AAAA\nAAAA\n"), not_here(3)),
        ("scrypt", "a passphrase", format!("{binding}{scrypt}"), not_here(2)),
        ("type-case", "the type in the other case", format!("{binding}{upper}"), not_here(2)),
        ("mixed", "recipients of both kinds", format!("{mixed_binding}{ours}{mixed}"), not_here(3)),
        ("grease-first", "grease before the recipient", format!("{binding}{grease}{ours}"), not_here(2)),
        ("grease-between", "grease between recipients", format!("{both}{ours}{grease}{theirs}"), not_here(3)),
        ("grease-twice", "two grease stanzas", format!("{binding}{ours}{grease}{more_grease}"), not_here(3)),
        ("no-recipient", "no recipient", binding.clone(), count(1, 0)),
        ("no-recipient-grease", "grease and no recipient", format!("{binding}{grease}"), count(1, 0)),
        ("doubled", "the recipient stands twice", format!("{binding}{ours}{ours}"), count(1, 2)),
        ("more", "a recipient that the binding does not name", format!("{binding}{ours}{theirs}"), count(1, 2)),
        ("fewer", "the binding names a key without a recipient", format!("{both}{ours}"), count(2, 1)),
    ] {
        let sealed = stage.sealed(&[&stanzas]);
        stage.refused_each("stanza", what, comment, sealed, &reason);
    }
}

/// The points of low order that are below 2^255 (<https://cr.yp.to/ecdh.html#validate>), and one of them with the top bit set.
const LOW_ORDER: [(&str, &str); 8] = [
    ("zero", "0000000000000000000000000000000000000000000000000000000000000000"),
    ("one", "0100000000000000000000000000000000000000000000000000000000000000"),
    ("eight", "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    ("eight-more", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    ("minus-one", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("prime", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("prime-and-one", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ("top-bit", "0000000000000000000000000000000000000000000000000000000000000080"),
];

pub(super) fn recipient(stage: &mut Stage<'_>) {
    let (head, body) = line(&stage.ours).split_once('\n').unwrap();
    let (kind, share) = head.strip_prefix("-> ").unwrap().split_once(' ').unwrap();
    let (kind, share) = (kind.to_owned(), share.to_owned());
    let (shared, body) = (bytes_unpadded(&share), bytes_unpadded(body));
    let with = |args: &str, body: &[u8]| stanza(&format!("{kind} {args}").replace("  ", ""), body);
    let (rest, last) = share.split_at(share.len() - 1);
    let next = char::from(last.as_bytes()[0] + 1);
    let long_share = base64(&[shared.as_slice(), &[0]].concat());
    let short_share = base64(&shared[..shared.len() - 1]);
    let long_body = [body.as_slice(), &[0]].concat();
    for (what, comment, malformed) in [
        ("no-share", "no argument", stanza(&kind, &body)),
        ("extra-argument", "one argument too many", with(&format!("{share} extra"), &body)),
        ("short-share", "a share that is one byte short", with(&short_share, &body)),
        ("long-share", "a share that is one byte too long", with(&long_share, &body)),
        ("share-padding", "a padded share", with(&format!("{share}="), &body)),
        ("share-bits", "the unused bits of the share are not zero", with(&format!("{rest}{next}"), &body)),
        ("no-body", "an empty body", with(&share, b"")),
        ("short-body", "a body that is one byte short", with(&share, &body[..31])),
        ("long-body", "a body that is one byte too long", with(&share, &long_body)),
    ] {
        let sealed = stage.sealed(&[&stage.binding, &malformed]);
        stage.refused_each("stanza", what, comment, sealed, "recipient stanza 2 is malformed");
    }
    for (what, point) in LOW_ORDER {
        let mut share = shared.clone();
        let start = share.len() - 32;
        for (byte, hex) in share[start..].iter_mut().zip(point.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(str::from_utf8(hex).unwrap(), 16).unwrap();
        }
        let sealed = stage.sealed(&[&stage.binding, &with(&base64(&share), &body)]);
        let what = format!("low-order-{what}");
        stage.refused_each("stanza", &what, "the X25519 share has low order", sealed, "recipient stanza 2 is malformed");
    }
    // A stanza for somebody else is held to the same form.
    let theirs = with(&base64(&vec![0; shared.len()]), &random::<32>());
    let both = stage.binding_of(&[&stage.identity, &stage.stranger]);
    let sealed = stage.sealed(&[&both, &stage.ours, &theirs]);
    let comment = "the stanza of another recipient has a share of low order";
    stage.refused_each("stanza", "malformed-other", comment, sealed, "recipient stanza 3 is malformed");
}
