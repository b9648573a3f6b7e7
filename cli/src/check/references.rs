//! What workloads ask of Secrets, and what provides them: one document at a time. [`super::tree`] puts both together.

use std::ops::Range;

use crate::manifest::{Document, Node};

/// A Secret that a document makes, or has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// Kind of the object that provides it.
    pub kind: &'static str,
    /// Its namespace, if the document says.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its items; none if they cannot be known from the document.
    pub items: Option<Vec<String>>,
    /// Where the object stands.
    pub span: Range<usize>,
}

/// Something that a workload asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Kind and name of the workload.
    pub workload: String,
    /// Its namespace, if the document says.
    pub namespace: Option<String>,
    /// Name of the Secret.
    pub name: String,
    /// Where that name stands.
    pub span: Range<usize>,
    /// Items that are asked for by name, and where.
    pub items: Vec<(String, Range<usize>)>,
    /// Where the workload starts.
    pub object: usize,
}

/// Collects both from a document and the items of a List.
pub fn collect(document: &Document<'_>, provided: &mut Vec<Provided>, references: &mut Vec<Reference>) {
    let Some(root) = document.root() else { return };
    for node in objects(root) {
        provided.extend(provides(node));
        collect_references(node, references);
    }
}

/// The object itself, or the items of a list.
#[must_use]
pub fn objects(root: &Node) -> Vec<&Node> {
    let list = root.get("kind").and_then(Node::as_str).is_some_and(|kind| kind.ends_with("List"));
    match root.get("items").and_then(Node::as_sequence).filter(|_| list) {
        Some(items) => items.iter().collect(),
        None => vec![root],
    }
}

fn provides(node: &Node) -> Option<Provided> {
    let text = |path: &[&str]| node.at(path).and_then(Node::as_str).map(str::to_owned);
    let keys = |path: &[&str]| {
        let entries = node.at(path).and_then(Node::as_mapping).unwrap_or_default();
        entries.iter().filter_map(|(key, _)| key.as_scalar()).map(|key| key.raw().to_owned()).collect::<Vec<_>>()
    };
    let own = text(&["metadata", "name"]);
    let (kind, name, items) = match node.get("kind").and_then(Node::as_str)? {
        "Secret" => {
            let token = text(&["type"]).is_some_and(|kind| kind == "kubernetes.io/service-account-token");
            ("Secret", own?, (!token).then(|| [keys(&["data"]), keys(&["stringData"])].concat()))
        }
        "SealedSecret" => {
            // A Merge adds to what is there already.
            let merges = text(&["spec", "target", "creationPolicy"]).is_some_and(|policy| policy == "Merge");
            let items = [keys(&["spec", "encryptedData"]), keys(&["spec", "template", "data"])].concat();
            ("SealedSecret", own?, (!merges).then_some(items))
        }
        "ExternalSecret" => ("ExternalSecret", text(&["spec", "target", "name"]).or(own)?, None),
        "Certificate" => ("Certificate", text(&["spec", "secretName"])?, None),
        _ => return None,
    };
    Some(Provided { kind, namespace: text(&["metadata", "namespace"]), name, items, span: node.outer_start()..node.span().end })
}

fn collect_references(node: &Node, references: &mut Vec<Reference>) {
    let text = |path: &[&str]| node.at(path).and_then(Node::as_str);
    let Some(kind) = text(&["kind"]) else { return };
    let pod = match kind {
        "Pod" => node.get("spec"),
        "PodTemplate" => node.at(&["template", "spec"]),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            node.at(&["spec", "template", "spec"])
        }
        "CronJob" => node.at(&["spec", "jobTemplate", "spec", "template", "spec"]),
        "ServiceAccount" => Some(node),
        _ => None,
    };
    let Some(pod) = pod else { return };
    let workload = format!("{kind} {}", super::finding::harmless(text(&["metadata", "name"]).unwrap_or_default()));
    let namespace = text(&["metadata", "namespace"]).map(str::to_owned);
    let mut add = |name: Option<&Node>, items: Vec<&Node>| {
        let Some((span, name)) = name.and_then(|node| Some((node.span(), node.as_str()?.to_owned()))) else { return };
        // Rendered later.
        if name.is_empty() || name.contains(['{', '$']) {
            return;
        }
        let items = items.iter().filter_map(|item| Some((item.as_str()?.to_owned(), item.span()))).collect();
        let (workload, namespace) = (workload.clone(), namespace.clone());
        references.push(Reference { workload, namespace, name, span, items, object: node.outer_start() });
    };
    for containers in ["containers", "initContainers", "ephemeralContainers"] {
        for container in sequence(pod, containers) {
            for variable in sequence(container, "env") {
                if let Some(reference) = variable.at(&["valueFrom", "secretKeyRef"]).filter(required) {
                    add(reference.get("name"), reference.get("key").into_iter().collect());
                }
            }
            for source in sequence(container, "envFrom") {
                add(source.get("secretRef").filter(required).and_then(|reference| reference.get("name")), Vec::new());
            }
        }
    }
    for volume in sequence(pod, "volumes") {
        let projected = volume.get("projected").map(|projected| sequence(projected, "sources")).unwrap_or_default();
        for (source, name) in [(volume, "secretName")].into_iter().chain(projected.iter().map(|source| (source, "name"))) {
            if let Some(secret) = source.get("secret").filter(required) {
                add(secret.get(name), sequence(secret, "items").iter().filter_map(|item| item.get("key")).collect());
            }
        }
    }
    for reference in sequence(pod, "imagePullSecrets") {
        add(reference.get("name"), Vec::new());
    }
}

fn sequence<'n>(node: &'n Node, field: &str) -> &'n [Node] {
    node.get(field).and_then(Node::as_sequence).unwrap_or_default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that filter takes")]
fn required(reference: &&Node) -> bool {
    reference.get("optional").and_then(Node::as_scalar).and_then(crate::manifest::Scalar::as_bool) != Some(true)
}
