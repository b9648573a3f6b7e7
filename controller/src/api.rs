//! Writes and reads of Secrets that must not pass through a library's error handling: the API server's words may quote a value.
//!
//! What leaves this module of a failed write is the HTTP code and a fixed category.

use std::time::Duration;

use bulla_shared::resources::sealed_secret::{SealedSecret, SealedSecretStatus};
use bulla_shared::resources::{API_VERSION, SEALING_KEY_LABEL};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Builder;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::api::ObjectMeta;
use kube::client::Body;
use kube::core::PartialObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Client, Resource as _};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tracing::warn;
use zeroize::Zeroizing;

use crate::audit::{self, AuditKey};
use crate::index::{Key, SealedHead, SecretHead};

/// The Secret with the key of the audit trail, in the controller's namespace.
const AUDIT_KEY: &str = "bulla-audit-key";

/// Its type, by which the admission policy knows it.
const AUDIT_KEY_TYPE: &str = "bulla.dev/audit-key";

/// Longest wait for an answer: a connection that dropped silently must not hold a worker for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Longest answer that is read: an object of the largest size, with room for managed fields.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// By this name the API server remembers which fields are the controller's.
const FIELD_MANAGER: &str = "bulla-controller";

const JSON: &str = "application/json";

const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Why a request to the API server failed, without any word of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The object is not there.
    #[error("not found (404)")]
    NotFound,
    /// The object exists already, or is not the one that the write was meant for.
    #[error("conflict (409)")]
    Conflict,
    /// The namespace is terminating.
    #[error("the namespace is being deleted (403)")]
    Terminating,
    /// RBAC or an admission policy refuses.
    #[error("forbidden (403)")]
    Forbidden,
    /// The API server refuses the content.
    #[error("invalid (422)")]
    Invalid,
    /// Another code.
    #[error("the API server answered {0}")]
    Code(u16),
    /// No answer, or none that can be read.
    #[error("no usable answer from the API server")]
    Transport,
    /// Nothing was opened or asked for, since this replica does not hold the lease at this moment.
    #[error("this replica does not hold the lease")]
    NotLeading,
    /// Nothing was asked for, since it could not be recorded.
    #[error("the audit trail cannot be written")]
    Unrecorded,
}

impl ApiError {
    /// Whether the same request may succeed later without a change of the objects.
    #[must_use]
    pub fn is_transient(self) -> bool {
        match self {
            Self::Transport | Self::Conflict | Self::Terminating | Self::NotLeading | Self::Unrecorded => true,
            Self::Code(code) => code == 429 || code >= 500,
            Self::NotFound | Self::Forbidden | Self::Invalid => false,
        }
    }
}

impl ApiError {
    /// One word for a metric.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::Conflict => "Conflict",
            Self::Terminating => "Terminating",
            Self::Forbidden => "Forbidden",
            Self::Invalid => "Invalid",
            Self::Code(429) => "TooManyRequests",
            Self::Code(code) if code >= 500 => "Server",
            Self::Code(_) => "Other",
            Self::Transport => "Transport",
            Self::NotLeading => "NotLeading",
            Self::Unrecorded => "Unrecorded",
        }
    }
}

impl From<audit::Unrecorded> for ApiError {
    fn from(_: audit::Unrecorded) -> Self {
        Self::Unrecorded
    }
}

impl From<&kube::Error> for ApiError {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from_status(StatusCode::from_u16(status.code).unwrap_or_default(), false),
            _ => Self::Transport,
        }
    }
}

impl ApiError {
    fn from_status(code: StatusCode, terminating: bool) -> Self {
        match code.as_u16() {
            404 => Self::NotFound,
            409 => Self::Conflict,
            403 if terminating => Self::Terminating,
            403 => Self::Forbidden,
            422 => Self::Invalid,
            code => Self::Code(code),
        }
    }
}

/// A request through the library, for objects without plaintext: with the same patience, and its error reduced to a category.
pub async fn in_time<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    let answer = tokio::time::timeout(PATIENCE, request).await.map_err(|_| ApiError::Transport)?;
    answer.map_err(|error| ApiError::from(&error))
}

