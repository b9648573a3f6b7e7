//! Each file is what its host takes: YAML by the host's published schema, Groovy by a Groovy parser. The tools come from `PyPI` once, into the cache
//! folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use super::scripts::example;

/// A folder with the tools, made by whichever test asks first.
pub(super) fn tools() -> &'static Path {
    static TOOLS: OnceLock<PathBuf> = OnceLock::new();
    TOOLS.get_or_init(install)
}

fn install() -> PathBuf {
    let wanted = include_str!("requirements.txt");
    let cache = env::var_os("BULLA_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("XDG_CACHE_HOME")?).join("bulla")));
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache/bulla"))).expect("a cache folder");
    let folder = cache.join("pipeline-tools");
    if fs::read_to_string(folder.join("installed")).is_ok_and(|installed| installed == wanted) {
        return folder.join("bin");
    }
    fs::create_dir_all(&cache).unwrap();
    let run = |program: PathBuf, args: &[&str]| {
        let output = Command::new(&program).args(args).output().unwrap();
        assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    };
    run("python3".into(), &["-m", "venv", "--clear", folder.to_str().unwrap()]);
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pipelines/requirements.txt");
    run(folder.join("bin/python"), &["-m", "pip", "install", "--quiet", "--requirement", list]);
    fs::write(folder.join("installed"), wanted).unwrap();
    folder.join("bin")
}

/// Files of the examples with this ending, below a folder of theirs.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![example(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    assert!(!found.is_empty());
    found
}

#[test]
fn yaml_is_what_its_host_takes() {
    let tools = tools();
    let validate = |schema: &str, more: &[&str], files: &[String]| {
        let mut command = Command::new(tools.join("check-jsonschema"));
        // The default takes only what is a regular expression in ECMAScript; one of Azure's schema is not.
        command.args(["--regex-variant", "python", "--builtin-schema", schema]).args(more).args(files);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    };
    validate("vendor.github-workflows", &[], &files("github/workflows", ".yml"));
    validate("vendor.github-actions", &[], &files("github/actions", ".yml"));
    validate("vendor.azure-pipelines", &[], &files("azure", ".yml"));
    validate("vendor.gitlab-ci", &["--data-transform", "gitlab-ci"], &files("gitlab", "-ci.yml"));
    // A component is a header and what is included.
    let folder = tempfile::tempdir().unwrap();
    for (number, document) in fs::read_to_string(example("gitlab/templates/bulla.yml")).unwrap().split("\n---\n").enumerate() {
        let path = folder.path().join(format!("{number}.yml"));
        fs::write(&path, document).unwrap();
        validate("vendor.gitlab-ci", &[], &[path.to_str().unwrap().to_owned()]);
    }
}

#[test]
fn jenkins_files_are_groovy() {
    const PARSE: &str = "import sys; from groovy_parser.parser import parse_groovy_content as parse\nfor f in sys.argv[1:]: parse(open(f).read())";
    let python = tools().join("python");
    let parse = |files: &[String]| Command::new(&python).args(["-c", PARSE]).args(files).output().unwrap();
    let output = parse(&[files("jenkins", "Jenkinsfile"), files("jenkins", ".groovy")].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // It can tell.
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("Jenkinsfile");
    fs::write(&broken, "pipeline { agent any; stages { ").unwrap();
    assert!(!parse(&[broken.to_str().unwrap().to_owned()]).status.success());
}
