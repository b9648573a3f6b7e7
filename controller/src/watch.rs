//! The watches: what changes in the cluster is remembered as a head and queued. No spec and no Secret's data is watched.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

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
use crate::backoff::{patient, watch_backoff};
use crate::index::{Key, SealedHead, Slim};
use crate::queue::Lane;
use crate::reconcile::Reconciler;
use crate::rewrap::Rewraps;

/// Objects in a page of a list: a page is read whole, ciphertext and all, before it is made into heads.
const PAGE: u32 = 10;

/// Longest silence in a list that comes as a stream.
const QUIET: Duration = Duration::from_secs(10);

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
            reconciler.saw_list(&within);
            listed.notify_one();
        }
        Seen::Failed(error) => failed(error, &reconciler, &within, &listed),
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
        Seen::Failed(error) => failed(error, &reconciler, &within, &listed),
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
        Seen::Failed(error) => rewraps.failed(error),
    })
    .await;
}

/// What is remembered of the namespaces of a list and does not stand in it.
fn missing<'a>(known: impl Iterator<Item = &'a Key>, present: &HashSet<Key>, within: &Within) -> Vec<Key> {
    let listed = |key: &&Key| within.as_ref().is_none_or(|namespace| key.namespace == *namespace);
    known.filter(listed).filter(|key| !present.contains(*key)).cloned().collect()
}

/// One namespace of several that is gone, or no longer ours, does not stop the others. What it has is then not known to be missing: before
/// anything is opened or written the Secret is read, and [`Reconciler::sees_all`] keeps the usage of keys from falling.
fn failed(error: ApiError, reconciler: &Reconciler, within: &Within, listed: &Notify) {
    reconciler.metrics.api_error(error);
    if error == ApiError::Forbidden && within.is_some() {
        listed.notify_one();
    }
}

enum Seen<K> {
    Is(K, Lane),
    Gone(Key),
    /// A list is complete: what is not in it is gone.
    Listed(HashSet<Key>),
    /// A list or watch failed.
    Failed(ApiError),
}

