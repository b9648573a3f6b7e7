//! Templates, and manifests that are taken for one: spellings that the reader of lines does not know, and braces where they mean nothing.

use super::{check, world};

/// Rules that are found in one file, without the tree around it.
fn found(text: impl AsRef<[u8]>) -> Vec<String> {
    found_in("repo/x.yaml", text)
}

fn found_in(name: &str, text: impl AsRef<[u8]>) -> Vec<String> {
    let world = world();
    world.write(name, text);
    check(&world, &["repo"]).into_iter().map(|(rule, ..)| rule).collect()
}

const PLAIN: [&str; 1] = ["plaintext-secret"];

/// A template of a Secret: its kind, and what stands behind it.
fn template(kind: &str, values: &str) -> String {
    format!("{{{{- if .Values.on }}}}\napiVersion: v1\n{kind}\nmetadata:\n  name: a\n{values}\n{{{{- end }}}}\n")
}

#[test]
fn however_its_kind_is_written() {
    for kind in [
        "kind: Secret",
        "kind : Secret",
        "kind: !!str Secret",
        "kind: &a Secret",
        "kind:\n  Secret",
        "kind: >-\n  Secret",
        "kind: Secret {{- /* x */}}",
        "kind: Secret\t# x",
        "kind: \"S\\x65cret\"",
        "\"k\\x69nd\": Secret",
        "kind: {{ \"Secret\" }}",
        "kind: Sec{{/* x */}}ret",
        "ki{{- /* x */ -}}nd: Secret",
        "{{- $x := '\"' }}\nkind: Secret # \"}}",
        "kind: Secret   # {%\nx: y # %}",
        "kind: SealedSecret",
        "{{- with .x }}kind: Secret{{ end }}",
        "kind: {{ if .Values.sealed }}SealedSecret{{ else }}Secret{{ end }}",
        "{{- if .a }}\nkind: ConfigMap\n{{- else }}\nkind : Secret\n{{- end }}",
    ] {
        assert_eq!(found(template(kind, "stringData:\n  password: hunter2")), PLAIN, "{kind}");
    }
    assert!(found(template("? kind\n: Secret", "stringData:\n  password: hunter2")).contains(&PLAIN[0].to_owned()));
}

#[test]
fn however_its_values_are_written() {
    for values in [
        "stringData :\n  password: hunter2",
        "stringData:\n  password : hunter2",
        "stringData: {password: hunter2}",
        "stringData: {pass{{/* x */}}word: hunter2}",
        "string{{/* x */}}Data: {password: hunter2}",
        "stringData: {password: hunter2hunter{{/* x */}}2hunter2hunter2}",
        "stringData:\n  {{ if true }}password: hunter2{{ end }}",
        "stringData:\n  {{ .x }}: hunter2hunter2hunter2",
        "stringData:\n  password: {{ if .x }}hunter2{{ end }}",
        "stringData:\n  password: {{ if .x }}{{ .x }}{{ else }}hunter2{{ end }}",
        "data:\n  password: {{ b64enc \"hunter2\" }}",
        "data:\n  password: !!str aHVudGVyMg==",
        "data:\n  labels: {{- include \"a\" . | nindent 4 }}\n    more: x\n  password : aHVudGVyMg==",
        "{{- if .a }}\nstringData:\n  user: {{ .user }}\n{{- else }}\nstringData :\n  user: hunter2\n{{- end }}",
    ] {
        assert_eq!(found(template("kind: Secret", values)), PLAIN, "{values}");
    }
    assert!(found(template("kind: Secret", "stringData:\n  ? password\n  : hunter2")).contains(&PLAIN[0].to_owned()));
}

