//! Names of environment variables, and those that change how programs run: a file from a repository must not choose one of them.

use std::fmt;
use std::str::FromStr;

/// The name of an environment variable: letters, digits and `_`, no digit first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Variable(String);

impl Variable {
    /// For an item that has no name on the command line: in upper case, `_` for what a name may not have.
    pub fn of_item(prefix: &str, item: &str) -> Result<Self, BadName> {
        let name = item.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
        format!("{prefix}{}", name.collect::<String>()).parse()
    }

    /// The same name for a file that holds the value, as container images have it.
    #[must_use]
    pub fn of_file(&self) -> Self {
        Self(format!("{}_FILE", self.0))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What this name does besides holding a value, if it is known for something.
    #[must_use]
    pub fn changes(&self) -> Option<&'static str> {
        let name = self.0.to_ascii_uppercase();
        let known = |(names, what): &(&str, &'static str)| {
            let hit = names.split_whitespace().any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == pattern,
            });
            hit.then_some(*what)
        };
        RESERVED.iter().find_map(known)
    }
}

impl FromStr for Variable {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let first = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if letters && first { Ok(Self(text.to_owned())) } else { Err(BadName) }
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Not the name of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an environment variable")]
pub struct BadName;

/// Names, with `*` for any ending, and what they change. No such list is complete: it catches slips, behind the command line that names each
/// variable. Names that usually hold a credential or the path of one (`KUBECONFIG`) are not in it.
const RESERVED: &[(&str, &str)] = &[
    ("LD_* DYLD_* GCONV_PATH GLIBC_TUNABLES LOCPATH NLSPATH MALLOC_*", "what is loaded into every program"),
    ("PATH HOME SHELL IFS ENV CDPATH GLOBIGNORE TMPDIR PWD XDG_* SYSTEMD_* TERMINFO*", "what programs are run and where"),
    ("BASH_* BASHOPTS SHELLOPTS PS1 PS4 PROMPT_COMMAND ZDOTDIR FPATH INPUTRC HISTFILE", "what a shell runs"),
    (
        "NODE_* NPM_CONFIG_* YARN_* PYTHON* PIP_* UV_* VIRTUAL_ENV CONDA_* PERL5* PERLLIB RUBY* GEM_* BUNDLE_* PHPRC \
         PHP_INI_SCAN_DIR COMPOSER_HOME LUA_* R_* JULIA_* TCLLIBPATH",
        "what an interpreter runs",
    ),
    ("JAVA_* _JAVA_OPTIONS JDK_* CLASSPATH MAVEN_* MVN_* GRADLE_* SBT_* ANT_*", "what Java runs"),
    (
        "GOFLAGS GOPROXY GOENV GOROOT GOPATH GOBIN GOTOOLCHAIN GOSUMDB CARGO_* RUSTC* RUSTUP_* DOTNET_* CORECLR_* \
         MAKEFLAGS MFLAGS GNUMAKEFLAGS MAKEFILES MAKEOVERRIDES CC CXX CFLAGS LDFLAGS TAR_OPTIONS GZIP XZ_OPT \
         XZ_DEFAULTS ZSTD_* RSYNC_* SVN_SSH CVS_RSH PSQLRC PGSYSCONFDIR MYSQL_HOME HELM_* ANSIBLE_CONFIG TF_CLI_* \
         TF_PLUGIN_* KUBE_EDITOR KUBECTL_* NIX_*",
        "what a tool runs",
    ),
    ("GIT_* SSH_ASKPASS SUDO_* EDITOR VISUAL PAGER MANPAGER LESS LESSOPEN LESSCLOSE BROWSER", "what Git and others start"),
    ("HTTP_PROXY HTTPS_PROXY ALL_PROXY FTP_PROXY NO_PROXY DOCKER_HOST", "through whom connections go"),
    ("SSL_* OPENSSL_* CURL_* WGETRC REQUESTS_CA_BUNDLE RES_OPTIONS HOSTALIASES LOCALDOMAIN", "whom connections trust"),
    ("GITHUB_* RUNNER_* ACTIONS_* CI CI_* GITLAB_*", "what GitHub and GitLab tell a job"),
    ("SYSTEM_* AGENT_* BUILD_* TF_BUILD VSO_* JENKINS_* HUDSON_* JOB_* WORKSPACE", "what Azure DevOps and Jenkins tell a job"),
    ("BULLA_*", "what bulla does"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_items() {
        for (prefix, item, name) in [
            ("", "password", "PASSWORD"),
            ("DB_", "tls.crt", "DB_TLS_CRT"),
            ("", ".dockerconfigjson", "_DOCKERCONFIGJSON"),
            ("x", "1-a", "x1_A"),
        ] {
            assert_eq!(Variable::of_item(prefix, item).unwrap().as_str(), name);
        }
        assert_eq!(Variable::of_item("", "1password"), Err(BadName));
        assert_eq!(Variable::of_item("DB-", "a"), Err(BadName));
        for text in ["", "1", "A=B", "A B", "Ä", "A\0"] {
            assert_eq!(text.parse::<Variable>(), Err(BadName), "{text}");
        }
    }

    #[test]
    fn names_that_do_more() {
        for name in [
            "LD_PRELOAD",
            "BASH_ENV",
            "NODE_OPTIONS",
            "PATH",
            "GITHUB_ENV",
            "GITHUB_TOKEN",
            "Path",
            "https_proxy",
            "PYTHONPATH",
            "BULLA_IDENTITY",
            "MAKEFLAGS",
            "TAR_OPTIONS",
            "PIP_INDEX_URL",
            "JAVA_HOME",
            "PSQLRC",
            "SYSTEMD_PAGER",
        ] {
            assert!(name.parse::<Variable>().unwrap().changes().is_some(), "{name}");
        }
        for name in ["PASSWORD", "DB_PATH", "PATHS", "KUBECONFIG", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "CIPHER", "ENVIRONMENT"]
        {
            assert_eq!(name.parse::<Variable>().unwrap().changes(), None, "{name}");
        }
    }
}
