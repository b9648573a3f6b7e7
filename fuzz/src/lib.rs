//! What the targets on sealed values share: the keys and the place of the test vectors, and what holds for any value.

use std::sync::LazyLock;

use bulla_keys::KeyRing;
use bulla_shared::age::Identity;
use bulla_shared::binding::Binding;
use bulla_shared::names::Place;
use bulla_shared::sealed::{RewrapError, SealedValue};

/// The identities of `tests/vectors` that open most of them; no secrets of anybody.
const IDENTITIES: [&str; 3] = [
    "AGE-SECRET-KEY-1EX24J8AV9HHFJNN8PV4EY48Z33WRC8UDN5SAA4FEK7X9682746XSQ7W6Y2",
    "AGE-SECRET-KEY-1ZDJRR0NFTXNSUD9Z55DHGSH43045FQJRSZ055DEA8PAQ7E5CAAZQUAL9GX",
    "AGE-SECRET-KEY-PQ-18UNH586D2M3M0S6GNH84FT84PRUFWDLZ8NGEHLNF808G6DCHUUHQ3R7FG6",
];

static RING: LazyLock<KeyRing> = LazyLock::new(|| IDENTITIES.map(identity).into_iter().collect());

static PLACE: LazyLock<Place> = LazyLock::new(|| Place {
    namespace: "prod".parse().expect("a namespace"),
    name: "db".parse().expect("a name"),
    item: "item".parse().expect("an item"),
});

/// Two identities to move values to, one of each kind.
static NEW: LazyLock<[Identity; 2]> = LazyLock::new(|| {
    [
        identity("AGE-SECRET-KEY-1SKYGVVWTWTQXTEZLA2EAA3UAZT75GQYGRWX2CW7EWF3CTHTXC76S6T5CMR"),
        identity("AGE-SECRET-KEY-PQ-1VV38CEYJRT5558RJW7QFH3X46ER2MHJKNPNE4NYQALMZXXWP0GHSZACU4G"),
    ]
});

fn identity(text: &str) -> Identity {
    text.parse().expect("an identity")
}

/// Reads `text` as a sealed value; if it is one, checks all that must hold for it, opens it and rewraps it.
pub fn check_sealed(text: &str) {
    let Ok(value) = text.parse::<SealedValue>() else { return };
    assert_eq!(value.to_string(), text, "a value has one text");
    let binding = value.binding();
    check_binding(binding);
    assert!(text.len() / 4 * 3 > value.plaintext_len());
    let Ok(opened) = value.open(&PLACE, &*RING) else { return };
    assert_eq!(opened.plaintext.expose().len(), value.plaintext_len());
    assert!(binding.keys.contains(&opened.key));
    assert_eq!(binding.scope.check(&PLACE), Ok(()));
    let new = NEW.iter().find(|new| new.recipient().algorithm() == value.algorithm()).expect("there is one of each kind");
    let moved = match value.rewrap(&*RING, new.recipient()) {
        Err(RewrapError::AlreadyRecipient) => return,
        moved => moved.expect("what opens can be moved"),
    };
    assert_eq!(moved.to_string().parse().as_ref(), Ok(&moved));
    assert!(moved.open(&PLACE, &*RING).is_err(), "none of the old keys opens it");
    let ring: KeyRing = [new.to_text().parse::<Identity>().expect("an identity")].into_iter().collect();
    let again = moved.open(&PLACE, &ring).expect("the new key opens it");
    assert!(again.plaintext.expose() == opened.plaintext.expose());
    assert_eq!((&moved.binding().scope, moved.binding().sealed), (&binding.scope, binding.sealed));
}

/// The text of a binding reads as the same binding.
pub fn check_binding(binding: &Binding) {
    let text = binding.to_string();
    let args: Vec<&str> = text.split(' ').collect();
    assert_eq!(Binding::from_args(&args).as_ref(), Ok(binding));
}
