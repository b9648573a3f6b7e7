//! The pod of the Deployment under the namespace's own pod security.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::manifests::Manifests;

#[tokio::test]
async fn the_restricted_standard_takes_it() {
    let cluster = crate::shared().await;
    let pods: Api<Pod> = Api::namespaced(cluster.admin(), "bulla-system");
    let mut pod =
        Manifests::kustomize("controller/deploy").get("Deployment bulla-system/bulla-controller")["spec"]["template"].clone();
    pod["metadata"]["name"] = json!("as-deployed");
    pods.create(&PostParams::default(), &serde_json::from_value(pod.clone()).unwrap()).await.unwrap();

    let context = "/spec/containers/0/securityContext";
    for (pointer, value, words) in [
        (context, json!({}), "allowPrivilegeEscalation"),
        ("/spec/securityContext", json!({"runAsNonRoot": true}), "seccompProfile"),
        ("/spec/hostNetwork", json!(true), "host namespaces"),
    ] {
        let mut loose = pod.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        loose.pointer_mut(parent).unwrap()[field] = value;
        loose["metadata"]["name"] = json!("loose");
        let said = pods.create(&PostParams::default(), &serde_json::from_value(loose).unwrap()).await.unwrap_err().to_string();
        assert!(said.contains("violates PodSecurity") && said.contains(words), "{said}");
    }
}
