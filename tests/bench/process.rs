//! The whole command, offline: `bulla seal` against `kubeseal`, from one manifest in a file to one on standard output; `bulla set` against
//! `kubeseal --merge-into`, one item of a file replaced.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulla_control_plane::tools;
use bulla_shared::age::{Algorithm, Identity};
use bulla_tests::binaries::binary;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};

use crate::measure::{alternate, round};
use crate::table::{Goal, Table, Unit};

const ROUNDS: usize = 40;
/// How often peak memory is read; it hardly varies.
const MEMORY_ROUNDS: usize = 5;
/// GNU time, which reads peak memory from the kernel without unsafe code.
const TIME: &str = "/usr/bin/time";

const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  namespace: prod\nstringData:\n  \
    password: a value of thirty-two bytes long\n";

/// A program with its arguments, run in a folder.
struct Run<'a> {
    program: PathBuf,
    args: Vec<&'a str>,
    folder: &'a Path,
    /// Where its result is: `out` is standard output.
    result: &'a str,
}

impl Run<'_> {
    fn time(&self) {
        self.go(Command::new(&self.program));
    }

    /// Peak resident memory in KiB.
    fn memory(&self) -> f64 {
        let report = self.folder.join("time");
        let mut time = Command::new(TIME);
        time.args(["-f", "%M", "-o"]).arg(&report).arg(&self.program);
        self.go(time);
        fs::read_to_string(report).unwrap().trim().parse().unwrap()
    }

    fn go(&self, mut command: Command) {
        let out = File::create(self.folder.join("out")).unwrap();
        command.args(&self.args).current_dir(self.folder).env("HOME", self.folder).env_remove("KUBECONFIG");
        assert!(command.stdin(Stdio::null()).stdout(out).status().unwrap().success(), "{}", self.program.display());
        assert!(fs::read_to_string(self.folder.join(self.result)).unwrap().contains("kind: SealedSecret"));
    }
}

/// Keys and a Secret in a folder of their own.
fn world() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096).unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    let recipient = Identity::generate(Algorithm::Hybrid).recipient().to_string();
    let value = "a value of thirty-two bytes long";
    for (name, text) in [("secret.yaml", SECRET), ("cert.pem", &certificate.pem()), ("recipients", &recipient), ("value", value)]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

pub(crate) fn seal(table: &mut Table) {
    let world = world();
    let folder = world.path();
    let ours = Run { program: binary("bulla"), args: vec!["seal", "-R", "recipients", "secret.yaml"], folder, result: "out" };
    let args = vec!["--cert", "cert.pem", "-o", "yaml", "-f", "secret.yaml"];
    let theirs = Run { program: tools::kubeseal().unwrap(), args, folder, result: "out" };
    compare(table, "bulla seal", &ours, ("kubeseal", &theirs), [Goal::Ratio(0.2, None), Goal::Ratio(1.0 / 3.0, None)]);
}

pub(crate) fn set(table: &mut Table) {
    let world = world();
    let folder = world.path();
    let args = vec!["seal", "-R", "recipients", "secret.yaml", "-o", "ours.yaml"];
    Run { program: binary("bulla"), args, folder, result: "ours.yaml" }.time();
    let args = vec!["set", "-R", "recipients", "ours.yaml", "--from-file", "password=value"];
    let ours = Run { program: binary("bulla"), args, folder, result: "ours.yaml" };
    let args = vec!["--cert", "cert.pem", "-o", "yaml", "-f", "secret.yaml", "-w", "theirs.yaml"];
    Run { program: tools::kubeseal().unwrap(), args, folder, result: "theirs.yaml" }.time();
    let args = vec!["--cert", "cert.pem", "-o", "yaml", "-f", "secret.yaml", "--merge-into", "theirs.yaml"];
    let theirs = Run { program: tools::kubeseal().unwrap(), args, folder, result: "theirs.yaml" };
    let goals = [Goal::Own(10_000.0), Goal::Own(15.0 * 1024.0)];
    compare(table, "bulla set", &ours, ("kubeseal --merge-into", &theirs), goals);
}

/// Time and peak memory of two programs that do the same, in rounds that alternate.
fn compare(table: &mut Table, name: &str, ours: &Run<'_>, (their_name, theirs): (&'static str, &Run<'_>), goals: [Goal; 2]) {
    let [time, memory] = goals;
    let [our, their] = alternate(ROUNDS, [round(1, || ours.time()), round(1, || theirs.time())]);
    table.add(format!("{name}, time"), Unit::Time, our, Some((their_name, their)), time);
    if !Path::new(TIME).exists() {
        println!("{TIME} is not there: memory is not measured\n");
        return;
    }
    let [our, their] = alternate(MEMORY_ROUNDS, [Box::new(|| ours.memory()), Box::new(|| theirs.memory())]);
    table.add(format!("{name}, peak memory"), Unit::Memory, our, Some((their_name, their)), memory);
}
