//! One fault after the other planted into the clean tree: each is found, where it is, and nothing else.

use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::Scope;

use super::super::harness::{Keys, sealed, strict};
use super::{CONFIG, DEPLOYMENT, check, manifest, world};

/// A fault: what it is, what it does to the tree, what is found of it.
struct Fault {
    what: &'static str,
    files: Vec<(&'static str, String)>,
    found: Vec<(&'static str, &'static str, u64)>,
}

fn fault(what: &'static str, file: &'static str, text: impl Into<String>, rule: &'static str, line: u64) -> Fault {
    Fault { what, files: vec![(file, text.into())], found: vec![(rule, file, line)] }
}

/// A value for item `a` of `prod/x`.
fn value() -> String {
    sealed("hybrid", b"x", strict("prod", "x", "a"), None)
}

fn x(value: &str) -> String {
    manifest("x", &[("a", value)])
}

const X: &str = "repo/prod/x.yaml";

#[allow(clippy::too_many_lines, reason = "a table")]
fn faults() -> Vec<Fault> {
    let ok = x(&value());
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: a}\n";
    let with = |from: &str, to: &str| {
        assert!(ok.contains(from), "{from}");
        ok.replacen(from, to, 1)
    };
    let on = |scope, rotate: Option<&str>| x(&sealed("hybrid", b"x", scope, rotate));
    let pem = {
        use base64::Engine as _;
        let body =
            base64::engine::general_purpose::STANDARD.encode((0..96_u8).map(|byte| byte.wrapping_mul(37)).collect::<Vec<_>>());
        format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n")
    };
    let base64 = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(text)
    };
    let identity = |kind| Identity::generate(kind).to_text().to_string();
    let template = |body: &str| format!("{ok}  template:\n{body}");
    let tomorrow = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().tomorrow().unwrap().to_string();
    let cut = value();
    let cut = &cut[..cut.len() - 8];
    vec![
        // Plaintext.
        fault("stringData", "repo/s.yaml", format!("{secret}stringData:\n  a: hunter2\n"), "plaintext-secret", 5),
        fault("data", "repo/s.yaml", format!("{secret}data:\n  a: aHVudGVyMg==\n"), "plaintext-secret", 5),
        fault("a block scalar", "repo/s.yaml", format!("{secret}stringData:\n  a: |\n    hunter2\n"), "plaintext-secret", 5),
        fault("a number", "repo/s.yaml", format!("{secret}stringData: {{a: 1234}}\n"), "plaintext-secret", 4),
        fault(
            "JSON",
            "repo/s.json",
            "{\"kind\": \"Secret\",\n \"apiVersion\": \"v1\", \"metadata\": {\"name\": \"s\"},\n \"data\": {\"a\": \"aHVudGVyMg==\"}}",
            "plaintext-secret",
            3,
        ),
        fault(
            "a List",
            "repo/s.yaml",
            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: s}\n  stringData: {a: hunter2}\n",
            "plaintext-secret",
            7,
        ),
        fault(
            "a SecretList",
            "repo/s.yaml",
            "apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {name: s}\n  stringData: {a: hunter2}\n",
            "plaintext-secret",
            5,
        ),
        fault(
            "the second document",
            "repo/s.yaml",
            format!("a: 1\n---\n{secret}stringData: {{a: hunter2}}\n"),
            "plaintext-secret",
            6,
        ),
        fault(
            "kind last, without apiVersion",
            "repo/s.yaml",
            "stringData: {a: hunter2}\nmetadata: {name: s}\nkind: Secret\n",
            "plaintext-secret",
            1,
        ),
        fault(
            "kind in disguise",
            "repo/s.yaml",
            "apiVersion: v1\nkind: \"S\\x65cr\\u0065t\"\nmetadata: {name: s}\nstringData: {a: hunter2}\n",
            "plaintext-secret",
            4,
        ),
        fault(
            "a manifest in a manifest",
            "repo/s.yaml",
            "kind: Object\nspec:\n  manifest:\n    kind: Secret\n    stringData: {a: hunter2}\n",
            "plaintext-secret",
            5,
        ),
        fault(
            "Helm: a literal",
            "repo/chart/templates/s.yaml",
            "{{ if .Values.a }}\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a: {{ .Values.a }}\n  b: hunter2\n{{ end }}\n",
            "plaintext-secret",
            6,
        ),
        fault(
            "Helm: a literal in an action",
            "repo/chart/templates/s.yaml",
            "{{ if .Values.a }}\nkind: Secret\nmetadata: {name: s}\ndata:\n  b: {{ \"hunter2\" | b64enc }}\n{{ end }}\n",
            "plaintext-secret",
            5,
        ),
        fault(
            "Helm: a literal as default",
            "repo/chart/templates/s.tpl",
            "{{ define \"s\" }}\nkind: Secret\nstringData:\n  b: {{ .Values.b | default \"hunter2\" }}\n{{ end }}\n",
            "plaintext-secret",
            4,
        ),
        fault(
            "a generator's literal",
            "repo/kustomization.yaml",
            "secretGenerator:\n- name: s\n  literals:\n  - a=hunter2\n  - b=${B}\n",
            "plaintext-generator",
            4,
        ),
        Fault {
            what: "a generator's env file",
            files: vec![
                ("repo/k/kustomization.yaml", "secretGenerator:\n- name: s\n  envs: [../s.env]\n".into()),
                ("repo/s.env", "# a\nA=${A}\nB=hunter2\n".into()),
            ],
            found: vec![("plaintext-generator", "repo/s.env", 3)],
        },
        Fault {
            what: "a generator's file",
            files: vec![
                ("repo/kustomization.yaml", "secretGenerator:\n- name: s\n  files: [a=s.txt]\n".into()),
                ("repo/s.txt", "hunter2".into()),
            ],
            found: vec![("plaintext-generator", "repo/s.txt", 1)],
        },
        Fault {
            what: "a generator's env file with a comment",
            files: vec![
                ("repo/k/kustomization.yaml", "secretGenerator:\n- name: s\n  envs: [../s.env]\n".into()),
                ("repo/s.env", "# ENC[AES256_GCM,\nA=ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]\nB=hunter2\n".into()),
            ],
            found: vec![("plaintext-generator", "repo/s.env", 3)],
        },
        Fault {
            what: "values left in a SealedSecret",
            files: vec![(X, format!("{ok}stringData:\n  b: hunter2\n"))],
            found: vec![("unknown-field", X, 9), ("plaintext-secret", X, 10)],
        },
        fault("an X25519 identity", "repo/key.txt", format!("# mine\n{}\n", identity(Algorithm::X25519)), "age-identity", 2),
        fault("a hybrid identity", "repo/.hidden", identity(Algorithm::Hybrid), "age-identity", 1),
        fault(
            "an identity in base64",
            "repo/c.yaml",
            format!("kind: ConfigMap\ndata:\n  a: {}\n", base64(&identity(Algorithm::X25519))),
            "age-identity",
            3,
        ),
        fault("a private key", "repo/id_rsa", pem.clone(), "private-key", 1),
        fault("a private key in base64", "repo/a.sh", format!("KEY={}\n", base64(&pem)), "private-key", 1),
        fault(
            "a private key under a passphrase",
            "repo/k.pem",
            pem.replace("BEGIN RSA", "BEGIN ENCRYPTED"),
            "encrypted-private-key",
            1,
        ),
        // How it is written.
        fault("no YAML", X, with("spec:", "spec: ["), "not-yaml", 8),
        fault("U+2028", "repo/s.yaml", "kind: ConfigMap # \u{2028}kind: Secret\n", "foreign-line-break", 1),
        fault("U+0085", X, with("name: x", "name: x # \u{85}"), "foreign-line-break", 4),
        fault("a carriage return alone", X, with("spec:\n", "spec: # a\rb\n"), "foreign-line-break", 6),
        fault("a byte order mark inside", X, with("  name: x", "  name: x # \u{feff}"), "foreign-line-break", 4),
        fault("three dashes and a comment", X, format!("a: 1\n---# x\n{ok}"), "foreign-document", 2),
        fault("JSON, then something else", "repo/s.json", "{\"kind\": \"Secret\"}: x\n", "foreign-document", 1),
        fault(
            "a list of another kind",
            X,
            format!(
                "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecretList\nitems:\n- {}\n",
                x("hunter2").trim_end().replace('\n', "\n  ")
            ),
            "foreign-document",
            4,
        )
        .with("malformed-value", 11),
        fault(
            "a list in a ConfigMap, by an alias",
            X,
            format!("x: &x\n  {}\nkind: ConfigMap\nitems: [*x]\n", ok.trim_end().replace('\n', "\n  ")),
            "foreign-document",
            1,
        )
        .with("ambiguous-secret", 11),
        fault("an item twice", X, format!("{ok}    a: x\n"), "duplicate-key", 9),
        fault(
            "an alias",
            X,
            format!("x: &x prod\n---\n{}", with("namespace: prod", "namespace: &n prod\n  labels: {a: *n}")),
            "ambiguous-secret",
            8,
        ),
        fault(
            "a tag in a flow map",
            X,
            with("metadata:\n  name: x\n  namespace: prod", "metadata: {name: !!str x, namespace: prod}"),
            "ambiguous-secret",
            3,
        ),
        fault(
            "a ? in a flow map",
            X,
            with("metadata:\n  name: x\n  namespace: prod", "metadata: {? name : x, namespace: prod}"),
            "ambiguous-secret",
            3,
        ),
        fault(
            "a merge key in a Secret",
            "repo/s.yaml",
            format!("x: &x {{a: b}}\n---\n{secret}<<: {{type: Opaque}}\n"),
            "ambiguous-secret",
            6,
        ),
        fault(
            "nested too deeply",
            "repo/s.yaml",
            format!("kind: Secret\na: {}{}\n", "[".repeat(80), "]".repeat(80)),
            "too-large",
            2,
        ),
        // A sealed object.
        fault("an item that is a number", X, with(&value_of(&ok), "12"), "malformed-object", 2),
        fault("a field that is none", X, format!("{ok}  tmplate: {{}}\n"), "unknown-field", 9),
        fault("a name with a capital", X, with("name: x", "name: X"), "invalid-name", 4),
        fault("a value in plain", X, with(&value_of(&ok), "hunter2"), "malformed-value", 8),
        fault("a value cut short", X, x(cut), "malformed-value", 8),
        fault("a value with a blank", X, with(&value_of(&ok), &format!("\"{} \"", value())), "malformed-value", 8),
        fault("another namespace", X, on(strict("dev", "x", "a"), None), "wrong-place", 8),
        fault("another name", X, on(strict("prod", "y", "a"), None), "wrong-place", 8),
        fault("another item", X, on(strict("prod", "x", "b"), None), "wrong-place", 8),
        fault("two items changed places", X, with("    a:", "    b:"), "wrong-place", 8),
        Fault {
            what: "no namespace",
            files: vec![("repo/x.yaml", ok.replace("  namespace: prod\n", ""))],
            found: vec![("no-namespace", "repo/x.yaml", 2), ("no-rule", "repo/x.yaml", 2)],
        },
        fault("an item shadowed", X, template("    data: {a: x}\n"), "shadowed-item", 10),
        fault("a template of an unknown item", X, template("    data: {b: \"{{ c }}\"}\n"), "template-refused", 10),
        fault(
            "a type that mints credentials",
            X,
            template("    type: kubernetes.io/service-account-token\n"),
            "spec-refused",
            10,
        ),
        fault("tls without its items", X, template("    type: kubernetes.io/tls\n"), "spec-refused", 10),
        fault("a label of ours", X, template("    metadata: {labels: {bulla.dev/secret: adopt}}\n"), "spec-refused", 2),
        fault("rotation is due", X, on(strict("prod", "x", "a"), Some("2020-04-01")), "rotation-due", 8),
        fault("rotation is near", X, on(strict("prod", "x", "a"), Some(&tomorrow)), "rotation-near", 8),
        // Rules and keys.
        fault(
            "a namespace of another rule",
            X,
            on(strict("dev", "x", "a"), None).replace("namespace: prod", "namespace: dev"),
            "wrong-namespace",
            5,
        ),
        fault("a scope wider than the rule's", X, on(Scope::Cluster, None), "wider-scope", 8),
        fault("an unknown key", X, x(&sealed("other", b"x", strict("prod", "x", "a"), None)), "unknown-key", 8)
            .and("missing-target", 8),
        fault("another target", X, x(&sealed("x25519", b"x", strict("prod", "x", "a"), None)), "wrong-target", 8)
            .and("missing-target", 8),
        fault("a recipients file that is none", "staging.recipients", "age1xyz\n", "bad-recipients", 1),
        // Several documents.
        fault("an object twice in a file", X, format!("{ok}---\n{ok}"), "duplicate-object", 10),
        fault(
            "a Secret beside its SealedSecret",
            "repo/prod/y.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: db, namespace: prod}\n",
            "duplicate-object",
            1,
        ),
        fault(
            "an item that is not there",
            "repo/prod/web.yaml",
            DEPLOYMENT.replace("key: password", "key: passwd"),
            "unresolved-item",
            12,
        ),
        fault(
            "an item of a projected volume",
            "repo/prod/web.yaml",
            DEPLOYMENT.replace("key: url", "key: uri"),
            "unresolved-item",
            20,
        ),
        fault("an item of a volume", "repo/prod/web.yaml", DEPLOYMENT.replace("key: user", "key: usr"), "unresolved-item", 18),
        fault(
            "a Secret that is not there",
            "repo/prod/web.yaml",
            DEPLOYMENT.replace("secretRef: {name: db}", "secretRef: {name: bd}"),
            "unresolved-ref",
            14,
        ),
        fault(
            "a pull secret that is not there",
            "repo/prod/web.yaml",
            DEPLOYMENT.replace("imagePullSecrets: [{name: db}]", "imagePullSecrets: [{name: bd}]"),
            "unresolved-ref",
            7,
        ),
        fault(
            "a CronJob",
            "repo/c.yaml",
            "kind: CronJob\nmetadata: {name: c, namespace: prod}\nspec: {jobTemplate: {spec: {template: {spec: {containers: [{envFrom: [{secretRef: {name: none}}]}]}}}}}\n",
            "unresolved-ref",
            3,
        ),
        // Comments.
        fault("allowed without a reason", "repo/s.yaml", "# bulla:allow plaintext-secret\na: 1\n", "allow-without-reason", 1),
        fault(
            "allowed on the first line, and far below",
            "repo/key.txt",
            format!("# bulla:allow age-identity x\n#\nx\n\n{}\n", identity(Algorithm::X25519)),
            "unused-allow",
            1,
        )
        .with("age-identity", 5),
        fault(
            "allowed, and not there",
            "repo/s.yaml",
            "kind: Secret # bulla:allow private-key it is invented\n",
            "unused-allow",
            1,
        ),
    ]
}

