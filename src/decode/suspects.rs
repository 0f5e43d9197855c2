//! Which tasks of a target deserve a closer look: their histograms are fetched one by one, so there can be few.
//!
//! Five questions are asked of every task that tokio polls (`block_on` and blocking tasks have no polls to speak of):
//!
//! 1. whose current poll is the longest;
//! 2. who was busy for the longest time in the window;
//! 3. who was polled most often in the window;
//! 4. who waited longest in the window between being woken and being polled;
//! 5. who has been idle for the longest time although nobody holds a waker of it.
//!
//! The worst of each question is taken in turn, then the second of each, until there are enough. Equal figures are
//! ordered by age and id, so that the same updates name the same tasks.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::message::{Name, Task, TaskStats};
use super::{value, wire};
use crate::model::{SpanId, TargetTime, TaskKind};

/// Tasks that are followed at once, at about 150 bytes each. On a target with more, suspects are among the first.
const FOLLOWED: usize = 200_000;

/// Follows what the tasks of one target do.
#[derive(Debug)]
pub(super) struct Suspects {
    most: usize,
    followed: HashMap<u64, Followed>,
    /// Tasks of the update that is being read.
    announced: HashSet<u64>,
}

#[derive(Debug)]
struct Followed {
    created_at: TargetTime,
    first: Figures,
    last: Figures,
    /// Since when it is being polled.
    polled_since: Option<TargetTime>,
    /// Since when nothing has happened to it, and nothing can.
    forgotten_since: Option<TargetTime>,
}

#[derive(Clone, Copy, Debug)]
struct Figures {
    busy: Duration,
    scheduled: Duration,
    polls: u64,
}

impl Suspects {
    pub(super) fn new(most: usize) -> Self {
        Self { most, followed: HashMap::new(), announced: HashSet::new() }
    }

    /// A task is announced. Its statistics follow in the same update.
    pub(super) fn announced(&mut self, task: &Task<'_>) {
        let Some(id) = task.id.filter(|_| self.most > 0) else { return };
        let kind = task.fields.iter().find(|field| field.name == Some(Name::Text("kind")));
        let kind = kind.and_then(|field| value::text(field.value)).map_or(TaskKind::Task, wire::kind);
        if !kind.is_blocking() && self.followed.len() < FOLLOWED {
            self.announced.insert(id);
        }
    }

    /// Statistics of a task came.
    pub(super) fn learn(&mut self, id: u64, created_at: TargetTime, stats: &TaskStats) {
        if stats.dropped_at.is_some() {
            self.followed.remove(&id);
            return;
        }
        if let Some(known) = self.followed.get_mut(&id).filter(|known| known.created_at == created_at) {
            known.learn(stats);
            return;
        }
        // A task that is not followed may have taken the id of one that was.
        self.followed.remove(&id);
        if self.announced.contains(&id) {
            self.followed.insert(id, Followed::new(created_at, stats));
        }
    }

    /// No statistics follow for what this update announced.
    pub(super) fn update_over(&mut self) {
        self.announced = HashSet::new();
    }

    pub(super) fn choose(&self, now: TargetTime) -> Vec<SpanId> {
        let questions: [fn(&Followed, TargetTime) -> u128; 5] = [
            |task, now| task.polled_since.map_or(0, |since| now.since(since).as_nanos()),
            |task, now| {
                let running = task.polled_since.map_or(Duration::ZERO, |since| now.since(since));
                task.last.busy.saturating_sub(task.first.busy).saturating_add(running).as_nanos()
            },
            |task, _| u128::from(task.last.polls.saturating_sub(task.first.polls)),
            |task, _| task.last.scheduled.saturating_sub(task.first.scheduled).as_nanos(),
            |task, now| task.forgotten_since.map_or(0, |since| now.since(since).as_nanos()),
        ];
        let mut answers = questions.map(|question| self.worst(|task| question(task, now)).into_iter());
        let mut chosen = Vec::new();
        let mut known = HashSet::new();
        for turn in 0..self.most.saturating_mul(answers.len()) {
            let next = turn % answers.len();
            let Some(id) = answers.get_mut(next).and_then(|answer| answer.find(|id| !known.contains(id))) else {
                continue;
            };
            if chosen.len() == self.most {
                break;
            }
            known.insert(id);
            chosen.push(SpanId(id));
        }
        chosen
    }

