//! All tasks of one spawn site on one target together.

use std::time::Duration;

use super::{Context, Hit};
use crate::model::{Activity, TargetTime, Task, TaskKind, Vintage};
use crate::playbook::{Confidence, Detector};

const GROWS_ONLY_NOW: &str = "the growth was seen inside the window only: a service that is filling up looks the same";
const COALESCED: &str = "several wakes before one poll look the same as a wake without a poll";
const BRIEF: &str = "each task had a poll or two in the window: what a task sets up in its first poll looks the same";
const OLD_TRACING: &str = "with `tracing` before 0.1.38 a task's last poll looks like the drop of its future";

/// The window is cut into so many parts; a leak has births in most of them, a burst in one.
const PARTS: usize = 4;
const PARTS_OF_A_LEAK: usize = 3;

/// So many brief tasks say what as many polls of one say, unless they were all there at once.
const FEWEST_BRIEF: u64 = super::polls::FEWEST_POLLS;
const PARTS_OF_BRIEF: usize = 2;

/// What the detectors of places need to know of a site's tasks. Counts only: it does not grow with the tasks.
#[derive(Clone, Copy, Debug, Default)]
pub(in super::super) struct Tally {
    alive: u64,
    alive_before: u64,
    born: [u64; PARTS],
    died: u64,
    ended: u64,
    busy: Duration,
    polls: u64,
    wakes: u64,
    waker_drops: u64,
    /// Ended with a wake after their only poll began.
    woken_for_nothing: u64,
    /// Ended with as many wakes as polls, after several polls.
    perhaps_woken_for_nothing: u64,
    brief: Brief,
}

/// Tasks that ended in the window after too few polls for a mean of their own.
#[derive(Clone, Copy, Debug, Default)]
struct Brief {
    ended: [u64; PARTS],
    busy: Duration,
    polls: u64,
}

impl Tally {
    pub(in super::super) fn add(&mut self, task: &Task, context: &Context<'_>) {
        let (first, last) = (task.first().stats, &task.last.stats);
        let activity = task.activity(context.start);
        let is_born_inside = context.start.is_some_and(|start| task.created_at > start);
        let before = if is_born_inside { 0 } else { first.waker_drops };
        self.busy = self.busy.saturating_add(activity.busy);
        self.polls = self.polls.saturating_add(activity.polls);
        self.wakes = self.wakes.saturating_add(activity.wakes);
        self.waker_drops = self.waker_drops.saturating_add(last.waker_drops.saturating_sub(before));
        match last.dropped_at {
            None => {
                self.alive += 1;
                self.alive_before += u64::from(!is_born_inside);
            }
            Some(dropped) => {
                self.ended += 1;
                if context.start.is_some_and(|start| dropped > start) {
                    self.died += 1;
                    self.brief.add(&activity, context.part(dropped));
                }
                self.count_cancelled(task);
            }
        }
        if is_born_inside {
            self.born[context.part(task.created_at)] += 1;
        }
    }

    /// A wake is followed by a poll, unless the task was cancelled in between. Every poll but the first has a wake, so
    /// a task has one wake less than polls; wakes that came together make it more.
    fn count_cancelled(&mut self, task: &Task) {
        let stats = &task.last.stats;
        let wakes = stats.wakes.saturating_sub(stats.self_wakes);
        match stats.polls {
            0 => {}
            1 => self.woken_for_nothing += u64::from(wakes > 0 && stats.last_wake > stats.first_poll),
            polls => self.perhaps_woken_for_nothing += u64::from(wakes >= polls),
        }
    }

    fn births(&self) -> u64 {
        self.born.iter().sum()
    }
}

impl Brief {
    fn add(&mut self, activity: &Activity, part: usize) {
        if (1..super::polls::FEWEST_POLLS).contains(&activity.polls) {
            self.ended[part] += 1;
            self.busy = self.busy.saturating_add(activity.busy);
            self.polls += activity.polls;
        }
    }
}

impl Context<'_> {
    /// In which part of the window that was.
    fn part(&self, at: TargetTime) -> usize {
        let since = self.start.map_or(Duration::ZERO, |start| at.since(start));
        let part = since.as_nanos() * PARTS as u128 / self.length.as_nanos().max(1);
        usize::try_from(part).unwrap_or(PARTS).min(PARTS - 1)
    }
}

impl Detector {
    /// Looks at all tasks of a site. Returns what was found and how many tasks it concerns.
    pub(in super::super) fn detect_site(
        self,
        tally: &Tally,
        kind: &TaskKind,
        context: &Context<'_>,
    ) -> Option<(Hit, u64)> {
        if kind.is_blocking() || context.length.is_zero() {
            return None;
        }
        let (hit, affected) = match self {
            Self::LongPoll { typical, .. } => long(&tally.brief, typical),
            Self::Busy { percent } => busy(tally, context, percent),
            Self::TaskLeak { born, ended_percent } => leak(tally, born, ended_percent),
            Self::CancelledWhileWoken { percent, tasks } => cancelled(tally, context, percent, tasks),
            Self::WakerChurn { ratio, per_second } => churn(tally, context, ratio, per_second),
            _ => None,
        }?;
        Some((if self.measures_time() { context.doubt_when_late(hit) } else { hit }, affected))
    }
}

