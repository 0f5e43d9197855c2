//! One target's tasks as counts by spawn site, and what the rules recognise on it. Once profiled, the tasks are dropped.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::detect::{self, Context, Queue, Tally};
use super::diagnosis::{Counts, FleetSite, SiteFigures, Subject};
use super::distribution::{Tails, Times};
use super::hits::{Found, Hits};
use super::waits::Waits;
use crate::model::{Activity, ObservationWindow, Snapshot, Target, TargetId, TargetTime, Task, TaskKind, TaskState};
use crate::playbook::{Detector, Rule};

/// What a site's tasks on some targets add up to. Adding is associative and commutative.
#[derive(Clone, Debug, Default)]
pub(super) struct SiteProfile {
    pub by_target: BTreeMap<TargetId, SiteFigures>,
    /// Of the targets on which tasks were looked at closely.
    pub tails: BTreeMap<TargetId, Tails>,
    pub polls: Times,
    pub scheduled: Times,
}

impl SiteProfile {
    /// Over all targets.
    pub(super) fn figures(&self) -> SiteFigures {
        let mut sum = SiteFigures::default();
        self.by_target.values().for_each(|figures| sum.add(figures));
        sum
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (target, figures) in other.by_target {
            self.by_target.entry(target).or_default().add(&figures);
        }
        for (target, tails) in other.tails {
            self.tails.entry(target).or_default().merge(tails);
        }
        self.polls.merge(&other.polls);
        self.scheduled.merge(&other.scheduled);
    }
}

/// What the rules recognised, by place and by the rule's place in the playbook.
pub(super) type Places = BTreeMap<Subject, BTreeMap<usize, Hits>>;

/// One target, profiled.
#[derive(Debug, Default)]
pub(super) struct Profile {
    pub sites: BTreeMap<FleetSite, SiteProfile>,
    pub places: Places,
    pub waits: Waits,
}

/// While the tasks of one site on one target are looked at.
#[derive(Default)]
struct Watched {
    figures: SiteFigures,
    tally: Tally,
    polls: Times,
    scheduled: Times,
    found: BTreeMap<usize, Found>,
}

/// The profile of one target.
pub(super) fn profile(rules: &[Rule], target: &Target, snapshot: &Snapshot) -> Profile {
    let context = Context::of(snapshot);
    let mut watched: Vec<Watched> = snapshot.sites.iter().map(|_| Watched::default()).collect();
    for task in &snapshot.tasks {
        let index = task.site.0 as usize;
        if let (Some(watched), Some(site)) = (watched.get_mut(index), snapshot.sites.get(index)) {
            watched.add(task, &site.kind, rules, &context);
            if let Some(histograms) = snapshot.details.get(&(task.id, task.created_at)) {
                watched.polls.add(histograms.polls.as_ref());
                watched.scheduled.add(histograms.scheduled.as_ref());
            }
        }
    }
    let waits = snapshot.waits();
    let queues = detect::queues(&waits);
    let mut profile = Profile::default();
    profile.waits.add(&target.service, &target.id, &queues, snapshot);
    for (rule, detector) in detectors(rules) {
        let mut judged = Judged { rule, detector, target, snapshot, places: &mut profile.places };
        judged.sites(&watched, &context);
        judged.queues(&queues, &context);
        if let Some((hit, words)) = detect::observed(detector, target, snapshot) {
            judged.put(judged.process(), Hits::of_place(hit, &target.id, 1, 1, Some(words)));
        }
    }
    for (site, watched) in snapshot.sites.iter().zip(watched) {
        let site = FleetSite { service: target.service.clone(), site: site.clone() };
        let by_target = BTreeMap::from([(target.id.clone(), watched.figures)]);
        let tails = Tails::of(&watched.polls, &watched.scheduled);
        let tails = (tails.tasks > 0).then(|| (target.id.clone(), tails)).into_iter().collect();
        let seen = SiteProfile { by_target, tails, polls: watched.polls, scheduled: watched.scheduled };
        profile.sites.entry(site).or_default().merge(seen);
    }
    profile
}

