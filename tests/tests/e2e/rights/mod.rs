//! Every right in `controller/deploy/chart/common/rbac.yaml` is needed, and no other is used.
//!
//! Each is taken away in turn: the API server's audit log must show that exactly this is refused, what it is for must not happen, and it
//! must happen once the right is back. At the end everything is done once more with all rights, and nothing is refused.

mod deed;
mod right;

use std::path::Path;
use std::process::Command;

use bulla_control_plane::{ControlPlane, Options};
use bulla_tests::cluster::{Cluster, plain, seal};
use bulla_tests::controller::Controller;
use bulla_tests::eventually;
use serde_json::Value;

use self::deed::{Deed, NAMESPACE};
use self::right::{Right, rights};

/// Every request of the controller.
const AUDIT: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["system:serviceaccount:bulla-system:bulla-controller"]
- level: None
"#;

/// What the controller does when the right is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// It runs.
    Running,
    /// It starts without the right, and the deed is asked for once that has been refused.
    Starting,
    /// It stands by without the right, until the lease of one that was killed runs out.
    TakingOver,
}

/// Resource, verb, what fails without it.
type Row = (&'static str, &'static str, Deed, When);

/// In the order in which they are taken away.
const QUICK: [Row; 20] = [
    ("sealingkeys", "create", Deed::FirstKey, When::Starting),
    ("sealingkeys", "list", Deed::Opened, When::Starting),
    ("sealingkeys", "watch", Deed::Told, When::Starting),
    ("sealingkeys/status", "patch", Deed::NewKey, When::Running),
    ("sealedsecrets", "list", Deed::Opened, When::Starting),
    ("sealedsecrets", "watch", Deed::Opened, When::Starting),
    ("sealedsecrets", "get", Deed::Opened, When::Running),
    ("sealedsecrets/status", "update", Deed::Opened, When::Running),
    ("secrets", "list", Deed::Opened, When::Starting),
    ("secrets", "watch", Deed::Opened, When::Starting),
    ("secrets", "get", Deed::Repaired, When::Running),
    ("rewraprequests", "list", Deed::Answered, When::Starting),
    ("rewraprequests", "watch", Deed::Answered, When::Starting),
    ("rewraprequests", "get", Deed::Answered, When::Running),
    ("rewraprequests/status", "patch", Deed::Answered, When::Running),
    ("events", "create", Deed::Recorded, When::Running),
    ("events", "patch", Deed::Counted, When::Running),
    ("leases", "create", Deed::Opened, When::Starting),
    ("leases", "get", Deed::Opened, When::Starting),
    ("leases", "update", Deed::Opened, When::TakingOver),
];

/// What is refused is asked for again after a minute, and an old request goes a minute after it was seen: they wait together, on a
/// cluster of their own.
const SLOW: [Row; 4] = [
    ("secrets", "create", Deed::Opened, When::Running),
    ("secrets", "update", Deed::Repaired, When::Running),
    ("secrets", "patch", Deed::Merged, When::Running),
    ("rewraprequests", "delete", Deed::Removed, When::Running),
];

/// The rights of these rows, in the same order.
fn in_order<'a>(rights: &'a [Right], rows: &[Row]) -> Vec<(&'a Right, Row)> {
    let mut found = Vec::new();
    for row in rows {
        let (resource, verb, ..) = row;
        let own = rights.iter().filter(|right| right.resource == *resource && right.verb == *verb).map(|right| (right, *row));
        let before = found.len();
        found.extend(own);
        assert!(found.len() > before, "rbac.yaml does not give `{verb}` on `{resource}` any more: take out its row");
    }
    found
}

/// Resource and verb of each request that was refused, from the log's line `from` on; but for the dry run that asks whether there is a policy.
fn refused(cluster: &Cluster, from: usize) -> Vec<(String, String)> {
    let log = cluster.plane.audit_log().unwrap();
    let is_probe = |event: &Value| event["requestURI"].as_str().is_some_and(|uri| uri.contains("dryRun=All"));
    let refused = log.iter().skip(from).filter(|event| event["responseStatus"]["code"] == 403 && !is_probe(event));
    let what = |event: &Value| {
        let object = &event["objectRef"];
        let resource = object["resource"].as_str().unwrap_or_default();
        let resource = object["subresource"].as_str().map_or(resource.to_owned(), |sub| format!("{resource}/{sub}"));
        (resource, event["verb"].as_str().unwrap_or_default().to_owned())
    };
    refused.map(what).collect()
}

/// Waits for a refusal of exactly this right from the log's line `from` on.
async fn is_refused(cluster: &Cluster, right: &Right, from: usize) {
    let wanted = (right.resource.clone(), right.verb.clone());
    let what = format!("a request that needs {} {}; if there is none, the right is not needed", right.verb, right.resource);
    eventually(&what, || async { refused(cluster, from).contains(&wanted).then_some(()) }).await;
}

