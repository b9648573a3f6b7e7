//! The project's own binaries, built when a test first asks for one.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The path of `bulla` or `bulla-controller` as of the present sources, in the profile of the running test.
pub fn binary(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "-p", "bulla-cli", "-p", "bulla-controller"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        assert!(build.status().unwrap().success(), "the binaries do not build");
        // A test runs as target/PROFILE/deps/NAME, a benchmark or example elsewhere below target/PROFILE.
        let test = std::env::current_exe().unwrap();
        test.ancestors().find(|folder| folder.join("deps").is_dir()).unwrap().to_owned()
    });
    folder.join(name)
}
