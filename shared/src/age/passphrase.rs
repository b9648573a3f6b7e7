//! The scrypt recipient type: a passphrase in the place of a key (<https://c2sp.org/age#the-scrypt-recipient-type>).

use scrypt::{Params, scrypt};
use zeroize::Zeroizing;

use super::file_key::{self, FileKey};
use super::header::Stanza;
use super::primitives::{Aead, Key, random};
use crate::encoding::{base64_exact, base64_unpadded};

pub(super) const STANZA: &str = "scrypt";
/// What age writes: about a second of one core, and 256 MiB.
const WORK: u8 = 18;
/// More is refused unread: the work is whatever the file says.
const MOST_WORK: u8 = 20;
const LABEL: &[u8] = b"age-encryption.org/v1/scrypt";

pub(super) fn wrap(passphrase: &str, file_key: &FileKey) -> (String, Vec<u8>) {
    let salt = random::<16>();
    let mut body = file_key.as_bytes().to_vec();
    let tag = Aead::new(&derive(passphrase, &salt, WORK)).seal([0; 12], &mut body);
    body.extend_from_slice(&tag);
    (format!("{STANZA} {} {WORK}", base64_unpadded(salt.as_slice())), body)
}

/// The file key; `None` if the stanza is malformed, asks for too much work, or is for another passphrase.
pub(super) fn unwrap(passphrase: &str, stanza: &Stanza<'_>) -> Option<FileKey> {
    let [_, salt, work] = stanza.args.as_slice() else { return None };
    let work = work.parse().ok().filter(|work| (1..=MOST_WORK).contains(work))?;
    let mut body: Zeroizing<[u8; file_key::LENGTH + Aead::TAG]> = Zeroizing::new(stanza.body.as_slice().try_into().ok()?);
    let key = derive(passphrase, &base64_exact(salt)?, work);
    Aead::new(&key).open([0; 12], body.as_mut_slice()).and_then(FileKey::from_bytes)
}

fn derive(passphrase: &str, salt: &[u8; 16], work: u8) -> Key {
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(work, 8, 1).expect("the work factor was checked");
    scrypt(passphrase.as_bytes(), &[LABEL, salt].concat(), &params, key.as_mut_slice()).expect("32 bytes are a valid length");
    key
}
