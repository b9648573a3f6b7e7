//! Values that are refused, one failure each: in form, in the binding, in the stanzas, at opening.
//!
//! Wherever a header can be malformed and still have a right MAC, it has one, so that only the form can be the reason.

mod binding;
mod form;
mod opening;
mod stanzas;

use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::names::Place;

use crate::forge::{FileKey, stanza};
use crate::vector::place;
use crate::{Case, Output};

pub(crate) fn write(output: &mut Output) {
    let mut stage = Stage::new(output, Algorithm::X25519);
    form::base64(&mut stage);
    form::header(&mut stage);
    form::mac_line(&mut stage);
    form::size(&mut stage);
    binding::first_stanza(&mut stage);
    binding::scope_and_names(&mut stage);
    binding::keys(&mut stage);
    binding::times(&mut stage);
    for algorithm in [Algorithm::Hybrid, Algorithm::X25519] {
        let mut stage = Stage::new(output, algorithm);
        stanzas::order(&mut stage);
        stanzas::recipient(&mut stage);
        opening::keys(&mut stage);
        opening::mac(&mut stage);
        opening::scope(&mut stage);
        opening::payload(&mut stage);
    }
}

/// What most vectors are made of: our key, a stranger's, and the parts of a value that opens.
struct Stage<'o> {
    output: &'o mut Output,
    algorithm: Algorithm,
    identity: Identity,
    stranger: Identity,
    key: FileKey,
    /// Arguments of a binding of scope strict, sealed to us.
    args: String,
    /// The stanza of `args`.
    binding: String,
    /// The stanza that wraps `key` for us.
    ours: String,
}

impl<'o> Stage<'o> {
    fn new(output: &'o mut Output, algorithm: Algorithm) -> Self {
        let (identity, stranger) = (Identity::generate(algorithm), Identity::generate(algorithm));
        let key = FileKey::new();
        let args = args(&id(&identity));
        let (binding, ours) = (stanza(&args, b""), key.wrap(identity.recipient()));
        let stage = Self { output, algorithm, identity, stranger, key, args, binding, ours };
        let control = stage.case("opened-control", "", place(), stage.sealed(&[&stage.binding, &stage.ours]));
        assert_eq!(crate::vector(&control).open().unwrap().plaintext.expose(), VALUE, "the parts by themselves are right");
        stage
    }

    /// A value of these stanzas, with a right MAC.
    fn sealed(&self, stanzas: &[&str]) -> String {
        self.key.sealed(&stanzas.concat(), VALUE)
    }

    /// A value whose binding names these keys.
    fn binding_of(&self, keys: &[&Identity]) -> String {
        let ids: Vec<String> = keys.iter().map(|identity| id(identity)).collect();
        stanza(&self.args.replace(&id(&self.identity), &ids.join(",")), b"")
    }

    fn case<'c>(&'c self, file: &str, comment: &'c str, place: Place, sealed: String) -> Case<'c> {
        Case { file: file.to_owned(), comment, identity: &self.identity, place, sealed }
    }

    fn refused(&mut self, file: &str, comment: &str, sealed: String, reason: &str) {
        self.refused_at(place(), file, comment, sealed, reason);
    }

    fn refused_at(&mut self, place: Place, file: &str, comment: &str, sealed: String, reason: &str) {
        let case = Case { file: file.to_owned(), comment, identity: &self.identity, place, sealed };
        self.output.refused(&case, reason);
    }

    /// As `refused`, where each algorithm has a vector of its own.
    fn refused_each(&mut self, class: &str, what: &str, comment: &str, sealed: String, reason: &str) {
        self.refused(&format!("{class}-{}-{what}", self.algorithm), comment, sealed, reason);
    }
}

const VALUE: &[u8] = b"a value that nobody sees";

fn id(identity: &Identity) -> String {
    identity.recipient().fingerprint().id().to_string()
}

/// Type and arguments of a binding to the usual place.
fn args(keys: &str) -> String {
    format!(
        "bulla.dev/v1 scope=strict namespace=prod name=db item=item keys={keys} sealed=2026-11-23T06:50:00Z rotate-by=2027-02-21"
    )
}

/// `text` with its one occurrence of `from` changed.
fn change(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    text.replace(from, to)
}

/// `text` without its last line feed.
fn line(text: &str) -> &str {
    text.strip_suffix('\n').unwrap()
}
