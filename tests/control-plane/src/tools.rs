//! Foreign tools and data that tests compare with, each built once from a pinned Go module.
//!
//! They are real releases by other people, so that a test never agrees only with itself. All functions block: seconds
//! at the first time, nothing later.

use std::path::PathBuf;

use crate::go_module::{BuildError, GoModule, Product};

const INSTEAD: &str = "there is no other way to get it for these tests";

const AGE: GoModule = GoModule {
    name: "age",
    go_mod: include_str!("../go/tools/go.mod"),
    go_sum: include_str!("../go/tools/go.sum"),
    product: Product::Tools { ldflags: "-s -w", renames: &[] },
    usually: " (once; seconds)",
    instead: INSTEAD,
};

const KUBESEAL: GoModule = GoModule {
    name: "kubeseal",
    go_mod: include_str!("../go/kubeseal/go.mod"),
    go_sum: include_str!("../go/kubeseal/go.sum"),
    product: Product::Tools { ldflags: "-s -w -X main.VERSION=v0.27.1", renames: &[] },
    usually: " (once; half a minute on two cores)",
    instead: INSTEAD,
};

const FLUX: GoModule = GoModule {
    name: "flux",
    go_mod: include_str!("../go/flux/go.mod"),
    go_sum: include_str!("../go/flux/go.sum"),
    product: Product::Tools { ldflags: "-s -w", renames: &[] },
    usually: " (once; 3 minutes on two cores)",
    instead: INSTEAD,
};

/// The definitions that Flux installs with one of its controllers.
const fn flux_definitions_of(module: &'static str) -> GoModule {
    GoModule {
        name: "flux-definitions",
        go_mod: include_str!("../go/flux-definitions/go.mod"),
        go_sum: include_str!("../go/flux-definitions/go.sum"),
        product: Product::Files { module, folder: "config/crd/bases" },
        usually: " (once; seconds)",
        instead: INSTEAD,
    }
}

const VECTORS: GoModule = GoModule {
    name: "age-vectors",
    go_mod: include_str!("../go/vectors/go.mod"),
    go_sum: include_str!("../go/vectors/go.sum"),
    product: Product::Files { module: "c2sp.org/CCTV/age", folder: "testdata" },
    usually: " (once; seconds)",
    instead: INSTEAD,
};

const HELM: GoModule = GoModule {
    name: "helm",
    go_mod: include_str!("../go/helm/go.mod"),
    go_sum: include_str!("../go/helm/go.sum"),
    product: Product::Tools {
        // Without these it takes every cluster that it does not ask for Kubernetes 1.20.
        ldflags: "-s -w -X helm.sh/helm/v3/internal/version.version=v3.22.0 \
                  -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37 \
                  -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=37",
        renames: &[],
    },
    usually: " (once; a minute and a half on two cores)",
    instead: INSTEAD,
};

const LUA: GoModule = GoModule {
    name: "lua",
    go_mod: include_str!("../go/lua/go.mod"),
    go_sum: include_str!("../go/lua/go.sum"),
    product: Product::Tools { ldflags: "-s -w", renames: &[] },
    usually: " (once; seconds)",
    instead: INSTEAD,
};

const PROMTOOL: GoModule = GoModule {
    name: "promtool",
    go_mod: include_str!("../go/promtool/go.mod"),
    go_sum: include_str!("../go/promtool/go.sum"),
    product: Product::Tools { ldflags: "-s -w", renames: &[] },
    usually: " (once; 4 minutes on two cores)",
    instead: INSTEAD,
};

/// Go's `age` 1.3.1, which knows the hybrid recipients.
pub fn age() -> Result<PathBuf, BuildError> {
    Ok(AGE.ready()?.join("age"))
}

/// `age-keygen` 1.3.1; `-pq` makes a hybrid identity.
pub fn age_keygen() -> Result<PathBuf, BuildError> {
    Ok(AGE.ready()?.join("age-keygen"))
}

/// `kubeseal` 0.27.1 of Sealed Secrets.
pub fn kubeseal() -> Result<PathBuf, BuildError> {
    Ok(KUBESEAL.ready()?.join("kubeseal"))
}

/// `helm` 3.22.0.
pub fn helm() -> Result<PathBuf, BuildError> {
    Ok(HELM.ready()?.join("helm"))
}

/// `glua`, the command of the Lua that Argo CD runs its health checks with.
pub fn lua() -> Result<PathBuf, BuildError> {
    Ok(LUA.ready()?.join("glua"))
}

/// `promtool` of Prometheus 3.15, which checks and tests alert rules.
pub fn promtool() -> Result<PathBuf, BuildError> {
    Ok(PROMTOOL.ready()?.join("promtool"))
}

/// Flux's `kustomize-controller` 1.9.5.
pub fn kustomize_controller() -> Result<PathBuf, BuildError> {
    Ok(FLUX.ready()?.join("kustomize-controller"))
}

/// The folders of Flux's custom resource definitions: of `Kustomization`, and of the sources that it may name.
pub fn flux_definitions() -> Result<[PathBuf; 2], BuildError> {
    let of = |module| flux_definitions_of(module).ready();
    Ok([of("github.com/fluxcd/kustomize-controller")?, of("github.com/fluxcd/source-controller")?])
}

/// The folder of the C2SP/CCTV age test vectors, one file each: a header of `key: value` lines, an empty line, the age
/// file.
pub fn age_vectors() -> Result<PathBuf, BuildError> {
    VECTORS.ready()
}

/// Our own program around Go's `age` library, the other side of `just bench-value`; see `go/bench/main.go`.
pub fn bench() -> Result<PathBuf, BuildError> {
    own(&Own {
        name: "age-bench",
        program: "bench",
        source: include_str!("../go/bench/main.go"),
        go_mod: include_str!("../go/bench/go.mod"),
        go_sum: include_str!("../go/bench/go.sum"),
        usually: " (once; seconds)",
    })
}

/// Our own program that reads a text as kubectl does; see `go/reader/main.go`.
pub fn reader() -> Result<PathBuf, BuildError> {
    own(&Own {
        name: "kubectl-reader",
        program: "reader",
        source: include_str!("../go/reader/main.go"),
        go_mod: include_str!("../go/reader/go.mod"),
        go_sum: include_str!("../go/reader/go.sum"),
        usually: " (once; half a minute on two cores)",
    })
}

/// A program of ours in `go/PROGRAM`.
struct Own {
    name: &'static str,
    program: &'static str,
    source: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
    usually: &'static str,
}

fn own(own: &Own) -> Result<PathBuf, BuildError> {
    // The program is a module beside this crate, taken in as any other module's tool; its text names the build, as a version would.
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, own.source.as_bytes());
    let tool = format!("bulla.dev/tests/{}", own.program);
    let build = own.go_mod.replace(&format!("module {tool}"), &format!("module {tool}/build"));
    let here = format!("{}/go/{}", env!("CARGO_MANIFEST_DIR"), own.program);
    let go_mod = format!("{build}\ntool {tool}\n\nrequire {tool} v0.0.0\n\nreplace {tool} => {here:?} // {digest:?}\n");
    let module = GoModule {
        name: own.name,
        go_mod: go_mod.leak(),
        go_sum: own.go_sum,
        product: Product::Tools { ldflags: "-s -w", renames: &[] },
        usually: own.usually,
        instead: INSTEAD,
    };
    Ok(module.ready()?.join(own.program))
}
