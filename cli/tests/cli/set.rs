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

/// As `failing-program | bulla set` has it.
#[test]
fn an_empty_value_has_to_be_meant() {
    let world = world();
    let set = |more: &[&str]| world.bulla(&[&["set", "-R", "hybrid.recipients", "db.yaml"], more].concat());
    set(&["password"]).fails(2, "set_empty");
    set(&["password", "--trim"]).stdin("\n").refused(2);
    set(&["--from-file", "password=-"]).refused(2);
    set(&["password", "--allow-empty"]).works();
    assert!(world.bulla(&["unseal", "-i", "hybrid.key", "--item", "password", "db.yaml"]).works().stdout.is_empty());
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
    world.bulla(&set(&["db.yaml"])).fails(2, "set_nothing");
    world.bulla(&set(&["db.yaml", "a", "b"])).stdin(VALUE).fails(2, "set_several_from_stdin");
    world.bulla(&set(&["db.yaml", "a", "--from-file", "a=db.yaml"])).stdin(VALUE).fails(2, "set_twice");
    world.bulla(&set(&["two.yaml", "-n", "elsewhere", "a"])).stdin(VALUE).fails(2, "set_other_namespace");
    world.write("env", format!("# c\nA=1\n{VALUE}\n"));
    world.bulla(&set(&["db.yaml", "--from-env-file", "env"])).fails(2, "set_bad_env_file");
    world.set_mode("db.yaml", 0o444);
    world.bulla(&set(&["db.yaml", "password"])).stdin(VALUE).fails(74, "set_read_only");
    world.bulla(&set(&["db.yaml", "a"])).stdin(vec![b'x'; 1024 * 1024 + 1]).fails(2, "set_too_long");
}

#[test]
fn a_dry_run_shows_the_change_and_makes_none() {
    let world = world();
    let before = world.read("db.yaml");
    world.bulla(&set(&["db.yaml", "--dry-run", "password"])).stdin(VALUE).succeeds("set_dry_run");
    assert_eq!(world.read("db.yaml"), before);
}

#[test]
fn an_env_file_is_read_as_kubectl_does() {
    let world = world();
    world.write("env", format!("\u{feff}# comment\n\n  A={VALUE}\r\nB=\"quoted\" \nC=x=y\nD=\n"));
    world.bulla(&set(&["db.yaml", "--from-env-file", "env"])).works();
    let open =
        |item: &str| world.bulla(&["unseal", "-i", "hybrid.key", "--item", item, "db.yaml"]).reveals().works().text().to_owned();
    assert_eq!(["A", "B", "C", "D"].map(open), [VALUE, "\"quoted\" ", "x=y", ""]);
}

/// A namespace that a kustomization adds stands in the bindings of the values that are there.
#[test]
fn an_object_without_a_namespace_is_bound_as_its_values_are() {
    let world = world();
    world.write("base.yaml", world.read("db.yaml").replace(", namespace: prod", ""));
    world.bulla(&set(&["base.yaml", "new"])).stdin(VALUE).works();
    let shown = world.bulla(&["inspect", "base.yaml"]).works();
    assert!(shown.text().contains("strict prod/db/new"), "{}", shown.text());
    world.write(
        "base.yaml",
        manifest("db", &[("a", &sealed("hybrid", b"x", Scope::Cluster, None))]).replace(", namespace: prod", ""),
    );
    world.bulla(&set(&["base.yaml", "--scope", "strict", "b"])).stdin(VALUE).fails(2, "set_no_namespace");
    world.bulla(&set(&["base.yaml", "--scope", "strict", "-n", "shop", "b"])).stdin(VALUE).works();
    assert!(world.bulla(&["inspect", "base.yaml"]).works().text().contains("strict shop/db/b"));
}

#[test]
fn files_that_cannot_be_edited_stay_as_they_are() {
    let world = world();
    let good = world.read("db.yaml");
    let deep = format!("{good}---\na: {}{}\n", "[".repeat(80), "]".repeat(80));
    let levels = "abcdefgh".chars().zip("bcdefghi".chars());
    let level = |(one, two)| format!("{two}: &{two} [{}]\n", vec![format!("*{one}"); 9].join(", "));
    let bomb = format!("---\na: &a [x, x, x, x, x, x, x, x, x]\n{}", levels.map(level).collect::<String>());
    let twice = good.replace("    password:", "    user: x\n    password:");
    for (bytes, cause) in [
        ([good.as_bytes(), b"# \xff\n"].concat(), "the text is not UTF-8"),
        (twice.into_bytes(), "the key is there twice"),
        (good.replace("    user:", "\tuser:").into_bytes(), "a tab where only spaces may stand"),
        (deep.into_bytes(), "nested deeper than 64 levels"),
        (format!("{good}#{}\n", "x".repeat(100 * 1024 * 1024)).into_bytes(), "larger than 32 MiB"),
        (good.replace("# kept\n", "# kept\u{2028}\n").into_bytes(), "U+2028"),
        (good.replace("    user: ", "    user: *x # ").into_bytes(), "an alias whose anchor does not exist"),
        ([b"\xff\xfe".to_vec(), good.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat(), "it is UTF-16"),
    ] {
        world.write("bad.yaml", bytes);
        let outcome = world.bulla(&set(&["bad.yaml", "password"])).stdin(VALUE).refused(2);
        assert!(outcome.stderr.contains(cause), "{cause}: {}", outcome.stderr);
    }
    // Aliases that multiply are never followed, and many documents are no matter.
    let many = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n".repeat(10_000);
    for more in [bomb, many] {
        world.write("good.yaml", format!("{good}{more}"));
        world.bulla(&set(&["good.yaml", "password"])).stdin(VALUE).works();
        assert!(world.read("good.yaml").ends_with(&more));
    }
}

#[test]
fn a_file_in_a_merge_says_what_to_do() {
    let world = world();
    let text = world.read("db.yaml");
    let (start, last) = text.trim_end().rsplit_once('\n').unwrap();
    world.write("db.yaml", format!("{start}\n<<<<<<< ours\n{last}\n=======\n{last}\n>>>>>>> theirs\n"));
    let line = start.lines().count() + 1;
    let outcome = world.bulla(&set(&["db.yaml", "a"])).stdin(VALUE).refused(2);
    assert!(outcome.stderr.contains(&format!("line {line}, column 1 ")), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("hint: choose one of the sides"), "{}", outcome.stderr);
    world
        .write("db.yaml", "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {name: a}\nspec: {encryptedData: {}}\n");
    let outcome = world.bulla(&set(&["db.yaml", "a"])).stdin(VALUE).refused(2);
    assert!(outcome.stderr.contains("no SealedSecret (bulla.dev) with values in db.yaml"), "{}", outcome.stderr);
}
