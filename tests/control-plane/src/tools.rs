//! Foreign tools and data that interop tests compare with, each built once from a pinned Go module.
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

const VECTORS: GoModule = GoModule {
    name: "age-vectors",
    go_mod: include_str!("../go/vectors/go.mod"),
    go_sum: include_str!("../go/vectors/go.sum"),
    product: Product::Files { module: "c2sp.org/CCTV/age", folder: "testdata" },
    usually: " (once; seconds)",
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
