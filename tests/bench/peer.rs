//! Go's `age` library as a process that is asked a round at a time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bulla_control_plane::tools;

use crate::measure::Round;

/// The running program `tests/control-plane/go/bench`; it ends with its standard input.
pub(crate) struct Peer {
    _child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
    /// Version of Go.
    pub(crate) go: String,
    /// Version of its `age`.
    pub(crate) age: String,
}

impl Peer {
    pub(crate) fn start() -> Self {
        let program = tools::bench().unwrap();
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (ask, answer) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut peer = Self { _child: child, ask, answer, go: String::new(), age: String::new() };
        let first = peer.line();
        let (go, age) = first.split_once(' ').unwrap();
        (peer.go, peer.age) = (go.to_owned(), age.to_owned());
        peer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answer.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// A round of `operation`, `seal` or `open`, with a key of `kind`.
    pub(crate) fn round<'a>(&'a mut self, operation: &'static str, kind: &'a str, count: u32) -> Round<'a> {
        Box::new(move || {
            writeln!(self.ask, "{operation} {kind} {count}").unwrap();
            self.line().parse::<f64>().unwrap() / 1e3
        })
    }
}
