//! `bulla check` on a tree of 10,000 files, beside reading and parsing the same files with the same library on as many threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::Scope;
use bulla_shared::sealed::{Recipients, SealedValue};
use bulla_tests::bulla::bulla_works;

use crate::measure::median;
use crate::table::{Goal, Table, Unit};

const FILES: usize = 10_000;
const ROUNDS: usize = 7;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\n  namespace: shop\n  labels: {app: web, part-of: shop}\nspec:\n  \
    selector: {app: web}\n  ports:\n  - name: http\n    port: 80\n    targetPort: 8080\n";

/// One file in five has sealed values, one in five a workload that asks for them, the others nothing of the kind.
fn repository(folder: &Path) -> Vec<PathBuf> {
    let recipients = Recipients::new([Identity::generate(Algorithm::Hybrid).recipient().clone()]).unwrap();
    let sealed = SealedValue::seal(b"x", Scope::Cluster, &recipients, jiff::Timestamp::now(), None).unwrap();
    let text = |index: usize| match index % 5 {
        0 => format!(
            "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata:\n  name: db-{index}\n  namespace: shop\nspec:\n  encryptedData:\n    \
             password: {sealed}\n    user: {sealed}\n"
        ),
        1 => format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web-{index}\n  namespace: shop\nspec:\n  replicas: 2\n  template:\n    spec:\n      \
             containers:\n      - name: web\n        image: web:1\n        env:\n        - name: PASSWORD\n          valueFrom:\n            secretKeyRef:\n              \
             name: db-{}\n              key: password\n",
            index - 1
        ),
        _ => SERVICE.replace("web", &format!("web-{index}")),
    };
    let file = |index: usize| {
        let below = folder.join(format!("{:02}", index % 100));
        fs::create_dir_all(&below).unwrap();
        let path = below.join(format!("{index}.yaml"));
        fs::write(&path, text(index)).unwrap();
        path
    };
    (0..FILES).map(file).collect()
}

pub(crate) fn run(table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let files = repository(folder.path());
    let (mut ours, mut baselines) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let start = Instant::now();
        bulla_works(Path::new("/nowhere"), folder.path(), &["check"]);
        let own = start.elapsed().as_secs_f64() * 1e6;
        let start = Instant::now();
        baseline(&files);
        let baseline = start.elapsed().as_secs_f64() * 1e6;
        // The first round fills the cache of the file system.
        if round > 0 {
            ours.push(own);
            baselines.push(baseline);
        }
    }
    let (ours, baseline) = (median(ours), median(baselines));
    let what = "bulla check, 10,000 files, the whole process";
    table.add(what, Unit::Time, ours, Some(("reading and YAML-parsing them", baseline)), Goal::Ratio(2.0, None));
}

fn baseline(files: &[PathBuf]) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = fs::read_to_string(path).unwrap();
                    for event in granit_parser::Parser::new_from_str(&text) {
                        std::hint::black_box(event.unwrap());
                    }
                }
            });
        }
    });
}
