//! Well-formed, and refused at opening: the key, the MAC, the place, the payload.

use bulla_shared::names::Place;

use super::{Stage, VALUE, change, id};
use crate::forge::{FileKey, base64, bytes, bytes_unpadded, text};
use crate::good::elsewhere;
use crate::vector::place;

/// Stanza `text` with one bit of its last argument or of its body changed.
fn flip(stanza: &str, argument: bool, at: usize) -> String {
    let mut parts: Vec<String> = stanza.split([' ', '\n']).map(str::to_owned).collect();
    let part = &mut parts[if argument { 2 } else { 3 }];
    let mut decoded = bytes_unpadded(part);
    decoded[at] ^= 1;
    *part = base64(&decoded);
    format!("{} {} {}\n{}\n", parts[0], parts[1], parts[2], parts[3])
}

pub(super) fn keys(stage: &mut Stage<'_>) {
    let theirs = stage.key.wrap(stage.stranger.recipient());
    let stranger = stage.binding_of(&[&stage.stranger]);
    let (ours, binding) = (stage.ours.clone(), stage.binding.clone());
    let swapped = stage.binding_of(&[&stage.stranger, &stage.identity]);
    let share = bytes_unpadded(ours.split([' ', '\n']).nth(2).unwrap()).len() - 32;
    let missing = format!("sealed to key {}, which is not here", id(&stage.stranger));
    let wrong = format!("the stanza for key {} does not open with that key", id(&stage.identity));
    for (class, what, comment, stanzas, reason) in [
        ("unknown-key", "stranger", "sealed to another key", format!("{stranger}{theirs}"), &missing),
        ("unknown-key", "hidden", "keys names another key than the stanza is for", format!("{stranger}{ours}"), &missing),
        ("wrong-key", "claimed", "keys names our key, the stanza is for another", format!("{binding}{theirs}"), &wrong),
        ("wrong-key", "swapped", "two ids in the wrong order", format!("{swapped}{ours}{theirs}"), &wrong),
        ("wrong-key", "body", "a bit of the wrapped file key is changed", format!("{binding}{}", flip(&ours, false, 3)), &wrong),
        ("wrong-key", "tag", "a bit of its tag is changed", format!("{binding}{}", flip(&ours, false, 31)), &wrong),
        (
            "wrong-key",
            "share",
            "a bit of the X25519 share is changed",
            format!("{binding}{}", flip(&ours, true, share + 5)),
            &wrong,
        ),
    ] {
        let sealed = stage.sealed(&[&stanzas]);
        stage.refused_each(class, what, comment, sealed, reason);
    }
    if share > 0 {
        let changed = flip(&ours, true, 100);
        let sealed = stage.sealed(&[&binding, &changed]);
        stage.refused_each("wrong-key", "mlkem", "a bit of the ML-KEM ciphertext is changed", sealed, &wrong);
    }
}

