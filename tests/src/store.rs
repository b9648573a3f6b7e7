//! Changes an object behind the API server's back, in etcd: for what no API server would take.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bulla_control_plane::ControlPlane;
use serde_json::{Value, json};

/// Changes the object of a custom resource, which is stored as JSON under `key`.
pub fn change(plane: &ControlPlane, key: &str, change: impl FnOnce(&mut Value)) {
    let key = STANDARD.encode(key);
    let found = post(plane, "/v3/kv/range", &json!({"key": key}));
    let text = STANDARD.decode(found["kvs"][0]["value"].as_str().unwrap()).unwrap();
    let mut object = serde_json::from_slice(&text).unwrap();
    change(&mut object);
    post(plane, "/v3/kv/put", &json!({"key": key, "value": STANDARD.encode(object.to_string())}));
}

/// etcd's own gateway from JSON to its protocol.
fn post(plane: &ControlPlane, path: &str, body: &Value) -> Value {
    let address = plane.store();
    let mut connection = TcpStream::connect(&address).unwrap();
    let body = body.to_string();
    write!(connection, "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{answer}");
    serde_json::from_str(body).unwrap()
}
