//! Targets are added one by one, in any order; the judgement comes out at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::{Point, Trends};
use super::condition::{self, Conditions, Evidence};
use super::detect;
use super::diagnosis::{
    Because, Counts, Coverage, Diagnosis, FleetSite, Hotspot, RuleFacts, RunFacts, SiteReport, Status, Subject,
    TargetReport,
};
use super::facts::{FleetFacts, HostFacts};
use super::growth;
use super::hits::Hits;
use super::outliers::{Peer, Peers, outliers};
use super::profile::{Places, Profile, SiteProfile, counts, detectors, profile};
use super::rank::{hotspots, rank};
use super::related::relate;
use super::skew::same_as;
use super::suppress::set_aside;
use super::verdict::Gate;
use super::waits::Waits;
use crate::model::{
    Code, ContainerSelector, Endpoint, Failure, HostContext, Service, Snapshot, SpawnLocation, Target, TargetId,
    Thresholds,
};
use crate::playbook::{Of, Playbook, Rule, Severity};

/// What was seen of a fleet so far: profiles, never tasks.
#[derive(Clone, Debug)]
pub struct Fleet<'a> {
    playbook: &'a Playbook,
    sites: BTreeMap<FleetSite, SiteProfile>,
    places: Places,
    waits: Waits,
    services: BTreeMap<Service, usize>,
    targets: BTreeMap<TargetId, TargetReport>,
    peers: Peers,
    /// What the inventory sets for targets, where it does.
    thresholds: BTreeMap<TargetId, Thresholds>,
    history: Vec<Point>,
    contexts: BTreeMap<TargetId, HostContext>,
}

/// What was seen of one target: its profile, without its tasks.
#[derive(Debug)]
pub struct Seen {
    profile: Profile,
    peer: Peer,
    status: Status,
}

impl<'a> Fleet<'a> {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(playbook: &'a Playbook) -> Self {
        Self {
            playbook,
            sites: BTreeMap::new(),
            places: BTreeMap::new(),
            waits: Waits::default(),
            services: BTreeMap::new(),
            targets: BTreeMap::new(),
            peers: Peers::new(),
            thresholds: BTreeMap::new(),
            history: Vec::new(),
            contexts: BTreeMap::new(),
        }
    }

    /// Nothing seen yet, after earlier runs, oldest first.
    #[must_use]
    pub fn after(playbook: &'a Playbook, history: Vec<Point>) -> Self {
        Self { history, ..Self::new(playbook) }
    }

    /// Adds a target that was observed, and drops its tasks.
    pub fn observed(&mut self, target: &Target, snapshot: Snapshot) {
        self.looked_at(target, look(self.playbook, target, snapshot));
    }

    /// Adds a target with what was seen of it under the same playbook.
    pub fn looked_at(&mut self, target: &Target, Seen { profile, peer, status }: Seen) {
        *self.services.entry(target.service.clone()).or_default() += 1;
        if !target.thresholds.is_empty() {
            self.thresholds.insert(target.id.clone(), target.thresholds.clone());
        }
        self.peers.insert(target.id.clone(), peer);
        for (site, profile) in profile.sites {
            self.sites.entry(site).or_default().merge(profile);
        }
        self.add_places(profile.places);
        self.waits.merge(profile.waits);
        self.report(target, status);
    }

    /// Adds a target of which nothing was seen.
    pub fn failed(&mut self, target: &Target, failure: &Failure) {
        for (index, detector) in detectors(&self.playbook.rules) {
            if let Some((hit, words)) = detect::failed(detector, target, failure) {
                let subject = Subject::Target { service: target.service.clone() };
                let hits = Hits::of_place(hit, &target.id, 1, 1, Some(words));
                self.add_places(BTreeMap::from([(subject, BTreeMap::from([(index, hits)]))]));
            }
        }
        self.report(target, Status::Failed { failure: failure.clone(), hint: failure.hint(target) });
    }

    /// Adds what the server of a target told beside its console.
    pub fn surrounded(&mut self, target: &Target, context: HostContext) {
        self.contexts.insert(target.id.clone(), context);
    }

