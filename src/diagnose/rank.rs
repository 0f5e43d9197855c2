//! What was recognised becomes findings, findings hotspots, hotspots a ranking.
//!
//! The order is total and has no score in it: severity, then causes before what they explain, step by step, then
//! confidence, then targets affected, then share of the place's tasks, then tasks affected, then the place itself: the
//! application's code before dependencies, those before tokio, then service and location.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::condition::{Evidence, Judged, judged, watched};
use super::diagnosis::{Finding, Hotspot, Subject};
use super::distribution::Tails;
use super::facts::{Found, SiteFacts};
use super::hits::Hits;
use super::profile::Places;
use super::related::explain_here;
use super::words::evidence;
use crate::model::Origin;
use crate::playbook::{Detector, Playbook, Rule, Scope};

/// Every place with findings, unranked: what detectors recognised, and where `conditions` hold.
pub(super) fn hotspots(
    places: &Places,
    conditions: BTreeMap<Subject, Vec<Finding>>,
    playbook: &Playbook,
    seen: &Evidence<'_>,
) -> Vec<Hotspot> {
    let mut findings = conditions;
    for (subject, hits) in places {
        let found = hits.iter().filter_map(|(rule, hits)| finding(playbook.rules.get(*rule)?, hits, subject, seen));
        findings.entry(subject.clone()).or_default().extend(found);
    }
    let judges_lifetimes = |rule: &Rule| rule.detector().is_some_and(Detector::judges_lifetimes);
    let lifetimes: BTreeSet<_> =
        playbook.rules.iter().filter(|rule| judges_lifetimes(rule)).map(|rule| &rule.id).collect();
    let detector = |finding: &Finding| playbook.rules.iter().find(|rule| rule.id == finding.rule)?.detector();
    let hotspot = |(subject, mut findings): (Subject, Vec<Finding>)| {
        explain_here(&mut findings, detector);
        findings.sort_by_cached_key(|finding| (key(finding), lifetimes.contains(&finding.rule), finding.rule.clone()));
        let first = findings.first()?;
        Some(Hotspot {
            subject,
            severity: first.severity,
            confidence: first.confidence,
            rank_reason: rank_reason(first),
            explained_by: None,
            related: Vec::new(),
            findings,
        })
    };
    findings.into_iter().filter_map(hotspot).collect()
}

/// Puts them in their order.
pub(super) fn rank(hotspots: &mut [Hotspot]) {
    hotspots.sort_by_cached_key(|hotspot| {
        let worst = key(&hotspot.findings[0]);
        let Hotspot { severity, subject, .. } = hotspot;
        (Reverse(*severity), steps(hotspot), worst, origin(subject), subject.clone())
    });
}

