//! Go's `age` 1.3 beside us: keys, sealed values, rewrapped values and plain age files, in both directions.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_control_plane::tools;
use bulla_keys::KeyRing;
use bulla_shared::age::{
    Algorithm, Identity, Recipient, decrypt, decrypt_with_passphrase, encrypt_with_passphrase, parse_identity_file,
};
use bulla_shared::binding::ScopeKind;
use bulla_shared::sealed::{Recipients, SealedValue};
use tempfile::TempDir;

use crate::vector::place;

const BOTH: [Algorithm; 2] = [Algorithm::Hybrid, Algorithm::X25519];
/// Nothing, one byte, each side of the border between two chunks, the most that a value holds.
const SIZES: [usize; 5] = [0, 1, 65_536, 65_537, 1024 * 1024];

/// A folder of one test, and the foreign tools at work in it.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Writes a file that only this user may read, in place of an older one.
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap().write_all(bytes).unwrap();
        path
    }

    /// An identity file as people have it.
    fn identity_file(&self, name: &str, identities: &[&Identity]) -> PathBuf {
        let entry = |identity: &&Identity| format!("# public key: {}\n{}\n", identity.recipient(), *identity.to_text());
        self.write(name, identities.iter().map(entry).collect::<Vec<_>>().concat().as_bytes())
    }

    /// `age -d -i IDENTITY FILE`.
    fn age_decrypt(&self, identity: &Path, file: &[u8]) -> Output {
        let file = self.write("sealed.age", file);
        Command::new(tools::age().unwrap()).args(["-d", "-i"]).args([identity, &file]).output().unwrap()
    }

    #[track_caller]
    fn age_opens(&self, identity: &Path, file: &[u8], plaintext: &[u8]) {
        let opened = self.age_decrypt(identity, file);
        assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
        assert!(opened.stdout == plaintext, "{} bytes came out, {} went in", opened.stdout.len(), plaintext.len());
    }

    #[track_caller]
    fn age_refuses(&self, identity: &Path, file: &[u8], because: &str) {
        let refused = self.age_decrypt(identity, file);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{said}");
        assert!(said.contains(because), "{said}");
    }

    /// `age -r RECIPIENT … PLAIN`.
    fn age_encrypt(&self, recipients: &[&Recipient], plaintext: &[u8]) -> Vec<u8> {
        let plain = self.write("plain", plaintext);
        let mut age = Command::new(tools::age().unwrap());
        for recipient in recipients {
            age.args(["-r", &recipient.to_string()]);
        }
        let encrypted = age.arg(&plain).output().unwrap();
        assert!(encrypted.status.success(), "{}", String::from_utf8_lossy(&encrypted.stderr));
        encrypted.stdout
    }
}

