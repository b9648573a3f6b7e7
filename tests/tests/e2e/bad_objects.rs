//! One bad object of each kind, before two hundred good ones in the queue: each bad one says why, and no good one waits for it.

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_control_plane::Options;
use bulla_shared::age::{Algorithm, Identity, Recipient};
use bulla_shared::binding::ScopeKind;
use bulla_shared::convert::SealOptions;
use bulla_shared::resources::sealed_secret::{SealedSecret, SecretTemplate};
use bulla_shared::resources::{OWNED, SECRET_LABEL};
use bulla_shared::sealed::Recipients;
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::store;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

const GOOD: usize = 200;
const NAMESPACE: &str = "mixed";
const DOCKER: &str = "kubernetes.io/dockerconfigjson";

/// A bad object, and the reason that it has to give.
type Bad = (SealedSecret, &'static str);

/// A good one with `text` in the place of its value.
fn with_value(name: &str, text: String, recipient: &Recipient) -> SealedSecret {
    let mut sealed = seal(&plain(NAMESPACE, name, &[("a", "1")]), recipient);
    sealed.spec.encrypted_data.insert("a".to_owned(), text);
    sealed
}

/// What no key is needed to refuse.
fn undecodable(recipient: &Recipient) -> Vec<Bad> {
    let value = |name: &str, text: String| (with_value(name, text, recipient), "ItemsRefused");
    let mut many = with_value("a-many-items", "YQ==".to_owned(), recipient);
    many.spec.encrypted_data = (0..256).map(|index| (format!("{index:0>253}"), "YQ==".to_owned())).collect();
    let intro = "age-encryption.org/v1\n";
    vec![
        value("a-not-base64", "%%%".to_owned()),
        value("a-not-age", STANDARD.encode("not age")),
        value("a-cut", STANDARD.encode(intro)),
        value("a-long-header", STANDARD.encode(format!("{intro}{}", "-> x\n\n".repeat(100_000)))),
        value("a-huge", "A".repeat(1_400_000)),
        (many, "ItemsRefused"),
    ]
}

/// Sealed well, for somewhere else.
fn misplaced(recipient: &Recipient) -> Vec<Bad> {
    let value = |namespace: &str, name: &str, text: &str| {
        seal(&plain(namespace, name, &[("a", text)]), recipient).spec.encrypted_data.remove("a").unwrap()
    };
    let stranger = Identity::generate(Algorithm::Hybrid).recipient().clone();
    let mut flipped = STANDARD.decode(value(NAMESPACE, "a-flipped", "1")).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    vec![
        (with_value("a-namespace", value("elsewhere", "a-namespace", "1"), recipient), "ItemsRefused"),
        (with_value("a-megabyte", value(NAMESPACE, "other", &"x".repeat(1024 * 1024)), recipient), "ItemsRefused"),
        (with_value("a-flipped", STANDARD.encode(flipped), recipient), "ItemsRefused"),
        (seal(&plain(NAMESPACE, "a-other-cluster", &[("a", "1")]), &stranger), "KeyMissing"),
        (seal(&plain("bulla-system", "a-own", &[("a", "1")]), recipient), "ControllerNamespace"),
    ]
}

/// Opened, they would be a Secret that nobody wants.
fn unfit(recipient: &Recipient) -> Vec<Bad> {
    let templated = |name: &str, data: &[String]| {
        let mut sealed = seal(&plain(NAMESPACE, name, &[("a", &"x".repeat(1000))]), recipient);
        let data = data.iter().enumerate().map(|(index, text)| (format!("t{index}"), text.clone())).collect();
        sealed.spec.template = Some(SecretTemplate { data, ..SecretTemplate::default() });
        sealed
    };
    let typed = |name: &str, type_: &str, item: &str, scope: ScopeKind| {
        let mut secret = plain(NAMESPACE, name, &[(item, "no json")]);
        secret.type_ = Some(type_.to_owned());
        let recipients = Recipients::new([recipient.clone()]).unwrap();
        secret.seal(&SealOptions { scope, recipients: &recipients, now: Timestamp::now(), rotate_by: None }).unwrap()
    };
    let mut other_type = typed("a-type", DOCKER, ".dockerconfigjson", ScopeKind::Strict);
    other_type.spec.template.as_mut().unwrap().type_ = Some("example.com/other".to_owned());
    vec![
        (templated("a-bomb", &["{{ a | indent 64 | indent 64 | indent 64 | indent 64 }}".to_owned()]), "TemplateRefused"),
        (templated("a-substitutions", &["{{ a }}".repeat(65)]), "SpecRefused"),
        (templated("a-long-templates", &vec!["x".repeat(64 * 1024); 20]), "SpecRefused"),
        (templated("a-no-item", &["{{ nobody }}".to_owned()]), "TemplateRefused"),
        (templated("a-filters", &[format!("{{{{ a {} }}}}", "| hex ".repeat(9))]), "TemplateRefused"),
        (other_type, "TypeNotAllowed"),
        (typed("a-not-json", DOCKER, ".dockerconfigjson", ScopeKind::Strict), "SecretInvalid"),
        (typed("a-wide-json", DOCKER, ".dockerconfigjson", ScopeKind::Namespace), "ItemsRefused"),
        (typed("a-half-tls", "kubernetes.io/tls", "tls.key", ScopeKind::Strict), "SpecRefused"),
    ]
}

/// Secrets that stand in the way, and objects whose Secrets they would be.
async fn blocked(cluster: &Cluster, recipient: &Recipient) -> Vec<Bad> {
    let ours = json!({"labels": {SECRET_LABEL: OWNED}});
    let secrets = cluster.secrets(NAMESPACE);
    let mut bad = Vec::new();
    for (name, metadata, rest, reason) in [
        ("a-foreign", json!({}), json!({}), "ForeignSecret"),
        ("a-immutable", ours.clone(), json!({"immutable": true}), "SecretImmutable"),
        ("a-retyped", ours.clone(), json!({"type": "example.com/other"}), "SecretInvalid"),
        ("a-ending", json!({"labels": ours["labels"], "finalizers": ["example.com/wait"]}), json!({}), "SecretBeingDeleted"),
    ] {
        let mut secret = json!({"metadata": metadata});
        secret["metadata"]["name"] = json!(name);
        secret.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        let secret: Secret = serde_json::from_value(secret).unwrap();
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        bad.push((seal(&plain(NAMESPACE, name, &[("a", "1")]), recipient), reason));
    }
    secrets.delete("a-ending", &DeleteParams::default()).await.unwrap();
    bad
}

/// Namespaces in which the API server does not take a Secret: somebody's webhook is gone, or never answers.
async fn unanswered(cluster: &Cluster, recipient: &Recipient, silent: &TcpListener) -> Vec<Bad> {
    let port = silent.local_addr().unwrap().port();
    let mut bad = Vec::new();
    // Nobody listens on port 1.
    for (namespace, port) in [("a-gone", 1), ("a-silent", port)] {
        cluster.namespace(namespace).await;
        let webhook = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": namespace},
            "webhooks": [{
                "name": format!("{namespace}.example.com"), "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 30,
                "clientConfig": {"url": format!("https://127.0.0.1:{port}/")},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}],
            }],
        });
        cluster.plane.apply(&webhook.to_string()).await.unwrap();
        bad.push((seal(&plain(namespace, "db", &[("a", "1")]), recipient), "ApiServer"));
    }
    bad
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_object_of_each_kind_holds_up_no_good_one() {
    let cluster = Cluster::start(Options::default()).await;
    let controller = cluster.controller(&[]).await;
    let recipient = cluster.recipient().await;
    controller.kill();
    cluster.namespace(NAMESPACE).await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bad = [undecodable(&recipient), misplaced(&recipient), unfit(&recipient)].concat();
    bad.extend(blocked(&cluster, &recipient).await);
    bad.extend(unanswered(&cluster, &recipient, &silent).await);
    cluster.apply_all(bad.iter().map(|(sealed, _)| sealed.clone()).collect()).await;
    // No API server takes this one, nor a status on it.
    cluster.namespace("a-shapeless").await;
    cluster.apply(&seal(&plain("a-shapeless", "db", &[("a", "1")]), &recipient)).await;
    store::change(&cluster.plane, "/registry/bulla.dev/sealedsecrets/a-shapeless/db", |object| {
        object["spec"]["encryptedData"] = json!(["no", "map"]);
    });
    let good = |prefix: &'static str, count: usize| {
        let recipient = recipient.clone();
        (0..count)
            .map(move |index| seal(&plain(NAMESPACE, &format!("{prefix}-{index:0>3}"), &[("a", "1")]), &recipient))
            .collect()
    };
    cluster.apply_all(good("g", GOOD)).await;

    // The lists come in the order of names: each bad object is in the queue before the first good one.
    let mut controller = cluster.controller(&[]).await;
    cluster.all_ready(NAMESPACE, GOOD).await;
    for (sealed, reason) in &bad {
        let (namespace, name) = (sealed.metadata.namespace.as_deref().unwrap(), sealed.metadata.name.as_deref().unwrap());
        let said = cluster.wait(namespace, name, reason).await;
        let type_ = if ["ApiServer", "SecretBeingDeleted"].contains(reason) { "Reconciling" } else { "Stalled" };
        assert_eq!(said.status.unwrap().conditions[1].r#type, type_, "{name}");
    }

    // And while all of them are tried again, with a change of each.
    let touch = Patch::Merge(json!({"spec": {"target": {"creationPolicy": "Owner"}, "suspend": true}}));
    let back = Patch::Merge(json!({"spec": {"suspend": false}}));
    for patch in [touch, back] {
        for (sealed, _) in &bad {
            let api: Api<SealedSecret> = cluster.sealed(sealed.metadata.namespace.as_deref().unwrap());
            api.patch(sealed.metadata.name.as_deref().unwrap(), &PatchParams::default(), &patch).await.unwrap();
        }
    }
    cluster.apply_all(good("h", 20)).await;
    cluster.all_ready(NAMESPACE, GOOD + 20).await;
    assert!(controller.is_running());
    let ours = ListParams::default().labels(&format!("{SECRET_LABEL}={OWNED}"));
    let made = cluster.secrets(NAMESPACE).list(&ours).await.unwrap().items;
    let names = made.into_iter().filter_map(|secret| secret.metadata.name).filter(|name| name.starts_with("a-"));
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["a-ending", "a-immutable", "a-retyped"], "nothing but what was there");
}