    /// The ids of the tasks with the largest figures, of those that have any.
    fn worst(&self, figure: impl Fn(&Followed) -> u128) -> Vec<u64> {
        let figures = self.followed.iter().map(|(id, task)| (std::cmp::Reverse(figure(task)), task.created_at, *id));
        let mut figures: Vec<_> = figures.filter(|(figure, ..)| figure.0 > 0).collect();
        if figures.len() > self.most {
            figures.select_nth_unstable(self.most);
            figures.truncate(self.most);
        }
        figures.sort_unstable();
        figures.into_iter().map(|(.., id)| id).collect()
    }
}

impl Followed {
    fn new(created_at: TargetTime, stats: &TaskStats) -> Self {
        let first = Figures::of(stats);
        let mut followed = Self { created_at, first, last: first, polled_since: None, forgotten_since: None };
        followed.learn(stats);
        followed
    }

    fn learn(&mut self, stats: &TaskStats) {
        let polls = value::polls(stats.poll_stats.as_ref());
        let last_wake = wire::time(stats.last_wake.as_ref());
        let is_polled = polls.started > polls.ended;
        let has_wakers = stats.waker_clones > stats.waker_drops;
        self.last = Figures::of(stats);
        self.polled_since = polls.started.filter(|_| is_polled);
        self.forgotten_since = polls.ended.filter(|_| !is_polled && !has_wakers && last_wake <= polls.started);
    }
}

impl Figures {
    fn of(stats: &TaskStats) -> Self {
        let polls = value::polls(stats.poll_stats.as_ref());
        let scheduled = wire::span(stats.scheduled_time.as_ref()).into();
        Self { busy: polls.busy.into(), scheduled, polls: polls.polls }
    }
}

#[cfg(test)]
mod tests {
    use super::Suspects;
    use crate::decode::message::{Field, Name, PollStats, Task, TaskStats, Value};
    use crate::model::{SpanId, TargetTime};
    use prost_types::{Duration, Timestamp};

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    /// Polled `polls` times for `seconds` in all, and waiting with a waker.
    fn stats(polls: u64, seconds: i64) -> TaskStats {
        let poll_stats = PollStats {
            polls,
            last_poll_started: at(50),
            last_poll_ended: at(51),
            busy_time: Some(Duration { seconds, nanos: 0 }),
            ..PollStats::default()
        };
        TaskStats { waker_clones: 1, poll_stats: Some(poll_stats), ..TaskStats::default() }
    }

    fn in_a_poll(stats: TaskStats) -> TaskStats {
        let poll_stats = stats.poll_stats.map(|polls| PollStats { last_poll_started: at(60), ..polls });
        TaskStats { poll_stats, ..stats }
    }

    #[test]
    fn the_worst_of_each_question_comes_first() {
        let mut suspects = Suspects::new(4);
        let created = |id: u64| TargetTime::from_nanos(id as i64);
        for id in 1..=9 {
            let kind = Value::Text(if id == 9 { "blocking" } else { "task" });
            let fields = vec![Field { name: Some(Name::Text("kind")), value: Some(kind), metadata: None }];
            suspects.announced(&Task { id: Some(id), fields, ..Task::default() });
            suspects.learn(id, created(id), &stats(10, 1));
        }
        suspects.update_over();
        let second = [
            (2, stats(900, 1)),
            (3, stats(11, 30)),
            (5, in_a_poll(stats(10, 1))),
            (7, TaskStats { waker_drops: 1, ..stats(10, 1) }),
            (8, TaskStats { dropped_at: at(70), ..stats(5000, 5000) }),
            (9, in_a_poll(stats(1, 0))),
        ];
        second.iter().for_each(|(id, stats)| suspects.learn(*id, created(*id), stats));
        // The id of one that is followed, for a task that is not.
        suspects.learn(4, created(70), &stats(9000, 9000));
        let chosen = suspects.choose(TargetTime::from_nanos(80_000_000_000));
        assert_eq!(chosen, [5, 3, 2, 7].map(SpanId), "current poll, busy, polls, forgotten");
        assert!(Suspects::new(0).choose(TargetTime::from_nanos(0)).is_empty());
    }
}
