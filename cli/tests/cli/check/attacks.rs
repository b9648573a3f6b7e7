//! What somebody writes who wants a plaintext Secret to pass: kubectl applies each of these.

use super::super::harness::{Keys, sealed, strict};
use super::{CONFIG, check, manifest, world};

/// Rules that are found in one file.
fn rules(name: &str, text: impl AsRef<[u8]>) -> Vec<String> {
    let world = world();
    world.write(name, text);
    check(&world, &["repo"]).into_iter().map(|(rule, _, _)| rule).collect()
}

fn found(text: impl AsRef<[u8]>) -> Vec<String> {
    rules("repo/x.yaml", text)
}

/// Apart from its `#`, so that a check of this repository takes no line of this file for a comment that allows.
const ALLOW: &str = "bulla:allow";

const FLOW: &str = "{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {password: hunter2}}";

#[test]
fn braces_in_a_comment_make_no_template() {
    assert_eq!(found(format!("# {{{{\n{}\n", FLOW.replace("name: a", "name: a, name: a"))), ["duplicate-key"]);
    assert_eq!(found(format!("{FLOW} # {{{{\n")), ["plaintext-secret"]);
    let long = "x".repeat(1100);
    let json = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"},"stringData":{"p":"hunter2"},"#;
    assert_eq!(found(format!("{json}\"{{{{{long}\":1}}")), ["not-yaml"], "a key that only JSON allows");
}

#[test]
fn what_cannot_be_read_is_an_error_however_its_kind_is_written() {
    for (kind, value) in [
        ("\"kind\":\t", "\"Secret\""),
        ("kind: ", "!!str Secret"),
        ("kind:\n  ", "Secret"),
        ("\"\\u006bind\": ", "\"\\u0053ecret\""),
    ] {
        let text = format!("apiVersion: v1\n{kind}{value}\nmetadata:\n  name: a\n  name: a\nstringData: {{p: hunter2}}\n");
        let found = found(text);
        assert!(found.contains(&"duplicate-key".to_owned()), "{kind}{value}: {found:?}");
    }
    let json =
        b"{\"apiVersion\":\"v1\",\"kind\":\t\"Secret\",\"metadata\":{\"name\":\"a\xff\"},\"stringData\":{\"p\":\"hunter2\"}}";
    assert_eq!(found(json), ["not-text"]);
}

#[test]
fn kind_in_a_disguise() {
    for escape in ["\r", "\u{85}", "\u{2028}", "\u{2029}"] {
        let text = format!("apiVersion: v1\nkind: \"Sec\\{escape}ret\"\nmetadata: {{name: a}}\nstringData: {{p: hunter2}}\n");
        assert_eq!(found(text), ["foreign-line-break"], "{escape:?}");
    }
    for kind in ["!!binary |\n  U2Vj\n  cmV0", "!<tag:yaml.org,2002:binary> U2VjcmV0", "!!%62inary U2VjcmV0"] {
        let found = found(format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\nstringData: {{p: hunter2}}\n"));
        assert!(found.contains(&"plaintext-secret".to_owned()), "{kind}: {found:?}");
    }
}

#[test]
fn behind_a_document_that_cannot_be_read() {
    let (open, close) = ("[".repeat(70), "]".repeat(70));
    assert_eq!(found(format!("kind: ConfigMap\na: {open}{close}\n---\n{FLOW}\n")), ["plaintext-secret"]);
    assert_eq!(found(format!("{FLOW}\n---\nkind: {{{{ .Values.kind }}}}\n{{{{ if .a }}}}\nx: 1\n")), ["plaintext-secret"]);
    let world = world();
    let mut large = format!("{FLOW}\n").into_bytes();
    large.resize(33 * 1024 * 1024, b'#');
    world.write("repo/large.yaml", large);
    world.bulla(&["check", "repo"]).partly().exits(1);
}

#[test]
fn behind_many_others() {
    let alias = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, annotations: &k {p: hunter2}}\nstringData: *k\n";
    let found_ = found(format!("{}{alias}", "kind: Secret\n---\n".repeat(101)));
    assert!(found_.contains(&"ambiguous-secret".to_owned()), "{found_:?}");
    let item = |text: &str| format!("- {{{text}}}\n");
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n{}- apiVersion: v1\n  kind: Secret\n  metadata: &k {{p: hunter2}}\n  stringData: *k\n",
        item("kind: Secret")
    );
    assert_eq!(found(list), ["ambiguous-secret"]);
    let broken = found(format!("{}{alias}", "kind: [ # Secret\n---\n".repeat(101)));
    assert_eq!(broken.iter().filter(|rule| *rule == "not-yaml").count(), 100);
    assert!(broken.contains(&"too-large".to_owned()));
    let pem = {
        use base64::Engine as _;
        let body = (0..96_u8).map(|byte| byte.wrapping_mul(37)).collect::<Vec<_>>();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n", base64::engine::general_purpose::STANDARD.encode(body))
    };
    assert_eq!(rules("repo/x.txt", format!("{}{pem}", "PRIVATE KEY\n".repeat(10_000))), ["too-large"]);
}

