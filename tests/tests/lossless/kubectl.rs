//! kubectl's own reader as a process that is asked a text at a time; see `tests/control-plane/go/reader`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

pub(crate) struct Kubectl {
    _child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Kubectl {
    pub(crate) fn start() -> Self {
        let program = bulla_control_plane::tools::reader().unwrap();
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (ask, answer) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { _child: child, ask, answer }
    }

    /// The documents of a text; none if kubectl refuses it.
    pub(crate) fn read(&mut self, text: &str) -> Option<Vec<Value>> {
        writeln!(self.ask, "{}", Value::from(text)).unwrap();
        let mut line = String::new();
        self.answer.read_line(&mut line).unwrap();
        match serde_json::from_str(&line).unwrap() {
            Value::Array(documents) => Some(documents),
            _ => None,
        }
    }
}

/// The objects of documents, those in lists too.
pub(crate) fn objects(documents: &mut [Value]) -> Vec<&mut Value> {
    let mut found = Vec::new();
    for document in documents {
        if document["kind"] == "List" {
            found.extend(document["items"].as_array_mut().into_iter().flatten());
        } else {
            found.push(document);
        }
    }
    found
}
