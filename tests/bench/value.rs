//! One value of 32 bytes: sealed to its base64 text, opened from it, moved to another key; and opened with many keys in the ring.

use bulla_keys::KeyRing;
use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::ScopeKind;
use bulla_shared::names::Place;
use bulla_shared::sealed::{Recipients, SealedValue};

use crate::measure::{alternate, round};
use crate::peer::Peer;
use crate::table::Goal::{self, Ratio};
use crate::table::{Table, Unit};

const ROUNDS: usize = 31;
const COUNT: u32 = 100;

pub(crate) fn place() -> Place {
    Place { namespace: "prod".parse().unwrap(), name: "db".parse().unwrap(), item: "password".parse().unwrap() }
}

/// Seals strictly for [`place`] and gives the text.
pub(crate) fn seal(plaintext: &[u8], recipients: &Recipients) -> String {
    let sealed = "2026-11-23T06:50:00Z".parse().unwrap();
    SealedValue::seal(plaintext, ScopeKind::Strict.at(&place()), recipients, sealed, None).unwrap().to_string()
}

/// A new identity as its own recipient.
pub(crate) fn recipient(identity: &Identity) -> Recipients {
    Recipients::new([identity.recipient().clone()]).unwrap()
}

pub(crate) fn run(table: &mut Table, peer: &mut Peer) {
    for (algorithm, open_goal) in [(Algorithm::Hybrid, Ratio(1.0, Some(0.6))), (Algorithm::X25519, Ratio(1.0, None))] {
        one_value(table, peer, algorithm, open_goal);
    }
    for algorithm in [Algorithm::Hybrid, Algorithm::X25519] {
        rewrap(table, algorithm);
    }
    many_keys(table);
}

fn one_value(table: &mut Table, peer: &mut Peer, algorithm: Algorithm, open_goal: Goal) {
    let identity = Identity::generate(algorithm);
    let recipients = recipient(&identity);
    let ring = KeyRing::from_iter([identity]);
    let (plaintext, place) = ([7; 32], place());
    let text = seal(&plaintext, &recipients);
    let ours = round(COUNT, || seal(&plaintext, &recipients));
    let [ours, go] = alternate(ROUNDS, [ours, peer.round("seal", algorithm.as_str(), COUNT)]);
    table.add(format!("seal, {algorithm}"), Unit::Time, ours, Some(("Go age", go)), Ratio(1.0, None));
    let ours = round(COUNT, || text.parse::<SealedValue>().unwrap().open(&place, &ring).unwrap());
    let [ours, go] = alternate(ROUNDS, [ours, peer.round("open", algorithm.as_str(), COUNT)]);
    table.add(format!("open, {algorithm}"), Unit::Time, ours, Some(("Go age", go)), open_goal);
}

fn rewrap(table: &mut Table, algorithm: Algorithm) {
    let (old, new) = (Identity::generate(algorithm), Identity::generate(algorithm));
    let text = seal(&[7; 32], &recipient(&old));
    let (ring, place) = (KeyRing::from_iter([old]), place());
    let open = round(COUNT, || text.parse::<SealedValue>().unwrap().open(&place, &ring).unwrap());
    let rewrap = round(COUNT, || text.parse::<SealedValue>().unwrap().rewrap(&ring, new.recipient()).unwrap().to_string());
    let [open, rewrap] = alternate(ROUNDS, [open, rewrap]);
    table.add(format!("rewrap, {algorithm}"), Unit::Time, rewrap, Some(("open", open)), Goal::None);
}

fn many_keys(table: &mut Table) {
    let identity = Identity::generate(Algorithm::Hybrid);
    let text = seal(&[7; 32], &recipient(&identity));
    let place = place();
    let ring = |count: usize| -> KeyRing {
        let ours = identity.to_text().parse().unwrap();
        std::iter::once(ours).chain((1..count).map(|_| Identity::generate(Algorithm::Hybrid))).collect()
    };
    let rings = [1, 10, 100].map(ring);
    let open = |ring| {
        let (text, place) = (&text, &place);
        round(COUNT, move || text.parse::<SealedValue>().unwrap().open(place, ring).unwrap())
    };
    let [one, ten, hundred] = alternate(ROUNDS, rings.each_ref().map(open));
    for (count, took) in [(10, ten), (100, hundred)] {
        table.add(format!("open, hybrid, {count} keys in the ring"), Unit::Time, took, Some(("1 key", one)), Ratio(1.1, None));
    }
}
