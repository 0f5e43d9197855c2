//! Rules that are conditions over metrics. Judged at the end, over profiles: no task is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::diagnosis::{Finding, FleetSite, SiteFigures, Subject, Unjudged};
use super::distribution::Tails;
use super::facts::{FleetFacts, Found, HostFacts, SiteFacts, measured};
use super::profile::SiteProfile;
use super::surroundings;
use crate::model::{HostContext, Service, TargetId};
use crate::playbook::{Condition, Confidence, Facts, Judgement, Limits, Of, Rule, Severity, metric};

const ONE_SAMPLE: &str = "seen in one sample only; a longer `--window` confirms it or not";
const IN_PART: &str = "a target was seen in part: its counts are lower bounds";

/// Everything that conditions are judged over.
pub(super) struct Evidence<'a> {
    pub sites: &'a BTreeMap<FleetSite, SiteProfile>,
    /// The observed targets, and whether they were seen whole.
    pub hosts: BTreeMap<&'a TargetId, (HostFacts<'a>, bool)>,
    /// Every target of whose surroundings something is known, whether its console told anything or not.
    pub surroundings: BTreeMap<&'a TargetId, (&'a Service, &'a HostContext)>,
    pub services: &'a BTreeMap<Service, usize>,
    pub fleet: FleetFacts,
}

/// What conditions found, by place.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    pub places: BTreeMap<Subject, Vec<Finding>>,
    pub unjudged: Vec<Unjudged>,
}

/// Where one condition holds, within one place.
#[derive(Default)]
struct Held<'a> {
    targets: BTreeMap<TargetId, u64>,
    of: u64,
    /// The sum over the targets where it holds.
    figures: SiteFigures,
    /// The one with most tasks, the first of equals.
    worst: Option<(u64, &'a TargetId)>,
}

impl<'a> Held<'a> {
    fn add(&mut self, target: &'a TargetId, count: u64, figures: &SiteFigures) {
        self.targets.insert(target.clone(), count);
        self.figures.add(figures);
        if self.worst.is_none_or(|(most, _)| count > most) {
            self.worst = Some((count, target));
        }
    }
}

/// Judges every rule that is a condition.
pub(super) fn judge(rules: &[Rule], evidence: &Evidence<'_>) -> Conditions {
    let mut found = Conditions::default();
    for rule in rules {
        let Some(condition) = rule.condition() else { continue };
        let mut unknown = BTreeMap::new();
        match condition.of() {
            Of::Site => sites(rule, condition, evidence, &mut found, &mut unknown),
            Of::Host => hosts(rule, condition, evidence, &mut found, &mut unknown),
            Of::Context => surroundings::judge(rule, condition, evidence, &mut found),
            Of::Fleet | Of::Finding => fleet(rule, condition, evidence, &mut found, &mut unknown),
        }
        if !unknown.is_empty() {
            let missing = unknown.values().flatten().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
            found.unjudged.push(Unjudged {
                rule: rule.id.clone(),
                name: rule.name.clone(),
                worst: rule.worst(),
                dry_run: rule.dry_run,
                of_surroundings: false,
                missing: missing.into_iter().collect(),
                targets: unknown.into_keys().collect(),
            });
        }
    }
    found
}

type Unknown = BTreeMap<TargetId, BTreeSet<&'static str>>;

