//! The words of a rule.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::detector::Detector;

/// How bad a finding is. Ordered, so that filters and gates are comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth looking at.
    Warning,
    /// Hurts now.
    Critical,
}

impl Severity {
    /// Its name in files and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// How sure a finding is. Anomalies cap it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// A lead: one sample, or evidence with holes where it matters.
    Low,
    /// Likely.
    Medium,
    /// Seen in more than one sample, and nothing in the evidence speaks against it.
    High,
}

impl Confidence {
    /// Its name in files and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A rule's stable id, such as `FD101`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(pub String);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A rule: what is detected, and what to say and do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its stable id.
    pub id: RuleId,
    /// Its short name.
    pub name: String,
    /// What it looks for.
    pub detector: Detector,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a few words, after the number of tasks.
    pub title: String,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// What to look at next.
    pub next_checks: Vec<String>,
    /// Where to read more.
    pub reference: Option<String>,
}
