//! A folder of its own for each test, and `bulla` run in it with nothing else around: no environment, no configuration, no terminal.
//!
//! After every run it is checked that nothing gives away the planted value or an identity, and after every refusal that it has one
//! reason and one hint and left every file as it was.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::SystemTime;

use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::Scope;
use bulla_shared::sealed::{Recipients, SealedValue};

use super::canary;
use super::redact::redact;

/// A Secret with the planted value.
pub(crate) const SECRET: &str = "apiVersion: v1
kind: Secret
metadata:
  name: db
  namespace: prod
stringData:
  password: bulla-canary-7f3a
";

/// The command.
pub(crate) const BULLA: &str = env!("CARGO_BIN_EXE_bulla");

/// Longest output that a snapshot shows.
const SHOWN: usize = 16 * 1024;

/// Three key pairs, the same in all tests of a run: two that files are sealed to, and a stranger's.
pub(crate) struct Keys(Vec<(&'static str, Identity, String, String)>);

impl Keys {
    pub(crate) fn get() -> &'static Self {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        let key = |(name, algorithm)| {
            let identity = Identity::generate(algorithm);
            let recipient = identity.recipient();
            let (text, id) = (recipient.to_string(), recipient.fingerprint().id().to_string());
            (name, identity, text, id)
        };
        KEYS.get_or_init(|| {
            Self([("hybrid", Algorithm::Hybrid), ("x25519", Algorithm::X25519), ("other", Algorithm::Hybrid)].map(key).into())
        })
    }

    fn of(&self, name: &str) -> &(&'static str, Identity, String, String) {
        self.0.iter().find(|key| key.0 == name).unwrap()
    }

    /// Name, recipient and id of each.
    pub(crate) fn public(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().map(|(name, _, recipient, id)| (*name, recipient.as_str(), id.as_str()))
    }

    pub(crate) fn recipient(&self, name: &str) -> &str {
        &self.of(name).2
    }

    pub(crate) fn id(&self, name: &str) -> &str {
        &self.of(name).3
    }

    pub(crate) fn identity(&self, name: &str) -> String {
        self.of(name).1.to_text().to_string()
    }
}

/// A sealed value as text, with dates that snapshots show.
pub(crate) fn sealed(key: &str, value: &[u8], scope: Scope, rotate_by: Option<&str>) -> String {
    let recipients = Recipients::new([Keys::get().of(key).1.recipient().clone()]).unwrap();
    let sealed = "2020-01-02T03:04:05Z".parse().unwrap();
    SealedValue::seal(value, scope, &recipients, sealed, rotate_by.map(|date| date.parse().unwrap())).unwrap().to_string()
}

/// Scope strict.
pub(crate) fn strict(namespace: &str, name: &str, item: &str) -> Scope {
    Scope::Strict(bulla_shared::names::Place {
        namespace: namespace.parse().unwrap(),
        name: name.parse().unwrap(),
        item: item.parse().unwrap(),
    })
}

/// A folder with key files, where commands run.
pub(crate) struct World {
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self { folder: tempfile::Builder::new().prefix("bulla-test-").tempdir().unwrap() };
        for (name, recipient, _) in Keys::get().public() {
            world.write(&format!("{name}.recipients"), format!("{recipient}\n"));
            world.write(&format!("{name}.key"), format!("{}\n", Keys::get().identity(name)));
        }
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and dates it back, so that any later write shows.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o7777
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A run of `bulla` with these arguments.
    pub(crate) fn bulla(&self, args: &[&str]) -> Run<'_> {
        Run {
            world: self,
            args: args.iter().map(ToString::to_string).collect(),
            terminal: false,
            stdin: None,
            stdout: None,
            stderr: None,
            variables: Vec::new(),
            reveals: false,
            partly: false,
            any_order: false,
            message: Message::Ours,
        }
    }

    fn files(&self) -> BTreeMap<String, Entry> {
        let mut found = BTreeMap::new();
        entries(self.folder.path(), self.folder.path(), &mut found);
        found
    }
}

/// What a refusal may not change.
#[derive(PartialEq, Eq)]
struct Entry {
    bytes: Option<Vec<u8>>,
    mode: u32,
    modified: (i64, i64),
}

fn entries(root: &Path, folder: &Path, found: &mut BTreeMap<String, Entry>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let bytes = metadata.is_file().then(|| fs::read(&path).unwrap());
        // What changes in a folder shows in its entries.
        let modified = if metadata.is_dir() { (0, 0) } else { (metadata.mtime(), metadata.mtime_nsec()) };
        found.insert(name, Entry { bytes, mode: metadata.mode() & 0o7777, modified });
        if metadata.is_dir() {
            entries(root, &path, found);
        }
    }
}

