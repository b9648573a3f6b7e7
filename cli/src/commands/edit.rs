//! `bulla edit`: the items of one SealedSecret in an editor. Without a private key the values are placeholders.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bulla_keys::KeyRing;
use bulla_shared::SecretBytes;
use bulla_shared::names::{ItemName, Place};
use zeroize::Zeroizing;

use super::items;
use super::sealed_object::{ObjectArgs, known};
use super::sealing::{Sealing, SealingArgs};
use crate::editor::{Draft, patience};
use crate::error::{Error, Kind, note};
use crate::keys::all_identities;
use crate::manifest::{ManifestError, Node, ScalarValue, Tag, decode, is_plain_key, parse};
use crate::sealed_file::{Change, Found};
use crate::yaml::{plaintext_room, push_plaintext};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulla edit db.yaml                      values are placeholders: overwrite, add or remove lines\n  \
    bulla edit -i recovery.key db.yaml      values are opened, and only what changes is sealed again\n\n\
    The editor is $VISUAL, else $EDITOR. Its text lies in memory where the system has such a folder (/dev/shm, $XDG_RUNTIME_DIR), readable to \
    you alone, and is removed however the editor ends. A placeholder is valid only under the item that it was shown under.\n\n\
    What cannot be used or written comes back to the editor with the reason on top; leaving it as it is gives up, and so do eight \
    such texts where standard input is no terminal. What others change in the file meanwhile stays, and where both changed the same item you \
    choose."
)]
pub struct Args {
    #[command(flatten)]
    object: ObjectArgs,
    /// File with private keys that open the values; may be repeated
    #[arg(short, long = "identity", value_name = "FILE")]
    identities: Vec<PathBuf>,
    #[command(flatten)]
    sealing: SealingArgs,
}

/// Items with a value, or without: in a text such an item keeps its ciphertext, among those that were touched it goes.
type Wanted = Vec<(ItemName, Option<SecretBytes>)>;

const TAG: &str = "!sealed";

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let ring: KeyRing = all_identities(&args.identities)?.into_iter().collect();
    let file = args.object.read()?;
    let object = args.object.choose(&file)?;
    let sealing = args.sealing.read()?.of(Some(&args.object.file), |config| known(config, &object))?;
    let namespace = args.object.place_of(&object, sealing.rule.namespace.as_ref());
    let opened = object.iter().filter_map(|found| {
        let (name, item) = (found.name.parse().ok()?, found.item.parse().ok()?);
        let place = Place { namespace: namespace.clone().unwrap_or_else(|| "default".parse().expect("a namespace")), name, item };
        let value = found.value.open(&place, &ring).ok()?.plaintext;
        Some((place.item, value))
    });
    let opened: BTreeMap<ItemName, SecretBytes> = opened.collect();
    if !args.identities.is_empty() && opened.is_empty() {
        return Err(Error::new(Kind::Keys, format!("cannot open any value in {}", args.object.file.display())).hint(
            "give the identity file of a key that they are sealed to: see bulla inspect; without -i they are placeholders",
        ));
    }
    let mut draft = Draft::new("items.yaml", &text(&object, &opened))?;
    let mut text = draft.edit()?;
    let mut session = Session { args, shown: &object, opened: &opened, sealing: &sealing, told: BTreeMap::new() };
    // What cannot be used or written goes back to whoever typed it, whatever the reason.
    let mut rounds = patience();
    while let Err(refusal) = session.apply(&text) {
        rounds -= 1;
        if rounds == 0 {
            let (Refusal::Mend(error) | Refusal::Confirm(error)) = refusal;
            return Err(error.during("the editor gives back texts that cannot be used or written, again and again"));
        }
        text = again(&mut draft, &text, refusal)?;
    }
    Ok(())
}

/// Why a text goes back to the editor.
enum Refusal {
    /// Something has to be changed in it.
    Mend(Error),
    /// It may be meant as it is: whoever takes the reason away says so.
    Confirm(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Mend(error)
    }
}

/// What the edited text is held against.
struct Session<'a> {
    args: &'a Args,
    /// The items that the editor was started with.
    shown: &'a [&'a Found],
    opened: &'a BTreeMap<ItemName, SecretBytes>,
    sealing: &'a Sealing,
    /// What others have made of items meanwhile, as far as the user has been told.
    told: BTreeMap<ItemName, Option<String>>,
}

