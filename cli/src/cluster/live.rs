//! A Secret that the cluster has, as whoever runs `bulla` may read it. RBAC: get on `sealedsecrets.bulla.dev` and on `secrets`.

use std::collections::BTreeMap;

use bulla_shared::SecretBytes;
use bulla_shared::names::{ItemName, Namespace, ObjectName};
use bulla_shared::resources::sealed_secret::SealedSecret;
use bulla_shared::sealed::SealedValue;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::Cluster;
use crate::error::Error;

/// What is applied: ciphertext, and the plaintext that the controller made of it.
#[derive(Default)]
pub struct Live {
    sealed: BTreeMap<String, String>,
    plain: BTreeMap<String, SecretBytes>,
}

impl Live {
    /// Whether the cluster has made exactly this value of exactly this ciphertext.
    #[must_use]
    pub fn holds(&self, item: &ItemName, sealed: &SealedValue, value: &SecretBytes) -> bool {
        self.sealed.get(item.as_str()).is_some_and(|text| *text == sealed.to_string())
            && self.plain.get(item.as_str()).is_some_and(|plain| plain.expose() == value.expose())
    }
}

impl Cluster {
    /// The `SealedSecret` and its Secret; nothing unless the one is applied as it stands and the other is as it was written then.
    pub fn live(&self, namespace: &Namespace, name: &ObjectName) -> Result<Live, Error> {
        let sealed: Api<SealedSecret> = Api::namespaced(self.client.clone(), namespace.as_str());
        let sealed = self.ask(&format!("read the SealedSecret {namespace}/{name}"), sealed.get_opt(name.as_str()))?;
        let Some(sealed) = sealed else { return Ok(Live::default()) };
        let applied = sealed.status.as_ref().and_then(|status| status.applied.as_ref());
        let Some(applied) = applied.filter(|applied| Some(applied.generation) == sealed.metadata.generation) else {
            return Ok(Live::default());
        };
        let secret: Api<Secret> = Api::namespaced(self.client.clone(), namespace.as_str());
        let secret = self.ask(&format!("read the Secret {namespace}/{name}"), secret.get_opt(name.as_str()))?;
        let Some(secret) = secret else { return Ok(Live::default()) };
        let data = secret.data.unwrap_or_default().into_iter();
        let plain: BTreeMap<_, _> = data.map(|(item, bytes)| (item, SecretBytes::new(bytes.0))).collect();
        let metadata = secret.metadata;
        let as_written = metadata.uid.as_ref() == Some(&applied.secret_uid)
            && metadata.resource_version.as_ref() == Some(&applied.secret_resource_version);
        Ok(if as_written { Live { sealed: sealed.spec.encrypted_data, plain } } else { Live::default() })
    }
}
