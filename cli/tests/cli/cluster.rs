//! No recipients given: the cluster is asked, and where there is none the message says what to give instead.

use super::harness::{SECRET, World};

fn kubeconfig(server: &str, current: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: '{current}'
clusters: [{{name: local, cluster: {{server: '{server}'}}}}]
users: [{{name: me, user: {{token: none}}}}]
contexts: [{{name: local, context: {{cluster: local, user: me}}}}]
"
    )
}

#[test]
fn there_is_no_cluster() {
    let world = World::new();
    world.write("secret.yaml", SECRET);
    world.bulla(&["seal", "secret.yaml"]).fails(3, "cluster_no_kubeconfig");
    world.write(".kube/config", kubeconfig("http://127.0.0.1:1", ""));
    world.bulla(&["seal", "secret.yaml"]).fails(3, "cluster_no_current_context");
    world.bulla(&["seal", "--context", "prod", "secret.yaml"]).fails(3, "cluster_unknown_context");
    // Nothing listens there.
    world.bulla(&["seal", "--context", "local", "secret.yaml"]).fails(5, "cluster_no_answer");
    world.write(".kube/config", kubeconfig("http://127.0.0.1:1", "local"));
    world.bulla(&["seal", "secret.yaml"]).fails(5, "cluster_no_answer_current_context");
    world.write(".kube/config", "]");
    world.bulla(&["seal", "secret.yaml"]).fails(3, "cluster_kubeconfig_malformed");
}
