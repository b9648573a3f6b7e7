//! `bulla inspect`: what sealed values say about themselves. No key is needed, so nothing here is proven.

use std::fmt::Write as _;
use std::path::PathBuf;

use bulla_shared::binding::{Binding, Scope, time_text};
use bulla_shared::names::Place;
use bulla_shared::sealed::SealedValue;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use kube::api::ObjectMeta;
use serde::Serialize;

use super::values::Format;
use crate::error::{Error, Kind, plural, printable, warn};
use crate::files::{self, Access, Input};
use crate::json::to_json;
use crate::manifest::sealed::{mentions_sealed, sealed_in};
use crate::walk::manifests_below;

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 4 if something could not be looked at: what is not shown may be under any key, and due.\n\n\
    Without a key the MAC is unchecked: whoever can write the file can write what is shown here.")]
pub struct Args {
    /// Manifests, or folders of them; standard input for -
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only values sealed to the key with this id, or the start of it
    #[arg(long, value_name = "ID", value_parser = key_id)]
    key: Option<String>,
    /// Only values whose rotation is due today or was before
    #[arg(long)]
    due: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    items: Vec<Item>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    name: String,
    #[serde(flatten)]
    content: Content,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content {
    #[serde(rename_all = "camelCase")]
    Sealed {
        scope: &'static str,
        bound_to: BoundTo,
        /// It stands where it cannot open.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        misplaced: bool,
        algorithm: &'static str,
        keys: Vec<String>,
        sealed: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        rotate_by: Option<String>,
        bytes: usize,
    },
    Malformed {
        error: String,
        class: &'static str,
    },
}

#[derive(Debug, Default, Serialize)]
struct BoundTo {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let (mut objects, mut unknown) = (Vec::new(), 0);
    for path in &args.paths {
        if path.is_dir() {
            for file in manifests_below(path)? {
                match read(&Input::File(file.clone()), false, args, today, &mut unknown) {
                    Ok(found) => objects.extend(found),
                    Err(error) => {
                        unknown += 1;
                        warn(format!("{} is skipped: {}", file.display(), error.reason()));
                    }
                }
            }
        } else {
            objects.extend(read(&Input::from_path(path), true, args, today, &mut unknown)?);
        }
    }
    let output = match args.format {
        Format::Json => to_json(&objects)?,
        Format::Text => text(&objects),
    };
    files::write(None, output.as_bytes(), Access::Default)?;
    if unknown == 0 {
        return Ok(());
    }
    let what = plural(unknown, "value or file", "values or files");
    Err(Error::new(Kind::Keys, format!("{what} could not be looked at"))
        .cause("each is named above")
        .hint("mend them and run this again: what is not shown may be under any key, and due"))
}

/// The start of a key's id.
fn key_id(text: &str) -> Result<String, String> {
    let is_id = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id
        .then(|| text.to_ascii_lowercase())
        .ok_or_else(|| "an id has up to 16 digits from 0 to f, as bulla keys list shows".to_owned())
}

fn read(input: &Input, is_named: bool, args: &Args, today: Date, unknown: &mut usize) -> Result<Vec<Object>, Error> {
    let bytes = input.read("manifests")?;
    if !is_named && !mentions_sealed(&bytes) {
        return Ok(Vec::new());
    }
    let documents = sealed_in(&input.name(), &bytes)?;
    if is_named && documents.is_empty() {
        warn(format!("there is no SealedSecret (bulla.dev) in {}", input.name()));
    }
    let mut objects = Vec::new();
    for document in documents {
        let metadata = document.sealed.metadata;
        let mut items = Vec::new();
        for (name, text) in &document.sealed.spec.encrypted_data {
            let content = match text.parse::<SealedValue>() {
                Ok(value) => {
                    if !is_meant(value.binding(), args, today) {
                        continue;
                    }
                    sealed(&value, value.binding(), is_misplaced(&metadata, name, value.binding()))
                }
                Err(error) => {
                    if args.due || args.key.is_some() {
                        *unknown += 1;
                        warn(format!("{}: item {name} is malformed: its keys and dates are not known", input.name()));
                    }
                    Content::Malformed { class: error.class(), error: error.to_string() }
                }
            };
            items.push(Item { name: name.to_owned(), content });
        }
        if !items.is_empty() {
            objects.push(Object { file: input.name(), namespace: metadata.namespace, name: metadata.name, items });
        }
    }
    Ok(objects)
}

/// Whether the flags ask for it.
fn is_meant(binding: &Binding, args: &Args, today: Date) -> bool {
    let by_key = args.key.as_ref().is_none_or(|wanted| binding.keys.iter().any(|id| id.to_string().starts_with(wanted)));
    by_key && (!args.due || binding.rotate_by.is_some_and(|date| date <= today))
}

/// Whether the place where it stands is another one than its scope allows. An object without a namespace may be meant for any.
fn is_misplaced(metadata: &ObjectMeta, item: &str, binding: &Binding) -> bool {
    let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else { return false };
    let place = (|| Some(Place { namespace: namespace.parse().ok()?, name: name.parse().ok()?, item: item.parse().ok()? }))();
    place.is_none_or(|place| binding.scope.check(&place).is_err())
}

fn sealed(value: &SealedValue, binding: &Binding, misplaced: bool) -> Content {
    let bound_to = match &binding.scope {
        Scope::Strict(place) => BoundTo {
            namespace: Some(place.namespace.to_string()),
            name: Some(place.name.to_string()),
            item: Some(place.item.to_string()),
        },
        Scope::Namespace(namespace) => BoundTo { namespace: Some(namespace.to_string()), ..BoundTo::default() },
        Scope::Cluster => BoundTo::default(),
    };
    Content::Sealed {
        scope: binding.scope.kind().as_str(),
        bound_to,
        misplaced,
        algorithm: value.algorithm().as_str(),
        keys: binding.keys.iter().map(ToString::to_string).collect(),
        sealed: time_text(&binding.sealed),
        rotate_by: binding.rotate_by.map(|date| date.to_string()),
        bytes: value.plaintext_len(),
    }
}

fn text(objects: &[Object]) -> String {
    let mut output = String::new();
    for object in objects {
        let namespace = object.namespace.as_deref().unwrap_or("(no namespace)");
        let name = object.name.as_deref().unwrap_or("(no name)");
        let _ = writeln!(output, "{} in {}", printable(&format!("{namespace}/{name}")), printable(&object.file));
        let width = object.items.iter().map(|item| printable(&item.name).len()).max().unwrap_or_default();
        for item in &object.items {
            let _ = write!(output, "  {:width$}  ", printable(&item.name));
            let _ = match &item.content {
                Content::Malformed { error, .. } => writeln!(output, "malformed: {error}"),
                Content::Sealed { scope, bound_to, misplaced, algorithm, keys, sealed, rotate_by, bytes } => {
                    let length = plural(*bytes, "byte", "bytes");
                    let bound =
                        [&bound_to.namespace, &bound_to.name, &bound_to.item].into_iter().flatten().cloned().collect::<Vec<_>>();
                    let due = rotate_by.as_ref().map_or(String::new(), |date| format!(", rotate by {date}"));
                    let elsewhere = if *misplaced { ", IN ANOTHER PLACE: it does not open here" } else { "" };
                    let bound = if bound.is_empty() { String::new() } else { format!(" {}", bound.join("/")) };
                    writeln!(output, "{scope}{bound}, {length}, {algorithm} {}, sealed {sealed}{due}{elsewhere}", keys.join(","))
                }
            };
        }
    }
    output
}
