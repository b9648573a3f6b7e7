//! Whether a guess is right shows nowhere. Whoever may write SealedSecrets of a namespace, and read all there but Secrets, puts a guess
//! where a value stands, in each way there is; all that the controller answers is compared between a right guess and a wrong one of
//! equal length: each status, each move of a resource version, events, logs.
//!
//! To have another policy, type, shape or attack tried with all the others, add it to its list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bulla_control_plane::Options;
use bulla_shared::age::Recipient;
use bulla_shared::resources::sealed_secret::{CreationPolicy, SealedSecret, SecretTemplate};
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::eventually;
use futures_util::TryStreamExt as _;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{DeleteParams, ListParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::canary::normalise;

/// Equal in length, JSON both, and of other length once they are written into a URL.
const VALUE: &str = r#"{"auths":{"r":{"auth":"YTpiYmJiYmI="}}}"#;
const WRONG: &str = r#"{"auths":{"r":{"auth":"YTpjY2NjY2Nj"}}}"#;
/// As long, and no JSON.
const NO_JSON: &str = r#"{"auths":{"r":{"auth":"YTpiYmJiYmI="}}{"#;

/// The object that is changed last of all.
const LAST: &str = "last";

const POLICIES: [CreationPolicy; 1] = [CreationPolicy::Owner];

/// Each type that is made, and the item that has the value.
const TYPES: [(&str, &str); 6] = [
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
    for policy in POLICIES {
        for type_ in TYPES {
            for shape in SHAPES {
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

/// All that is answered about each object of a namespace.
async fn transcript(
    cluster: &Cluster,
    namespace: &str,
    moves: [Moves; 2],
    log: &str,
    cases: &[Case],
) -> BTreeMap<String, String> {
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
        assert!(moves.len() > 3 && !logged.is_empty(), "{place} has been seen");
        all.insert(name, moves.into_iter().chain(recorded).chain(logged).collect::<Vec<_>>().join("\n"));
    }
    all
}

/// What is answered to the two guesses, each made in a namespace of its own, case by case.
async fn compared(
    cluster: &Cluster,
    log: &Path,
    cases: &[Case],
    worlds: [(&'static str, &'static str); 2],
) -> [BTreeMap<String, String>; 2] {
    let recipient = cluster.recipient().await;
    let namespaces = worlds.map(|(namespace, _)| namespace);
    let mut followers = Vec::new();
    for namespace in namespaces {
        cluster.namespace(namespace).await;
        let (sealed, secrets) = (cluster.sealed(namespace), cluster.secrets(namespace));
        let first = sealed.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        let second = secrets.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
        followers.push([tokio::spawn(follow(sealed, namespace, first)), tokio::spawn(follow(secrets, namespace, second))]);
    }
    let all = |of: &dyn Fn(&Case, &str, &str) -> Option<SealedSecret>| -> Vec<SealedSecret> {
        cases.iter().flat_map(|case| worlds.iter().filter_map(move |(namespace, guess)| of(case, namespace, guess))).collect()
    };
    answered(cluster, &namespaces, all(&|case, namespace, _| Some(case.sealed(namespace, VALUE, &recipient)))).await;
    leave_secrets(cluster, &namespaces, cases).await;
    for step in 0..2 {
        let objects = all(&|case, namespace, guess| case.steps(namespace, guess, &recipient).into_iter().nth(step));
        answered(cluster, &namespaces, objects).await;
    }
    let log = std::fs::read_to_string(log).unwrap();
    let mut transcripts = Vec::new();
    for (namespace, [sealed, secrets]) in namespaces.into_iter().zip(followers) {
        // Opened, it also makes the last Secret.
        cluster.apply(&seal(&plain(namespace, LAST, &[("a", "1")]), &recipient)).await;
        let moves = [sealed.await.unwrap(), secrets.await.unwrap()];
        transcripts.push(transcript(cluster, namespace, moves, &log, cases).await);
    }
    transcripts.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_guess_is_answered_as_a_wrong_one() {
    let cluster = Cluster::start(Options::default()).await;
    let controller = cluster.controller(&[]).await;
    let cases = cases();
    let [right, wrong] = compared(&cluster, &controller.log(), &cases, [("right-guess", VALUE), ("wrong-guess", WRONG)]).await;
    for (name, right) in &right {
        assert_eq!(right, &wrong[name], "{name}");
    }

    // The one bit that shows: whether an item that must be JSON is. It shows of the types that ask for it and of no other.
    let only: Vec<Case> = cases.into_iter().filter(|case| case.attack == Attack::Replace && case.shape == Shape::Plain).collect();
    let [json, none] = compared(&cluster, &controller.log(), &only, [("with-json", VALUE), ("none-json", NO_JSON)]).await;
    for case in only {
        let differs = json[&case.name()] != none[&case.name()];
        assert_eq!(differs, case.type_.1.starts_with(".docker"), "{}", case.name());
    }
}
