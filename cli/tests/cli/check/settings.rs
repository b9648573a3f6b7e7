//! What is not reported, and why: severities, skipped rules, what is allowed by path and by comment, baselines.

use super::{CONFIG, check, places, world};

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a: bulla-canary-7f3a\n  b: bulla-canary-7f3a\n";

#[test]
fn severities_of_the_configuration_count() {
    let world = world();
    world.write("repo/s.yaml", SECRET);
    world.bulla(&["check", "repo/s.yaml"]).partly().exits(1);
    world.write(".bulla.yaml", format!("{CONFIG}check: {{severity: {{plaintext-secret: warning}}}}\n"));
    world.bulla(&["check", "repo/s.yaml"]).works();
    world.write(".bulla.yaml", format!("{CONFIG}check: {{severity: {{plaintext-secret: off}}}}\n"));
    assert_eq!(check(&world, &["repo/s.yaml"]), []);
    world.write("repo/web.yaml", "kind: Pod\nspec: {imagePullSecrets: [{name: none}]}\n");
    world.bulla(&["check", "repo/web.yaml"]).works();
    world.write(".bulla.yaml", format!("{CONFIG}check: {{severity: {{unresolved-ref: error}}}}\n"));
    world.bulla(&["check", "repo/web.yaml"]).partly().exits(1);
}

#[test]
fn what_is_allowed_by_path() {
    let world = world();
    world.write("repo/test/s.yaml", SECRET);
    world.write("repo/s.yaml", SECRET);
    world.write(
        ".bulla.yaml",
        format!("{CONFIG}check:\n  allow: [{{rule: plaintext-secret, path: 'repo/test/**', reason: invented}}]\n"),
    );
    let found = check(&world, &["repo"]);
    assert!(found.iter().all(|(_, file, _)| file == "repo/s.yaml") && found.len() == 2, "{found:?}");
    assert_eq!(check(&world, &["--skip", "plaintext-secret", "repo"]), []);
}

#[test]
fn comments_allow_with_a_reason() {
    let world = world();
    let allow = "# bulla:allow plaintext-secret invented";
    let rules = |text: &str| {
        world.write("repo/s.yaml", text);
        check(&world, &["repo/s.yaml"]).into_iter().map(|(rule, _, line)| (rule, line)).collect::<Vec<_>>()
    };
    let is = |rule: &str, line| (rule.to_owned(), line);
    assert_eq!(rules(&SECRET.replace("  a: ", &format!("  {allow}\n  a: "))), [is("plaintext-secret", 7)]);
    assert_eq!(rules(&SECRET.replace("3a\n  b", &format!("3a {allow}\n  b"))), [is("plaintext-secret", 6)]);
    assert_eq!(rules(&format!("{allow}\n# more words\n{SECRET}")), [], "above the object it is for all of it");
    assert_eq!(
        rules(&format!("a: 1 {allow}\n---\n{SECRET}")),
        [is("unused-allow", 1), is("plaintext-secret", 7), is("plaintext-secret", 8)]
    );
    assert_eq!(
        rules(&format!("# bulla:allow plaintext-secret\n{SECRET}")),
        [is("allow-without-reason", 1), is("plaintext-secret", 6), is("plaintext-secret", 7)]
    );
    assert_eq!(rules(&format!("# bulla:allow plain-text because\n{SECRET}")).len(), 3, "a rule that is none");
}

#[test]
fn a_comment_allows_what_another_file_brought_about() {
    let world = world();
    let twice = "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n";
    world.write("repo/prod/y.yaml", format!("# bulla:allow duplicate-object on its way out\n{twice}"));
    assert_eq!(check(&world, &["repo"]), []);
}

#[test]
fn a_baseline_is_a_report() {
    let world = world();
    world.write("repo/s.yaml", SECRET);
    world.bulla(&["check", "--format", "json", "-o", "known.json", "repo"]).partly().exits(1);
    world.write("repo/s.yaml", SECRET.replace("stringData:\n", "# moved\n\nstringData:\n"));
    world.bulla(&["check", "--baseline", "known.json", "repo"]).works();
    world.write("repo/s.yaml", format!("{SECRET}  c: bulla-canary-7f3a\n"));
    let outcome = world.bulla(&["check", "--baseline", "known.json", "--format", "json", "repo"]).partly().exits(1);
    assert_eq!(places(&outcome), [("plaintext-secret".to_owned(), "repo/s.yaml".to_owned(), 7)]);
}

#[test]
fn a_baseline_makes_no_findings_of_its_own() {
    let world = world();
    world.write("repo/s.yaml", format!("# bulla:allow plaintext-secret\n{SECRET}"));
    world.bulla(&["check", "--format", "json", "-o", "repo/known.json", "repo"]).partly().exits(1);
    let outcome = world.bulla(&["check", "--baseline", "repo/known.json", "repo"]).works();
    assert!(outcome.text().contains("no findings in "), "{}", outcome.text());
}

/// Nor does it hide any: it is a file like others, and does not know itself.
#[test]
fn a_baseline_that_is_a_secret_too() {
    let world = world();
    let secret = r#""apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"a":"bulla-canary-7f3a"}"#;
    world.write("repo/known.json", format!("{{{secret}}}"));
    let outcome = world.bulla(&["check", "--format", "json", "repo"]).partly().exits(1);
    let fingerprints = outcome.text().lines().filter(|line| line.contains("fingerprint")).collect::<String>();
    world.write("repo/known.json", format!("{{{secret},\"findings\":[{{{fingerprints}}}]}}"));
    let outcome = world.bulla(&["check", "--baseline", "repo/known.json", "--format", "json", "repo"]).partly().exits(1);
    assert_eq!(places(&outcome), [("plaintext-secret".to_owned(), "repo/known.json".to_owned(), 1)]);
}

#[test]
fn what_is_wrong_with_them_is_named() {
    let world = world();
    world.bulla(&["check", "--skip", "no-such-rule"]).fails(2, "check_skip_unknown");
    world.write("known.json", "[]");
    world.bulla(&["check", "--baseline", "known.json"]).fails(3, "check_baseline_none");
    world.bulla(&["check", "--baseline", "missing.json"]).fails(74, "check_baseline_missing");
    for (name, section) in [
        ("check_config_rule", "severity: {plaintext: off}"),
        ("check_config_level", "severity: {plaintext-secret: fatal}"),
        ("check_config_reason", "allow: [{rule: plaintext-secret, path: 'a/**', reason: ' '}]"),
        ("check_config_glob", "allow: [{rule: plaintext-secret, path: '[', reason: x}]"),
        ("check_config_field", "ignore: []"),
    ] {
        world.write(".bulla.yaml", format!("{CONFIG}check: {{{section}}}\n"));
        world.bulla(&["check", "repo"]).fails(3, name);
    }
}
