//! The gate: what fails a run, and what is too little to say anything.

use super::diagnosis::{Coverage, Finding, Hotspot, Verdict};
use crate::playbook::{Confidence, Severity};

/// What a run must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Findings of this severity or worse fail the run; none do when absent.
    pub fail_on: Option<Severity>,
    /// How many targets may stay unobserved.
    pub max_unreachable: usize,
}

impl Default for Gate {
    /// Critical findings fail, and every target must be seen.
    fn default() -> Self {
        Self { fail_on: Some(Severity::Critical), max_unreachable: 0 }
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
        let Coverage { planned, complete, partial, failed, .. } = *coverage;
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
        } else if failed > self.max_unreachable {
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

    /// Whether this finding alone makes the verdict a failure.
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
        let coverage = Coverage { planned: complete + partial + failed, complete, partial, failed, tasks: 0 };
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
        let coverage = Coverage { planned: 3, complete: 2, failed: 1, ..Coverage::default() };
        let judged = Gate { max_unreachable: 1, ..Gate::default() }.judge(&[], &coverage, false);
        assert_eq!((judged.verdict, judged.exit_code), (Verdict::Pass, 0));
        assert_eq!(judged.reasons, ["1 of 3 targets were not seen, 1 allowed"]);
    }
}
