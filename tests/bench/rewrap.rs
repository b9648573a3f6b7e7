//! A repository of 1,000 files with two hybrid values each, moved to another key.
//!
//! The baseline does what nobody can leave out: the same cryptography, each file read, each file replaced atomically, on as many threads.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bulla_keys::KeyRing;
use bulla_shared::age::{Algorithm, Identity, Recipient};
use bulla_shared::sealed::{Recipients, SealedValue};
use bulla_tests::bulla::bulla_works;
use bulla_tests::cluster::{Cluster, manifest, plain, seal};

use crate::measure::median;
use crate::table::{Goal, Table, Unit};

const FILES: usize = 1000;
const ROUNDS: usize = 7;

struct Sealed {
    path: PathBuf,
    text: String,
    values: Vec<SealedValue>,
}

fn repository(folder: &Path, recipient: &Recipient) -> Vec<Sealed> {
    let file = |index: usize| {
        let secret = plain("shop", &format!("db-{index}"), &[("user", "app"), ("password", "a value of thirty-two bytes long")]);
        let sealed = seal(&secret, recipient);
        let values = sealed.spec.encrypted_data.values().map(|text| text.parse().unwrap()).collect();
        Sealed { path: folder.join(format!("db-{index}.yaml")), text: manifest(&sealed), values }
    };
    (0..FILES).map(file).collect()
}

fn write(repository: &[Sealed]) {
    for file in repository {
        fs::write(&file.path, &file.text).unwrap();
    }
}

pub(crate) fn offline(table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let git = folder.path().join("git");
    fs::create_dir(&git).unwrap();
    let [old, new] = std::array::from_fn(|_| Identity::generate(Algorithm::Hybrid));
    let repository = repository(&git, old.recipient());
    fs::write(folder.path().join("old.key"), old.to_text().as_bytes()).unwrap();
    fs::write(folder.path().join("new.recipients"), new.recipient().to_string()).unwrap();
    let recipients = Recipients::new([new.recipient().clone()]).unwrap();
    let ring: KeyRing = [old].into_iter().collect();
    let (mut ours, mut baselines) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        write(&repository);
        let start = Instant::now();
        let args = ["rewrap", "-i", "old.key", "-R", "new.recipients", "git"];
        let (_, said) = bulla_works(Path::new("/nowhere"), folder.path(), &args);
        ours.push(start.elapsed().as_secs_f64() * 1e6);
        assert!(said.contains("rewrapped 2000 values in 1000 files"), "{said}");
        write(&repository);
        let start = Instant::now();
        baseline(&repository, &ring, &recipients);
        baselines.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let (ours, baseline) = (median(ours), median(baselines));
    let what = "bulla rewrap, offline, 1,000 files of two values";
    table.add(what, Unit::Time, ours, Some(("its cryptography and file operations alone", baseline)), Goal::Ratio(1.3, None));
}

fn baseline(repository: &[Sealed], ring: &KeyRing, recipients: &Recipients) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while let Some(file) = repository.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let bytes = fs::read(&file.path).unwrap();
                    for value in &file.values {
                        std::hint::black_box(value.rewrap_to(ring, recipients).unwrap());
                    }
                    let temporary = file.path.with_extension("tmp");
                    let mut replaced = File::create(&temporary).unwrap();
                    replaced.write_all(&bytes).unwrap();
                    replaced.sync_all().unwrap();
                    fs::rename(&temporary, &file.path).unwrap();
                }
            });
        }
    });
}

pub(crate) async fn through_the_cluster(table: &mut Table, cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    cluster.namespace("shop").await;
    write(&repository(folder.path(), &cluster.recipient().await));
    let kubeconfig = cluster.plane.admin_kubeconfig();
    bulla_works(kubeconfig, folder.path(), &["keys", "rotate"]);
    let start = Instant::now();
    let (_, said) = bulla_works(kubeconfig, folder.path(), &["rewrap", "."]);
    let took = start.elapsed().as_secs_f64() * 1e6;
    assert!(said.contains("rewrapped 2000 values in 1000 files"), "{said}");
    table.add("the same through the cluster, one namespace", Unit::Time, took, None, Goal::Own(30e6));
}
