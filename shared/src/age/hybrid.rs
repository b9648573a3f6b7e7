//! The `mlkem768x25519` recipient type, both halves (<https://c2sp.org/age#the-hybrid-recipient-type>).
//!
//! HPKE in base mode (RFC 9180) over X-Wing (<https://www.ietf.org/archive/id/draft-connolly-cfrg-xwing-kem-09.html>): ML-KEM-768 and X25519
//! joined by SHA3-256, so that the file key stays secret as long as either of them holds.

use std::sync::LazyLock;

use aws_lc_rs::agreement::PrivateKey;
use aws_lc_rs::kem::{AlgorithmId, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::{digest, hkdf};
use ml_kem::DecapsulationKey768;
use shake::Shake256;
use shake::digest::{ExtendableOutput as _, Update as _, XofReader as _};
use zeroize::{Zeroize as _, Zeroizing};

use super::file_key::{self, FileKey};
use super::header::Stanza;
use super::primitives::{Aead, Key, expand, is_low_order, x25519, x25519_ephemeral, x25519_private, x25519_public};
use crate::encoding::{base64_exact, base64_unpadded, bech32_exact, to_bech32};

pub(super) const STANZA: &str = "mlkem768x25519";
pub(super) const RECIPIENT_PREFIX: &str = "age1pq";
pub(super) const IDENTITY_PREFIX: &str = "AGE-SECRET-KEY-PQ-";
const INFO: &[u8] = b"age-encryption.org/mlkem768x25519";
const MLKEM_PUBLIC: usize = 1184;
const MLKEM_CIPHERTEXT: usize = 1088;
const ENC: usize = MLKEM_CIPHERTEXT + 32;

/// "HPKE", then KEM 0x647a (X-Wing), KDF 0x0001 (HKDF-SHA256), AEAD 0x0003 (ChaCha20Poly1305): RFC 9180 section 5.1.
const SUITE: &[u8] = b"HPKE\x64\x7a\x00\x01\x00\x03";

/// The ML-KEM key, then the X25519 key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Public(Box<[u8; MLKEM_PUBLIC + 32]>);

impl Public {
    fn parts(&self) -> (&[u8; MLKEM_PUBLIC], &[u8; 32]) {
        let (mlkem, x25519) = self.0.split_first_chunk().expect("the array is both keys");
        (mlkem, x25519.try_into().expect("the rest is the X25519 key"))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    fn encapsulation_key(&self) -> Option<EncapsulationKey<AlgorithmId>> {
        EncapsulationKey::new(&ML_KEM_768, self.parts().0).ok()
    }
}

/// Parses `age1pq1…`; both halves must be usable: ML-KEM's modulus check (FIPS 203 section 7.2), no low-order point.
pub(super) fn parse_recipient(text: &str) -> Option<Public> {
    let public = Public(Box::new(*bech32_exact(RECIPIENT_PREFIX, text)?));
    // NOTE: the library defers the modulus check to the first use, so one encapsulation makes sure of it here.
    public.encapsulation_key()?.encapsulate().ok()?;
    (!is_low_order(public.parts().1)).then_some(public)
}

pub(super) fn wrap(public: &Public, file_key: &FileKey) -> (String, Vec<u8>) {
    let (_, public_x) = public.parts();
    let key = public.encapsulation_key().expect("the recipient was checked when it was parsed");
    let (ciphertext, shared_m) = key.encapsulate().expect("the recipient was checked when it was parsed");
    let ephemeral = x25519_ephemeral();
    let share = x25519_public(&ephemeral);
    let shared_x = x25519(&ephemeral, public_x).expect("recipients of low order are refused when parsed");
    let shared = combine(shared_m.as_ref(), &shared_x, &share, public_x);
    let mut body = file_key.as_bytes().to_vec();
    let tag = hpke_seal(&shared, &mut body);
    body.extend_from_slice(&tag);
    (format!("{STANZA} {}", base64_unpadded(&[ciphertext.as_ref(), &share].concat())), body)
}

/// X-Wing's combiner: `SHA3-256(ss_M || ss_X || ct_X || pk_X || label)`.
fn combine(shared_m: &[u8], shared_x: &Key, share: &[u8; 32], public_x: &[u8; 32]) -> Key {
    let mut hash = digest::Context::new(&digest::SHA3_256);
    for part in [shared_m, shared_x.as_slice(), share, public_x, br"\.//^\"] {
        hash.update(part);
    }
    Zeroizing::new(hash.finish().as_ref().try_into().expect("SHA3-256 has 32 bytes"))
}

fn labeled_extract(salt: &[u8], label: &[u8], secret: &[u8]) -> hkdf::Prk {
    let input = Zeroizing::new([b"HPKE-v1", SUITE, label, secret].concat());
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&input)
}

fn labeled_expand<const N: usize>(prk: &hkdf::Prk, label: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    let length = u16::try_from(N).expect("keys and nonces are short").to_be_bytes();
    expand(prk, &[&length, b"HPKE-v1", SUITE, label, info])
}

/// RFC 9180 section 5.1 for mode 0 without PSK: the context never changes, so it is computed once.
static CONTEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    // LabeledExtract gives a pseudorandom key object that the library does not show; HMAC is what it is made of (RFC 5869 section 2.2).
    let extract = |label: &[u8], input: &[u8]| {
        let zero = Zeroizing::new([0; 32]);
        super::primitives::hmac_sha256(&zero, &[b"HPKE-v1", SUITE, label, input].concat())
    };
    [&[0][..], &extract(b"psk_id_hash", b""), &extract(b"info_hash", INFO)].concat()
});