#[test]
fn what_is_rendered_is_no_value() {
    for values in [
        "data:\n  password: {{ .Values.password | b64enc | quote }}",
        "data: {{ toYaml .Values.data | nindent 2 }}",
        "data:\n  {{- range $k, $v := .Values.data }}\n  {{ $k }}: {{ $v | b64enc }}\n  {{- end }}",
        "data:\n  {{- if .a }}\n  a: {{ .a }}\n  {{- else }}\n  a: {{ .b }}\n  {{- end }}",
        "data:\n  a: {{ include \"a\"\n    (dict \"b\" .c) }}",
        "stringData:\n  a: |\n    x={{ .Values.x }}\n    y={{ .Values.y }}",
        "stringData:\n  url: {{ if .tls }}https{{ else }}http{{ end }}://{{ .host }}",
        "stringData:\n  a: \"{{ .Values.a | default \"\" }}\"",
    ] {
        assert_eq!(found(template("kind: Secret", values)), [] as [&str; 0], "{values}");
    }
}

/// kubectl applies each of these as it is.
#[test]
fn braces_that_mean_nothing() {
    for braces in [
        "# {{ x }}",
        "a: \"{{ x }}\"",
        "a: '{{ x }}'",
        "a: b {{ c }}",
        "a: |\n  {{ x }}\n  b: {{ c }}",
        "a: b\n  {{ c }}",
        "a: \"b\n  c: {{ d }}\"",
        "a: # b: {{ c }}\n  d",
    ] {
        for broken in ["x: \"a\"#b", "x: [-, a]", "x: |#c\n  d", "x: [a]#b", "x: !a,b c"] {
            for kind in ["kind: Secret", "kind : Secret"] {
                let text =
                    format!("apiVersion: v1\n{kind}\nmetadata: {{name: b}}\n{braces}\nstringData:\n  p: hunter2\n{broken}\n");
                let found = found(&text);
                assert!(found.contains(&"not-yaml".to_owned()), "{found:?}: {text}");
            }
        }
    }
    let beside = "apiVersion: v1\nkind: Secret\nmetadata: {name: b}\nstringData:\n  p: hunter2{{\nx: \"a\"#b\n";
    assert!(found(beside).contains(&PLAIN[0].to_owned()));
}

#[test]
fn braces_turn_no_refusal_off() {
    let text = "# {{\napiVersion: v1\nx: &k Secret\n? metadata\n: {name: b}\nkind: *k\nstringData: {password: hunter2}\n";
    assert_eq!(found(text), ["ambiguous-secret"]);
    let template = "apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .x }}, labels: &l {a: b}}\nstringData: *l\n";
    assert_eq!(found(template), ["ambiguous-secret"], "behind a key in braces");
    assert_eq!(found("apiVersion: v1\nkind: Secret\nmetadata: {name: {{ .x }}}\nstringData: {a: {{ .y }}}\n"), [] as [&str; 0]);
}

#[test]
fn a_patch_in_a_block_of_text() {
    for kind in ["kind: Secret", "kind : Secret", "kind: !!str Secret"] {
        let patch = format!(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\npatchesStrategicMerge:\n- |-\n  apiVersion: v1\n  {kind}\n  metadata: {{name: a}}\n  stringData: {{p: hunter2}}\n"
        );
        assert_eq!(found_in("repo/kustomization.yaml", patch), PLAIN, "{kind}");
    }
}

/// What a panic says would be the value, and a command to the pipeline.
#[test]
fn braces_of_jinja_that_are_not_closed() {
    let text =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  p: \"x\\n##vso[task.prependpath]/evil\\n{%}\"\n";
    assert_eq!(found(text), PLAIN);
    assert_eq!(found("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {p: aHVudGVyMnslfQ==}\n"), PLAIN);
    let generator = "secretGenerator:\n- name: s\n  literals: ['password=hunter2{%}', 'password=hunter2{{']\n";
    assert_eq!(found_in("repo/kustomization.yaml", generator), ["plaintext-generator"; 2]);
}