impl Session<'_> {
    /// Brings what was typed into the file as it is by now.
    fn apply(&mut self, text: &str) -> Result<(), Refusal> {
        let told =
            |item: &ItemName, placeholder: &str| self.told.get(item).is_some_and(|told| told.as_deref() == Some(placeholder));
        let wanted =
            read(text, |item, placeholder| digest(self.shown, item).as_deref() == Some(placeholder) || told(item, placeholder))?;
        let file = self.args.object.read()?;
        let object = self.args.object.choose(&file)?;
        let (mut changes, mut lost) = (Vec::new(), BTreeMap::new());
        for (item, value) in self.touched(wanted)? {
            let now = digest(&object, &item);
            let known = self.told.get(&item).cloned().unwrap_or_else(|| digest(self.shown, &item));
            if now != known && (now.is_some() || value.is_some()) {
                lost.insert(item.clone(), now.clone());
            }
            match value {
                Some(value) => changes.push(self.args.object.seal(&object, self.sealing, item, &value)?),
                None if now.is_some() => changes.push(Change::Unset(item)),
                None => {}
            }
        }
        if !lost.is_empty() {
            let theirs = |now: &Option<String>| now.as_ref().map_or("removed".to_owned(), |now| format!("{TAG} {now}"));
            let items: Vec<_> = lost.iter().map(|(item, now)| format!("{item} ({})", theirs(now))).collect();
            let error = Error::new(Kind::Io, format!("cannot write {}", file.path.display()))
                .cause(format!("somebody else has changed meanwhile: {}", items.join(", ")))
                .hint("it is as they left it; run this again");
            self.told.extend(lost);
            return Err(Refusal::Confirm(error));
        }
        if changes.is_empty() {
            note("nothing changed");
            return Ok(());
        }
        let edited = file.edited(object[0], &changes)?;
        self.sealing.objections.check(file.text(), &edited)?;
        Ok(self.args.object.finish(&file, &edited)?)
    }

    /// Items that were changed, added, or taken away.
    fn touched(&self, wanted: Wanted) -> Result<Wanted, Error> {
        let mut touched = Vec::new();
        for found in self.shown {
            if !wanted.iter().any(|(item, _)| item.as_str() == found.item) {
                touched.push((items::name(&found.item)?, None));
            }
        }
        let is_new =
            |item: &ItemName, value: &SecretBytes| self.opened.get(item).is_none_or(|old| old.expose() != value.expose());
        touched.extend(wanted.into_iter().filter(|(item, value)| value.as_ref().is_some_and(|value| is_new(item, value))));
        Ok(touched)
    }
}

/// How the placeholder of an item names its ciphertext, if the item is there.
fn digest(object: &[&Found], item: &ItemName) -> Option<String> {
    object.iter().find(|found| found.item == item.as_str()).map(|found| found.value.digest().as_str().to_owned())
}

/// What the editor shows.
fn text(object: &[&Found], opened: &BTreeMap<ItemName, SecretBytes>) -> Zeroizing<String> {
    let head = "# Items as lines ITEM: VALUE; several lines of text after ITEM: |\n\
                # Take a line away and its item goes. !sealed stands for a value that stays as it is.\n";
    let value = |found: &Found| found.item.parse::<ItemName>().ok().and_then(|item| opened.get(&item));
    let room = |found: &&Found| 2 * found.item.len() + 64 + value(found).map_or(0, plaintext_room);
    let mut text = Zeroizing::new(String::with_capacity(head.len() + object.iter().map(room).sum::<usize>()));
    text.push_str(head);
    for found in object {
        let quote = if is_plain_key(&found.item) { "" } else { "\"" };
        text.extend([quote, found.item.as_str(), quote, ": "]);
        match value(found) {
            Some(value) => push_plaintext(&mut text, value),
            None => text.extend([TAG, " ", found.value.digest().as_str()]),
        }
        text.push('\n');
    }
    text
}