fn hpke_context(shared: &Key) -> (Aead, [u8; 12]) {
    let secret = labeled_extract(shared.as_slice(), b"secret", b"");
    let key = labeled_expand(&secret, b"key", &CONTEXT);
    (Aead::new(&key), *labeled_expand(&secret, b"base_nonce", &CONTEXT))
}

fn hpke_seal(shared: &Key, buffer: &mut [u8]) -> [u8; Aead::TAG] {
    let (aead, nonce) = hpke_context(shared);
    aead.seal(nonce, buffer)
}

/// The encapsulation and the wrapped file key of a well-formed stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrapped {
    enc: Box<[u8; ENC]>,
    body: [u8; file_key::LENGTH + Aead::TAG],
}

impl Wrapped {
    pub(super) fn from_stanza(stanza: &Stanza<'_>) -> Option<Self> {
        let [_, enc] = stanza.args.as_slice() else { return None };
        let enc = Box::new(base64_exact(enc)?);
        (!is_low_order(parts(&enc).1)).then_some(())?;
        Some(Self { enc, body: stanza.body.as_slice().try_into().ok()? })
    }
}

/// The ML-KEM ciphertext and the X25519 share.
fn parts(enc: &[u8; ENC]) -> (&[u8; MLKEM_CIPHERTEXT], &[u8; 32]) {
    let (ciphertext, share) = enc.split_first_chunk().expect("enc is both parts");
    (ciphertext, share.try_into().expect("the rest is the X25519 share"))
}

pub(super) struct Private {
    seed: Zeroizing<[u8; 32]>,
    decapsulation: DecapsulationKey<AlgorithmId>,
    x25519: PrivateKey,
    public: Public,
}

impl Private {
    /// Expands the seed into both private keys: the one slow step (about 0.1 ms), done once a key.
    pub(super) fn from_bytes(seed: Zeroizing<[u8; 32]>) -> Self {
        let mut xof = Shake256::default();
        xof.update(seed.as_slice());
        let mut reader = xof.finalize_xof();
        let (mut mlkem_seed, mut x_bytes) = (Zeroizing::new([0; 64]), Zeroizing::new([0; 32]));
        reader.read(mlkem_seed.as_mut_slice());
        reader.read(x_bytes.as_mut_slice());
        let (expanded, mlkem_public) = expand_mlkem(&mlkem_seed);
        let decapsulation = DecapsulationKey::new(&ML_KEM_768, &expanded).expect("an expanded key has the right length");
        let x25519 = x25519_private(&x_bytes);
        let mut public = Box::new([0; MLKEM_PUBLIC + 32]);
        public[..MLKEM_PUBLIC].copy_from_slice(&mlkem_public);
        public[MLKEM_PUBLIC..].copy_from_slice(&x25519_public(&x25519));
        Self { seed, decapsulation, x25519, public: Public(public) }
    }

    pub(super) fn public(&self) -> &Public {
        &self.public
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(to_bech32(IDENTITY_PREFIX, self.seed.as_slice()))
    }

    pub(super) fn unwrap(&self, wrapped: &Wrapped) -> Option<FileKey> {
        let (ciphertext, share) = parts(&wrapped.enc);
        let shared_x = x25519(&self.x25519, share)?;
        let shared_m = self.decapsulation.decapsulate(ciphertext.as_slice().into()).ok()?;
        let shared = combine(shared_m.as_ref(), &shared_x, share, self.public.parts().1);
        let (aead, nonce) = hpke_context(&shared);
        let mut body = Zeroizing::new(wrapped.body);
        aead.open(nonce, body.as_mut_slice()).and_then(FileKey::from_bytes)
    }
}

#[expect(deprecated, reason = "aws-lc-rs takes the expanded form only; it goes as soon as that library takes a seed")]
fn expand_mlkem(seed: &[u8; 64]) -> (Zeroizing<Vec<u8>>, Vec<u8>) {
    use ml_kem::ExpandedKeyEncoding as _;
    use ml_kem::kem::KeyExport as _;
    let mut seed = ml_kem::Seed::from(*seed);
    let key = DecapsulationKey768::from_seed(seed);
    seed.zeroize();
    let mut expanded = key.to_expanded_bytes();
    let bytes = Zeroizing::new(expanded.to_vec());
    expanded.zeroize();
    (bytes, key.encapsulation_key().to_bytes().to_vec())
}
