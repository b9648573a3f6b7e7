//! `bulla rewrap` offline: what moves, what stays, and what is said about the rest.

use bulla_shared::binding::Scope;

use super::harness::{Keys, World, sealed, strict};

fn manifest(items: &[(&str, &str)]) -> String {
    let items: String = items.iter().map(|(item, value)| format!("    {item}: {value} # {item}\n")).collect();
    format!(
        "# kept\napiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db\n  namespace: prod\nspec:\n  encryptedData:\n{items}"
    )
}

/// One file under the old key (`hybrid`), one under the new (`other`), and what lies about in repositories.
fn world() -> World {
    let world = World::new();
    let value = |key: &str, item: &str| sealed(key, b"bulla-canary-7f3a", strict("prod", "db", item), None);
    world.write("git/old.yaml", manifest(&[("a", &value("hybrid", "a")), ("b", &value("hybrid", "b"))]));
    world.write("git/new.yaml", manifest(&[("a", &value("other", "a"))]));
    world.write("git/picture.json", b"\x89PNG\r\n\xff\xfe SealedSecret");
    world.write("git/chart.yaml", "{{ if .Values.a }}\na: 1\n{{ end }}\n");
    world.write("git/.hidden/old.yaml", manifest(&[("a", &value("hybrid", "a"))]));
    std::os::unix::fs::symlink(".", world.path("git/loop")).unwrap();
    std::os::unix::fs::symlink("loop.yaml", world.path("git/loop.yaml")).unwrap();
    world
}

/// The file says that the older key is one of the cluster's, and nothing says which cluster that is.
#[test]
fn what_a_cluster_would_move_needs_its_context() {
    let world = World::new();
    let value = sealed("hybrid", b"bulla-canary-7f3a", strict("prod", "db", "a"), None);
    world.write("db.yaml", manifest(&[("a", &value)]));
    let older: bulla_shared::age::Recipient = Keys::get().recipient("hybrid").parse().unwrap();
    let newer = bulla_shared::age::Identity::generate(bulla_shared::age::Algorithm::Hybrid);
    let line = format!("# bulla: key={} state=DecryptOnly since=2026-11-23T06:50:00Z", older.fingerprint());
    world.write("prod.recipients", format!("{}\n{line}\n", newer.recipient()));
    let outcome = world.bulla(&["rewrap", "-R", "prod.recipients", "--check", "db.yaml"]).partly().exits(1);
    assert!(
        outcome.stderr.contains("hint: bulla rewrap with the same paths moves them: through the cluster that"),
        "{}",
        outcome.stderr
    );
}

const OFFLINE: [&str; 5] = ["rewrap", "-i", "hybrid.key", "-R", "other.recipients"];

