//! The flags of the three processes, all on loopback.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::certificates::CertificateFiles;
use crate::kubeconfig::server;
use crate::plane::Options;

/// The audit policy and log, below the folder of the run.
pub(crate) const AUDIT_POLICY: &str = "logs/audit-policy.yaml";
pub(crate) const AUDIT_LOG: &str = "logs/audit.log";

/// The ports of one control plane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) api_server: u16,
    etcd: u16,
    etcd_peers: u16,
}

impl Ports {
    /// Three ports that were free a moment ago; held together, so that they differ.
    pub(crate) fn free() -> io::Result<Self> {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let held = [bind()?, bind()?, bind()?];
        let port = |index: usize| held[index].local_addr().map(|address| address.port());
        Ok(Self { api_server: port(0)?, etcd: port(1)?, etcd_peers: port(2)? })
    }

    pub(crate) fn store(self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.etcd)
    }
}

pub(crate) fn etcd(ports: Ports, folder: &Path, options: &Options) -> Vec<String> {
    let (clients, peers) = (http(ports.etcd), http(ports.etcd_peers));
    let mut flags = vec![
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        // Benchmarks write more than the default of 2 GiB within the five minutes after which old revisions go.
        "--quota-backend-bytes=8589934592".to_owned(),
    ];
    if !options.durable {
        flags.push("--unsafe-no-fsync".to_owned());
    }
    flags
}

pub(crate) fn api_server(ports: Ports, folder: &Path, files: &CertificateFiles, options: &Options) -> Vec<String> {
    let mut flags = vec![
        format!("--etcd-servers={}", http(ports.etcd)),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports.api_server),
        format!("--tls-cert-file={}", files.server_certificate.display()),
        format!("--tls-private-key-file={}", files.server_key.display()),
        format!("--client-ca-file={}", files.authority.display()),
        format!("--service-account-key-file={}", files.token_public_key.display()),
        format!("--service-account-signing-key-file={}", files.token_key.display()),
        format!("--service-account-issuer={}", server(ports.api_server)),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        // It would keep pods waiting for a default ServiceAccount, which no controller makes here.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ];
    flags.extend(options.feature_gates.iter().map(|gates| format!("--feature-gates={gates}")));
    if options.audit_policy.is_some() {
        flags.push(format!("--audit-policy-file={}", folder.join(AUDIT_POLICY).display()));
        flags.push(format!("--audit-log-path={}", folder.join(AUDIT_LOG).display()));
    }
    flags.extend(emulated(options));
    flags
}

pub(crate) fn controller_manager(kubeconfig: &Path, options: &Options) -> Vec<String> {
    let mut flags = vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        // Without the last, `view`, `edit` and `admin` have no rules.
        "--controllers=garbage-collector-controller,namespace-controller,\
         clusterrole-aggregation-controller"
            .to_owned(),
        "--leader-elect=false".to_owned(),
        // It serves nothing that anyone here reads, and its default port is the same for all.
        "--secure-port=0".to_owned(),
    ];
    flags.extend(emulated(options));
    flags
}

fn emulated(options: &Options) -> Option<String> {
    let version = options.emulated_version.as_ref()?;
    Some(format!("--emulated-version=kube={version}"))
}

fn http(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}
