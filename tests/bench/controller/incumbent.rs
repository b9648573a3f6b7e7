//! The controller of Sealed Secrets 0.27.1, without its limit of requests, with objects of two values.

use std::path::PathBuf;
use std::process::Command;

use bulla_control_plane::{Process, tools};
use bulla_tests::cluster::Cluster;
use bulla_tests::eventually;
use kube::api::{ApiResource, ListParams};
use kube::core::{DynamicObject, GroupVersionKind};
use serde_json::json;

use super::load::{self, Load};

const NAMESPACE: &str = "sealed-secrets";
const ACCOUNT: &str = "controller";
/// Where it listens does not matter, but it must not be where another does.
const ARGUMENTS: [&str; 2] = ["--listen-addr=127.0.0.1:0", "--listen-metrics-addr=127.0.0.1:0"];

pub(crate) struct Incumbent {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// One ciphertext that may stand in any object: what it costs to open is the same.
    value: String,
}

impl Incumbent {
    /// Installs its definitions, lets it make its key, and seals a value to that.
    pub(crate) async fn install(cluster: &Cluster) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/incumbent");
        let output = Command::new(script).stderr(std::process::Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "{script} failed");
        let home = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end());
        cluster.plane.apply(&std::fs::read_to_string(home.join("definitions.yaml")).unwrap()).await.unwrap();
        for namespace in [NAMESPACE, "theirs"] {
            cluster.namespace(namespace).await;
        }
        let kubeconfig = cluster.plane.service_account_kubeconfig(NAMESPACE, ACCOUNT).await.unwrap();
        // All rights: none of its requests waits for a role.
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": NAMESPACE},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}],
        });
        cluster.plane.apply(&binding.to_string()).await.unwrap();
        let mut incumbent = Self { program: home.join("controller"), kubeconfig, value: String::new() };
        let process = incumbent.start(cluster).await;
        let active = ListParams::default().labels("sealedsecrets.bitnami.com/sealed-secrets-key=active");
        let certificate = eventually("the key of Sealed Secrets", || async {
            let keys = cluster.secrets(NAMESPACE).list(&active).await.unwrap().items;
            Some(keys.into_iter().next()?.data?["tls.crt"].clone())
        })
        .await;
        drop(process);
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [("certificate", certificate.0.as_slice()), ("value", &[b'v'; 16])] {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let mut kubeseal = Command::new(tools::kubeseal().unwrap());
        kubeseal.args(["--raw", "--scope=cluster-wide", "--cert=certificate", "--from-file=value"]).current_dir(folder.path());
        let output = kubeseal.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        incumbent.value = String::from_utf8(output.stdout).unwrap();
        incumbent
    }

    pub(crate) async fn start(&self, cluster: &Cluster) -> Process {
        let arguments = ARGUMENTS.map(str::to_owned);
        let environment = [("KUBECONFIG", self.kubeconfig.as_path()), ("POD_NAMESPACE", NAMESPACE.as_ref())];
        let process = Process::start("sealed-secrets", &self.program, &arguments, &environment, cluster.plane.folder()).unwrap();
        // It has nothing that says that it is ready; its watches take a moment.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        process
    }

    pub(crate) fn load(&self, size: usize) -> Load {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("bitnami.com", "v1alpha1", "SealedSecret"));
        let metadata = |index: usize| {
            json!({
                "name": load::name(index), "namespace": "theirs",
                "annotations": {"sealedsecrets.bitnami.com/cluster-wide": "true"},
            })
        };
        let object = |index: usize| -> DynamicObject {
            serde_json::from_value(json!({
                "apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": metadata(index),
                "spec": {"encryptedData": {"password": self.value, "user": self.value}, "template": {"metadata": metadata(index)}},
            }))
            .unwrap()
        };
        Load { kind, namespace: "theirs", objects: (0..size).map(object).collect() }
    }
}
