//! Starts the three processes, waits until they do their work, and stops them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::api::GetParams;
use kube::core::Request;
use kube::{Api, Client, Config};
use tokio::time::{sleep, timeout};

use crate::assets::{self, AssetsError, Binaries};
use crate::certificates::Certificates;
use crate::command_line::{self, AUDIT_LOG, AUDIT_POLICY, Ports};
use crate::folder::{ADMIN_KUBECONFIG, Folder, FolderError};
use crate::go_module::last_lines;
use crate::kubeconfig::{self, ClientError, Credential, write_private};
use crate::process::Process;

/// How often ports may turn out to be taken.
const ATTEMPTS: usize = 5;
/// Far more than it takes, for machines that are busy with other tests.
const PATIENCE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);
/// How long one question to the API server may take.
const ANSWER: Duration = Duration::from_secs(5);
const LOG_LINES: usize = 15;

/// What kind of control plane to start. The default is a quick one in a temporary folder.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The Kubernetes version to behave like, from `1.34` to `1.37`; absent, the newest of these.
    pub emulated_version: Option<String>,
    /// Feature gates of the API server, as in `WatchList=false`.
    pub feature_gates: Option<String>,
    /// An audit policy (YAML, `audit.k8s.io/v1`); with it, [`ControlPlane::audit_log`] has what it selects.
    pub audit_policy: Option<String>,
    /// Whether etcd waits for the disk, for tests that kill it. Without it everything is quicker.
    pub durable: bool,
    /// A fixed folder, which must be empty, absent, or left by an earlier control plane that has ended. It stays.
    pub folder: Option<PathBuf>,
}

