//! Values that open: both algorithms, every scope, every optional part, the limits.

use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::{Binding, MAX_RECIPIENTS, ScopeKind};
use bulla_shared::names::Place;
use bulla_shared::sealed::{Recipients, SealedValue};

use crate::forge::{FileKey, stanza};
use crate::vector::place;
use crate::{Case, Output};

const SEALED: &str = "2026-11-23T06:50:00Z";

pub(crate) fn write(output: &mut Output) {
    for algorithm in [Algorithm::Hybrid, Algorithm::X25519] {
        for scope in [ScopeKind::Strict, ScopeKind::Namespace, ScopeKind::Cluster] {
            of_scope(output, algorithm, scope);
        }
        limits(output, algorithm);
    }
}

fn of_scope(output: &mut Output, algorithm: Algorithm, scope: ScopeKind) {
    let here = place();
    // A value of a wider scope is opened elsewhere than it was sealed.
    let opened_at = match scope {
        ScopeKind::Strict => here.clone(),
        ScopeKind::Namespace => Place { namespace: here.namespace.clone(), ..elsewhere() },
        ScopeKind::Cluster => elsewhere(),
    };
    let identities: Vec<_> = (0..3).map(|_| Identity::generate(algorithm)).collect();
    let mut write = |what: &str, comment: &str, identity, sealed: String, plaintext: &[u8]| {
        let file = format!("opened-{algorithm}-{scope}{what}");
        output.opens(&Case { file, comment, identity, place: opened_at.clone(), sealed }, plaintext);
    };
    let seal = |plaintext: &[u8], identities: &[Identity], rotate_by: Option<&str>| {
        let rotate_by = rotate_by.map(|date| date.parse().unwrap());
        let sealed = SEALED.parse().unwrap();
        SealedValue::seal(plaintext, scope.at(&here), &recipients(identities), sealed, rotate_by).unwrap().to_string()
    };
    let [first, second, _] = identities.as_slice() else { unreachable!("there are three") };
    let one = std::slice::from_ref(first);
    write("", "one recipient", first, seal(b"correct horse battery staple", one, None), b"correct horse battery staple");
    let binary = [0, 0xff, b'\n', 0x80, b'='];
    write("-rotate-by", "binary, due for rotation", first, seal(&binary, one, Some("2027-02-21")), &binary);
    write("-recipients", "empty, three recipients, the second opens", second, seal(b"", &identities, None), b"");
    let keys = vec![first.recipient().fingerprint().id()];
    let binding = Binding { scope: scope.at(&here), keys, sealed: SEALED.parse().unwrap(), rotate_by: None };
    let key = FileKey::new();
    let header = [
        stanza(&format!("bulla.dev/v1 {binding}"), b""),
        key.wrap(first.recipient()),
        stanza("R2-grease !~ = keys=", b"nothing to see in here"),
    ];
    write("-grease", "a grease stanza stands last", first, key.sealed(&header.concat(), b"greased"), b"greased");
}

fn limits(output: &mut Output, algorithm: Algorithm) {
    let identities: Vec<_> = (0..MAX_RECIPIENTS).map(|_| Identity::generate(algorithm)).collect();
    let longest = Place {
        namespace: "n".repeat(63).parse().unwrap(),
        name: ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".").parse().unwrap(),
        item: "_".repeat(253).parse().unwrap(),
    };
    let (scope, sealed) = (ScopeKind::Strict.at(&longest), SEALED.parse().unwrap());
    let value = SealedValue::seal(b"last", scope, &recipients(&identities), sealed, Some("2027-02-21".parse().unwrap())).unwrap();
    let case = Case {
        file: format!("opened-{algorithm}-most"),
        comment: "the longest names and the most recipients, the last opens",
        identity: identities.last().unwrap(),
        place: longest,
        sealed: value.to_string(),
    };
    output.opens(&case, b"last");
}

/// A place that differs from the usual one in every part.
pub(crate) fn elsewhere() -> Place {
    Place { namespace: "dev".parse().unwrap(), name: "web".parse().unwrap(), item: "other".parse().unwrap() }
}

fn recipients(identities: &[Identity]) -> Recipients {
    Recipients::new(identities.iter().map(|identity| identity.recipient().clone())).unwrap()
}
