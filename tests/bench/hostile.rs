//! How long a refusal takes, beside opening a good value of the same size: X25519, the cheaper kind, so the harder comparison.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_keys::KeyRing;
use bulla_shared::age::header::{Header, INTRO, Limits, write_mac, write_stanza};
use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::MAX_RECIPIENTS;
use bulla_shared::sealed::{MAX_PLAINTEXT, Recipients, SealedValue};

use crate::measure::{alternate, round};
use crate::table::{Goal, Table, Unit};
use crate::value::{place, recipient, seal};

const SIZE: usize = 64 * 1024;
const ROUNDS: usize = 31;

/// The most that a refusal of 64 KiB may take, in microseconds, and the most times a good value.
const GOAL: Goal = Goal::Both(1000.0, 3.0);

pub(crate) fn run(table: &mut Table) {
    let ours = Identity::generate(Algorithm::X25519);
    let good = recipient(&ours);
    let hybrid = Identity::generate(Algorithm::Hybrid);
    let crowd: Vec<_> = (1..MAX_RECIPIENTS).map(|_| Identity::generate(Algorithm::Hybrid).recipient().clone()).collect();
    let crowd = Recipients::new(crowd.into_iter().chain([hybrid.recipient().clone()])).unwrap();
    let crowded = STANDARD.decode(seal(&vec![7; SIZE / 4], &crowd)).unwrap();
    let header = Header::read(&crowded, Limits::SEALED).unwrap();
    let stanza_end = header.stanzas[MAX_RECIPIENTS].span.end;
    let mac = header.mac_covers + 2;
    let ring = KeyRing::from_iter([ours, hybrid]);

    let x25519 = STANDARD.decode(seal(&vec![7; SIZE], &good)).unwrap();
    let last = x25519.len() - 1;
    let largest = STANDARD.decode(seal(&vec![7; MAX_PLAINTEXT], &good)).unwrap();
    let largest_last = largest.len() - 1;
    let cases = [
        ("64 KiB of tiny stanzas", "header", filled("", "-> a\n\n"), GOAL),
        ("64 KiB in one line", "header", filled("-> ", "a"), GOAL),
        ("64 KiB in 32 large stanzas", "stanza", large_stanzas(&good), GOAL),
        ("30 hybrid stanzas, ours changed", "wrong-key", changed(&crowded, stanza_end - 3), GOAL),
        ("30 hybrid stanzas, MAC changed", "mac", changed(&crowded, mac), GOAL),
        ("64 KiB payload, last byte changed", "payload", changed(&x25519, last), GOAL),
        ("1 MiB payload, last byte changed", "payload", changed(&largest, largest_last), Goal::Ratio(3.0, None)),
    ];
    for (what, class, hostile, goal) in cases {
        let good = same_size(&hostile, &good);
        let place = place();
        let count = if hostile.len() > 2 * SIZE { 4 } else { 50 };
        let open = |text: &str| text.parse::<SealedValue>().and_then(|value| value.open(&place, &ring));
        assert_eq!(open(&hostile).unwrap_err().class(), class, "{what}");
        assert!(open(&good).is_ok(), "{what}");
        let [refused, opened] = alternate(ROUNDS, [round(count, || open(&hostile)), round(count, || open(&good))]);
        table.add(format!("refuse {what}"), Unit::Time, refused, Some(("good value", opened)), goal);
    }
}

/// The first line of a header, `start`, and `piece` again and again: 64 KiB in all, as text of a value.
fn filled(start: &str, piece: &str) -> String {
    let bytes: Vec<u8> = INTRO.bytes().chain(start.bytes()).chain(piece.bytes().cycle()).take(SIZE).collect();
    STANDARD.encode(bytes)
}

/// The binding of a good value and 31 stanzas that fill the header, of a type that may not stand there.
fn large_stanzas(recipients: &Recipients) -> String {
    let good = STANDARD.decode(seal(&[7; 32], recipients)).unwrap();
    let header = Header::read(&good, Limits::SEALED).unwrap();
    let mut bytes = good[..header.stanzas[0].span.end].to_vec();
    let room = Limits::SEALED.header - bytes.len() - 100;
    // 48 bytes a line of 64 characters and a line feed; the type's line, and the last short one.
    let body = vec![7; (room / 31 - 20) / 65 * 48];
    for _ in 0..31 {
        write_stanza(&mut bytes, "unknown", &body);
    }
    write_mac(&mut bytes, |_| [7; 32]);
    bytes.extend_from_slice(&good[header.payload..]);
    STANDARD.encode(bytes)
}

fn changed(value: &[u8], at: usize) -> String {
    let mut value = value.to_vec();
    // Case only: what is base64 stays so.
    value[at] ^= if value[at].is_ascii_alphabetic() { 0x20 } else { 1 };
    STANDARD.encode(value)
}

/// A good value whose text is as long as `text`, within what a chunk more or less makes.
fn same_size(text: &str, recipients: &Recipients) -> String {
    let overhead = seal(&[], recipients).len();
    let length = text.len().saturating_sub(overhead) / 4 * 3;
    seal(&vec![7; length.min(MAX_PLAINTEXT)], recipients)
}
