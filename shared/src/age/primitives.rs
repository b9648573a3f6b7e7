//! The primitives of the age format in the terms of `aws-lc-rs`: HKDF, HMAC and ChaCha20-Poly1305 with fixed nonces.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{agreement, hkdf, hmac};
use zeroize::Zeroizing;

/// 32 bytes of key material.
pub(super) type Key = Zeroizing<[u8; 32]>;

/// HKDF-SHA-256 (RFC 5869), 32 bytes.
pub(super) fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[u8]) -> Key {
    expand(&hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret), &[info])
}

pub(super) struct Length(pub(super) usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// The expand step alone, for `N` bytes.
pub(super) fn expand<const N: usize>(prk: &hkdf::Prk, info: &[&[u8]]) -> Zeroizing<[u8; N]> {
    let mut key = Zeroizing::new([0; N]);
    let okm = prk.expand(info, Length(N)).expect("N is far below 255 blocks");
    okm.fill(key.as_mut_slice()).expect("the output has the asked length");
    key
}

pub(super) fn hmac_sha256(key: &Key, message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), message);
    tag.as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
}

/// Compares in constant time.
pub(super) fn hmac_sha256_verify(key: &Key, message: &[u8], tag: &[u8; 32]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), message, tag).is_ok()
}

/// A ChaCha20-Poly1305 key; the caller answers for using each nonce once.
pub(super) struct Aead(LessSafeKey);

impl Aead {
    pub(super) const TAG: usize = 16;

    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has 32 bytes")))
    }

    /// Encrypts `buffer` in place and returns the tag.
    pub(super) fn seal(&self, nonce: [u8; 12], buffer: &mut [u8]) -> [u8; Self::TAG] {
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), buffer)
            .expect("ChaCha20-Poly1305 takes any length that fits memory");
        tag.as_ref().try_into().expect("the tag has 16 bytes")
    }

    /// Decrypts `buffer`, which ends in the tag, in place; on failure its content is unspecified.
    pub(super) fn open<'a>(&self, nonce: [u8; 12], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        self.0.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), buffer).ok().map(|plain| &*plain)
    }
}

/// X25519 (RFC 7748); `None` if the result is all zero, which only a low-order point gives.
pub(super) fn x25519(private: &agreement::PrivateKey, share: &[u8; 32]) -> Option<Key> {
    let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, share);
    agreement::agree(private, peer, (), |shared| shared.try_into().map(Zeroizing::new).map_err(drop)).ok()
}

pub(super) fn x25519_private(bytes: &[u8; 32]) -> agreement::PrivateKey {
    agreement::PrivateKey::from_private_key(&agreement::X25519, bytes).expect("any 32 bytes are an X25519 private key")
}

pub(super) fn x25519_public(private: &agreement::PrivateKey) -> [u8; 32] {
    let public = private.compute_public_key().expect("an X25519 key has a public key");
    public.as_ref().try_into().expect("an X25519 public key has 32 bytes")
}

pub(super) fn x25519_ephemeral() -> agreement::PrivateKey {
    agreement::PrivateKey::generate(&agreement::X25519).expect("the system gives random bytes")
}

/// Whether `share` is a point of low order, in any encoding: <https://cr.yp.to/ecdh.html#validate>, the top bit ignored (RFC 7748 section 5).
pub(super) fn is_low_order(share: &[u8; 32]) -> bool {
    let mut point = *share;
    point[31] &= 0x7f;
    LOW_ORDER.contains(&point)
}

/// 0, 1, the two points of order 8, `p - 1`, `p` and `p + 1`.
const LOW_ORDER: [[u8; 32]; 7] = [
    [0; 32],
    near(1, 0, 0),
    *b"\xe0\xeb\x7a\x7c\x3b\x41\xb8\xae\x16\x56\xe3\xfa\xf1\x9f\xc4\x6a\xda\x09\x8d\xeb\x9c\x32\xb1\xfd\x86\x62\x05\x16\x5f\x49\xb8\x00",
    *b"\x5f\x9c\x95\xbc\xa3\x50\x8c\x24\xb1\xd0\xb1\x55\x9c\x83\xef\x5b\x04\x44\x5c\xc4\x58\x1c\x8e\x86\xd8\x22\x4e\xdd\xd0\x9f\x11\x57",
    near(0xec, 0xff, 0x7f),
    near(0xed, 0xff, 0x7f),
    near(0xee, 0xff, 0x7f),
];

const fn near(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut point = [middle; 32];
    point[0] = first;
    point[31] = last;
    point
}

pub(super) fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice()).expect("the system gives random bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_low_order_points() {
        for point in LOW_ORDER {
            for top in [0, 0x80] {
                let mut share = point;
                share[31] |= top;
                assert!(is_low_order(&share));
                assert!(x25519(&x25519_ephemeral(), &share).is_none(), "the library agrees: {share:?}");
            }
        }
        assert!(!is_low_order(&x25519_public(&x25519_ephemeral())));
    }
}
