//! `bulla git merge`: the merge driver. Values are merged item by item; what stands around them is left to Git's own merge of lines, which
//! then sees the same values on all sides, except where both sides changed one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulla_shared::binding::time_text;
use bulla_shared::names::ItemName;
use bulla_shared::sealed::SealedValue;
use zeroize::Zeroizing;

use crate::error::{Error, Kind};
use crate::files::{self, Access, Input};
use crate::sealed_file::{Change, Found, SealedFile};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The common ancestor (%O)
    base: PathBuf,
    /// Our side (%A), which the result is written to
    ours: PathBuf,
    /// Their side (%B)
    theirs: PathBuf,
    /// The file's path in the repository (%P), for messages
    #[arg(long)]
    path: Option<PathBuf>,
    /// Length of conflict markers (%L)
    #[arg(long, default_value_t = 7)]
    marker_size: u16,
}

/// Base, ours, theirs.
type Sides<T> = [T; 3];
type Texts = Sides<Zeroizing<Vec<u8>>>;

/// An item that both sides changed: its name and what became of it on our and on their side.
struct Conflict {
    item: String,
    ours: String,
    theirs: String,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let path = args.path.as_deref().unwrap_or(&args.ours);
    let files = [args.base.clone(), args.ours.clone(), args.theirs.clone()];
    let folder = tempfile::tempdir().map_err(failed)?;
    // What cannot be read as sealed files, or is too long for it, Git merges as it is.
    let (files, conflicts) = match by_item(path, &files) {
        Some((texts, conflicts)) => (written(folder.path(), &texts)?, conflicts),
        None => (files, Vec::new()),
    };
    let label = |side: &str, of: fn(&Conflict) -> &String| {
        let all: Vec<_> = conflicts.iter().map(|conflict| format!("{} {}", conflict.item, of(conflict))).collect();
        if all.is_empty() { side.to_owned() } else { format!("{side}: {}", all.join(", ")) }
    };
    let labels = ["base".to_owned(), label("ours", |conflict| &conflict.ours), label("theirs", |conflict| &conflict.theirs)];
    let (merged, clean) = by_line(&files, &labels, args.marker_size)?;
    files::replace(&args.ours, &merged, Access::Default)?;
    if clean {
        return Ok(());
    }
    let items: Vec<_> = conflicts.into_iter().map(|conflict| conflict.item).collect();
    let conflict = Error::new(Kind::Findings, format!("{} has conflicts", path.display()));
    Err(if items.is_empty() {
        conflict.hint("resolve them as in any other file")
    } else {
        conflict
            .cause(format!("both sides changed {}", items.join(", ")))
            .hint("keep one of the two lines of each; bulla unseal -i shows a value to whoever has a key")
    })
}

/// The three texts with every item merged that can be; none if one of them is no sealed file or cannot be edited.
fn by_item(path: &Path, files: &Sides<PathBuf>) -> Option<(Texts, Vec<Conflict>)> {
    let text = |side: usize| Input::File(files[side].clone()).read("a version of the file").ok();
    let texts = [text(0)?, text(1)?, text(2)?];
    let read = |text: &[u8]| SealedFile::of(path, text).ok().flatten();
    let files = [read(&texts[0])?, read(&texts[1])?, read(&texts[2])?];
    let (mut merged, mut conflicts) = (texts.clone(), Vec::new());
    for ours in files[1].objects() {
        let same = |file| unique(file, ours[0]);
        let (Some(base), Some(theirs)) = (same(&files[0]), same(&files[2])) else { continue };
        let sides = [base, ours, theirs];
        let mut changes: Sides<Vec<Change>> = Default::default();
        for name in names(&sides) {
            let item: ItemName = name.parse().ok()?;
            let [base, ours, theirs] = sides.each_ref().map(|object| value(object, name));
            let Ok(chosen) = choose(base, ours, theirs) else {
                let what = |value: Option<&SealedValue>| {
                    value.map_or("removed".to_owned(), |value| format!("sealed {}", time_text(&value.binding().sealed)))
                };
                conflicts.push(Conflict { item: name.to_owned(), ours: what(ours), theirs: what(theirs) });
                continue;
            };
            for (changes, now) in changes.iter_mut().zip([base, ours, theirs]) {
                match chosen {
                    _ if chosen == now => {}
                    Some(value) => changes.push(Change::Set(item.clone(), Box::new(value.clone()))),
                    None => changes.push(Change::Unset(item.clone())),
                }
            }
        }
        for (side, (text, changes)) in merged.iter_mut().zip(&changes).enumerate() {
            let file = read(text)?;
            let object = unique(&file, sides[side][0])?;
            // On their side our new items come before theirs, as they do on the others: in another order, both would be in the conflict.
            let last = object.iter().rfind(|found| side != 2 || value(&sides[0], &found.item).is_some());
            let edited = file.edited_after(last.or(object.last())?, changes).ok()?;
            *text = Zeroizing::new(edited.as_bytes().to_vec());
        }
    }
    Some((merged, conflicts))
}

