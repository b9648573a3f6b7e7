//! Kinds of documents, and values as callers read them.

use super::*;
use crate::manifest::{DocumentKind, Node, ScalarValue, find_sealed};

#[test]
fn documents_are_told_apart() {
    let source = source(
        "# c\n---\n---\napiVersion: v1\nkind: Secret\n---\napiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\n---\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\n---\napiVersion: v1\nkind: List\n---\napiVersion: v1\nkind: SecretList\n---\napiVersion: bulla.dev\nkind: SealedSecret\n---\ntext\n",
    );
    let kinds: Vec<_> = parse(&source).unwrap().iter().map(|document| find_secrets(document).unwrap().kind).collect();
    assert_eq!(
        kinds,
        [
            DocumentKind::Empty,
            DocumentKind::Secret,
            DocumentKind::SealedSecret,
            DocumentKind::BitnamiSealedSecret,
            DocumentKind::List,
            DocumentKind::SecretList,
            DocumentKind::Other,
            DocumentKind::Other,
        ]
    );
}

#[test]
fn sealed_secrets_are_found_in_lists_too() {
    let source = source(
        "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\n---\napiVersion: v1\nkind: List\nitems:\n- kind: A\n- apiVersion: bulla.dev/v1alpha1\n  kind: SealedSecret\n",
    );
    let documents = parse(&source).unwrap();
    let columns: Vec<_> = documents.iter().flat_map(find_sealed).map(|node| source.position(node.span().start)).collect();
    assert_eq!(columns, [(1, 1), (8, 3)]);
}

#[test]
fn values_are_read_as_kubectl_reads_them() {
    let source = source(
        "stringData:\n  a: text\n  b: 123\n  c: '123'\n  d: |\n    x\n    y\n  e: !!binary AP8=\n  f:\n  g: yes\n  h: 2026-11-23\n  i: ~\n  j: !!str\n",
    );
    let documents = parse(&source).unwrap();
    let data = documents[0].root().unwrap().get("stringData").unwrap();
    let read = |key: &str| data.get(key).and_then(Node::as_scalar).unwrap().read();
    let words: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(|key| read(key).describe()).into();
    assert_eq!(words, ["text", "a number", "text", "text", "binary data", "null", "a boolean", "text", "null", "text"]);
    assert_eq!(data.get("d").unwrap().as_str(), Some("x\ny\n"));
    assert!(matches!(read("e"), ScalarValue::Binary(bytes) if *bytes == [0, 255]));
    assert_eq!(documents[0].root().unwrap().at(&["stringData", "c"]).unwrap().as_str(), Some("123"));
}

#[test]
fn the_span_of_a_node_is_what_to_replace() {
    let text = "a: !!str &x |-  # c\n    b\n\nd:   'e'   # f\ng: [h, i]\nj: &k k\n";
    let source = source(text);
    let documents = parse(&source).unwrap();
    let span = |key: &str| &text[documents[0].root().unwrap().get(key).unwrap().span()];
    assert_eq!(["a", "d", "g", "j"].map(span), ["|-  # c\n    b", "'e'", "[h, i]", "k"]);
    assert_eq!(documents[0].place(documents[0].root().unwrap().get("a").unwrap()).column, 4);
}

/// `--- x` is content to YAML, so the Secret after it is one: what YAML shows is what is sealed.
#[test]
fn documents_cover_the_text() {
    let text = "# a\n%YAML 1.2\n---\nb: 1\n# c\n...\n# d\n---\ne: 1\n--- f\n";
    let source = source(text);
    let documents = parse(&source).unwrap();
    let parts: Vec<_> = documents.iter().map(|document| &text[document.span()]).collect();
    assert_eq!(parts, ["# a\n%YAML 1.2\n---\nb: 1\n# c\n...\n", "# d\n---\ne: 1\n", "--- f\n"]);
    assert_eq!(documents.iter().map(Document::number).collect::<Vec<_>>(), [1, 2, 3]);
}
