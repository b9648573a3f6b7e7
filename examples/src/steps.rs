//! The steps of the demo, each shown as the command that a user would type.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulla_control_plane::{ControlPlane, Options as PlaneOptions, Process};
use bulla_tests::binaries::binary;

use crate::Options;

/// The demo serves nobody, and wherever there is a port.
const HTTP: &str = "--http-address=127.0.0.1:0";
const AUDIT: &str = "--audit-log=off";

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Where commands go: a kubectl and a kubeconfig.
struct Cluster {
    kubectl: PathBuf,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    bulla: PathBuf,
    work: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let work = tempfile::tempdir()?;
    say("Building bulla and bulla-controller");
    let (bulla, controller) = (binary("bulla"), binary("bulla-controller"));

    if let Some(context) = &options.context {
        let cluster = Cluster {
            kubectl: "kubectl".into(),
            kubeconfig: None,
            context: Some(context.clone()),
            bulla,
            work: work.path().into(),
        };
        cluster.install()?;
        let args = [format!("--context={context}"), HTTP.to_owned(), AUDIT.to_owned()];
        std::fs::create_dir_all(work.path().join("logs"))?;
        let running = Process::start("bulla-controller", &controller, &args, &[], work.path())?;
        cluster.walk()?;
        if options.keep {
            println!("\nThe controller goes on as process {}; Bulla stays installed in {context}.", running.detach());
            let _ = work.keep();
        }
        return Ok(());
    }

    say("Starting a control plane on loopback (built once, a few minutes; then seconds)");
    let plane = runtime.block_on(ControlPlane::start(PlaneOptions::default()))?;
    let cluster = Cluster {
        kubectl: plane.kubectl(),
        kubeconfig: Some(plane.admin_kubeconfig().to_owned()),
        context: None,
        bulla,
        work: work.path().into(),
    };
    cluster.install()?;
    say("Running bulla-controller under its own ServiceAccount, with the rights of controller/deploy/chart/common/rbac.yaml");
    let kubeconfig = runtime.block_on(plane.service_account_kubeconfig("bulla-system", "bulla-controller"))?;
    let running = Process::start(
        "bulla-controller",
        &controller,
        &[HTTP.to_owned(), AUDIT.to_owned()],
        &[("KUBECONFIG", &kubeconfig)],
        plane.folder(),
    )?;
    cluster.walk()?;
    if options.keep {
        let controller = running.detach();
        let kept = plane.keep();
        println!("\nEverything goes on. Use it with:\n  export KUBECONFIG={}", kept.kubeconfig.display());
        println!("Stop it with:\n  kill {controller}; {}", kept.stop);
    }
    Ok(())
}

impl Cluster {
    fn install(&self) -> Result<()> {
        say("Installing CRDs, RBAC, admission policy");
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../controller/deploy");
        self.kubectl(&["apply", "--server-side", "-k", &deploy.display().to_string()])?;
        self.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd/sealedsecrets.bulla.dev",
            "crd/sealingkeys.bulla.dev",
            "crd/rewraprequests.bulla.dev",
        ])
    }

    fn walk(&self) -> Result<()> {
        say("The controller makes the first key; its private half stays in bulla-system");
        self.kubectl(&["wait", "--for=create", "--timeout=60s", "sealingkey/initial"])?;
        self.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", "sealingkey/initial"])?;

        say("Sealing examples/first/secret.yaml with the public half");
        let secret = Path::new(env!("CARGO_MANIFEST_DIR")).join("first/secret.yaml");
        let sealed = self.work.join("sealed.yaml");
        self.bulla(&["seal".as_ref(), secret.as_os_str(), "-o".as_ref(), sealed.as_os_str()])?;
        self.bulla(&["inspect".as_ref(), sealed.as_os_str()])?;

        say("Applying the ciphertext, as a GitOps controller would");
        self.make_namespace("shop")?;
        self.kubectl(&["apply", "--server-side", "-f", &sealed.display().to_string()])?;
        self.kubectl(&["wait", "-n", "shop", "--for=condition=Ready", "--timeout=60s", "sealedsecrets.bulla.dev/db"])?;
        self.kubectl(&["get", "-n", "shop", "secret", "db", "-o", "jsonpath={.data.password}"])?;
        println!("   (base64 of: correct horse battery staple)");

        say("Copying the same ciphertext to another namespace");
        self.make_namespace("thief")?;
        let text = std::fs::read_to_string(&sealed)?.replace("namespace: shop", "namespace: thief");
        let copied = self.work.join("copied.yaml");
        std::fs::write(&copied, text)?;
        self.kubectl(&["apply", "--server-side", "-f", &copied.display().to_string()])?;
        self.kubectl(&["wait", "-n", "thief", "--for=condition=Stalled", "--timeout=60s", "sealedsecrets.bulla.dev/db"])?;
        let message = "jsonpath={range .status.items[*]}{.name}: {.state}, {.message}{\"\\n\"}{end}";
        self.kubectl(&["get", "-n", "thief", "sealedsecrets.bulla.dev", "db", "-o", message])?;
        self.kubectl(&["get", "-n", "thief", "secrets"])
    }

    fn make_namespace(&self, name: &str) -> Result<()> {
        let manifest = self.work.join(format!("{name}.yaml"));
        std::fs::write(&manifest, format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"))?;
        self.kubectl(&["apply", "--server-side", "-f", &manifest.display().to_string()])
    }

    fn kubectl(&self, args: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.kubectl);
        if let Some(context) = &self.context {
            command.arg(format!("--context={context}"));
        }
        self.show(command.args(args), "kubectl", &args.iter().map(OsStr::new).collect::<Vec<_>>())
    }

    fn bulla(&self, args: &[&OsStr]) -> Result<()> {
        let mut command = Command::new(&self.bulla);
        command.args(args);
        if let (Some(context), Some("seal")) = (&self.context, args[0].to_str()) {
            command.arg(format!("--context={context}"));
        }
        self.show(&mut command, "bulla", args)
    }

    fn show(&self, command: &mut Command, name: &str, args: &[&OsStr]) -> Result<()> {
        let line: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
        println!("$ {name} {}", line.join(" "));
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        let status = command.stdin(Stdio::null()).status().map_err(|error| format!("cannot run {name}: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("{name} {} failed", line.join(" ")).into()) }
    }
}

fn say(text: &str) {
    println!("\n== {text}");
}
