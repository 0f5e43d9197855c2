//! The words of a rule.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::condition::{Condition, Judgement};
use super::detector::Detector;
use super::metric::Facts;
use super::template::Template;
use super::threshold::Threshold;

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
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

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

/// The least and the most that a threshold is on some targets, raw, by its name.
pub type Limits = BTreeMap<&'static str, (u64, u64)>;

/// A rule: what is looked for, what it means, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its stable id.
    pub id: RuleId,
    /// Its short name.
    pub name: String,
    /// What it looks for.
    pub test: Test,
    /// What may come of it, in order; the last one has no condition.
    pub outcomes: Vec<Outcome>,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub remedy: String,
    /// What to look at next.
    pub next_checks: Vec<String>,
    /// What its finding does not prove.
    pub do_not_conclude: Option<String>,
    /// What looks the same and is harmless.
    pub false_positives: Vec<String>,
    /// Where to read more.
    pub reference: Option<String>,
    /// Reported, but does not count for the verdict.
    pub dry_run: bool,
}

/// What a rule looks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// What native code recognises.
    Detector(Detector),
    /// Where a condition over metrics holds.
    Condition(Condition),
}

/// How bad a finding is, and how it is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How bad.
    pub severity: Severity,
    /// When it applies; always, when absent.
    pub when: Option<Condition>,
    /// What is wrong, one sentence with `{placeholders}` for thresholds and metrics.
    pub message: Template,
}

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen<'a> {
    /// The first outcome that applies.
    pub outcome: &'a Outcome,
    /// Metrics without a value for want of which an earlier outcome was passed over.
    pub missing: Vec<&'static str>,
}

impl Rule {
    /// Its detector, unless it is a condition.
    #[must_use]
    pub fn detector(&self) -> Option<Detector> {
        match self.test {
            Test::Detector(detector) => Some(detector),
            Test::Condition(_) => None,
        }
    }

    /// Its condition, unless it is a detector.
    #[must_use]
    pub fn condition(&self) -> Option<&Condition> {
        match &self.test {
            Test::Detector(_) => None,
            Test::Condition(condition) => Some(condition),
        }
    }

    /// The first outcome that applies to a finding with these figures; nothing only for a rule without outcomes.
    #[must_use]
    pub fn outcome(&self, facts: Facts<'_>) -> Option<Chosen<'_>> {
        let mut missing = Vec::new();
        for outcome in &self.outcomes {
            match outcome.when.as_ref().map(|when| when.judge(facts)) {
                None | Some(Judgement::Holds) => return Some(Chosen { outcome, missing }),
                Some(Judgement::Fails) => {}
                Some(Judgement::Unknown(unknown)) => missing.extend(unknown),
            }
        }
        None
    }

    /// What `outcome` says, with thresholds and figures filled in.
    #[must_use]
    pub fn message(&self, outcome: &Outcome, facts: Facts<'_>) -> String {
        self.message_within(outcome, &BTreeMap::new(), facts)
    }

    /// As [`Rule::message`], for a finding on targets whose thresholds lie between these, raw, by name.
    #[must_use]
    pub fn message_within(&self, outcome: &Outcome, limits: &Limits, facts: Facts<'_>) -> String {
        let shown = |(name, own): (&'static str, Threshold)| {
            let (least, most) = limits.get(name).copied().unwrap_or((own.raw, own.raw));
            let (least, most) = (Threshold { raw: least, ..own }, Threshold { raw: most, ..own });
            (name, if least == most { least.to_string() } else { format!("{least} to {most}") })
        };
        let thresholds: Vec<_> = self.detector().map(Detector::thresholds).unwrap_or_default();
        let thresholds: Vec<_> = thresholds.into_iter().map(shown).collect();
        outcome.message.fill(&thresholds, facts)
    }

    /// The worst that it may find.
    #[must_use]
    pub fn worst(&self) -> Severity {
        self.outcomes.iter().map(|outcome| outcome.severity).max().unwrap_or(Severity::Info)
    }
}
