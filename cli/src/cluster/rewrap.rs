//! `RewrapRequest`s: values to the cluster and back. Ciphertext both ways.

use std::time::{Duration, Instant};

use bulla_shared::resources::rewrap_request::{Answer, RewrapRequest, RewrapRequestSpec};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};

use super::Cluster;
use crate::error::{Error, Kind};

/// How long the controller may take to answer one request.
const PATIENCE: Duration = Duration::from_secs(120);

impl Cluster {
    /// Has values of `namespace` moved to the newest key: an answer for each, in order.
    pub fn rewrap(&self, namespace: &str, values: Vec<String>) -> Result<Vec<Answer>, Error> {
        let count = values.len();
        let api: Api<RewrapRequest> = Api::namespaced(self.client.clone(), namespace);
        let metadata = ObjectMeta { generate_name: Some("bulla-".to_owned()), ..ObjectMeta::default() };
        let request = RewrapRequest { metadata, spec: RewrapRequestSpec { values }, status: None };
        let doing = format!("rewrap in namespace {namespace}");
        let name = self.runtime.block_on(api.create(&PostParams::default(), &request)).map_err(|error| {
            let failed = self.failure(&doing, &error);
            match &error {
                kube::Error::Api(status) if status.is_forbidden() => failed.hint(
                    "ask for the right to create rewraprequests.bulla.dev there (role bulla-edit), or rewrap offline with -i",
                ),
                kube::Error::Api(status) if status.is_not_found() => {
                    failed.hint("is there such a namespace, and is Bulla installed? Offline, -i needs neither")
                }
                _ => failed,
            }
        })?;
        let name = name.metadata.name.unwrap_or_default();
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let answered = self.ask(&doing, api.get(&name))?.status.unwrap_or_default().values;
            if answered.len() == count {
                // The controller does it too, ten minutes later: whoever may not has nothing to do.
                let _ = self.runtime.block_on(api.delete(&name, &DeleteParams::default()));
                return Ok(answered);
            }
            if start.elapsed() > PATIENCE {
                let failed = Error::new(Kind::Cluster, format!("cannot {doing} in context {}", self.context));
                return Err(failed
                    .cause("the controller has not answered")
                    .hint("is bulla-controller running? Run this again: it goes on"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }
}
