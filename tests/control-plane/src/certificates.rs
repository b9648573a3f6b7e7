//! Who trusts whom: one authority, a server certificate for loopback, an administrator, and the key that signs tokens.
//!
//! Everything is made anew for each control plane and is good for nothing else.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::kubeconfig::write_private;

/// Members of this group pass every authorization check.
const ADMINISTRATORS: &str = "system:masters";

/// The text of what clients need, and the files of what the API server needs.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub(crate) authority: String,
    pub(crate) admin_certificate: String,
    pub(crate) admin_key: String,
    pub(crate) files: CertificateFiles,
}

/// Files for the API server's command line.
#[derive(Debug, Clone)]
pub(crate) struct CertificateFiles {
    pub(crate) authority: PathBuf,
    pub(crate) server_certificate: PathBuf,
    pub(crate) server_key: PathBuf,
    pub(crate) token_key: PathBuf,
    pub(crate) token_public_key: PathBuf,
}

impl Certificates {
    /// Makes all of it and writes the files into `folder`.
    pub(crate) fn make(folder: &Path) -> io::Result<Self> {
        let made = Made::new().map_err(io::Error::other)?;
        fs::create_dir_all(folder)?;
        let files = CertificateFiles {
            authority: folder.join("ca.crt"),
            server_certificate: folder.join("server.crt"),
            server_key: folder.join("server.key"),
            token_key: folder.join("tokens.key"),
            token_public_key: folder.join("tokens.pub"),
        };
        fs::write(&files.authority, &made.authority)?;
        fs::write(&files.server_certificate, &made.server.0)?;
        write_private(&files.server_key, &made.server.1)?;
        write_private(&files.token_key, &made.tokens.serialize_pem())?;
        fs::write(&files.token_public_key, made.tokens.public_key_pem())?;
        let (admin_certificate, admin_key) = made.admin;
        Ok(Self { authority: made.authority, admin_certificate, admin_key, files })
    }
}

struct Made {
    authority: String,
    server: (String, String),
    admin: (String, String),
    tokens: KeyPair,
}

impl Made {
    fn new() -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        name(&mut authority, "bulla-control-plane");
        let key = KeyPair::generate()?;
        let certificate = authority.self_signed(&key)?;
        let issuer = Issuer::new(authority, key);

        let mut server =
            CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned(), "kubernetes.default.svc".to_owned()])?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        name(&mut server, "kube-apiserver");

        let mut admin = CertificateParams::default();
        admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        name(&mut admin, "admin");
        admin.distinguished_name.push(DnType::OrganizationName, ADMINISTRATORS);

        Ok(Self {
            authority: certificate.pem(),
            server: signed(server, &issuer)?,
            admin: signed(admin, &issuer)?,
            tokens: KeyPair::generate()?,
        })
    }
}

fn name(parameters: &mut CertificateParams, name: &str) {
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
}

fn signed(mut parameters: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Result<(String, String), rcgen::Error> {
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