/// Why there is no control plane.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its binaries are not there.
    #[error("no control plane without its binaries")]
    Assets(#[from] AssetsError),
    /// Its folder cannot be used.
    #[error("no folder for the control plane")]
    Folder(#[from] FolderError),
    /// A file cannot be written or a process not started.
    #[error("cannot start the control plane")]
    Io(#[from] io::Error),
    /// There is no client for it.
    #[error("no client for the control plane")]
    Client(#[from] ClientError),
    /// Its ports were taken by others, again and again.
    #[error("{0} cannot listen: its port was taken by another process")]
    PortTaken(&'static str),
    /// A process ended by itself.
    #[error("{process} ended ({status}); the end of its log:\n{log}")]
    Ended {
        /// Which of them.
        process: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// A process runs, but does not do its work.
    #[error("{process} was not ready in time; the end of its log:\n{log}")]
    NotReady {
        /// Which of them.
        process: &'static str,
        /// The end of its log.
        log: String,
    },
}

/// A running control plane; dropped, it is gone, and so is its folder unless [`Options::folder`] named it.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped in this order: clients of a process go before it, the folder last.
    api_server: Mutex<Option<Process>>,
    controller_manager: Process,
    etcd: Mutex<Option<Process>>,
    api_server_flags: Vec<String>,
    etcd_flags: Vec<String>,
    binaries: Binaries,
    ports: Ports,
    authority: String,
    admin: Config,
    admin_kubeconfig: PathBuf,
    folder: Folder,
}

/// What is left of a control plane that runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// A line for a shell that stops all of it.
    pub stop: String,
}

impl ControlPlane {
    /// Starts a control plane and waits until all three processes do their work: 3 to 5 s.
    ///
    /// The very first start on a machine builds the binaries, which takes minutes and says so.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let binaries = tokio::task::spawn_blocking(assets::binaries).await.map_err(io::Error::other)??;
        let mut last = StartError::PortTaken("etcd");
        for _ in 0..ATTEMPTS {
            // Ports are free when chosen and may be taken when used, so a new attempt starts from nothing.
            match Self::attempt(&binaries, &options).await {
                Err(taken @ StartError::PortTaken(_)) => {
                    if let Some(folder) = &options.folder {
                        // Whoever has the port now is not the control plane of this folder.
                        write_private(&folder.join(ADMIN_KUBECONFIG), "")?;
                    }
                    last = taken;
                }
                other => return other,
            }
        }
        Err(last)
    }

    async fn attempt(binaries: &Binaries, options: &Options) -> Result<Self, StartError> {
        let opened = Folder::open(options.folder.as_deref())?;
        let folder = opened.path();
        let ports = Ports::free()?;
        // First of all, as it marks a fixed folder as ours.
        let admin_kubeconfig = folder.join(ADMIN_KUBECONFIG);
        write_private(&admin_kubeconfig, "")?;
        let certificates = Certificates::make(&folder.join("certificates"))?;
        let credential = Credential::Certificate { certificate: &certificates.admin_certificate, key: &certificates.admin_key };
        let authority = certificates.authority;
        let text = kubeconfig::text(ports.api_server, &authority, "admin", &credential);
        write_private(&admin_kubeconfig, &text)?;
        let admin = kubeconfig::config(&text).await?;
        let client = kubeconfig::client(admin.clone())?;
        fs::create_dir_all(folder.join("logs"))?;
        if let Some(policy) = &options.audit_policy {
            fs::write(folder.join(AUDIT_POLICY), policy)?;
        }

        let etcd_flags = command_line::etcd(ports, folder, options);
        let mut etcd = Process::start("etcd", &binaries.etcd, &etcd_flags, &[], folder)?;
        wait(&mut etcd, &client, Work::Store).await?;

        let api_server_flags = command_line::api_server(ports, folder, &certificates.files, options);
        let mut api_server = Process::start("kube-apiserver", &binaries.kube_apiserver, &api_server_flags, &[], folder)?;
        wait(&mut api_server, &client, Work::Answers).await?;

        let flags = command_line::controller_manager(&admin_kubeconfig, options);
        let mut controller_manager =
            Process::start("kube-controller-manager", &binaries.kube_controller_manager, &flags, &[], folder)?;
        wait(&mut controller_manager, &client, Work::Controls).await?;

        Ok(Self {
            api_server: Mutex::new(Some(api_server)),
            controller_manager,
            etcd: Mutex::new(Some(etcd)),
            api_server_flags,
            etcd_flags,
            binaries: binaries.clone(),
            ports,
            authority,
            admin,
            admin_kubeconfig,
            folder: opened,
        })
    }

    /// A client of the administrator, whom RBAC does not bind.
    ///
    /// NOTE: it belongs to the async runtime that is current here, so tests with a runtime each need a client each.
    #[must_use]
    pub fn admin(&self) -> Client {
        kubeconfig::client(self.admin.clone()).expect("the same configuration made a client at the start")
    }

    /// The administrator's kubeconfig, mode 0600.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin_kubeconfig
    }

    /// The folder of this run: `logs/<process>.log`, `certificates/`, `kubeconfigs/`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the API server has logged for [`Options::audit_policy`] until now, one event each; none without a policy.
    pub fn audit_log(&self) -> io::Result<Vec<serde_json::Value>> {
        let text = match fs::read_to_string(self.folder().join(AUDIT_LOG)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        // The last line may still be in the making.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
    }

    /// Where etcd listens, without encryption: `127.0.0.1:PORT`.
    #[must_use]
    pub fn store(&self) -> String {
        self.ports.store()
    }

    /// The API server's process id; `None` while it is stopped.
    #[must_use]
    pub fn apiserver_pid(&self) -> Option<u32> {
        lock(&self.api_server).as_ref().map(Process::id)
    }

    /// Stops the API server at once, without draining, so that everyone loses it. Stopped already, it stays so.
    pub fn stop_apiserver(&self) {
        drop(lock(&self.api_server).take());
    }

    /// Starts the stopped API server at the same address and waits until it answers. Running already, it runs on.
    pub async fn start_apiserver(&self) -> Result<(), StartError> {
        let (program, flags) = (&self.binaries.kube_apiserver, &self.api_server_flags);
        let start = || Process::start("kube-apiserver", program, flags, &[], self.folder());
        self.start_again(&self.api_server, Work::Answers, start).await
    }

    /// Kills etcd where it stands. The API server runs on without its store.
    pub fn stop_etcd(&self) {
        drop(lock(&self.etcd).take());
    }

    /// Starts the stopped etcd over the same data and waits until it takes requests. Running already, it runs on.
    pub async fn start_etcd(&self) -> Result<(), StartError> {
        let start = || Process::start("etcd", &self.binaries.etcd, &self.etcd_flags, &[], self.folder());
        self.start_again(&self.etcd, Work::Store, start).await
    }

    async fn start_again(
        &self,
        stopped: &Mutex<Option<Process>>,
        work: Work,
        start: impl Fn() -> io::Result<Process>,
    ) -> Result<(), StartError> {
        if lock(stopped).is_some() {
            return Ok(());
        }
        let client = self.admin();
        let begin = Instant::now();
        loop {
            let mut process = start()?;
            match wait(&mut process, &client, work).await {
                // A client's connection may hold the port for a moment, and this port must be it.
                Err(StartError::PortTaken(_)) if begin.elapsed() < PATIENCE => sleep(POLL).await,
                Err(error) => return Err(error),
                Ok(()) => {
                    *lock(stopped) = Some(process);
                    return Ok(());
                }
            }
        }
    }

    /// Stops the controller manager where it stands, so that nothing is collected and no namespace ends.
    pub fn pause_controller_manager(&self) {
        self.controller_manager.signal("STOP");
    }

    /// Lets the controller manager go on.
    pub fn resume_controller_manager(&self) {
        self.controller_manager.signal("CONT");
    }

    /// Lets the processes run on after this one, in their folder, which stays.
    #[must_use = "without the command nobody knows how to stop it"]
    pub fn keep(self) -> Kept {
        let [api_server, etcd] = [self.api_server, self.etcd].map(|one| one.into_inner().unwrap_or_else(PoisonError::into_inner));
        let ids: Vec<String> = [api_server, Some(self.controller_manager), etcd]
            .into_iter()
            .flatten()
            .map(|process| process.detach().to_string())
            .collect();
        let kill = format!("kill -KILL {}", ids.join(" "));
        let stop = match self.folder.keep() {
            Some(folder) => {
                let folder = folder.display().to_string().replace('\'', r"'\''");
                format!("{kill}; sleep 1; rm -rf '{folder}'")
            }
            None => kill,
        };
        Kept { kubeconfig: self.admin_kubeconfig, stop }
    }

    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn port(&self) -> u16 {
        self.ports.api_server
    }
}

fn lock(process: &Mutex<Option<Process>>) -> MutexGuard<'_, Option<Process>> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a process does once it is up.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// etcd takes requests.
    Store,
    /// The API server has finished its start hooks, and what it creates for every cluster is there.
    Answers,
    /// The controller manager has filled in an aggregated role.
    Controls,
}

/// Waits until a process does its work, has ended, or took too long.
async fn wait(process: &mut Process, client: &Client, work: Work) -> Result<(), StartError> {
    let start = Instant::now();
    loop {
        // The log of this very process is asked about etcd, as another store may listen at a port that was taken.
        let done = match work {
            Work::Store => process.has_logged("ready to serve client requests"),
            Work::Answers => asked(answers(client)).await,
            Work::Controls => asked(controls(client)).await,
        };
        let name = process.name();
        if let Some(status) = process.ended() {
            if process.has_logged("address already in use") {
                return Err(StartError::PortTaken(name));
            }
            let log = last_lines(process.log(), LOG_LINES);
            return Err(StartError::Ended { process: name, status, log });
        }
        if done {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            let log = last_lines(process.log(), LOG_LINES);
            return Err(StartError::NotReady { process: name, log });
        }
        sleep(POLL).await;
    }
}

/// Whether the answer is there, good, and in time.
async fn asked(question: impl Future<Output = Result<bool, kube::Error>>) -> bool {
    matches!(timeout(ANSWER, question).await, Ok(Ok(true)))
}

async fn answers(client: &Client) -> Result<bool, kube::Error> {
    // The shortest way to a request for a path of our own.
    let request = Request::new("").get("readyz", &GetParams::default()).map_err(kube::Error::BuildRequest)?;
    let ready = client.request_text(request).await? == "ok";
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = namespaces.get_opt("default").await?;
    Ok(ready && namespace.is_some())
}

async fn controls(client: &Client) -> Result<bool, kube::Error> {
    let roles: Api<ClusterRole> = Api::all(client.clone());
    let view = roles.get_opt("view").await?;
    Ok(view.and_then(|view| view.rules).is_some_and(|rules| !rules.is_empty()))
}