#[test]
fn text_beside_braces() {
    let secret = |value: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData:\n  p: '{value}'\n");
    assert_eq!(found(secret("hunter2{{\"\"}}")), ["plaintext-secret"]);
    assert_eq!(found(secret("{{ .Values.p }}")), [] as [&str; 0]);
    assert_eq!(found(secret("postgres://{{ .Values.u }}:{{ .Values.p }}@db/app")), [] as [&str; 0]);
}

/// Braces without quotes are keys that are mappings, which is no news of a template; an alias is.
#[test]
fn an_alias_behind_braces() {
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: &k {p: hunter2}}\n";
    let braces = "stringData:\n  q: {{ .Values.q }}\n";
    assert_eq!(found(format!("{head}{braces}")), [] as [&str; 0]);
    assert_eq!(found(format!("{head}{braces}data: *k\n")), ["ambiguous-secret"]);
    let item = |text: String| format!("- {}", text.trim_end().replace('\n', "\n  ") + "\n");
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{}", item(format!("{head}{braces}")));
    assert_eq!(found(list.clone()), [] as [&str; 0]);
    assert_eq!(
        found(list + &item(head.replace("&k", "&l").replace("name: a", "name: b") + "stringData: *l\n")),
        ["ambiguous-secret"]
    );
}

/// Secrets that something else applies: nothing looks for them but what looks for values.
#[test]
fn aliases_in_secrets_within_other_objects() {
    let within = |anchors: &str, manifest: &str| {
        format!(
            "apiVersion: kubernetes.crossplane.io/v1alpha2\nkind: Object\nmetadata: {{name: a}}\n{anchors}\nspec: {{forProvider: {{manifest: {{{manifest}}}}}}}\n"
        )
    };
    let head = "apiVersion: v1, metadata: {name: b}";
    for (anchors, manifest) in [
        ("x: &p hunter2", "kind: Secret, stringData: {password: *p}"),
        ("x: &k Secret", "kind: *k, stringData: {password: hunter2}"),
        ("x: &d {password: hunter2}", "kind: Secret, stringData: {<<: *d}"),
        ("x: &d {stringData: {password: hunter2}}", "kind: Secret, <<: *d"),
        ("x: &d {kind: Secret}", "stringData: {password: hunter2}, <<: *d"),
        ("x: &d {password: hunter2}", "kind: SealedSecret, stringData: *d"),
        ("x: &s stringData", "kind: Secret, *s : {password: hunter2}"),
    ] {
        let text = within(anchors, &format!("{head}, {manifest}"));
        assert_eq!(found(&text), ["ambiguous-secret"], "{text}");
        assert_eq!(found(format!("# {{{{ x }}}}\n{text}")), ["ambiguous-secret"], "{text}");
        let indented = format!("{anchors}\n{head}, {manifest}").replace(", ", "\n").replace('\n', "\n    ");
        if !manifest.contains("*s") && !manifest.contains(", <<") {
            let patch = format!("kind: ConfigMap\ndata:\n  a: |\n    {indented}\n");
            let found = found(&patch);
            assert!(found.contains(&"ambiguous-secret".to_owned()), "{found:?}: {patch}");
        }
    }
    for (anchors, manifest) in [
        ("x: &l {a: b}", "kind: ConfigMap, data: {<<: *l}"),
        ("x: &l {a: b}", "kind: Secret, name: b, labels: *l"),
        ("x: &l a", "kind: Secret, stringData: {password: ''}}, other: {y: *l"),
    ] {
        let text = within(anchors, &format!("{head}, {manifest}"));
        assert_eq!(found(&text), [] as [&str; 0], "{text}");
    }
}

#[test]
fn a_manifest_in_a_block_of_text() {
    let inner = "    apiVersion: v1\n    kind: Secret\n    metadata: {name: a}\n    stringData:\n      p: hunter2\n";
    let patch = format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\npatches:\n- patch: |-\n{inner}");
    assert_eq!(rules("repo/kustomization.yaml", &patch), ["plaintext-secret"]);
    let disguised = patch.replace("kind: Secret", "kind: \"S\\x65cret\"");
    assert_eq!(rules("repo/kustomization.yaml", disguised), ["plaintext-secret"]);
    let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  secret.yaml: |\n{inner}");
    for kind in ["? \"ki\\\n      nd\"\n    : Secret", "? kind # x\n    : Secret", "? |-\n      kind\n    # c\n    : Secret"] {
        assert_eq!(found(map.replace("kind: Secret", kind)), ["plaintext-secret"], "{kind}");
    }
    assert_eq!(found(map), ["plaintext-secret"]);
}