/// A command line that has not run yet.
#[expect(clippy::struct_excessive_bools, reason = "each says one thing of its own")]
pub(crate) struct Run<'w> {
    world: &'w World,
    args: Vec<String>,
    terminal: bool,
    stdin: Option<Vec<u8>>,
    stdout: Option<PathBuf>,
    stderr: Option<PathBuf>,
    variables: Vec<(String, String)>,
    reveals: bool,
    partly: bool,
    any_order: bool,
    message: Message,
}

/// Whose words a refusal is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Ours,
    /// The argument parser's, which points to `--help`.
    Parser,
    Any,
}

impl Run<'_> {
    /// Pipes these bytes in; without it standard input is empty.
    pub(crate) fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = Some(bytes.as_ref().to_vec());
        self
    }

    /// Lets it find programs, `git` above all, and gives that no configuration but the repository's.
    pub(crate) fn with_programs(self) -> Self {
        let path = std::env::var("PATH").unwrap();
        self.env("PATH", &path).env("GIT_CONFIG_NOSYSTEM", "1")
    }

    /// Sends standard output to a device.
    pub(crate) fn stdout(mut self, path: &str) -> Self {
        self.stdout = Some(path.into());
        self
    }

    /// Sends standard error to a device.
    pub(crate) fn stderr(mut self, path: &str) -> Self {
        self.stderr = Some(path.into());
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Plaintext or a private key is what this command is for: standard output and files that it writes may have it.
    pub(crate) fn reveals(mut self) -> Self {
        self.reveals = true;
        self
    }

    /// Gives it a pseudo-terminal as all three streams; what comes out of that counts as standard error.
    pub(crate) fn on_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// The refusal is the argument parser's.
    pub(crate) fn in_the_parsers_words(mut self) -> Self {
        self.message = Message::Parser;
        self
    }

    /// Runs it, expects success and compares with the snapshot `name`.
    pub(crate) fn succeeds(self, name: &str) -> Outcome {
        self.ends(0, Some(name))
    }

    /// Runs it and expects success.
    pub(crate) fn works(self) -> Outcome {
        self.ends(0, None)
    }

    /// Runs it, expects a refusal with this exit code and compares with the snapshot `name`.
    pub(crate) fn fails(self, code: i32, name: &str) -> Outcome {
        assert_ne!(code, 0);
        self.ends(code, Some(name))
    }

    /// Runs it and expects a refusal with this exit code.
    pub(crate) fn refused(self, code: i32) -> Outcome {
        assert_ne!(code, 0);
        self.ends(code, None)
    }

    /// It does what it can and says what it cannot: it may write and fail, and warns before its error.
    pub(crate) fn partly(mut self) -> Self {
        self.partly = true;
        self.message = Message::Any;
        self
    }

    /// Its threads say what they find when they find it: the snapshot shows the lines of standard error sorted.
    pub(crate) fn in_any_order(mut self) -> Self {
        self.any_order = true;
        self
    }

    /// Runs it and expects this exit code, whatever the message is like.
    pub(crate) fn exits(mut self, code: i32) -> Outcome {
        self.message = Message::Any;
        self.ends(code, None)
    }

    /// Runs it, whether it finds something or not.
    pub(crate) fn ends_as_it_does(mut self) -> Outcome {
        self.message = Message::Any;
        let code = self.output().status.code().unwrap();
        assert!(code <= 1, "exit code {code}");
        self.ends(code, None)
    }

    fn ends(self, code: i32, name: Option<&str>) -> Outcome {
        let before = self.world.files();
        let output = self.output();
        let after = self.world.files();
        let changed: Vec<_> = after.iter().filter(|(name, entry)| before.get(*name) != Some(entry)).collect();
        let outcome = if self.terminal {
            Outcome { stdout: Vec::new(), stderr: String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n") }
        } else {
            Outcome { stdout: output.stdout, stderr: String::from_utf8(output.stderr).expect("messages are text") }
        };
        let shown = self.show(output.status.code(), &outcome, &changed);
        assert_eq!(output.status.code(), Some(code), "{shown}");
        assert!(before.keys().all(|name| after.contains_key(name)), "a file went away: {shown}");
        assert!(
            !after.keys().any(|name| name.contains(".bulla-") && !before.contains_key(name)),
            "a temporary file is left: {shown}"
        );
        self.check_silence(&outcome, &changed, &shown);
        if code != 0 {
            let silent = changed.is_empty() && outcome.stdout.is_empty();
            assert!(silent || self.partly, "a refusal wrote something: {shown}");
            self.check_message(&outcome.stderr, &shown);
        }
        if let Some(name) = name {
            compare(name, &shown);
        }
        outcome
    }

    fn output(&self) -> Output {
        let mut command = if self.terminal { on_terminal(&self.args) } else { Command::new(BULLA) };
        if !self.terminal {
            command.args(&self.args);
        }
        command.current_dir(self.world.folder.path()).env_clear();
        command.env("HOME", self.world.folder.path()).env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let to = |path: &Option<PathBuf>| {
            path.as_ref().map_or_else(Stdio::piped, |path| File::options().write(true).open(path).unwrap().into())
        };
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.stdout(to(&self.stdout)).stderr(to(&self.stderr)).spawn().unwrap();
        let feeder = child.stdin.take().zip(self.stdin.clone()).map(|(mut pipe, bytes)| {
            // A command may refuse before it has read everything.
            thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let output = child.wait_with_output().unwrap();
        if let Some(feeder) = feeder {
            feeder.join().unwrap();
        }
        output
    }

    /// Neither the planted value nor an identity is where it should not be.
    fn check_silence(&self, outcome: &Outcome, changed: &[(&String, &Entry)], shown: &str) {
        let mut heard = vec![("standard error", outcome.stderr.as_bytes())];
        if !self.reveals {
            heard.push(("standard output", &outcome.stdout));
            heard.extend(changed.iter().filter_map(|(name, entry)| Some((name.as_str(), entry.bytes.as_deref()?))));
        }
        for (place, bytes) in heard {
            assert_eq!(canary::trace(bytes), None, "plaintext on {place}: {shown}");
            for (name, ..) in Keys::get().public() {
                let identity = Keys::get().identity(name);
                let start = identity.rfind('1').unwrap() + 1;
                let pieces = identity.as_bytes()[start..].chunks_exact(12);
                for piece in pieces {
                    let found = bytes.windows(12).any(|window| window.eq_ignore_ascii_case(piece));
                    assert!(!found, "an identity on {place}: {shown}");
                }
            }
        }
    }

    /// One line that says what failed, reasons of a line each, one hint.
    fn check_message(&self, stderr: &str, shown: &str) {
        assert!(!stderr.contains("panicked"), "{shown}");
        match self.message {
            Message::Any => return,
            Message::Parser => {
                assert!(stderr.starts_with("error: ") && stderr.contains("--help"), "{shown}");
                return;
            }
            Message::Ours => assert!(stderr.starts_with("error: "), "{shown}"),
        }
        let count = |start: &str| stderr.lines().filter(|line| line.starts_with(start)).count();
        let known = count("error: ") + count("caused by: ") + count("hint: ");
        assert_eq!((count("error: "), count("hint: "), known), (1, 1, stderr.lines().count()), "{shown}");
    }

    fn show(&self, code: Option<i32>, outcome: &Outcome, changed: &[(&String, &Entry)]) -> String {
        let quoted = self
            .args
            .iter()
            .map(|arg| if arg.is_empty() || arg.contains(char::is_whitespace) { format!("'{arg}'") } else { arg.clone() });
        let mut shown = format!("$ bulla {}", quoted.collect::<Vec<_>>().join(" "));
        if let Some(bytes) = self.stdin.as_ref().filter(|bytes| !bytes.is_empty()) {
            let _ = write!(shown, " < ({} bytes)", bytes.len());
        }
        let code = code.map_or("killed".to_owned(), |code| code.to_string());
        let _ = write!(shown, "\nexit code: {code}\n");
        section(&mut shown, "stdout", &outcome.stdout);
        let mut lines: Vec<&str> = outcome.stderr.split_inclusive('\n').collect();
        if self.any_order {
            lines.sort_unstable();
        }
        section(&mut shown, "stderr", lines.concat().as_bytes());
        for (name, entry) in changed {
            let Some(bytes) = &entry.bytes else { continue };
            section(&mut shown, name, bytes);
        }
        redact(&shown, self.world.folder.path(), Keys::get())
    }
}

fn section(shown: &mut String, title: &str, bytes: &[u8]) {
    let _ = writeln!(shown, "── {title}");
    match str::from_utf8(bytes) {
        Ok(text) if text.len() <= SHOWN => {
            shown.push_str(text);
            if !text.is_empty() && !text.ends_with('\n') {
                shown.push_str("⏎ missing\n");
            }
        }
        Ok(_) => shown.push_str("(long text)\n"),
        Err(_) => {
            let _ = writeln!(shown, "({} bytes that are no text)", bytes.len());
        }
    }
}

/// The command line under `script` (util-linux) or, where that is not there, Python.
fn on_terminal(args: &[String]) -> Command {
    if let Some(script) = program("script") {
        let line = [BULLA].into_iter().chain(args.iter().map(String::as_str)).map(|arg| format!("'{arg}'"));
        let mut command = Command::new(script);
        command.arg("-qec").arg(line.collect::<Vec<_>>().join(" ")).arg("/dev/null");
        return command;
    }
    let python = program("python3").expect("a pseudo-terminal needs script (util-linux) or python3");
    let mut command = Command::new(python);
    command.args(["-c", "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))", BULLA]).args(args);
    command
}

/// Compares a message with the snapshot `name`, for command lines that cannot be shown.
pub(crate) fn snapshot(name: &str, message: &str) {
    compare(name, &redact(message, Path::new("/nowhere"), Keys::get()));
}

fn compare(name: &str, shown: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path("snapshots");
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

/// What a command said.
pub(crate) struct Outcome {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.stdout).unwrap()
    }
}

/// Where a program is, if it is.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}
