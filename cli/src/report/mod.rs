//! Reports of `bulla check`, one file per format, and which one a pipeline wants.
//!
//! A report is made of findings, which hold no value; all text in it is escaped for where it goes.

mod azure;
mod github;
mod gitlab;
mod json;
mod junit;
mod sarif;
mod summary;
mod text;

use crate::check::Report;
use crate::error::Error;

/// The form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people, with the source line
    Text,
    /// All there is, also as a baseline
    Json,
    /// SARIF 2.1.0, for code hosts and editors
    Sarif,
    /// JUnit XML, for test reports
    Junit,
    /// GitLab Code Quality
    Gitlab,
    /// Workflow commands of GitHub Actions, and its step summary
    Github,
    /// Logging commands of Azure DevOps, and its summary
    Azure,
}

/// Where the command runs, as the environment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pipeline {
    Github,
    Gitlab,
    Azure,
    Jenkins,
}

impl Format {
    /// What is usual where this runs: annotations in the log, a file that the pipeline reads with `-o`.
    #[must_use]
    pub fn detect(to_file: bool, variable: impl Fn(&str) -> Option<String>) -> Self {
        match (pipeline(variable), to_file) {
            (Some(Pipeline::Github), false) => Self::Github,
            (Some(Pipeline::Github), true) => Self::Sarif,
            (Some(Pipeline::Gitlab), true) => Self::Gitlab,
            (Some(Pipeline::Azure), false) => Self::Azure,
            (Some(Pipeline::Azure | Pipeline::Jenkins), true) => Self::Junit,
            _ => Self::Text,
        }
    }

    /// The report in this form.
    pub fn render(self, report: &Report) -> Result<String, Error> {
        match self {
            Self::Text => Ok(text::render(report)),
            Self::Json => json::render(report),
            Self::Sarif => sarif::render(report),
            Self::Junit => Ok(junit::render(report)),
            Self::Gitlab => gitlab::render(report),
            Self::Github => Ok(github::render(report)),
            Self::Azure => Ok(azure::render(report)),
        }
    }
}

/// The summary that a pipeline shows beside its log: where it goes is what the environment says.
pub fn summary(format: Format, report: &Report, variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>, Error> {
    match format {
        Format::Github => github::write_summary(report, variable("GITHUB_STEP_SUMMARY")).map(|()| None),
        Format::Azure => azure::write_summary(report, variable("AGENT_TEMPDIRECTORY")),
        _ => Ok(None),
    }
}

/// <https://docs.github.com/actions/reference/variables>, <https://docs.gitlab.com/ci/variables/predefined_variables>,
/// <https://learn.microsoft.com/azure/devops/pipelines/build/variables>.
fn pipeline(variable: impl Fn(&str) -> Option<String>) -> Option<Pipeline> {
    let is = |name: &str, value: &str| variable(name).is_some_and(|found| found == value);
    if is("GITHUB_ACTIONS", "true") {
        Some(Pipeline::Github)
    } else if is("GITLAB_CI", "true") {
        Some(Pipeline::Gitlab)
    } else if is("TF_BUILD", "True") {
        Some(Pipeline::Azure)
    } else {
        variable("JENKINS_URL").map(|_| Pipeline::Jenkins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pipeline_decides() {
        for (name, value, log, file) in [
            ("GITHUB_ACTIONS", "true", Format::Github, Format::Sarif),
            ("GITLAB_CI", "true", Format::Text, Format::Gitlab),
            ("TF_BUILD", "True", Format::Azure, Format::Junit),
            ("JENKINS_URL", "https://jenkins.example/", Format::Text, Format::Junit),
            ("CI", "true", Format::Text, Format::Text),
            ("GITHUB_ACTIONS", "false", Format::Text, Format::Text),
        ] {
            let variable = |asked: &str| (asked == name).then(|| value.to_owned());
            assert_eq!((Format::detect(false, variable), Format::detect(true, variable)), (log, file), "{name}");
        }
    }
}
