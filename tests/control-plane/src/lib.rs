//! A real Kubernetes control plane on loopback, for tests and the demo.
//!
//! [`ControlPlane::start`] brings up etcd, kube-apiserver with RBAC on, and kube-controller-manager (garbage
//! collection, namespaces, aggregated roles) on free ports, ready in 3 to 5 s on two cores. There is no kubelet and no
//! scheduler: nothing runs pods. The binaries come from pinned Go modules and are built once into the user's cache
//! ([`assets`]), as are the foreign tools that interop tests compare with ([`tools`]).
//!
//! Whatever happens to the process that started it, the control plane does not outlive it, unless
//! [`ControlPlane::keep`] says so.
//!
//! | file | idea |
//! | --- | --- |
//! | `go_module.rs` | builds a pinned Go module once, whoever asks |
//! | `assets.rs` | where the control plane's binaries come from |
//! | `tools.rs` | `age`, `kubeseal`, `helm`, `promtool`, a Lua, Flux's kustomize-controller, the age test vectors |
//! | `process.rs` | a child process that never outlives us |
//! | `folder.rs` | the folder of a run, and that it goes away |
//! | `certificates.rs` | who trusts whom |
//! | `kubeconfig.rs` | a kubeconfig and the client made of it |
//! | `command_line.rs` | the flags of the three processes |
//! | `plane.rs` | start, readiness, stop |
//! | `service_account.rs` | acting as a `ServiceAccount`, by token |
//! | `kubectl.rs` | applying manifests as a user would |

pub mod assets;
mod certificates;
mod command_line;
mod folder;
mod go_module;
mod kubeconfig;
mod kubectl;
mod plane;
mod process;
mod service_account;
pub mod tools;

pub use folder::FolderError;
pub use go_module::BuildError;
pub use kubeconfig::ClientError;
pub use kubectl::ApplyError;
pub use plane::{ControlPlane, Kept, Options, StartError};
pub use process::Process;
pub use service_account::IdentityError;
