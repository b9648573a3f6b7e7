//! The repository that a pipeline works on: sealed files, keys, a script that deploys, and the remote that branches are pushed to.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bulla_keys::KeyRing;
use bulla_shared::binding::Scope;
use bulla_shared::names::Place;
use bulla_shared::sealed::{Recipients, SealedValue};

use super::emulator::{Emulator, identity};

/// The value that a deployment needs.
pub(crate) const PASSWORD: &str = "bulla-canary-7f3a";

/// The file that holds it, and where its value belongs.
pub(crate) const FILE: &str = "clusters/prod/db.yaml";

/// The file that a stranger's key is put into.
pub(crate) const STRANGERS_FILE: &str = ".bulla/prod.recipients";

/// As docs/pipelines.md has it: a target for the pipeline, and a recovery key.
pub(crate) const CONFIG: &str = "version: 1
targets:
  prod: {recipients: .bulla/prod.recipients, context: prod}
  ci-production: {recipients: .bulla/ci-production.recipients}
recovery: .bulla/recovery.recipients
rules:
- {path: \"clusters/prod/**\", targets: [prod, ci-production], namespace: shop}
";

/// A clone and its remote.
pub(crate) struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    /// A repository with one value that is due, sealed to the old key of the emulator's cluster, to that of the pipeline and to the recovery key.
    pub(crate) fn new(emulator: &Emulator) -> Self {
        let repository = Self { folder: tempfile::Builder::new().prefix("bulla-pipeline-").tempdir().unwrap() };
        fs::create_dir(repository.path("temp")).unwrap();
        fs::create_dir(repository.path("home")).unwrap();
        repository.git(".", &["init", "-q", "--bare", "-b", "main", "origin.git"]);
        repository.git(".", &["-C", "origin.git", "config", "receive.advertisePushOptions", "true"]);
        repository.git(".", &["init", "-q", "-b", "main", "work"]);
        let recipients = [&emulator.old, &emulator.ci, &emulator.recovery].map(|identity| identity.recipient().clone());
        let value = SealedValue::seal(
            PASSWORD.as_bytes(),
            Scope::Strict(place("password")),
            &Recipients::new(recipients.clone()).unwrap(),
            "2020-01-02T03:04:05Z".parse().unwrap(),
            Some("2020-04-01".parse().unwrap()),
        );
        let head = "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: shop}\nspec:\n  encryptedData:\n";
        repository.write(FILE, &format!("{head}    password: {}\n", value.unwrap()));
        for (name, recipient) in ["prod", "ci-production", "recovery"].iter().zip(recipients) {
            repository.write(&format!(".bulla/{name}.recipients"), &format!("{recipient}\n"));
        }
        repository.write(".bulla.yaml", CONFIG);
        // It proves that it has the password and not the identity, and says both.
        repository.write(
            "migrate.sh",
            &format!("#!/bin/sh\ntest \"$PGPASSWORD\" = {PASSWORD} && echo \"as $PGPASSWORD, key ${{BULLA_IDENTITY-none}}\" && : > ../temp/migrated\n"),
        );
        fs::set_permissions(repository.path("work/migrate.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        repository.commit();
        repository.git("work", &["remote", "add", "origin", "../origin.git"]);
        repository.git("work", &["push", "-q", "origin", "main"]);
        repository
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn git(&self, folder: &str, args: &[&str]) -> String {
        let mut command = Command::new("git");
        let output = command.args(args).current_dir(self.path(folder)).env("HOME", self.path("home")).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Commits all that is there.
    pub(crate) fn commit(&self) {
        self.git("work", &["add", "-A"]);
        self.git("work", &["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "change"]);
    }

    /// Commits that the values of production are sealed to a stranger as well.
    pub(crate) fn bring_a_stranger(&self, emulator: &Emulator) {
        let before = fs::read_to_string(self.path("work").join(STRANGERS_FILE)).unwrap();
        self.write(STRANGERS_FILE, &format!("{before}{}\n", emulator.new.recipient()));
        self.commit();
    }

    /// From now on `origin` is a fork, whose main branch is the one that is checked.
    pub(crate) fn move_to_a_fork(&self) {
        self.git(".", &["clone", "-q", "--bare", "origin.git", "fork.git"]);
        self.git("work", &["remote", "set-url", "origin", "../fork.git"]);
        self.git("work", &["push", "-q", "origin", "main"]);
    }

    /// The one value of the file as it is in a branch of the remote, opened by the emulator's keys: its text and whether it is under the new key.
    pub(crate) fn pushed(&self, branch: &str, emulator: &Emulator) -> (String, bool) {
        let text = self.git("origin.git", &["show", &format!("{branch}:{FILE}")]);
        let value: SealedValue = text.lines().last().unwrap().trim().strip_prefix("password: ").unwrap().parse().unwrap();
        let ring: KeyRing = [identity(&emulator.old), identity(&emulator.new)].into_iter().collect();
        let opened = value.open(&place("password"), &ring).unwrap();
        let plain = String::from_utf8(opened.plaintext.expose().to_vec()).unwrap();
        (plain, opened.key == emulator.new.recipient().fingerprint().id())
    }

    /// Nothing that a pipeline wrote or said has the value.
    pub(crate) fn assert_silent(&self, said: &str) {
        assert!(!said.contains(PASSWORD), "{said}");
        no_value_below(&self.path("temp"));
    }
}

fn no_value_below(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            no_value_below(&path);
        } else {
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes()), "{}", path.display());
        }
    }
}

fn place(item: &str) -> Place {
    Place { namespace: "shop".parse().unwrap(), name: "db".parse().unwrap(), item: item.parse().unwrap() }
}
