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

    /// The one name that all have which differ from it in case alone, for those that see no difference.
    #[must_use]
    pub fn in_any_case(&self) -> Self {
        Self(self.0.to_ascii_uppercase())
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
/// variable. Names that usually hold a credential or the path of one (`KUBECONFIG`) are not in it. Where a program's names are credentials as well as
/// settings, only the settings are named: `POETRY_PYPI_TOKEN_…`, `COREPACK_NPM_TOKEN`, `NUGET_API_KEY`, `RELEASE_COOKIE`, `SECRET_KEY`, `INPUT_TOKEN` and
/// their like are for values.
const RESERVED: &[(&str, &str)] = &[
    ("LD_* DYLD_* GCONV_PATH GLIBC_TUNABLES LOCPATH NLSPATH MALLOC_* __XPC_*", "what is loaded into every program"),
    (
        "PATH HOME SHELL IFS ENV CDPATH GLOBIGNORE TMPDIR TMP TEMP PWD XDG_* SYSTEMD_* TERMINFO*",
        "what programs are run and where",
    ),
    ("BASH_* BASHOPTS SHELLOPTS PS1 PS4 PROMPT_COMMAND ZDOTDIR FPATH INPUTRC HISTFILE PSMODULEPATH", "what a shell runs"),
    // Node, Python, Perl, Ruby, PHP, Erlang and others.
    (
        "NODE_* NPM_CONFIG_* YARN_* TS_NODE_* ELECTRON_RUN_AS_NODE COREPACK_NPM_REGISTRY COREPACK_HOME COREPACK_ROOT \
         COREPACK_ENABLE_* COREPACK_DEFAULT_TO_LATEST COREPACK_INTEGRITY_KEYS \
         PYTHON* __PYVENV_LAUNCHER__ PIP_* UV_* VIRTUAL_ENV CONDA_* PYENV_* POETRY_HOME POETRY_CONFIG_DIR POETRY_DATA_DIR \
         POETRY_CACHE_DIR POETRY_CERTIFICATES_* POETRY_INSTALLER_* POETRY_REPOSITORIES_* POETRY_VIRTUALENVS_* \
         PIPENV_PIPFILE PIPENV_PYPI_MIRROR PIPENV_PYTHON PIPENV_DEFAULT_PYTHON_VERSION PIPENV_SHELL PIPENV_CACHE_DIR \
         PERL5* PERLLIB PERLDB_OPTS PERL_MM_* PERL_MB_* PERL_CPAN* PERL_LWP_* PERL_LOCAL_LIB_ROOT PERL_USE_UNSAFE_INC \
         RUBY* GEM_* BUNDLE_* IRBRC PHPRC PHP_INI_SCAN_DIR COMPOSER_HOME \
         ERL_* ELIXIR_ERL_OPTIONS RELEASE_ROOT RELEASE_PROG RELEASE_TMP RELEASE_VM_ARGS RELEASE_REMOTE_VM_ARGS \
         RELEASE_SYS_CONFIG RELEASE_BOOT_SCRIPT* LUA_* R_* JULIA_* TCLLIBPATH",
        "what an interpreter runs",
    ),
    (
        "JAVA_* _JAVA_OPTIONS IBM_JAVA_OPTIONS OPENJ9_JAVA_OPTIONS JDK_* JRE_HOME CLASSPATH M2_HOME MAVEN_* MVN_* GRADLE_* \
         SBT_* ANT_*",
        "what Java runs",
    ),
    // Go, Rust, .NET, C and Apple's tools.
    (
        "GOFLAGS GOPROXY GOENV GOROOT GOPATH GOBIN GOTOOLCHAIN GOSUMDB GONOSUMDB GOINSECURE GOAUTH GOCACHEPROG \
         GOPACKAGESDRIVER GODEBUG CGO_* CARGO_* RUSTC* RUSTUP_* RUSTFLAGS RUSTDOCFLAGS \
         DOTNET_* CORECLR_* COR_* COMPLUS_* ASPNETCORE_HOSTINGSTARTUPASSEMBLIES MSBUILD* NUGET_PACKAGES NUGET_PLUGIN* \
         NUGET_NETCORE_PLUGIN* NUGET_NETFX_PLUGIN* NUGET_CREDENTIALPROVIDER* NUGET_EXTENSIONS_PATH NUGET_FALLBACK_PACKAGES \
         MAKEFLAGS MFLAGS GNUMAKEFLAGS MAKEFILES MAKEOVERRIDES CC CXX AR LD CFLAGS CXXFLAGS CPPFLAGS LDFLAGS CPATH \
         LIBRARY_PATH COMPILER_PATH GCC_EXEC_PREFIX PKG_CONFIG* CMAKE_* CONFIG_SITE CONFIG_SHELL CCACHE_* \
         DEVELOPER_DIR SDKROOT TOOLCHAINS",
        "what a compiler runs",
    ),
    (
        "TAR_OPTIONS GZIP XZ_OPT XZ_DEFAULTS ZSTD_* RSYNC_* SVN_SSH CVS_RSH HGRCPATH PSQLRC PSQL_PAGER PSQL_EDITOR PGSYSCONFDIR \
         MYSQL_HOME LIBMYSQL_PLUGINS AWKPATH AWKLIBPATH APT_CONFIG AWS_PAGER AWS_CONFIG_FILE CLOUDSDK_PYTHON HELM_* \
         ANSIBLE_CONFIG ANSIBLE_LIBRARY ANSIBLE_CALLBACK_PLUGINS TF_CLI_* TF_PLUGIN_* TF_REATTACH_PROVIDERS KUBE_EDITOR \
         KUBECTL_* KUSTOMIZE_PLUGIN_HOME NIX_*",
        "what a tool runs",
    ),
    (
        "GIT_* SSH_ASKPASS SSH_AUTH_SOCK SSH_SK_HELPER SSH_SK_PROVIDER SSH_PKCS11_HELPER GH_PAGER GH_EDITOR GH_BROWSER SUDO_* \
         EDITOR VISUAL VIMINIT EXINIT PAGER MANPAGER LESS LESSOPEN LESSCLOSE BROWSER",
        "what Git and others start",
    ),
    ("HTTP_PROXY HTTPS_PROXY ALL_PROXY FTP_PROXY NO_PROXY DOCKER_HOST", "through whom connections go"),
    (
        "SSL_* SSLKEYLOGFILE OPENSSL_* CURL_* WGETRC REQUESTS_CA_BUNDLE RES_OPTIONS HOSTALIASES LOCALDOMAIN",
        "whom connections trust",
    ),
    (
        "GITHUB_* RUNNER_* ACTIONS_* INPUT_SCRIPT* INPUT_RUN INPUT_COMMAND INPUT_ARGS INPUT_ARGUMENTS INPUT_ENTRYPOINT \
         STATE_ISPOST STATE_REPOSITORYPATH STATE_SSH* STATE_CACHE_* CI CI_* GITLAB_* FF_*",
        "what GitHub and GitLab tell a job",
    ),
    (
        "SYSTEM_* AGENT_* BUILD_* TF_BUILD VSO_* AZP_* TASK_* ENDPOINT_URL_* ENDPOINT_AUTH_* ENDPOINT_DATA_* SECRET_SYSTEM_* \
         VSTS_AGENT* VSTS_PUBLIC_* VSTS_SECRET_* VSTS_TASKVARIABLE* RELEASE_ARTIFACTS_* RELEASE_DEFINITION* \
         RELEASE_ENVIRONMENT* RELEASE_RELEASE* RELEASE_PRIMARYARTIFACT* \
         JENKINS_* HUDSON_* JOB_* WORKSPACE WORKSPACE_TMP BRANCH_NAME CHANGE_ID CHANGE_TARGET",
        "what Azure DevOps and Jenkins tell a job",
    ),
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
        let more = "RUSTFLAGS SSLKEYLOGFILE WORKSPACE_TMP CXXFLAGS TMP GOCACHEPROG GOAUTH CGO_CFLAGS COR_PROFILER \
                    COMPlus_EnableDiagnostics ASPNETCORE_HOSTINGSTARTUPASSEMBLIES PSModulePath MSBuildSDKsPath NUGET_PLUGIN_PATHS \
                    IBM_JAVA_OPTIONS M2_HOME ERL_FLAGS ELIXIR_ERL_OPTIONS RELEASE_VM_ARGS PERL_MM_OPT PERLDB_OPTS IRBRC TS_NODE_PROJECT \
                    COREPACK_NPM_REGISTRY PYENV_ROOT POETRY_REPOSITORIES_A_URL PIPENV_PIPFILE __PYVENV_LAUNCHER__ DEVELOPER_DIR \
                    GCC_EXEC_PREFIX LIBRARY_PATH LD AR PKG_CONFIG PKG_CONFIG_PATH CMAKE_TOOLCHAIN_FILE CCACHE_PREFIX SSH_AUTH_SOCK PSQL_PAGER \
                    AWS_PAGER GH_BROWSER VIMINIT AWKPATH HGRCPATH APT_CONFIG TF_REATTACH_PROVIDERS AZP_AGENT_DOWNGRADE ENDPOINT_URL_A \
                    SECRET_SYSTEM_ACCESSTOKEN TASK_DISPLAYNAME INPUT_SCRIPT STATE_isPost RELEASE_RELEASEID VSTS_SECRET_VARIABLES \
                    FF_SCRIPT_SECTIONS CHANGE_ID BRANCH_NAME";
        for name in more.split_whitespace() {
            assert!(name.parse::<Variable>().unwrap().changes().is_some(), "{name}");
        }
        let credentials = "PASSWORD DB_PATH PATHS KUBECONFIG AWS_SECRET_ACCESS_KEY AWS_SHARED_CREDENTIALS_FILE PGPASSWORD CIPHER ENVIRONMENT \
                           POETRY_HTTP_BASIC_A_PASSWORD POETRY_PYPI_TOKEN_A PIPENV_TOKEN INPUT_TOKEN SECRET_KEY SECRET_KEY_BASE NUGET_API_KEY \
                           NUGET_TOKEN PERL_PASSWORD RELEASE_COOKIE RELEASE_KEYSTORE_PASSWORD STATE_ENCRYPTION_KEY ENDPOINT_TOKEN \
                           COREPACK_NPM_TOKEN COREPACK_NPM_PASSWORD VSTS_TOKEN GH_TOKEN CLOUDSDK_AUTH_ACCESS_TOKEN LDAP_PASSWORD ARTIFACTORY_TOKEN";
        for name in credentials.split_whitespace() {
            assert_eq!(name.parse::<Variable>().unwrap().changes(), None, "{name}");
        }
    }
}
