//! A control plane ends with its owner, however that ends, unless it is kept.

#![allow(clippy::unwrap_used, reason = "a helper of a test fails as the test does")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bulla_control_plane::{ControlPlane, Options};

/// Set for the process that [`killed_it_takes_everything_along`] starts and kills.
const OWNER: &str = "BULLA_TEST_OWNER";

/// The ids of the processes whose command line mentions a folder, zombies left out.
fn running_in(folder: &Path) -> Vec<String> {
    let output = Command::new("ps").args(["-A", "-ww", "-o", "pid=,stat=,args="]).output().unwrap();
    let folder = folder.to_str().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains(folder))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (id, state) = (words.next()?, words.next()?);
            (!state.starts_with('Z')).then(|| id.to_owned())
        })
        .collect()
}

fn soon(what: &str, check: impl Fn() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(10), "never: {what}");
        sleep(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn dropped_it_is_gone() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let folder = plane.folder().to_owned();
    assert!(running_in(&folder).len() >= 3);
    drop(plane);
    assert!(!folder.exists());
    soon("nothing runs", || running_in(&folder).is_empty());
}

#[tokio::test]
async fn kept_it_stays_until_it_is_stopped() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { folder: Some(home.path().join("plane")), ..Options::default() };
    let plane = ControlPlane::start(options.clone()).await.unwrap();
    let (folder, kubectl) = (plane.folder().to_owned(), plane.kubectl());
    let kept = plane.keep();
    assert!(kept.kubeconfig.starts_with(&folder));

    let answers = || {
        Command::new(&kubectl)
            .args(["get", "--raw", "/readyz", "--kubeconfig"])
            .arg(&kept.kubeconfig)
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(answers());
    let refused = ControlPlane::start(options.clone()).await;
    assert!(refused.is_err());
    assert!(answers());

    let stop = |line: &str| Command::new("sh").args(["-c", line]).status().unwrap();
    assert!(stop(&kept.stop).success());
    soon("nothing runs", || running_in(&folder).is_empty());

    // The same folder serves again, at the same path.
    let again = ControlPlane::start(options).await.unwrap();
    assert_eq!(again.admin_kubeconfig(), kept.kubeconfig);
    drop(again);
    assert!(folder.exists());
}

#[test]
fn killed_it_takes_everything_along() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner", "--ignored", "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let folder = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(PathBuf::from(line.split_once("folder=")?.1)))
        .unwrap();
    assert!(running_in(&folder).len() >= 3);

    // SIGKILL, so no destructor runs.
    owner.kill().unwrap();
    owner.wait().unwrap();
    soon("nothing runs", || running_in(&folder).is_empty());
    soon("the folder is gone", || !folder.exists());
}

#[tokio::test]
#[ignore = "runs in a process of its own, which another test starts and kills"]
async fn owner() {
    if std::env::var_os(OWNER).is_some() {
        let plane = ControlPlane::start(Options::default()).await.unwrap();
        println!("folder={}", plane.folder().display());
        tokio::time::sleep(Duration::from_mins(2)).await;
    }
}
