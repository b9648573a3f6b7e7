//! Refused for its form: base64, header lines, sizes.

use super::{Stage, VALUE, change, line};
use crate::forge::{FileKey, INTRO, bytes, stanza, text};

pub(super) fn base64(stage: &mut Stage<'_>) {
    // A length that needs two characters of padding, and an alphabet that shows which one it is.
    let good = (0..1000)
        .map(|length| stage.key.sealed(&[stage.binding.as_str(), &stage.ours].concat(), &vec![0; length]))
        .find(|text| text.ends_with("==") && text.contains('+') && text.contains('/'))
        .expect("one of a thousand values");
    let bare = good.trim_end_matches('=');
    let (rest, last) = bare.split_at(bare.len() - 1);
    let next = char::from(last.as_bytes()[0] + 1);
    let (head, tail) = good.split_at(76);
    for (file, comment, sealed) in [
        ("line-feed", "a line feed at the end", format!("{good}\n")),
        ("lines", "broken into lines", format!("{head}\n{tail}")),
        ("space", "a space inside", format!("{head} {tail}")),
        ("leading-space", "a space before", format!(" {good}")),
        ("no-padding", "both characters of padding are missing", bare.to_owned()),
        ("short-padding", "one character of padding is missing", format!("{bare}=")),
        ("long-padding", "one character of padding too many", format!("{good}=")),
        ("trailing-bits", "the unused bits of the last character are not zero", format!("{rest}{next}==")),
        ("url-alphabet", "the alphabet of RFC 4648 section 5", good.replace('+', "-").replace('/', "_")),
        ("two", "two texts behind one another", format!("{good}{good}")),
    ] {
        stage.refused(&format!("base64-{file}"), comment, sealed, "not canonical base64");
    }
}

pub(super) fn header(stage: &mut Stage<'_>) {
    const INTRO_KIND: &str = "not an age v1 file";
    const ARGUMENTS: &str = "malformed stanza arguments";
    const BODY: &str = "malformed stanza body";
    const EXPECTED: &str = "expected a stanza or the MAC";
    let good = bytes(&stage.sealed(&[&stage.binding, &stage.ours]));
    let payload = stage.key.payload(VALUE);
    let intro = |intro: &str| text(&[intro.as_bytes(), &good[INTRO.len()..]].concat());
    let cut = |length: usize| text(&good[..length]);
    let mac = good.len() - payload.len() - "--- ".len() - 44;
    for (file, comment, sealed, reason) in [
        ("empty", "nothing at all", String::new(), INTRO_KIND),
        ("version", "version 2 of the age format", intro("age-encryption.org/v2\n"), INTRO_KIND),
        ("intro-crlf", "the first line ends in CRLF", intro("age-encryption.org/v1\r\n"), INTRO_KIND),
        ("intro-cut", "the first line lacks its line feed", cut(INTRO.len() - 1), INTRO_KIND),
        ("intro-only", "the first line is all", cut(INTRO.len()), "the header ends early"),
        ("cut-stanza", "ends inside a stanza", cut(mac - 60), "the header ends early"),
        ("cut-mac", "ends before the MAC", cut(mac), "the header ends early"),
        ("cut-mac-line", "the MAC lacks its line feed", cut(mac + "--- ".len() + 43), "the header ends early"),
    ] {
        stage.refused(&format!("header-{file}"), comment, sealed, reason);
    }

    let (binding, ours) = (stage.binding.clone(), stage.ours.clone());
    let (binding_line, ours_line) = (line(&binding).to_owned(), line(&ours).to_owned());
    let edit = |from: &str, to: &str| format!("{}{ours}", change(&binding, from, to));
    let (rest, last) = ours_line.split_at(ours_line.len() - 1);
    let next = char::from(last.as_bytes()[0] + 1);
    let with = |more: &str| format!("{binding}{ours}{more}");
    let grease = |args: usize| stanza(&format!("x-grease {}", "a".repeat(args)), b"");
    for (file, comment, stanzas, reason) in [
        ("no-stanza", "no stanza", String::new(), "no stanza"),
        ("no-body", "the binding lacks its empty body line", format!("{binding_line}{ours}"), BODY),
        ("no-last-body", "the last stanza lacks its body", with("-> x-grease\n"), BODY),
        ("two-spaces", "two spaces between arguments", edit(" name=", "  name="), ARGUMENTS),
        ("leading-space", "two spaces after the arrow", edit("-> ", "->  "), ARGUMENTS),
        ("trailing-space", "a space after the last argument", edit("\n\n", " \n\n"), ARGUMENTS),
        ("tab", "a tab between arguments", edit(" name=", "\tname="), ARGUMENTS),
        ("control", "a DEL in an argument", edit("name=db", "name=d\x7f"), ARGUMENTS),
        ("not-ascii", "a letter outside ASCII", edit("name=db", "name=d\u{e9}"), ARGUMENTS),
        ("crlf", "a stanza line ends in CRLF", edit("\n\n", "\r\n\n"), ARGUMENTS),
        ("no-arguments", "a stanza without a type", with("-> \n\n"), ARGUMENTS),
        ("no-space", "no space after the arrow", with("->x-grease\n\n"), EXPECTED),
        ("empty-line", "an empty line between stanzas", format!("{binding}\n{ours}"), EXPECTED),
        ("body-padding", "a padded body", format!("{binding}{ours_line}=\n"), BODY),
        ("body-bits", "unused bits of a body are not zero", format!("{binding}{rest}{next}\n"), BODY),
        ("body-space", "a body ends in a space", format!("{binding}{ours_line} \n"), BODY),
        ("body-crlf", "a body ends in CRLF", format!("{binding}{ours_line}\r\n"), BODY),
        ("body-wide", "a body line of 68 columns", with(&format!("-> x-grease\n{}\n\n", "A".repeat(68))), BODY),
        ("body-full", "a body of 64 columns without a short line", with(&format!("-> x-grease\n{}\n", "A".repeat(64))), BODY),
        ("long-line", "a line of 2049 bytes", with(&grease(2049 - "-> x-grease ".len())), "the line is too long"),
        ("many-stanzas", "33 stanzas", with(&grease(1).repeat(31)), "too many stanzas"),
        (
            "long",
            "more than 64 KiB",
            with(&format!("-> x-grease\n{}\n", ("A".repeat(64) + "\n").repeat(1008))),
            "the header is too long",
        ),
    ] {
        let sealed = stage.sealed(&[&stanzas]);
        stage.refused(&format!("header-{file}"), comment, sealed, reason);
    }
}