/// The rules that are native code, with their places in the playbook.
pub(super) fn detectors(rules: &[Rule]) -> impl Iterator<Item = (usize, Detector)> + '_ {
    rules.iter().enumerate().filter_map(|(index, rule)| Some((index, rule.detector()?)))
}

impl Watched {
    fn add(&mut self, task: &Task, kind: &TaskKind, rules: &[Rule], context: &Context<'_>) {
        self.figures.count(task, context.start);
        self.tally.add(task, context);
        for (index, detector) in detectors(rules) {
            if let Some(hit) = detector.detect(task, kind, context) {
                self.found.entry(index).or_default().task(hit, task);
            }
        }
    }
}

/// One rule on one target.
struct Judged<'a> {
    rule: usize,
    detector: Detector,
    target: &'a Target,
    snapshot: &'a Snapshot,
    places: &'a mut Places,
}

/// Woken tasks of so many sites wait: then it is the runtime that does not keep up, not the sites.
const SITES_OF_A_RUNTIME: usize = 3;

impl Judged<'_> {
    fn put(&mut self, subject: Subject, hits: Hits) {
        let cap = self.detector.cap(&self.snapshot.anomalies);
        let hits = hits.capped(cap.as_ref()).by(self.detector);
        self.places.entry(subject).or_default().entry(self.rule).or_default().merge(hits);
    }

    fn process(&self) -> Subject {
        Subject::Target { service: self.target.service.clone() }
    }

    fn site(&self, index: usize) -> Option<Subject> {
        let site = self.snapshot.sites.get(index)?.clone();
        Some(Subject::Site(FleetSite { service: self.target.service.clone(), site }))
    }

    fn sites(&mut self, watched: &[Watched], context: &Context<'_>) {
        let found: Vec<_> = watched.iter().map(|watched| watched.found.get(&self.rule)).collect();
        let waiting = found.iter().flatten().count();
        if matches!(self.detector, Detector::Starved { .. }) && waiting >= SITES_OF_A_RUNTIME {
            self.starved_runtime(found.into_iter().flatten(), watched);
            return;
        }
        let all: u64 = found.iter().flatten().map(|found| found.count()).sum();
        for (index, watched) in watched.iter().enumerate() {
            let (Some(subject), Some(site)) = (self.site(index), self.snapshot.sites.get(index)) else { continue };
            if let Some(found) = watched.found.get(&self.rule) {
                let words = match self.detector {
                    Detector::StuckPoll { .. } => Some(self.census(found.count(), all, &site.kind)),
                    _ => None,
                };
                self.put(subject.clone(), found.clone().into_hits(&self.target.id).with_words(words));
            }
            if let Some((hit, affected)) = self.detector.detect_site(&watched.tally, &site.kind, context) {
                self.put(subject, Hits::of_place(hit, &self.target.id, affected, 0, None));
            }
        }
    }

    fn queues(&mut self, queues: &[Queue<'_>], context: &Context<'_>) {
        for contended in self.detector.detect_queues(queues, self.snapshot, context) {
            let Some(subject) = self.resource(contended.queue) else { continue };
            let hits = Hits::of_place(contended.hit, &self.target.id, contended.affected, 0, Some(contended.words));
            self.put(subject, hits);
        }
    }

    /// The resource, by where it was created; one that has no place by the site most of whose tasks wait for it.
    fn resource(&self, queue: &Queue<'_>) -> Option<Subject> {
        if let Some(location) = queue.resource.and_then(|resource| resource.location.as_deref().cloned()) {
            let concrete_type = queue.kind.concrete_type().to_owned();
            return Some(Subject::Resource {
                service: self.target.service.clone(),
                concrete_type,
                location: Some(location),
            });
        }
        let mut waiters: BTreeMap<usize, u64> = BTreeMap::new();
        for wait in &queue.waits {
            *waiters.entry(wait.task.site.0 as usize).or_default() += 1;
        }
        let most = waiters
            .into_iter()
            .filter_map(|(index, count)| Some((count, Reverse(self.snapshot.sites.get(index)?), index)));
        self.site(most.max()?.2)
    }

    /// How many of the workers are taken.
    fn census(&self, here: u64, all: u64, kind: &TaskKind) -> String {
        let of_them = if here == all { "all from here".to_owned() } else { format!("{here} of them from here") };
        match self.snapshot.workers {
            Some(workers) if *kind == TaskKind::Task && u64::from(workers) >= all => {
                format!("{all} of {workers} workers inside one poll, {of_them}")
            }
            _ => format!("{all} tasks inside one poll, {of_them}; how many workers there are cannot be seen"),
        }
    }

    fn starved_runtime<'f>(&mut self, found: impl Iterator<Item = &'f Found>, watched: &[Watched]) {
        let mut sum = Found::default();
        let mut sites = 0;
        for found in found {
            sum.merge(found);
            sites += 1;
        }
        let alive = |watched: &Watched| watched.figures.alive;
        let of = watched.iter().zip(&self.snapshot.sites).filter(|(_, site)| !site.kind.is_blocking());
        let of = of.map(|(watched, _)| alive(watched)).sum();
        let words = format!("{} of {of} tasks of {sites} places wait for a worker", sum.count());
        let hits = Hits { of, ..sum.into_hits(&self.target.id) }.with_words(Some(words));
        self.put(self.process(), hits);
    }
}

