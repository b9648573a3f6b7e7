//! The chart without a cluster: it installs what kustomize installs, each value does what it says, and wrong values are refused.

use serde_json::{Value, json};

use crate::helm::{Helm, chart, render, template};
use crate::manifests::Manifests;

/// The chart's objects without what Helm asks for.
fn rendered(values: &[&str]) -> Manifests {
    let mut manifests = render(values);
    for (name, object) in &mut manifests.0 {
        if name.starts_with("CustomResourceDefinition") {
            let annotations = object["metadata"].as_object_mut().unwrap().remove("annotations").unwrap();
            assert_eq!(annotations, json!({"helm.sh/resource-policy": "keep"}), "{name}");
        }
    }
    manifests
}

/// The objects of a kustomization; the namespace is made by `helm install --create-namespace`.
fn kustomized(folder: &str) -> Manifests {
    let mut manifests = Manifests::kustomize(folder);
    manifests.0.remove("Namespace /bulla-system").unwrap();
    manifests
}

fn same(chart: &Manifests, kustomize: &Manifests) {
    let names = |manifests: &Manifests| manifests.0.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(chart), names(kustomize));
    for (name, object) in &chart.0 {
        assert_eq!(object, kustomize.get(name), "{name}");
    }
}

#[test]
fn it_installs_what_kustomize_installs() {
    same(&rendered(&[]), &kustomized("controller/deploy"));
    same(&rendered(&[r#"namespaces=["default"]"#]), &kustomized("controller/deploy/namespaced"));
}

#[test]
fn its_version_is_that_of_the_controller() {
    let text = std::fs::read_to_string(format!("{}/Chart.yaml", chart())).unwrap();
    let about: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn it_passes_lint() {
    let output = Helm::new().command("lint").args(["--strict", &chart()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn flags_come_from_values() {
    for (value, flags) in [
        (r#"namespaces=["shop","pay"]"#, &["--watch-namespace=shop", "--watch-namespace=pay"][..]),
        (r#"allowedTypes=["example.com/thing"]"#, &["--allow-type=example.com/thing"]),
        ("keys.generate=false", &["--generate-keys=false"]),
        (r#"keys.renewPeriod="365d""#, &["--key-renew-period=365d"]),
        (r#"keys.decryptOnlyAfter="400d""#, &["--key-decrypt-only-after=400d"]),
        (r#"secrets.labels={"team":"a","tier":"0"}"#, &["--default-label=team=a", "--default-label=tier=0"]),
        (r#"secrets.annotations={"example.com/note":"a, \"b\""}"#, &[r#"--default-annotation=example.com/note=a, "b""#]),
        ("metrics.objectNames=true", &["--metrics-object-names"]),
        (r#"extraArgs=["--workers=8"]"#, &["--workers=8"]),
    ] {
        assert_eq!(render(&[value]).flags(), [&["--log-format=json"], flags].concat(), "{value}");
    }
}

#[test]
fn the_image_is_pinned_by_digest_if_there_is_one() {
    let image = |values: &[&str]| render(values).container()["image"].clone();
    let repository = r#"image.repository="registry.example/bulla""#;
    let digest = format!("image.digest=\"sha256:{}\"", "0".repeat(64));
    assert_eq!(image(&[repository]), format!("registry.example/bulla:{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(image(&[repository, r#"image.tag="main""#]), "registry.example/bulla:main");
    assert_eq!(image(&[repository, &digest, r#"image.tag="main""#]), format!("registry.example/bulla@sha256:{}", "0".repeat(64)));
}

#[test]
fn pods_go_where_values_say() {
    let values = [
        "replicas=3",
        r#"nodeSelector={"kubernetes.io/os":"linux"}"#,
        r#"tolerations=[{"key":"a","operator":"Exists"}]"#,
        r#"priorityClassName="system-cluster-critical""#,
        r#"image.pullSecrets=["pull"]"#,
        r#"resources={"limits":{"memory":"1Gi"}}"#,
    ];
    let manifests = render(&values);
    let spec = &manifests.get("Deployment bulla-system/bulla-controller")["spec"];
    let pod = &spec["template"]["spec"];
    assert_eq!(spec["replicas"], 3);
    assert_eq!(pod["nodeSelector"], json!({"kubernetes.io/os": "linux"}));
    assert_eq!(pod["tolerations"], json!([{"key": "a", "operator": "Exists"}]));
    assert_eq!(pod["priorityClassName"], "system-cluster-critical");
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "pull"}]));
    assert_eq!(manifests.container()["resources"]["limits"]["memory"], "1Gi");
}

#[test]
fn what_is_optional_is_left_out() {
    let monitor = "ServiceMonitor bulla-system/bulla-controller";
    assert!(!render(&[]).0.contains_key(monitor));
    let on = render(&["metrics.serviceMonitor.enabled=true", r#"metrics.serviceMonitor.labels={"release":"prometheus"}"#]);
    let expected = json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": "bulla-controller", "namespace": "bulla-system", "labels": {"release": "prometheus"}},
        "spec": {
            "selector": {"matchLabels": {"app.kubernetes.io/name": "bulla-controller"}},
            "endpoints": [{"port": "http"}],
        },
    });
    assert_eq!(on.get(monitor), &expected);

    let network = "NetworkPolicy bulla-system/bulla-controller";
    assert!(!render(&["networkPolicy.enabled=false"]).0.contains_key(network));
    let ports = render(&["networkPolicy.apiServerPorts=[16443]"]).get(network)["spec"]["egress"][1]["ports"].clone();
    assert_eq!(ports, json!([{"protocol": "TCP", "port": 16443}]));
    let peers = |cidr: &str| json!([{"ipBlock": {"cidr": cidr}}]);
    let monitoring = json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]);
    let narrow = render(&[
        r#"networkPolicy.dnsCIDRs=["10.96.0.10/32"]"#,
        r#"networkPolicy.apiServerCIDRs=["fd00::1/128"]"#,
        &format!("networkPolicy.metricsFrom={monitoring}"),
    ]);
    let spec = &narrow.get(network)["spec"];
    assert_eq!([&spec["egress"][0]["to"], &spec["egress"][1]["to"]], [&peers("10.96.0.10/32"), &peers("fd00::1/128")]);
    assert_eq!(spec["ingress"][0]["from"], monitoring);

    let definitions = |values: &[&str]| render(values).0.keys().filter(|name| name.starts_with("CustomResource")).count();
    assert_eq!((definitions(&[]), definitions(&["definitions=false"])), (3, 0));
}

#[test]
fn groups_that_may_read_sealing_keys() {
    let binding = "ClusterRoleBinding /bulla-sealer";
    assert!(!render(&[]).0.contains_key(binding));
    let subjects = render(&[r#"sealers=["platform","oidc:dev"]"#]).get(binding)["subjects"].clone();
    let group = |name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": name});
    assert_eq!(subjects, json!([group("platform"), group("oidc:dev")]));
}

#[test]
fn a_further_type_is_allowed_by_the_policy_too() {
    let policy = |values: &[&str]| render(values).get("ValidatingAdmissionPolicy /bulla-controller-secrets").to_string();
    assert!(policy(&[]).contains("'kubernetes.io/tls']"));
    assert!(policy(&[r#"allowedTypes=["a.example/b","c"]"#]).contains("'kubernetes.io/tls', 'a.example/b', 'c']"));
}

#[test]
fn another_namespace_is_another_everywhere() {
    let text = template("sealing", &[r#"namespaces=["shop"]"#]).unwrap();
    assert!(!text.contains("bulla-system"));
    let manifests = Manifests::parse(&text);
    let subject = &manifests.get("RoleBinding shop/bulla-controller")["subjects"][0];
    assert_eq!(subject["namespace"], "sealing");
    let policy = manifests.get("ValidatingAdmissionPolicy /bulla-controller-secrets").to_string();
    assert!(policy.contains("system:serviceaccount:sealing:bulla-controller"));
}

#[test]
fn wrong_values_are_refused() {
    for (value, words) in [
        ("replica=2", "'replica' not allowed"),
        ("replicas=0", "at '/replicas'"),
        (r#"replicas="2""#, "at '/replicas'"),
        (r#"image.repository="Registry/X""#, "at '/image/repository'"),
        (r#"image.digest="sha256:0""#, "at '/image/digest'"),
        (r#"image.name="a""#, "'name' not allowed"),
        (r#"namespaces="shop""#, "at '/namespaces'"),
        (r#"namespaces=["Shop"]"#, "at '/namespaces/0'"),
        (r#"namespaces=["a","a"]"#, "at '/namespaces'"),
        (r#"namespaces=["bulla-system"]"#, "the controller's own namespace are refused"),
        (r#"sealers=[""]"#, "at '/sealers/0'"),
        (r#"allowedTypes=["kubernetes.io/service-account-token"]"#, "at '/allowedTypes/0'"),
        (r#"allowedTypes=["x'] || true || '' in ['"]"#, "at '/allowedTypes/0'"),
        (r#"keys.renewPeriod="1y""#, "at '/keys/renewPeriod'"),
        (r#"keys.generate="no""#, "at '/keys/generate'"),
        (r#"secrets.labels={"bulla.dev/secret":"owned"}"#, "invalid propertyName"),
        (r#"secrets.labels={"a=b":"c"}"#, "invalid propertyName"),
        ("networkPolicy.apiServerPorts=[]", "at '/networkPolicy/apiServerPorts'"),
        (r#"networkPolicy.apiServerCIDRs=["10.0.0.1"]"#, "at '/networkPolicy/apiServerCIDRs/0'"),
        (r#"networkPolicy.dnsCIDRs=["dns/8"]"#, "at '/networkPolicy/dnsCIDRs/0'"),
        (r#"networkPolicy.metricsFrom=[{"pods":{}}]"#, "'pods' not allowed"),
        (r#"extraArgs=["rm"]"#, "at '/extraArgs/0'"),
    ] {
        let said = template("bulla-system", &[value]).unwrap_err();
        assert!(said.contains(words), "{value}: {said}");
    }
}
