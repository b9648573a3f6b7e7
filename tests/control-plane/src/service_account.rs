//! Acting as a `ServiceAccount`, by token, as a pod would.
//!
//! What it may do is what its RBAC says; a fresh one may do next to nothing.

use std::fs;
use std::io;
use std::path::PathBuf;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::ControlPlane;
use crate::kubeconfig::{self, ClientError, Credential, write_private};

/// Longer than any test or demo.
const VALID_SECONDS: i64 = 24 * 60 * 60;

/// Why one cannot act as a `ServiceAccount`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The API server refuses the `ServiceAccount` or the token, for example because the namespace is not there.
    #[error("no token for ServiceAccount {namespace}/{name}")]
    Token {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What the API server said; none if it answered without a token.
        source: Option<Box<kube::Error>>,
    },
    /// There is no client for the token.
    #[error("no client for a ServiceAccount")]
    Client(#[from] ClientError),
    /// The kubeconfig cannot be written.
    #[error("cannot write a kubeconfig for a ServiceAccount")]
    Write(#[from] io::Error),
}

impl ControlPlane {
    /// A token of a `ServiceAccount`, good for a day; creates the `ServiceAccount`, not its namespace, if it is not there.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String, IdentityError> {
        let failed = |source: Option<kube::Error>| IdentityError::Token {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            source: source.map(Box::new),
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(self.admin(), namespace);
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        let parameters = PostParams::default();
        match accounts.create(&parameters, &account).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(failed(Some(error))),
            Ok(_) => {}
        }
        let request = TokenRequest {
            spec: TokenRequestSpec { expiration_seconds: Some(VALID_SECONDS), ..TokenRequestSpec::default() },
            ..TokenRequest::default()
        };
        accounts
            .create_token_request(name, &parameters, &request)
            .await
            .map_err(|error| failed(Some(error)))?
            .status
            .map(|status| status.token)
            .ok_or_else(|| failed(None))
    }

    /// A client that is a `ServiceAccount`, which is created if it is not there.
    pub async fn service_account_client(&self, namespace: &str, name: &str) -> Result<Client, IdentityError> {
        let token = self.service_account_token(namespace, name).await?;
        Ok(self.client_with_token(&token).await?)
    }

    /// A kubeconfig file (mode 0600) of a `ServiceAccount`, which is created if it is not there.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf, IdentityError> {
        let token = self.service_account_token(namespace, name).await?;
        let folder = self.folder().join("kubeconfigs");
        fs::create_dir_all(&folder)?;
        // No namespace has a dot in its name, so no two accounts share a file.
        let path = folder.join(format!("{namespace}.{name}"));
        let user = format!("system:serviceaccount:{namespace}:{name}");
        write_private(&path, &self.kubeconfig_with_token(&user, &token))?;
        Ok(path)
    }

    /// A client with any bearer token, also one that the API server will refuse.
    pub async fn client_with_token(&self, token: &str) -> Result<Client, ClientError> {
        let text = self.kubeconfig_with_token("token", token);
        kubeconfig::client(kubeconfig::config(&text).await?)
    }

    fn kubeconfig_with_token(&self, user: &str, token: &str) -> String {
        let credential = Credential::Token(token);
        kubeconfig::text(self.port(), self.authority(), user, &credential)
    }
}
