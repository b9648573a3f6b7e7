//! Kustomizations: `kubectl kustomize` prints a Secret with a value in plain for each of these.

use super::super::harness::World;
use super::{Places, check, world};

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {password: hunter2}\n";
const GENERATOR: &str = "{apiVersion: builtin, kind: SecretGenerator, metadata: {name: x}, literals: [password=hunter2]}";

/// A repository with `text` as `k/kustomization.yaml`, and `secret.txt` beside it.
fn kustomization(text: &str) -> World {
    let world = world();
    world.write("repo/k/kustomization.yaml", text);
    world.write("repo/k/secret.txt", SECRET);
    world
}

/// What is found in the tree, which is also what is found in what is staged.
fn found(world: &World) -> Places {
    let in_tree = check(world, &["repo"]);
    super::git::git(world, &["init", "-q"]);
    super::git::git(world, &["add", "."]);
    let staged = check(world, &["--staged", "--skip", "changed-recipients", "repo"]);
    assert_eq!(staged, in_tree, "staged");
    in_tree
}

fn is(rule: &str, file: &str, line: u64) -> (String, String, u64) {
    (rule.to_owned(), format!("repo/{file}"), line)
}

#[test]
fn one_that_cannot_be_followed_is_an_error_whatever_its_words() {
    for (rule, line, text) in [
        ("ambiguous-secret", 2, "commonAnnotations: {a: &f secret.txt}\nresources: [*f]\n"),
        ("ambiguous-secret", 2, "x: &f [secret.txt]\nresources: *f\n"),
        ("ambiguous-secret", 1, "resources: [!!binary c2VjcmV0LnR4dA==]\n"),
        ("ambiguous-secret", 1, "resources: [0x1]\n"),
        ("ambiguous-secret", 2, "x: &k resources\n? *k\n: [secret.txt]\n"),
        ("ambiguous-secret", 1, "<<: {resources: [secret.txt]}\n"),
        ("ambiguous-secret", 2, "x: &f secret.txt\npatches: [{path: *f}]\n"),
        ("ambiguous-secret", 2, "x: &v p=hunter2\nsecretGenerator: [{name: a, literals: [*v]}]\n"),
        ("ambiguous-secret", 2, "x: &v {literals: [p=hunter2]}\nsecretGenerator: [{name: a, <<: *v}]\n"),
        ("ambiguous-secret", 1, "generators: ['{kind: &k SecretGenerator, x: *k, envs: [!!str s]}']\n"),
        ("ambiguous-secret", 1, "Resources: [secret.txt]\n"),
        ("ambiguous-secret", 1, "re\u{17f}ources: [secret.txt]\n"),
        ("ambiguous-secret", 1, "patches: [{Path: secret.txt}]\n"),
        ("ambiguous-secret", 1, "SECRETGENERATOR: [{Name: a, Literals: [password=hunter2]}]\n"),
        ("ambiguous-secret", 2, "secretGenerator:\n- {name: a, Literals: [password=hunter2]}\n"),
        ("ambiguous-secret", 1, "generators: ['{kind: SecretGenerator, LITERALS: [p=hunter2]}']\n"),
        ("foreign-line-break", 1, "resources: [secret.txt] # \u{2028}\n"),
        ("duplicate-key", 2, "resources: [a.yaml]\nresources: [secret.txt]\n"),
        ("not-yaml", 1, "x: \"a\"#b\nresources: [secret.txt]\n"),
    ] {
        assert_eq!(found(&kustomization(text)), [is(rule, "k/kustomization.yaml", line)], "{text}");
    }
}

#[test]
fn one_that_is_fine_is_silent() {
    for text in [
        "",
        "# {{\n",
        "resources:\nnamespace: x\n",
        "resources: [2024, ./base, 'https://example.com/x?ref=1']\ngenerators: [base]\n",
        "patches:\n- {path: p.yaml, target: &t {kind: Deployment}}\n- {path: q.yaml, target: *t}\n",
        "secretGenerator:\n- {name: a, envs: [none.env], options: &o {disableNameSuffixHash: true}}\n- {name: b, files: ['c=${D}'], options: *o}\n",
        "commonLabels: {Resources: a, Path: b}\nconfigMapGenerator: [{name: a, Literals: [a=b]}]\n",
        "commonLabels: &l {a: b}\nconfigMapGenerator: [{name: a, literals: [!!str a=b]}]\nx: *l\n",
    ] {
        assert_eq!(found(&kustomization(text)), [], "{text}");
    }
}

