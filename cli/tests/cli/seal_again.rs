//! Sealing over an earlier sealed file: values that have not changed keep their ciphertext and their scope.

use super::git::git_works;
use super::harness::{SECRET, World};

const TWO: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\nstringData:\n  user: app\n  password: one\n";

fn world() -> World {
    let world = World::new();
    world.write("secret.yaml", TWO);
    world.bulla(&["seal", "-R", "hybrid.recipients", "--scope", "namespace", "secret.yaml", "-o", "sealed.yaml"]).works();
    world
}

/// Which of the two lines differ.
fn differs(world: &World, before: &str, file: &str) -> Vec<String> {
    let lines = world.read(file).lines().map(str::to_owned).collect::<Vec<_>>();
    lines.iter().filter(|line| !before.contains(*line)).map(|line| line.trim().split(':').next().unwrap().to_owned()).collect()
}

#[test]
fn with_a_private_key_only_what_changed_is_new() {
    let world = world();
    let before = world.read("sealed.yaml");
    let seal = ["seal", "-R", "hybrid.recipients", "-i", "hybrid.key", "secret.yaml", "-o", "sealed.yaml"];
    world.bulla(&seal).works();
    assert_eq!(world.read("sealed.yaml"), before);
    world.write("secret.yaml", TWO.replace("one", "two"));
    world.bulla(&seal).works();
    assert_eq!(differs(&world, &before, "sealed.yaml"), ["password"]);
    assert_eq!(world.bulla(&["inspect", "sealed.yaml"]).works().text().matches("namespace prod").count(), 2, "the scope stays");
}

#[test]
fn without_a_key_the_scope_stays_and_asked_for_it_changes() {
    let world = world();
    let before = world.read("sealed.yaml");
    let seal = |args: &[&str]| {
        world.bulla(&[&["seal", "-R", "hybrid.recipients", "secret.yaml", "-o", "sealed.yaml"], args].concat()).works();
        world.bulla(&["inspect", "sealed.yaml"]).works().text().to_owned()
    };
    assert_eq!(seal(&[]).matches("namespace prod").count(), 2);
    assert_eq!(differs(&world, &before, "sealed.yaml"), ["password", "user"]);
    assert_eq!(seal(&["--scope", "strict", "-i", "hybrid.key"]).matches("strict prod/db/").count(), 2);
}

#[test]
fn other_recipients_mean_new_ciphertext() {
    let world = world();
    let before = world.read("sealed.yaml");
    world.bulla(&["seal", "-R", "other.recipients", "-i", "hybrid.key", "secret.yaml", "-o", "sealed.yaml"]).works();
    assert_eq!(differs(&world, &before, "sealed.yaml"), ["password", "user"]);
}

#[test]
fn in_place_what_git_has_committed_counts() {
    let world = world();
    world.write("db.yaml", world.read("sealed.yaml"));
    let before = world.read("db.yaml");
    git_works(&world, &["init", "-q"]);
    let seal = ["seal", "--in-place", "-R", "hybrid.recipients", "-i", "hybrid.key", "db.yaml"];
    world.write("db.yaml", TWO.replace("one", "two"));
    world.bulla(&seal).with_programs().works();
    assert_eq!(differs(&world, &before, "db.yaml").len(), 2, "there is no commit yet");
    world.write("db.yaml", &before);
    git_works(&world, &["add", "db.yaml"]);
    git_works(&world, &["commit", "-q", "-m", "one"]);
    world.write("db.yaml", TWO.replace("one", "two"));
    world.bulla(&seal).with_programs().works();
    assert_eq!(differs(&world, &before, "db.yaml"), ["password"]);
}

/// A folder from elsewhere that is a repository by itself, whose configuration would run a command.
#[test]
fn a_repository_in_the_repository_runs_nothing() {
    let world = world();
    world.write("app/HEAD", "ref: refs/heads/main\n");
    world.write("app/refs/heads/main", format!("{}\n", "1".repeat(40)));
    world.write("app/objects/.keep", "");
    world.write(
        "app/config",
        "[core]\n\trepositoryformatversion = 1\n\tworktree = .\n[extensions]\n\tpartialClone = evil\n[remote \"evil\"]\n\t\
         url = \"ext::sh -c touch% ran\"\n\tpromisor = true\n[protocol \"ext\"]\n\tallow = always\n",
    );
    world.write("app/db.yaml", TWO);
    world.bulla(&["seal", "--in-place", "-R", "hybrid.recipients", "-i", "hybrid.key", "app/db.yaml"]).with_programs().works();
    assert!(!world.path("app/ran").exists());
}

/// A file is replaced if what is written has all objects of it.
#[test]
fn nothing_else_in_a_file_is_lost() {
    let world = world();
    let seal = ["seal", "-R", "hybrid.recipients", "secret.yaml", "-o", "sealed.yaml"];
    let sealed = world.read("sealed.yaml");
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";
    world.write("sealed.yaml", format!("{settings}---\n{sealed}"));
    world.bulla(&seal).fails(2, "seal_over_other_objects");
    // All of them are there again.
    world.write("secret.yaml", format!("{TWO}---\n{settings}"));
    world.bulla(&seal).works();
    world.write("sealed.yaml", "kind: SealedSecret # bulla.dev/\n<<<<<<< ours\n");
    world.bulla(&seal).fails(2, "seal_over_what_cannot_be_read");
    world.write("sealed.yaml", "\n");
    world.bulla(&seal).works();
    world.write("secret.yaml", SECRET.replace("bulla-canary-7f3a", "one").replace("name: db", "name: api"));
    world.bulla(&seal).refused(2);
    // Ciphertext is not replaced by plaintext.
    let unseal = |args: &[&'static str]| world.bulla(&[&["unseal", "-i", "hybrid.key", "sealed.yaml"], args].concat()).reveals();
    world.write("sealed.yaml", &sealed);
    unseal(&["-o", "sealed.yaml"]).fails(2, "unseal_over_the_sealed_file");
    unseal(&["--item", "password", "-o", "sealed.yaml"]).refused(2);
    unseal(&["--item", "password", "-o", "hybrid.key"]).refused(2);
    for item in ["password", "user"] {
        unseal(&["-o", "plain.yaml"]).works();
        unseal(&["--item", item, "-o", "plain"]).works();
    }
}
