//! Which priority the API server gives to whose requests; it says so in a header of each answer.

use bulla_tests::eventually;
use k8s_openapi::api::flowcontrol::v1::PriorityLevelConfiguration;
use kube::client::Body;
use kube::core::Request;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

/// The UID of the priority level that served a request.
async fn level(client: &Client, path: &str, body: Option<serde_json::Value>) -> String {
    let request = match body {
        Some(body) => Request::new(path)
            .create(&kube::api::PostParams { dry_run: true, ..Default::default() }, body.to_string().into_bytes()),
        None => Request::new(path).get("bulla-controller", &kube::api::GetParams::default()),
    };
    let answer = client.send(request.unwrap().map(Body::from)).await.unwrap();
    answer.headers()["x-kubernetes-pf-prioritylevel-uid"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_lease_goes_first_and_rewrap_requests_wait_for_each_other() {
    let cluster = crate::shared().await;
    let levels: Api<PriorityLevelConfiguration> = Api::all(cluster.admin());
    let controller = cluster.plane.service_account_client("bulla-system", "bulla-controller").await.unwrap();
    let author = cluster.plane.service_account_client("default", "author").await.unwrap();
    let leases = "/apis/coordination.k8s.io/v1/namespaces/bulla-system/leases";
    let sealed = "/apis/bulla.dev/v1alpha1/namespaces/default/sealedsecrets";
    let requests = "/apis/bulla.dev/v1alpha1/namespaces/default/rewraprequests";
    for (client, path, body, wanted) in [
        (&controller, leases, None, "leader-election"),
        (&controller, sealed, None, "workload-low"),
        (&author, leases, None, "workload-low"),
        (&author, requests, Some(json!({})), "bulla-rewrap"),
        (&author, requests, None, "workload-low"),
    ] {
        let uid = levels.get(wanted).await.unwrap().uid().unwrap();
        // The API server takes up a FlowSchema a moment after it was installed.
        eventually(&format!("{wanted} for {path}"), || async { (level(client, path, body.clone()).await == uid).then_some(()) })
            .await;
    }
}