/// Records an event. One that cannot be recorded is only logged: all that matters stands in a status.
///
/// # RBAC: `events: create, patch`
pub async fn publish(recorder: &Recorder, about: &ObjectReference, type_: EventType, (action, reason): (&str, &str), note: &str) {
    let (action, reason, note) = (action.to_owned(), reason.to_owned(), Some(note.to_owned()));
    let event = Event { type_, reason, note, action, secondary: None };
    if let Err(error) = in_time(recorder.publish(&event, about)).await {
        let [namespace, name] = [&about.namespace, &about.name].map(Option::as_deref);
        warn!(namespace, name, %error, "event not recorded");
    }
}

/// Metadata of one Secret, or none.
///
/// # RBAC: `secrets: get`
pub async fn secret_head(client: &Client, namespace: &str, name: &str) -> Result<Option<SecretHead>, ApiError> {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
    match send_for_head(client, Request::get(path), Bytes::new()).await {
        Ok(head) => Ok(Some(head)),
        Err(ApiError::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The Secrets that hold private keys, with their data.
///
/// # RBAC: `secrets: list` in the controller's namespace
pub async fn key_secrets(client: &Client, namespace: &str) -> Result<Vec<Secret>, ApiError> {
    #[derive(serde::Deserialize)]
    struct List {
        items: Vec<Secret>,
    }
    let path = format!("/api/v1/namespaces/{namespace}/secrets?labelSelector={SEALING_KEY_LABEL}");
    Ok(send::<List>(client, Request::get(path), Bytes::new(), JSON).await?.items)
}

/// The audit key, made if it is not there: whichever replica is first makes it, and all use that one.
///
/// # RBAC: in the controller's namespace `secrets: get, create`
pub async fn audit_key(client: &Client, namespace: &str) -> Result<AuditKey, ApiError> {
    let path = format!("/api/v1/namespaces/{namespace}/secrets");
    let get = || async {
        let secret: Secret = send(client, Request::get(format!("{path}/{AUDIT_KEY}")), Bytes::new(), JSON).await?;
        let text = secret.data.unwrap_or_default().remove("key").map(|text| Zeroizing::new(text.0));
        text.and_then(|text| AuditKey::parse(&text)).ok_or(ApiError::Invalid)
    };
    match get().await {
        Err(ApiError::NotFound) => {}
        found => return found,
    }
    let json = Zeroizing::new(format!(
        r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"{AUDIT_KEY}"}},"type":"{AUDIT_KEY_TYPE}","immutable":true,"stringData":{{"key":"{}"}}}}"#,
        *audit::generate_key()
    ));
    match send_for_head(client, post(&path), Bytes::from_owner(json)).await {
        Ok(_) | Err(ApiError::Conflict) => get().await,
        Err(error) => Err(error),
    }
}

/// One `SealedSecret` as it stands there, whatever its shape. With `seen`, a version that a watch has shown, the API server may answer from
/// what it watches itself, if that is not older: without asking its store.
///
/// # RBAC: `sealedsecrets: get`
pub async fn sealed_secret(client: &Client, key: &Key, seen: Option<&str>) -> Result<serde_json::Value, ApiError> {
    let Key { namespace, name } = key;
    let seen = seen.map(|version| format!("?resourceVersion={version}")).unwrap_or_default();
    let path = format!("/apis/{API_VERSION}/namespaces/{namespace}/sealedsecrets/{name}{seen}");
    send(client, Request::get(path), Bytes::new(), JSON).await
}

/// Creates a Secret; an existing one is a [`ApiError::Conflict`].
///
/// # RBAC: `secrets: create`
pub async fn create_secret(client: &Client, namespace: &str, json: Zeroizing<Vec<u8>>) -> Result<SecretHead, ApiError> {
    let path = format!("/api/v1/namespaces/{namespace}/secrets?fieldManager={FIELD_MANAGER}");
    send_for_head(client, post(&path), Bytes::from_owner(json)).await
}

/// Replaces a Secret; `json` carries the UID and resource version that it must still have.
///
/// # RBAC: `secrets: update`
pub async fn replace_secret(
    client: &Client,
    namespace: &str,
    name: &str,
    json: Zeroizing<Vec<u8>>,
) -> Result<SecretHead, ApiError> {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}?fieldManager={FIELD_MANAGER}");
    send_for_head(client, Request::put(path).header(CONTENT_TYPE, JSON), Bytes::from_owner(json)).await
}

