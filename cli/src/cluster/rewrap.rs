//! `RewrapRequest`s: values to the cluster and back. Ciphertext both ways.

use std::time::{Duration, Instant};

use bulla_shared::names::Namespace;
use bulla_shared::resources::rewrap_request::{Answer, RewrapRequest, RewrapRequestSpec};
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams};

use super::Cluster;
use crate::error::{Error, Kind};

/// How long the controller may take to answer one request.
const PATIENCE: Duration = Duration::from_mins(2);

impl Cluster {
    /// Has values of `namespace` moved to the newest key: an answer for each, in order, or why this namespace cannot be asked.
    pub fn rewrap(&self, namespace: &Namespace, values: Vec<String>) -> Result<Result<Vec<Answer>, String>, Error> {
        let count = values.len();
        let api: Api<RewrapRequest> = Api::namespaced(self.client.clone(), namespace.as_str());
        let metadata = ObjectMeta { generate_name: Some("bulla-".to_owned()), ..ObjectMeta::default() };
        let request = RewrapRequest { metadata, spec: RewrapRequestSpec { values }, status: None };
        let doing = format!("rewrap in namespace {namespace}");
        let refused = |why: &str| Ok(Err(format!("{why}, in namespace {namespace} of context {}", self.context)));
        let name = match self.runtime.block_on(api.create(&PostParams::default(), &request)) {
            Ok(request) => request.metadata.name.unwrap_or_default(),
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                return refused("you may not create rewraprequests.bulla.dev (403): ask for the role bulla-edit, or use -i");
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                return refused("there is no such namespace, or no Bulla (404); -i needs neither");
            }
            Err(error) => return Err(self.failure(&doing, &error)),
        };
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        loop {
            let answered = match self.runtime.block_on(api.get(&name)) {
                Ok(request) => request.status.unwrap_or_default().values,
                Err(kube::Error::Api(status)) if status.is_not_found() => {
                    return refused("somebody deleted the request: run this again");
                }
                Err(error) => return Err(self.failure(&doing, &error)),
            };
            if answered.len() == count {
                // The controller does it too, ten minutes later: whoever may not has nothing to do.
                let _ = self.runtime.block_on(api.delete(&name, &DeleteParams::default()));
                return Ok(Ok(answered));
            }
            if start.elapsed() > PATIENCE {
                let failed = Error::new(Kind::Cluster, format!("cannot {doing} in context {}", self.context));
                return Err(failed
                    .cause("the controller has not answered")
                    .hint("is bulla-controller running? Run this again: it goes on where it stopped"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }
}
