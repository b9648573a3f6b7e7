//! `bulla recipients` and `bulla keys` without a cluster to ask: what they say before they ask it.

use super::harness::World;

#[test]
fn refusals() {
    let world = World::new();
    world.bulla(&["recipients"]).fails(3, "recipients_no_kubeconfig");
    world.bulla(&["recipients", "prod"]).fails(3, "recipients_no_configuration");
    world.write(".bulla.yaml", "version: 1\ntargets:\n  prod: {recipients: hybrid.recipients}\n");
    world.bulla(&["recipients"]).fails(3, "recipients_nothing_to_compare");
    world.bulla(&["recipients", "prod"]).fails(3, "recipients_no_context");
    world.bulla(&["recipients", "staging"]).fails(3, "recipients_unknown_target");
}

#[test]
fn keys() {
    let world = World::new();
    world.write("short", "hunter2\n");
    world.write("empty", "\nx\n");
    world.write("binary.age", b"\x00\xff");
    world.bulla(&["keys", "list"]).fails(3, "keys_no_kubeconfig");
    world.bulla(&["keys", "retire", "a", "--confirm", "b"]).fails(2, "keys_retire_another_name");
    world.bulla(&["keys", "compromise", "a", "--at", "9000-01-01T00:00:00Z"]).fails(2, "keys_compromise_in_the_future");
    world.bulla(&["keys", "compromise", "a", "--at", "yesterday"]).in_the_parsers_words().fails(2, "keys_compromise_no_time");
    world.bulla(&["keys", "backup", "-o", "x.age"]).fails(2, "keys_backup_to_nobody");
    world.bulla(&["keys", "backup", "-o", "x.age", "--passphrase-file", "short"]).fails(2, "keys_backup_short_passphrase");
    world.bulla(&["keys", "backup", "-o", "x.age", "--passphrase-file", "empty"]).fails(2, "keys_backup_no_passphrase");
    world.bulla(&["keys", "backup", "-o", "x.age", "-p"]).exits(2);
    world
        .bulla(&["keys", "backup", "-o", "x.age", "-R", "hybrid.recipients", "-R", "x25519.recipients"])
        .partly()
        .fails(3, "keys_backup_mixed_recipients");
    world.bulla(&["keys", "restore", "binary.age"]).fails(4, "keys_restore_with_nothing");
    world.bulla(&["keys", "restore", "-i", "hybrid.key", "binary.age"]).fails(4, "keys_restore_no_age_file");
    world.bulla(&["keys", "verify-backup", "-i", "hybrid.key", "missing.age", "."]).fails(74, "keys_verify_backup_missing");
    world
        .bulla(&["keys", "verify-backup", "-i", "hybrid.recipients", "binary.age", "."])
        .fails(4, "keys_verify_backup_recipient_as_identity");
}
