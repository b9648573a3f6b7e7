//! `bulla unseal`: what opens, and what must not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_shared::binding::Scope;

use super::canary::CANARY;
use super::harness::{Keys, SECRET, World, sealed, strict};

/// A `SealedSecret` written by hand.
fn manifest(items: &[(&str, &str)], rest: &str) -> String {
    let items: String = items.iter().map(|(name, value)| format!("    {name}: {value}\n")).collect();
    format!(
        "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db\n  namespace: prod\nspec:\n  encryptedData:\n{items}{rest}"
    )
}

fn password() -> String {
    sealed("hybrid", CANARY.as_bytes(), strict("prod", "db", "password"), None)
}

/// A world with `sealed.yaml` of one item.
fn world() -> World {
    let world = World::new();
    world.write("sealed.yaml", manifest(&[("password", &password())], ""));
    world
}

const UNSEAL: [&str; 4] = ["unseal", "-i", "hybrid.key", "sealed.yaml"];

#[test]
fn the_whole_secret() {
    let world = world();
    world.bulla(&UNSEAL).reveals().succeeds("unseal");
    let sealed = world.read("sealed.yaml");
    world.bulla(&["unseal", "-i", "hybrid.key", "-"]).stdin(&sealed).reveals().succeeds("unseal_stdin");
    world.write("sealed.yaml", format!("{SECRET}---\n{sealed}---\n{sealed}"));
    world.bulla(&UNSEAL).reveals().succeeds("unseal_several");
}

#[test]
fn one_item() {
    let world = world();
    let outcome =
        world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "sealed.yaml"]).reveals().succeeds("unseal_item");
    assert_eq!(outcome.stdout, CANARY.as_bytes());
    world.bulla(&["unseal", "-i", "hybrid.key", "--item", "user", "sealed.yaml"]).fails(2, "unseal_item_missing");
    world.write("sealed.yaml", world.read("sealed.yaml") + "---\n" + &world.read("sealed.yaml"));
    world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "sealed.yaml"]).fails(2, "unseal_item_of_several");
}

#[test]
fn a_file_for_its_owner_alone() {
    let world = world();
    world.bulla(&["unseal", "-i", "hybrid.key", "sealed.yaml", "-o", "plain.yaml"]).reveals().succeeds("unseal_output");
    assert_eq!(world.mode("plain.yaml"), 0o600);
}

/// Plaintext does not inherit the permissions of what it replaces, nor stays readable because it was there already.
#[test]
fn an_existing_file_is_for_its_owner_alone_too() {
    let world = world();
    for mode in [0o644, 0o640] {
        world.write("plain", "something else");
        for _ in 0..2 {
            world.set_mode("plain", mode);
            world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "sealed.yaml", "-o", "plain"]).reveals().works();
            assert_eq!((world.mode("plain"), world.read("plain").as_str()), (0o600, CANARY));
        }
    }
}

#[test]
fn templates() {
    let world = world();
    let template = "  template:
    metadata:
      labels: {app: db}
    immutable: true
    data:
      url: 'postgres://app:{{ password | urlencode }}@db/app'
      literal: '{{ \"{{\" }}'
";
    world.write("sealed.yaml", manifest(&[("password", &password())], template));
    world.bulla(&UNSEAL).reveals().succeeds("unseal_template");
    let outcome = world.bulla(&["unseal", "-i", "hybrid.key", "--item", "url", "sealed.yaml"]).reveals().works();
    assert_eq!(outcome.text(), format!("postgres://app:{CANARY}@db/app"));
    for (name, from, to) in [
        ("unseal_template_unknown_item", "password |", "user |"),
        ("unseal_template_unknown_filter", "urlencode", "rot13"),
        ("unseal_template_open", " }}@", "@"),
        ("unseal_template_reserved_label", "app: db", "bulla.dev/secret: owned"),
        ("unseal_template_same_item", "url:", "password:"),
        ("unseal_template_type", "immutable: true", "type: kubernetes.io/service-account-token"),
    ] {
        world.write("sealed.yaml", manifest(&[("password", &password())], &template.replace(from, to)));
        world.bulla(&UNSEAL).fails(4, name);
    }
}

#[test]
fn an_unknown_key_is_named() {
    let world = world();
    let outcome = world.bulla(&["unseal", "-i", "other.key", "-i", "x25519.key", "sealed.yaml"]).fails(4, "unseal_unknown_key");
    assert!(outcome.stderr.contains(Keys::get().id("hybrid")));
}

#[test]
fn a_value_in_another_place() {
    let world = world();
    let sealed = world.read("sealed.yaml");
    for (name, from, to) in [
        ("unseal_moved_item", "    password:", "    user:"),
        ("unseal_moved_name", "name: db", "name: web"),
        ("unseal_moved_namespace", "namespace: prod", "namespace: test"),
        ("unseal_moved_no_namespace", "  namespace: prod\n", ""),
    ] {
        world.write("sealed.yaml", sealed.replacen(from, to, 1));
        world.bulla(&UNSEAL).fails(4, name);
    }
}

#[test]
fn wider_scopes_open_where_they_may() {
    let world = world();
    let of = |scope| sealed("hybrid", CANARY.as_bytes(), scope, None);
    let namespace = of(Scope::Namespace("prod".parse().unwrap()));
    world.write("sealed.yaml", manifest(&[("a", &namespace), ("b", &of(Scope::Cluster))], ""));
    world.bulla(&UNSEAL).reveals().works();
    world.write("sealed.yaml", world.read("sealed.yaml").replace("namespace: prod", "namespace: test"));
    world.bulla(&UNSEAL).fails(4, "unseal_scope_namespace_elsewhere");
}

