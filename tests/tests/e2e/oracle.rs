//! Whether a guess is right shows nowhere. Whoever may write SealedSecrets of a namespace, and read all there but Secrets, puts a guess
//! where a value stands, in each way there is; all that the controller answers is compared between a right guess and a wrong one of
//! equal length: each status, each move of a resource version, events, logs, the audit trail, metrics.
//!
//! To have another policy, type, shape or attack tried with all the others, add it to its list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use bulla_control_plane::Options;
use bulla_shared::age::Recipient;
use bulla_shared::resources::sealed_secret::{CreationPolicy, SealedSecret, SecretTemplate};
use bulla_shared::resources::{MERGE, MERGE_ANNOTATION, SECRET_LABEL};
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::controller::Controller;
use bulla_tests::eventually;
use futures_util::TryStreamExt as _;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

use crate::canary::normalise;

/// Equal in length, JSON both, and of other length once they are written into a URL.
const VALUE: &str = r#"{"auths":{"r":{"auth":"YTpiYmJiYmI="}}}"#;
const WRONG: &str = r#"{"auths":{"r":{"auth":"YTpjY2NjY2Nj"}}}"#;
/// As long, and no JSON.
const NO_JSON: &str = r#"{"auths":{"r":{"auth":"YTpiYmJiYmI="}}{"#;

/// The object that is changed last of all.
const LAST: &str = "last";

/// Each policy, and the types and shapes that it is tried with: all, where the controller makes the Secret by them. A merge takes neither
/// type nor template, and an orphan is made as an owned Secret is.
const POLICIES: [(CreationPolicy, &[Type], &[Shape]); 3] = [
    (CreationPolicy::Owner, &TYPES, &SHAPES),
    (CreationPolicy::Orphan, &[TYPES[0], TYPES[2]], &SHAPES),
    (CreationPolicy::Merge, &[TYPES[0], TYPES[3], TYPES[5]], &[Shape::Plain]),
];

/// A Secret's type, and the item that has the value.
type Type = (&'static str, &'static str);

/// Each that is made.
const TYPES: [Type; 6] = [
    ("Opaque", "password"),
    ("kubernetes.io/dockercfg", ".dockercfg"),
    ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
    ("kubernetes.io/basic-auth", "password"),
    ("kubernetes.io/ssh-auth", "ssh-privatekey"),
    ("kubernetes.io/tls", "tls.key"),
];

/// How the Secret with the value was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    Templated,
    Immutable,
}

const SHAPES: [Shape; 3] = [Shape::Plain, Shape::Templated, Shape::Immutable];

/// What is done with a guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attack {
    /// It takes the place of the value, and then the value comes back.
    Replace,
    /// It stands beside the value, and a template has both.
    Beside,
    /// It makes an immutable Secret of a mutable one.
    Freeze,
    /// It comes with another type.
    Retype,
    /// It comes while the object is suspended, which ends then.
    Suspend,
    /// It stands in a new object of the same name, to which the Secret was left.
    Recreate,
}

const ATTACKS: [Attack; 6] = [Attack::Replace, Attack::Beside, Attack::Freeze, Attack::Retype, Attack::Suspend, Attack::Recreate];

#[derive(Debug, Clone, Copy)]
struct Case {
    policy: CreationPolicy,
    type_: (&'static str, &'static str),
    shape: Shape,
    attack: Attack,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (policy, types, shapes) in POLICIES {
        for type_ in types.iter().copied() {
            for shape in shapes.iter().copied() {
                cases.extend(ATTACKS.map(|attack| Case { policy, type_, shape, attack }));
            }
        }
    }
    cases
}

impl Case {
    /// The name of its object, in letters only: what has digits in it is taken for an id.
    fn name(&self) -> String {
        let type_ = self.type_.0.rsplit('/').next().unwrap();
        format!("{:?}-{type_}-{:?}-{:?}", self.policy, self.shape, self.attack).to_lowercase()
    }

