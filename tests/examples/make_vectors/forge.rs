//! Age files made without `bulla_shared`, so that a header of any form can have the right MAC.
//!
//! Format: <https://c2sp.org/age>. Nothing here is zeroized or checked: all keys are thrown away or published.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::kem::{EncapsulationKey, ML_KEM_768};
use aws_lc_rs::{digest, hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bech32::primitives::decode::UncheckedHrpstring;
use bulla_shared::age::{Algorithm, Recipient};

pub(crate) const INTRO: &str = "age-encryption.org/v1\n";
const CHUNK: usize = 64 * 1024;

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD_NO_PAD.encode(bytes)
}

pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}

pub(crate) fn bytes_unpadded(text: &str) -> Vec<u8> {
    STANDARD_NO_PAD.decode(text).unwrap()
}

/// The file key of one forged file.
pub(crate) struct FileKey([u8; 16]);

impl FileKey {
    pub(crate) fn new() -> Self {
        Self(random())
    }

    /// `header` with its MAC line, then a payload of `plaintext`; as in `spec.encryptedData`.
    pub(crate) fn sealed(&self, header: &str, plaintext: &[u8]) -> String {
        text(&[self.header(header).as_bytes(), &self.payload(plaintext)].concat())
    }

    /// `stanzas` below the first line and above a right MAC line.
    pub(crate) fn header(&self, stanzas: &str) -> String {
        let covered = format!("{INTRO}{stanzas}---");
        format!("{covered} {}\n", base64(&self.mac(&covered)))
    }

    pub(crate) fn mac(&self, covered: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &derive::<32>(&extract(&[], &self.0), &[b"header"]));
        hmac::sign(&key, covered.as_bytes()).as_ref().try_into().unwrap()
    }

    pub(crate) fn payload(&self, plaintext: &[u8]) -> Vec<u8> {
        let count = plaintext.len().div_ceil(CHUNK).max(1);
        self.stream(plaintext, |index| (index as u64, index + 1 == count))
    }

    /// A payload whose chunks have the counter and the last-chunk flag that `nonce` gives.
    pub(crate) fn stream(&self, plaintext: &[u8], nonce: impl Fn(usize) -> (u64, bool)) -> Vec<u8> {
        let salt: [u8; 16] = random();
        let key = derive(&extract(&salt, &self.0), &[b"payload"]);
        let mut payload = salt.to_vec();
        for index in 0..plaintext.len().div_ceil(CHUNK).max(1) {
            let (counter, last) = nonce(index);
            let chunk = &plaintext[index * CHUNK..plaintext.len().min((index + 1) * CHUNK)];
            payload.extend(encrypt(&key, [&[0; 3][..], &counter.to_be_bytes(), &[u8::from(last)]].concat(), chunk));
        }
        payload
    }

    /// The stanza that wraps this key for `recipient`.
    pub(crate) fn wrap(&self, recipient: &Recipient) -> String {
        let text = recipient.to_string();
        let public: Vec<u8> = UncheckedHrpstring::new(&text).unwrap().remove_checksum::<bech32::Bech32>().byte_iter().collect();
        match recipient.algorithm() {
            Algorithm::X25519 => {
                let (share, shared) = agree_with(&public);
                let secret = extract(&[share.as_slice(), &public].concat(), &shared);
                let key = derive(&secret, &[b"age-encryption.org/v1/X25519"]);
                stanza(&format!("X25519 {}", base64(&share)), &encrypt(&key, vec![0; 12], &self.0))
            }
            Algorithm::Hybrid => {
                let (mlkem, x25519) = public.split_at(1184);
                let (ciphertext, shared_m) = EncapsulationKey::new(&ML_KEM_768, mlkem).unwrap().encapsulate().unwrap();
                let (share, shared_x) = agree_with(x25519);
                let combined = [shared_m.as_ref(), &shared_x, &share, x25519, br"\.//^\"].concat();
                let (key, nonce) = hpke(digest::digest(&digest::SHA3_256, &combined).as_ref());
                let enc = base64(&[ciphertext.as_ref(), &share].concat());
                stanza(&format!("mlkem768x25519 {enc}"), &encrypt(&key, nonce, &self.0))
            }
        }
    }
}

/// Key and nonce of the first message: RFC 9180 section 5.1 with X-Wing, HKDF-SHA256, ChaCha20-Poly1305, in base mode.
fn hpke(shared: &[u8]) -> ([u8; 32], Vec<u8>) {
    const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";
    let hash = |label: &[u8], input: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]);
        hmac::sign(&key, &[b"HPKE-v1", SUITE, label, input].concat()).as_ref().to_vec()
    };
    let context = [vec![0], hash(b"psk_id_hash", b""), hash(b"info_hash", b"age-encryption.org/mlkem768x25519")].concat();
    let secret = extract(shared, &[b"HPKE-v1", SUITE, b"secret"].concat());
    let key = derive(&secret, &[&[0, 32], b"HPKE-v1", SUITE, b"key", &context]);
    let nonce: [u8; 12] = derive(&secret, &[&[0, 12], b"HPKE-v1", SUITE, b"base_nonce", &context]);
    (key, nonce.to_vec())
}

/// An ephemeral share, and what it agrees on with `public`.
fn agree_with(public: &[u8]) -> ([u8; 32], Vec<u8>) {
    let ephemeral = PrivateKey::generate(&X25519).unwrap();
    let share = ephemeral.compute_public_key().unwrap().as_ref().try_into().unwrap();
    let shared = agree(&ephemeral, UnparsedPublicKey::new(&X25519, public), (), |shared| Ok(shared.to_vec())).unwrap();
    (share, shared)
}

fn extract(salt: &[u8], secret: &[u8]) -> hkdf::Prk {
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret)
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive<const N: usize>(secret: &hkdf::Prk, info: &[&[u8]]) -> [u8; N] {
    let mut key = [0; N];
    secret.expand(info, Length(N)).unwrap().fill(&mut key).unwrap();
    key
}

fn encrypt(key: &[u8; 32], nonce: Vec<u8>, plaintext: &[u8]) -> Vec<u8> {
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).unwrap());
    let nonce = Nonce::assume_unique_for_key(nonce.try_into().unwrap());
    let mut sealed = plaintext.to_vec();
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).unwrap();
    sealed
}

/// A stanza of any arguments and body; the body of every key is shorter than a line.
pub(crate) fn stanza(args: &str, body: &[u8]) -> String {
    format!("-> {args}\n{}\n", base64(body))
}

/// The text of an item of `spec.encryptedData`.
pub(crate) fn text(file: &[u8]) -> String {
    STANDARD.encode(file)
}

/// The age file in that text.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}