#[test]
fn names_that_kubectl_and_kustomize_read_all_the_same() {
    let secret = format!("{FLOW}\n");
    assert_eq!(rules("repo/x.YAML", &secret), ["plaintext-secret"]);
    for named in [
        "resources: [s.txt]",
        "patches: [{path: ./s.txt}]",
        "patchesStrategicMerge: [s.txt]",
        "components: [../a/s.txt]",
        "resources: [link]",
    ] {
        let world = world();
        world.write("repo/a/kustomization.yaml", format!("{named}\n"));
        world.write("repo/a/s.txt", &secret);
        std::os::unix::fs::symlink("s.txt", world.path("repo/a/link")).unwrap();
        let found = check(&world, &["repo"]);
        assert_eq!(found, [("plaintext-secret".to_owned(), "repo/a/s.txt".to_owned(), 1)], "{named}");
    }
    let world = world();
    world.write("repo/notes.txt", &secret);
    std::os::unix::fs::symlink("notes.txt", world.path("repo/s.yaml")).unwrap();
    assert_eq!(check(&world, &["repo"]), [("plaintext-secret".to_owned(), "repo/notes.txt".to_owned(), 1)]);
}

/// Neither `.bulla.yaml` nor comments of a branch count for what `--trust` is about; those from outside do.
#[test]
fn a_branch_cannot_allow_itself() {
    let world = world();
    world.write("trusted", format!("{}\n{}\n", Keys::get().recipient("hybrid"), Keys::get().recipient("x25519")));
    world.write("repo/s.yaml", format!("# {ALLOW} plaintext-secret invented\n{FLOW}\n"));
    world.write("repo/t.yaml", format!("{FLOW}\n"));
    world.write("repo/prod/x.yaml", manifest("x", &[("a", &sealed("other", b"x", strict("prod", "x", "a"), None))]));
    world.write("repo/prod/y.yaml", format!("# {ALLOW} malformed-value later\n{}", manifest("v", &[("a", "hunter2")])));
    world.write("repo/prod/z.yaml", manifest("w", &[("a", "{}")]));
    let off = "check:\n  severity: {unknown-key: off, missing-target: off, plaintext-secret: off, duplicate-object: off, malformed-value: off, malformed-object: off}\n";
    world.write(".bulla.yaml", format!("{CONFIG}{off}"));
    let files =
        |args: &[&str]| check(&world, args).into_iter().map(|(rule, file, _)| format!("{rule} {file}")).collect::<Vec<_>>();
    let all = [
        "missing-target repo/prod/x.yaml",
        "unknown-key repo/prod/x.yaml",
        "malformed-value repo/prod/y.yaml",
        "malformed-object repo/prod/z.yaml",
        "plaintext-secret repo/s.yaml",
        "plaintext-secret repo/t.yaml",
    ];
    assert_eq!(files(&["repo"]), [] as [&str; 0]);
    assert_eq!(files(&["--trust", "trusted", "repo"]), all);
    let allow = "check:\n  severity: {duplicate-object: off}\n  allow: [{rule: plaintext-secret, path: 'repo/*.yaml', reason: invented}]\n";
    world.write("elsewhere/bulla.yaml", format!("{CONFIG}{allow}"));
    assert_eq!(files(&["--trust", "trusted", "--config", "elsewhere/bulla.yaml", "repo"]), all[..4]);
    world.bulla(&["check", "--config", "missing.yaml"]).fails(3, "check_config_missing");
}

#[test]
fn trust_does_not_turn_off_what_a_path_is_for() {
    let world = world();
    world.write("trusted", format!("{}\n{}\n", Keys::get().recipient("hybrid"), Keys::get().recipient("x25519")));
    world.write("repo/prod/x.yaml", manifest("x", &[("a", &sealed("x25519", b"x", strict("prod", "x", "a"), None))]));
    let found = check(&world, &["--trust", "trusted", "repo"]);
    let rules: Vec<_> = found.iter().map(|(rule, ..)| rule.as_str()).collect();
    assert_eq!(rules, ["missing-target", "wrong-target"]);
}

#[test]
fn recipients_are_files_of_the_repository() {
    let world = world();
    for path in ["/dev/stdin", "../../../etc/shadow", "device", "repo"] {
        let _ = std::os::unix::fs::symlink("/dev/zero", world.path("device"));
        world.write(".bulla.yaml", CONFIG.replace("staging.recipients", path));
        let outcome = world.bulla(&["check", "repo"]).exits(3);
        assert!(outcome.stderr.contains("hint: recipients files stand in the folder"), "{path}: {}", outcome.stderr);
    }
}

