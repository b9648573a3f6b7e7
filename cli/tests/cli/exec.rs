//! `bulla exec`: which values the command gets, under which names, and what is refused before it starts.

use std::fs;

use bulla_shared::binding::Scope;

use super::canary::CANARY;
use super::harness::{Keys, Run, World, program, sealed, strict};

/// A `SealedSecret` prod/db of these items, each bound to its place.
pub(super) fn manifest(key: &str, items: &[(&str, &[u8])]) -> String {
    let items =
        items.iter().map(|(item, value)| format!("    {item}: {}\n", sealed(key, value, strict("prod", "db", item), None)));
    let head =
        "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db\n  namespace: prod\nspec:\n  encryptedData:\n";
    format!("{head}{}", items.collect::<String>())
}

/// A world with `sealed.yaml` of a password and a user, and `show`, which prints what it gets.
pub(super) fn world() -> World {
    let world = World::new();
    world.write("sealed.yaml", manifest("hybrid", &[("password", CANARY.as_bytes()), ("user", b"admin-of-db")]));
    world
}

/// Both values of it.
pub(super) const BOTH: [&str; 4] = ["--only", "password", "--only", "user"];

/// Runs a shell script with the values of `sealed.yaml`.
fn exec<'w>(world: &'w World, flags: &[&str], script: &str) -> Run<'w> {
    let args = [&["exec", "-i", "hybrid.key"], flags, &["prod/db=sealed.yaml", "--", "/bin/sh", "-c", script]].concat();
    world.bulla(&args)
}

/// Refused before the command starts: were it started, there would be a file.
fn refuse(world: &World, flags: &[&str], snapshot: &str) {
    exec(world, flags, ": > started").fails(125, snapshot);
}

#[test]
fn values_as_variables() {
    let world = world();
    exec(&world, &BOTH, "printf '%s %s' \"$PASSWORD\" \"$USER\" > got").reveals().works();
    assert_eq!(world.read("got"), format!("{CANARY} admin-of-db"));
    let only = ["--only", "password=Pw", "--only", "user", "--prefix", "DB_"];
    exec(&world, &only, "printf '%s %s %s' \"$Pw\" \"$DB_USER\" \"${PASSWORD-none}\" > got").reveals().works();
    assert_eq!(world.read("got"), format!("{CANARY} admin-of-db none"));
}

#[test]
fn the_output_is_redacted() {
    let world = world();
    exec(&world, &BOTH, "echo \"password $PASSWORD\"; echo \"user $USER\" >&2").succeeds("exec");
    exec(&world, &["--only", "user"], "echo \"user $USER\"").succeeds("exec_only");
    let shown = exec(&world, &["--no-redact", "--only", "password"], "echo \"password $PASSWORD\"").reveals().works();
    assert_eq!(shown.text(), format!("password {CANARY}\n"));
}

#[test]
fn what_is_too_short_is_said() {
    let world = World::new();
    world.write("sealed.yaml", manifest("hybrid", &[("pin", b"123\n"), ("json", b"{\n  \"a\": 1\n}\n")]));
    exec(&world, &["--only", "pin", "--only", "json"], "echo \"$PIN\" '\"a\": 1'").succeeds("exec_short");
}

#[test]
fn identities_from_a_variable_and_a_descriptor_stay_here() {
    let world = world();
    let script = "echo \"${BULLA_IDENTITY-none} $PASSWORD\"";
    let args =
        ["exec", "--identity-env", "BULLA_IDENTITY", "--only", "password", "prod/db=sealed.yaml", "--", "/bin/sh", "-c", script];
    let identity = Keys::get().identity("hybrid");
    assert_eq!(world.bulla(&args).env("BULLA_IDENTITY", &identity).works().text(), "none ***\n");
    // A shell opens the descriptor, and the command would inherit it.
    let script = format!(
        "exec 7< hybrid.key; '{}' exec --identity-fd 7 --only password prod/db=sealed.yaml -- /bin/sh -c 'echo \"$PASSWORD\"; cat <&7'",
        super::harness::BULLA
    );
    let output = std::process::Command::new("/bin/sh").args(["-c", &script]).current_dir(world.path("")).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "***\n");
    assert!(!output.status.success(), "the descriptor is closed: {}", String::from_utf8_lossy(&output.stderr));
    // As in `3< <(pass show bulla/ci)`.
    let script = format!(
        "cat hybrid.key | {{ '{}' exec --identity-fd 3 --only password prod/db=sealed.yaml -- /bin/sh -c 'echo \"$PASSWORD\"; cat; cat <&3' \
         3<&0 < hybrid.recipients; }}",
        super::harness::BULLA
    );
    let output = std::process::Command::new("/bin/sh").args(["-c", &script]).current_dir(world.path("")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, format!("***\n{}", world.read("hybrid.recipients")), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "the descriptor is closed: {}", String::from_utf8_lossy(&output.stderr));
}

