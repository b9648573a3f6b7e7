//! The whole command: `bulla seal` against `kubeseal`, from one manifest in a file to one on standard output, offline.

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
        assert!(fs::read_to_string(self.folder.join("out")).unwrap().contains("kind: SealedSecret"));
    }
}

pub(crate) fn run(table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_4096).unwrap();
    let certificate = CertificateParams::default().self_signed(&key).unwrap();
    let recipient = Identity::generate(Algorithm::Hybrid).recipient().to_string();
    for (name, text) in [("secret.yaml", SECRET), ("cert.pem", &certificate.pem()), ("recipients", &recipient)] {
        fs::write(folder.join(name), text).unwrap();
    }
    let bulla = Run { program: binary("bulla"), args: vec!["seal", "-R", "recipients", "secret.yaml"], folder };
    let args = vec!["--cert", "cert.pem", "-o", "yaml", "-f", "secret.yaml"];
    let kubeseal = Run { program: tools::kubeseal().unwrap(), args, folder };
    let [ours, theirs] = alternate(ROUNDS, [round(1, || bulla.time()), round(1, || kubeseal.time())]);
    table.add("bulla seal, time", Unit::Time, ours, Some(("kubeseal", theirs)), Goal::Ratio(0.2, None));
    if !Path::new(TIME).exists() {
        println!("{TIME} is not there: memory is not measured\n");
        return;
    }
    let [ours, theirs] = alternate(MEMORY_ROUNDS, [Box::new(|| bulla.memory()), Box::new(|| kubeseal.memory())]);
    table.add("bulla seal, peak memory", Unit::Memory, ours, Some(("kubeseal", theirs)), Goal::Ratio(1.0 / 3.0, None));
}