pub(super) fn mac_line(stage: &mut Stage<'_>) {
    let header = stage.key.header(&[stage.binding.as_str(), &stage.ours].concat());
    let (covered, mac) = header.rsplit_once(' ').unwrap();
    let mac = line(mac).to_owned();
    let (rest, last) = mac.split_at(42);
    let next = char::from(last.as_bytes()[0] + 1);
    for (file, comment, end) in [
        ("missing", "no MAC after the dashes", String::new()),
        ("no-space", "no space before the MAC", mac.clone()),
        ("two-spaces", "two spaces before the MAC", format!("  {mac}")),
        ("dashes", "four dashes", format!("- {mac}")),
        ("short", "a MAC of 31 bytes", format!(" {}", &mac[..42])),
        ("long", "a MAC of 33 bytes", format!(" {rest}AA")),
        ("padding", "a padded MAC", format!(" {mac}=")),
        ("bits", "unused bits of the MAC are not zero", format!(" {rest}{next}")),
        ("trailing-space", "a space after the MAC", format!(" {mac} ")),
        ("crlf", "the MAC line ends in CRLF", format!(" {mac}\r")),
    ] {
        let sealed = text(&[format!("{covered}{end}\n").as_bytes(), &stage.key.payload(VALUE)].concat());
        stage.refused(&format!("header-mac-{file}"), comment, sealed, "malformed MAC line");
    }
}

pub(super) fn size(stage: &mut Stage<'_>) {
    let header = stage.key.header(&[stage.binding.as_str(), &stage.ours].concat());
    let payload = FileKey::payload(&stage.key, b"");
    for (file, comment, length) in [
        ("no-payload", "the header is all", 0),
        ("cut-nonce", "ends inside the nonce", 15),
        ("nonce-only", "the nonce is all", 16),
        ("cut-tag", "ends inside the only tag", 31),
    ] {
        let sealed = text(&[header.as_bytes(), &payload[..length]].concat());
        stage.refused(&format!("size-{file}"), comment, sealed, "the payload is cut short");
    }
}
