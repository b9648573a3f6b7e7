//! `bulla set`: one value changed or added with public keys only, and every other byte as it was.

use bulla_shared::binding::Scope;

use super::harness::{World, sealed, strict};

const VALUE: &str = "bulla-canary-7f3a";

fn manifest(name: &str, items: &[(&str, &str)]) -> String {
    let items: String = items.iter().map(|(item, value)| format!("    {item}: {value} # {item}\n")).collect();
    format!(
        "# kept\napiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {{name: {name}, namespace: prod}}\nspec:\n  encryptedData:\n{items}"
    )
}

fn world() -> World {
    let world = World::new();
    let value = |name: &str, item: &str| sealed("hybrid", b"old", strict("prod", name, item), None);
    world.write("db.yaml", manifest("db", &[("user", &value("db", "user")), ("password", &value("db", "password"))]));
    let two = format!("{}---\n{}", manifest("db", &[("a", &value("db", "a"))]), manifest("api", &[("a", &value("api", "a"))]));
    world.write("two.yaml", two);
    let mixed = [("a", sealed("hybrid", b"x", Scope::Cluster, None)), ("b", value("mixed", "b"))];
    world.write("mixed.yaml", manifest("mixed", &mixed.each_ref().map(|(item, value)| (*item, value.as_str()))));
    world.write("plain.yaml", "kind: ConfigMap\n");
    world
}

/// The lines that differ, by their comments.
fn changed(before: &str, after: &str) -> Vec<String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(before), lines(after));
    after.iter().filter(|line| !before.contains(line)).map(|line| line.trim().split(':').next().unwrap().to_owned()).collect()
}

#[test]
fn a_value_is_changed_without_any_private_key() {
    let world = world();
    let before = world.read("db.yaml");
    let set = ["set", "-R", "hybrid.recipients", "db.yaml", "password"];
    world.bulla(&set).stdin(VALUE).succeeds("set_existing");
    assert_eq!(changed(&before, &world.read("db.yaml")), ["password"]);
    assert!(world.read("db.yaml").contains(" # password\n"));
    let opened = world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "db.yaml"]).reveals().works();
    assert_eq!(opened.text(), VALUE);
    assert_eq!(world.bulla(&["unseal", "-i", "hybrid.key", "--item", "user", "db.yaml"]).reveals().works().text(), "old");
}

#[test]
fn items_are_added_from_files_and_byte_for_byte() {
    let world = world();
    let before = world.read("db.yaml");
    world.write("bytes", b"\x00\xff\r\n\n");
    world.write("line", format!("{VALUE}\n"));
    let set = ["set", "-R", "hybrid.recipients", "db.yaml", "--from-file", "on=bytes", "--from-file", "tls.key=line"];
    let outcome = world.bulla(&set).works();
    assert!(outcome.stderr.contains("warning: the value of tls.key is one line that ends in a line break"), "{}", outcome.stderr);
    assert_eq!(changed(&before, &world.read("db.yaml")), ["\"on\"", "tls.key"]);
    let open = |item: &str| world.bulla(&["unseal", "-i", "hybrid.key", "--item", item, "db.yaml"]).reveals().works().stdout;
    assert_eq!((open("on"), open("tls.key")), (b"\x00\xff\r\n\n".to_vec(), format!("{VALUE}\n").into_bytes()));
    world.bulla(&["set", "--trim", "-R", "hybrid.recipients", "db.yaml", "--from-file", "tls.key=line"]).works();
    assert_eq!(open("tls.key"), VALUE.as_bytes());
}

#[test]
fn recipients_by_rule_or_by_what_the_values_are_under() {
    let world = world();
    let config = |rules: &str| {
        format!(
            "version: 1\ntargets:\n  old: {{recipients: hybrid.recipients}}\n  new: {{recipients: other.recipients}}\nrules: [{rules}]\n"
        )
    };
    world.write(".bulla.yaml", config("{path: 'db.yaml', targets: [new], rotateAfter: 30d}"));
    world.bulla(&["set", "db.yaml", "password"]).stdin(VALUE).works();
    world.bulla(&["unseal", "-i", "other.key", "-i", "hybrid.key", "db.yaml"]).reveals().works();
    assert!(world.bulla(&["inspect", "db.yaml"]).works().text().contains("rotate by"));
    // No rule: as the others are, if all of their keys are known.
    world.bulla(&["set", "two.yaml", "--name", "api", "a"]).stdin(VALUE).works();
    let two = world.bulla(&["inspect", "two.yaml"]).works();
    assert_eq!(two.text().matches(super::harness::Keys::get().id("hybrid")).count(), 2);
    world.write(".bulla.yaml", "version: 1\ntargets: {new: {recipients: other.recipients}}\n");
    world.bulla(&["set", "two.yaml", "--name", "api", "a"]).stdin(VALUE).fails(3, "set_no_rule");
}

fn set<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["set", "-R", "hybrid.recipients"], args].concat()
}

#[test]
fn refusals() {
    let world = world();
    world.bulla(&["set", "db.yaml", "password"]).stdin(VALUE).fails(3, "set_no_recipients");
    world.bulla(&set(&["two.yaml", "a"])).stdin(VALUE).fails(2, "set_several_objects");
    world.bulla(&set(&["two.yaml", "--name", "c", "a"])).stdin(VALUE).fails(2, "set_no_such_object");
    world.bulla(&set(&["mixed.yaml", "c"])).stdin(VALUE).fails(2, "set_different_scopes");
    world.bulla(&set(&["mixed.yaml", "--scope", "strict", "c"])).stdin(VALUE).works();
    world.bulla(&set(&["plain.yaml", "a"])).stdin(VALUE).fails(2, "set_nothing_sealed");
    world.bulla(&set(&["db.yaml", "a/b"])).stdin(VALUE).fails(2, "set_item_name");
    world.bulla(&set(&["db.yaml", "--from-file", "a"])).fails(2, "set_from_file_without_item");
    world.bulla(&set(&["db.yaml", "--from-file", "a=db.yaml", "--from-file", "b=missing"])).fails(74, "set_missing_value");
    world.bulla(&set(&["db.yaml"])).in_the_parsers_words().fails(2, "set_nothing");
    world.bulla(&set(&["db.yaml", "a"])).stdin(vec![b'x'; 1024 * 1024 + 1]).fails(2, "set_too_long");
}
