//! Format, cryptography and resource types of Bulla, without any input or output.
//!
//! Read in this order: [`names`] and [`binding`] say what a value is bound to, [`age`] is the strict age v1 layer below it,
//! [`sealed`] joins the two into a sealed value, [`resources`] and [`convert`] carry sealed values through Kubernetes, and
//! [`template`] builds derived items. `docs/format.md` is the normative byte layout.

pub mod age;
pub mod binding;
pub mod convert;
mod encoding;
pub mod names;
pub mod opening;
pub mod recipients;
pub mod resources;
pub mod sealed;
mod secret_bytes;
pub mod template;

pub use secret_bytes::SecretBytes;
