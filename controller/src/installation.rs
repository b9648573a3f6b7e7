//! What the installation lacks: definitions, rights, the admission policy. The log names it, with the command that installs it.
//!
//! It is asked about at the start, and again when the API server forbids something. Nothing waits for this: what is refused for want of
//! something is tried again by itself. Only what everybody may do is asked: discovery knows the definitions, a `SelfSubjectAccessReview` each
//! right. Policies the controller may not read; it sends a write that the policy has to refuse, as a dry run, so that nothing is stored if
//! nothing refuses it. The guards (`guards.yaml`) and the priority of requests it cannot see at all.

use std::sync::Arc;
use std::time::Duration;

use bulla_shared::resources::{API_VERSION, GROUP};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::api::{ApiError, in_time};
use crate::backoff::Backoff;
use crate::lease;
use crate::watch::Within;

/// How often it is asked again while something is missing.
const AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(1));

/// How often at most when things are forbidden although nothing is missing; a minute at first.
const SELDOM: Duration = Duration::from_hours(1);

const DEFINITIONS: [&str; 3] = ["sealedsecrets", "sealingkeys", "rewraprequests"];

/// The dry run's Secret, which no policy of ours lets through: it has no label.
const PROBE: &str = "bulla-policy-probe";

/// Where a right is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In each namespace that is served.
    Served,
    /// In the cluster.
    Cluster,
    /// In the controller's namespace.
    Own,
}

/// Verbs on one resource.
struct Rights {
    place: Place,
    group: &'static str,
    resource: &'static str,
    /// The one object that they are about.
    name: Option<&'static str>,
    verbs: &'static [&'static str],
}

