//! `bulla unset`: items go, without any key, and nothing else changes.

use super::harness::{World, sealed, strict};

fn world() -> World {
    let world = World::new();
    let value = |item: &str| sealed("hybrid", b"old", strict("prod", "db", item), None);
    let (user, password) = (value("user"), value("password"));
    world.write(
        "db.yaml",
        format!(
            "# kept\napiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {{name: db, namespace: prod}}\nspec:\n  encryptedData:\n    \
             # who\n    user: {user} # u\n    # what\n    password: {password} # p\n"
        ),
    );
    world
}

#[test]
fn an_item_goes() {
    let world = world();
    world.bulla(&["unset", "--dry-run", "db.yaml", "user"]).succeeds("unset_dry_run");
    world.bulla(&["unset", "db.yaml", "user"]).succeeds("unset");
}

#[test]
fn refusals() {
    let world = world();
    world.bulla(&["unset", "db.yaml", "user", "password"]).fails(2, "unset_last");
    world.bulla(&["unset", "db.yaml", "nobody"]).fails(2, "unset_unknown");
    world.bulla(&["unset", "db.yaml"]).in_the_parsers_words().fails(2, "unset_nothing");
    world.bulla(&["unset", "--name", "api", "db.yaml", "user"]).fails(2, "unset_no_such_object");
}