pub(super) fn mac(stage: &mut Stage<'_>) {
    let theirs = stage.key.wrap(stage.stranger.recipient());
    let both = stage.binding_of(&[&stage.identity, &stage.stranger]);
    let (binding, ours) = (stage.binding.clone(), stage.ours.clone());
    let another = FileKey::new().wrap(stage.identity.recipient());
    let grease = "-> x-grease y\nAAAA\n";
    let edit = |from: &str, to: &str| format!("{}{ours}", change(&binding, from, to));
    let one = format!("{binding}{ours}");
    let two = format!("{both}{ours}{theirs}");
    let reordered = stage.binding_of(&[&stage.stranger, &stage.identity]);
    let names = " namespace=prod name=db item=item";
    let cases = [
        ("scope-cluster", "the scope is widened to the cluster", &one, edit(&format!("strict{names}"), "cluster")),
        (
            "scope-namespace",
            "the scope is widened to the namespace",
            &one,
            edit("strict namespace=prod name=db item=item", "namespace namespace=prod"),
        ),
        ("sealed", "the date of sealing is changed", &one, edit("sealed=2026", "sealed=2027")),
        ("rotate-by", "the rotation is put off", &one, edit("rotate-by=2027", "rotate-by=2037")),
        ("no-rotate-by", "the rotation is taken out", &one, edit(" rotate-by=2027-02-21", "")),
        ("grease-added", "grease is added", &one, format!("{one}{grease}")),
        ("grease-removed", "grease is removed", &format!("{one}{grease}"), one.clone()),
        ("recipient-added", "a recipient is added", &one, two.clone()),
        ("recipient-removed", "a recipient is removed, with its id", &two, one.clone()),
        (
            "recipient-changed",
            "a bit of another recipient's stanza is changed",
            &two,
            format!("{both}{ours}{}", flip(&theirs, false, 3)),
        ),
        ("recipients-reordered", "stanzas and ids are in another order", &two, format!("{reordered}{theirs}{ours}")),
        ("other-stanza", "our stanza is that of another value", &one, format!("{binding}{another}")),
    ]
    .map(|(what, comment, before, after)| (what, comment, before.clone(), after));
    for (what, comment, before, after) in cases {
        let header = change(&stage.key.header(&before), &before, &after);
        let sealed = text(&[header.as_bytes(), &stage.key.payload(VALUE)].concat());
        stage.refused_each("mac", what, comment, sealed, "its MAC does not match");
    }
    let moved = change(&stage.key.header(&one), "item=item", "item=other");
    let sealed = text(&[moved.as_bytes(), &stage.key.payload(VALUE)].concat());
    let place = Place { item: elsewhere().item, ..place() };
    let file = format!("mac-{}-item", stage.algorithm);
    stage.refused_at(place, &file, "the item is changed to where it stands", sealed, "its MAC does not match");

    let mut flipped = bytes(&stage.sealed(&[&one]));
    let header = stage.key.header(&one).len();
    // The last character of a MAC has two unused bits, so the first one is changed.
    flipped[header - 44] = if flipped[header - 44] == b'A' { b'B' } else { b'A' };
    stage.refused_each("mac", "bit", "the MAC itself is changed", text(&flipped), "its MAC does not match");
    let at_wrong_place = change(&stage.key.header(&one), "item=item", "item=wrong");
    let sealed = text(&[at_wrong_place.as_bytes(), &stage.key.payload(VALUE)].concat());
    stage.refused_each(
        "mac",
        "before-scope",
        "the MAC and the scope are wrong: the MAC comes first",
        sealed,
        "its MAC does not match",
    );
}

pub(super) fn scope(stage: &mut Stage<'_>) {
    let strict = stage.sealed(&[&stage.binding, &stage.ours]);
    let namespaced = change(&stage.binding, "strict namespace=prod name=db item=item", "namespace namespace=prod");
    let namespaced = stage.sealed(&[&namespaced, &stage.ours]);
    let Place { namespace, name, item } = elsewhere();
    for (what, comment, place, sealed, reason) in [
        (
            "namespace",
            "moved to another namespace",
            Place { namespace: namespace.clone(), ..place() },
            &strict,
            "another namespace",
        ),
        ("name", "moved to another name", Place { name, ..place() }, &strict, "another name"),
        ("item", "moved to another item", Place { item, ..place() }, &strict, "another item"),
        ("all", "moved in every part: the namespace is named", elsewhere(), &strict, "another namespace"),
        ("wide", "bound to a namespace, moved to another", Place { namespace, ..place() }, &namespaced, "another namespace"),
    ] {
        let file = format!("scope-{}-{what}", stage.algorithm);
        stage.refused_at(place, &file, comment, sealed.clone(), reason);
    }
    let mut broken = bytes(&strict);
    *broken.last_mut().unwrap() ^= 1;
    let file = format!("scope-{}-before-payload", stage.algorithm);
    let comment = "the scope and the payload are wrong: the scope comes first";
    stage.refused_at(elsewhere(), &file, comment, text(&broken), "another namespace");
}

pub(super) fn payload(stage: &mut Stage<'_>) {
    let header = stage.key.header(&[stage.binding.as_str(), &stage.ours].concat());
    let good = stage.key.payload(VALUE);
    let flipped = |at: usize| {
        let mut payload = good.clone();
        payload[at] ^= 1;
        payload
    };
    for (what, comment, payload) in [
        ("nonce", "a bit of the nonce is changed", flipped(0)),
        ("chunk", "a bit of the ciphertext is changed", flipped(16)),
        ("tag", "a bit of the tag is changed", flipped(good.len() - 1)),
        ("cut", "one byte is missing", good[..good.len() - 1].to_vec()),
        ("cut-to-tag", "only one tag's worth is left", good[..32].to_vec()),
        ("longer", "one byte follows", [good.as_slice(), &[0]].concat()),
        ("not-last", "the last chunk is not marked as the last", stage.key.stream(VALUE, |_| (0, false))),
        ("counter", "the first chunk has the number of the second", stage.key.stream(VALUE, |_| (1, true))),
        ("other", "the payload of another value", FileKey::new().payload(VALUE)),
    ] {
        let sealed = text(&[header.as_bytes(), &payload].concat());
        stage.refused_each("payload", what, comment, sealed, "the payload was changed after sealing");
    }
}