/// Nothing that a repository holds makes a check run for ever.
#[test]
fn bombs_for_the_readers_of_lines() {
    let blank = "\n".repeat(300_000);
    let secrets: String = (0..200).map(|n| format!("{}kind: Secret\n", " ".repeat(200 - n))).collect();
    assert!(found(format!("{{{{ if .a }}}}\n{blank}{secrets}")).contains(&"too-large".to_owned()));
    let empty = "---\n{apiVersion: v1, kind: Secret, metadata: {name: a}}\n".repeat(1000);
    assert_eq!(found(format!("{empty}{}", "#\n".repeat(2_000_000))).len(), 999, "equal objects, lines to be counted for each");
    let nested = format!("{}{}", "{{ if .a }}".repeat(50_000), "{{ end }}".repeat(50_000));
    assert_eq!(found(format!("kind: Secret\nstringData:\n  a: {nested}\n  b: {}\n", "{{ ".repeat(50_000))), ["plaintext-secret"]);
    let comments = format!("# {ALLOW} plaintext-secret x\n").repeat(1000);
    assert_eq!(found(format!("{comments}{}kind: Secret\n", "#\n".repeat(1_000_000))).len(), 1000);
}

/// Each of these took minutes, by looking through the same again for each of many.
#[test]
fn bombs_that_are_looked_through_once() {
    let secret = "apiVersion: v1\nkind: Secret\n";
    // Quotes that are not closed.
    found(format!("{secret}# {}\n", "{{ \\\"}}".repeat(200_000)));
    found(format!("{secret}# {}\n", "{{ ` }}{{ \" }}".repeat(200_000)));
    found(format!("{secret}# {}\n", "{%".repeat(500_000)));
    // Blanks before a piece, and before a quote.
    found(format!("{secret}{{{{ if .a }}}}x: y {}\n", "{{/* x */}}".repeat(100_000)));
    found(format!("{secret}{{{{ if .a }}}}\n]\nx: {}{}\n", " ".repeat(300_000), "\"a".repeat(300_000)));
    found(format!("{secret}x: [\nx: a{}{}\n{{{{ a }}}}\n", " ".repeat(300_000), "'".repeat(300_000)));
    // Blocks that cannot be read, each with a look at the whole text.
    let block = "- |\n  kind: [ # Secret\n";
    assert_eq!(found(format!("{}#{}\n", block.repeat(20_000), "x".repeat(2_000_000))), ["too-large"]);
    // Words that may be keys, each with a look at what stands behind it or at all.
    found(format!("{secret}{{{{ if .x }}}}\nx {}\n", "kind: ".repeat(200_000)));
    found(format!("{secret}{{{{ if .x }}}}\n- - {}\n", "{kind: a".repeat(100_000)));
    found(format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  x: |\n    Secret {}\n", "kind ".repeat(400_000)));
    // One more block that cannot be read than are counted, and two in one that can.
    let inner = "- |\n  kind: ConfigMap # Secret\n  x:\n  - |\n    kind: [ # Secret\n  - |\n    kind: [ # Secret\n";
    assert_eq!(found(format!("{}{inner}", block.repeat(99))), ["too-large"]);
    // Findings of one line.
    let items: Vec<String> = (0..20_000).map(|n| format!("\"i{n}\": \"hunter2\"")).collect();
    let json = format!(
        "{{\"apiVersion\": \"v1\", \"kind\": \"Secret\", \"metadata\": {{\"name\": \"a\"}}, \"stringData\": {{{}}}}}{}\n",
        items.join(", "),
        " ".repeat(2_000_000)
    );
    assert_eq!(found(json).len(), 20_000);
}

/// What stands above the repository is not its own; outside of one it is the user's own, and is named.
#[test]
fn a_configuration_from_above() {
    let world = world();
    let run = |folder: &str| {
        let output =
            std::process::Command::new(super::super::harness::BULLA).arg("check").current_dir(world.path(folder)).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run("repo/prod");
    assert!(code == Some(0) && said.contains("using ") && said.contains("/.bulla.yaml\n"), "{said}");
    world.write(".bulla.yaml", "version: 2\n");
    assert_eq!(run("repo/prod").0, Some(3));
    if std::os::unix::fs::chown(world.path(".bulla.yaml"), Some(12345), None).is_ok() {
        let (code, said) = run("repo/prod");
        assert!(code == Some(3) && said.contains("belongs to another user"), "{said}");
    }
    std::fs::create_dir(world.path("repo/.git")).unwrap();
    assert_eq!(run("repo/prod").0, Some(0));
}
