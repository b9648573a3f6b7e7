# Every job of the project; `just` alone lists them. `.ci/run` calls the same recipes.

_list:
    @just --list --unsorted

# Seal an example, apply it to a real API server, show the Secret and a refusal
demo *args:
    cargo demo {{args}}

# All tests: unit, property, vectors, CLI, end to end on a real control plane (built once, a few minutes)
test:
    cargo test --workspace

# Formatting and lints
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# The minimum Rust version of Cargo.toml builds the workspace
msrv:
    scripts/msrv

# Licences, bans, sources, and the number of crates
deps:
    scripts/deps

# Public documentation builds without a warning
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet

# The linter on this repository: silent, but for what .bulla.yaml allows
self-check:
    cargo run --locked --quiet -p bulla-cli -- check

# Write what is generated from the sources: custom resource definitions, help and man pages
generate:
    BULLA_UPDATE=1 cargo test --quiet -p bulla-controller --test generated
    BULLA_UPDATE=1 cargo test --quiet -p bulla-cli --test generated

# Seal and open one value: ours and Go's age side by side
bench-value:
    cargo run --release --quiet -p bulla-tests --bin bench -- value

# Change one item of a file: `bulla set` and `kubeseal --merge-into` side by side
bench-edit:
    cargo run --release --quiet -p bulla-tests --bin bench -- edit

# Rewrap a repository, offline and through a cluster, and reconcile under a flood of rewrap requests
bench-keys:
    cargo run --release --quiet -p bulla-tests --bin bench -- keys

# 1,000 to 10,000 objects, a restart over them, memory and latency, beside the API server's limit and Sealed Secrets (a quarter of an hour)
bench-controller:
    cargo run --release --quiet -p bulla-tests --bin bench -- controller

# The controller's image and its SBOM, built and checked without a container daemon (a release build: several minutes)
image:
    scripts/image/build

# How much goes through the redactor of `bulla exec` beside `cat`, and what it adds to one line
bench-redact:
    cargo bench --quiet -p bulla-cli --bench redact

# Check a tree of 10,000 files, beside reading and parsing the same files
bench-check:
    cargo run --release --quiet -p bulla-tests --bin bench -- check

# Detection of plaintext on the labelled corpus, beside gitleaks (built once from its Go module)
bench-detect:
    cargo build --release --quiet -p bulla-cli
    scripts/detection

# Fuzz one target for so many seconds (needs a nightly toolchain and cargo-fuzz)
fuzz target seconds="600":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}} -max_len=65536

# Everything that CI runs
ci:
    .ci/run
