//! `bulla edit`: with and without a private key, and whatever the editor does.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::harness::{BULLA, Run, World, sealed, strict};

const VALUE: &str = "bulla-canary-7f3a";

/// A sealed file with a text, binary data, and a value for somebody else.
fn world() -> World {
    let world = World::new();
    let value = |key: &str, item: &str, bytes: &[u8]| sealed(key, bytes, strict("prod", "db", item), None);
    let (user, pem, raw) =
        (value("hybrid", "user", b"app"), value("hybrid", "pem", b"one\ntwo\n"), value("hybrid", "raw", b"\xff\0"));
    let other = value("other", "other", b"theirs");
    world.write(
        "db.yaml",
        format!(
            "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {{name: db, namespace: prod}}\nspec:\n  encryptedData:\n    \
             user: {user} # u\n    pem: {pem} # p\n    raw: {raw} # r\n    other: {other} # o\n"
        ),
    );
    world
}

/// Runs `bulla edit` with a shell script as the editor, which finds the text as `$1`.
fn edit<'w>(world: &'w World, args: &[&str], script: &str) -> Run<'w> {
    world.write("editor", format!("#!/bin/sh\nset -e\n{script}\n"));
    world.set_mode("editor", 0o755);
    let args = [&["edit", "-R", "hybrid.recipients", "db.yaml"], args].concat();
    world.bulla(&args).env("EDITOR", world.path("editor").display().to_string()).with_programs()
}

/// The lines of the file that differ, by their comments.
fn changed(before: &str, after: &str) -> Vec<String> {
    after.lines().filter(|line| !before.contains(line)).map(|line| line.trim().split(':').next().unwrap().to_owned()).collect()
}

fn open(world: &World, item: &str) -> Vec<u8> {
    world.bulla(&["unseal", "-i", "hybrid.key", "-i", "other.key", "--item", item, "db.yaml"]).reveals().works().stdout
}

#[test]
fn without_a_key_values_are_placeholders() {
    let world = world();
    let before = world.read("db.yaml");
    edit(&world, &[], "cp \"$1\" shown").works();
    let shown = world.read("shown");
    assert_eq!(shown.matches(": !sealed ").count(), 4, "{shown}");
    assert_eq!(world.read("db.yaml"), before);

    let script =
        format!("sed -i -e 's/^user: .*/user: {VALUE}/' -e '/^raw:/d' \"$1\"; printf 'on: x\\n' | sed 's/on/\"on\"/' >> \"$1\"");
    let outcome = edit(&world, &["--dry-run"], &script).works();
    assert!(outcome.text().starts_with("--- db.yaml\n+++ db.yaml\n"), "{}", outcome.text());
    edit(&world, &[], &script).works();
    assert_eq!(changed(&before, &world.read("db.yaml")), ["user", "\"on\""]);
    assert!(!world.read("db.yaml").contains("raw:"));
    assert_eq!(
        (open(&world, "user"), open(&world, "on"), open(&world, "other")),
        (VALUE.into(), b"x".to_vec(), b"theirs".to_vec())
    );
}

#[test]
fn with_a_key_only_what_changes_is_sealed_again() {
    let world = world();
    let before = world.read("db.yaml");
    edit(&world, &["-i", "hybrid.key"], "cp \"$1\" shown").reveals().works();
    let shown = world.read("shown");
    assert!(shown.contains("user: \"app\"\npem: |\n  one\n  two\nraw: !!binary \"/wA=\"\nother: !sealed "), "{shown}");
    assert_eq!(world.read("db.yaml"), before, "nothing changed, so nothing is written");

    edit(&world, &["-i", "hybrid.key"], "sed -i 's/^  two/  2/' \"$1\"").works();
    assert_eq!(changed(&before, &world.read("db.yaml")), ["pem"]);
    assert_eq!(open(&world, "pem"), b"one\n2\n");
}

#[test]
fn a_placeholder_stays_under_its_item() {
    let world = world();
    let script = "grep -q '^# error: ' \"$1\" || sed -i -n -e '/^user:/{s/^user/pem/;p}' -e '/^raw:/p' -e '/^other:/p' \"$1\"";
    edit(&world, &[], script).fails(2, "edit_placeholder_moved");
    edit(&world, &[], "sed -i 's/^user:/renamed:/' \"$1\"").refused(2);
    edit(&world, &[], "sed -i 's/^user: .*/user: !sealed 0123456789abcdef/' \"$1\"").refused(2);
}