    /// The judgement of everything that was added.
    #[must_use]
    pub fn diagnose(mut self, run: RunFacts, gate: &Gate) -> Diagnosis {
        let moved = self.join_builds();
        let trends = self.trends();
        for (id, context) in std::mem::take(&mut self.contexts) {
            if let Some(target) = self.targets.get_mut(&id) {
                target.context = Some(context);
            }
        }
        let coverage = coverage(self.targets.values());
        let waits = std::mem::take(&mut self.waits).into_report();
        let outliers = outliers(&self.sites, &self.peers);
        let evidence = self.evidence(coverage);
        let Conditions { places, unjudged } = condition::judge(&self.playbook.rules, &evidence);
        let mut hotspots = hotspots(&self.places, places, self.playbook, &evidence);
        relate(&mut hotspots, self.playbook, &self.peers, &waits);
        tell_moved(&mut hotspots, &moved);
        rank(&mut hotspots);
        let mut targets: Vec<_> = self.targets.into_values().collect();
        count_findings(&mut targets, &hotspots);
        targets.sort_by_cached_key(|target| (oddness(&target.status), target.id.clone()));
        let judged = gate.judge(&hotspots, &coverage, run.interrupted);
        let mut diagnosis = Diagnosis {
            run,
            verdict: judged.verdict,
            verdict_reasons: judged.reasons,
            exit_code: judged.exit_code,
            coverage,
            hotspots,
            unjudged,
            targets,
            sites: self.sites.into_iter().map(|(site, profile)| site_report(site, profile)).collect(),
            waits,
            outliers,
            rules: self.playbook.rules.iter().map(rule_facts).collect(),
            gate: *gate,
            set_aside: Vec::new(),
            trends,
            code: Code::default(),
        };
        let on_trial: BTreeSet<_> =
            self.playbook.rules.iter().filter(|rule| rule.dry_run).map(|rule| &rule.id).collect();
        if !on_trial.is_empty() {
            set_aside(&mut diagnosis, |_, finding, _| on_trial.contains(&finding.rule).then_some(Because::DryRun));
        }
        gate.judge_again(&mut diagnosis);
        diagnosis
    }

    /// What keeps growing, where there are earlier runs to tell.
    fn trends(&mut self) -> Trends {
        let mut points = std::mem::take(&mut self.history);
        if points.is_empty() {
            return Trends::default();
        }
        points.push(Point::now(&self.sites, &self.targets));
        let (trends, places) = growth::judged(self.playbook, &points, &self.thresholds);
        self.add_places(places);
        trends
    }

    fn evidence(&self, coverage: Coverage) -> Evidence<'_> {
        let mut counts = Counts::default();
        let mut hosts = BTreeMap::new();
        for report in self.targets.values() {
            if let Status::Observed { partial, counts: of_host, window, tokio_version, anomalies, .. } = &report.status
            {
                counts.alive += of_host.alive;
                counts.running += of_host.running;
                counts.scheduled += of_host.scheduled;
                let facts = HostFacts {
                    id: &report.id,
                    service: &report.service,
                    counts: of_host,
                    window,
                    tokio_version: tokio_version.as_deref(),
                    anomalies,
                    context: report.context.as_ref(),
                    peer: self.peers.get(&report.id),
                };
                hosts.insert(&report.id, (facts, !partial));
            }
        }
        let reports = self.targets.values();
        let surroundings =
            reports.filter_map(|report| Some((&report.id, (&report.service, report.context.as_ref()?)))).collect();
        let fleet = FleetFacts { coverage, counts };
        Evidence { sites: &self.sites, hosts, surroundings, services: &self.services, fleet }
    }

    /// Makes one of sites that are the same in several builds. Returns where each was, by what it is now.
    fn join_builds(&mut self) -> BTreeMap<FleetSite, Vec<Moved>> {
        let same = same_as(&self.sites, &self.peers);
        let mut moved: BTreeMap<FleetSite, Vec<Moved>> = BTreeMap::new();
        for (site, first) in &same {
            if let (Some(profile), Some(location)) = (self.sites.remove(site), &site.site.location) {
                let hosts = profile.by_target.keys().cloned().collect();
                moved.entry(first.clone()).or_default().push((location.clone(), hosts));
                self.sites.entry(first.clone()).or_default().merge(profile);
            }
            if let Some(by_rule) = self.places.remove(&Subject::Site(site.clone())) {
                self.add_places(BTreeMap::from([(Subject::Site(first.clone()), by_rule)]));
            }
        }
        moved
    }

    fn add_places(&mut self, places: Places) {
        for (subject, by_rule) in places {
            let place = self.places.entry(subject).or_default();
            for (rule, hits) in by_rule {
                place.entry(rule).or_default().merge(hits);
            }
        }
    }

    fn report(&mut self, target: &Target, status: Status) {
        let report = TargetReport { id: target.id.clone(), service: target.service.clone(), status, context: None };
        self.targets.insert(target.id.clone(), report);
    }
}

