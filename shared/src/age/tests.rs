//! Keys: texts that are taken and refused, and recipients that are unsafe to use.

use super::*;
use crate::encoding::to_bech32;

#[test]
fn keys_have_one_text_each() {
    for algorithm in [Algorithm::Hybrid, Algorithm::X25519] {
        let identity = Identity::generate(algorithm);
        let text = identity.to_text();
        assert_eq!(*text.parse::<Identity>().unwrap().to_text(), *text);
        let recipient = identity.recipient().to_string();
        assert_eq!(recipient.parse::<Recipient>().unwrap(), *identity.recipient());
        assert!(!format!("{identity:?}").contains(&text[20..]));
        for wrong in
            [recipient.to_uppercase(), format!("{recipient}q"), recipient[..recipient.len() - 1].to_owned(), String::new()]
        {
            assert_eq!(wrong.parse::<Recipient>(), Err(KeyError::Recipient), "{wrong}");
        }
        assert_eq!(text.parse::<Recipient>(), Err(KeyError::IdentityAsRecipient));
        assert_eq!(text.to_lowercase().parse::<Recipient>(), Err(KeyError::IdentityAsRecipient));
        assert_eq!(recipient.parse::<Identity>().unwrap_err(), KeyError::RecipientAsIdentity);
        assert_eq!(text.to_lowercase().parse::<Identity>().unwrap_err(), KeyError::Identity);
    }
}

#[test]
fn unsafe_recipients_are_refused() {
    assert_eq!(to_bech32("age", &[0; 32]).parse::<Recipient>(), Err(KeyError::Recipient));
    let hybrid = |mlkem: u8, x25519: u8| {
        let mut bytes = [x25519; 1216];
        bytes[..1184].fill(mlkem);
        to_bech32("age1pq", &bytes).parse::<Recipient>().map(drop)
    };
    assert_eq!(hybrid(0, 9), Ok(()), "coefficients of zero are below the modulus");
    assert_eq!(hybrid(0, 0), Err(KeyError::Recipient), "low-order point");
    assert_eq!(hybrid(0xff, 9), Err(KeyError::Recipient), "coefficients above the modulus");
}

#[test]
fn identity_files_have_comments_and_many_keys() {
    let one = Identity::generate(Algorithm::Hybrid);
    let two = Identity::generate(Algorithm::X25519);
    let text = format!("# created: 2026\r\n\r\n{}\r\n{}\n", *one.to_text(), *two.to_text());
    let found: Vec<_> = parse_identity_file(&text).unwrap().iter().map(|identity| identity.recipient().clone()).collect();
    assert_eq!(found, [one.recipient().clone(), two.recipient().clone()]);
    assert_eq!(parse_identity_file("# nothing\n").unwrap_err(), KeyError::NoIdentity);
    assert_eq!(parse_identity_file("\nAGE-SECRET-KEY-1X\n").unwrap_err(), KeyError::Line(2));
}