/// What no reader sees is an error, and what the reader of lines sees is found, wherever it breaks.
#[test]
fn what_breaks_both_readers() {
    let broken = "{{- if false }}\n]\n{{- end }}\n";
    for kind in ["kind: Secret", "kind:\n  Secret", "kind: >-\n  Secret", "kind: &a\n  Secret", "kind: SealedSecret"] {
        assert_eq!(found(format!("{broken}{}", template(kind, "stringData:\n  password: hunter2"))), PLAIN, "{kind}");
    }
    for kind in ["kind: \"S\\x65cret\"", "? kind\n: Secret", "\"k\\x69nd\": Secret", "kind: *k"] {
        assert_eq!(
            found(format!("{broken}# Secret\n{}", template(kind, "stringData:\n  password: hunter2"))),
            ["not-yaml"],
            "{kind}"
        );
    }
    assert_eq!(found(format!("{broken}{}", template("kind: Deployment", "secretName: Secret"))), [] as [&str; 0]);
}

/// kubectl applies these, for all that stands in brackets.
#[test]
fn brackets_within_a_text_make_no_template() {
    let secret = "x: \"a\"#b\napiVersion: v1\nkind: \"S\\x65cret\"\nmetadata: {name: b}\nstringData: {password: hunter2}\n";
    for note in
        ["note: see [{{ x }}]", "note: see a: {{ x }}", "note: a\n  [{{ x }}]", "note: a\n  - {{ x }}", "- a\n  - {{ x }}"]
    {
        assert_eq!(found(format!("{note}\n{secret}")), ["not-yaml"], "{note}");
        // With the rest of it in a comment that is an action, if it were a template.
        let swallowed = format!("{note}\n# {{{{ \n{secret}# }}}}\n");
        assert_eq!(found(&swallowed), ["not-yaml"], "{swallowed}");
    }
}

#[test]
fn many_parts_that_cannot_be_read() {
    let part = "data: {b: \"{{`\"\nc: \"`}}\"\nkind: Secret\n---\n";
    let secret = "apiVersion: v1\nkind: '{{ print \"Secret\" }}'\nmetadata: {name: a}\nstringData: {p: '{{ print \"hunter2hunter2\" }}'}\n";
    assert!(found(format!("{}{secret}", part.repeat(100))).contains(&"too-large".to_owned()));
}

/// Helm has no `{% … %}`.
#[test]
fn percent_signs_below_templates() {
    let text = "{{- if true }}\n{apiVersion: v1, x: \"{%\", kind: Secret, w: \"%}\", metadata: {name: a}, stringData: {password: hunter2}}\n{{- end }}\n";
    let world = world();
    world.write("repo/chart/Chart.yaml", "name: a\n");
    world.write("repo/chart/templates/x.yaml", text);
    let found = check(&world, &["repo/chart/templates/x.yaml"]);
    assert!(found.iter().any(|(rule, ..)| rule == PLAIN[0]), "{found:?}");
}

#[test]
fn templates_of_other_languages() {
    let text = "kind: [ Secret\nx: \"a\"b\n";
    for name in ["repo/implementation.go.tmpl", "repo/deploy.sh.j2", "repo/a.txt.tpl"] {
        assert_eq!(found_in(name, text), [] as [&str; 0], "{name}");
    }
    for name in ["repo/x.yaml", "repo/x.yaml.j2", "repo/x.tpl", "repo/x.JSON.gotmpl"] {
        assert_eq!(found_in(name, text), ["not-yaml"], "{name}");
    }
    let secret = "set -e\ncat > x <<EOF\nkind: Secret\nstringData:\n  password: hunter2\nEOF\necho '{{ x }}'\n";
    assert_eq!(found_in("repo/deploy.sh.j2", secret), PLAIN);
    let world = world();
    world.write("repo/chart/Chart.yaml", "name: a\n");
    world.write("repo/chart/templates/x.sh.tpl", text);
    let found = check(&world, &["repo/chart/templates/x.sh.tpl"]);
    assert!(found.iter().any(|(rule, ..)| rule == "not-yaml"), "{found:?}");
}
