//! The watches: what changes in the cluster is remembered as a head and queued. No spec and no Secret's data is watched.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;

use bulla_shared::resources::rewrap_request::RewrapRequest;
use bulla_shared::resources::sealing_key::{SealingKey, SealingKeyStatus};
use bulla_shared::resources::{SEALING_KEY_LABEL, SECRET_LABEL};
use futures_util::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::runtime::watcher::{self, Config, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::api::ApiError;
use crate::backoff::patient;
use crate::index::{Key, SealedHead, Slim};
use crate::queue::Lane;
use crate::reconcile::Reconciler;
use crate::rewrap::Rewraps;

/// Objects in a page of a list: a page is read whole, ciphertext and all, before it is made into heads.
const PAGE: u32 = 10;

/// The namespace that a watch is about; none for all.
pub type Within = Option<String>;

fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(client: Client, within: &Within) -> Api<K> {
    match within {
        None => Api::all(client),
        Some(namespace) => Api::namespaced(client, namespace),
    }
}

/// Watches `SealedSecret`s; rings `listed` after each complete list.
///
/// # RBAC: `sealedsecrets: list, watch`
pub async fn sealed_secrets(client: Client, within: Within, reconciler: Arc<Reconciler>, listed: Arc<Notify>) {
    follow(api::<SealedHead>(client, &within), Config::default(), "SealedSecrets", |event| match event {
        Seen::Is(head, lane) => reconciler.saw_sealed(&head, lane),
        Seen::Gone(key) => reconciler.lost_sealed(&key),
        Seen::Listed(present) => {
            let gone = missing(reconciler.index.lock().sealed.keys(), &present, &within);
            for key in &gone {
                reconciler.lost_sealed(key);
            }
            listed.notify_one();
        }
        Seen::Refused => absent(&within, &listed),
    })
    .await;
}

/// Watches the metadata of Secrets with our label; rings `listed` after each complete list.
///
/// # RBAC: `secrets: list, watch`
pub async fn secrets(client: Client, within: Within, reconciler: Arc<Reconciler>, listed: Arc<Notify>) {
    let labelled = Config::default().labels(SECRET_LABEL);
    follow(api::<Slim<Secret>>(client, &within), labelled, "Secrets", |event| match event {
        Seen::Is(secret, lane) => reconciler.saw_secret(&secret.metadata, lane),
        Seen::Gone(key) => reconciler.lost_secret(&key),
        Seen::Listed(present) => {
            let gone = missing(reconciler.index.lock().secrets.keys(), &present, &within);
            for key in &gone {
                reconciler.lost_secret(key);
            }
            listed.notify_one();
        }
        Seen::Refused => absent(&within, &listed),
    })
    .await;
}

/// Rings `changed` when a `SealingKey` or a stored private key moves, but not for its usage, which the controller writes itself.
///
/// # RBAC: `sealingkeys: list, watch`; in the controller's namespace `secrets: list, watch`
pub async fn keys(client: Client, namespace: String, changed: Arc<Notify>) {
    let sealing_keys = patient(watcher(Api::<SealingKey>::all(client.clone()), Config::default()));
    let labelled = Config::default().labels(SEALING_KEY_LABEL);
    let stored = patient(watcher(Api::<PartialObjectMeta<Secret>>::namespaced(client, &namespace), labelled));
    let mut seen = HashMap::new();
    let sealing_keys = sealing_keys.map(move |event| event.map(|event| is_news(&event, &mut seen)));
    let news = futures_util::stream::select(sealing_keys, stored.map(|event| event.map(|_| true)));
    let mut news = pin!(news);
    while let Some(event) = news.next().await {
        match event {
            Ok(false) => continue,
            Ok(true) => {}
            Err(error) => warn!(what = "sealing keys", error = %category(&error), "watch interrupted, will be resumed"),
        }
        changed.notify_one();
    }
}

/// All of a `SealingKey` that is decided on.
type Facts = (Option<String>, Option<i64>, SealingKeyStatus);

fn is_news(event: &watcher::Event<SealingKey>, seen: &mut HashMap<String, Facts>) -> bool {
    let (watcher::Event::Apply(key) | watcher::Event::InitApply(key)) = event else { return true };
    let status = SealingKeyStatus { usage: None, ..key.status.clone().unwrap_or_default() };
    let facts = (key.metadata.uid.clone(), key.metadata.generation, status);
    seen.insert(key.metadata.name.clone().unwrap_or_default(), facts.clone()) != Some(facts)
}

/// Watches the metadata of `RewrapRequest`s.
///
/// # RBAC: `rewraprequests: list, watch`
pub async fn rewrap_requests(client: Client, within: Within, rewraps: Arc<Rewraps>) {
    follow(api::<Slim<RewrapRequest>>(client, &within), Config::default(), "RewrapRequests", |event| match event {
        Seen::Is(request, _) => rewraps.saw(&request.metadata),
        Seen::Gone(key) => rewraps.lost(&key),
        Seen::Listed(present) => {
            for key in missing(rewraps.keys().iter(), &present, &within) {
                rewraps.lost(&key);
            }
        }
        Seen::Refused => {}
    })
    .await;
}

/// What is remembered of the namespaces of a list and does not stand in it.
fn missing<'a>(known: impl Iterator<Item = &'a Key>, present: &HashSet<Key>, within: &Within) -> Vec<Key> {
    let listed = |key: &&Key| within.as_ref().is_none_or(|namespace| key.namespace == *namespace);
    known.filter(listed).filter(|key| !present.contains(*key)).cloned().collect()
}

/// One namespace of several that is gone, or no longer ours, does not stop the others. What it has is then not known to be missing: before
/// anything is opened or written the Secret is read.
fn absent(within: &Within, listed: &Notify) {
    if within.is_some() {
        listed.notify_one();
    }
}

enum Seen<K> {
    Is(K, Lane),
    Gone(Key),
    /// A list is complete: what is not in it is gone.
    Listed(HashSet<Key>),
    /// It may not be seen.
    Refused,
}

/// Follows a kind of object for ever. A list comes as a stream, one object at a time, from an API server that does that (it is the default
/// from Kubernetes 1.34 on), else in small pages.
async fn follow<K>(api: Api<K>, config: Config, what: &str, mut tell: impl FnMut(Seen<K>))
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let (streamed, paged) = (config.clone().streaming_lists(), config.page_size(PAGE));
    let mut events = patient(watcher(api.clone(), streamed)).boxed();
    let mut present = HashSet::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => present.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                present.insert(Key::of(object.meta()));
                tell(Seen::Is(object, Lane::Backlog));
            }
            Ok(watcher::Event::InitDone) => tell(Seen::Listed(std::mem::take(&mut present))),
            Ok(watcher::Event::Apply(object)) => tell(Seen::Is(object, Lane::News)),
            Ok(watcher::Event::Delete(object)) => tell(Seen::Gone(Key::of(object.meta()))),
            Err(error) => match category(&error) {
                ApiError::Invalid => {
                    debug!(what, "the API server does not stream lists");
                    events = patient(watcher(api.clone(), paged.clone())).boxed();
                }
                error => {
                    warn!(what, %error, "watch interrupted, will be resumed");
                    if error == ApiError::Forbidden {
                        tell(Seen::Refused);
                    }
                }
            },
        }
    }
}

fn category(error: &watcher::Error) -> ApiError {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => ApiError::from(error),
        _ => ApiError::Transport,
    }
}
