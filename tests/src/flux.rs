//! The real Flux kustomize-controller. What its source-controller would fetch from Git is a tarball on a loopback HTTP server, named by
//! the status of a `GitRepository` that nobody else looks at.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use bulla_control_plane::{Process, tools};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// As in Flux's own installation, where it may do everything.
const INSTALL: &str = "apiVersion: v1
kind: Namespace
metadata: {name: flux-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: flux}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: kustomize-controller, namespace: flux-system}]
";

/// What the server has, by name.
type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A running kustomize-controller and the server of its sources.
pub struct Flux {
    sources: Files,
    port: u16,
    _process: Process,
}

impl Flux {
    /// Installs Flux's definitions and starts its kustomize-controller, which is built at the first time (minutes).
    pub async fn start(cluster: &Cluster) -> Self {
        let (program, definitions) =
            tokio::task::spawn_blocking(|| (tools::kustomize_controller().unwrap(), tools::flux_definitions().unwrap()))
                .await
                .unwrap();
        for folder in definitions {
            let mut kubectl = cluster.plane.kubectl_command();
            let applied = kubectl.args(["apply", "--server-side", "-f"]).arg(folder).output().unwrap();
            assert!(applied.status.success(), "{applied:?}");
        }
        cluster.plane.apply(INSTALL).await.unwrap();
        let kubeconfig = cluster.plane.service_account_kubeconfig("flux-system", "kustomize-controller").await.unwrap();
        let scratch = cluster.plane.folder().join("flux");
        std::fs::create_dir(&scratch).unwrap();
        let args = ["--metrics-addr=0", "--health-addr=0"].map(str::to_owned);
        let environment = [("KUBECONFIG", kubeconfig.as_path()), ("TMPDIR", &scratch)];
        let process = Process::start("kustomize-controller", &program, &args, &environment, cluster.plane.folder()).unwrap();
        let (sources, port) = serve();
        Self { sources, port, _process: process }
    }

    /// Pushes these documents to the repository `name`, of which a `Kustomization` of the same name waits for health.
    pub async fn push(&self, cluster: &Cluster, name: &str, revision: &str, documents: &[String]) {
        let folder = tempfile::tempdir().unwrap();
        for (index, document) in documents.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{index}.yaml")), document).unwrap();
        }
        let tar = Command::new("tar").arg("-C").arg(folder.path()).args(["-czf", "-", "."]).output().unwrap();
        assert!(tar.status.success(), "{tar:?}");
        let file = format!("{name}-{revision}.tar.gz");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &tar.stdout);
        let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let size = tar.stdout.len();
        self.sources.lock().unwrap().insert(file.clone(), tar.stdout);

        let url = format!("http://127.0.0.1:{}/{file}", self.port);
        let repositories = api(cluster, &REPOSITORY);
        let spec = json!({"interval": "1h", "url": "https://example.com/never-asked"});
        apply(&repositories, &REPOSITORY, name, &spec).await;
        let artifact = json!({
            "path": file, "url": url, "digest": format!("sha256:{digest}"), "size": size,
            "revision": revision, "lastUpdateTime": "2026-01-01T00:00:00Z",
        });
        let status = Patch::Merge(json!({"status": {"artifact": artifact}}));
        repositories.patch_status(name, &PatchParams::default(), &status).await.unwrap();
        // The timeout is longer than any test waits: whatever is said before is not said because of it.
        let spec = json!({
            "interval": "1h", "retryInterval": "1s", "timeout": "1h", "wait": true, "prune": true, "path": "./",
            "sourceRef": {"kind": "GitRepository", "name": name},
        });
        apply(&kustomizations(cluster), &KUSTOMIZATION, name, &spec).await;
    }
}

/// The `Kustomization`s of Flux's namespace.
pub fn kustomizations(cluster: &Cluster) -> Api<DynamicObject> {
    api(cluster, &KUSTOMIZATION)
}

/// Group and version, and kind.
type Kind = (&'static str, &'static str);

const KUSTOMIZATION: Kind = ("kustomize.toolkit.fluxcd.io/v1", "Kustomization");
const REPOSITORY: Kind = ("source.toolkit.fluxcd.io/v1", "GitRepository");

fn api(cluster: &Cluster, (version, kind): &Kind) -> Api<DynamicObject> {
    let (group, version) = version.split_once('/').unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(cluster.admin(), "flux-system", &resource)
}

async fn apply(api: &Api<DynamicObject>, (version, kind): &Kind, name: &str, spec: &Value) {
    let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    api.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(object)).await.unwrap();
}

/// Serves files by name on a port of its own, for as long as this process runs.
fn serve() -> (Files, u16) {
    let files: Files = Arc::default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = files.clone();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            // A client that goes away asks again.
            let _ = answer(connection, &shared);
        }
    });
    (files, port)
}

fn answer(mut connection: TcpStream, files: &Files) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let name = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
    let file = files.lock().unwrap().get(name).cloned();
    let (status, body) = file.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
    write!(connection, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    connection.write_all(&body)
}
