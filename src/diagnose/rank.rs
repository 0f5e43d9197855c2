//! Profiles become findings, findings hotspots, hotspots a ranking.
//!
//! The order is total and has no score in it: severity, then confidence, then targets affected, then share of the
//! site's tasks, then tasks affected, then the place itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::diagnosis::{Finding, FleetSite, Hotspot, Subject};
use super::profile::{Hits, SiteProfile, Worst};
use crate::model::Service;
use crate::playbook::{Detector, Playbook, Rule};

/// Every site with findings, worst first.
pub(super) fn hotspots(
    sites: &BTreeMap<FleetSite, SiteProfile>,
    playbook: &Playbook,
    services: &BTreeMap<Service, usize>,
) -> Vec<Hotspot> {
    let mut hotspots: Vec<_> = sites
        .iter()
        .filter(|(_, profile)| !profile.hits.is_empty())
        .map(|(site, profile)| hotspot(site.clone(), profile, playbook, services))
        .collect();
    hotspots.sort_by_cached_key(|hotspot| (key(&hotspot.findings[0]), hotspot.subject.clone()));
    hotspots
}

fn hotspot(
    site: FleetSite,
    profile: &SiteProfile,
    playbook: &Playbook,
    services: &BTreeMap<Service, usize>,
) -> Hotspot {
    let in_service = services.get(&site.service).copied().unwrap_or(0);
    let finding = |(rule, hits): (&usize, &Hits)| finding(&playbook.rules[*rule], hits, profile, in_service);
    let mut findings: Vec<_> = profile.hits.iter().map(finding).collect();
    findings.sort_by_cached_key(|finding| (key(finding), finding.rule.clone()));
    let first = &findings[0];
    Hotspot {
        subject: Subject::Site(site),
        severity: first.severity,
        confidence: first.confidence,
        rank_reason: rank_reason(first),
        findings,
    }
}

/// Puts hotspots in order again after findings were taken away; those without any go.
pub(super) fn rank_again(hotspots: &mut Vec<Hotspot>) {
    hotspots.retain(|hotspot| !hotspot.findings.is_empty());
    for hotspot in hotspots.iter_mut() {
        hotspot.findings.sort_by_cached_key(|finding| (key(finding), finding.rule.clone()));
        let first = &hotspot.findings[0];
        (hotspot.severity, hotspot.confidence) = (first.severity, first.confidence);
        hotspot.rank_reason = rank_reason(first);
    }
    hotspots.sort_by_cached_key(|hotspot| (key(&hotspot.findings[0]), hotspot.subject.clone()));
}

/// The order of findings, the smallest first.
fn key(finding: &Finding) -> impl Ord + use<> {
    let share = finding.affected.saturating_mul(1000).checked_div(finding.of).unwrap_or(0);
    (
        Reverse(finding.severity),
        Reverse(finding.confidence),
        Reverse(finding.targets.len()),
        Reverse(share),
        Reverse(finding.affected),
    )
}

fn rank_reason(finding: &Finding) -> String {
    let hosts = format!("{} of {} hosts", finding.targets.len(), finding.targets_in_service);
    let share = format!("{} of its {} tasks", finding.affected, finding.of);
    format!("{}, {} confidence, {hosts}, {share}", finding.severity.as_str(), finding.confidence.as_str())
}

fn finding(rule: &Rule, hits: &Hits, profile: &SiteProfile, targets_in_service: usize) -> Finding {
    let confidence = hits.confidence();
    let caps = hits.caps.get(&confidence).into_iter().flatten().map(|&cap| cap.to_owned()).collect();
    let figures = profile.figures();
    let of = figures.alive + if rule.detector.counts_completed() { figures.completed } else { 0 };
    let affected = hits.affected();
    Finding {
        rule: rule.id.clone(),
        name: rule.name.clone(),
        severity: hits.severity(rule),
        confidence,
        caps,
        message: format!("{affected} of {of} {}", rule.title),
        evidence: hits.worst.as_ref().map(|worst| evidence(rule.detector, worst)).unwrap_or_default(),
        affected,
        of,
        targets: hits.targets.clone(),
        targets_in_service,
        remedy: rule.remedy.clone(),
        next_checks: rule.next_checks.clone(),
        reference: rule.reference.clone(),
    }
}

/// The worst task in one line of figures.
fn evidence(detector: Detector, worst: &Worst) -> String {
    let figures = match detector {
        Detector::SelfWakes { .. } => format!("{}% of {} wakes are its own", worst.magnitude, worst.beside),
        Detector::LostWaker => {
            let wakers = if worst.beside == 1 { "its only waker" } else { "its wakers" };
            format!("idle for {}, {wakers} dropped ({} made)", duration(worst.magnitude), worst.beside)
        }
        Detector::NeverYielded { .. } => format!("inside its first poll for {}", duration(worst.magnitude)),
        Detector::AutoBoxedFuture => format!("{} bytes, boxed to {}", worst.magnitude, worst.beside),
        Detector::LargeFuture { .. } => format!("{} bytes", worst.magnitude),
    };
    let task = worst.task_id.map(|id| format!(", task {id}")).unwrap_or_default();
    format!("worst on {}{task}: {figures}", worst.target.0)
}

/// Nanoseconds with three digits that mean something.
fn duration(nanos: u64) -> String {
    let duration = Duration::from_nanos(nanos);
    match duration.as_secs() {
        0 => format!("{:.0?}", duration),
        1..60 => format!("{:.1?}", duration),
        60..3600 => format!("{}m{:02}s", duration.as_secs() / 60, duration.as_secs() % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_short() {
        let shown: Vec<_> = [250_000_000, 12_340_000_000, 3_723_000_000_000, 61_000_000_000].map(duration).into();
        assert_eq!(shown, ["250ms", "12.3s", "1h02m", "1m01s"]);
    }
}