impl SiteFigures {
    fn count(&mut self, task: &Task, start: Option<TargetTime>) {
        let Activity { polls, wakes, self_wakes, busy, scheduled, idle } = task.activity(start);
        let state = task.last.state();
        self.add(&Self {
            alive: u64::from(state != TaskState::Done),
            completed: u64::from(state == TaskState::Done),
            born: u64::from(start.is_some_and(|start| task.created_at > start)),
            died: u64::from(start.is_some() && task.last.stats.dropped_at > start),
            running: u64::from(state == TaskState::Running),
            woken: u64::from(state == TaskState::Scheduled),
            never_polled: u64::from(state == TaskState::NeverPolled),
            polls,
            wakes,
            self_wakes,
            busy,
            scheduled,
            idle,
            longest_poll: task.last.current_poll(),
        });
    }

    /// Tasks that wait to be woken.
    pub(super) fn idle(&self) -> u64 {
        self.alive.saturating_sub(self.running.saturating_add(self.woken).saturating_add(self.never_polled))
    }

    /// All sums saturate: the figures come from elsewhere.
    pub(super) fn add(&mut self, other: &Self) {
        let counts: [(&mut u64, u64); 10] = [
            (&mut self.alive, other.alive),
            (&mut self.completed, other.completed),
            (&mut self.born, other.born),
            (&mut self.died, other.died),
            (&mut self.running, other.running),
            (&mut self.woken, other.woken),
            (&mut self.never_polled, other.never_polled),
            (&mut self.polls, other.polls),
            (&mut self.wakes, other.wakes),
            (&mut self.self_wakes, other.self_wakes),
        ];
        counts.into_iter().for_each(|(sum, value)| *sum = sum.saturating_add(value));
        self.busy = self.busy.saturating_add(other.busy);
        self.scheduled = self.scheduled.saturating_add(other.scheduled);
        self.idle = self.idle.saturating_add(other.idle);
        self.longest_poll = self.longest_poll.max(other.longest_poll);
    }
}

/// A target's figures at the end of its window.
pub(super) fn counts(snapshot: &Snapshot) -> Counts {
    let mut counts = Counts::default();
    let ObservationWindow { first, .. } = snapshot.window;
    for task in &snapshot.tasks {
        let state = task.last.state();
        let counter = match state {
            TaskState::Running => &mut counts.running,
            TaskState::Scheduled => &mut counts.scheduled,
            TaskState::Idle => &mut counts.idle,
            TaskState::NeverPolled => &mut counts.never_polled,
            TaskState::Done => &mut counts.completed,
        };
        *counter += 1;
        counts.alive += u64::from(state != TaskState::Done);
        counts.born += u64::from(first.is_some_and(|first| task.created_at > first));
        counts.died += u64::from(first.is_some() && task.last.stats.dropped_at > first);
    }
    counts.resources = snapshot.resources.iter().filter(|resource| resource.dropped_at.is_none()).count() as u64;
    counts
}
