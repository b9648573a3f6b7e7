//! A kubeconfig for one identity at one API server, and the client made of it.

use std::io::{self, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The kubeconfig is not what the client takes.
    #[error("cannot read the kubeconfig")]
    Kubeconfig(#[from] KubeconfigError),
    /// The client cannot be built.
    #[error("cannot build a client")]
    Client(#[source] Box<kube::Error>),
}

/// How a client proves who it is.
pub(crate) enum Credential<'a> {
    Certificate { certificate: &'a str, key: &'a str },
    Token(&'a str),
}

/// The text of a kubeconfig with everything in it, so that the one file can be handed on.
pub(crate) fn text(port: u16, authority: &str, user: &str, credential: &Credential<'_>) -> String {
    let authority = STANDARD.encode(authority);
    let credential = match credential {
        Credential::Certificate { certificate, key } => format!(
            "    client-certificate-data: {}\n    client-key-data: {}\n",
            STANDARD.encode(certificate),
            STANDARD.encode(key)
        ),
        Credential::Token(token) => format!("    token: {token}\n"),
    };
    format!(
        "apiVersion: v1
kind: Config
current-context: bulla
contexts:
- name: bulla
  context: {{cluster: bulla, user: \"{user}\"}}
clusters:
- name: bulla
  cluster:
    server: {server}
    certificate-authority-data: {authority}
users:
- name: \"{user}\"
  user:
{credential}",
        server = server(port),
    )
}

/// The address of the API server.
pub(crate) fn server(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// The port of the API server in a kubeconfig that [`text`] made.
pub(crate) fn port(text: &str) -> Option<u16> {
    text.lines().find_map(|line| line.trim().strip_prefix("server: https://127.0.0.1:")).and_then(|port| port.parse().ok())
}

/// The configuration of a client for a kubeconfig.
pub(crate) async fn config(text: &str) -> Result<Config, ClientError> {
    let kubeconfig = Kubeconfig::from_yaml(text)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // NOTE: from the environment; a proxy has nothing to do with loopback.
    config.proxy_url = None;
    Ok(config)
}

/// A client; it belongs to the async runtime that is current.
pub(crate) fn client(config: Config) -> Result<Client, ClientError> {
    // NOTE: kube installs aws-lc-rs as rustls' default provider here, if there is none yet.
    Client::try_from(config).map_err(|error| ClientError::Client(Box::new(error)))
}

/// Writes a file that only its owner may read, also where there was one with other rights. It is whole at all times: a process that was started
/// with it may be reading.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_port_comes_back() {
        let text = text(4711, "authority", "someone", &Credential::Token("token"));
        assert_eq!(port(&text), Some(4711));
        assert_eq!(port("kind: Config"), None);
        assert!(Kubeconfig::from_yaml(&text).is_ok());
    }

    #[test]
    fn a_private_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "open to all").unwrap();
        write_private(&path, "text").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