/// Also one that the command finds elsewhere.
#[test]
fn an_identity_is_redacted() {
    let world = world();
    assert_eq!(exec(&world, &BOTH, "cat hybrid.key").works().text().lines().last(), Some("***"));
}

#[test]
fn values_as_files() {
    let world = world();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let folder = memory.path().to_str().unwrap();
    let flags = ["--as-files", "--files-in", folder, "--only", "password", "--only", "user=LOGIN"];
    let script =
        "cat \"$PASSWORD_FILE\" \"$LOGIN\" > got; stat -c '%a %n' \"$PASSWORD_FILE\" \"${PASSWORD_FILE%/prod/*}\" > modes";
    exec(&world, &flags, script).reveals().works();
    assert_eq!(world.read("got"), format!("{CANARY}admin-of-db"));
    let modes = world.read("modes");
    let modes: Vec<&str> = modes.lines().collect();
    assert!(modes[0].starts_with(&format!("600 {folder}/bulla-")) && modes[0].ends_with("/prod/db/password"), "{modes:?}");
    assert!(modes[1].starts_with("700 "), "{modes:?}");
    exec(&world, &flags, "exit 3").partly().exits(3);
    exec(&world, &flags, "kill -KILL $$").partly().exits(137);
    let args = [&["exec", "-i", "hybrid.key"], &flags[..], &["prod/db=sealed.yaml", "--", "./missing"]].concat();
    world.bulla(&args).refused(127);
    assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 0, "files are left");
    refuse(&world, &["--as-files", "--files-in", ".", "--only", "user"], "exec_no_memory");
    let flags = ["--as-files", "--files-in", ".", "--allow-disk", "--only", "user"];
    assert_eq!(exec(&world, &flags, "cat \"$USER_FILE\"").works().text(), "***");
}

/// On a machine without memory-backed storage, and with a full one.
#[test]
fn no_memory_and_full_memory() {
    let world = world();
    let Some(unshare) = program("unshare") else {
        println!("skipped: unshare is not there");
        return;
    };
    let run = |mounts: &str| {
        let script = format!(
            "set -e; {mounts}; exec \"$BULLA\" exec -i hybrid.key --as-files --only password prod/db=sealed.yaml -- /bin/sh -c ': > started'"
        );
        let mut command = std::process::Command::new(&unshare);
        command.arg("--mount").args(["/bin/sh", "-c", &script]).current_dir(world.path(""));
        command.env("BULLA", super::harness::BULLA).env_remove("XDG_RUNTIME_DIR").output().unwrap()
    };
    if !run("mount -t tmpfs tmpfs /dev/shm").status.success() {
        println!("skipped: a tmpfs can be mounted by root only");
        return;
    }
    fs::remove_file(world.path("started")).unwrap();
    for (mounts, snapshot) in [
        ("mount --bind . /dev/shm", "exec_no_shm"),
        ("mount -t tmpfs -o size=4k tmpfs /dev/shm; head -c 4096 /dev/zero > /dev/shm/filler", "exec_full_shm"),
    ] {
        let output = run(mounts);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{stderr}");
        super::harness::snapshot(snapshot, &stderr);
        assert!(!world.path("started").exists());
    }
}

#[test]
fn bad_identities() {
    let world = world();
    let args = |flags: &[&'static str]| {
        [&["exec", "--only", "password"], flags, &["prod/db=sealed.yaml", "--", "/bin/sh", "-c", ": > started"]].concat()
    };
    world.bulla(&args(&[])).fails(125, "exec_no_identity");
    world.bulla(&args(&["-i", "missing.key"])).fails(125, "exec_missing_identity");
    world.bulla(&args(&["-i", "other.key"])).fails(125, "exec_wrong_identity");
    world.bulla(&args(&["--identity-env", "KEY"])).fails(125, "exec_identity_not_set");
    world.bulla(&args(&["--identity-env", "KEY"])).env("KEY", "./hybrid.key").fails(125, "exec_identity_variable_of_a_path");
    world.bulla(&args(&["--identity-env", "KEY"])).env("KEY", "nonsense").fails(125, "exec_identity_nonsense");
    world.bulla(&args(&["--identity-fd", "77"])).fails(125, "exec_identity_descriptor_closed");
    world.bulla(&args(&["--identity-fd", "1"])).in_the_parsers_words().fails(125, "exec_identity_descriptor_output");
    let identity = Keys::get().identity("hybrid");
    world
        .bulla(&["exec", "-i", &identity, "--only", "password", "prod/db=sealed.yaml", "--", "true"])
        .fails(125, "exec_identity_as_argument");
}