/// Follows a kind of object for ever. A list comes as a stream, one object at a time, or in small pages; one that fails the one way is asked
/// for the other way next. An API server may not stream (422), say so in the stream only, or never end it; and a list in pages takes longer.
async fn follow<K>(api: Api<K>, config: Config, what: &str, mut tell: impl FnMut(Seen<K>))
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let (streamed, paged) = (config.clone().streaming_lists(), config.page_size(PAGE));
    let mut streams = true;
    let mut backoff = watch_backoff();
    loop {
        let mut events = patient(watcher(api.clone(), if streams { streamed.clone() } else { paged.clone() })).boxed();
        // The list that has begun, until it is complete.
        let mut present = None;
        let failed = loop {
            let next = events.next();
            let event = if streams && present.is_some() {
                // One whose cache does not learn from etcd how new it is never says that a list is complete.
                match tokio::time::timeout(QUIET, next).await {
                    Ok(event) => event,
                    Err(_) => break ApiError::Transport,
                }
            } else {
                next.await
            };
            match event.expect("a watcher never ends") {
                // The stream of another one has ended before its time.
                Ok(watcher::Event::Init) if present.is_some() => break ApiError::Transport,
                Ok(watcher::Event::Init) => present = Some(HashSet::new()),
                Ok(watcher::Event::InitApply(object)) => {
                    present.get_or_insert_default().insert(Key::of(object.meta()));
                    tell(Seen::Is(object, Lane::Backlog));
                }
                Ok(watcher::Event::InitDone) => {
                    backoff.reset();
                    tell(Seen::Listed(present.take().unwrap_or_default()));
                }
                Ok(watcher::Event::Apply(object)) => tell(Seen::Is(object, Lane::News)),
                Ok(watcher::Event::Delete(object)) => tell(Seen::Gone(Key::of(object.meta()))),
                Err(error) => match category(&error) {
                    // Within a stream it is as any other end of it.
                    error @ (ApiError::Forbidden | ApiError::NotFound) if present.is_none() || !streams => {
                        warn!(what, %error, "watch refused, will be asked for again");
                        present = None;
                        tell(Seen::Failed(error));
                    }
                    error if present.is_some() || error == ApiError::Invalid => break error,
                    error => {
                        warn!(what, %error, "watch interrupted, will be resumed");
                        tell(Seen::Failed(error));
                    }
                },
            }
        };
        if streams && failed == ApiError::Invalid {
            debug!(what, "the API server does not stream lists");
        } else {
            warn!(what, error = %failed, streams, "list interrupted, will be asked for again");
            tell(Seen::Failed(failed));
            tokio::time::sleep(backoff.pause()).await;
        }
        streams = !streams;
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::stream;
    use http::{Request, Response};
    use http_body_util::{BodyExt as _, StreamBody};
    use hyper::body::{Bytes, Frame};
    use k8s_openapi::api::core::v1::Secret;
    use kube::client::Body;
    use tower::BoxError;

    use super::*;

    const ONE: &str = r#"{"metadata":{"name":"a","namespace":"shop","resourceVersion":"1"}}"#;
    const BOOKMARK: &str = r#"{"type":"BOOKMARK","object":{"kind":"Secret","apiVersion":"v1","metadata":{"resourceVersion":"2","annotations":{"k8s.io/initial-events-end":"true"}}}}"#;

    /// Which lists are asked for, by an API server that answers a streamed one in this way and knows one Secret, until a list is complete.
    async fn lists(code: u16, stream: String) -> Vec<&'static str> {
        lists_of(code, stream, true).await
    }

    async fn lists_of(code: u16, stream: String, ends: bool) -> Vec<&'static str> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let server = tower::service_fn({
            let asked = asked.clone();
            move |request: Request<Body>| {
                let query = request.uri().query().unwrap_or_default().to_owned();
                let (code, text, ends) = if query.contains("sendInitialEvents") {
                    asked.lock().unwrap().push("stream");
                    (code, stream.clone(), ends)
                } else if query.contains("watch=") {
                    (200, String::new(), true)
                } else {
                    asked.lock().unwrap().push("pages");
                    let list = r#"{"kind":"SecretList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":["#;
                    (200, format!("{list}{ONE}]}}"), true)
                };
                let text = stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from(text)))]);
                let body = if ends { text.boxed() } else { text.chain(stream::pending()).boxed() };
                async move { Ok::<_, BoxError>(Response::builder().status(code).body(StreamBody::new(body).boxed_unsync()).unwrap()) }
            }
        });
        let secrets: Api<Slim<Secret>> = Api::all(Client::new(server, "default"));
        let listed = Notify::new();
        let following = follow(secrets, Config::default(), "Secrets", |event| {
            if let Seen::Listed(present) = event {
                assert_eq!(present, [Key { namespace: "shop".to_owned(), name: "a".to_owned() }].into());
                listed.notify_one();
            }
        });
        tokio::select! {
            () = following => {}
            () = listed.notified() => {}
        }
        asked.lock().unwrap().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_fails_as_a_stream_comes_in_pages() {
        let added = format!(r#"{{"type":"ADDED","object":{}}}"#, ONE.replacen('{', r#"{"kind":"Secret","apiVersion":"v1","#, 1));
        let error = r#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":500,"reason":"InternalError","message":"no"}}"#;
        let invalid = r#"{"kind":"Status","status":"Failure","code":422,"reason":"Invalid","message":"no"}"#;
        assert_eq!(lists(200, format!("{added}\n{BOOKMARK}\n")).await, ["stream"]);
        // The end of a stream shows when the next one begins.
        for (what, code, stream, streams) in [
            ("not streamed", 422, invalid.to_owned(), 1),
            ("an error in the stream", 200, format!("{added}\n{error}\n"), 1),
            ("an end without a bookmark", 200, format!("{added}\n"), 2),
            ("an end at once", 200, String::new(), 2),
        ] {
            let asked = lists(code, stream).await;
            assert_eq!((asked.len(), asked.last()), (streams + 1, Some(&"pages")), "{what}: {asked:?}");
        }
        assert_eq!(lists_of(200, added, false).await, ["stream", "pages"], "no end");
    }
}