#[test]
fn what_cannot_be_read_goes_back_to_the_editor_with_all_that_was_typed() {
    let world = world();
    // The first time it breaks the text, the second time it finds the reason and mends what it typed.
    let script = format!(
        "if grep -q '^# error: ' \"$1\"; then sed -i 's/^user: .*/user: {VALUE}/' \"$1\"; else sed -i 's/^user: .*/user: [{VALUE}/' \"$1\"; fi"
    );
    edit(&world, &[], &script).works();
    assert_eq!(open(&world, "user"), VALUE.as_bytes());
    // One who leaves it as it is gives up.
    for (name, line) in [
        ("edit_not_yaml", "user: [x"),
        ("edit_number", "user: 123"),
        ("edit_duplicate", "user: a\\nuser: b"),
        ("edit_item_name", "on: x"),
    ] {
        let script = format!("grep -q '^# error: ' \"$1\" || sed -i 's/^user: .*/{line}/' \"$1\"");
        edit(&world, &[], &script).fails(2, name);
    }
    edit(&world, &[], "printf '' > \"$1\"").fails(2, "edit_emptied");
    // A script that always writes something else, and never anything of use, is not asked for ever.
    edit(&world, &[], "echo 'more: [' >> \"$1\"; echo >> rounds").partly().fails(2, "edit_never_of_use");
    assert_eq!(world.read("rounds").len(), 8);
}

#[test]
fn what_is_no_text_goes_back_to_the_editor_as_it_is() {
    let world = world();
    let before = world.read("db.yaml");
    // The first time a byte of Latin-1, the second time it is found and mended.
    let typed = format!("sed -i 's/^user: .*/user: {VALUE}/' \"$1\"; printf 'b: caf\\351\\n' >> \"$1\"");
    let script = format!("if [ -e once ]; then LC_ALL=C sed -i 's/caf\\xe9/cafe/' \"$1\"; else touch once; {typed}; fi");
    let outcome = edit(&world, &[], &script).works();
    assert!(outcome.stderr.contains("not UTF-8"), "{}", outcome.stderr);
    assert_eq!((open(&world, "user"), open(&world, "b")), (VALUE.into(), b"cafe".to_vec()));
    world.write("db.yaml", &before);
    edit(&world, &[], "[ -e left ] || printf '\\377' >> \"$1\"; touch left").partly().fails(2, "edit_not_utf8");
    for (number, changes) in
        ["printf '\\377' >> \"$1\"", "head -c 9000000 /dev/zero > \"$1\"", "truncate -s 40M \"$1\"", "rm -f \"$1\""]
            .into_iter()
            .enumerate()
    {
        let outcome = edit(&world, &[], changes).partly().exits(if number == 3 { 74 } else { 2 });
        assert_eq!(outcome.stderr.matches("error: ").count(), if number == 0 { 8 } else { 2 }, "{}", outcome.stderr);
    }
    assert_eq!(world.read("db.yaml"), before);
}

#[test]
fn the_text_is_the_owners_alone_and_goes_away() {
    let world = world();
    let record = "echo \"$1\" > path; stat -c %a \"$1\" \"$(dirname \"$1\")\" > modes; touch \"$1.swp\"";
    let gone = |world: &World| !fs::exists(world.read("path").trim()).unwrap();
    edit(&world, &["-i", "hybrid.key"], record).works();
    assert_eq!(world.read("modes"), "600\n700\n");
    assert!(gone(&world));
    let in_memory = fs::metadata("/dev/shm").is_ok_and(|metadata| metadata.is_dir());
    assert!(!in_memory || world.read("path").starts_with("/dev/shm/"));
    for (name, end) in
        [("edit_editor_fails", "exit 3"), ("edit_editor_killed", "kill -KILL $$"), ("edit_editor_interrupted", "kill -INT $$")]
    {
        edit(&world, &["-i", "hybrid.key"], &format!("{record}; {end}")).partly().exits(2);
        assert!(gone(&world), "{name}");
    }
    // An interrupt that the editor takes is its own business.
    edit(&world, &[], &format!("{record}; kill -INT $PPID; sed -i 's/^user: .*/user: {VALUE}/' \"$1\"")).works();
    assert!(gone(&world));
    assert_eq!(open(&world, "user"), VALUE.as_bytes());
}

#[test]
fn who_is_told_to_end_takes_the_text_away_first() {
    let world = world();
    let before = world.read("db.yaml");
    for signal in ["TERM", "HUP", "USR1", "USR2", "ALRM", "XCPU", "RTMIN"] {
        world.write("editor", "#!/bin/sh\necho \"$1\" > path.new && mv path.new path\nexec sleep 600\n");
        world.set_mode("editor", 0o755);
        let _ = fs::remove_file(world.path("path"));
        let mut bulla = Command::new(BULLA)
            .args(["edit", "-i", "hybrid.key", "-R", "hybrid.recipients", "db.yaml"])
            .env("EDITOR", world.path("editor"))
            .current_dir(world.path(""))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !world.path("path").exists() {
            sleep(Duration::from_millis(10));
        }
        let draft = world.read("path").trim().to_owned();
        assert!(fs::exists(&draft).unwrap());
        let kill = format!("kill -{signal} {}", bulla.id());
        assert!(Command::new("bash").args(["-c", &kill]).status().unwrap().success());
        assert_eq!(bulla.wait().unwrap().code(), Some(2));
        assert!(!fs::exists(&draft).unwrap());
        assert_eq!(world.read("db.yaml"), before);
    }
}