#[test]
fn bad_files() {
    let world = world();
    world.write("elsewhere.yaml", manifest("other", &[("password", b"x")]));
    world.write("empty.yaml", "kind: ConfigMap\n");
    world.write("twice.yaml", format!("{0}---\n{0}", world.read("sealed.yaml")));
    world.write("moved.yaml", world.read("sealed.yaml").replace("name: db", "name: mq"));
    let run = |named: &str, snapshot: &str| {
        world
            .bulla(&["exec", "-i", "hybrid.key", "--only", "password", named, "--", "/bin/sh", "-c", ": > started"])
            .fails(125, snapshot);
    };
    run("prod/db=missing.yaml", "exec_missing_file");
    run("prod/db=elsewhere.yaml", "exec_other_cluster");
    run("prod/db=empty.yaml", "exec_nothing_sealed");
    run("prod/db=twice.yaml", "exec_two_objects");
    run("prod/other=sealed.yaml", "exec_other_name");
    run("stage/db=sealed.yaml", "exec_other_namespace");
    run("prod/mq=moved.yaml", "exec_moved");
    for (named, snapshot) in
        [("sealed.yaml", "exec_no_object"), ("db=sealed.yaml", "exec_no_namespace"), ("prod/db=-", "exec_stdin")]
    {
        world.bulla(&["exec", "-i", "hybrid.key", named, "--", "true"]).in_the_parsers_words().fails(125, snapshot);
    }
}

/// A file that names no namespace is opened for the one on the command line, if its values are for it.
#[test]
fn the_command_line_names_the_namespace() {
    let world = world();
    world.write("sealed.yaml", world.read("sealed.yaml").replace("  namespace: prod\n", ""));
    exec(&world, &BOTH, "test -n \"$PASSWORD\"").works();
    world.bulla(&["exec", "-i", "hybrid.key", "--only", "user", "stage/db=sealed.yaml", "--", "true"]).refused(125);
}

/// `.bulla.yaml` is not read: it belongs to the repository.
#[test]
fn the_repository_decides_nothing() {
    let world = world();
    world.write(".bulla.yaml", "not: [even, valid");
    exec(&world, &BOTH, "true").works();
}

#[test]
fn bad_names() {
    let world = world();
    refuse(&world, &[], "exec_nothing_named");
    refuse(&world, &["--prefix", ""], "exec_nothing_named_under_no_prefix");
    refuse(&world, &["--only", "passwd"], "exec_no_item");
    refuse(&world, &["--only", "prod/mq/password"], "exec_no_item_there");
    refuse(&world, &["--only", "password=PATH"], "exec_path");
    refuse(&world, &["--only", "password=SHORT", "--only", "user=SHORT"], "exec_two_values");
    exec(&world, &BOTH, ": > started").env("USER", "somebody").fails(125, "exec_set_already");
    exec(&world, &["--only", "password=NODE_OPTIONS", "--allow-name", "NODE_OPTIONS"], "test -n \"$NODE_OPTIONS\"").works();
    world.write("sealed.yaml", manifest("hybrid", &[("node-options", b"--require=./evil.js"), ("1st", b"x")]));
    refuse(&world, &["--only", "node-options"], "exec_name_from_the_file");
    refuse(&world, &["--only", "1st"], "exec_name_of_a_digit");
    let item = sealed("hybrid", b"one", Scope::Namespace("prod".parse().unwrap()), None);
    world.write("two.yaml", manifest("hybrid", &[]).replace("name: db", "name: mq") + &format!("    node-options: {item}\n"));
    let args = ["exec", "-i", "hybrid.key", "--prefix", "A_", "prod/db=sealed.yaml", "prod/mq=two.yaml", "--", "true"];
    world.bulla(&args).fails(125, "exec_same_variable_of_two_files");
    world
        .bulla(&["exec", "-i", "hybrid.key", "--only", "password=A-B", "prod/db=sealed.yaml", "--", "true"])
        .in_the_parsers_words()
        .fails(125, "exec_no_name");
}