#[test]
fn a_changed_value() {
    let world = world();
    let change = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = STANDARD.decode(password()).unwrap();
        change(&mut bytes);
        manifest(&[("password", &STANDARD.encode(bytes))], "")
    };
    let replace = |from: &str, to: &str| {
        change(&|bytes| {
            let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            bytes.splice(at..at + from.len(), to.bytes());
        })
    };
    for (name, text) in [
        ("unseal_changed_date", replace("sealed=2020-01-02", "sealed=2020-01-03")),
        ("unseal_widened_scope", replace("scope=strict namespace=prod name=db item=password", "scope=cluster")),
        ("unseal_binding_malformed", replace("scope=strict", "scope=wide")),
        ("unseal_changed_payload", change(&|bytes| *bytes.last_mut().unwrap() ^= 1)),
        ("unseal_cut_payload", change(&|bytes| bytes.truncate(bytes.len() - 20))),
        ("unseal_not_base64", manifest(&[("password", CANARY)], "")),
        ("unseal_not_sealed", manifest(&[("password", &STANDARD.encode(CANARY))], "")),
    ] {
        world.write("sealed.yaml", text);
        world.bulla(&UNSEAL).fails(4, name);
    }
}

#[test]
fn all_or_nothing() {
    let world = world();
    let wrong = sealed("hybrid", b"x", strict("prod", "db", "user"), None);
    let missing = sealed("other", b"x", strict("prod", "db", "key"), None);
    world.write("sealed.yaml", manifest(&[("password", &password()), ("other", &wrong), ("key", &missing)], ""));
    world.bulla(&UNSEAL).fails(4, "unseal_one_of_three");
    world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "sealed.yaml"]).fails(4, "unseal_item_beside_bad_ones");
    // A good document before a bad one, and an output file.
    let good = manifest(&[("password", &password())], "");
    world.write("sealed.yaml", good + "---\n" + &world.read("sealed.yaml"));
    world.write("plain.yaml", "as it was\n");
    world.bulla(&["unseal", "-i", "hybrid.key", "sealed.yaml", "-o", "plain.yaml"]).fails(4, "unseal_second_of_two");
}

#[test]
fn wrong_files() {
    let world = world();
    world.write("secret.yaml", SECRET);
    world.bulla(&["unseal", "-i", "hybrid.key", "secret.yaml"]).fails(2, "unseal_secret");
    world.bulla(&["unseal", "-i", "hybrid.key", "missing.yaml"]).fails(74, "unseal_missing_file");
    world.bulla(&["unseal", "-i", "hybrid.key", "."]).fails(74, "unseal_folder");
    world.bulla(&["unseal", "-i", "hybrid.key", "-"]).fails(2, "unseal_empty_stdin");
    world.bulla(&["unseal", "-i", "missing.key", "sealed.yaml"]).fails(74, "unseal_missing_identity");
    world.bulla(&["unseal", "-i", "hybrid.recipients", "sealed.yaml"]).fails(4, "unseal_recipient_as_identity");
    world.bulla(&["unseal", "-i", "sealed.yaml", "sealed.yaml"]).fails(4, "unseal_manifest_as_identity");
    let sealed = world.read("sealed.yaml");
    world.write("sealed.yaml", sealed.replace("encryptedData", "encrypted"));
    world.bulla(&UNSEAL).fails(2, "unseal_other_form");
    world.write("sealed.yaml", manifest(&[("password", "[]")], ""));
    world.bulla(&UNSEAL).fails(2, "unseal_value_no_text");
    world.write("sealed.yaml", sealed.replace("  name: db\n", ""));
    world.bulla(&UNSEAL).fails(2, "unseal_no_name");
    world.write("sealed.yaml", sealed.replace("kind: SealedSecret", "kind: SealedSecret\nkind: SealedSecret"));
    world.bulla(&UNSEAL).fails(2, "unseal_duplicate_key");
}

#[test]
fn the_identity_itself_in_the_place_of_its_file_is_not_repeated() {
    let world = world();
    let identity = Keys::get().identity("hybrid");
    world.bulla(&["unseal", "-i", &identity, "sealed.yaml"]).fails(74, "unseal_identity_as_file");
    world.bulla(&["unseal", "-i", "hybrid.key", &identity]).fails(74, "unseal_identity_as_manifest");
}

/// Whoever writes the file writes to the terminal of whoever reads the message.
#[test]
fn control_characters_do_not_reach_the_terminal() {
    let world = world();
    world.write("sealed.yaml", manifest(&[("\"\\e[2J\\x9b2Jpassword\"", &password()), ("\"a\\nhint: run this\"", "QQ==")], ""));
    let outcome = world.bulla(&UNSEAL).fails(4, "unseal_control_characters");
    assert!(!outcome.stderr.contains('\u{1b}'));
    for format in ["text", "json"] {
        let args = ["inspect", "--format", format, "sealed.yaml"];
        let outcome = world.bulla(&args).succeeds(&format!("inspect_control_characters_{format}"));
        assert!(!outcome.text().contains(['\u{1b}', '\u{9b}']));
    }
}

/// Base64 that YAML would read as null, a boolean or a number is text.
#[test]
fn what_looks_like_another_type_opens_as_text() {
    let world = world();
    for text in ["null", "true", "1234", "0123", "1e10", "+123"] {
        let value = STANDARD.decode(text).unwrap();
        let value = sealed("hybrid", &value, strict("prod", "db", "password"), None);
        world.write("sealed.yaml", manifest(&[("password", &value)], ""));
        let opened = world.bulla(&UNSEAL).reveals().works();
        let opened: serde_json::Value = serde_saphyr::from_str(opened.text()).unwrap();
        assert_eq!(opened["data"]["password"], text);
    }
}
