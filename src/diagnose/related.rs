//! Findings that belong together: what one place does to others on the same hosts, and what tells the hosts apart.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnosis::{Finding, Hotspot, Subject};
use super::outliers::{Peers, told_apart};
use super::words::place;
use crate::model::TargetId;
use crate::playbook::{Confidence, Detector, Playbook, RuleId, Severity};

/// Writes into each hotspot what it belongs to.
pub(super) fn relate(hotspots: &mut [Hotspot], playbook: &Playbook, peers: &Peers) {
    let rules: BTreeMap<_, _> = playbook.rules.iter().filter_map(|rule| Some((&rule.id, rule.detector()?))).collect();
    let causes: Vec<_> = hotspots.iter().filter_map(|hotspot| Cause::of(hotspot, &rules)).collect();
    let explained: Vec<_> = hotspots.iter().map(|hotspot| explanation(hotspot, &causes, &rules)).collect();
    for (hotspot, explained) in hotspots.iter_mut().zip(explained) {
        if let Some((words, is_whole)) = explained {
            hotspot.is_consequence = is_whole;
            hotspot.related.push(words);
        }
        let found_on: BTreeSet<_> =
            hotspot.findings.iter().take(1).flat_map(|finding| finding.targets.keys()).collect();
        hotspot.related.extend(told_apart(&found_on, peers));
    }
}

/// A place that takes workers away from all others.
struct Cause {
    subject: Subject,
    name: String,
    targets: BTreeSet<TargetId>,
}

impl Cause {
    fn of(hotspot: &Hotspot, rules: &BTreeMap<&RuleId, Detector>) -> Option<Self> {
        let takes_workers = |finding: &&Finding| {
            let detector = rules.get(&finding.rule);
            let does = matches!(
                detector,
                Some(
                    Detector::StuckPoll { .. }
                        | Detector::NeverYielded { .. }
                        | Detector::LongPoll { .. }
                        | Detector::Spinning { .. }
                )
            );
            does && finding.confidence > Confidence::Low
        };
        let finding = hotspot.findings.iter().find(takes_workers)?;
        Some(Self {
            subject: hotspot.subject.clone(),
            name: finding.name.clone(),
            targets: finding.targets.keys().cloned().collect(),
        })
    }

    fn place(&self) -> String {
        match &self.subject {
            Subject::Site(site) => place(&site.site),
            Subject::Resource { .. } | Subject::Target { .. } => "the process".to_owned(),
        }
    }
}

/// What explains all findings of a hotspot that matter, and whether it does so on all of its hosts.
fn explanation(hotspot: &Hotspot, causes: &[Cause], rules: &BTreeMap<&RuleId, Detector>) -> Option<(String, bool)> {
    let waits_for_workers = |finding: &Finding| {
        matches!(rules.get(&finding.rule), Some(Detector::Starved { .. } | Detector::SlowFirstPoll { .. }))
    };
    let mut matters = hotspot.findings.iter().filter(|finding| finding.severity > Severity::Info).peekable();
    matters.peek()?;
    if !matters.all(waits_for_workers) {
        return None;
    }
    let targets: BTreeSet<_> = hotspot.findings.iter().flat_map(|finding| finding.targets.keys()).collect();
    let causes: Vec<_> = causes
        .iter()
        .filter(|cause| cause.subject != hotspot.subject)
        .filter(|cause| same_service(&cause.subject, &hotspot.subject))
        .filter(|cause| cause.targets.iter().any(|target| targets.contains(target)))
        .collect();
    let is_whole = targets.iter().all(|target| causes.iter().any(|cause| cause.targets.contains(*target)));
    let named: Vec<_> = causes.iter().take(3).map(|cause| format!("{} at {}", cause.name, cause.place())).collect();
    (!named.is_empty()).then(|| (format!("explained by {} on the same hosts", named.join(", ")), is_whole))
}

fn same_service(one: &Subject, other: &Subject) -> bool {
    let service = |subject: &Subject| match subject {
        Subject::Site(site) => site.service.clone(),
        Subject::Resource { service, .. } | Subject::Target { service } => service.clone(),
    };
    service(one) == service(other)
}