fn sites(rule: &Rule, condition: &Condition, evidence: &Evidence<'_>, found: &mut Conditions, unknown: &mut Unknown) {
    for (site, profile) in evidence.sites {
        let mut held = Held::default();
        for (target, figures) in &profile.by_target {
            let Some((host, _)) = evidence.hosts.get(target) else { continue };
            held.of += figures.alive;
            let of_site = on_target(site, profile, target, figures, measured(host.window.length()));
            let facts =
                |name: &str| of_site.fact(name).or_else(|| host.fact(name)).or_else(|| evidence.fleet.fact(name));
            match condition.judge(&facts) {
                Judgement::Holds => held.add(target, figures.alive, figures),
                Judgement::Fails => {}
                Judgement::Unknown(missing) => unknown.entry(target.clone()).or_default().extend(missing),
            }
        }
        let Some((_, worst)) = held.worst else { continue };
        let shown = |target: &TargetId| {
            let figures = profile.by_target.get(target).copied().unwrap_or_default();
            let host = evidence.hosts.get(target);
            values(condition, &|name| {
                let window = host.and_then(|(host, _)| measured(host.window.length()));
                on_target(site, profile, target, &figures, window)
                    .fact(name)
                    .or_else(|| host?.0.fact(name))
                    .or_else(|| evidence.fleet.fact(name))
            })
        };
        let text = format!("worst on {worst}: {}", shown(worst));
        let window = mean_window(held.targets.keys(), evidence);
        let affected = held.targets.values().sum();
        let figures = held.figures;
        let tails = Tails::of(&profile.polls, &profile.scheduled);
        let of_site = SiteFacts { site, figures: &figures, window, tails };
        let facts = |found: &Found, name: &str| {
            found.fact(name).or_else(|| of_site.fact(name)).or_else(|| evidence.fleet.fact(name))
        };
        let finding = finding(rule, held.targets, affected, held.of, &site.service, text, &facts, evidence);
        found.places.entry(Subject::Site(site.clone())).or_default().extend(finding);
    }
}

fn on_target<'a>(
    site: &'a FleetSite,
    profile: &SiteProfile,
    target: &TargetId,
    figures: &'a SiteFigures,
    window: Option<Duration>,
) -> SiteFacts<'a> {
    SiteFacts { site, figures, window, tails: profile.tails.get(target).copied().unwrap_or_default() }
}

fn hosts(rule: &Rule, condition: &Condition, evidence: &Evidence<'_>, found: &mut Conditions, unknown: &mut Unknown) {
    let mut by_service: BTreeMap<&Service, (BTreeMap<TargetId, u64>, String)> = BTreeMap::new();
    for (target, (host, _)) in &evidence.hosts {
        let facts = |name: &str| host.fact(name).or_else(|| evidence.fleet.fact(name));
        match condition.judge(&facts) {
            Judgement::Holds => {
                let text = || (BTreeMap::new(), format!("on {target}: {}", values(condition, &facts)));
                by_service.entry(host.service).or_insert_with(text).0.insert((*target).clone(), 1);
            }
            Judgement::Fails => {}
            Judgement::Unknown(missing) => unknown.entry((*target).clone()).or_default().extend(missing),
        }
    }
    for (service, (targets, text)) in by_service {
        let affected = targets.len() as u64;
        let of = evidence.services.get(service).copied().unwrap_or(0) as u64;
        let facts = |found: &Found, name: &str| found.fact(name).or_else(|| evidence.fleet.fact(name));
        let finding = finding(rule, targets, affected, of, service, text, &facts, evidence);
        found.places.entry(Subject::Target { service: service.clone() }).or_default().extend(finding);
    }
}

fn fleet(rule: &Rule, condition: &Condition, evidence: &Evidence<'_>, found: &mut Conditions, unknown: &mut Unknown) {
    let facts = |name: &str| evidence.fleet.fact(name);
    match condition.judge(&facts) {
        Judgement::Fails => {}
        Judgement::Unknown(missing) => {
            let all = evidence.hosts.keys().map(|target| ((*target).clone(), missing.iter().copied().collect()));
            unknown.extend(all);
        }
        Judgement::Holds => {
            let targets: BTreeMap<_, _> = evidence.hosts.keys().map(|target| ((*target).clone(), 1)).collect();
            let (affected, text) = (targets.len() as u64, values(condition, &facts));
            let facts = |found: &Found, name: &str| found.fact(name).or_else(|| evidence.fleet.fact(name));
            let finding = finding(rule, targets, affected, affected, &Service::default(), text, &facts, evidence);
            found.places.entry(Subject::Target { service: Service::default() }).or_default().extend(finding);
        }
    }
}

