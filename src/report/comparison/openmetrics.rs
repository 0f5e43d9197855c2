//! A comparison as OpenMetrics text. A series per kind of change and per rule, never per place.

use std::collections::BTreeMap;

use super::super::openmetrics::Exposition;
use crate::diagnose::Comparison;

pub(super) fn render(comparison: &Comparison) -> String {
    let mut text = Exposition::default();
    let sides = [("before", &comparison.before), ("after", &comparison.after)];
    text.family("fleetdiag_comparison", "info", "The two runs that are compared.");
    let [before, after] = sides.map(|(_, side)| side.run.started.as_str());
    text.sample("fleetdiag_comparison_info", &[("before", before), ("after", after)], 1);
    text.family("fleetdiag_compared_hosts", "gauge", "Planned hosts of both runs by how much was seen of them.");
    for (name, side) in sides {
        let coverage = &side.coverage;
        for (seen, count) in
            [("complete", coverage.complete), ("partial", coverage.partial), ("failed", coverage.failed)]
        {
            text.sample("fleetdiag_compared_hosts", &[("run", name), ("seen", seen)], count);
        }
    }
    text.family("fleetdiag_comparison_cautions", "gauge", "What makes the two runs hard to compare.");
    text.sample("fleetdiag_comparison_cautions", &[], comparison.cautions.len());
    text.family("fleetdiag_changed_places", "gauge", "Places by what happened to them.");
    for kind in super::KINDS {
        text.sample("fleetdiag_changed_places", &[("kind", kind.as_str())], comparison.count(kind));
    }
    text.sample("fleetdiag_changed_places", &[("kind", "unchanged")], comparison.unchanged);
    text.family("fleetdiag_failing_changes", "gauge", "Changes that fail the comparison.");
    text.sample("fleetdiag_failing_changes", &[], comparison.failing().count());
    findings(&mut text, comparison);
    text.finish()
}

fn findings(text: &mut Exposition, comparison: &Comparison) {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for finding in comparison.changes.iter().flat_map(|change| &change.findings) {
        *counts.entry((finding.rule.0.as_str(), finding.name.as_str(), finding.kind.as_str())).or_default() += 1;
    }
    text.family("fleetdiag_changed_findings", "gauge", "Findings that came, went or changed, by rule.");
    for ((rule, name, kind), count) in counts {
        text.sample("fleetdiag_changed_findings", &[("rule", rule), ("name", name), ("kind", kind)], count);
    }
}
