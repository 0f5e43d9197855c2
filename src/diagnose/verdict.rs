//! The gate: what fails a run, and what is too little to say anything.

use std::fmt;
use std::str::FromStr;

use super::diagnosis::{Coverage, Diagnosis, Finding, Hotspot, Unjudged, Verdict};
use crate::playbook::{Confidence, Severity};

/// What a run must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Findings of this severity or worse fail the run; none do when absent.
    pub fail_on: Option<Severity>,
    /// How many targets may stay unobserved.
    pub max_unreachable: Allowance,
    /// Hosts that must be seen whole before the run can pass.
    pub require_hosts: usize,
}

/// How many of the planned targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// So many.
    Count(usize),
    /// So many of a hundred, rounded down.
    Percent(u8),
}

impl Allowance {
    /// As a number of targets.
    #[must_use]
    pub fn of(self, planned: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => planned.saturating_mul(usize::from(percent)) / 100,
        }
    }
}

impl FromStr for Allowance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|percent| *percent <= 100).map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        parsed.ok_or_else(|| "give a number of targets such as `2`, or a share such as `10%`".to_owned())
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Default for Gate {
    /// Critical findings fail, and every target must be seen.
    fn default() -> Self {
        Self { fail_on: Some(Severity::Critical), max_unreachable: Allowance::Count(0), require_hosts: 0 }
    }
}

/// A lead is worth a line in the report, never an alarm.
const LEAST_CONFIDENCE: Confidence = Confidence::Medium;

pub(super) struct Judged {
    pub verdict: Verdict,
    pub reasons: Vec<String>,
    pub exit_code: u8,
}

impl Gate {
    /// The verdict, why, and the exit code; findings come before too little evidence, that before unreachable targets.
    pub(super) fn judge(&self, hotspots: &[Hotspot], coverage: &Coverage, interrupted: bool) -> Judged {
        let failing =
            hotspots.iter().flat_map(|hotspot| &hotspot.findings).filter(|finding| self.fails(finding)).count();
        let Coverage { planned, complete, partial, failed, hosts, .. } = *coverage;
        let mut reasons = Vec::new();
        let (verdict, exit_code) = if failing > 0 {
            let severity = self.fail_on.map_or("", Severity::as_str);
            let findings = if failing == 1 { "1 finding is".to_owned() } else { format!("{failing} findings are") };
            reasons.push(format!("{findings} {severity}{}", if severity == "critical" { "" } else { " or worse" }));
            (Verdict::Fail, 1)
        } else if complete == 0 {
            reasons.push(format!("no target was seen whole ({planned} planned)"));
            (Verdict::Inconclusive, 3)
        } else if partial > 0 {
            reasons.push(format!("{partial} of {planned} targets were seen in part"));
            (Verdict::Inconclusive, 3)
        } else if hosts < self.require_hosts {
            reasons.push(format!("{hosts} hosts were seen whole, {} required", self.require_hosts));
            (Verdict::Inconclusive, 3)
        } else if failed > self.max_unreachable.of(planned) {
            (Verdict::Inconclusive, 4)
        } else {
            (Verdict::Pass, 0)
        };
        if failed > 0 {
            reasons.push(format!("{failed} of {planned} targets were not seen, {} allowed", self.max_unreachable));
        }
        if interrupted {
            reasons.push("the run was interrupted".to_owned());
            let verdict = if verdict == Verdict::Fail { Verdict::Fail } else { Verdict::Inconclusive };
            return Judged { verdict, reasons, exit_code: 130 };
        }
        Judged { verdict, reasons, exit_code }
    }

    /// Judges again what is left after findings were set aside.
    pub fn judge_again(&self, diagnosis: &mut Diagnosis) {
        let judged = self.judge(&diagnosis.hotspots, &diagnosis.coverage, diagnosis.run.interrupted);
        let judged = self.doubt(judged, &diagnosis.unjudged);
        diagnosis.verdict = judged.verdict;
        diagnosis.verdict_reasons = judged.reasons;
        diagnosis.exit_code = judged.exit_code;
        diagnosis.gate = *self;
    }