const fn rights(place: Place, group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Rights {
    Rights { place, group, resource, name: None, verbs }
}

/// What `controller/deploy/chart/common/rbac.yaml` gives; a test compares them.
const RIGHTS: [Rights; 10] = [
    rights(Place::Served, GROUP, "sealedsecrets", &["get", "list", "watch"]),
    rights(Place::Served, GROUP, "sealedsecrets/status", &["update"]),
    rights(Place::Served, GROUP, "rewraprequests", &["get", "list", "watch", "delete"]),
    rights(Place::Served, GROUP, "rewraprequests/status", &["patch"]),
    rights(Place::Served, "", "secrets", &["get", "list", "watch", "create", "update", "patch"]),
    rights(Place::Served, "events.k8s.io", "events", &["create", "patch"]),
    rights(Place::Cluster, GROUP, "sealingkeys", &["list", "watch", "create"]),
    rights(Place::Cluster, GROUP, "sealingkeys/status", &["patch"]),
    rights(Place::Own, "coordination.k8s.io", "leases", &["create"]),
    Rights { name: Some(lease::NAME), ..rights(Place::Own, "coordination.k8s.io", "leases", &["get", "update"]) },
];

/// What `controller/deploy/namespaced/own.yaml` adds to [`RIGHTS`] for a controller that does not serve the whole cluster.
const OWN: [Rights; 2] = [
    rights(Place::Own, "", "secrets", &["get", "list", "watch", "create"]),
    rights(Place::Own, "events.k8s.io", "events", &["create", "patch"]),
];

/// What is asked about.
pub struct Installation {
    client: Client,
    namespace: String,
    served: Vec<Within>,
}

impl Installation {
    /// Asks with `client`, for a controller in `namespace` that serves `served`.
    ///
    /// The client must not be one that waits for the lease: a standby may lack something too.
    #[must_use]
    pub fn new(client: Client, namespace: &str, served: Vec<Within>) -> Self {
        Self { client, namespace: namespace.to_owned(), served }
    }

    /// Sees to it for ever; `refused` is rung when something is forbidden, and this rings `completed` when something that was missing is there.
    pub async fn watch(self, refused: Arc<Notify>, completed: Arc<Notify>) {
        // A quota or a policy forbids things too, maybe for ever.
        let mut backoff = Backoff::new(AGAIN.1, SELDOM);
        loop {
            if self.complete(&completed).await {
                backoff.reset();
            }
            let again = Instant::now() + backoff.pause();
            refused.notified().await;
            tokio::time::sleep_until(again).await;
        }
    }

    /// Asks until nothing is missing; whether something was. What is missing is named once it is seen a second time: an installation comes piece by piece, and a
    /// policy holds a moment after it is there.
    async fn complete(&self, completed: &Notify) -> bool {
        let (mut seen, mut told) = (Vec::new(), Vec::new());
        let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
        loop {
            match self.missing().await {
                Ok(missing) => {
                    // Of several namespaces one may lack something for ever.
                    if seen.iter().any(|what| !missing.contains(what)) {
                        completed.notify_one();
                    }
                    if missing.is_empty() {
                        break;
                    }
                    for what in &missing {
                        if seen.contains(what) && !told.contains(what) {
                            error!("{what}");
                            told.push(what.clone());
                        }
                    }
                    seen = missing;
                }
                Err(error) => warn!(%error, "whether the installation is complete cannot be asked, will be tried again"),
            }
            tokio::time::sleep(backoff.pause()).await;
        }
        if !told.is_empty() {
            info!("the installation is complete now");
        }
        !seen.is_empty()
    }

    fn serves_all(&self) -> bool {
        self.served.contains(&None)
    }

    /// Each with the command that helps.
    async fn missing(&self) -> Result<Vec<String>, ApiError> {
        let mut missing = Vec::new();
        let folder = if self.serves_all() { "controller/deploy" } else { "controller/deploy/namespaced" };
        let install =
            format!("this installs it: kubectl apply --server-side -k {folder} (or your overlay of it; with Helm: helm upgrade)");
        let definitions = self.missing_definitions().await?;
        if !definitions.is_empty() {
            missing.push(format!("CustomResourceDefinitions are missing: {}; {install}", definitions.join(", ")));
        }
        let rights = self.missing_rights().await?;
        if !rights.is_empty() {
            missing.push(format!("the controller's ServiceAccount may not {}; {install}", rights.join(", ")));
        }
        match self.is_confined(&self.namespace).await {
            Ok(true) => {}
            Ok(false) => missing.push(format!(
                "no admission policy confines this controller: bulla-controller-secrets is missing, or is about another account than {}; {install}",
                self.account()
            )),
            Err(ApiError::NotFound) => missing.push(format!("there is no namespace {} (--namespace); {install}", self.namespace)),
            Err(error) => return Err(error),
        }
        for served in self.served.iter().flatten() {
            // Whatever else is answered there says nothing about the installation.
            if self.is_confined(served).await == Err(ApiError::NotFound) {
                missing.push(format!("there is no namespace {served} (--watch-namespace): kubectl create namespace {served}"));
            }
        }
        Ok(missing)
    }

    fn account(&self) -> String {
        format!("system:serviceaccount:{}:bulla-controller", self.namespace)
    }

    /// By discovery, which everybody may ask.
    async fn missing_definitions(&self) -> Result<Vec<String>, ApiError> {
        let found = match in_time(self.client.list_api_group_resources(API_VERSION)).await {
            Ok(list) => list.resources.into_iter().map(|resource| resource.name).collect(),
            Err(ApiError::NotFound) => Vec::new(),
            Err(error) => return Err(error),
        };
        let missing = DEFINITIONS.into_iter().filter(|name| !found.iter().any(|found| found == name));
        Ok(missing.map(|name| format!("{name}.{GROUP}")).collect())
    }

    /// Each as `verb resource`, and where.
    ///
    /// # RBAC: `selfsubjectaccessreviews: create`, which every account has (`system:basic-user`)
    async fn missing_rights(&self) -> Result<Vec<String>, ApiError> {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let mut missing = Vec::new();
        let own: &[Rights] = if self.serves_all() { &[] } else { &OWN };
        for rights in RIGHTS.iter().chain(own) {
            let places = match rights.place {
                Place::Served => self.served.clone(),
                Place::Cluster => vec![None],
                Place::Own => vec![Some(self.namespace.clone())],
            };
            for place in places {
                let within = place.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
                for verb in rights.verbs {
                    let answer = in_time(reviews.create(&PostParams::default(), &review(rights, verb, place.clone()))).await?;
                    if !answer.status.is_some_and(|status| status.allowed) {
                        missing.push(format!("{verb} {}{within}", rights.resource));
                    }
                }
            }
        }
        Ok(missing)
    }

    /// Whether the policy refuses what it has to. What RBAC refuses never gets to a policy, and is named with the rights.
    ///
    /// # RBAC: in the namespace `secrets: create`
    async fn is_confined(&self, namespace: &str) -> Result<bool, ApiError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let metadata = ObjectMeta { name: Some(PROBE.to_owned()), ..ObjectMeta::default() };
        let params = PostParams { dry_run: true, ..PostParams::default() };
        match in_time(secrets.create(&params, &Secret { metadata, ..Secret::default() })).await {
            Ok(_) => Ok(false),
            Err(ApiError::Invalid | ApiError::Forbidden) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn review(rights: &Rights, verb: &str, namespace: Option<String>) -> SelfSubjectAccessReview {
    let (resource, subresource) = match rights.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (rights.resource, None),
    };
    let attributes = ResourceAttributes {
        group: Some(rights.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        name: rights.name.map(str::to_owned),
        verb: Some(verb.to_owned()),
        namespace,
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..SelfSubjectAccessReviewSpec::default() };
    SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower::BoxError;

    use super::*;

    type Right = (String, String, Option<String>, String);

    /// The rights of each role of these that is the controller's.
    fn installed(text: &str, roles: &[&str]) -> BTreeSet<Right> {
        let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
        let roles = documents.filter(|document| {
            document["kind"].as_str().unwrap().ends_with("Role")
                && roles.contains(&document["metadata"]["name"].as_str().unwrap())
        });
        let texts =
            |value: &Value| value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        let mut rights = BTreeSet::new();
        for rule in roles.flat_map(|role| role["rules"].as_array().unwrap().clone()) {
            let name = rule["resourceNames"][0].as_str().map(str::to_owned);
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    rights.insert((texts(&rule["apiGroups"])[0].clone(), resource.clone(), name.clone(), verb));
                }
            }
        }
        rights
    }

    fn asked(all: &[Rights]) -> BTreeSet<Right> {
        let right = |rights: &Rights, verb: &str| {
            (rights.group.to_owned(), rights.resource.to_owned(), rights.name.map(str::to_owned), verb.to_owned())
        };
        all.iter().flat_map(|rights| rights.verbs.iter().map(move |verb| right(rights, verb))).collect()
    }

    #[test]
    fn every_right_that_is_installed_is_asked_about() {
        let common = installed(include_str!("../deploy/chart/common/rbac.yaml"), &["bulla-controller", "bulla-controller-keys"]);
        assert_eq!(asked(&RIGHTS), common);
        assert_eq!(asked(&OWN), installed(include_str!("../deploy/namespaced/own.yaml"), &["bulla-controller-keys"]));
    }

    /// An API server with all definitions and rights, on which the first dry runs meet no policy.
    fn installation(without_policy: usize) -> Installation {
        let runs = AtomicUsize::new(0);
        let server = tower::service_fn(move |request: Request<Body>| {
            let path = request.uri().path().to_owned();
            let (code, answer) = if request.method() == Method::GET {
                let resources: Vec<Value> = DEFINITIONS
                    .iter()
                    .map(|name| json!({"name": name, "singularName": "", "namespaced": true, "kind": "K", "verbs": []}))
                    .collect();
                (200, json!({"groupVersion": API_VERSION, "resources": resources}))
            } else if path.ends_with("selfsubjectaccessreviews") {
                (201, json!({"spec": {}, "status": {"allowed": true}}))
            } else if runs.fetch_add(1, Ordering::Relaxed) < without_policy {
                (201, json!({"metadata": {}}))
            } else {
                (422, json!({"status": "Failure", "message": "", "reason": "Invalid", "code": 422}))
            };
            let answer = Response::builder().status(code).body(Body::from(answer.to_string().into_bytes())).unwrap();
            async move { Ok::<_, BoxError>(answer) }
        });
        Installation::new(Client::new(server, "default"), "bulla-system", vec![None])
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_missing_and_is_there_rings() {
        for (looks, rings) in [(0, false), (1, true), (3, true)] {
            let completed = Notify::new();
            assert_eq!(installation(looks).complete(&completed).await, looks > 0);
            let rang = tokio::time::timeout(Duration::from_millis(1), completed.notified()).await.is_ok();
            assert_eq!(rang, rings, "missing at {looks} looks");
        }
    }
}
