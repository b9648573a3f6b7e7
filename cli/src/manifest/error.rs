//! What can be wrong with a manifest, where, and what to do about it.
//!
//! No variant holds text of a value. Keys appear in paths only where they are harmless names, see [`Place`].

use std::fmt;

use super::{MAX_BYTES, MAX_DEPTH, MAX_NODES};

/// A refusal: the place and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct ManifestError {
    /// Where.
    pub place: Place,
    /// Why.
    pub reason: Reason,
}

impl ManifestError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        self.reason.hint()
    }
}

/// A place in a manifest stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Document, from 1; absent when the text could not be read as documents yet.
    pub document: Option<usize>,
    /// Keys and indices from the root, as `items[2].data.password`; empty at the root.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        match self.document {
            Some(document) if self.path.is_empty() => write!(f, " (document {document})"),
            Some(document) => write!(f, " (document {document}, {})", self.path),
            None => Ok(()),
        }
    }
}

/// Appends a mapping key to a path. A key that is not a harmless name is shown as `?`: in a broken file it may be a value.
pub(super) fn push_key(path: &mut String, key: Option<&str>) {
    let safe = key
        .filter(|key| (1..=253).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/".contains(&b)));
    match safe {
        // A dot inside a key would read as two keys.
        Some(key) if key.contains('.') => {
            path.push_str("[\"");
            path.push_str(key);
            path.push_str("\"]");
        }
        _ => {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(safe.unwrap_or("?"));
        }
    }
}

/// Appends a sequence index to a path.
pub(super) fn push_index(path: &mut String, index: usize) {
    path.push('[');
    path.push_str(&index.to_string());
    path.push(']');
}

/// Why a manifest is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// Longer than [`MAX_BYTES`].
    #[error("the manifest is larger than {} MiB", MAX_BYTES / 1024 / 1024)]
    TooLarge,
    /// Neither UTF-8 nor UTF-16 with a byte order mark.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// Looks like UTF-16, but nothing says which byte comes first.
    #[error("the text looks like UTF-16 without a byte order mark")]
    Utf16WithoutMark,
    /// UTF-16 cut off or with half a surrogate pair.
    #[error("the text is not valid UTF-16")]
    BadUtf16,
    /// NUL bytes and such.
    #[error("the file is binary, not text")]
    Binary,
    /// U+0085, U+2028, U+2029 or a carriage return alone.
    #[error("kubectl reads {name} as a line break and would see another document than the one shown here")]
    ForeignLineBreak {
        /// The character's name.
        name: &'static str,
    },
    /// A byte order mark other than the first character.
    #[error("a byte order mark (U+FEFF) inside the text, which parsers read differently")]
    InteriorByteOrderMark,
    /// A character that YAML does not allow anywhere.
    #[error("the control character U+{code:04X}, which YAML does not allow")]
    ControlCharacter {
        /// Its code point.
        code: u32,
    },
    /// `---` followed by `#` or by a space that is not ASCII.
    #[error("three dashes without an ASCII space after them: kubectl starts another document here, YAML does not")]
    ForeignDocumentMark,
    /// What Git leaves where two sides changed the same lines.
    #[error("not valid YAML: there are marks of a merge with conflicts in it")]
    ConflictMarks,
    /// Not YAML.
    #[error("not valid YAML: {what}")]
    Syntax {
        /// What is wrong, in fixed words.
        what: &'static str,
        /// The text has `{{`, so it may be a template.
        template: bool,
    },
    /// The text begins with a JSON object, but not as kubectl needs it: it tries JSON first wherever a stream begins with `{`.
    #[error("kubectl reads the beginning as JSON and the rest otherwise than shown here")]
    JsonBeginning,
    /// More than [`MAX_DEPTH`] levels.
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More than [`MAX_NODES`] nodes.
    #[error("more than {MAX_NODES} values")]
    TooManyNodes,
    /// One key twice in a mapping.
    #[error("the key is there twice, first on line {first}")]
    DuplicateKey {
        /// Line of the first one.
        first: usize,
    },
    /// `*name` in a Secret, or as one.
    #[error("an alias in a Secret")]
    Alias,
    /// `&name` in a Secret, used outside it or twice in it.
    #[error("an anchor in a Secret that an alias refers to")]
    ReferredAnchor,
    /// `<<` in a Secret, or at the head of what may be one.
    #[error("a merge key (<<) in a Secret")]
    MergeKey,
    /// Aliases and merges refer to each other too often to follow.
    #[error("aliases and merge keys that refer to each other too often to follow")]
    TooManyReferences,
    /// A mapping, a sequence or a `?` as key in a Secret.
    #[error("a key in a Secret that is not a simple name")]
    ComplexKey,
    /// `on: x`, `1.0: x` in a Secret.
    #[error("kubectl reads this key as {found}, not as text")]
    KeyNotText {
        /// What it is read as.
        found: &'static str,
    },
    /// `Resources: x` in a kustomization.
    #[error("kustomize reads this key as {field}, whatever the case of its letters, so that it is not followed")]
    FoldedKey {
        /// The field.
        field: &'static str,
    },
    /// A tag in a Secret that YAML does not define, or one inside `{}` or `[]`, where parsers differ.
    #[error("a tag in a Secret that parsers read differently")]
    Tag,
    /// A tab before a Secret on its first line.
    #[error("a tab in the indentation of a Secret")]
    TabIndent,
    /// `kind: Secret` without `apiVersion`.
    #[error("kind Secret without an apiVersion")]
    MissingApiVersion,
    /// A Secret inside something with `items` that is not `v1` `List` or `SecretList`.
    #[error("a Secret inside a list of another kind, which kubectl takes apart all the same")]
    SecretInForeignList,
    /// The edited text does not read as intended.
    #[error("the edit changed something else than it should; nothing was written")]
    EditMismatch,
}

