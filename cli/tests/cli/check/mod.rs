//! `bulla check`: a tree in which everything is right, and what is said when something is not.

mod attacks;
mod corpus;
mod elsewhere;
mod faults;
mod git;
mod inputs;
mod kustomize;
mod reports;
mod settings;
mod templates;

use super::harness::{Keys, Outcome, World, sealed, strict};

/// Where findings are: rule, file, line.
pub(super) type Places = Vec<(String, String, u64)>;

pub(super) const CONFIG: &str = "version: 1
targets:
  prod: {recipients: prod.recipients}
  staging: {recipients: staging.recipients}
rules:
- {path: 'repo/prod/**', targets: [prod], namespace: prod, scope: strict}
- {path: 'repo/staging/**', targets: [staging]}
";

/// A SealedSecret as `bulla seal` writes it.
pub(super) fn manifest(name: &str, items: &[(&str, &str)]) -> String {
    let items: String = items.iter().map(|(item, value)| format!("    {item}: {value}\n")).collect();
    format!(
        "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: {name}\n  namespace: prod\nspec:\n  encryptedData:\n{items}"
    )
}

pub(super) const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: prod}
spec:
  template:
    spec:
      imagePullSecrets: [{name: db}]
      containers:
      - name: web
        env:
        - name: PASSWORD
          valueFrom: {secretKeyRef: {name: db, key: password}}
        envFrom:
        - secretRef: {name: db}
        - secretRef: {name: later, optional: true}
      volumes:
      - name: a
        secret: {secretName: db, items: [{key: user, path: user}]}
      - name: b
        projected: {sources: [{secret: {name: db, items: [{key: url, path: url}]}}]}
";

const TEMPLATE: &str = "{{- if .Values.enabled }}
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}}
stringData:
  password: {{ .Values.password | quote }}
  {{- range $key, $value := .Values.more }}
  {{ $key }}: {{ $value }}
  {{- end }}
{{- end }}
";

/// A repository with nothing wrong in it, in the folder `repo`.
pub(super) fn world() -> World {
    let world = World::new();
    world.write(".bulla.yaml", CONFIG);
    world.write("prod.recipients", format!("{}\n", Keys::get().recipient("hybrid")));
    world.write("staging.recipients", format!("{}\n", Keys::get().recipient("x25519")));
    let value = |item| sealed("hybrid", b"x", strict("prod", "db", item), Some("9000-01-01"));
    let db = manifest("db", &[("password", &value("password")), ("user", &value("user"))]);
    world.write(
        "repo/prod/db.yaml",
        format!("{db}  template:\n    data: {{url: \"postgres://{{{{ user }}}}:{{{{ password }}}}@db\"}}\n"),
    );
    world.write("repo/prod/web.yaml", DEPLOYMENT);
    world.write("repo/chart/templates/secret.yaml", TEMPLATE);
    world.write("repo/README.md", "An identity begins with AGE-SECRET-KEY-1, a key with -----BEGIN PRIVATE KEY-----.\n");
    world.write(
        "repo/empty.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: empty}\ndata: {}\nstringData: {a: '', b: '${B}'}\n",
    );
    world.write("repo/picture.png", b"\x89PNG\r\n\x1a\n\0\0\0Secret");
    world
}

/// What a run with JSON says, sorted.
pub(super) fn places(outcome: &Outcome) -> Places {
    let report: serde_json::Value = serde_json::from_str(outcome.text()).unwrap();
    let place = |finding: &serde_json::Value| {
        let text = |field: &str| finding[field].as_str().unwrap().to_owned();
        (text("rule"), text("file"), finding["line"].as_u64().unwrap())
    };
    report["findings"].as_array().unwrap().iter().map(place).collect()
}

/// Findings of any severity, whatever the exit code.
pub(super) fn check(world: &World, args: &[&str]) -> Places {
    let args: Vec<&str> = ["check", "--format", "json"].iter().chain(args).copied().collect();
    places(&world.bulla(&args).partly().ends_as_it_does())
}

#[test]
fn a_clean_tree_has_no_findings() {
    let world = world();
    assert_eq!(check(&world, &["repo"]), []);
    world.bulla(&["check", "repo"]).succeeds("check_clean");
}