#[test]
fn a_tree() {
    let world = world();
    let before = world.read("git/old.yaml");
    let outcome = world.bulla(&["rewrap", "-R", "other.recipients", "--check", "git"]).partly().fails(1, "rewrap_check");
    assert!(outcome.text().lines().all(|line| line.starts_with("git/old.yaml: prod/db ")), "{}", outcome.text());
    let outcome = world.bulla(&[&OFFLINE[..], &["git"]].concat()).works();
    assert!(outcome.stderr.ends_with("rewrapped 2 values in 1 file; 1 needed nothing\n"), "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("values are now under key "), "{}", outcome.stderr);
    let after = world.read("git/old.yaml");
    for (before, after) in before.lines().zip(after.lines()) {
        let kept = |line: &str| line.rsplit_once(" # ").map(|(_, comment)| comment.to_owned());
        assert!(before == after || kept(before).is_some_and(|comment| Some(comment) == kept(after)), "{after}");
    }
    world.bulla(&["rewrap", "-R", "other.recipients", "--check", "git"]).works();
    world.bulla(&["unseal", "-i", "other.key", "--item", "b", "git/old.yaml"]).reveals().works();
    world.bulla(&["unseal", "-i", "hybrid.key", "git/old.yaml"]).refused(4);
    let again = world.bulla(&[&OFFLINE[..], &["git"]].concat()).works();
    assert_eq!(again.stderr, "rewrapped 0 values in 0 files; 3 needed nothing\n");
}

#[test]
fn recipients_are_added_removed_and_change_their_kind() {
    let world = world();
    let both = [&OFFLINE[..], &["-R", "hybrid.recipients", "git/old.yaml"]].concat();
    world.bulla(&both).works();
    for key in ["hybrid.key", "other.key"] {
        world.bulla(&["unseal", "-i", key, "git/old.yaml"]).reveals().works();
    }
    world.bulla(&["rewrap", "-i", "other.key", "-R", "x25519.recipients", "git/old.yaml"]).works();
    world.bulla(&["unseal", "-i", "x25519.key", "git/old.yaml"]).reveals().works();
    world.bulla(&["unseal", "-i", "other.key", "git/old.yaml"]).refused(4);
}

#[test]
fn what_cannot_be_moved_is_named_and_the_rest_is_moved() {
    let world = world();
    let good = sealed("hybrid", b"x", Scope::Cluster, None);
    let changed = good.replacen("QUd", "QUe", 1);
    let strange = sealed("x25519", b"x", Scope::Cluster, None);
    world.write("git/mixed.yaml", manifest(&[("good", &good), ("strange", &strange)]));
    world.write("git/broken.yaml", manifest(&[("a", &good), ("b", "nonsense")]));
    world.write("git/twice.yaml", manifest(&[("a", &good), ("a", &changed)]));
    let utf16: Vec<u8> = manifest(&[("a", &good)]).encode_utf16().flat_map(u16::to_le_bytes).collect();
    world.write("git/utf16.yaml", [&b"\xff\xfe"[..], &utf16].concat());
    world.bulla(&[&OFFLINE[..], &["git"]].concat()).partly().in_any_order().fails(4, "rewrap_partly");
    assert!(world.read("git/mixed.yaml").contains(&strange) && !world.read("git/mixed.yaml").contains(&good));
    assert!(world.read("git/broken.yaml").contains(&good), "a file is moved whole or not at all");
}

#[test]
fn refusals() {
    let world = world();
    world.bulla(&["rewrap", "-i", "hybrid.key", "git"]).fails(3, "rewrap_no_recipients");
    world.bulla(&["rewrap", "-i", "hybrid.recipients", "-R", "other.recipients", "git"]).fails(4, "rewrap_recipient_as_identity");
    world.bulla(&["rewrap", "-i", "hybrid.key", "-t", "prod", "git"]).fails(3, "rewrap_no_configuration");
    world.bulla(&["rewrap", "git"]).fails(3, "rewrap_no_cluster");
    world
        .bulla(&["rewrap", "-i", "hybrid.key", "--context", "c", "git"])
        .in_the_parsers_words()
        .fails(2, "rewrap_identity_and_context");
    let mixed = [&OFFLINE[..], &["-R", "x25519.recipients", "git/old.yaml"]].concat();
    world.bulla(&mixed).partly().fails(4, "rewrap_mixed_recipients");
    world.bulla(&[&OFFLINE[..], &["nowhere"]].concat()).partly().fails(4, "rewrap_missing_path");
    // What is named and cannot be read is no file without sealed values.
    let utf16: Vec<u8> = world.read("git/old.yaml").encode_utf16().flat_map(u16::to_le_bytes).collect();
    world.write("utf16.yaml", utf16);
    world.bulla(&["rewrap", "-R", "other.recipients", "--check", "utf16.yaml"]).partly().fails(4, "rewrap_utf16_without_mark");
}

/// A key that the recipients file calls compromised: the value is due from that day on, and one sealed later does not move.
#[test]
fn off_a_compromised_key() {
    let world = world();
    let fingerprint = |name: &str| {
        let recipient: bulla_shared::age::Recipient = Keys::get().recipient(name).parse().unwrap();
        recipient.fingerprint()
    };
    let comment = |since: &str| format!("# bulla: key={} state=Compromised since={since}\n", fingerprint("hybrid"));
    // The values of the harness are of 2020-01-02.
    world.write("late.recipients", format!("{}\n{}", Keys::get().recipient("other"), comment("2020-01-01T00:00:00Z")));
    world
        .bulla(&["rewrap", "-i", "hybrid.key", "-R", "late.recipients", "git/old.yaml"])
        .partly()
        .fails(4, "rewrap_sealed_too_late");
    world.write("prod.recipients", format!("{}\n{}", Keys::get().recipient("other"), comment("2020-03-04T00:00:00Z")));
    world.bulla(&["rewrap", "-i", "hybrid.key", "-R", "prod.recipients", "git/old.yaml"]).works();
    let due = world.bulla(&["inspect", "--due", "git/old.yaml"]).works();
    assert!(due.text().contains("rotate by 2020-03-04"), "{}", due.text());
}

/// Anybody who writes to the repository may put a value of one target where another's rule holds.
#[test]
fn a_rule_gives_no_value_to_a_target_that_never_had_it() {
    let world = world();
    let config = "version: 1\ntargets:\n  staging: {recipients: other.recipients}\n  prod: {recipients: hybrid.recipients}\n\
        rules:\n- {path: 'git/new.yaml', targets: [prod, staging]}\n- {path: '**', targets: [staging]}\n";
    world.write(".bulla.yaml", config);
    let before = world.read("git/old.yaml");
    world.bulla(&["rewrap", "-i", "hybrid.key", "git/old.yaml"]).partly().fails(4, "rewrap_of_another_target");
    assert_eq!(world.read("git/old.yaml"), before);
    // A rule that adds a target to one that has the value is meant.
    world.bulla(&["rewrap", "-i", "other.key", "git/new.yaml"]).succeeds("rewrap_adds_a_target");
    // And so is what the command line says.
    world.bulla(&["rewrap", "-i", "hybrid.key", "-t", "staging", "git/old.yaml"]).works();
    world.bulla(&["unseal", "-i", "other.key", "git/old.yaml"]).reveals().works();
}

/// What a link leads to belongs elsewhere.
#[test]
fn links_in_a_folder_are_left_alone() {
    let world = world();
    std::os::unix::fs::symlink("../git/old.yaml", world.path("git/.hidden/linked.yaml")).unwrap();
    world.write("links/.keep", "");
    std::os::unix::fs::symlink("../git/old.yaml", world.path("links/linked.yaml")).unwrap();
    let outcome = world.bulla(&[&OFFLINE[..], &["links"]].concat()).works();
    assert_eq!(outcome.stderr, "rewrapped 0 values in 0 files; 0 needed nothing\n");
}
