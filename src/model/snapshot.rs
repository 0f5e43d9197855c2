//! What one target looked like during its window: the result of decoding its evidence.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Anomaly, AsyncOp, Resource, Site, SpanId, TargetTime, Task, TaskKind};

/// One target, decoded.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The span of the target's clock that was seen.
    pub window: ObservationWindow,
    /// The generation of console-subscriber, as far as the wire shows it.
    pub vintage: Option<Vintage>,
    /// The target's tokio version, from the paths of its own call sites.
    pub tokio_version: Option<String>,
    /// What tasks are grouped by; tasks point into it. Without duplicates.
    pub sites: Vec<Site>,
    /// Task names, verbatim and hostile; tasks point into it.
    pub names: Vec<String>,
    /// Every task seen, alive or completed, ordered by (`created_at`, `id`).
    pub tasks: Vec<Task>,
    /// Every resource seen, ordered by (`created_at`, `id`).
    pub resources: Vec<Resource>,
    /// Every async op seen, ordered by (`created_at`, `id`).
    pub async_ops: Vec<AsyncOp>,
    /// Histograms of the tasks that were looked at closely, by (`id`, `created_at`).
    pub details: BTreeMap<(SpanId, TargetTime), Histograms>,
    /// Worker threads of the multi-thread runtime, where visible.
    pub workers: Option<u32>,
    /// Tasks spawned per second of the window, from tokio's process-wide task counter.
    pub spawn_rate: Option<f64>,
    /// What makes this evidence less than complete; ordered, without duplicates.
    pub anomalies: Vec<Anomaly>,
}

/// The span of a target's clock that its updates cover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservationWindow {
    /// The target's clock at the first update.
    pub first: Option<TargetTime>,
    /// The target's clock at the last update.
    pub last: Option<TargetTime>,
    /// Updates received.
    pub updates: u32,
    /// Time between publishing ticks, learnt from the updates after the first.
    pub publish_interval: Option<Duration>,
}

/// The function with which tokio's multi-thread runtime starts each of its workers, in every version.
const WORKER_LAUNCH: &str = "worker::Launch::launch";

impl Site {
    /// Whether its tasks are the worker threads of a runtime: they run other tasks, in one poll that never ends.
    #[must_use]
    pub fn is_worker(&self) -> bool {
        self.kind == TaskKind::Blocking && self.fn_name.as_ref().is_some_and(|name| name.contains(WORKER_LAUNCH))
    }
}

impl Snapshot {
    /// Worker threads of multi-thread runtimes: blocking tasks that run for ever. Absent where none is visible, as
    /// with a runtime that was built before its console.
    #[must_use]
    pub fn visible_workers(&self) -> Option<u32> {
        let launches: Vec<bool> = self.sites.iter().map(Site::is_worker).collect();
        let alive = self.tasks.iter().filter(|task| {
            launches.get(task.site.0 as usize) == Some(&true) && task.last.state() != super::TaskState::Done
        });
        u32::try_from(alive.count()).ok().filter(|count| *count > 0)
    }

    /// Tasks spawned per second of the window: by how much tokio's process-wide counter of task ids grew between the
    /// youngest task at its beginning and the youngest of all. Right also where tasks were dropped or never announced;
    /// where the console lags (`lag`), over the time that it has caught up with.
    #[must_use]
    pub fn measured_spawn_rate(&self, lag: Duration) -> Option<f64> {
        let first = self.window.first?;
        let seconds = self.window.length().saturating_sub(lag).as_secs_f64();
        // Tasks are ordered by age, their ids are not quite: another thread may be between taking an id and spawning.
        let highest = |tasks: &[Task]| tasks.iter().filter_map(|task| task.task_id).max();
        let born = self.tasks.partition_point(|task| task.created_at <= first);
        let (before, after) = self.tasks.split_at(born);
        let (before, after) = (highest(before)?.get(), highest(after));
        let spawned = after.map_or(0, |after| after.get().saturating_sub(before));
        (seconds > 0.0).then(|| spawned as f64 / seconds)
    }
}

