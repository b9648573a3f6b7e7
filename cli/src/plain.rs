//! A Secret's manifest as values: what kubectl would store, or an error that names the place and no value.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use bulla_shared::SecretBytes;
use bulla_shared::convert::PlainSecret;
use bulla_shared::names::{ItemName, Namespace, ObjectName};
use zeroize::Zeroizing;

use crate::error::{Error, Kind};
use crate::manifest::{Document, Node, ScalarValue};

/// As Go decodes: padded, stray trailing bits allowed; line breaks are taken out before.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// What names of objects and namespaces may have.
pub const NAME_HINT: &str = "use lower-case letters, digits and dashes; the name of a Secret may have dots too";

/// What the command line says about a Secret.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides<'a> {
    /// Namespace of Secrets that name none; another one in a Secret is an error.
    pub namespace: Option<&'a Namespace>,
    /// Namespace of Secrets that name none, if nothing else gives one; another one in a Secret is fine.
    pub default_namespace: Option<&'a Namespace>,
    /// Name of the Secret if it names none.
    pub name: Option<&'a ObjectName>,
}

/// Reads the mapping of a Secret. `input` names the file in messages.
pub fn read(input: &str, document: &Document<'_>, node: &Node, overrides: Overrides<'_>) -> Result<PlainSecret, Error> {
    Reader { input, document, overrides }.secret(node)
}

struct Reader<'a> {
    input: &'a str,
    document: &'a Document<'a>,
    overrides: Overrides<'a>,
}