    fn sealed(&self, namespace: &str, text: &str, recipient: &Recipient) -> SealedSecret {
        let (type_, item) = self.type_;
        let mut items = vec![(item, text), ("other", "same")];
        if item == "tls.key" {
            items.push(("tls.crt", "same"));
        }
        let mut sealed = seal(&plain(namespace, &self.name(), &items), recipient);
        let data = match self.shape {
            Shape::Templated => [("url".to_owned(), format!("x://{{{{ {item} | urlencode }}}}@{{{{ other }}}}"))].into(),
            Shape::Plain | Shape::Immutable => BTreeMap::new(),
        };
        let immutable = (self.shape == Shape::Immutable).then_some(true);
        sealed.spec.target.creation_policy = self.policy;
        sealed.spec.template =
            Some(SecretTemplate { type_: Some(type_.to_owned()), immutable, data, ..SecretTemplate::default() });
        sealed
    }

    /// What is applied, one after the other, once the value is there.
    fn steps(&self, namespace: &str, guess: &str, recipient: &Recipient) -> Vec<SealedSecret> {
        let value = self.sealed(namespace, VALUE, recipient);
        let mut guessed = self.sealed(namespace, guess, recipient);
        match self.attack {
            Attack::Replace => vec![guessed, value],
            Attack::Recreate => vec![guessed],
            Attack::Beside => {
                let mut both = value;
                let beside = seal(&plain(namespace, &self.name(), &[("guess", guess)]), recipient);
                both.spec.encrypted_data.extend(beside.spec.encrypted_data);
                let template = both.spec.template.as_mut().unwrap();
                template.data.insert("both".to_owned(), format!("{{{{ guess | base64 }}}}{{{{ {} | base64 }}}}", self.type_.1));
                vec![both]
            }
            Attack::Freeze => {
                guessed.spec.template.as_mut().unwrap().immutable = Some(true);
                vec![guessed]
            }
            Attack::Retype => {
                let other = if self.type_.0 == "Opaque" { "example.com/other" } else { "Opaque" };
                guessed.spec.template.as_mut().unwrap().type_ = Some(other.to_owned());
                vec![guessed]
            }
            Attack::Suspend => {
                let mut suspended = guessed.clone();
                suspended.spec.suspend = true;
                vec![suspended, guessed]
            }
        }
    }
}

