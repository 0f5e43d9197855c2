//! Targets are added one by one, in any order; the judgement comes out at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnosis::{Coverage, Diagnosis, FleetSite, RuleFacts, RunFacts, SiteReport, Status, TargetReport};
use super::profile::{SiteProfile, counts, profiles};
use super::rank::hotspots;
use super::verdict::Gate;
use crate::model::{Failure, Service, Snapshot, Target, TargetId};
use crate::playbook::{Playbook, Rule, Severity};

/// What was seen of a fleet so far: profiles, never tasks.
#[derive(Clone, Debug)]
pub struct Fleet<'a> {
    playbook: &'a Playbook,
    sites: BTreeMap<FleetSite, SiteProfile>,
    services: BTreeMap<Service, usize>,
    targets: BTreeMap<TargetId, TargetReport>,
}

impl<'a> Fleet<'a> {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(playbook: &'a Playbook) -> Self {
        Self { playbook, sites: BTreeMap::new(), services: BTreeMap::new(), targets: BTreeMap::new() }
    }

    /// Adds a target that was observed, and drops its tasks.
    pub fn observed(&mut self, target: &Target, snapshot: Snapshot) {
        *self.services.entry(target.service.clone()).or_default() += 1;
        let findings = self.profile(target, &snapshot);
        let status = Status::Observed {
            partial: snapshot.anomalies.iter().any(crate::model::Anomaly::makes_partial),
            counts: counts(&snapshot),
            window: snapshot.window,
            vintage: snapshot.vintage,
            tokio_version: snapshot.tokio_version,
            anomalies: snapshot.anomalies,
            findings,
        };
        self.report(target, status);
    }

    /// Adds a target of which nothing was seen.
    pub fn failed(&mut self, target: &Target, failure: &Failure) {
        self.report(target, Status::Failed { failure: failure.clone(), hint: failure.hint(target) });
    }

    /// The judgement of everything that was added.
    #[must_use]
    pub fn diagnose(self, run: RunFacts, gate: &Gate) -> Diagnosis {
        let coverage = coverage(self.targets.values());
        let hotspots = hotspots(&self.sites, self.playbook, &self.services);
        let mut targets: Vec<_> = self.targets.into_values().collect();
        targets.sort_by_cached_key(|target| (oddness(&target.status), target.id.clone()));
        let judged = gate.judge(&hotspots, &coverage, run.interrupted);
        Diagnosis {
            run,
            verdict: judged.verdict,
            verdict_reasons: judged.reasons,
            exit_code: judged.exit_code,
            coverage,
            hotspots,
            targets,
            sites: self.sites.into_iter().map(|(site, profile)| site_report(site, profile)).collect(),
            waits: Vec::new(),
            outliers: Vec::new(),
            rules: self.playbook.rules.iter().map(rule_facts).collect(),
            gate: *gate,
            set_aside: Vec::new(),
        }
    }

    /// Adds the target's tasks to their sites. Returns how many findings of each severity that makes.
    fn profile(&mut self, target: &Target, snapshot: &Snapshot) -> BTreeMap<Severity, usize> {
        let rules = &self.playbook.rules;
        let mut by_severity = BTreeMap::new();
        for (site, profile) in snapshot.sites.iter().zip(profiles(rules, &target.id, snapshot)) {
            for (rule, hits) in &profile.hits {
                *by_severity.entry(hits.severity(&rules[*rule])).or_default() += 1;
            }
            let site = FleetSite { service: target.service.clone(), site: site.clone() };
            self.sites.entry(site).or_default().merge(profile);
        }
        by_severity
    }

    fn report(&mut self, target: &Target, status: Status) {
        let report = TargetReport { id: target.id.clone(), service: target.service.clone(), status };
        self.targets.insert(target.id.clone(), report);
    }
}

fn rule_facts(rule: &Rule) -> RuleFacts {
    RuleFacts {
        id: rule.id.clone(),
        name: rule.name.clone(),
        severity: rule.severity,
        why: rule.why.clone(),
        remedy: rule.remedy.clone(),
        reference: rule.reference.clone(),
    }
}

fn site_report(site: FleetSite, profile: SiteProfile) -> SiteReport {
    let figures = profile.figures();
    SiteReport { site, figures, by_target: profile.by_target, polls: None, scheduled: None }
}

/// Failed first, then partial, then complete.
fn oddness(status: &Status) -> u8 {
    match status {
        Status::Failed { .. } => 0,
        Status::Observed { partial: true, .. } => 1,
        Status::Observed { .. } => 2,
    }
}

fn coverage<'a>(targets: impl Iterator<Item = &'a TargetReport>) -> Coverage {
    let mut coverage = Coverage::default();
    let mut whole = BTreeSet::new();
    for target in targets {
        coverage.planned += 1;
        match &target.status {
            Status::Failed { .. } => coverage.failed += 1,
            Status::Observed { partial, counts, .. } => {
                *(if *partial { &mut coverage.partial } else { &mut coverage.complete }) += 1;
                coverage.tasks += counts.alive + counts.completed;
                if !partial {
                    whole.insert(&target.id.host);
                }
            }
        }
    }
    coverage.hosts = whole.len();
    coverage
}
