//! What was recognised becomes findings, findings hotspots, hotspots a ranking.
//!
//! The order is total and has no score in it: severity, then causes before what they explain, then confidence, then
//! targets affected, then share of the place's tasks, then tasks affected, then the place itself: the application's code
//! before dependencies, those before tokio, then service and location.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::diagnosis::{Finding, FleetSite, Hotspot, Subject};
use super::hits::Hits;
use super::profile::{Places, SiteProfile};
use super::words::evidence;
use crate::model::{Origin, Service};
use crate::playbook::{Playbook, Rule, Scope};

/// Every place with findings, unranked.
pub(super) fn hotspots(
    places: &Places,
    sites: &BTreeMap<FleetSite, SiteProfile>,
    playbook: &Playbook,
    services: &BTreeMap<Service, usize>,
) -> Vec<Hotspot> {
    places
        .iter()
        .filter(|(_, hits)| !hits.is_empty())
        .map(|(subject, hits)| {
            let (service, profile) = match subject {
                Subject::Site(site) => (&site.service, sites.get(site)),
                Subject::Resource { service, .. } | Subject::Target { service } => (service, None),
            };
            let in_service = services.get(service).copied().unwrap_or(0);
            let finding = |(rule, hits): (&usize, &Hits)| finding(&playbook.rules[*rule], hits, profile, in_service);
            let mut findings: Vec<_> = hits.iter().map(finding).collect();
            findings.sort_by_cached_key(|finding| (key(finding), finding.rule.clone()));
            let first = &findings[0];
            Hotspot {
                subject: subject.clone(),
                severity: first.severity,
                confidence: first.confidence,
                rank_reason: rank_reason(first),
                related: Vec::new(),
                findings,
            }
        })
        .collect()
}

/// Puts them in their order; `is_explained` tells which of them another place explains.
pub(super) fn rank(hotspots: &mut [Hotspot], is_explained: impl Fn(&Hotspot) -> bool) {
    hotspots.sort_by_cached_key(|hotspot| {
        let worst = key(&hotspot.findings[0]);
        (Reverse(hotspot.severity), is_explained(hotspot), worst, origin(&hotspot.subject), hotspot.subject.clone())
    });
}

/// Whose code a place is in, as a number: the application's, a dependency's, tokio's, or nobody knows.
fn origin(subject: &Subject) -> u8 {
    let location = match subject {
        Subject::Site(site) => site.site.location.as_ref(),
        Subject::Resource { location, .. } => location.as_ref(),
        Subject::Target { .. } => None,
    };
    match location.map(|location| &location.origin) {
        Some(Origin::App) => 0,
        Some(Origin::Dependency { .. }) => 1,
        Some(Origin::Runtime { .. } | Origin::Std) => 2,
        None => 3,
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
    let mut reasons = vec![
        finding.severity.as_str().to_owned(),
        format!("{} confidence", finding.confidence.as_str()),
        format!("{} of {} hosts", finding.targets.len(), finding.targets_in_service),
    ];
    if finding.of > 0 {
        reasons.push(format!("{} of its {} tasks", finding.affected, finding.of));
    }
    reasons.join(", ")
}

fn finding(rule: &Rule, hits: &Hits, profile: Option<&SiteProfile>, targets_in_service: usize) -> Finding {
    let confidence = hits.confidence();
    let caps = hits.caps.get(&confidence).into_iter().flatten().cloned().collect();
    let of = profile.map_or(hits.of, |profile| {
        let figures = profile.figures();
        figures.alive + if rule.detector.counts_completed() { figures.completed } else { 0 }
    });
    let affected = hits.affected();
    Finding {
        rule: rule.id.clone(),
        name: rule.name.clone(),
        severity: hits.severity(rule),
        confidence,
        caps,
        message: message(rule, affected, of),
        evidence: hits.worst.as_ref().map(|worst| evidence(rule.detector, worst)).unwrap_or_default(),
        affected,
        of: if rule.detector.entry().scope == Scope::Targets { 0 } else { of },
        targets: hits.targets.clone(),
        targets_in_service,
        remedy: rule.remedy.clone(),
        next_checks: rule.next_checks.clone(),
        reference: rule.reference.clone(),
    }
}

fn message(rule: &Rule, affected: u64, of: u64) -> String {
    match rule.detector.entry().scope {
        Scope::Targets => rule.title.clone(),
        _ if of > 0 => format!("{affected} of {of} {}", rule.title),
        _ => format!("{affected} {}", rule.title),
    }
}
