//! `bulla create`: a new SealedSecret of values at hand. No file with plaintext comes to be.

use std::path::{Path, PathBuf};

use bulla_shared::SecretBytes;
use bulla_shared::convert::{PlainSecret, SealOptions};
use bulla_shared::names::{ItemName, Namespace, ObjectName};
use zeroize::Zeroizing;

use super::items::ValueArgs;
use super::seal::{convert_hint, of_current_context, warn_of_size};
use super::sealing::SealingArgs;
use crate::error::{Error, Kind};
use crate::files::{self, Access, Input};
use crate::yaml::{push_quoted, to_yaml};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulla create db -n shop password -o prod/db.yaml     asks for the value, without showing it\n  \
    bulla create api -n shop --from-env-file .env -R prod.recipients -o api.yaml\n  \
    bulla create web -n shop --tls-cert web.crt --tls-key web.key -o web.yaml\n  \
    bulla create pull -n shop --docker-server registry.internal --docker-username ci \\\n    \
    --docker-password-file token -o pull.yaml\n\n\
    A value never stands on the command line. Without flags the recipients are those of the rule for the file that is written; where there \
    is no .bulla.yaml, the newest key of the current context."
)]
pub struct Args {
    /// Name of the Secret
    name: ObjectName,
    #[command(flatten)]
    values: ValueArgs,
    /// Type of the Secret [default: Opaque, or what --tls-cert or --docker-server makes it]
    #[arg(long = "type", value_name = "TYPE", conflicts_with_all = ["tls_cert", "docker_server"])]
    type_: Option<String>,
    /// File with the certificate of a Secret of type kubernetes.io/tls
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// File with its private key
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Registry of a Secret of type kubernetes.io/dockerconfigjson
    #[arg(long, value_name = "SERVER", requires_all = ["docker_username", "docker_password_file"], conflicts_with = "tls_cert")]
    docker_server: Option<String>,
    /// Who logs in there
    #[arg(long, value_name = "NAME", requires = "docker_server")]
    docker_username: Option<String>,
    /// File whose first line is the password, - for standard input
    #[arg(long, value_name = "FILE", requires = "docker_server")]
    docker_password_file: Option<PathBuf>,
    /// Namespace of the Secret [default: that of the rule]
    #[arg(short, long)]
    namespace: Option<Namespace>,
    /// File to write, which must not be there yet; standard output without it, or for -
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    sealing: SealingArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let output = args.output.as_deref().filter(|path| *path != Path::new("-"));
    if let Some(path) = output.filter(|path| path.exists()) {
        return Err(Error::new(Kind::Usage, format!("{} is there already", path.display()))
            .hint("bulla set adds items to it; a second document needs a file of its own"));
    }
    let sealing = args.sealing.read()?.of(output, |config| of_current_context(config, &mut None))?;
    let (type_, mut items) = args.of_type()?;
    items.extend(args.values.read()?);
    let count = items.len();
    let secret = PlainSecret {
        namespace: args.namespace.clone().or(sealing.rule.namespace),
        name: args.name.clone(),
        type_,
        immutable: None,
        labels: [].into(),
        annotations: [].into(),
        items: items.into_iter().collect(),
    };
    if secret.items.len() < count {
        return Err(Error::new(Kind::Usage, "an item is named twice").hint("leave one of them out"));
    }
    let options = SealOptions {
        scope: sealing.scope.or(sealing.rule.scope).unwrap_or_default(),
        recipients: &sealing.recipients,
        now: sealing.now,
        rotate_by: sealing.rotate_by,
    };
    let sealed = secret.seal(&options).map_err(|error| {
        let hint = convert_hint(&error, "give -n NAMESPACE", "name one: bulla create NAME ITEM, or --from-file ITEM=FILE");
        Error::new(Kind::Usage, format!("cannot create {}", args.name)).cause(error).hint(hint)
    })?;
    warn_of_size(&secret.name, &sealed);
    let yaml = to_yaml(&sealed)?;
    sealing.objections.check("", &yaml)?;
    match output {
        Some(path) => files::create(path, yaml.as_bytes(), Access::Default),
        None => files::write(None, yaml.as_bytes(), Access::Default),
    }
}

type Items = Vec<(ItemName, SecretBytes)>;

impl Args {
    /// The type, and the items that it is made of.
    fn of_type(&self) -> Result<(Option<String>, Items), Error> {
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            let items = vec![pem("tls.crt", certificate, "CERTIFICATE-----")?, pem("tls.key", key, "PRIVATE KEY-----")?];
            return Ok((Some("kubernetes.io/tls".to_owned()), items));
        }
        if let (Some(server), Some(user), Some(file)) = (&self.docker_server, &self.docker_username, &self.docker_password_file) {
            let item = (item(".dockerconfigjson"), docker_config(server, user, &Input::from_path(file))?);
            return Ok((Some("kubernetes.io/dockerconfigjson".to_owned()), vec![item]));
        }
        Ok((self.type_.clone(), Vec::new()))
    }
}

fn item(name: &str) -> ItemName {
    name.parse().expect("the names of a type's items are valid")
}

/// A PEM file; the two are easily given the wrong way round.
fn pem(name: &str, path: &Path, end_of_label: &str) -> Result<(ItemName, SecretBytes), Error> {
    let bytes = Input::from_path(path).read("a PEM file")?;
    let text = str::from_utf8(&bytes).unwrap_or_default();
    let begins = text.lines().any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(end_of_label));
    if !begins {
        return Err(Error::new(Kind::Usage, format!("cannot use {} for {name}", path.display()))
            .cause(format!("no line of it is -----BEGIN … {end_of_label}"))
            .hint("--tls-cert is the certificate with its chain, --tls-key the private key, both PEM"));
    }
    Ok((item(name), bytes.into()))
}

/// What `docker login` would write, in one buffer that does not grow.
fn docker_config(server: &str, user: &str, password: &Input) -> Result<SecretBytes, Error> {
    use base64::Engine as _;
    let bytes = password.read("the password")?;
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let password = str::from_utf8(line).ok().filter(|line| !line.is_empty()).ok_or_else(|| {
        Error::new(Kind::Usage, format!("there is no password in {}", password.name()))
            .hint("its first line has to be the password, as UTF-8")
    })?;
    let mut pair = Zeroizing::new(String::with_capacity(user.len() + password.len() + 1));
    for part in [user, ":", password] {
        pair.push_str(part);
    }
    let mut json =
        Zeroizing::new(String::with_capacity(128 + 6 * (server.len() + user.len()) + 8 * password.len() + 2 * pair.len()));
    for (before, text) in [("{\"auths\":{", server), (":{\"username\":", user), (",\"password\":", password)] {
        json.push_str(before);
        push_quoted(&mut json, text);
    }
    json.push_str(",\"auth\":\"");
    base64::engine::general_purpose::STANDARD.encode_string(pair.as_bytes(), &mut json);
    json.push_str("\"}}}");
    Ok(SecretBytes::new(json.as_bytes().to_vec()))
}
