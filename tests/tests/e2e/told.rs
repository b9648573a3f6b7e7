//! What people and tools are told of an object that works: events, rotation dates, the log; and what every Secret gets.

use bulla_control_plane::Options;
use bulla_shared::resources::sealed_secret::{SecretTemplate, TemplateMetadata};
use bulla_tests::cluster::{Cluster, plain, seal, seal_until};
use bulla_tests::controller::Controller;
use bulla_tests::eventually;
use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

/// Reason, number of times and message of each event about an object.
async fn events(cluster: &Cluster, name: &str) -> Vec<(String, i32, String)> {
    let api: Api<Event> = Api::namespaced(cluster.admin(), "default");
    let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
    let all = api.list(&about).await.unwrap().items.into_iter();
    all.map(|event| {
        let count = event.series.and_then(|series| series.count).unwrap_or(1);
        (event.reason.unwrap(), count, event.message.unwrap())
    })
    .collect()
}

async fn one_event(cluster: &Cluster, name: &str, reason: &str) -> String {
    eventually("an event", || async { (!events(cluster, name).await.is_empty()).then_some(()) }).await;
    let mut events = events(cluster, name).await;
    assert!(events.len() == 1 && events[0].0 == reason && events[0].1 == 1, "{name}: {events:?}");
    events.remove(0).2
}

async fn no_news_is_good_news(cluster: &Cluster) {
    let recipient = cluster.recipient().await;
    cluster.apply(&seal(&plain("default", "quiet", &[("a", "1")]), &recipient)).await;
    cluster.wait("default", "quiet", "Ready").await;
    cluster.apply(&seal(&plain("default", "quiet", &[("a", "2")]), &recipient)).await;
    eventually("it has the new value", || async { (cluster.values("default", "quiet").await == ["a=2"]).then_some(()) }).await;
    cluster.wait("default", "quiet", "Ready").await;
    assert_eq!(events(cluster, "quiet").await, [], "success is told by the status");

    let edit = Patch::Merge(json!({"data": {"a": "eA=="}}));
    cluster.secrets("default").patch("quiet", &PatchParams::default(), &edit).await.unwrap();
    let note = one_event(cluster, "quiet", "SecretRepaired").await;
    assert!(note.contains("changed by somebody else"), "{note}");
    assert_eq!(cluster.values("default", "quiet").await, ["a=2"]);

    cluster.secrets("default").delete("quiet", &DeleteParams::default()).await.unwrap();
    eventually("another event", || async {
        let events = events(cluster, "quiet").await;
        assert!(events.iter().all(|(reason, ..)| reason == "SecretRepaired"), "{events:?}");
        (events.iter().map(|(_, count, _)| count).sum::<i32>() == 2).then_some(())
    })
    .await;
    assert_eq!(cluster.values("default", "quiet").await, ["a=2"]);
}

async fn a_date_that_has_come(cluster: &Cluster, controller: &Controller) {
    let recipient = cluster.recipient().await;
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let (yesterday, later) = (today - 1.day(), today + 90.days());
    let object = |date| seal_until(&plain("default", "due", &[("a", "1"), ("b", "2")]), &recipient, Some(date));
    let mut due = object(yesterday);
    due.spec.encrypted_data.insert("b".to_owned(), object(later).spec.encrypted_data["b"].clone());
    cluster.apply(&due).await;
    let condition = || async {
        let status = cluster.sealed("default").get("due").await.unwrap().status?;
        assert_eq!(status.conditions.iter().find(|c| c.r#type == "Ready")?.status, "True", "a date is no outage");
        status.conditions.into_iter().find(|condition| condition.r#type == "RotationDue")
    };
    let found = eventually("the condition", condition).await;
    let message = format!("1 of 2 items are due for a new value, the first since {yesterday}");
    assert_eq!((found.status.as_str(), &found.message), ("True", &message));
    assert_eq!(one_event(cluster, "due", "RotationDue").await, message);
    let seconds = |date: jiff::civil::Date| date.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second();
    for (line, value) in [
        ("bulla_rotation_due_items".to_owned(), 1),
        (r#"bulla_rotate_by_timestamp_seconds{state="due"}"#.to_owned(), seconds(yesterday)),
        (r#"bulla_rotate_by_timestamp_seconds{state="upcoming"}"#.to_owned(), seconds(later)),
    ] {
        #[expect(clippy::cast_precision_loss, reason = "dates are small numbers")]
        let value = value as f64;
        eventually(&format!("{line} {value}"), || async { (controller.metric(&line) == Some(value)).then_some(()) }).await;
    }

    due.spec
        .encrypted_data
        .insert("c".to_owned(), seal(&plain("default", "due", &[("c", "3")]), &recipient).spec.encrypted_data["c"].clone());
    cluster.apply(&due).await;
    let two = || async { condition().await.filter(|condition| condition.message.starts_with("1 of 3")) };
    eventually("it goes on", two).await;
    assert_eq!(one_event(cluster, "due", "RotationDue").await, message, "once");

    cluster.apply(&object(later)).await;
    eventually("the condition is gone", || async { condition().await.is_none().then_some(()) }).await;
}

async fn what_every_secret_gets(cluster: &Cluster) {
    let mut sealed = seal(&plain("default", "defaults", &[("a", "1")]), &cluster.recipient().await);
    let map = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let metadata = TemplateMetadata { labels: map("team", "own"), annotations: map("own", "a") };
    sealed.spec.template = Some(SecretTemplate { metadata: Some(metadata), ..SecretTemplate::default() });
    cluster.apply(&sealed).await;
    cluster.wait("default", "defaults", "Ready").await;
    let made = cluster.secrets("default").get("defaults").await.unwrap().metadata;
    let (labels, annotations) = (made.labels.unwrap(), made.annotations.unwrap());
    assert_eq!((labels["team"].as_str(), labels["tier"].as_str()), ("own", "0"), "the template has the last word");
    assert_eq!((annotations["example.com/note"].as_str(), annotations["own"].as_str()), ("a, b", "a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_dates_defaults_and_log() {
    let cluster = Cluster::start(Options::default()).await;
    let flags =
        ["--log-format=json", "--default-label=team=a", "--default-label=tier=0", "--default-annotation=example.com/note=a, b"];
    let controller = cluster.controller(&flags).await;
    no_news_is_good_news(&cluster).await;
    a_date_that_has_come(&cluster, &controller).await;
    what_every_secret_gets(&cluster).await;

    let text = std::fs::read_to_string(controller.log()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let said =
        |message: &str| lines.iter().find(|line| line["fields"]["message"] == message).unwrap_or_else(|| panic!("{message}"));
    assert_eq!(said("Secret repaired")["fields"]["object"], "default/quiet");
    assert_eq!(said("controller starts")["level"], "INFO");
    assert!(said("controller starts")["fields"]["api_server"].as_str().unwrap().starts_with("https://127.0.0.1:"));
}
