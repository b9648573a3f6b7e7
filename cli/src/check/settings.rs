//! The section `check` of `.bulla.yaml`: other severities, and findings that are allowed, with a reason.

use std::collections::BTreeMap;

use globset::GlobBuilder;
use schemars::JsonSchema;
use serde::Deserialize;

use super::rule::{Rule, Severity};

/// What `.bulla.yaml` says about checking.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Another severity for rules of docs/rules.md.
    #[serde(default)]
    severity: BTreeMap<String, Level>,
    /// Findings that are allowed.
    #[serde(default)]
    allow: Vec<Allowed>,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    Off,
    Note,
    Warning,
    Error,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Allowed {
    /// Id of the rule.
    rule: String,
    /// Glob relative to this file.
    path: String,
    /// Why.
    reason: String,
}

impl Settings {
    /// Whether every rule is known, every glob is one, and every reason says something.
    pub fn validate(&self) -> Result<(), String> {
        let rules = self.severity.keys().chain(self.allow.iter().map(|allowed| &allowed.rule));
        if let Some(unknown) = rules.into_iter().find(|rule| Rule::named(rule).is_none()) {
            return Err(format!("check: there is no rule {unknown}; docs/rules.md lists them"));
        }
        for (number, allowed) in (1..).zip(&self.allow) {
            glob(&allowed.path).map_err(|error| format!("check.allow {number}: {error}"))?;
            if allowed.reason.trim().is_empty() {
                return Err(format!("check.allow {number}: the reason is empty"));
            }
        }
        Ok(())
    }

    /// The severity of a rule; none if it is off.
    #[must_use]
    pub fn severity(&self, rule: &Rule) -> Option<Severity> {
        match self.severity.get(rule.id) {
            None => Some(rule.severity),
            Some(Level::Off) => None,
            Some(Level::Note) => Some(Severity::Note),
            Some(Level::Warning) => Some(Severity::Warning),
            Some(Level::Error) => Some(Severity::Error),
        }
    }

    /// What is allowed: rule and glob.
    #[must_use]
    pub fn allowed(&self) -> Vec<(&'static Rule, globset::GlobMatcher)> {
        let compiled = |allowed: &Allowed| Some((Rule::named(&allowed.rule)?, glob(&allowed.path).ok()?));
        self.allow.iter().filter_map(compiled).collect()
    }
}

fn glob(path: &str) -> Result<globset::GlobMatcher, globset::Error> {
    // As the paths of rules: `*` stays in its folder.
    Ok(GlobBuilder::new(path).literal_separator(true).build()?.compile_matcher())
}