/// How far away its cause is; 0 for what nothing explains.
fn steps(hotspot: &Hotspot) -> usize {
    hotspot.explained_by.as_ref().map_or(0, |explanation| explanation.steps)
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

/// Puts hotspots in order again after findings were taken away; those without any go, and what they explained stands by
/// itself.
pub(super) fn rank_again(hotspots: &mut Vec<Hotspot>) {
    hotspots.retain(|hotspot| !hotspot.findings.is_empty());
    let left: BTreeSet<_> = hotspots.iter().map(|hotspot| hotspot.subject.clone()).collect();
    for hotspot in hotspots.iter_mut() {
        hotspot.explained_by.take_if(|explanation| !left.contains(&explanation.cause));
        let rules: BTreeSet<_> = hotspot.findings.iter().map(|finding| finding.rule.clone()).collect();
        for finding in &mut hotspot.findings {
            finding.explained_here.take_if(|cause| !rules.contains(cause));
        }
        // Stable: equal ones stay as they were.
        hotspot.findings.sort_by_cached_key(key);
        let first = &hotspot.findings[0];
        (hotspot.severity, hotspot.confidence) = (first.severity, first.confidence);
        hotspot.rank_reason = rank_reason(first);
    }
    rank(hotspots);
}

/// The order of findings, the smallest first.
fn key(finding: &Finding) -> impl Ord + use<> {
    let share = finding.affected.saturating_mul(1000).checked_div(finding.of).unwrap_or(0);
    (
        Reverse(finding.severity),
        finding.explained_here.is_some(),
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

fn finding(rule: &Rule, hits: &Hits, subject: &Subject, seen: &Evidence<'_>) -> Option<Finding> {
    let detector = rule.detector()?;
    let confidence = hits.confidence();
    let caps = hits.caps.get(&confidence).into_iter().flatten().cloned().collect();
    let site = match subject {
        Subject::Site(site) => seen.sites.get(site).map(|profile| (site, profile, profile.figures())),
        Subject::Resource { .. } | Subject::Target { .. } => None,
    };
    let of = site.as_ref().map_or(hits.of, |(.., figures)| detector.population(figures));
    let affected = hits.affected();
    let targets_in_service = seen.services.get(subject.service()).copied().unwrap_or(0);
    let found = Found { affected, of, hosts: hits.targets.len(), hosts_observed: targets_in_service };
    let facts = |name: &str| {
        let of_site = || {
            let (site, profile, figures) = site.as_ref()?;
            let tails = Tails::of(&profile.polls, &profile.scheduled);
            SiteFacts { site, figures, window: watched(profile, seen), tails }.fact(name)
        };
        found.fact(name).or_else(of_site).or_else(|| seen.fleet.fact(name))
    };
    let Judged { severity, message, caps } = judged(rule, &facts, confidence, caps, &hits.limits)?;
    Some(Finding {
        rule: rule.id.clone(),
        name: rule.name.clone(),
        severity,
        confidence,
        caps,
        message,
        evidence: hits.worst.as_ref().map(|worst| evidence(detector, worst)).unwrap_or_default(),
        affected,
        of: if detector.entry().scope == Scope::Targets { 0 } else { of },
        targets: hits.targets.clone(),
        targets_in_service,
        explained_here: None,
        remedy: rule.remedy.clone(),
        next_checks: rule.next_checks.clone(),
        reference: rule.reference.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;
    use crate::diagnose::diagnosis::{Explanation, FleetSite};
    use crate::model::{Service, Site, SpawnLocation, TargetId, TaskKind};
    use crate::playbook::{Confidence, RuleId, Severity};

    /// Severity, confidence, hosts, affected tasks, of how many, whose code, and how far away its cause is.
    type Facts = (Severity, Confidence, usize, u64, u64, Origin, usize);

    const PROCESS: Subject = Subject::Target { service: Service(String::new()) };

    fn facts() -> impl Strategy<Value = Facts> {
        let severity = prop_oneof![Just(Severity::Critical), Just(Severity::Warning), Just(Severity::Info)];
        let confidence = prop_oneof![Just(Confidence::High), Just(Confidence::Medium), Just(Confidence::Low)];
        let dependency = Origin::Dependency { krate: "hyper".into(), version: "1.0.0".into() };
        let origin = prop_oneof![
            Just(Origin::App),
            Just(dependency),
            Just(Origin::Runtime { version: String::new() }),
            Just(Origin::Std)
        ];
        // Few values, so that many of them are equal.
        (severity, confidence, 1usize..3, 1u64..4, 3u64..5, origin, 0usize..3)
    }

    fn hotspot(line: u32, (severity, confidence, hosts, affected, of, origin, steps): Facts) -> Hotspot {
        let target = |host: usize| TargetId { host: format!("host-{host}").parse().unwrap(), console: None };
        let location = SpawnLocation { origin, file: "src/main.rs".into(), line, column: 1 };
        let site = Site { location: Some(location), kind: TaskKind::Task, fn_name: None, name: None };
        let finding = Finding {
            rule: RuleId("FD101".into()),
            name: "long-poll".into(),
            severity,
            confidence,
            caps: Vec::new(),
            message: String::new(),
            evidence: String::new(),
            affected,
            of,
            targets: (0..hosts).map(|host| (target(host), 1)).collect(),
            targets_in_service: 3,
            explained_here: None,
            remedy: String::new(),
            next_checks: Vec::new(),
            reference: None,
        };
        Hotspot {
            subject: Subject::Site(FleetSite { service: Service("web".into()), site }),
            severity,
            confidence,
            rank_reason: String::new(),
            explained_by: (steps > 0).then_some(Explanation { cause: PROCESS, steps }),
            related: Vec::new(),
            findings: vec![finding],
        }
    }

    fn ranked(hotspots: impl IntoIterator<Item = Hotspot>) -> Vec<Hotspot> {
        let mut hotspots: Vec<_> = hotspots.into_iter().collect();
        rank(&mut hotspots);
        hotspots
    }

    /// The order as the guide has it, told a second time.
    fn as_documented(one: &Hotspot, other: &Hotspot) -> Ordering {
        let (first, second) = (&one.findings[0], &other.findings[0]);
        let share = |finding: &Finding| finding.affected * 1000 / finding.of;
        let whose = |hotspot: &Hotspot| match hotspot.subject.location().map(|location| &location.origin) {
            Some(Origin::App) => 0,
            Some(Origin::Dependency { .. }) => 1,
            _ => 2,
        };
        let severity = second.severity.cmp(&first.severity);
        severity
            .then(steps(one).cmp(&steps(other)))
            .then(second.confidence.cmp(&first.confidence))
            .then(second.targets.len().cmp(&first.targets.len()))
            .then(share(second).cmp(&share(first)))
            .then(second.affected.cmp(&first.affected))
            .then(whose(one).cmp(&whose(other)))
            .then(one.subject.cmp(&other.subject))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_order_is_total_and_the_documented_one(
            (hotspots, shuffled) in proptest::collection::vec(facts(), 2..9).prop_flat_map(|facts| {
                let hotspots: Vec<_> = (1..).zip(facts).map(|(line, facts)| hotspot(line, facts)).collect();
                (Just(hotspots.clone()), Just(hotspots).prop_shuffle())
            })
        ) {
            let order = ranked(hotspots);
            prop_assert_eq!(&order, &ranked(shuffled), "it does not depend on where they came from");
            for (at, one) in order.iter().enumerate() {
                for other in &order[at + 1..] {
                    // Each pair alone stands as it does among all: antisymmetric, transitive, and nobody is equal.
                    let pair = [one.clone(), other.clone()];
                    prop_assert_eq!(&ranked(pair.clone()), &pair);
                    prop_assert_eq!(&ranked([other.clone(), one.clone()]), &pair);
                    prop_assert_eq!(as_documented(one, other), Ordering::Less);
                }
            }
        }
    }

    #[test]
    fn what_is_explained_by_a_cause_that_was_set_aside_stands_by_itself() {
        let facts = |steps| (Severity::Warning, Confidence::High, 1, 1, 3, Origin::App, steps);
        let [cause, mut effect] = [hotspot(1, facts(0)), hotspot(2, facts(0))];
        effect.explained_by = Some(Explanation { cause: cause.subject.clone(), steps: 1 });
        effect.findings[0].explained_here = Some(RuleId("FD102".into()));
        let took = Finding { rule: RuleId("FD102".into()), ..effect.findings[0].clone() };
        effect.findings.push(Finding { explained_here: None, ..took });
        let mut both = vec![cause.clone(), effect.clone()];
        rank_again(&mut both);
        assert_eq!((steps(&both[1]), both[1].findings[1].explained_here.is_some()), (1, true));
        effect.findings.pop();
        let mut left = vec![Hotspot { findings: Vec::new(), ..cause }, effect];
        rank_again(&mut left);
        assert_eq!((left.len(), steps(&left[0]), &left[0].findings[0].explained_here), (1, 0, &None));
    }

    #[test]
    fn the_reason_names_what_the_order_goes_by() {
        let of = |facts| rank_reason(&hotspot(1, facts).findings[0]);
        let reason = of((Severity::Warning, Confidence::Medium, 2, 3, 4, Origin::App, 0));
        assert_eq!(reason, "warning, medium confidence, 2 of 3 hosts, 3 of its 4 tasks");
    }
}
