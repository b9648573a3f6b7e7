//! The binding: what a sealed value says about itself in clear, under the MAC of its header.
//!
//! It is one stanza, `-> bulla.dev/v1 scope=… keys=… sealed=…`, read and written here argument by argument. It says nothing about
//! whether the claim is true: only [`crate::sealed`] checks the MAC and compares the scope with a place.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use thiserror::Error;

use crate::age::Fingerprint;
use crate::encoding::{hex_exact, to_hex};
use crate::names::{NameError, Namespace, Place};

/// Type of the binding stanza, with the version of its arguments.
pub const STANZA: &str = "bulla.dev/v1";

/// How many recipients one value takes: 32 stanzas less the binding and one grease stanza.
pub const MAX_RECIPIENTS: usize = 30;

/// The first 8 bytes of a recipient's [`Fingerprint`]: a hint which key opens a stanza, not an authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl FromStr for KeyId {
    type Err = BindingError;

    fn from_str(text: &str) -> Result<Self, BindingError> {
        hex_exact(text).map(Self).ok_or(BindingError::Value("keys"))
    }
}

impl From<&Fingerprint> for KeyId {
    fn from(fingerprint: &Fingerprint) -> Self {
        let (id, _) = fingerprint.as_bytes().split_first_chunk().expect("a fingerprint has 32 bytes");
        Self(*id)
    }
}

/// Where a value may be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Only under this namespace, name and item.
    Strict(Place),
    /// Under any name and item of this namespace.
    Namespace(Namespace),
    /// Anywhere in any cluster that holds a key.
    Cluster,
}

/// The part of a [`Place`] in which a scope does not agree with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ScopeMismatch {
    /// Sealed for another namespace.
    #[error("sealed for another namespace")]
    Namespace,
    /// Sealed for another object name in this namespace.
    #[error("sealed for another name")]
    Name,
    /// Sealed for another item of this object.
    #[error("sealed for another item")]
    Item,
}

impl Scope {
    /// The scope's kind as written in the binding: `strict`, `namespace` or `cluster`.
    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        match self {
            Self::Strict(_) => ScopeKind::Strict,
            Self::Namespace(_) => ScopeKind::Namespace,
            Self::Cluster => ScopeKind::Cluster,
        }
    }

    /// Whether a value of this scope may stand at `place`.
    pub fn check(&self, place: &Place) -> Result<(), ScopeMismatch> {
        match self {
            Self::Namespace(namespace) if *namespace == place.namespace => Ok(()),
            Self::Namespace(_) => Err(ScopeMismatch::Namespace),
            Self::Strict(bound) if bound.namespace != place.namespace => Err(ScopeMismatch::Namespace),
            Self::Strict(bound) if bound.name != place.name => Err(ScopeMismatch::Name),
            Self::Strict(bound) if bound.item != place.item => Err(ScopeMismatch::Item),
            Self::Strict(_) | Self::Cluster => Ok(()),
        }
    }
}

/// The three kinds of scope, without the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ScopeKind {
    /// Namespace, name and item are bound.
    #[default]
    Strict,
    /// Only the namespace is bound.
    Namespace,
    /// Nothing is bound.
    Cluster,
}

impl ScopeKind {
    /// The scope of this kind that fits `place`.
    #[must_use]
    pub fn at(self, place: &Place) -> Scope {
        match self {
            Self::Strict => Scope::Strict(place.clone()),
            Self::Namespace => Scope::Namespace(place.namespace.clone()),
            Self::Cluster => Scope::Cluster,
        }
    }

    /// The word in the binding.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Namespace => "namespace",
            Self::Cluster => "cluster",
        }
    }
}

impl fmt::Display for ScopeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Everything that the binding stanza says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Where the value may be opened.
    pub scope: Scope,
    /// One id per recipient stanza, in the order of the stanzas, all different.
    pub keys: Vec<KeyId>,
    /// When the value (not its wrapping) was sealed, in whole seconds.
    pub sealed: Timestamp,
    /// The day by which the value itself is due for rotation.
    pub rotate_by: Option<Date>,
}