#[test]
fn refusals() {
    let world = world();
    let edit = ["edit", "-R", "hybrid.recipients", "db.yaml"];
    world.bulla(&edit).fails(2, "edit_no_editor");
    world.bulla(&edit).env("VISUAL", "/missing/editor --wait").fails(2, "edit_missing_editor");
    world
        .bulla(&["edit", "-R", "hybrid.recipients", "-i", "x25519.key", "db.yaml"])
        .env("EDITOR", "true")
        .fails(4, "edit_other_key");
    world.bulla(&["edit", "-R", "hybrid.recipients", "hybrid.recipients"]).env("EDITOR", "true").fails(2, "edit_nothing_sealed");
}

/// An editor's script that does `first` before it is told of anything, and `then` once it has been.
fn twice(first: &str, then: &str) -> String {
    format!("if grep -q '^# error: ' \"$1\"; then {then}; else {first}; fi")
}

/// A script that types a value over `user`, and then changes the file itself.
fn meanwhile(world: &World, change: &str) -> String {
    format!("sed -i 's/^user: .*/user: {VALUE}/' \"$1\"; cd {}; {change}", world.path("").display())
}

/// A command that gives this item of the file another value.
fn sets(item: &str) -> String {
    format!("echo theirs | {BULLA} set --trim -R hybrid.recipients db.yaml {item}")
}

#[test]
fn what_others_change_meanwhile_stays_beside_what_was_typed() {
    let world = world();
    let change = format!("{}; sed -i -e '/^    raw:/d' -e '1i # theirs' db.yaml", sets("pem"));
    edit(&world, &[], &meanwhile(&world, &change)).works();
    assert!(world.read("db.yaml").starts_with("# theirs\n") && !world.read("db.yaml").contains(" raw: "));
    assert_eq!((open(&world, "user"), open(&world, "pem")), (VALUE.into(), b"theirs".to_vec()));
    // With a key as well: a value that was only shown is not written back.
    edit(&world, &["-i", "hybrid.key"], &meanwhile(&world, &sets("pem"))).works();
    assert_eq!(open(&world, "pem"), b"theirs");
}

#[test]
fn who_types_over_what_others_change_meanwhile_decides() {
    let typed = |then: &str| {
        let world = world();
        let script = twice(&meanwhile(&world, &sets("user")), then);
        (edit(&world, &[], &script).reveals().works(), open(&world, "user"), world)
    };
    // The line taken away: what was typed counts.
    assert_eq!(typed("sed -i 1d \"$1\"").1, VALUE.as_bytes());
    // The new placeholder, as the line names it: what they wrote counts.
    let theirs = "cp \"$1\" shown; theirs=$(sed -n '1s/.*user (\\(!sealed [0-9a-f]*\\)).*/\\1/p' \"$1\"); sed -i \"s/^user: .*/user: $theirs/\" \"$1\"";
    let (outcome, value, told) = typed(theirs);
    assert_eq!((outcome.stderr.as_str(), value.as_slice()), ("nothing changed\n", &b"theirs"[..]));
    assert!(told.read("shown").contains(&format!("\nuser: {VALUE}\n")), "all that was typed is there");

    let world = world();
    let script = twice(&meanwhile(&world, &sets("user")), "true");
    let outcome = edit(&world, &[], &script).partly().exits(74);
    assert!(outcome.stderr.contains("somebody else has changed meanwhile: user (!sealed "), "{}", outcome.stderr);
    assert_eq!(open(&world, "user"), b"theirs", "one who leaves it as it is gives up");
    // Each item is told of by itself.
    let script = format!(
        "if grep -q 'meanwhile.*pem' \"$1\"; then sed -i 1d \"$1\"; elif grep -q 'meanwhile.*user' \"$1\"; then sed -i -e 1d -e 's/^pem: .*/pem: mine/' \"$1\"; else {}; fi",
        meanwhile(&world, &format!("{}; {}", sets("user"), sets("pem")))
    );
    edit(&world, &[], &script).works();
    assert_eq!((open(&world, "user"), open(&world, "pem")), (VALUE.into(), b"mine".to_vec()));
    // Removed by them.
    let script = twice(&meanwhile(&world, "sed -i '/^    user:/d' db.yaml"), "sed -i 1d \"$1\"");
    edit(&world, &[], &script).works();
    assert_eq!(open(&world, "user"), VALUE.as_bytes());
}

#[test]
fn what_cannot_be_written_goes_back_to_the_editor_too() {
    let world = world();
    let mend = |how: &str| format!("{how}; echo '# again' >> \"$1\"");
    for (fault, mended) in [
        ("chmod a-w db.yaml", "chmod u+w db.yaml"),
        ("mv db.yaml away.yaml", "mv away.yaml db.yaml"),
        ("cp db.yaml good.yaml; echo '<<<<<<< HEAD' >> db.yaml", "mv good.yaml db.yaml"),
    ] {
        let fault = meanwhile(&world, fault);
        edit(&world, &[], &twice(&fault, &mend(mended))).works();
        assert_eq!(open(&world, "user"), VALUE.as_bytes());
        world.bulla(&["set", "-R", "hybrid.recipients", "db.yaml", "user"]).stdin("old").works();
    }
}