    /// Lowers the verdict of `diagnosis` when the `number`-th of its observations saw too little by itself.
    pub(super) fn require_coverage(
        &self,
        diagnosis: &mut Diagnosis,
        number: usize,
        coverage: &Coverage,
        interrupted: bool,
    ) {
        let judged = self.judge(&[], coverage, interrupted);
        if judged.verdict == Verdict::Pass {
            return;
        }
        if diagnosis.verdict == Verdict::Pass || judged.exit_code < diagnosis.exit_code && diagnosis.exit_code != 1 {
            diagnosis.verdict = judged.verdict;
            diagnosis.exit_code = judged.exit_code;
        }
        diagnosis.verdict_reasons.push(format!("in observation {number}, {}", judged.reasons.join(", ")));
    }

    /// Says which rules could not be judged; one that would count leaves nothing to be called healthy.
    pub(super) fn doubt(&self, mut judged: Judged, unjudged: &[Unjudged]) -> Judged {
        for rule in unjudged.iter().filter(|rule| !rule.of_surroundings) {
            let targets = rule.targets.len();
            let on = if targets == 1 { "1 target".to_owned() } else { format!("{targets} targets") };
            judged.reasons.push(format!("`{}` could not be judged on {on}", rule.name));
            let counts = !rule.dry_run && self.fail_on.is_some_and(|severity| rule.worst >= severity);
            // Findings and an interruption say more; too little evidence comes before unreachable targets.
            if counts && matches!(judged.exit_code, 0 | 4) {
                (judged.verdict, judged.exit_code) = (Verdict::Inconclusive, 3);
            }
        }
        judged
    }

    /// Whether a finding at or above the gate is sure enough to fail a run.
    #[must_use]
    pub fn fails(&self, finding: &Finding) -> bool {
        self.fail_on.is_some_and(|severity| finding.severity >= severity) && finding.confidence >= LEAST_CONFIDENCE
    }
}

#[cfg(test)]
mod tests {
    use super::{Gate, Judged};
    use crate::diagnose::{Coverage, Verdict};

    fn judge(complete: usize, partial: usize, failed: usize, interrupted: bool) -> (Verdict, u8) {
        let coverage =
            Coverage { planned: complete + partial + failed, complete, partial, failed, ..Coverage::default() };
        let Judged { verdict, exit_code, .. } = Gate::default().judge(&[], &coverage, interrupted);
        (verdict, exit_code)
    }

    #[test]
    fn nothing_seen_is_never_healthy() {
        assert_eq!(judge(2, 0, 0, false), (Verdict::Pass, 0));
        assert_eq!(judge(0, 0, 0, false), (Verdict::Inconclusive, 3));
        assert_eq!(judge(0, 0, 2, false), (Verdict::Inconclusive, 3), "too little comes before unreachable");
        assert_eq!(judge(1, 1, 0, false), (Verdict::Inconclusive, 3));
        assert_eq!(judge(1, 0, 1, false), (Verdict::Inconclusive, 4));
        assert_eq!(judge(2, 0, 0, true), (Verdict::Inconclusive, 130));
    }

    #[test]
    fn unreachable_targets_may_be_allowed() {
        let coverage = Coverage { planned: 3, complete: 2, failed: 1, hosts: 2, ..Coverage::default() };
        let judge = |max_unreachable: &str, require_hosts| {
            let gate = Gate { max_unreachable: max_unreachable.parse().unwrap(), require_hosts, ..Gate::default() };
            gate.judge(&[], &coverage, false)
        };
        let judged = judge("1", 0);
        assert_eq!((judged.verdict, judged.exit_code), (Verdict::Pass, 0));
        assert_eq!(judged.reasons, ["1 of 3 targets were not seen, 1 allowed"]);
        assert_eq!((judge("34%", 0).exit_code, judge("33%", 0).exit_code), (0, 4), "a share is rounded down");
        assert_eq!((judge("1", 2).exit_code, judge("1", 3).exit_code), (0, 3), "too few hosts are inconclusive");
        assert!("101%".parse::<super::Allowance>().is_err() && "some".parse::<super::Allowance>().is_err());
    }
}
