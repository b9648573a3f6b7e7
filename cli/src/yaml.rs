//! Writing YAML for people: what serde writes, and the one mapping of plaintext that must not pass through serde.

use bulla_shared::convert::PlainSecret;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::{Error, Kind};

/// A manifest without plaintext as YAML.
pub fn to_yaml(value: &impl Serialize) -> Result<String, Error> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(value, options)
        .map_err(|_| Error::new(Kind::Bug, "cannot write YAML").hint("please report it, without the secret values"))
}

/// A Secret with its values; the buffer never grows, so no copy of them is left behind.
pub fn secret_to_yaml(secret: &PlainSecret) -> Result<Zeroizing<String>, Error> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let frame = to_yaml(&secret.frame())?;
    let room: usize =
        secret.items.iter().map(|(item, value)| item.as_str().len() + value.expose().len().div_ceil(3) * 4 + 9).sum();
    let mut yaml = Zeroizing::new(String::with_capacity(frame.len() + room + 16));
    yaml.push_str(&frame);
    yaml.push_str("data:\n");
    for (item, value) in &secret.items {
        // Quotes, because some item names are no strings to YAML 1.1.
        yaml.push_str("  \"");
        yaml.push_str(item.as_str());
        // And quotes around base64, because some of it is null, a number or a boolean.
        yaml.push_str("\": \"");
        STANDARD.encode_string(value.expose(), &mut yaml);
        yaml.push('"');
        yaml.push('\n');
    }
    Ok(yaml)
}
