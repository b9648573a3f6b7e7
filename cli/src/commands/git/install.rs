//! `bulla git install`: the pre-commit hook, and the drivers for diff and merge. Nothing that is there already is replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::ask;
use crate::error::{Error, Kind, note};
use crate::files::{self, Access};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The hook and the drivers are settings of this clone, so everybody runs it once; .gitattributes is committed. \
    With the pre-commit framework, use --no-hook and the hook bulla-check of this project's .pre-commit-hooks.yaml."
)]
pub(super) struct Args {
    /// Leave the hook out
    #[arg(long)]
    no_hook: bool,
}

const ATTRIBUTES: [&str; 3] = ["*.json diff=bulla merge=bulla", "*.yaml diff=bulla merge=bulla", "*.yml diff=bulla merge=bulla"];
const SETTINGS: [(&str, &str); 3] = [
    // A shell without bulla, as of an editor, shows the file as it is: git diff would fail.
    ("diff.bulla.textconv", "sh -c 'command -v bulla >/dev/null && exec bulla git textconv -- \"$1\"; exec cat -- \"$1\"' -"),
    ("merge.bulla.name", "sealed values item by item"),
    ("merge.bulla.driver", "bulla git merge --marker-size %L --path=%P -- %O %A %B"),
];
const CHECK: &str = "bulla check --staged";

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let folder = std::env::current_dir().map_err(|error| Error::new(Kind::Io, "no working directory").cause(error))?;
    let root = ask(&folder, &["rev-parse", "--show-toplevel"])?.ok_or_else(|| {
        Error::new(Kind::Configuration, "this is not the working tree of a Git repository").hint("run it in one, or: git init")
    })?;
    install(Path::new(&root), !args.no_hook)
}

/// Sets up the repository at `root`.
pub(in crate::commands) fn install(root: &Path, with_hook: bool) -> Result<(), Error> {
    let path = root.join(".gitattributes");
    let before = attributes(&path)?;
    let mut bytes = before.clone().unwrap_or_default();
    for (name, value) in SETTINGS {
        if ask(root, &["config", name, value])?.is_none() {
            return Err(
                Error::new(Kind::Io, format!("git does not take the setting {name}")).hint("check who may write .git/config")
            );
        }
    }
    let has = |line: &str| bytes.split(|byte| *byte == b'\n').any(|there| there.trim_ascii() == line.as_bytes());
    let missing: Vec<_> = ATTRIBUTES.into_iter().filter(|line| !has(line)).collect();
    if !missing.is_empty() {
        if bytes.last().is_some_and(|last| *last != b'\n') {
            bytes.push(b'\n');
        }
        for line in missing {
            bytes.extend(line.as_bytes());
            bytes.push(b'\n');
        }
        match before {
            Some(before) => files::replace_if_still(&path, &before, &bytes)?,
            None => files::create(&path, &bytes, Access::Default)?,
        }
        note("wrote .gitattributes: commit it, so that others have the diff and the merge too");
    }
    note("git diff and git merge show and join sealed files item by item, in this clone");
    if with_hook { install_hook(root) } else { Ok(()) }
}

/// What is in the file, if there is one. Whoever writes to the repository may have put a link there, and what it leads to is not ours to change.
fn attributes(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let failed = |cause: &dyn std::fmt::Display| Error::new(Kind::Io, format!("cannot change {}", path.display())).cause(cause);
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            Err(failed(&"it is no regular file")
                .hint("Git itself reads no .gitattributes that is a link: put a file in its place"))
        }
        Ok(_) => fs::read(path).map(Some).map_err(|error| failed(&error).hint("check who may read it: ls -l")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&error).hint("check who may read it: ls -l")),
    }
}

/// What the pre-commit hook is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands) enum Hook {
    Missing,
    /// It has no line that checks.
    Other,
    /// It has one, but Git does not run it.
    NotExecutable,
    Checks,
}

/// The hook's file, and what it is.
pub(in crate::commands) fn hook(root: &Path) -> Result<(PathBuf, Hook), Error> {
    let path = ask(root, &["rev-parse", "--git-path", "hooks/pre-commit"])?.unwrap_or_else(|| ".git/hooks/pre-commit".to_owned());
    let path = root.join(path);
    let Ok(text) = fs::read(&path) else { return Ok((path, Hook::Missing)) };
    let checks = |line: &str| !line.trim_start().starts_with('#') && line.contains("bulla check");
    let hook = if !String::from_utf8_lossy(&text).lines().any(checks) {
        Hook::Other
    } else if is_executable(&path) {
        Hook::Checks
    } else {
        Hook::NotExecutable
    };
    Ok((path, hook))
}

/// Whether the file is, or would be, below the folder, wherever links lead.
fn is_below(folder: &Path, path: &Path) -> bool {
    // What is not there yet is no link.
    let there = path.ancestors().skip(1).find_map(|above| fs::canonicalize(above).ok());
    fs::canonicalize(folder).ok().zip(there).is_some_and(|(folder, there)| there.starts_with(folder))
}

fn install_hook(root: &Path) -> Result<(), Error> {
    let (path, hook) = hook(root)?;
    match hook {
        Hook::Checks => {
            note(format!("{} checks what is committed", path.display()));
            Ok(())
        }
        Hook::Other => {
            note(format!("there is a hook already; add this line to {}: {CHECK}", path.display()));
            Ok(())
        }
        Hook::NotExecutable => {
            note(format!("there is a hook already, which Git does not run; make it executable: chmod +x {}", path.display()));
            Ok(())
        }
        // Hooks of all repositories are not ours to write.
        Hook::Missing if !is_below(root, &path) && ask(root, &["config", "core.hooksPath"])?.is_some() => {
            note(format!("core.hooksPath leads out of this repository; let its pre-commit hook run: {CHECK}"));
            Ok(())
        }
        Hook::Missing => {
            let text = format!(
                "#!/bin/sh\n# By bulla git install: no plaintext Secret and no broken sealed file is committed.\nexec {CHECK}\n"
            );
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(|error| {
                    Error::new(Kind::Io, format!("cannot make {}", folder.display()))
                        .cause(error)
                        .hint("check who may write there")
                })?;
            }
            files::create(&path, text.as_bytes(), Access::Default)?;
            make_executable(&path)?;
            note(format!("wrote {}: {CHECK}", path.display()));
            Ok(())
        }
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|error| {
        Error::new(Kind::Io, format!("cannot make {} executable", path.display())).cause(error).hint("chmod +x it")
    })
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<(), Error> {
    Ok(())
}