#[test]
fn bad_values() {
    let world = World::new();
    world.write(
        "sealed.yaml",
        manifest("hybrid", &[("nul", b"long\0b"), ("long", &vec![b'x'; 131_072 - 6]), ("fits", &vec![b'x'; 131_072 - 6])]),
    );
    refuse(&world, &["--only", "nul"], "exec_nul");
    refuse(&world, &["--only", "long=LONGER"], "exec_long");
    exec(&world, &["--only", "fits=FITS"], "test ${#FITS} = 131066").works();
    exec(&world, &["--only", "nul", "--as-files"], "test $(wc -c < \"$NUL_FILE\") = 6").works();
}

#[test]
fn bad_commands() {
    let world = world();
    world.set_mode("hybrid.recipients", 0o644);
    let run = |command: &str, code: i32, snapshot: &str| {
        world.bulla(&["exec", "-i", "hybrid.key", "--only", "user", "prod/db=sealed.yaml", "--", command]).fails(code, snapshot);
    };
    run("./missing", 127, "exec_missing_command");
    run("no-such-command-anywhere", 127, "exec_missing_command_on_path");
    run("./hybrid.recipients", 126, "exec_no_program");
    run("/", 126, "exec_folder_as_command");
    // No script without a first line that says of what, no program of this machine.
    world.write("program", "\u{7f}ELF");
    world.set_mode("program", 0o755);
    run("./program", 126, "exec_broken_program");
    run("./hybrid.key/program", 126, "exec_file_as_folder_of_a_command");
    world.bulla(&["exec", "-i", "hybrid.key", "prod/db=sealed.yaml"]).fails(125, "exec_no_command");
    world.bulla(&["exec", "-i", "hybrid.key"]).in_the_parsers_words().fails(125, "exec_nothing");
}

#[test]
fn masks_are_printed_where_they_are_asked_for_and_understood() {
    let world = World::new();
    world.write("sealed.yaml", manifest("hybrid", &[("pem", b"line-one\nline-two")]));
    let mask = |name: &str, value: &str| exec(&world, &["--mask", "--only", "pem"], "echo \"$PEM\"").env(name, value);
    mask("GITHUB_ACTIONS", "true").succeeds("exec_mask_github");
    mask("TF_BUILD", "True").succeeds("exec_mask_azure");
    mask("GITLAB_CI", "true").fails(125, "exec_mask_gitlab");
    mask("JENKINS_URL", "https://ci.example.com/").fails(125, "exec_mask_jenkins");
    mask("CI", "true").fails(125, "exec_mask_nowhere");
    // Not asked for: nothing of the kind, whatever the host.
    let quiet = exec(&world, &["--only", "pem"], "echo \"$PEM\"").env("GITHUB_ACTIONS", "true").env("TF_BUILD", "True").works();
    assert_eq!(quiet.text(), "***\n");
}

/// Through the file as the runner reads it.
#[test]
fn export_to_github() {
    let world = World::new();
    world.write("sealed.yaml", manifest("hybrid", &[("a", b"value-a"), ("b", b"line-1\nline-2\nline-3")]));
    // Without the end of its last line, as a careless step leaves it.
    world.write("github.env", "BEFORE=1");
    let export = |flags: &[&str]| {
        let args = [&["exec", "-i", "hybrid.key", "--export"], flags, &["prod/db=sealed.yaml"]].concat();
        world.bulla(&args).env("GITHUB_ACTIONS", "true")
    };
    let both = ["--only", "a", "--only", "b"];
    export(&both).fails(125, "exec_export_no_file");
    export(&both).env("GITHUB_ENV", "missing").partly().exits(125);
    let masks = export(&both).env("GITHUB_ENV", "github.env").reveals().works();
    assert!(masks.text().contains("::add-mask::line-1%0Aline-2%0Aline-3\n") && masks.text().contains("::add-mask::value-a\n"));
    let text = world.read("github.env");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("BEFORE=1"));
    for (name, value) in [("A", &["value-a"][..]), ("B", &["line-1", "line-2", "line-3"])] {
        let (found, delimiter) = lines.next().unwrap().split_once("<<").unwrap();
        assert!(found == name && delimiter.len() == "bulla_".len() + 32, "{text}");
        assert_eq!(lines.by_ref().take_while(|line| *line != delimiter).collect::<Vec<_>>(), value);
    }
    assert_eq!(lines.next(), None);
    world.write("sealed.yaml", manifest("hybrid", &[("github-token", b"value"), ("binary", b"\xff\xfe\xfd\xfc")]));
    export(&["--only", "github-token"]).env("GITHUB_ENV", "github.env").fails(125, "exec_export_reserved");
    export(&["--only", "binary"]).env("GITHUB_ENV", "github.env").fails(125, "exec_export_binary");
}