/// Polls of tasks that come and go, a poll each: blocking request handlers.
fn long(brief: &Brief, typical: Duration) -> Option<(Hit, u64)> {
    let tasks: u64 = brief.ended.iter().sum();
    let parts = brief.ended.iter().filter(|part| **part > 0).count();
    let mean = brief.busy.checked_div(u32::try_from(brief.polls).ok()?)?;
    let is_long = mean >= typical && tasks >= FEWEST_BRIEF && parts >= PARTS_OF_BRIEF;
    let hit = Hit::sure(super::nanos(mean), brief.polls).capped(Confidence::Medium, BRIEF);
    is_long.then_some((hit, tasks))
}

fn busy(tally: &Tally, context: &Context<'_>, percent: u64) -> Option<(Hit, u64)> {
    let share = percent_of(tally.busy.as_nanos(), context.length.as_nanos());
    (share >= percent).then(|| (Hit::sure(share, super::nanos(tally.busy)), tally.alive.max(1)))
}

fn leak(tally: &Tally, born: u64, ended_percent: u64) -> Option<(Hit, u64)> {
    let births = tally.births();
    let parts = tally.born.iter().filter(|part| **part > 0).count();
    let few = |ended: u64, of: u64| percent_of(ended.into(), of.into()) <= ended_percent;
    let leaks = births >= born
        && parts >= PARTS_OF_A_LEAK
        && few(tally.died, births)
        && few(tally.ended, tally.alive.saturating_add(tally.ended));
    let hit = Hit::sure(births.saturating_sub(tally.died), tally.alive);
    let hit = if tally.alive_before >= born { hit } else { hit.capped(Confidence::Low, GROWS_ONLY_NOW) };
    // Nothing tells a leak from long connections that come faster than they go, but that it never stops.
    leaks.then(|| (hit.capped(Confidence::Medium, "connections that come faster than they go look the same; a later run tells whether the number falls again"), tally.alive))
}

fn cancelled(tally: &Tally, context: &Context<'_>, percent: u64, tasks: u64) -> Option<(Hit, u64)> {
    let exceeds = |count: u64| count >= tasks && percent_of(count.into(), tally.ended.into()) > percent;
    let certain = tally.woken_for_nothing;
    let all = certain.saturating_add(tally.perhaps_woken_for_nothing);
    let hit = |count: u64| Hit::sure(percent_of(count.into(), tally.ended.into()), tally.ended);
    if exceeds(certain) {
        let hit = hit(certain);
        let is_new = context.vintage == Some(Vintage::Since05);
        return Some((if is_new { hit } else { hit.capped(Confidence::Medium, OLD_TRACING) }, certain));
    }
    exceeds(all).then(|| (hit(all).capped(Confidence::Low, COALESCED), all))
}

fn churn(tally: &Tally, context: &Context<'_>, ratio: u64, per_second: u64) -> Option<(Hit, u64)> {
    let fast = |count: u64| u128::from(count) * 1_000_000_000 / context.length.as_nanos().max(1) >= per_second.into();
    let far_over = |many: u64, few: u64| fast(many) && many / few.max(1) >= ratio;
    let alive = tally.alive.max(1);
    if far_over(tally.waker_drops, tally.wakes) {
        return Some((Hit::sure(tally.waker_drops, tally.wakes), alive));
    }
    // The smaller figure first tells the evidence which of the two it is.
    far_over(tally.wakes, tally.polls).then(|| (Hit::sure(tally.polls, tally.wakes), alive))
}

fn percent_of(part: u128, whole: u128) -> u64 {
    u64::try_from((part * 100).checked_div(whole).unwrap_or(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{FutureSize, Sample, SiteIndex, SpanId, TaskStats};

    fn at(milliseconds: i64) -> TargetTime {
        TargetTime::from_nanos(milliseconds * 1_000_000)
    }

    /// What tasks that ended then, each after one poll of so many milliseconds, are recognised as in a window of 4 s.
    fn ended(tasks: &[(i64, u64)]) -> Option<(Hit, u64)> {
        let details = BTreeMap::new();
        let context = Context {
            start: Some(at(1000)),
            end: Some(at(5000)),
            length: Duration::from_secs(4),
            has_one_sample: false,
            anomalies: &[],
            vintage: None,
            tokio: None,
            blocking: Vec::new(),
            details: &details,
        };
        let mut tally = Tally::default();
        for &(end, busy) in tasks {
            let busy_time = Duration::from_millis(busy).into();
            let stats = TaskStats { polls: 1, busy_time, dropped_at: Some(at(end)), ..TaskStats::default() };
            let task = Task {
                id: SpanId(1),
                created_at: at(end - 500),
                site: SiteIndex(0),
                task_id: None,
                name: None,
                size: FutureSize::UNKNOWN,
                first_at: at(end),
                earlier: None,
                last: Sample { at: at(5000), stats },
            };
            tally.add(&task, &context);
        }
        let second = Duration::from_secs(1);
        let long = Detector::LongPoll { typical: Duration::from_millis(100), p99: second, current: second };
        long.detect_site(&tally, &TaskKind::Task, &context)
    }

    #[test]
    fn tasks_of_one_long_poll_each_are_judged_together() {
        let (hit, tasks) = ended(&[(2000, 150), (3000, 90), (4000, 150)]).unwrap();
        assert_eq!((tasks, hit.confidence, hit.magnitude, hit.beside), (3, Confidence::Medium, 130_000_000, 3));
        assert_eq!(ended(&[(2000, 150), (3000, 20), (4000, 20)]), None, "one of them is no habit");
        assert_eq!(ended(&[(2000, 150), (4000, 150)]), None, "too few");
        assert_eq!(ended(&[(2000, 150), (2001, 150), (2002, 150)]), None, "all at once");
        assert_eq!(ended(&[(500, 150), (600, 150), (4000, 150)]), None, "before the window");
    }
}