fn value_of(manifest: &str) -> String {
    manifest.lines().last().unwrap().trim().trim_start_matches("a: ").to_owned()
}

impl Fault {
    fn with(mut self, rule: &'static str, line: u64) -> Self {
        let file = self.found[0].1;
        self.found.push((rule, file, line));
        self
    }

    fn and(mut self, rule: &'static str, line: u64) -> Self {
        let file = self.found[0].1;
        self.found.insert(0, (rule, file, line));
        self
    }
}

#[test]
fn each_planted_fault_is_found_where_it_is_and_nothing_else() {
    let faults = faults();
    assert!(faults.len() >= 60, "{}", faults.len());
    let mut wrong = Vec::new();
    for fault in faults {
        let world = world();
        for (file, text) in &fault.files {
            world.write(file, text);
        }
        let found = check(&world, &["repo"]);
        let found: Vec<_> = found.iter().map(|(rule, file, line)| (rule.as_str(), file.as_str(), *line)).collect();
        if found != fault.found {
            wrong.push(format!("{}: wanted {:?}, found {found:?}", fault.what, fault.found));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the recipients file says of older keys.
#[test]
fn states_of_keys() {
    let fingerprint = Keys::get().recipient("other").parse::<bulla_shared::age::Recipient>().unwrap().fingerprint();
    for (state, since, rule) in [
        ("DecryptOnly", "2026-01-01T00:00:00Z", "stale-key"),
        ("Retired", "2026-01-01T00:00:00Z", "retired-key"),
        ("Compromised", "2026-01-01T00:00:00Z", "compromised-key"),
        ("Compromised", "2019-01-01T00:00:00Z", "compromised-key"),
    ] {
        let world = world();
        let comment = format!("# bulla: key={fingerprint} state={state} since={since}\n");
        world.write("prod.recipients", format!("{}\n{comment}", Keys::get().recipient("hybrid")));
        world.write(X, x(&sealed("other", b"x", strict("prod", "x", "a"), None)));
        let found = check(&world, &["repo"]);
        assert_eq!(found, [(rule.to_owned(), X.to_owned(), 8)], "{state}");
    }
}

#[test]
fn a_recovery_key_is_missed() {
    let world = world();
    world.write(".bulla.yaml", CONFIG.replace("rules:", "recovery: other.recipients\nrules:"));
    let found = check(&world, &["repo/prod/db.yaml"]);
    assert_eq!(
        found.iter().map(|(rule, _, line)| (rule.as_str(), *line)).collect::<Vec<_>>(),
        [("missing-recovery", 8), ("missing-recovery", 9)]
    );
}

#[test]
fn a_file_that_no_rule_is_for() {
    let world = world();
    world.write("repo/x.yaml", x(&value()));
    assert_eq!(check(&world, &["repo/x.yaml"]), [("no-rule".to_owned(), "repo/x.yaml".to_owned(), 2)]);
}

/// A branch that replaces the recipients file is found out by the file that the pipeline trusts.
#[test]
fn trust_from_elsewhere() {
    let world = world();
    world.write("trusted", format!("{}\n", Keys::get().recipient("hybrid")));
    world.write("staging.recipients", format!("{}\n", Keys::get().recipient("hybrid")));
    assert_eq!(check(&world, &["--trust", "trusted", "repo"]), []);
    world.write("prod.recipients", format!("# prod\n{}\n", Keys::get().recipient("other")));
    world.write(X, x(&sealed("other", b"x", strict("prod", "x", "a"), None)));
    let found = check(&world, &["--trust", "trusted", "repo"]);
    let db = "repo/prod/db.yaml";
    let wanted = [
        ("untrusted-recipient", "prod.recipients", 2),
        ("missing-target", db, 8),
        ("wrong-target", db, 8),
        ("missing-target", db, 9),
        ("wrong-target", db, 9),
        ("unknown-key", X, 8),
    ];
    assert_eq!(found, wanted.map(|(rule, file, line)| (rule.to_owned(), file.to_owned(), line)));
}

#[test]
fn rendered_output_on_standard_input() {
    let world = world();
    let run =
        |text: String| super::places(&world.bulla(&["check", "--format", "json", "-"]).stdin(text).partly().ends_as_it_does());
    assert_eq!(run(world.read("repo/prod/db.yaml")), []);
    let moved = world.read("repo/prod/db.yaml").replace("namespace: prod", "namespace: dev");
    let wanted = [8, 9].map(|line| ("wrong-place".to_owned(), "stdin".to_owned(), line));
    assert_eq!(run(moved), wanted);
    assert_eq!(run(DEPLOYMENT.replace("name: db", "name: bd")).len(), 5, "everything that is asked for");
}
