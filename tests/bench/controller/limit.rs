//! What the API server can do at most: a loop with the watches of our controller, as many workers, and its writes, word for word. It reads no
//! object, opens nothing and decides nothing.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;

use bulla_shared::resources::sealed_secret::SealedSecret;
use bulla_tests::cluster::{Cluster, plain, seal};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::core::{NotUsed, Object, PartialObjectMeta};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use super::load;

/// As many as our controller has on two cores.
const WORKERS: usize = 4;

type Head = Object<NotUsed, NotUsed>;

/// What our controller wrote for one object.
#[derive(Clone)]
pub(crate) struct Sample {
    secret: Value,
    status: Value,
}

impl Sample {
    pub(crate) async fn take(cluster: &Cluster) -> Self {
        let controller = super::started(cluster).await;
        let value = "v".repeat(16);
        cluster
            .apply(&seal(&plain("default", "sample", &[("password", &value), ("user", &value)]), &cluster.recipient().await))
            .await;
        let sealed: SealedSecret = cluster.wait("default", "sample", "Ready").await;
        let mut secret = serde_json::to_value(cluster.secrets("default").get("sample").await.unwrap()).unwrap();
        drop(controller);
        for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
            secret["metadata"].as_object_mut().unwrap().remove(field);
        }
        cluster.delete("default", "sample").await;
        Self { secret, status: serde_json::to_value(sealed.status).unwrap() }
    }

    /// Works until the tasks are dropped.
    pub(crate) async fn start(&self, cluster: &Cluster) -> JoinSet<()> {
        let client = cluster.plane.service_account_client("bulla-system", "bulla-controller").await.unwrap();
        let kind = load::ours();
        let api: Api<Head> = Api::all_with(client.clone(), &kind);
        let (sender, receiver) = mpsc::unbounded_channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut stream = pin!(watcher(api, watcher::Config::default()).applied_objects());
            let mut known = HashSet::new();
            while let Some(head) = stream.next().await {
                let head = head.unwrap();
                // The status that is written comes back too.
                if known.insert(head.metadata.uid.clone()) {
                    sender.send(head).unwrap();
                }
            }
        });
        let secrets = client.clone();
        tasks.spawn(async move {
            let labelled = watcher::Config::default().labels("bulla.dev/secret");
            let mut stream = pin!(watcher(Api::<PartialObjectMeta<Secret>>::all(secrets), labelled));
            while stream.next().await.is_some() {}
        });
        for _ in 0..WORKERS {
            let (client, receiver, sample) = (client.clone(), receiver.clone(), self.clone());
            tasks.spawn(async move {
                loop {
                    let Some(head) = receiver.lock().await.recv().await else { return };
                    sample.write(&client, &head).await;
                }
            });
        }
        tasks
    }

    async fn write(&self, client: &Client, head: &Head) {
        let name = head.metadata.name.as_deref().unwrap();
        let namespace = head.metadata.namespace.as_deref().unwrap();
        let mut secret = self.secret.clone();
        secret["metadata"]["name"] = json!(name);
        secret["metadata"]["ownerReferences"][0]["name"] = json!(name);
        secret["metadata"]["ownerReferences"][0]["uid"] = json!(head.metadata.uid);
        send(client, http::Request::post(format!("/api/v1/namespaces/{namespace}/secrets")), &secret).await;
        let status = json!({
            "apiVersion": "bulla.dev/v1alpha1", "kind": "SealedSecret", "metadata": {
                "namespace": namespace, "name": name, "uid": head.metadata.uid, "resourceVersion": head.metadata.resource_version,
            },
            "status": self.status,
        });
        let path = format!("/apis/bulla.dev/v1alpha1/namespaces/{namespace}/sealedsecrets/{name}/status");
        send(client, http::Request::put(path), &status).await;
    }
}

async fn send(client: &Client, request: http::request::Builder, body: &Value) {
    let request = request
        .header("content-type", "application/json")
        .header("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
        .body(serde_json::to_vec(body).unwrap())
        .unwrap();
    client.request_text(request).await.unwrap();
}
