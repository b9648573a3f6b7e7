//! One server on loopback for everything that a pipeline talks to: the download of `bulla`, a code host that takes pull requests, and a cluster
//! that rewraps.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use bulla_keys::KeyRing;
use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::resources::sealing_key::SealingKey;
use bulla_shared::sealed::SealedValue;
use serde_json::{Value, json};

/// The version that is installed.
pub(crate) const VERSION: &str = "1.0.0";

/// A running server; it ends with the test's process.
pub(crate) struct Emulator {
    pub(crate) address: String,
    pub(crate) sha256: String,
    pub(crate) old: Identity,
    pub(crate) new: Identity,
    /// The pipeline's own.
    pub(crate) ci: Identity,
    /// Kept offline.
    pub(crate) recovery: Identity,
    state: Arc<State>,
}

struct State {
    archive: Vec<u8>,
    keys: Value,
    ring: KeyRing,
    newest: bulla_shared::age::Recipient,
    /// Pull requests: the path, the token, the body.
    requests: Mutex<Vec<(String, String, Value)>>,
    rewrapped: Mutex<Value>,
}

impl Emulator {
    pub(crate) fn start() -> Self {
        let [old, new, ci, recovery] = std::array::from_fn(|_| Identity::generate(Algorithm::Hybrid));
        let (archive, sha256) = archive();
        let keys = json!({
            "apiVersion": "bulla.dev/v1alpha1", "kind": "SealingKeyList", "metadata": {"resourceVersion": "1"},
            "items": [sealing_key(&old, "DecryptOnly", "2020-01-01T00:00:00Z"), sealing_key(&new, "Active", "2021-01-01T00:00:00Z")],
        });
        let state = Arc::new(State {
            archive,
            keys,
            ring: [identity(&old)].into_iter().collect(),
            newest: new.recipient().clone(),
            requests: Mutex::default(),
            rewrapped: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                thread::spawn(move || while answer(&server, &stream).is_some() {});
            }
        });
        Self { address, sha256, old, new, ci, recovery, state }
    }

    /// Where the archives are.
    pub(crate) fn downloads(&self) -> String {
        format!("{}/bulla", self.address)
    }

    /// A kubeconfig for the cluster.
    pub(crate) fn kubeconfig(&self) -> String {
        let address = &self.address;
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "prod",
            "clusters": [{"name": "prod", "cluster": {"server": address}}],
            "users": [{"name": "ci", "user": {"token": "cluster-token"}}],
            "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "ci"}}],
        })
        .to_string()
    }

    /// The pull requests so far.
    pub(crate) fn pull_requests(&self) -> Vec<(String, String, Value)> {
        self.state.requests.lock().unwrap().clone()
    }
}

pub(crate) fn identity(identity: &Identity) -> Identity {
    identity.to_text().parse().unwrap()
}

fn sealing_key(identity: &Identity, state: &str, created: &str) -> SealingKey {
    let recipient = identity.recipient();
    let name = if state == "Active" { "new" } else { "old" };
    serde_json::from_value(json!({
        "apiVersion": "bulla.dev/v1alpha1", "kind": "SealingKey", "metadata": {"name": name, "generation": 1}, "spec": {},
        "status": {
            "observedGeneration": 1, "state": state, "created": created, "since": created,
            "recipient": recipient.to_string(), "fingerprint": recipient.fingerprint().to_string(),
        },
    }))
    .unwrap()
}

/// An archive with a `bulla` that is the one under test, and its SHA-256.
fn archive() -> (Vec<u8>, String) {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_bulla"));
    std::fs::write(folder.path().join("bulla"), script).unwrap();
    let run = |script: &str| {
        let output = Command::new("sh").args(["-euc", script]).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let sum = run("chmod +x bulla; tar -czf archive bulla; sha256sum archive");
    (std::fs::read(folder.path().join("archive")).unwrap(), sum[..64].to_owned())
}

/// Answers one request; none when the connection is over.
fn answer(state: &State, mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let header = |name: &str| {
        let found = lines.iter().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        found.map_or_else(String::new, |(_, value)| value.to_owned())
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut first = lines[0].split(' ');
    let (method, path) = (first.next()?, first.next()?);
    let path = path.split('?').next()?;
    let (code, answer) = match (method, path) {
        ("GET", path) if path.starts_with(&format!("/bulla/v{VERSION}/bulla-{VERSION}-")) => (200, state.archive.clone()),
        ("GET", "/apis/bulla.dev/v1alpha1/sealingkeys") => (200, state.keys.to_string().into_bytes()),
        ("POST", "/apis/bulla.dev/v1alpha1/namespaces/shop/rewraprequests") => {
            (201, rewrap(state, body).to_string().into_bytes())
        }
        ("GET" | "DELETE", "/apis/bulla.dev/v1alpha1/namespaces/shop/rewraprequests/bulla-1") => {
            (200, state.rewrapped.lock().unwrap().to_string().into_bytes())
        }
        ("POST", path) if path.ends_with("/pulls") || path.ends_with("/pullrequests") => {
            state.requests.lock().unwrap().push((path.to_owned(), header("authorization"), body));
            (201, b"{}".to_vec())
        }
        _ => (404, b"{}".to_vec()),
    };
    let head = format!("HTTP/1.1 {code} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", answer.len());
    stream.write_all(&[head.as_bytes(), &answer].concat()).ok()
}

/// What the controller does with a `RewrapRequest`.
fn rewrap(state: &State, mut request: Value) -> Value {
    let values = request["spec"]["values"].as_array().unwrap().iter();
    let answers: Vec<Value> = values
        .map(|value| {
            let value: SealedValue = value.as_str().unwrap().parse().unwrap();
            json!({"value": value.rewrap(&state.ring, &state.newest).unwrap().to_string()})
        })
        .collect();
    request["metadata"]["name"] = "bulla-1".into();
    request["status"] = json!({"values": answers});
    *state.rewrapped.lock().unwrap() = request.clone();
    request
}
