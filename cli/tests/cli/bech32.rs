//! Bech32 without length limit, just enough to write a recipient that no tool would make.

const CHARACTERS: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/// Writes `bytes` under a lower-case prefix.
pub(crate) fn encode(prefix: &str, bytes: &[u8]) -> String {
    let mut values = regroup(bytes, 8, 5, true);
    let head = prefix.bytes().map(|byte| byte >> 5).chain([0]).chain(prefix.bytes().map(|byte| byte & 31));
    let sum = checksum(head.chain(values.iter().copied()).chain([0; 6])) ^ 1;
    values.extend((0..6).map(|at| u8::try_from(sum >> (5 * (5 - at)) & 31).unwrap()));
    let text = values.into_iter().map(|value| char::from(CHARACTERS[usize::from(value)]));
    format!("{prefix}1{}", text.collect::<String>())
}

/// The bytes of a text that is known to be right.
pub(crate) fn decode(text: &str) -> Vec<u8> {
    let data = &text[text.rfind('1').unwrap() + 1..text.len() - 6];
    let values = data.bytes().map(|byte| CHARACTERS.iter().position(|known| *known == byte).unwrap());
    regroup(&values.map(|value| u8::try_from(value).unwrap()).collect::<Vec<_>>(), 5, 8, false)
}

fn regroup(input: &[u8], from: u32, to: u32, pad: bool) -> Vec<u8> {
    let (mut buffer, mut bits, mut output) = (0u32, 0, Vec::new());
    for value in input {
        buffer = (buffer << from | u32::from(*value)) & 0xfff;
        bits += from;
        while bits >= to {
            bits -= to;
            output.push(u8::try_from(buffer >> bits & ((1 << to) - 1)).unwrap());
        }
    }
    if pad && bits > 0 {
        output.push(u8::try_from(buffer << (to - bits) & ((1 << to) - 1)).unwrap());
    }
    output
}

fn checksum(values: impl Iterator<Item = u8>) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    values.fold(1, |sum, value| {
        let top = sum >> 25;
        let next = (sum & 0x1ff_ffff) << 5 ^ u32::from(value);
        (0..5).filter(|bit| top >> bit & 1 == 1).fold(next, |next, bit| next ^ GENERATOR[bit])
    })
}

#[test]
fn writes_what_the_library_reads() {
    for algorithm in [bulla_shared::age::Algorithm::X25519, bulla_shared::age::Algorithm::Hybrid] {
        let recipient = bulla_shared::age::Identity::generate(algorithm).recipient().to_string();
        let prefix = &recipient[..recipient.rfind('1').unwrap()];
        assert_eq!(encode(prefix, &decode(&recipient)), recipient);
    }
}
