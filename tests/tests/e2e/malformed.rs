//! Objects that the controller's types cannot read: a field that newer definitions know, and one that no API server would take.

use bulla_control_plane::Options;
use bulla_shared::resources::sealed_secret::SealedSecret;
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::{eventually, store};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};

/// What stands where the controller does not expect it, and is told nowhere.
const CONTENT: &str = "Canary";

fn conditions(object: &Value) -> Vec<(String, String, String)> {
    let of = |condition: &Value, field: &str| condition[field].as_str().unwrap().to_owned();
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.map(|condition| {
        (of(condition, "type") + "=" + &of(condition, "status"), of(condition, "reason"), of(condition, "message"))
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_not_understood_says_where() {
    let cluster = Cluster::start(Options::default()).await;
    let controller = cluster.controller(&[]).await;
    let recipient = cluster.recipient().await;
    let sealed = |name: &str| seal(&plain("default", name, &[("a", "1")]), &recipient);
    cluster.apply(&sealed("shapeless")).await;
    cluster.wait("default", "shapeless", "Ready").await;

    // As if definitions of a later version were installed.
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin());
    let mut definition = definitions.get("sealedsecrets.bulla.dev").await.unwrap();
    (definition.metadata.managed_fields, definition.metadata.resource_version) = (None, None);
    let mut later = serde_json::to_value(&definition).unwrap();
    let policies = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/target/properties/creationPolicy/enum";
    later.pointer_mut(policies).unwrap().as_array_mut().unwrap().push(json!(CONTENT));
    definitions.patch("sealedsecrets.bulla.dev", &PatchParams::default(), &Patch::Merge(later)).await.unwrap();
    let mut newer = serde_json::to_value(sealed("newer")).unwrap();
    newer["spec"]["target"] = json!({"creationPolicy": CONTENT});
    let api: Api<kube::api::DynamicObject> =
        Api::namespaced_with(cluster.admin(), "default", &kube::api::ApiResource::erase::<SealedSecret>(&()));
    let params = PatchParams::apply("gitops");
    eventually("the later definition is in force", || async { api.patch("newer", &params, &Patch::Apply(&newer)).await.ok() })
        .await;
    let said = eventually("it is Malformed", || async {
        let said = conditions(&serde_json::to_value(api.get("newer").await.unwrap()).unwrap());
        said.first().is_some_and(|(_, reason, _)| reason == "Malformed").then_some(said)
    })
    .await;
    assert_eq!(said.iter().map(|(what, ..)| what.as_str()).collect::<Vec<_>>(), ["Ready=False", "Stalled=True"]);
    assert!(said[0].2.starts_with("spec.target.creationPolicy is not as this controller knows it"), "{}", said[0].2);
    assert!(cluster.secrets("default").get_opt("newer").await.unwrap().is_none());

    // Against its own definition: the API server takes no status on it, so an event says it.
    controller.kill();
    store::change(&cluster.plane, "/registry/bulla.dev/sealedsecrets/default/shapeless", |object| {
        object["spec"]["encryptedData"] = json!([CONTENT]);
        object["metadata"]["generation"] = json!(2);
    });
    let controller = cluster.controller(&[]).await;
    let event = eventually("an event", || async {
        let events: Api<Event> = Api::namespaced(cluster.admin(), "default");
        let all = events.list(&ListParams::default()).await.unwrap().items;
        let about = |event: &Event| event.regarding.as_ref().and_then(|about| about.name.clone());
        all.into_iter().find(|event| about(event).as_deref() == Some("shapeless") && event.reason.as_deref() == Some("Malformed"))
    })
    .await;
    assert!(event.note.unwrap().starts_with("spec.encryptedData is not as this controller knows it"));
    assert_eq!(cluster.values("default", "shapeless").await, ["a=1"], "what was made stays");

    // Repaired, it is as any other.
    cluster.apply(&sealed("newer")).await;
    cluster.wait("default", "newer", "Ready").await;
    let log = std::fs::read_to_string(controller.log()).unwrap();
    assert!(log.contains("reason=\"Malformed\"") && !log.contains(CONTENT), "{log}");
}