/// Takes these rights away, one after the other; gives the controller that runs at the end.
async fn take_in_turn(cluster: &Cluster, rights: &[(&Right, Row)], mut controller: Option<Controller>) -> Option<Controller> {
    let mut waiting = Vec::new();
    for (index, (right, (_, _, deed, when))) in rights.iter().enumerate() {
        let mut name = format!("without-{index}");
        deed.prepare(cluster, &name).await;
        let start = cluster.plane.audit_log().unwrap().len();
        if *when != When::Running {
            drop(controller.take());
        }
        let rules = right.take(cluster).await;
        if *when != When::Running {
            let starting = *when == When::Starting;
            controller = Some(if starting { cluster.controller(&[]).await } else { cluster.replica(&[]).await });
            is_refused(cluster, right, start).await;
        }
        let begun = cluster.plane.audit_log().unwrap().len();
        deed.begin(cluster, &name).await;
        is_refused(cluster, right, begun).await;
        assert!(!deed.is_done(cluster, &name).await, "without {right:?}: {deed:?}");
        right.set(cluster, &rules, true).await;
        let other: Vec<_> =
            refused(cluster, start).into_iter().filter(|what| *what != (right.resource.clone(), right.verb.clone())).collect();
        assert!(other.is_empty(), "without {right:?} this was refused too: {other:?}");
        if deed.is_missed_for_good() {
            name += "-again";
            deed.prepare(cluster, &name).await;
            deed.begin(cluster, &name).await;
        }
        // The first keys are what all others need.
        if *when == When::Running { waiting.push((*deed, name)) } else { deed.done(cluster, &name).await }
    }
    for (deed, name) in waiting {
        deed.done(cluster, &name).await;
    }
    controller
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_needed_and_no_other_is_used() {
    let rights = rights();
    let (quick, slow) = (in_order(&rights, &QUICK), in_order(&rights, &SLOW));
    for right in &rights {
        let Right { resource, verb, .. } = right;
        let known = quick.iter().chain(&slow).any(|(known, _)| *known == right);
        assert!(known, "rbac.yaml gives `{verb}` on `{resource}`: add a row that says what fails without it");
    }

    let audited = || Options { audit_policy: Some(AUDIT.to_owned()), ..Options::default() };
    // An API server that streams lists is asked for none: the right is for those that do not.
    let unstreamed = Options { feature_gates: Some("WatchList=false".to_owned()), ..audited() };
    let (cluster, other) = tokio::join!(Cluster::start(unstreamed), Cluster::start(audited()));
    let most = async {
        cluster.namespace(NAMESPACE).await;
        take_in_turn(&cluster, &quick, None).await
    };
    let rest = async {
        other.namespace(NAMESPACE).await;
        let controller = other.controller(&[]).await;
        let removed = format!("without-{}", SLOW.iter().position(|row| row.2 == Deed::Removed).unwrap());
        Deed::Answered.begin(&other, &removed).await;
        Deed::Answered.done(&other, &removed).await;
        controller.kill();
        deed::age(&other.plane, &removed);
        let controller = other.controller(&[]).await;
        take_in_turn(&other, &slow, Some(controller)).await
    };
    let (controller, _other) = tokio::join!(most, rest);

    // With all rights, from the start.
    drop(controller);
    let start = cluster.plane.audit_log().unwrap().len();
    let _controller = cluster.controller(&[]).await;
    for (index, (_, _, deed, _)) in QUICK.into_iter().enumerate() {
        let name = format!("with-{index}");
        deed.prepare(&cluster, &name).await;
        deed.begin(&cluster, &name).await;
        deed.done(&cluster, &name).await;
    }
    assert!(refused(&cluster, start).is_empty(), "{:?}", refused(&cluster, start));
}

/// The overlay for single namespaces, after `add`: what is done with all rights is done there too, nothing is refused, and elsewhere nothing
/// happens.
#[tokio::test(flavor = "multi_thread")]
async fn those_in_single_namespaces_are_enough() {
    let copy = tempfile::tempdir().unwrap();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../controller/deploy");
    assert!(Command::new("cp").arg("-r").arg(deploy).arg(copy.path()).status().unwrap().success());
    let overlay = copy.path().join("deploy/namespaced");
    assert!(Command::new(overlay.join("add")).arg(NAMESPACE).status().unwrap().success());
    let plane = ControlPlane::start(Options { audit_policy: Some(AUDIT.to_owned()), ..Options::default() }).await.unwrap();
    let cluster = Cluster { plane };
    for namespace in [NAMESPACE, "elsewhere"] {
        cluster.namespace(namespace).await;
    }
    cluster.plane.apply_kustomize(overlay).await.unwrap();
    let _controller = cluster.controller(&["--watch-namespace=default", &format!("--watch-namespace={NAMESPACE}")]).await;

    let elsewhere = cluster.apply(&seal(&plain("elsewhere", "db", &[("a", "1")]), &cluster.recipient().await)).await;
    for (deed, name) in [
        (Deed::FirstKey, "first"),
        (Deed::NewKey, "new"),
        (Deed::Opened, "opened"),
        (Deed::Repaired, "repaired"),
        (Deed::Merged, "merged"),
        (Deed::Recorded, "recorded"),
        (Deed::Counted, "counted"),
        (Deed::Answered, "answered"),
    ] {
        deed.prepare(&cluster, name).await;
        deed.begin(&cluster, name).await;
        deed.done(&cluster, name).await;
    }
    assert_eq!(refused(&cluster, 0), []);
    assert_eq!(cluster.sealed("elsewhere").get("db").await.unwrap(), elsewhere);
}
