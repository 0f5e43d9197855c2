//! A comparison as one line of a monitoring plugin.

use super::super::nagios::escape;
use super::super::words;
use crate::diagnose::Comparison;
use crate::playbook::Severity;

pub(super) fn render(comparison: &Comparison) -> String {
    let mut text = super::summary(comparison);
    if let Some(worst) = comparison.failing().next() {
        text.push_str(&format!("; worst: {} {}", worst.kind.as_str(), words::place(&worst.subject)));
    }
    for caution in &comparison.cautions {
        text.push_str(&format!("; {}", caution.text));
    }
    let kinds = super::KINDS.iter().map(|kind| format!("{}={};;;0", kind.as_str(), comparison.count(*kind)));
    let data: Vec<_> = kinds.chain([format!("unchanged={};;;0", comparison.unchanged)]).collect();
    format!("FLEETDIAG {} - {} | {}\n", state(comparison), escape(&text), data.join(" "))
}

fn state(comparison: &Comparison) -> &'static str {
    let worst = comparison.failing().flat_map(|change| &change.findings).map(|finding| finding.severity).max();
    if comparison.cautions.iter().any(|caution| caution.forbids) {
        "UNKNOWN"
    } else if worst == Some(Severity::Critical) {
        "CRITICAL"
    } else if comparison.exit_code() != 0 {
        "WARNING"
    } else {
        "OK"
    }
}