fn age_keygen(arguments: &[&str]) -> String {
    let made = Command::new(tools::age_keygen().unwrap()).args(arguments).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

fn identities(algorithm: Algorithm, count: usize) -> Vec<Identity> {
    (0..count).map(|_| Identity::generate(algorithm)).collect()
}

fn ring(identity: &Identity) -> KeyRing {
    KeyRing::from_iter([identity.to_text().parse::<Identity>().unwrap()])
}

/// Bytes without a pattern that a wrong chunk order would keep.
fn plaintext(length: usize) -> Vec<u8> {
    (0..length).map(|index| index.wrapping_mul(0x9e37_79b1).to_be_bytes()[5]).collect()
}

fn seal(plaintext: &[u8], identities: &[Identity]) -> SealedValue {
    let recipients = Recipients::new(identities.iter().map(|identity| identity.recipient().clone())).unwrap();
    let sealed = "2026-11-23T06:50:00Z".parse().unwrap();
    SealedValue::seal(plaintext, ScopeKind::Strict.at(&place()), &recipients, sealed, None).unwrap()
}

/// The age file that a sealed value is.
fn age_file(value: &SealedValue) -> Vec<u8> {
    STANDARD.decode(value.to_string()).unwrap()
}

#[test]
fn identities_of_age_keygen_are_ours() {
    let desk = Desk::new();
    for (arguments, algorithm) in [(&["-pq"][..], Algorithm::Hybrid), (&[], Algorithm::X25519)] {
        for _ in 0..8 {
            let text = age_keygen(arguments);
            let file = desk.write("identity", text.as_bytes());
            let recipient = age_keygen(&["-y", file.to_str().unwrap()]);
            let [identity] = parse_identity_file(&text).unwrap().try_into().unwrap();
            assert_eq!(identity.recipient().algorithm(), algorithm);
            assert_eq!(identity.recipient().to_string(), recipient.trim_end());
            assert_eq!(recipient.trim_end().parse::<Recipient>().unwrap(), *identity.recipient());
            assert!(text.lines().any(|line| line == identity.to_text().as_str()), "both write an identity alike");
        }
    }
}

#[test]
fn our_identities_are_those_of_age() {
    let desk = Desk::new();
    for algorithm in BOTH {
        for identity in identities(algorithm, 8) {
            let file = desk.identity_file("identity", &[&identity]);
            assert_eq!(age_keygen(&["-y", file.to_str().unwrap()]).trim_end(), identity.recipient().to_string());
        }
    }
}

#[test]
fn age_opens_what_we_seal() {
    let desk = Desk::new();
    for algorithm in BOTH {
        for count in [1, 3] {
            let identities = identities(algorithm, count);
            for size in SIZES {
                let plaintext = plaintext(size);
                let file = age_file(&seal(&plaintext, &identities));
                for identity in &identities {
                    desk.age_opens(&desk.identity_file("identity", &[identity]), &file, &plaintext);
                }
            }
        }
    }
}

#[test]
fn age_finds_our_identity_among_others() {
    let desk = Desk::new();
    let (hybrid, x25519) = (Identity::generate(Algorithm::Hybrid), Identity::generate(Algorithm::X25519));
    let file = desk.identity_file("identities", &[&hybrid, &x25519]);
    for identity in [hybrid, x25519] {
        desk.age_opens(&file, &age_file(&seal(b"a value", &[identity])), b"a value");
    }
}

/// A backup under a passphrase, in both directions: age asks for one on a terminal only, so its own plugin gives it.
#[test]
fn passphrases_of_age_are_ours() {
    const PASSPHRASE: &str = "correct horse battery staple";
    let desk = Desk::new();
    let age = tools::age().unwrap();
    let run = |args: &[&str], input: &[u8], passphrase: &str| {
        let mut command = Command::new(&age);
        command.args(args).args(["-j", "batchpass"]).arg(desk.write("input", input));
        command.env("PATH", age.parent().unwrap()).env("AGE_PASSPHRASE", passphrase).output().unwrap()
    };
    let opened = run(&["-d"], &encrypt_with_passphrase(b"backup", PASSPHRASE), PASSPHRASE);
    assert_eq!((opened.status.success(), opened.stdout.as_slice()), (true, &b"backup"[..]), "{opened:?}");
    assert!(!run(&["-d"], &encrypt_with_passphrase(b"backup", PASSPHRASE), "wrong").status.success());
    let encrypted = run(&["-e"], b"theirs", PASSPHRASE);
    assert!(encrypted.status.success(), "{encrypted:?}");
    assert_eq!(decrypt_with_passphrase(&encrypted.stdout, PASSPHRASE).unwrap().expose(), b"theirs");
    assert!(decrypt_with_passphrase(&encrypted.stdout, "wrong").is_err());
}

#[test]
fn age_refuses_what_we_refuse() {
    let desk = Desk::new();
    for algorithm in BOTH {
        let [ours, stranger] = identities(algorithm, 2).try_into().unwrap();
        let file = desk.identity_file("ours", &[&ours]);
        let value = age_file(&seal(b"a value", std::slice::from_ref(&ours)));
        desk.age_refuses(&desk.identity_file("stranger", &[&stranger]), &value, "no identity matched");

        let at = value.windows(9).position(|window| window == b"item=item").unwrap();
        let mut moved = value.clone();
        moved[at + 5] = b'j';
        desk.age_refuses(&file, &moved, "bad header MAC");

        let mut broken = value;
        *broken.last_mut().unwrap() ^= 1;
        desk.age_refuses(&file, &broken, "failed to decrypt and authenticate payload chunk");
    }
}

#[test]
fn age_opens_what_we_rewrap_with_the_new_key_only() {
    let desk = Desk::new();
    for algorithm in BOTH {
        for count in [1, 3] {
            for size in [0, 65_537] {
                let plaintext = plaintext(size);
                let [old @ .., new] = &*identities(algorithm, count + 1) else { panic!("there are at least two") };
                let (ours, others) = old.split_first().unwrap();
                let moved = seal(&plaintext, old).rewrap(&ring(ours), new.recipient()).unwrap();
                assert!(moved.open(&place(), &ring(new)).unwrap().plaintext.expose() == plaintext);
                assert_eq!(moved.open(&place(), &ring(ours)).unwrap_err().class(), "unknown-key");
                let moved = age_file(&moved);
                for identity in others.iter().chain([new]) {
                    desk.age_opens(&desk.identity_file("new", &[identity]), &moved, &plaintext);
                }
                desk.age_refuses(&desk.identity_file("old", &[ours]), &moved, "no identity matched");
            }
        }
    }
}

#[test]
fn we_open_what_age_encrypts_but_never_as_a_sealed_value() {
    let desk = Desk::new();
    for algorithm in BOTH {
        for count in [1, 3] {
            let identities = identities(algorithm, count);
            let recipients: Vec<_> = identities.iter().map(Identity::recipient).collect();
            for size in SIZES {
                let plaintext = plaintext(size);
                let file = desk.age_encrypt(&recipients, &plaintext);
                for identity in &identities {
                    let opened = decrypt(&file, std::slice::from_ref(identity)).unwrap();
                    assert!(opened.expose() == plaintext, "{algorithm}, {size} bytes");
                }
                let refused = STANDARD.encode(&file).parse::<SealedValue>().unwrap_err();
                assert_eq!(refused.class(), "binding", "{refused}");
            }
        }
    }
}
