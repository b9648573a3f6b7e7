//! What cannot be recorded does not happen: a full disk, and a pipe that nobody reads any more.

use std::process::{Child, Command, Stdio};

use bulla_control_plane::Options;
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::controller::Controller;
use bulla_tests::eventually;

async fn ends(mut controller: Controller) {
    eventually("the controller ends", || {
        let ended = !controller.is_running();
        async move { ended.then_some(()) }
    })
    .await;
    let log = std::fs::read_to_string(controller.log()).unwrap();
    assert!(
        log.contains("the audit trail cannot be written") && log.contains("what cannot be recorded must not happen"),
        "{log}"
    );
}

#[tokio::test]
async fn a_full_disk_lets_no_key_be_made() {
    let cluster = Cluster::start(Options::default()).await;
    ends(cluster.controller(&["--audit-log=/dev/full"]).await).await;
    assert!(cluster.sealing_keys().await.is_empty());
    assert!(cluster.private_keys().await.is_empty());
    // It needs nothing but space.
    let _controller = cluster.controller(&[]).await;
    cluster.recipient().await;
}

struct Reader(Child);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn a_closed_pipe_lets_no_value_be_written() {
    let cluster = Cluster::start(Options::default()).await;
    let pipe = cluster.plane.folder().join("trail");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = Reader(Command::new("cat").arg(&pipe).stdout(Stdio::null()).spawn().unwrap());
    let controller = cluster.controller(&[&format!("--audit-log={}", pipe.display())]).await;
    let recipient = cluster.recipient().await;
    cluster.apply(&seal(&plain("default", "one", &[("a", "1")]), &recipient)).await;
    cluster.wait("default", "one", "Ready").await;

    drop(reader);
    let two = seal(&plain("default", "two", &[("a", "1")]), &recipient);
    cluster.apply(&two).await;
    ends(controller).await;
    assert!(cluster.secrets("default").get_opt("two").await.unwrap().is_none(), "opened, and not recorded");
    assert_eq!(cluster.sealed("default").get("two").await.unwrap().status.unwrap().observed_generation, Some(-1));
}