impl Reason {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge | Self::TooManyNodes => "split the file",
            Self::NotUtf8 | Self::Utf16WithoutMark | Self::BadUtf16 => {
                "save the file as UTF-8; in PowerShell: … | Out-File -Encoding utf8 FILE"
            }
            Self::Binary => "give a YAML or JSON manifest",
            Self::ForeignLineBreak { .. } | Self::InteriorByteOrderMark | Self::ControlCharacter { .. } => {
                "remove the character, or write it as an escape in a double-quoted string"
            }
            Self::ForeignDocumentMark => "put a line break after the three dashes",
            Self::JsonBeginning => "begin the file with a line of three dashes",
            Self::ConflictMarks => {
                "choose one of the sides: git checkout --ours FILE, or --theirs; bulla reads either: git show :2:FILE | bulla inspect -"
            }
            Self::Syntax { template: true, .. } => "render the template first, for example with helm template",
            Self::Alias | Self::ReferredAnchor | Self::MergeKey | Self::TooManyReferences => {
                "write the values out where the aliases and merge keys stand"
            }
            Self::ComplexKey => "put the key in quotes; if this is a template, render it first, for example with helm template",
            Self::KeyNotText { .. } => "put the key in quotes",
            Self::FoldedKey { .. } => "write the key as kustomize documents it",
            Self::Tag => "remove the tag, and quote the value if it is meant as text",
            Self::TabIndent => "indent with spaces",
            Self::MissingApiVersion => "add apiVersion: v1",
            Self::SecretInForeignList => "make it apiVersion: v1, kind: List, or separate the documents with ---",
            Self::EditMismatch => "this is a bug: please report it, without the secret values",
            Self::Syntax { .. } => "look at that line and the one above it; text with : # or quotes in it belongs in quotes",
            Self::TooDeep => "no Kubernetes object is nested so deep; is this the right file?",
            Self::DuplicateKey { .. } => "remove one of the two: which one counts differs between tools",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_show_names_only() {
        let mut path = String::new();
        push_key(&mut path, Some("items"));
        push_index(&mut path, 2);
        push_key(&mut path, Some("data"));
        push_key(&mut path, Some(".dockerconfigjson"));
        push_key(&mut path, Some("hunter2 hunter2"));
        push_key(&mut path, None);
        assert_eq!(path, "items[2].data[\".dockerconfigjson\"].?.?");
    }

    #[test]
    fn an_error_names_its_place() {
        let place = Place { line: 7, column: 3, document: Some(2), path: "data.password".to_owned() };
        let error = ManifestError { place, reason: Reason::Alias };
        assert_eq!(error.to_string(), "line 7, column 3 (document 2, data.password): an alias in a Secret");
    }
}