#[test]
fn generators_of_their_own() {
    let literal = [is("plaintext-generator", "k/kustomization.yaml", 1)];
    assert_eq!(found(&kustomization(&format!("generators: ['{GENERATOR}']\n"))), literal);
    let world = kustomization("generators: [g.txt]\n");
    world.write("repo/k/g.txt", format!("{{kind: List, items: [{GENERATOR}]}}\n"));
    assert_eq!(found(&world), [is("plaintext-generator", "k/g.txt", 1)]);
    let world = kustomization("generators: [g/g.txt, '{kind: SecretGenerator, files: [f]}']\n");
    world.write("repo/k/g/g.txt", "kind: SecretGenerator\nenv: s.env\n");
    world.write("repo/k/s.env", "A=hunter2\n");
    world.write("repo/k/f", "hunter2\n");
    assert_eq!(found(&world), [is("plaintext-generator", "k/f", 1), is("plaintext-generator", "k/s.env", 1)]);
}

#[test]
fn patches_of_transformers() {
    let secret = [is("plaintext-secret", "k/secret.txt", 4)];
    assert_eq!(found(&kustomization("transformers: ['{kind: PatchTransformer, path: secret.txt}']\n")), secret);
    for config in ["{kind: PatchStrategicMergeTransformer, paths: [secret.txt]}", "{kind: List, items: [{path: secret.txt}]}"] {
        let world = kustomization("transformers: [t/t.txt]\n");
        world.write("repo/k/t/t.txt", config);
        assert_eq!(found(&world), secret, "{config}");
    }
}

/// kustomize takes for a name what it cannot read as a configuration.
#[test]
fn names_that_look_like_configurations() {
    for name in ["g: x.txt", "a:b", "{a: b"] {
        let world = kustomization(&format!("generators: ['{name}']\n"));
        world.write(&format!("repo/k/{name}"), GENERATOR);
        assert!(found(&world).contains(&is("plaintext-generator", &format!("k/{name}"), 1)), "{name}");
    }
}

/// Configurations within configurations are none, and are not read.
#[test]
fn a_bomb_of_generators() {
    let levels: String = (0..1500).map(|level| format!("{0}generators:\n{0}- |\n", " ".repeat(level))).collect();
    assert_eq!(found(&kustomization(&levels)), []);
}

#[test]
fn behind_links() {
    use std::os::unix::fs::symlink;
    let secret = [is("plaintext-secret", "k/secret.txt", 4)];
    let world = kustomization("resources: [d/secret.txt]\n");
    std::fs::create_dir(world.path("repo/k/real")).unwrap();
    std::fs::rename(world.path("repo/k/secret.txt"), world.path("repo/k/real/secret.txt")).unwrap();
    symlink("../k/e", world.path("repo/k/d")).unwrap();
    symlink("real", world.path("repo/k/e")).unwrap();
    assert_eq!(found(&world), [is("plaintext-secret", "k/real/secret.txt", 4)]);

    let world = kustomization("");
    world.write("repo/real/k.txt", "resources: [secret.txt]\n");
    std::fs::remove_file(world.path("repo/k/kustomization.yaml")).unwrap();
    symlink("../real/k.txt", world.path("repo/k/kustomization.yaml")).unwrap();
    assert_eq!(found(&world), secret);
    world.write("repo/real/k.txt", "x: &s secret.txt\nresources: [*s]\n");
    assert_eq!(found(&world), [is("ambiguous-secret", "real/k.txt", 2)]);

    let world = kustomization("resources: [a]\n");
    symlink("b", world.path("repo/k/a")).unwrap();
    symlink("a", world.path("repo/k/b")).unwrap();
    assert_eq!(found(&world), [], "links that lead in a circle");
}