/// Why the arguments of a binding stanza are refused. Names the argument, never its text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BindingError {
    /// This argument was due and another, or none, stands in its place.
    #[error("binding: expected argument {0}")]
    Expected(&'static str),
    /// Something stands after the last argument.
    #[error("binding: unknown, repeated or misplaced argument at position {0}")]
    Trailing(usize),
    /// The value of this argument is not in its one canonical form.
    #[error("binding: the value of {0} is not in canonical form")]
    Value(&'static str),
    /// The value of a name argument is no such name.
    #[error("binding: {0}")]
    Name(#[from] NameError),
    /// Two ids in `keys` are the same.
    #[error("binding: the same id stands twice in keys")]
    RepeatedKey,
    /// There are more ids than a value may have recipients.
    #[error("binding: more than {MAX_RECIPIENTS} keys")]
    TooManyKeys,
}

impl Binding {
    /// Reads the arguments that follow the stanza type; anything but the canonical form is refused.
    pub fn from_args(args: &[&str]) -> Result<Self, BindingError> {
        let mut args = Args { args, next: 0 };
        let scope = match args.required("scope")? {
            "strict" => Scope::Strict(Place {
                namespace: args.required("namespace")?.parse()?,
                name: args.required("name")?.parse()?,
                item: args.required("item")?.parse()?,
            }),
            "namespace" => Scope::Namespace(args.required("namespace")?.parse()?),
            "cluster" => Scope::Cluster,
            _ => return Err(BindingError::Value("scope")),
        };
        let mut keys: Vec<KeyId> = Vec::new();
        for id in args.required("keys")?.split(',') {
            let id = id.parse()?;
            if keys.contains(&id) {
                return Err(BindingError::RepeatedKey);
            }
            if keys.len() == MAX_RECIPIENTS {
                return Err(BindingError::TooManyKeys);
            }
            keys.push(id);
        }
        let sealed = canonical(args.required("sealed")?, "sealed", 20, time_text)?;
        let rotate_by = match args.optional("rotate-by") {
            Some(text) => Some(canonical(text, "rotate-by", 10, Date::to_string)?),
            None => None,
        };
        match args.next {
            next if next == args.args.len() => Ok(Self { scope, keys, sealed, rotate_by }),
            next => Err(BindingError::Trailing(next + 1)),
        }
    }
}

impl fmt::Display for Binding {
    /// The arguments as they follow the stanza type; [`Binding::from_args`] reads exactly this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scope={}", self.scope.kind())?;
        match &self.scope {
            Scope::Strict(place) => write!(f, " namespace={} name={} item={}", place.namespace, place.name, place.item)?,
            Scope::Namespace(namespace) => write!(f, " namespace={namespace}")?,
            Scope::Cluster => {}
        }
        f.write_str(" keys=")?;
        for (index, id) in self.keys.iter().enumerate() {
            write!(f, "{}{id}", if index == 0 { "" } else { "," })?;
        }
        write!(f, " sealed={}", time_text(&self.sealed))?;
        self.rotate_by.map_or(Ok(()), |date| write!(f, " rotate-by={date}"))
    }
}

/// RFC 3339 in UTC with whole seconds: `2026-11-23T06:50:00Z`.
#[must_use]
pub fn time_text(time: &Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Parses `text` and accepts it only if it is what `format` writes, in a year of four digits: one value has one text.
fn canonical<T: FromStr>(
    text: &str,
    what: &'static str,
    length: usize,
    format: impl Fn(&T) -> String,
) -> Result<T, BindingError> {
    text.parse().ok().filter(|value| text.len() == length && format(value) == text).ok_or(BindingError::Value(what))
}

struct Args<'a> {
    args: &'a [&'a str],
    next: usize,
}