impl Reader<'_> {
    fn fail(&self, node: &Node, cause: &str) -> Error {
        let place = self.document.place(node);
        Error::new(Kind::Usage, format!("cannot seal {}", self.input)).cause(format!("{place}: {cause}"))
    }

    fn secret(&self, node: &Node) -> Result<PlainSecret, Error> {
        let mut items = BTreeMap::new();
        let (mut type_, mut immutable, mut string_data) = (None, None, None);
        let (mut metadata, mut data) = (None, None);
        for (key, value) in self.entries(node)? {
            match key.as_str().unwrap_or_default() {
                "apiVersion" | "kind" => {}
                "metadata" => metadata = Some(value),
                "type" => type_ = Some(self.text(value)?.to_owned()),
                "immutable" => immutable = self.boolean(value)?,
                "data" => data = Some(value),
                "stringData" => string_data = Some(value),
                "sops" => {
                    let failed = self.fail(key, "the Secret is encrypted by SOPS");
                    return Err(failed.hint("open it and seal what comes out: sops -d FILE | bulla seal -o SEALED"));
                }
                _ => return Err(self.fail(key, "not a field of a Secret").hint("check the spelling; kubectl refuses it too")),
            }
        }
        if let Some(data) = data {
            self.items(data, &mut items, |value| self.base64(value))?;
        }
        // As the API server does it: stringData wins.
        if let Some(string_data) = string_data {
            self.items(string_data, &mut items, |value| self.bytes(value))?;
        }
        let metadata = metadata.ok_or_else(|| self.fail(node, "a Secret without metadata").hint("add metadata.name"))?;
        let (name, namespace, labels, annotations) = self.metadata(metadata)?;
        Ok(PlainSecret { namespace, name, type_, immutable, labels, annotations, items })
    }

    #[expect(clippy::type_complexity, reason = "four fields of one struct, used once")]
    fn metadata(
        &self,
        node: &Node,
    ) -> Result<(ObjectName, Option<Namespace>, BTreeMap<String, String>, BTreeMap<String, String>), Error> {
        let mut texts = [None, None];
        let mut maps = [BTreeMap::new(), BTreeMap::new()];
        for (key, value) in self.entries(node)? {
            match key.as_str().unwrap_or_default() {
                "name" => texts[0] = Some(value).filter(|value| !is_null(value)),
                "namespace" => texts[1] = Some(value).filter(|value| !is_null(value)),
                "labels" => maps[0] = self.strings(value)?,
                "annotations" => maps[1] = self.strings(value)?,
                "generateName" => {
                    return Err(self.fail(key, "a generated name cannot be bound").hint("give the Secret a name: metadata.name"));
                }
                // Set by a server, or not ours to keep.
                _ => {}
            }
        }
        let [name, namespace] = texts;
        let name = self.name(node, name, self.overrides.name, "name", "--name NAME")?;
        let name = name.ok_or_else(|| self.fail(node, "the Secret has no name").hint("add metadata.name, or use --name NAME"))?;
        let namespace = self.name(node, namespace, self.overrides.namespace, "namespace", "-n NAMESPACE")?;
        let namespace = namespace.or_else(|| self.overrides.default_namespace.cloned());
        let [labels, annotations] = maps;
        Ok((name, namespace, labels, annotations))
    }

    fn name<T: std::str::FromStr<Err = impl std::fmt::Display> + Clone + PartialEq>(
        &self,
        metadata: &Node,
        found: Option<&Node>,
        wanted: Option<&T>,
        what: &str,
        flag: &str,
    ) -> Result<Option<T>, Error> {
        let Some(node) = found else { return Ok(wanted.cloned()) };
        let name: T = self.text(node)?.parse().map_err(|error: T::Err| self.fail(node, &error.to_string()).hint(NAME_HINT))?;
        if wanted.is_some_and(|wanted| *wanted != name) {
            let hint = format!("leave out {flag}, or change the manifest");
            return Err(self.fail(metadata, &format!("the Secret has another {what} than the command line gives")).hint(hint));
        }
        Ok(Some(name))
    }

    fn entries<'n>(&self, node: &'n Node) -> Result<&'n [(Node, Node)], Error> {
        if is_null(node) {
            return Ok(&[]);
        }
        node.as_mapping().ok_or_else(|| self.fail(node, "expected a mapping").hint("write it as lines of the form name: value"))
    }

    fn items(
        &self,
        node: &Node,
        items: &mut BTreeMap<ItemName, SecretBytes>,
        value_of: impl Fn(&Node) -> Result<SecretBytes, Error>,
    ) -> Result<(), Error> {
        for (key, value) in self.entries(node)? {
            let name = self.text(key)?.parse().map_err(|error: bulla_shared::names::NameError| {
                let hint = "an item name has letters, digits, - _ and . and does not begin with two dots";
                self.fail(key, &error.to_string()).hint(hint)
            })?;
            items.insert(name, value_of(value)?);
        }
        Ok(())
    }

    fn strings(&self, node: &Node) -> Result<BTreeMap<String, String>, Error> {
        let entries = self.entries(node)?.iter();
        entries.map(|(key, value)| Ok((self.text(key)?.to_owned(), self.text(value)?.to_owned()))).collect()
    }

    fn text<'n>(&self, node: &'n Node) -> Result<&'n str, Error> {
        node.as_str().ok_or_else(|| {
            let (found, hint) = match node.as_scalar() {
                Some(scalar) => (scalar.read().describe(), "put it in quotes"),
                None => ("a mapping or a list", "write it as one text, in quotes or as a block after |"),
            };
            self.fail(node, &format!("expected text, found {found}")).hint(hint)
        })
    }

    fn boolean(&self, node: &Node) -> Result<Option<bool>, Error> {
        if is_null(node) {
            return Ok(None);
        }
        let boolean = node.as_scalar().and_then(crate::manifest::Scalar::as_bool);
        boolean.map(Some).ok_or_else(|| self.fail(node, "expected true or false").hint("write true or false, without quotes"))
    }

    fn bytes(&self, node: &Node) -> Result<SecretBytes, Error> {
        match node.as_scalar().map(crate::manifest::Scalar::read) {
            Some(ScalarValue::Null) => Ok(SecretBytes::new(Vec::new())),
            Some(ScalarValue::Binary(bytes)) => Ok(bytes.into()),
            _ => Ok(SecretBytes::new(self.text(node)?.as_bytes().to_vec())),
        }
    }

    fn base64(&self, node: &Node) -> Result<SecretBytes, Error> {
        let text = self.bytes(node)?;
        let mut compact = Zeroizing::new(Vec::with_capacity(text.expose().len()));
        compact.extend(text.expose().iter().filter(|byte| !b"\r\n".contains(byte)));
        let mut bytes = Zeroizing::new(vec![0; compact.len().div_ceil(4) * 3]);
        let length = LENIENT.decode_slice(compact.as_slice(), &mut bytes).map_err(|_| {
            self.fail(node, "not base64").hint("values under data are base64; plain text belongs under stringData")
        })?;
        bytes.truncate(length);
        Ok(bytes.into())
    }
}

fn is_null(node: &Node) -> bool {
    node.as_scalar().is_some_and(|scalar| matches!(scalar.read(), ScalarValue::Null))
}
