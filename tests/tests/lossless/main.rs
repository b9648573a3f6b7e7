//! Editing a sealed file loses nothing: every byte but those of the item stays, and kubectl reads the object that was meant.
//!
//! | file | idea |
//! | --- | --- |
//! | `corpus.rs` | manifests as they are found in repositories |
//! | `kubectl.rs` | kubectl's own reader |
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails as the test does")]

mod corpus;
mod kubectl;

use std::cell::Cell;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use bulla_cli::sealed_file::{Change, SealedFile};
use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::Scope;
use bulla_shared::sealed::{Recipients, SealedValue};
use corpus::corpus;
use kubectl::{Kubectl, objects};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use serde_json::Value;

static KUBECTL: LazyLock<Mutex<Kubectl>> = LazyLock::new(|| Mutex::new(Kubectl::start()));

fn read(text: &str) -> Option<Vec<Value>> {
    KUBECTL.lock().unwrap().read(text)
}

/// Three values: that of `a`, that of `b`, a new one.
static VALUES: LazyLock<[SealedValue; 3]> = LazyLock::new(|| {
    let recipients = Recipients::new([Identity::generate(Algorithm::X25519).recipient().clone()]).unwrap();
    [b"a", b"b", b"c"]
        .map(|value| SealedValue::seal(value, Scope::Cluster, &recipients, jiff::Timestamp::UNIX_EPOCH, None).unwrap())
});

fn set(item: &str) -> Change {
    Change::Set(item.parse().unwrap(), Box::new(VALUES[2].clone()))
}

fn unset(item: &str) -> Change {
    Change::Unset(item.parse().unwrap())
}

/// The text after changes to `prod/db`; none if it is refused.
fn edited(text: &str, changes: &[Change]) -> Option<String> {
    let file = SealedFile::of(Path::new("x.yaml"), text.as_bytes()).ok()??;
    let object = file.choose(None, Some("db")).ok()?;
    file.edited(object[0], changes).ok().map(|text| text.to_string())
}

/// The documents with these changes made to the object that kubectl finds.
fn meant(mut documents: Vec<Value>, changes: &[Change]) -> Vec<Value> {
    for object in objects(&mut documents) {
        if object["kind"] != "SealedSecret" || object["metadata"]["name"] != "db" {
            continue;
        }
        let Some(items) = object.pointer_mut("/spec/encryptedData").and_then(Value::as_object_mut) else { continue };
        for change in changes {
            match change {
                Change::Set(item, value) => drop(items.insert(item.to_string(), value.to_string().into())),
                Change::Unset(item) => drop(items.remove(item.as_str())),
            }
        }
    }
    documents
}

/// How many bytes two texts have in common at both ends.
fn common(one: &str, two: &str) -> usize {
    let start = one.bytes().zip(two.bytes()).take_while(|(one, two)| one == two).count();
    let most = one.len().min(two.len()) - start;
    start + one.bytes().rev().zip(two.bytes().rev()).take(most).take_while(|(one, two)| one == two).count()
}

/// Whether one text is the other with something taken away.
fn is_part_of(one: &str, other: &str) -> bool {
    let mut rest = other.bytes();
    one.bytes().all(|byte| rest.any(|other| other == byte))
}