/// The values of the only object in `file` that has the name and namespace of this one.
fn unique<'f>(file: &'f SealedFile, like: &Found) -> Option<Vec<&'f Found>> {
    let mut same = file.objects().filter(|object| (&object[0].namespace, &object[0].name) == (&like.namespace, &like.name));
    same.next().filter(|_| same.next().is_none())
}

/// The names on all sides, each once: those of ours first, then as they come on the others.
fn names<'f>([base, ours, theirs]: &Sides<Vec<&'f Found>>) -> Vec<&'f str> {
    let mut names: Vec<&str> = Vec::new();
    for found in [ours, theirs, base].into_iter().flatten() {
        if !names.contains(&found.item.as_str()) {
            names.push(&found.item);
        }
    }
    names
}

fn value<'f>(object: &[&'f Found], name: &str) -> Option<&'f SealedValue> {
    object.iter().find(|found| found.item == name).map(|found| &found.value)
}

/// Both sides changed an item: that is for people to decide.
struct Undecided;

/// What becomes of an item. A new value counts more than the old one under other keys.
fn choose<'v>(
    base: Option<&'v SealedValue>,
    ours: Option<&'v SealedValue>,
    theirs: Option<&'v SealedValue>,
) -> Result<Option<&'v SealedValue>, Undecided> {
    if ours == theirs || base == theirs {
        return Ok(ours);
    }
    if base == ours {
        return Ok(theirs);
    }
    let (Some(old), Some(our), Some(their)) = (base, ours, theirs) else { return Err(Undecided) };
    match (our.is_rewrap_of(old), their.is_rewrap_of(old)) {
        (true, false) => Ok(theirs),
        (false, true) => Ok(ours),
        (true, true) if our.binding() == their.binding() => Ok(ours),
        _ => Err(Undecided),
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Kind::Io, "cannot run git merge-file").cause(error).hint("is git installed?")
}

/// Files in `folder` with these texts.
fn written(folder: &Path, texts: &Texts) -> Result<Sides<PathBuf>, Error> {
    let files = ["base", "ours", "theirs"].map(|side| folder.join(side));
    for (file, text) in files.iter().zip(texts) {
        files::create(file, text, Access::Private)?;
    }
    Ok(files)
}

/// Git's merge of lines, and whether it is without conflict.
fn by_line([base, ours, theirs]: &Sides<PathBuf>, labels: &Sides<String>, marker_size: u16) -> Result<(Vec<u8>, bool), Error> {
    let mut git = Command::new("git");
    git.args(["merge-file", "-p", "--marker-size"]).arg(marker_size.to_string());
    for side in [1, 0, 2] {
        git.args(["-L", &labels[side]]);
    }
    git.arg("--").args([ours, base, theirs]);
    let output = git.stdin(Stdio::null()).output().map_err(failed)?;
    match output.status.code() {
        Some(0) => Ok((output.stdout, true)),
        Some(1..=127) => Ok((output.stdout, false)),
        _ => Err(Error::new(Kind::Io, "git merge-file failed")
            .cause(String::from_utf8_lossy(&output.stderr).trim())
            .hint("the file is as it was: git checkout --conflict=merge FILE")),
    }
}