#[allow(clippy::too_many_arguments)] // The parts of a finding, each from another place.
fn finding(
    rule: &Rule,
    targets: BTreeMap<TargetId, u64>,
    affected: u64,
    of: u64,
    service: &Service,
    text: String,
    facts: &dyn Fn(&Found, &str) -> Option<crate::playbook::Fact>,
    evidence: &Evidence<'_>,
) -> Option<Finding> {
    let in_service = match evidence.services.get(service) {
        Some(count) => *count,
        None => evidence.hosts.len(),
    };
    let (confidence, cap) = confidence(targets.keys(), evidence);
    let numbers = Found { affected, of, hosts: targets.len(), hosts_observed: in_service };
    let facts = |name: &str| facts(&numbers, name);
    let caps = cap.into_iter().map(str::to_owned).collect();
    judged(rule, &facts, confidence, caps, &Limits::new()).map(|Judged { severity, message, caps }| Finding {
        rule: rule.id.clone(),
        name: rule.name.clone(),
        severity,
        confidence,
        caps,
        message,
        evidence: text,
        affected,
        of,
        targets,
        targets_in_service: in_service,
        explained_here: None,
        remedy: rule.remedy.clone(),
        next_checks: rule.next_checks.clone(),
        reference: rule.reference.clone(),
    })
}

/// What a rule's outcomes make of a finding.
pub(super) struct Judged {
    pub severity: Severity,
    pub message: String,
    pub caps: Vec<String>,
}

/// The first outcome that applies. A mere lead is for information, whatever it would be if it were true.
pub(super) fn judged(
    rule: &Rule,
    facts: Facts<'_>,
    confidence: Confidence,
    mut caps: Vec<String>,
    limits: &Limits,
) -> Option<Judged> {
    let chosen = rule.outcome(facts)?;
    if !chosen.missing.is_empty() {
        caps.push(format!("no worse outcome could be judged, for want of {}", chosen.missing.join(", ")));
    }
    let severity = if confidence == Confidence::Low { Severity::Info } else { chosen.outcome.severity };
    Some(Judged { severity, message: rule.message_within(chosen.outcome, limits, facts), caps })
}

/// As sure as the surest of the targets allows.
fn confidence<'t>(
    targets: impl Iterator<Item = &'t TargetId>,
    evidence: &Evidence<'_>,
) -> (Confidence, Option<&'static str>) {
    let of = |target| match evidence.hosts.get(target) {
        Some((host, _)) if measured(host.window.length()).is_none() => (Confidence::Low, Some(ONE_SAMPLE)),
        Some((_, true)) => (Confidence::High, None),
        _ => (Confidence::Medium, Some(IN_PART)),
    };
    targets.map(of).max_by_key(|(confidence, _)| *confidence).unwrap_or((Confidence::Low, Some(ONE_SAMPLE)))
}

/// The condition's metrics with their values.
pub(super) fn values(condition: &Condition, facts: Facts<'_>) -> String {
    let value = |name: &&'static str| Some(format!("{name} {}", facts(name)?.shown(metric(name)?.kind)));
    condition.metrics().filter_map(|name| value(&name)).collect::<Vec<_>>().join(", ")
}

fn mean_window<'t>(targets: impl Iterator<Item = &'t TargetId>, evidence: &Evidence<'_>) -> Option<Duration> {
    let windows: Vec<_> =
        targets.filter_map(|target| measured(evidence.hosts.get(target)?.0.window.length())).collect();
    windows.iter().sum::<Duration>().checked_div(u32::try_from(windows.len()).ok()?)
}

/// How long a site's tasks were watched, over all its targets.
pub(super) fn watched(profile: &SiteProfile, evidence: &Evidence<'_>) -> Option<Duration> {
    mean_window(profile.by_target.keys(), evidence)
}