#[test]
fn every_byte_outside_the_item_stays_and_kubectl_reads_what_was_meant() {
    let corpus = corpus();
    assert!(corpus.len() >= 200, "{} manifests", corpus.len());
    let [a, b, c] = VALUES.each_ref().map(ToString::to_string);
    for manifest in &corpus {
        let name = &manifest.name;
        let before = manifest.text([(&a, false), (&b, false)]);
        let documents = read(&before).unwrap_or_else(|| panic!("kubectl does not read {name}"));
        let check = |changes: &[Change], what: &str| {
            let after = edited(&before, changes).unwrap_or_else(|| panic!("{name}: {what} is refused"));
            assert_eq!(read(&after), Some(meant(documents.clone(), changes)), "{name}: {what}\n{after}");
            after
        };
        // Where an item stands once, the whole text is known.
        if !["two sealed objects", "item names"].iter().any(|several| name.starts_with(several)) {
            assert_eq!(check(&[set("a")], "set a"), manifest.text([(&c, true), (&b, false)]), "{name}");
            assert_eq!(check(&[set("b")], "set b"), manifest.text([(&a, false), (&c, true)]), "{name}");
        }
        assert_eq!(check(&[set("a"), set("b")], "set both").matches(&c).count(), 2, "{name}");
        for item in ["new", "1e3", "off", ".x"] {
            let after = check(&[set(item)], "add");
            assert_eq!(common(&before, &after), before.len(), "{name}: only added");
        }
        for item in ["a", "b"] {
            let after = check(&[unset(item)], "unset");
            assert!(is_part_of(&after, &before), "{name}: only taken away");
            assert!(before.matches('#').count() - after.matches('#').count() <= 2, "{name}: comments stay");
        }
        check(&[set("a"), set("z"), unset("b")], "all at once");
    }
    println!("{} manifests, 10 edits each", corpus.len());
}

#[test]
fn what_an_alias_repeats_is_refused() {
    let [a, ..] = VALUES.each_ref().map(ToString::to_string);
    let head = "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {name: db}\n";
    for text in [
        format!("{head}spec:\n  encryptedData: &d\n    a: {a}\n    b: {a}\nother: *d\n"),
        format!(
            "{head}spec:\n  encryptedData:\n    a: &v {a}\n    b: {a}\n  template: {{metadata: {{annotations: {{c: *v}}}}}}\n"
        ),
    ] {
        assert_eq!(edited(&text, &[set("a")]), None);
    }
}

/// Fragments that steer parsers into their corners.
const TOKENS: &[&str] = &[
    " ",
    "  ",
    "\n",
    "\t",
    "\r",
    "\r\n",
    "#",
    " # ",
    "-",
    "- ",
    "---\n",
    "...\n",
    "? ",
    ": ",
    ":",
    ",",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "&x ",
    "*x",
    "<<: ",
    "!!str ",
    "!x ",
    "!!binary ",
    "|",
    ">",
    "|-\n",
    ">+\n",
    "%YAML 1.2\n",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "\u{a0}",
    "é",
    "~",
    "null",
    "a: 1\n",
    "    b: 2\n",
    "kind: Secret\n",
    "\\",
    "\0",
    "@",
    "`",
];

/// What may stand at the end of most lines and means nothing there.
const ENDS: &[&str] = &[" ", "  ", " # c", "  #", " #\t# c", " # kind: Secret", " # ---", " # a: {\"'", " # é 🔑\u{2003}", "\r"];

/// Lines that may stand above most others.
const LINES: &[&str] = &[
    "",
    "   ",
    "#",
    "# c",
    "# a: b",
    "#\tkind: Secret",
    "# --- {[\"'",
    "# é 🔑",
    "x: y",
    "x: \"y # z\"",
    "'x':   {y: [1, 'z']}  # c",
    "x: &x y",
    "x: |+\n        y: z\n\n",
    "x:\n        - y # c",
];

/// What may stand in braces.
const SPACES: &[&str] = &[" ", "   ", "\n          ", "\r\n          ", " # c\n          "];