impl ObservationWindow {
    /// Length on the target's clock; zero with fewer than two updates.
    #[must_use]
    pub fn length(&self) -> Duration {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last.since(first),
            _ => Duration::ZERO,
        }
    }
}

/// Poll and scheduled-time histograms of one task, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histograms {
    /// Time inside finished polls.
    pub polls: Option<TimeHistogram>,
    /// Time between wake and poll.
    pub scheduled: Option<TimeHistogram>,
}

/// A histogram with what lay beyond its range. Most of its many counters are zero, so only the others are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeHistogram {
    /// Times in nanoseconds, ascending and each the highest of its counter, with how often it was measured. Times beyond
    /// the target's limit (1 s by default) are recorded as the limit.
    pub recorded: Box<[(u64, u64)]>,
    /// How many values were beyond the limit.
    pub outliers: u64,
    /// The largest of them.
    pub highest_outlier: Option<Duration>,
}

impl TimeHistogram {
    /// What a histogram has recorded, of which nothing is known to lie beyond its range.
    #[must_use]
    pub fn of(values: &Histogram<u64>) -> Self {
        let recorded = values.iter_recorded().map(|value| (value.value_iterated_to(), value.count_at_value()));
        Self { recorded: recorded.collect(), outliers: 0, highest_outlier: None }
    }

    /// How many times were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.recorded.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The time in nanoseconds that so many of a hundred do not exceed; zero when none was measured.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> u64 {
        let rank = (u128::from(self.count()) * u128::from(percent)).div_ceil(100);
        let mut below = 0;
        let reached = self.recorded.iter().find(|(_, count)| {
            below += u128::from(*count);
            below >= rank
        });
        reached.or(self.recorded.last()).map_or(0, |(time, _)| *time)
    }
}

/// Which console-subscriber release the target runs, as narrowly as the wire tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vintage {
    /// 0.1.0 – 0.1.5: legacy histograms.
    UpTo015,
    /// 0.1.6 – 0.1.8: no scheduled time.
    UpTo018,
    /// 0.1.9 – 0.2: poll operations pile up while nobody watches.
    UpTo02,
    /// Older than 0.5, not told apart further.
    Before05,
    /// 0.5 or newer: serves `WatchState`.
    Since05,
}

impl fmt::Display for Vintage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UpTo015 => "console-subscriber 0.1.0–0.1.5",
            Self::UpTo018 => "console-subscriber 0.1.6–0.1.8",
            Self::UpTo02 => "console-subscriber 0.1.9–0.2",
            Self::Before05 => "console-subscriber before 0.5",
            Self::Since05 => "console-subscriber 0.5 or newer",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::TimeHistogram;
    use hdrhistogram::Histogram;

    #[test]
    fn percentiles_are_those_of_the_histogram_itself() {
        let mut values = Histogram::<u64>::new_with_max(1_000_000_000, 2).unwrap();
        (1..=997).for_each(|time: u64| values.record_n(time.pow(3), time % 5).unwrap());
        let kept = TimeHistogram::of(&values);
        assert_eq!(kept.count(), values.len());
        for percent in [1, 50, 90, 99, 100] {
            let same = values.value_at_percentile(f64::from(percent));
            assert_eq!(kept.percentile(percent), same, "{percent}");
        }
        assert_eq!(TimeHistogram::of(&Histogram::new(2).unwrap()).percentile(99), 0);
    }

    #[test]
    fn little_is_kept_of_a_histogram_that_is_almost_empty() {
        let mut values = Histogram::<u64>::new_with_max(1_000_000_000, 2).unwrap();
        values.record_n(50_000, 3).unwrap();
        assert_eq!(TimeHistogram::of(&values).recorded.as_ref(), [(values.max(), 3)]);
        let counts_beyond_counting =
            TimeHistogram { recorded: [(1, u64::MAX), (2, u64::MAX)].into(), ..TimeHistogram::of(&values) };
        assert_eq!((counts_beyond_counting.count(), counts_beyond_counting.percentile(100)), (u64::MAX, 1));
    }
}
