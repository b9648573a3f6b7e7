//! The rights of the controller as `controller/deploy` gives them, each to be taken away by itself.

use std::path::Path;

use bulla_tests::cluster::Cluster;
use bulla_tests::eventually;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

const ACCOUNT: &str = "bulla-controller";
const USER: &str = "system:serviceaccount:bulla-system:bulla-controller";

/// One verb on one resource in one role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Right {
    /// `ClusterRole` or `Role`.
    kind: String,
    role: String,
    namespace: Option<String>,
    group: String,
    pub(super) resource: String,
    /// Of which object, if of one only.
    name: Option<String>,
    pub(super) verb: String,
}

/// The rights that the bindings give to the controller's `ServiceAccount`.
pub(super) fn rights() -> Vec<Right> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../controller/deploy");
    let texts = ["chart/common/rbac.yaml", "all-namespaces.yaml"].map(|file| std::fs::read_to_string(deploy.join(file)).unwrap());
    let documents = texts.iter().flat_map(|text| text.split("\n---\n"));
    let documents: Vec<Value> = documents.map(|document| serde_saphyr::from_str(document).unwrap()).collect();
    let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().into_iter().flatten().map(of).collect::<Vec<_>>();
    let mut rights = Vec::new();
    for binding in documents.iter().filter(|document| of(&document["kind"]).ends_with("RoleBinding")) {
        let subjects = binding["subjects"].as_array().unwrap();
        if !subjects.iter().any(|subject| subject["kind"] == "ServiceAccount" && subject["name"] == ACCOUNT) {
            continue;
        }
        let (kind, role) = (of(&binding["roleRef"]["kind"]), of(&binding["roleRef"]["name"]));
        let found = documents.iter().find(|document| document["kind"] == kind && document["metadata"]["name"] == role);
        for rule in found.unwrap()["rules"].as_array().unwrap() {
            let [groups, resources, verbs] = ["apiGroups", "resources", "verbs"].map(|field| list(&rule[field]));
            assert!(groups.len() == 1 && !resources.is_empty(), "a rule that this test cannot take apart: {rule}");
            for (resource, verb) in resources.iter().flat_map(|resource| verbs.iter().map(move |verb| (resource, verb))) {
                rights.push(Right {
                    kind: kind.clone(),
                    role: role.clone(),
                    namespace: found.unwrap()["metadata"]["namespace"].as_str().map(str::to_owned),
                    group: groups[0].clone(),
                    resource: resource.clone(),
                    name: rule["resourceNames"][0].as_str().map(str::to_owned),
                    verb: verb.clone(),
                });
            }
        }
    }
    rights
}

impl Right {
    fn roles(&self, cluster: &Cluster) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", &self.kind));
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(cluster.admin(), namespace, &kind),
            None => Api::all_with(cluster.admin(), &kind),
        }
    }

    /// Takes the right away, and waits until that is in force; gives the rules as they were.
    pub(super) async fn take(&self, cluster: &Cluster) -> Value {
        let before = self.roles(cluster).get(&self.role).await.unwrap().data["rules"].clone();
        let mut rules = Vec::new();
        for rule in before.as_array().unwrap() {
            for resource in rule["resources"].as_array().unwrap() {
                let mut one = rule.clone();
                one["resources"] = json!([resource]);
                if *resource == json!(self.resource) {
                    one["verbs"].as_array_mut().unwrap().retain(|verb| *verb != json!(self.verb));
                }
                rules.push(one);
            }
        }
        // A rule has to have a verb.
        rules.retain(|rule| rule["verbs"] != json!([]));
        self.set(cluster, &json!(rules), false).await;
        before
    }

    /// Sets the rules of the role, and waits until the right is there or not there.
    pub(super) async fn set(&self, cluster: &Cluster, rules: &Value, allowed: bool) {
        let patch = Patch::Merge(json!({"rules": rules}));
        self.roles(cluster).patch(&self.role, &PatchParams::default(), &patch).await.unwrap();
        let (resource, subresource) = match self.resource.split_once('/') {
            Some((resource, subresource)) => (resource.to_owned(), Some(subresource.to_owned())),
            None => (self.resource.clone(), None),
        };
        let attributes = ResourceAttributes {
            group: Some(self.group.clone()),
            resource: Some(resource),
            subresource,
            verb: Some(self.verb.clone()),
            name: self.name.clone(),
            namespace: self.namespace.clone(),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(USER.to_owned()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        eventually(&format!("{self:?} allowed: {allowed}"), || async {
            let reviews: Api<SubjectAccessReview> = Api::all(cluster.admin());
            let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
            (answer.status.unwrap().allowed == allowed).then_some(())
        })
        .await;
    }
}