/// Tells each target how many findings name it.
fn count_findings(targets: &mut [TargetReport], hotspots: &[Hotspot]) {
    let mut of: BTreeMap<&TargetId, BTreeMap<Severity, usize>> = BTreeMap::new();
    for finding in hotspots.iter().flat_map(|hotspot| &hotspot.findings) {
        for target in finding.targets.keys() {
            *of.entry(target).or_default().entry(finding.severity).or_default() += 1;
        }
    }
    for target in targets {
        if let Status::Observed { findings, .. } = &mut target.status {
            *findings = of.remove(&target.id).unwrap_or_default();
        }
    }
}

/// Another place of a site, and the hosts whose build has it there.
type Moved = (SpawnLocation, Vec<TargetId>);

fn tell_moved(hotspots: &mut [Hotspot], moved: &BTreeMap<FleetSite, Vec<Moved>>) {
    for hotspot in hotspots {
        let Subject::Site(site) = &hotspot.subject else { continue };
        for (location, hosts) in moved.get(site).into_iter().flatten() {
            let more = if hosts.len() > 1 { format!(" and {} more", hosts.len() - 1) } else { String::new() };
            let on = hosts.first().map(ToString::to_string).unwrap_or_default();
            hotspot.related.push(format!("in the build on {on}{more} this place is {location}"));
        }
    }
}

/// Looks at one target; others can be looked at meanwhile.
#[must_use]
pub fn look(playbook: &Playbook, target: &Target, snapshot: Snapshot) -> Seen {
    let profile = profile(&playbook.rules_for(&target.thresholds), target, &snapshot);
    let peer = peer(target, &snapshot);
    let status = Status::Observed {
        partial: snapshot.anomalies.iter().any(crate::model::Anomaly::makes_partial),
        counts: counts(&snapshot),
        window: snapshot.window,
        vintage: snapshot.vintage,
        tokio_version: snapshot.tokio_version,
        anomalies: snapshot.anomalies,
        // Counted when everything is judged.
        findings: BTreeMap::new(),
    };
    Seen { profile, peer, status }
}

fn peer(target: &Target, snapshot: &Snapshot) -> Peer {
    let mut attributes = target.attributes.clone();
    attributes.extend(snapshot.tokio_version.clone().map(|version| ("tokio".to_owned(), version)));
    let vintage = snapshot.vintage.map(|vintage| vintage.to_string().replace("console-subscriber ", ""));
    attributes.extend(vintage.map(|vintage| ("console-subscriber".to_owned(), vintage)));
    if let Endpoint::Container { selector: ContainerSelector::Image(image), .. } = &target.endpoint {
        attributes.entry("image".to_owned()).or_insert_with(|| image.clone());
    }
    let alive = snapshot.tasks.iter().filter(|task| task.last.stats.dropped_at.is_none());
    Peer {
        service: target.service.clone(),
        attributes,
        window: snapshot.window.length(),
        workers: snapshot.workers,
        age: alive.map(|task| task.created_at).min().and_then(|born| Some(snapshot.window.last?.since(born))),
    }
}

fn rule_facts(rule: &Rule) -> RuleFacts {
    RuleFacts {
        id: rule.id.clone(),
        name: rule.name.clone(),
        severity: rule.worst(),
        of_surroundings: rule.condition().is_some_and(|condition| condition.of() == Of::Context),
        why: rule.why.clone(),
        remedy: rule.remedy.clone(),
        reference: rule.reference.clone(),
    }
}

fn site_report(site: FleetSite, profile: SiteProfile) -> SiteReport {
    let figures = profile.figures();
    let (polls, scheduled) = (profile.polls.distribution(), profile.scheduled.distribution());
    SiteReport { site, figures, by_target: profile.by_target, polls, scheduled }
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