/// Applies these and waits until the controller has answered all of them.
async fn answered(cluster: &Cluster, namespaces: &[&str], objects: Vec<SealedSecret>) {
    cluster.apply_all(objects).await;
    for namespace in namespaces {
        eventually(&format!("all answered in {namespace}"), || async {
            let all = cluster.sealed(namespace).list(&ListParams::default()).await.unwrap().items;
            let answered = |sealed: &SealedSecret| {
                let status = sealed.status.clone().unwrap_or_default();
                let waits = status.conditions.iter().any(|condition| condition.r#type == "Reconciling");
                status.observed_generation == sealed.metadata.generation && !waits
            };
            all.iter().all(answered).then_some(())
        })
        .await;
    }
}

/// Makes the Secrets that somebody else lends to those who merge.
async fn lend(cluster: &Cluster, namespace: &str, cases: &[Case]) {
    for case in cases.iter().filter(|case| case.policy == CreationPolicy::Merge) {
        let (type_, item) = case.type_;
        let metadata = json!({
            "name": case.name(),
            "labels": {SECRET_LABEL: MERGE},
            "annotations": {MERGE_ANNOTATION: format!("{item},other,guess,tls.crt")},
        });
        let secret = json!({"metadata": metadata, "type": type_, "stringData": {item: "theirs", "tls.crt": "theirs"}});
        cluster.secrets(namespace).create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    }
}

/// Deletes the objects of these cases and leaves their Secrets.
async fn leave_secrets(cluster: &Cluster, namespaces: &[&str], cases: &[Case]) {
    let recreated = || cases.iter().filter(|case| case.attack == Attack::Recreate).map(Case::name);
    for namespace in namespaces {
        let objects = cluster.sealed(namespace);
        for name in recreated() {
            objects.delete(&name, &DeleteParams::orphan()).await.unwrap();
        }
        eventually("the garbage collector has let them go", || async {
            let left = objects.list(&ListParams::default()).await.unwrap().items;
            let left: BTreeSet<_> = left.into_iter().filter_map(|sealed| sealed.metadata.name).collect();
            recreated().all(|name| !left.contains(&name)).then_some(())
        })
        .await;
    }
}

/// What changed, by object, in order.
type Moves = BTreeMap<String, Vec<String>>;

/// Follows all changes of the objects of one kind until that of [`LAST`], without what differs between any two runs.
async fn follow<K>(api: Api<K>, namespace: &'static str, mut version: String) -> Moves
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + serde::Serialize,
{
    let mut moves = Moves::new();
    loop {
        // The API server ends a watch after a while.
        let mut stream = std::pin::pin!(api.watch(&WatchParams::default(), &version).await.unwrap());
        while let Some(event) = stream.try_next().await.unwrap() {
            let (what, object) = match event {
                WatchEvent::Added(object) => ("added", object),
                WatchEvent::Modified(object) => ("modified", object),
                WatchEvent::Deleted(object) => ("deleted", object),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(error) => panic!("{error:?}"),
            };
            let object = serde_json::to_value(object).unwrap();
            let metadata = &object["metadata"];
            metadata["resourceVersion"].as_str().unwrap().clone_into(&mut version);
            let name = metadata["name"].as_str().unwrap();
            if name == LAST {
                return moves;
            }
            // Not the data of a Secret, which those who guess may not read.
            let visible = json!([metadata["generation"], metadata["labels"], metadata["annotations"], object["status"]]);
            let line = format!("{} {what} {}", object["kind"], normalise(&visible.to_string(), namespace));
            moves.entry(name.to_owned()).or_default().push(line);
        }
    }
}

/// What the audit trail says of an object, in order.
fn audited(trail: &str, namespace: &str, name: &str) -> Vec<String> {
    let lines = trail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own = lines.filter(|line| line["object"]["namespace"] == namespace && line["object"]["name"] == name);
    own.map(|line| json!([line["event"], line["object"]["generation"], line["reason"], line["items"]]).to_string()).collect()
}

/// All that is answered about each object of a namespace.
async fn transcript(world: &World<'_>, namespace: &str, moves: [Moves; 2], cases: &[Case]) -> BTreeMap<String, String> {
    let cluster = world.cluster;
    let log = std::fs::read_to_string(world.controller.log()).unwrap();
    let trail = std::fs::read_to_string(&world.trail).unwrap();
    let api: Api<Event> = Api::namespaced(cluster.admin(), namespace);
    let events = api.list(&ListParams::default()).await.unwrap().items;
    let mut all = BTreeMap::new();
    for name in cases.iter().map(Case::name) {
        let place = format!("{namespace}/{name}");
        let logged = log.lines().filter(|line| line.split([' ', '=', '"']).any(|word| word == place));
        let logged: BTreeSet<_> = logged.map(|line| normalise(line, namespace)).collect();
        let recorded: BTreeSet<_> = events
            .iter()
            .filter(|event| event.regarding.as_ref().and_then(|about| about.name.as_ref()) == Some(&name))
            .map(|event| {
                json!([event.type_, event.reason, event.note, event.series.as_ref().map(|series| series.count)]).to_string()
            })
            .collect();
        let moves: Vec<_> = moves.iter().flat_map(|moves| &moves[&name]).cloned().collect();
        let audited = audited(&trail, namespace, &name);
        assert!(moves.len() > 3 && !logged.is_empty() && !audited.is_empty(), "{place} has been seen");
        all.insert(name, moves.into_iter().chain(recorded).chain(logged).chain(audited).collect::<Vec<_>>().join("\n"));
    }
    all
}

/// Where guesses are made.
struct World<'a> {
    cluster: &'a Cluster,
    controller: &'a Controller,
    trail: PathBuf,
}

impl World<'_> {
    /// What is answered to each guess, made in a namespace of its own, case by case.
    async fn answers<const N: usize>(
        &self,
        cases: &[Case],
        guesses: [(&'static str, &'static str); N],
    ) -> [BTreeMap<String, String>; N] {
        let cluster = self.cluster;
        let recipient = cluster.recipient().await;
        let namespaces = guesses.map(|(namespace, _)| namespace);
        let mut followers = Vec::new();
        for namespace in namespaces {
            cluster.namespace(namespace).await;
            let (sealed, secrets) = (cluster.sealed(namespace), cluster.secrets(namespace));
            let first = sealed.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
            let second = secrets.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
            followers.push([tokio::spawn(follow(sealed, namespace, first)), tokio::spawn(follow(secrets, namespace, second))]);
            lend(cluster, namespace, cases).await;
        }
        let all = |of: &dyn Fn(&Case, &str, &str) -> Option<SealedSecret>| -> Vec<SealedSecret> {
            cases
                .iter()
                .flat_map(|case| guesses.iter().filter_map(move |(namespace, guess)| of(case, namespace, guess)))
                .collect()
        };
        answered(cluster, &namespaces, all(&|case, namespace, _| Some(case.sealed(namespace, VALUE, &recipient)))).await;
        leave_secrets(cluster, &namespaces, cases).await;
        for step in 0..2 {
            let objects = all(&|case, namespace, guess| case.steps(namespace, guess, &recipient).into_iter().nth(step));
            answered(cluster, &namespaces, objects).await;
        }
        let mut transcripts = Vec::new();
        for (namespace, [sealed, secrets]) in namespaces.into_iter().zip(followers) {
            // Opened, it also makes the last Secret.
            cluster.apply(&seal(&plain(namespace, LAST, &[("a", "1")]), &recipient)).await;
            let moves = [sealed.await.unwrap(), secrets.await.unwrap()];
            transcripts.push(transcript(self, namespace, moves, cases).await);
        }
        transcripts.try_into().unwrap()
    }

    /// What a guess adds to the metrics, but for times and for looks that found nothing to do, of which there may be any number.
    async fn counted(&self, cases: &[Case], guess: (&'static str, &'static str)) -> BTreeMap<String, f64> {
        let before = self.metrics().await;
        self.answers(cases, [guess]).await;
        let after = self.metrics().await;
        after.into_iter().map(|(line, now)| (line.clone(), now - before.get(&line).unwrap_or(&0.0))).collect()
    }

    async fn metrics(&self) -> BTreeMap<String, f64> {
        // A look is counted after what is seen of it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let timed = ["_seconds", "queue_depth", "Unchanged", "Gone"];
        let text = self.controller.get("/metrics").unwrap().1;
        let lines = text.lines().filter(|line| !line.starts_with('#') && !timed.iter().any(|word| line.contains(word)));
        lines.filter_map(|line| line.rsplit_once(' ')).map(|(line, value)| (line.to_owned(), value.parse().unwrap())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_guess_is_answered_as_a_wrong_one() {
    let cluster = Cluster::start(Options::default()).await;
    let trail = cluster.plane.folder().join("trail.jsonl");
    let controller = cluster.controller(&[&format!("--audit-log={}", trail.display())]).await;
    let world = World { cluster: &cluster, controller: &controller, trail };
    let cases = cases();
    let [right, wrong] = world.answers(&cases, [("right-guess", VALUE), ("wrong-guess", WRONG)]).await;
    for (name, right) in &right {
        assert_eq!(right, &wrong[name], "{name}");
    }

    // Metrics name no object, so one guess is made after the other.
    let few: Vec<Case> = cases.iter().filter(|case| case.type_ == TYPES[0] && case.shape == Shape::Plain).copied().collect();
    let right = world.counted(&few, ("right-count", VALUE)).await;
    assert!(right["bulla_items_opened_total"] > 0.0, "{right:?}");
    assert_eq!(right, world.counted(&few, ("wrong-count", WRONG)).await);

    // The one bit that shows: whether an item that must be JSON is. It shows of the types that ask for it and of no other.
    let only = |case: &Case| case.policy == CreationPolicy::Owner && case.attack == Attack::Replace && case.shape == Shape::Plain;
    let only: Vec<Case> = cases.into_iter().filter(only).collect();
    let [json, none] = world.answers(&only, [("with-json", VALUE), ("none-json", NO_JSON)]).await;
    for case in only {
        let differs = json[&case.name()] != none[&case.name()];
        assert_eq!(differs, case.type_.1.starts_with(".docker"), "{}", case.name());
    }
}
