//! Private keys, as an admin reads and restores them with their own rights on Secrets.

use bulla_keys::stored::StoredKey;
use bulla_shared::resources::SEALING_KEY_LABEL;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ListParams, PostParams};
use zeroize::Zeroize as _;

use super::Cluster;
use crate::error::{Error, Kind, warn};

impl Cluster {
    /// All private keys in the controller's namespace. What is labelled and holds none is named and left out.
    pub fn private_keys(&self, namespace: &str) -> Result<Vec<StoredKey>, Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let labelled = ListParams::default().labels(SEALING_KEY_LABEL);
        let secrets = self.ask(&format!("read the private keys of namespace {namespace}"), api.list(&labelled))?;
        let mut keys = Vec::new();
        for secret in secrets {
            let name = secret.metadata.name.clone().unwrap_or_default();
            match StoredKey::from_secret(secret) {
                Ok(key) => keys.push(key),
                Err(error) => warn(format!("Secret {namespace}/{name} is no private key: {error}")),
            }
        }
        Ok(keys)
    }

    /// Stores a private key; whether it is new.
    pub fn store_private_key(&self, namespace: &str, key: &StoredKey) -> Result<bool, Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = serde_json::from_slice(&key.to_json(namespace));
        let secret: Secret = secret.map_err(|_| Error::new(Kind::Bug, "cannot write a Secret"))?;
        let created = self.runtime.block_on(api.create(&PostParams::default(), &secret));
        for data in [Some(secret), created.as_ref().ok().cloned()].into_iter().flatten().filter_map(|secret| secret.data) {
            for mut bytes in data.into_values() {
                bytes.0.zeroize();
            }
        }
        match created {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(self.failure(&format!("store a private key in namespace {namespace}"), &error)),
        }
    }
}