#[derive(Clone, Debug)]
enum Mutation {
    /// Anywhere, where it seldom leaves a manifest.
    Insert(Index, &'static str),
    Delete(Index, usize),
    Repeat(Index, usize),
    /// At the end of a line.
    End(Index, &'static str),
    /// A line above another, as deep as that.
    Above(Index, &'static str),
    /// Behind a brace or a comma.
    Behind(Index, &'static str),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        3 => (any::<Index>(), select(TOKENS)).prop_map(|(at, token)| Mutation::Insert(at, token)),
        1 => (any::<Index>(), 1..12_usize).prop_map(|(at, length)| Mutation::Delete(at, length)),
        1 => (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        5 => (any::<Index>(), select(ENDS)).prop_map(|(line, end)| Mutation::End(line, end)),
        5 => (any::<Index>(), select(LINES)).prop_map(|(line, above)| Mutation::Above(line, above)),
        5 => (any::<Index>(), select(SPACES)).prop_map(|(brace, space)| Mutation::Behind(brace, space)),
    ]
}

/// Changes the text anywhere but within the ciphertext, which is long and would take most of the changes.
fn mutate(text: &str, mutations: &[Mutation], values: &[String]) -> String {
    let mut text = text.to_owned();
    for (value, short) in values.iter().zip(["\u{1}", "\u{2}"]) {
        text = text.replace(value, short);
    }
    for mutation in mutations {
        let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let piece = |at: &Index, length: usize| {
            let start = at.index(borders.len());
            borders[start]..borders[(start + length).min(borders.len() - 1)]
        };
        let lines: Vec<usize> = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        match mutation {
            Mutation::Insert(at, token) => text.insert_str(piece(at, 0).start, token),
            Mutation::Delete(at, length) => drop(text.drain(piece(at, *length))),
            Mutation::Repeat(at, length) => {
                let range = piece(at, *length);
                let copy = text[range.clone()].to_owned();
                text.insert_str(range.start, &copy);
            }
            Mutation::End(line, end) => {
                let start = lines[line.index(lines.len())];
                let at = start + text[start..].lines().next().unwrap_or_default().len();
                text.insert_str(at, end);
            }
            Mutation::Above(line, above) => {
                let start = lines[line.index(lines.len())];
                let indent: String = text[start..].chars().take_while(|c| *c == ' ').collect();
                text.insert_str(start, &format!("{indent}{above}\n"));
            }
            Mutation::Behind(brace, space) => {
                let braces: Vec<usize> = text.match_indices(['{', '[', ',']).map(|(at, _)| at + 1).collect();
                if !braces.is_empty() {
                    text.insert_str(braces[brace.index(braces.len())], space);
                }
            }
        }
    }
    for (value, short) in values.iter().zip(["\u{1}", "\u{2}"]) {
        text = text.replace(short, value);
    }
    text
}

/// Refusing everything would lose nothing either, so what comes through is counted.
#[test]
fn a_mutated_document_is_edited_as_meant_or_not_at_all() {
    let corpus = corpus();
    let [a, b, _] = VALUES.each_ref().map(ToString::to_string);
    let changes = vec![vec![set("a")], vec![set("new")], vec![unset("a")], vec![unset("b"), set("a"), set("on")]];
    let cases = (any::<Index>(), proptest::collection::vec(mutation(), 1..4), select(changes));
    let (all, as_meant, refused) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let count = |cell: &Cell<u32>| cell.set(cell.get() + 1);
    let config = ProptestConfig { cases: 5000, max_shrink_iters: 2000, source_file: Some(file!()), ..ProptestConfig::default() };
    let result = TestRunner::new(config).run(&cases, |(which, mutations, changes)| {
        let original = corpus[which.index(corpus.len())].text([(&a, false), (&b, false)]);
        let before = mutate(&original, &mutations, &[a.clone(), b.clone()]);
        prop_assume!(before != original);
        count(&all);
        let Some(after) = edited(&before, &changes) else {
            count(&refused);
            return Ok(());
        };
        // What kubectl refuses anyway may stay so.
        let Some(documents) = read(&before) else { return Ok(()) };
        prop_assert_eq!(read(&after), Some(meant(documents, &changes)), "\n{}\nbecame\n{}", before, after);
        count(&as_meant);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let (all, as_meant, refused) = (all.get(), as_meant.get(), refused.get());
    let figures = format!("of {all} mutated documents {as_meant} edited as meant, {refused} refused");
    println!("{figures}");
    assert!(2 * as_meant > all && refused > 0, "{figures}");
}
