//! The payload of an age file: STREAM over ChaCha20-Poly1305 in chunks of 64 KiB (<https://c2sp.org/age#payload>).

use zeroize::Zeroizing;

use super::file_key::FileKey;
use super::primitives::{Aead, random};
use crate::SecretBytes;

const CHUNK: usize = 64 * 1024;
/// Length of the nonce before the chunks.
pub(super) const NONCE: usize = 16;

/// Length of the payload that encrypts `plaintext` bytes.
#[must_use]
pub fn encrypted_len(plaintext: usize) -> usize {
    NONCE + plaintext + plaintext.div_ceil(CHUNK).max(1) * Aead::TAG
}

/// Length of the plaintext in a payload of `payload` bytes; `None` if no plaintext gives that length.
#[must_use]
pub fn decrypted_len(payload: usize) -> Option<usize> {
    let chunks = payload.checked_sub(NONCE)?;
    let plaintext = chunks.checked_sub(chunks.div_ceil(CHUNK + Aead::TAG) * Aead::TAG)?;
    (encrypted_len(plaintext) == payload).then_some(plaintext)
}

/// An 11-byte big-endian counter, then 1 on the last chunk.
fn chunk_nonce(index: usize, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&(index as u64).to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}

/// Appends the payload of `plaintext` to `file`.
pub(crate) fn encrypt(file_key: &FileKey, plaintext: &[u8], file: &mut Vec<u8>) {
    // With all room made first, no reallocation leaves plaintext behind: chunks are encrypted where they are copied to.
    file.reserve_exact(encrypted_len(plaintext.len()));
    let nonce: Zeroizing<[u8; NONCE]> = random();
    file.extend_from_slice(nonce.as_slice());
    let aead = Aead::new(&file_key.payload_key(&nonce));
    let count = plaintext.len().div_ceil(CHUNK).max(1);
    for index in 0..count {
        let chunk = &plaintext[index * CHUNK..plaintext.len().min((index + 1) * CHUNK)];
        let start = file.len();
        file.extend_from_slice(chunk);
        let tag = aead.seal(chunk_nonce(index, index + 1 == count), &mut file[start..]);
        file.extend_from_slice(&tag);
    }
}

/// Decrypts a whole payload; nothing is returned unless its last chunk is authentic and marked as the last.
#[must_use]
pub fn decrypt(file_key: &FileKey, payload: &[u8]) -> Option<SecretBytes> {
    let mut plaintext = Zeroizing::new(Vec::with_capacity(payload.len()));
    decrypted_len(payload.len())?;
    let (nonce, chunks) = payload.split_first_chunk::<NONCE>()?;
    let aead = Aead::new(&file_key.payload_key(nonce));
    let count = chunks.len().div_ceil(CHUNK + Aead::TAG);
    for (index, chunk) in chunks.chunks(CHUNK + Aead::TAG).enumerate() {
        let start = plaintext.len();
        plaintext.extend_from_slice(chunk);
        let length = aead.open(chunk_nonce(index, index + 1 == count), &mut plaintext[start..])?.len();
        plaintext.truncate(start + length);
    }
    Some(plaintext.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_at_every_chunk_border() {
        let key = FileKey::generate();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1] {
            let plaintext = vec![7; length];
            let mut payload = Vec::new();
            encrypt(&key, &plaintext, &mut payload);
            assert_eq!(payload.len(), encrypted_len(length));
            assert_eq!(decrypted_len(payload.len()), Some(length));
            assert_eq!(decrypt(&key, &payload).unwrap().expose(), plaintext);
        }
    }

    #[test]
    fn truncation_and_extension_fail() {
        let key = FileKey::generate();
        let mut payload = Vec::new();
        encrypt(&key, &vec![7; CHUNK + 100], &mut payload);
        for length in [0, NONCE, NONCE + CHUNK + Aead::TAG, payload.len() - 1] {
            assert!(decrypt(&key, &payload[..length]).is_none(), "{length}");
        }
        payload.push(0);
        assert!(decrypt(&key, &payload).is_none());
    }
}