/// What was done to it. `belongs`: whether an item has, or had, the ciphertext of a placeholder.
fn read(text: &str, belongs: impl Fn(&ItemName, &str) -> bool) -> Result<Wanted, Error> {
    let failed = |cause: String, hint: &str| Error::new(Kind::Usage, "cannot use the edited text").cause(cause).hint(hint);
    let refused = |error: ManifestError| failed(error.to_string(), error.hint());
    let source = decode(text.as_bytes().to_vec()).map_err(refused)?;
    let documents = parse(&source).map_err(refused)?;
    let (root, document) = match documents.as_slice() {
        [document] => (document.root(), document),
        _ => return Err(failed("it is not one document".to_owned(), "one line ITEM: VALUE for each item")),
    };
    let entries = root.and_then(Node::as_mapping);
    let entries = entries.ok_or_else(|| failed("it has no items".to_owned(), "one line ITEM: VALUE for each item"))?;
    let mut wanted = Vec::new();
    for (key, node) in entries {
        let at = |cause: &str, hint: &str| failed(format!("{}: {cause}", document.place(node)), hint);
        let item: ItemName = key.as_str().and_then(|name| name.parse().ok()).ok_or_else(|| {
            at("not the name of an item", "letters, digits, - _ and .; put what looks like a number or on, off in quotes")
        })?;
        let scalar = node.as_scalar().ok_or_else(|| at("not a text", "write it as one text, in quotes or as a block after |"))?;
        let value = match (node.tag(), scalar.read()) {
            (Some(Tag::Other(tag)), _) if **tag == *TAG => {
                if !belongs(&item, scalar.raw()) {
                    return Err(at(
                        "this placeholder belongs to another item",
                        "a placeholder is valid only under its own item; a value moves only by being written again",
                    ));
                }
                None
            }
            (_, ScalarValue::Text(text)) => Some(SecretBytes::new(text.as_bytes().to_vec())),
            (_, ScalarValue::Binary(bytes)) => Some(bytes.into()),
            (_, other) => return Err(at(&format!("expected text, found {}", other.describe()), "put it in quotes")),
        };
        wanted.push((item, value));
    }
    Ok(wanted)
}

/// What the reason on top of a text begins with.
const REASON: &str = "# error: ";

/// Back to the editor, with the reason on top and all that was typed. Whoever leaves it as it is gives up.
fn again(draft: &mut Draft, text: &str, refusal: Refusal) -> Result<Zeroizing<String>, Error> {
    let (error, confirms) = match refusal {
        Refusal::Mend(error) => (error, None),
        Refusal::Confirm(error) => (error, Some("; take this line away to overwrite it, or keep theirs as !sealed")),
    };
    let (typed, reason) = (typed(text), error.one_line() + confirms.unwrap_or_default());
    let mut next = Zeroizing::new(String::with_capacity(REASON.len() + reason.len() + 1 + typed.len()));
    next.extend([REASON, reason.as_str(), "\n", typed]);
    draft.rewrite(&next)?;
    let edited = draft.edit()?;
    let given_up = if confirms.is_some() { edited == next } else { self::typed(&edited) == typed };
    if given_up { Err(error) } else { Ok(edited) }
}

/// The text without a reason that we put on top.
fn typed(text: &str) -> &str {
    let reason = text.strip_prefix(REASON).and_then(|rest| rest.split_once('\n'));
    reason.map_or(text, |(_, typed)| typed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown_and_read(value: &[u8]) -> Option<Vec<u8>> {
        let value = SecretBytes::new(value.to_vec());
        let mut text = Zeroizing::new(String::with_capacity(plaintext_room(&value) + 8));
        let capacity = text.capacity();
        text.push_str("a: ");
        push_plaintext(&mut text, &value);
        text.push('\n');
        assert_eq!(text.capacity(), capacity, "a buffer that grows leaves plaintext behind");
        let wanted = read(&text, |_, _| false).ok()?;
        wanted.into_iter().next()?.1.map(|value| value.expose().to_vec())
    }

    #[test]
    fn what_the_editor_shows_reads_as_the_value() {
        for value in [
            &b""[..],
            b"x",
            b"123",
            b"yes",
            b"null",
            b" x ",
            b"a: b # c",
            b"'\"\\",
            b"a\nb",
            b"a\nb\n",
            b"a\n\nb\n\n",
            b"\na",
            b" a\nb",
            b"a\n  b\n",
            b"a\n\tb\n",
            b"a\r\nb",
            b"a \nb",
            b"a\n \nb\n",
            b"---\n...\n",
            b"# x\n# y\n",
            b"a\n ",
            b"\t\n",
            b"\xff\0",
            b"\xe2\x80\xa8\n",
            b"\xef\xbb\xbfa\n",
            b"\x1b\n",
            b"\x7f",
        ] {
            assert_eq!(shown_and_read(value).as_deref(), Some(value), "{}", value.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn so_does_any_other(value in "[ -~\n\t\r\u{85}é#:|>-]{0,40}", bytes: Vec<u8>) {
            prop_assert_eq!(shown_and_read(value.as_bytes()), Some(value.into_bytes()));
            prop_assert_eq!(shown_and_read(&bytes), Some(bytes));
        }
    }
}
