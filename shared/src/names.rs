//! Names that a value is bound to: namespace, object and item, each valid for Kubernetes by its type.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Why a text is not a name of its kind. The text itself is not repeated: it may be hostile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// The text is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// The text is longer than Kubernetes takes.
    #[error("{0} is longer than {1} characters")]
    TooLong(&'static str, usize),
    /// A character that the kind does not take stands at this byte offset.
    #[error("{0} has a character at offset {1} that Kubernetes does not take there")]
    Character(&'static str, usize),
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check($what, text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A namespace: an RFC 1123 label of at most 63 characters.
    Namespace,
    "namespace",
    label
);
name!(
    /// The name of a Secret or `SealedSecret`: an RFC 1123 subdomain of at most 253 characters.
    ObjectName,
    "name",
    subdomain
);
name!(
    /// A key of a Secret's data: letters, digits, `-`, `_` and `.`, at most 253 characters, not `.` and not starting with `..`.
    ItemName,
    "item name",
    item
);

fn length(what: &'static str, text: &str, most: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty(what)),
        length if length > most => Err(NameError::TooLong(what, most)),
        _ => Ok(()),
    }
}

fn label(what: &'static str, text: &str) -> Result<(), NameError> {
    length(what, text, 63)?;
    label_at(what, text, 0)
}

fn label_at(what: &'static str, text: &str, offset: usize) -> Result<(), NameError> {
    let last = text.len().saturating_sub(1);
    if text.is_empty() {
        return Err(NameError::Character(what, offset));
    }
    for (index, byte) in text.bytes().enumerate() {
        let inner = index != 0 && index != last;
        if !(byte.is_ascii_lowercase() || byte.is_ascii_digit() || (byte == b'-' && inner)) {
            return Err(NameError::Character(what, offset + index));
        }
    }
    Ok(())
}

fn subdomain(what: &'static str, text: &str) -> Result<(), NameError> {
    length(what, text, 253)?;
    let mut offset = 0;
    for part in text.split('.') {
        label_at(what, part, offset)?;
        offset += part.len() + 1;
    }
    Ok(())
}

/// Whether Kubernetes takes this as the key of an annotation: as that of a label, but with a domain in capital letters too.
///
/// # Errors
/// What is wrong with it, and where.
pub fn annotation_key(text: &str) -> Result<(), NameError> {
    label_key(&text.to_ascii_lowercase())
}

/// Whether Kubernetes takes this as the key of a label: a name, maybe behind a domain and a slash.
///
/// # Errors
/// What is wrong with it, and where.
pub fn label_key(text: &str) -> Result<(), NameError> {
    let (offset, name) = match text.split_once('/') {
        None => (0, text),
        Some((domain, name)) => {
            subdomain("domain of a key", domain)?;
            (domain.len() + 1, name)
        }
    };
    qualified("key", name, offset)
}

/// Whether Kubernetes takes this as the value of a label.
///
/// # Errors
/// What is wrong with it, and where.
pub fn label_value(text: &str) -> Result<(), NameError> {
    if text.is_empty() { Ok(()) } else { qualified("value", text, 0) }
}

fn qualified(what: &'static str, text: &str, offset: usize) -> Result<(), NameError> {
    length(what, text, 63)?;
    let last = text.len() - 1;
    let is_wrong =
        |(index, byte): (usize, u8)| !(byte.is_ascii_alphanumeric() || (b"-_.".contains(&byte) && index != 0 && index != last));
    match text.bytes().enumerate().position(is_wrong) {
        Some(at) => Err(NameError::Character(what, offset + at)),
        None => Ok(()),
    }
}

fn item(what: &'static str, text: &str) -> Result<(), NameError> {
    length(what, text, 253)?;
    if let Some(at) = text.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))) {
        return Err(NameError::Character(what, at));
    }
    if text == "." || text.starts_with("..") {
        return Err(NameError::Character(what, 0));
    }
    Ok(())
}

/// Where one value stands: the object's own namespace and name, and the item's key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Namespace of the `SealedSecret`.
    pub namespace: Namespace,
    /// Name of the `SealedSecret`, which is the name of the Secret.
    pub name: ObjectName,
    /// Key in `spec.encryptedData` and in the Secret's data.
    pub item: ItemName,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_kubernetes_takes() {
        for good in ["a", "0", "a-b", &"x".repeat(63)] {
            assert!(good.parse::<Namespace>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", "a b", &"x".repeat(64)] {
            assert!(bad.parse::<Namespace>().is_err(), "{bad}");
        }
        for good in ["a.b", "db-1.example", &"x".repeat(253)] {
            assert!(good.parse::<ObjectName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "a..b", "a.", ".a", "a.-b", &"x".repeat(254)] {
            assert!(bad.parse::<ObjectName>().is_err(), "{bad}");
        }
        for good in ["a", ".dockerconfigjson", "TLS_KEY", "a..b", "-", "_"] {
            assert!(good.parse::<ItemName>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "..a", "a/b", "a b", "a\n", "é"] {
            assert!(bad.parse::<ItemName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn takes_what_kubernetes_takes_in_metadata() {
        for good in ["a", "A_b.c-1", "example.com/A", &"x".repeat(63), &format!("a.b/{}", "x".repeat(63))] {
            assert!(label_key(good).is_ok(), "{good}");
        }
        for bad in ["", "/a", "a/", "a/b/c", "A.b/c", "-a", "a-", "a b", "é", &"x".repeat(64), &format!("{}/a", "x".repeat(254))]
        {
            assert!(label_key(bad).is_err(), "{bad}");
        }
        for good in ["", "a", "v1.2_3-B", &"x".repeat(63)] {
            assert!(label_value(good).is_ok(), "{good}");
        }
        for bad in ["-a", "a.", "a b", "a/b", "a:b", "é", &"x".repeat(64)] {
            assert!(label_value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_error_says_where() {
        assert_eq!(label_key("a.b/c d"), Err(NameError::Character("key", 5)));
        assert_eq!("ab.C".parse::<ObjectName>(), Err(NameError::Character("name", 3)));
    }
}
