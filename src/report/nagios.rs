//! The report as one line of a monitoring plugin: state, text, and performance data.

use super::{terminal, words};
use crate::diagnose::{Diagnosis, Verdict};
use crate::playbook::Severity;

pub(super) fn render(diagnosis: &Diagnosis) -> String {
    let text = match diagnosis.hotspots.first() {
        Some(worst) if diagnosis.verdict == Verdict::Fail => {
            format!("{}; worst: {}", words::why(diagnosis), words::place(&worst.subject))
        }
        _ => words::why(diagnosis),
    };
    let coverage = &diagnosis.coverage;
    let findings = |severity| {
        diagnosis.hotspots.iter().flat_map(|hotspot| &hotspot.findings).filter(|f| f.severity == severity).count()
    };
    let hosts =
        [("hosts_complete", coverage.complete), ("hosts_partial", coverage.partial), ("hosts_failed", coverage.failed)];
    let mut data: Vec<_> =
        hosts.into_iter().map(|(name, count)| format!("{name}={count};;;0;{}", coverage.planned)).collect();
    data.push(format!("tasks={};;;0", coverage.tasks));
    for severity in [Severity::Critical, Severity::Warning, Severity::Info] {
        data.push(format!("findings_{}={};;;0", severity.as_str(), findings(severity)));
    }
    format!("FLEETDIAG {} - {} | {}\n", state(diagnosis), escape(&text), data.join(" "))
}

fn state(diagnosis: &Diagnosis) -> &'static str {
    let failing = diagnosis.hotspots.iter().flat_map(|hotspot| &hotspot.findings).filter(|f| diagnosis.gate.fails(f));
    match diagnosis.verdict {
        Verdict::Pass => "OK",
        Verdict::Fail if failing.map(|f| f.severity).max() == Some(Severity::Critical) => "CRITICAL",
        Verdict::Fail => "WARNING",
        Verdict::Inconclusive => "UNKNOWN",
    }
}

/// Text before the performance data, which begins with the first bar.
pub(super) fn escape(text: &str) -> String {
    terminal::escape(text).replace('|', "¦")
}