#[test]
fn export_to_azure() {
    let world = World::new();
    world.write("sealed.yaml", manifest("hybrid", &[("a", b"50%;]"), ("b", b"line-one\nline-two\n")]));
    world.write("temp/.keep", "");
    let args = ["exec", "-i", "hybrid.key", "--export", "--only", "a", "--only", "b", "prod/db=sealed.yaml"];
    let temp = world.path("temp").to_str().unwrap().to_owned();
    let commands = world.bulla(&args).env("TF_BUILD", "True").env("AGENT_TEMPDIRECTORY", &temp).reveals().works();
    let text = commands.text();
    assert!(text.starts_with("##vso[task.setsecret]50%AZP25;]\n"), "{text}");
    assert!(text.contains("##vso[task.setvariable variable=A;issecret=true]50%AZP25;]\n"), "{text}");
    let path = text.lines().last().unwrap().strip_prefix(&format!("##vso[task.setvariable variable=B_FILE]{temp}/")).unwrap();
    assert_eq!(world.read(&format!("temp/{path}")), "line-one\nline-two\n");
    assert_eq!(world.mode(&format!("temp/{path}")), 0o600);
    world.bulla(&args).env("TF_BUILD", "True").reveals().partly().exits(125);
    // A value of several lines has another name, which counts.
    let several = b"line-one\nline-two\n";
    world.write("sealed.yaml", manifest("hybrid", &[("b", several), ("b_file", b"text")]));
    let export = |only: &[&str]| {
        let args = [&["exec", "-i", "hybrid.key", "--export"], only, &["prod/db=sealed.yaml"]].concat();
        world.bulla(&args).env("TF_BUILD", "True").env("AGENT_TEMPDIRECTORY", &temp)
    };
    export(&["--only", "b"]).env("B_FILE", "set").fails(125, "exec_export_azure_name_of_a_file");
    export(&["--only", "b", "--only", "b_file"]).fails(125, "exec_export_azure_same_name");
    // To an agent these are the same.
    export(&["--only", "b", "--only", "b_file=b_file"]).fails(125, "exec_export_azure_same_name_of_a_file_in_another_case");
    world.write("sealed.yaml", manifest("hybrid", &[("a", b"value-a"), ("b", b"value-b")]));
    export(&["--only", "a=TOKEN", "--only", "b=Token"]).fails(125, "exec_export_azure_same_name_in_another_case");
    export(&["--only", "a=Token"]).env("TOKEN", "set").fails(125, "exec_export_azure_set_in_another_case");
    // To a command they are not.
    exec(&world, &["--only", "a=TOKEN", "--only", "b=Token"], "true").env("TF_BUILD", "True").env("token", "set").works();
}

#[test]
fn export_elsewhere() {
    let world = World::new();
    world.write("sealed.yaml", manifest("hybrid", &[("a", b"value-a"), ("b", b"with space")]));
    let export = |flags: &[&str], host: (&str, &str)| {
        let args = [&["exec", "-i", "hybrid.key", "--export", "--only", "a"], flags, &["prod/db=sealed.yaml"]].concat();
        world.bulla(&args).env(host.0, host.1)
    };
    export(&[], ("GITLAB_CI", "true")).fails(125, "exec_export_gitlab");
    export(&["--allow-artifact", "deploy.env"], ("GITLAB_CI", "true")).reveals().works();
    assert_eq!((world.read("deploy.env").as_str(), world.mode("deploy.env")), ("A=value-a\n", 0o600));
    export(&["--only", "b", "--allow-artifact", "deploy.env"], ("GITLAB_CI", "true")).fails(125, "exec_export_gitlab_space");
    export(&[], ("JENKINS_URL", "https://ci.example.com/")).fails(125, "exec_export_jenkins");
    export(&[], ("CI", "true")).fails(125, "exec_export_nowhere");
    // Nothing is masked there, whatever its length.
    world.write("sealed.yaml", manifest("hybrid", &[("a", b"x")]));
    let exported = export(&["--allow-artifact", "deploy.env"], ("GITLAB_CI", "true")).reveals().works();
    assert_eq!((exported.stderr.as_str(), world.read("deploy.env").as_str()), ("", "A=x\n"));
    export(&[], ("JENKINS_URL", "https://ci.example.com/")).fails(125, "exec_export_jenkins");
    // What would not be looked at is refused.
    export(&["--allow-artifact", "a.env"], ("GITHUB_ACTIONS", "true")).fails(125, "exec_export_github_artifact");
    export(&["--allow-artifact", "a.env"], ("TF_BUILD", "True")).fails(125, "exec_export_azure_artifact");
}
