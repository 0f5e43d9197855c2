//! All tasks of one spawn site on one target, as counts. Once profiled, the tasks are dropped.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::detect::Hit;
use super::diagnosis::{Counts, SiteFigures};
use crate::model::{Activity, ObservationWindow, Snapshot, TargetId, TargetTime, Task, TaskKind, TaskState};
use crate::playbook::{Confidence, Rule, Severity};

/// What a site's tasks on some targets add up to. Adding is associative and commutative.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SiteProfile {
    pub by_target: BTreeMap<TargetId, SiteFigures>,
    /// By the rule's place in the playbook.
    pub hits: BTreeMap<usize, Hits>,
}

/// The tasks of a site that one rule recognised.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hits {
    pub by_confidence: BTreeMap<Confidence, u64>,
    pub caps: BTreeMap<Confidence, BTreeSet<&'static str>>,
    pub targets: BTreeMap<TargetId, u64>,
    pub worst: Option<Worst>,
}

/// The worst task: by magnitude, then whatever makes it unique, so that the choice does not depend on order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worst {
    pub confidence: Confidence,
    pub magnitude: u64,
    pub beside: u64,
    pub target: Reverse<TargetId>,
    pub task_id: Option<u64>,
}

impl SiteProfile {
    /// Over all targets.
    pub(super) fn figures(&self) -> SiteFigures {
        let mut sum = SiteFigures::default();
        self.by_target.values().for_each(|figures| sum.add(figures));
        sum
    }

    fn add(&mut self, task: &Task, target: &TargetId, rules: &[Rule], kind: &TaskKind) {
        for (index, rule) in rules.iter().enumerate() {
            if let Some(hit) = rule.detector.detect(task, kind) {
                self.hits.entry(index).or_default().merge(Hits::of(hit, task, target));
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (target, figures) in other.by_target {
            self.by_target.entry(target).or_default().add(&figures);
        }
        for (rule, hits) in other.hits {
            self.hits.entry(rule).or_default().merge(hits);
        }
    }
}

impl SiteFigures {
    fn count(&mut self, task: &Task, start: Option<TargetTime>) {
        let Activity { polls, wakes, self_wakes, busy, scheduled } = task.activity(start);
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
            longest_poll: task.last.current_poll(),
        });
    }

    /// All sums saturate: the figures come from elsewhere.
    fn add(&mut self, other: &Self) {
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
        self.longest_poll = self.longest_poll.max(other.longest_poll);
    }
}

impl Hits {
    fn of(hit: Hit, task: &Task, target: &TargetId) -> Self {
        let worst = Worst {
            confidence: hit.confidence,
            magnitude: hit.magnitude,
            beside: hit.beside,
            target: Reverse(target.clone()),
            task_id: task.task_id,
        };
        Self {
            by_confidence: BTreeMap::from([(hit.confidence, 1)]),
            caps: BTreeMap::from([(hit.confidence, hit.cap.into_iter().collect())]),
            targets: BTreeMap::from([(target.clone(), 1)]),
            worst: Some(worst),
        }
    }

    fn merge(&mut self, other: Self) {
        for (confidence, count) in other.by_confidence {
            *self.by_confidence.entry(confidence).or_default() += count;
        }
        for (confidence, caps) in other.caps {
            self.caps.entry(confidence).or_default().extend(caps);
        }
        for (target, count) in other.targets {
            *self.targets.entry(target).or_default() += count;
        }
        self.worst = self.worst.take().max(other.worst);
    }

    pub(super) fn affected(&self) -> u64 {
        self.by_confidence.values().sum()
    }

    /// That of the surest task.
    pub(super) fn confidence(&self) -> Confidence {
        self.by_confidence.keys().next_back().copied().unwrap_or(Confidence::Low)
    }

    /// The rule's own; a mere lead is for information, whatever it would be if it were true.
    pub(super) fn severity(&self, rule: &Rule) -> Severity {
        if self.confidence() == Confidence::Low { Severity::Info } else { rule.severity }
    }
}

/// The profile of each of the snapshot's sites, in their order.
pub(super) fn profiles(rules: &[Rule], target: &TargetId, snapshot: &Snapshot) -> Vec<SiteProfile> {
    let mut profiles = vec![SiteProfile::default(); snapshot.sites.len()];
    let mut figures = vec![SiteFigures::default(); snapshot.sites.len()];
    for task in &snapshot.tasks {
        let index = task.site.0 as usize;
        if let (Some(profile), Some(figures), Some(site)) =
            (profiles.get_mut(index), figures.get_mut(index), snapshot.sites.get(index))
        {
            profile.add(task, target, rules, &site.kind);
            figures.count(task, snapshot.window.first);
        }
    }
    for (profile, figures) in profiles.iter_mut().zip(figures) {
        profile.by_target.insert(target.clone(), figures);
    }
    profiles
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
