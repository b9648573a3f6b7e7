//! Keys in the wrong place, of the wrong kind, or unsafe.

use super::bech32;
use super::harness::{Keys, SECRET, World, snapshot};

fn world() -> World {
    let world = World::new();
    world.write("secret.yaml", SECRET);
    world
}

#[test]
fn an_identity_where_a_recipient_belongs() {
    for (key, short) in [("hybrid", "pq"), ("x25519", "x25519")] {
        let world = world();
        let identity = Keys::get().identity(key);
        for (name, text) in [("", identity.clone()), ("_lower_case", identity.to_lowercase())] {
            // The command line itself is not shown, since it has the identity.
            let outcome = world.bulla(&["seal", "-r", &text, "secret.yaml"]).refused(3);
            snapshot(&format!("keys_identity_{short}{name}_with_r"), &outcome.stderr);
            world.write("mixed.recipients", format!("# mine\n{text}\n"));
            world
                .bulla(&["seal", "-R", "mixed.recipients", "secret.yaml"])
                .fails(3, &format!("keys_identity_{short}{name}_in_file"));
        }
        world
            .bulla(&["seal", "-R", &format!("{key}.key"), "secret.yaml"])
            .fails(3, &format!("keys_identity_file_{short}_with_r"));
        // The identity where the name of a file belongs.
        let outcome = world.bulla(&["seal", "-R", &identity, "secret.yaml"]).refused(74);
        snapshot(&format!("keys_identity_{short}_as_recipients_file"), &outcome.stderr);
        let outcome = world.bulla(&["seal", "-R", "hybrid.recipients", &identity]).refused(74);
        snapshot(&format!("keys_identity_{short}_as_manifest"), &outcome.stderr);
        world.bulla(&["inspect", &identity]).refused(74);
        world.bulla(&["man", "-o", &identity]).refused(74);
        world.bulla(&["seal", "-R", "hybrid.recipients", "-o", &format!("missing/{identity}"), "secret.yaml"]).refused(74);
    }
}

#[test]
fn what_is_no_recipient() {
    let world = world();
    world.bulla(&["seal", "-r", "age1nonsense", "secret.yaml"]).fails(3, "keys_nonsense");
    world.bulla(&["seal", "-r", "", "secret.yaml"]).fails(3, "keys_empty");
    world.bulla(&["seal", "-r", "hybrid.recipients", "secret.yaml"]).fails(3, "keys_file_with_r");
    let recipient = Keys::get().recipient("x25519");
    world.bulla(&["seal", "-r", &recipient[..recipient.len() - 1], "secret.yaml"]).fails(3, "keys_cut");
    world.bulla(&["seal", "-r", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAA", "secret.yaml"]).fails(3, "keys_ssh");
    world.bulla(&["seal", "-R", "secret.yaml", "secret.yaml"]).fails(3, "keys_manifest_as_recipients_file");
    world.bulla(&["seal", "-R", "missing.recipients", "secret.yaml"]).fails(74, "keys_missing_recipients_file");
    world.bulla(&["seal", "-R", ".", "secret.yaml"]).fails(74, "keys_folder_as_recipients_file");
    world.write("empty.recipients", "# nobody\n\n");
    world.bulla(&["seal", "-R", "empty.recipients", "secret.yaml"]).fails(3, "keys_no_recipient");
    world.write("old.recipients", format!("{recipient}\n# bulla: key=12 state=Lost\n"));
    world.bulla(&["seal", "-R", "old.recipients", "secret.yaml"]).fails(3, "keys_malformed_comment");
    world.write("long.recipients", format!("{recipient}\n").repeat(5000));
    world.bulla(&["seal", "-R", "long.recipients", "secret.yaml"]).fails(3, "keys_long_recipients_file");
}

#[test]
fn kinds_do_not_mix() {
    world().bulla(&["seal", "-R", "hybrid.recipients", "-R", "x25519.recipients", "secret.yaml"]).fails(3, "keys_mixed");
}

#[test]
fn too_many_recipients() {
    let world = world();
    let many: String = (0..31u8)
        .map(|_| bulla_shared::age::Identity::generate(bulla_shared::age::Algorithm::X25519).recipient().to_string() + "\n")
        .collect();
    world.write("many.recipients", many);
    world.bulla(&["seal", "-R", "many.recipients", "secret.yaml"]).fails(3, "keys_too_many");
}

/// The points of <https://cr.yp.to/ecdh.html#validate>, with which every shared secret is zero.
#[test]
fn recipients_of_low_order() {
    let point = |bytes: [u8; 2], fill: u8, last: u8| {
        let mut point = [fill; 32];
        (point[0], point[1], point[31]) = (bytes[0], bytes[1], last);
        point
    };
    let order_8: [u8; 32] = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb,
        0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ];
    let points = [
        point([0, 0], 0, 0),
        point([1, 0], 0, 0),
        order_8,
        point([0xec, 0xff], 0xff, 0x7f),
        point([0xed, 0xff], 0xff, 0x7f),
        point([0xee, 0xff], 0xff, 0x7f),
        point([0, 0], 0, 0x80),
    ];
    let world = world();
    for (index, point) in points.iter().enumerate() {
        let recipient = bech32::encode("age", point);
        let outcome = world.bulla(&["seal", "-r", &recipient, "secret.yaml"]).refused(3);
        if index == 0 {
            snapshot("keys_low_order", &outcome.stderr);
        }
        let mut hybrid = bech32::decode(Keys::get().recipient("hybrid"));
        let share = hybrid.len() - 32;
        hybrid[share..].copy_from_slice(point);
        let recipient = bech32::encode("age1pq", &hybrid);
        let other = world.bulla(&["seal", "-r", &recipient, "secret.yaml"]).refused(3);
        assert_eq!(outcome.stderr, other.stderr);
    }
    // The same texts with a point that is none of these do seal.
    let hybrid = bech32::encode("age1pq", &bech32::decode(Keys::get().recipient("hybrid")));
    world.bulla(&["seal", "-r", &hybrid, "secret.yaml"]).works();
}

#[test]
fn an_ml_kem_key_out_of_range() {
    let mut hybrid = bech32::decode(Keys::get().recipient("hybrid"));
    hybrid[..3].fill(0xff);
    world().bulla(&["seal", "-r", &bech32::encode("age1pq", &hybrid), "secret.yaml"]).refused(3);
}