/// Applies items to a Secret of somebody else, taking them from whoever has them now; `json` carries the UID and resource version that it
/// must still have.
///
/// # RBAC: `secrets: patch`
pub async fn merge_secret(
    client: &Client,
    namespace: &str,
    name: &str,
    json: Zeroizing<Vec<u8>>,
) -> Result<SecretHead, ApiError> {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}?fieldManager={FIELD_MANAGER}&force=true");
    let request = Request::patch(path).header(CONTENT_TYPE, "application/apply-patch+yaml");
    send_for_head(client, request, Bytes::from_owner(json)).await
}

/// Replaces the status of a `SealedSecret`; its metadata then. A status is all that the API server takes of what is sent, so the spec stays
/// at home: a patch would have it write out the whole object and read it again, which is its dearest work by far.
///
/// # RBAC: `sealedsecrets/status: update`
pub async fn replace_status(client: &Client, head: &SealedHead, status: &SealedSecretStatus) -> Result<ObjectMeta, ApiError> {
    let Key { namespace, name } = Key::of(&head.metadata);
    let path = format!("/apis/{API_VERSION}/namespaces/{namespace}/sealedsecrets/{name}/status?fieldManager={FIELD_MANAGER}");
    let body = serde_json::json!({
        "apiVersion": API_VERSION,
        "kind": SealedSecret::kind(&()),
        "metadata": {
            "namespace": namespace, "name": name,
            "uid": head.metadata.uid, "resourceVersion": head.metadata.resource_version,
        },
        "status": status,
    });
    let body = serde_json::to_vec(&body).expect("a status is JSON");
    send_for_head(client, Request::put(path).header(CONTENT_TYPE, JSON), body.into()).await
}

/// Answers a `RewrapRequest`. The answer to that is asked for as metadata: the object is as large as objects get.
///
/// # RBAC: `rewraprequests/status: patch`
pub async fn patch_rewrap_status(
    client: &Client,
    namespace: &str,
    name: &str,
    patch: &serde_json::Value,
) -> Result<(), ApiError> {
    let path = format!("/apis/{API_VERSION}/namespaces/{namespace}/rewraprequests/{name}/status?fieldManager={FIELD_MANAGER}");
    let body = serde_json::to_vec(patch).expect("a patch is JSON");
    let request = Request::patch(path).header(CONTENT_TYPE, "application/merge-patch+json");
    send_for_head(client, request, body.into()).await.map(drop)
}

fn post(path: &str) -> Builder {
    Request::post(path).header(CONTENT_TYPE, JSON)
}

async fn send_for_head(client: &Client, request: Builder, body: Bytes) -> Result<SecretHead, ApiError> {
    let head: PartialObjectMeta<Secret> = send(client, request, body, METADATA_ONLY).await?;
    Ok(head.metadata)
}

async fn send<T: DeserializeOwned>(client: &Client, request: Builder, body: Bytes, accept: &str) -> Result<T, ApiError> {
    let answer = tokio::time::timeout(PATIENCE, send_for_ever(client, request, body, accept)).await;
    answer.map_err(|_| ApiError::Transport)?
}

async fn send_for_ever<T: DeserializeOwned>(client: &Client, request: Builder, body: Bytes, accept: &str) -> Result<T, ApiError> {
    let request = request.header(ACCEPT, accept).body(Body::from(body)).map_err(|_| ApiError::Transport)?;
    let response = client.send(request).await.map_err(|error| ApiError::from(&error))?;
    let code = response.status();
    let limited = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
    let answer = limited.collect().await.map_err(|_| ApiError::Transport)?.to_bytes();
    if code.is_success() {
        return serde_json::from_slice(&answer).map_err(|_| ApiError::Transport);
    }
    Err(ApiError::from_status(code, is_terminating(&answer)))
}

/// Whether a refusal names the cause that a namespace on its way out gives; nothing else of the answer is looked at.
fn is_terminating(answer: &[u8]) -> bool {
    let status: Option<serde_json::Value> = serde_json::from_slice(answer).ok();
    let causes = status.as_ref().and_then(|status| status["details"]["causes"].as_array());
    causes.into_iter().flatten().any(|cause| cause["reason"] == "NamespaceTerminating")
}