impl<'a> Args<'a> {
    fn optional(&mut self, key: &str) -> Option<&'a str> {
        let (found, value) = self.args.get(self.next)?.split_once('=')?;
        (found == key).then(|| {
            self.next += 1;
            value
        })
    }

    fn required(&mut self, key: &'static str) -> Result<&'a str, BindingError> {
        self.optional(key).ok_or(BindingError::Expected(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Binding, BindingError> {
        Binding::from_args(&text.split(' ').collect::<Vec<_>>())
    }

    const STRICT: &str = "scope=strict namespace=prod name=db item=password keys=4f1c000000000000,9a0e000000000000 \
                          sealed=2026-11-23T06:50:00Z rotate-by=2027-02-21";

    #[test]
    fn one_binding_has_one_text() {
        for text in [
            STRICT,
            "scope=namespace namespace=prod keys=4f1c000000000000 sealed=2026-11-23T06:50:00Z",
            "scope=cluster keys=4f1c000000000000 sealed=1999-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text).map(|binding| binding.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let refuse = |from: &str, to: &str, error: BindingError| {
            assert!(STRICT.contains(from), "{from}");
            assert_eq!(parse(&STRICT.replacen(from, to, 1)), Err(error), "{from} -> {to}");
        };
        refuse("scope=strict", "scope=Strict", BindingError::Value("scope"));
        refuse("scope=strict", "scope=cluster", BindingError::Expected("keys"));
        refuse("scope=strict", "scope=namespace", BindingError::Expected("keys"));
        refuse("scope=strict ", "", BindingError::Expected("scope"));
        refuse("namespace=prod", "namespace=", BindingError::Name(NameError::Empty("namespace")));
        refuse("name=db item=password", "item=password name=db", BindingError::Expected("name"));
        refuse(" item=password", "", BindingError::Expected("item"));
        refuse("keys=4f1c", "keys=4F1C", BindingError::Value("keys"));
        refuse("000,9a0e", "000,,9a0e", BindingError::Value("keys"));
        refuse("9a0e000000000000", "4f1c000000000000", BindingError::RepeatedKey);
        refuse("06:50:00Z", "06:50:00.0Z", BindingError::Value("sealed"));
        refuse("06:50:00Z", "06:50:00+00:00", BindingError::Value("sealed"));
        refuse("06:50:00Z", "06:50:60Z", BindingError::Value("sealed"));
        refuse("2027-02-21", "2027-02-30", BindingError::Value("rotate-by"));
        refuse("2027-02-21", "-002027-02-21", BindingError::Value("rotate-by"));
        refuse("2026-11", "-002026-11", BindingError::Value("sealed"));
        refuse("2027-02-21", "20270221", BindingError::Value("rotate-by"));
        refuse(" rotate-by=2027-02-21", " rotate-by=", BindingError::Value("rotate-by"));
        refuse("2027-02-21", "2027-02-21 rotate-by=2027-02-21", BindingError::Trailing(8));
        refuse("2027-02-21", "2027-02-21 x=y", BindingError::Trailing(8));
        refuse("rotate-by", "rotate", BindingError::Trailing(7));
    }

    #[test]
    fn a_scope_names_the_part_that_differs() {
        let place = |namespace: &str, name: &str, item: &str| Place {
            namespace: namespace.parse().unwrap(),
            name: name.parse().unwrap(),
            item: item.parse().unwrap(),
        };
        let here = place("prod", "db", "password");
        let strict = ScopeKind::Strict.at(&here);
        assert_eq!(strict.check(&here), Ok(()));
        assert_eq!(strict.check(&place("dev", "db", "password")), Err(ScopeMismatch::Namespace));
        assert_eq!(strict.check(&place("prod", "web", "password")), Err(ScopeMismatch::Name));
        assert_eq!(strict.check(&place("prod", "db", "user")), Err(ScopeMismatch::Item));
        let namespace = ScopeKind::Namespace.at(&here);
        assert_eq!(namespace.check(&place("prod", "web", "user")), Ok(()));
        assert_eq!(namespace.check(&place("dev", "db", "password")), Err(ScopeMismatch::Namespace));
        assert_eq!(Scope::Cluster.check(&place("dev", "web", "user")), Ok(()));
    }
}
