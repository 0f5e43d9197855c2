//! Tasks, what they are grouped by, and what was measured of them.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Nanos, SpawnLocation, TargetTime};

/// The console's id of a task, resource or async op: a tracing span id.
///
/// Reused by the target within minutes on busy programs, so it identifies nothing without `created_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpanId(pub u64);

/// How a task was started: the span field `kind`, never the wire enum (which always says SPAWN).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// `tokio::spawn`.
    Task,
    /// `spawn_local`.
    Local,
    /// `Runtime::block_on`.
    BlockOn,
    /// `spawn_blocking`, and tokio's own worker threads.
    Blocking,
    /// Something newer than this program, or absent.
    Other(String),
}

impl TaskKind {
    /// The kinds for which tokio-console's lints on polling and waking do not apply.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        matches!(self, Self::BlockOn | Self::Blocking)
    }

    /// The field's value as tokio writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Task => "task",
            Self::Local => "local",
            Self::BlockOn => "block_on",
            Self::Blocking => "blocking",
            Self::Other(kind) => kind,
        }
    }
}

/// What tasks are grouped by within one service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Site {
    /// Where the tasks were spawned; absent when the target sent none.
    pub location: Option<SpawnLocation>,
    /// How they were started.
    pub kind: TaskKind,
    /// The closure's type name (blocking tasks only).
    pub fn_name: Option<String>,
    /// The task name with every run of digits folded to `#`, so `conn-17` and `conn-18` are one.
    pub name: Option<String>,
}

/// Index into [`Snapshot::sites`](super::Snapshot::sites).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteIndex(pub u32);

/// Index into [`Snapshot::names`](super::Snapshot::names).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameIndex(NonZeroU32);

impl NameIndex {
    /// The index, unless it is beyond four thousand million.
    #[must_use]
    pub fn new(index: usize) -> Option<Self> {
        u32::try_from(index).ok()?.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }

    /// The index.
    #[must_use]
    pub fn get(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Sizes of a task's future. Told apart from absence up to 4 GiB, which is how much any is said to have at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FutureSize {
    spawned: u32,
    original: u32,
}

impl FutureSize {
    /// Neither is known.
    pub const UNKNOWN: Self = Self { spawned: u32::MAX, original: u32::MAX };

    /// Of what was spawned, and of what it was before tokio boxed it, both in bytes.
    #[must_use]
    pub fn new(spawned: Option<u64>, original: Option<u64>) -> Self {
        let short = |bytes: Option<u64>| match bytes {
            Some(bytes) => u32::try_from(bytes).unwrap_or(u32::MAX).min(u32::MAX - 1),
            None => u32::MAX,
        };
        Self { spawned: short(spawned), original: short(original) }
    }

    /// Size of the future, in bytes.
    #[must_use]
    pub fn bytes(self) -> Option<u64> {
        (self.spawned != u32::MAX).then_some(u64::from(self.spawned))
    }

    /// Size before tokio boxed it, in bytes; present only when it differs.
    #[must_use]
    pub fn original_bytes(self) -> Option<u64> {
        (self.original != u32::MAX).then_some(u64::from(self.original))
    }
}

/// A task's counters and times at one moment, all from its last statistics message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskStats {
    /// When it completed or was cancelled.
    pub dropped_at: Option<TargetTime>,
    /// Wakes, including self wakes and wakes that consumed the waker.
    pub wakes: u64,
    /// Wakes by the task itself, while it was polled.
    pub self_wakes: u64,
    /// Times its waker was cloned.
    pub waker_clones: u64,
    /// Times a waker was dropped, including by a wake that consumed it.
    pub waker_drops: u64,
    /// Its last wake.
    pub last_wake: Option<TargetTime>,
    /// Time between being woken and being polled, finished episodes only.
    pub scheduled_time: Nanos,
    /// Times it was polled.
    pub polls: u64,
    /// Start of its first poll.
    pub first_poll: Option<TargetTime>,
    /// Start of its last poll.
    pub last_poll_started: Option<TargetTime>,
    /// End of its last finished poll.
    pub last_poll_ended: Option<TargetTime>,
    /// Time inside polls, finished polls only.
    pub busy_time: Nanos,
}

/// tokio-console's task states, with *never polled* told apart from idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// Inside a poll.
    Running,
    /// Woken and waiting to be polled.
    Scheduled,
    /// Waiting to be woken.
    Idle,
    /// Spawned and never polled yet.
    NeverPolled,
    /// Completed or cancelled.
    Done,
}

/// Statistics with the moment at which they were true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The target's clock when the sample was taken.
    pub at: TargetTime,
    /// What was measured.
    pub stats: TaskStats,
}

/// One task as it was seen during the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its span id; with `created_at`, its identity.
    pub id: SpanId,
    /// When it was spawned.
    pub created_at: TargetTime,
    /// Where it belongs.
    pub site: SiteIndex,
    /// tokio's own task id (the number tokio-console shows), where known.
    pub task_id: Option<NonZeroU64>,
    /// Its name, verbatim and hostile.
    pub name: Option<NameIndex>,
    /// Of its future (tokio ≥ 1.41).
    pub size: FutureSize,
    /// The target's clock when it was first seen in this window.
    pub first_at: TargetTime,
    /// The first statistics seen in this window, where the last ones differ: most tasks of a large target sit still.
    pub earlier: Option<Box<TaskStats>>,
    /// The last statistics, valid at the end of the window.
    pub last: Sample,
}

/// A poll that began no longer than this before the end of its task is taken for the drop of its future.
const DROP_TAKES: Duration = Duration::from_millis(1);

impl TaskStats {
    /// What the target counted, without two things that it counts and that did not happen.
    ///
    /// The time in which nothing wakes a `block_on` is booked as scheduled, since it has no wakes from which to count;
    /// and `tracing` since 0.1.38 enters a task's span when its future is dropped, which counts as one more poll.
    #[must_use]
    pub fn corrected(mut self, kind: &TaskKind) -> Self {
        if *kind == TaskKind::BlockOn {
            self.scheduled_time = Nanos(0);
        }
        if let (Some(dropped), Some(started)) = (self.dropped_at, self.last_poll_started)
            && started <= dropped
            && dropped.since(started) <= DROP_TAKES
        {
            self.polls = self.polls.saturating_sub(1);
        }
        self
    }
}

impl Sample {
    /// Inside a poll at the moment of the sample.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.stats.dropped_at.is_none() && self.stats.last_poll_started > self.stats.last_poll_ended
    }

    /// Woken since its last poll began.
    #[must_use]
    pub fn is_woken(&self) -> bool {
        self.stats.last_wake > self.stats.last_poll_started
    }

    /// The state, by tokio-console's precedence.
    #[must_use]
    pub fn state(&self) -> TaskState {
        if self.stats.dropped_at.is_some() {
            TaskState::Done
        } else if self.is_running() {
            TaskState::Running
        } else if self.is_woken() {
            TaskState::Scheduled
        } else if self.stats.polls == 0 {
            TaskState::NeverPolled
        } else {
            TaskState::Idle
        }
    }

    /// Age of the poll that is running; zero when none is.
    #[must_use]
    pub fn current_poll(&self) -> Duration {
        match self.stats.last_poll_started {
            Some(started) if self.is_running() => self.at.since(started),
            _ => Duration::ZERO,
        }
    }

    /// Time inside polls, the running one included.
    #[must_use]
    pub fn busy(&self) -> Duration {
        Duration::from(self.stats.busy_time).saturating_add(self.current_poll())
    }

    /// Time woken and not yet polled, the present episode included.
    #[must_use]
    pub fn scheduled(&self) -> Duration {
        let waiting = match self.stats.last_wake {
            Some(wake) if self.state() == TaskState::Scheduled => self.at.since(wake),
            _ => Duration::ZERO,
        };
        Duration::from(self.stats.scheduled_time).saturating_add(waiting)
    }

    /// Wakers alive: clones not yet dropped.
    #[must_use]
    pub fn waker_count(&self) -> u64 {
        self.stats.waker_clones.saturating_sub(self.stats.waker_drops)
    }

    /// Share of wakes by the task itself in whole percent, rounded down as tokio-console does; at most 100.
    #[must_use]
    pub fn self_wake_percent(&self) -> u64 {
        if self.stats.wakes == 0 {
            return 0;
        }
        let percent = u128::from(self.stats.self_wakes) * 100 / u128::from(self.stats.wakes);
        u64::try_from(percent.min(100)).unwrap_or(100)
    }

    /// Polled never, or woken since its last poll began: tokio-console's "awakened".
    #[must_use]
    pub fn is_awakened(&self) -> bool {
        self.stats.polls == 0 || self.is_woken()
    }
}

/// What a task did inside the window: differences of its two samples, never lifetime totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Times it was polled.
    pub polls: u64,
    /// Times it was woken.
    pub wakes: u64,
    /// Times it woke itself.
    pub self_wakes: u64,
    /// Time inside polls, the running one included.
    pub busy: Duration,
    /// Time woken and not yet polled, the present episode included.
    pub scheduled: Duration,
    /// Time alive and neither: waiting to be woken. Zero where its clock contradicts itself.
    pub idle: Duration,
}

impl Task {
    /// The first sample of this window.
    #[must_use]
    pub fn first(&self) -> Sample {
        Sample { at: self.first_at, stats: self.earlier.as_deref().copied().unwrap_or(self.last.stats) }
    }

    /// Takes in statistics that are true at `sample.at`.
    pub fn observe(&mut self, sample: Sample) {
        if self.earlier.is_none() && self.last.stats != sample.stats {
            self.earlier = Some(Box::new(self.last.stats));
        }
        self.last = sample;
    }

    /// Time from spawn to the first poll; of a task that was never polled, to its end or to the last sample.
    /// Blocking tasks spend it in the queue of the blocking pool, others waiting for a worker.
    #[must_use]
    pub fn first_poll_latency(&self) -> Duration {
        let TaskStats { polls, first_poll, dropped_at, .. } = self.last.stats;
        // The one poll of a task that was cancelled before it began is the drop of its future.
        let first_poll = first_poll.filter(|_| polls > 0 || self.last.is_running());
        first_poll.or(dropped_at).unwrap_or(self.last.at).since(self.created_at)
    }

    /// Time waiting to be woken, over the task's whole life; zero where its clock contradicts itself.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.total().saturating_sub(self.last.busy().saturating_add(self.last.scheduled()))
    }

    /// What it did since `window_start`. A task that was spawned later did everything inside the window; one that was
    /// there before did what its first and last sample differ by.
    #[must_use]
    pub fn activity(&self, window_start: Option<TargetTime>) -> Activity {
        let (last, first) = (&self.last, &self.first());
        let is_born_inside = window_start.is_some_and(|start| self.created_at > start);
        let count = |of: fn(&TaskStats) -> u64| {
            of(&last.stats).saturating_sub(if is_born_inside { 0 } else { of(&first.stats) })
        };
        let time = |of: fn(&Sample) -> Duration| {
            of(last).saturating_sub(if is_born_inside { Duration::ZERO } else { of(first) })
        };
        let (busy, scheduled) = (time(Sample::busy), time(Sample::scheduled));
        let before = first.stats.dropped_at.unwrap_or(first.at).since(self.created_at);
        let lived = self.total().saturating_sub(if is_born_inside { Duration::ZERO } else { before });
        Activity {
            polls: count(|stats| stats.polls),
            wakes: count(|stats| stats.wakes),
            self_wakes: count(|stats| stats.self_wakes),
            busy,
            scheduled,
            idle: lived.saturating_sub(busy.saturating_add(scheduled)),
        }
    }

    /// Time from spawn to completion, or to the last sample.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.last.stats.dropped_at.unwrap_or(self.last.at).since(self.created_at)
    }
}

#[cfg(test)]
mod tests {
    use super::{FutureSize, NameIndex, Sample, SiteIndex, SpanId, Task, TaskKind, TaskStats};
    use crate::model::TargetTime;
    use std::time::Duration;

    fn at(milliseconds: i64) -> TargetTime {
        TargetTime::from_nanos(milliseconds * 1_000_000)
    }

    fn task(stats: TaskStats) -> Task {
        Task {
            id: SpanId(1),
            created_at: at(1000),
            site: SiteIndex(0),
            task_id: None,
            name: None,
            size: FutureSize::UNKNOWN,
            first_at: at(9000),
            earlier: None,
            last: Sample { at: at(9000), stats },
        }
    }

    #[test]
    fn a_million_tasks_fit() {
        assert!(size_of::<Task>() <= 160 && size_of::<TaskStats>() <= 96);
    }

    #[test]
    fn small_forms_hold_what_they_are_given() {
        let names = [0, 7, u32::MAX as usize - 1].map(|index| NameIndex::new(index).map(NameIndex::get));
        assert_eq!(names, [Some(0), Some(7), Some(u32::MAX as usize - 1)]);
        assert_eq!(NameIndex::new(u32::MAX as usize), None);
        let size = FutureSize::new(Some(0), Some(u64::MAX));
        assert_eq!((size.bytes(), size.original_bytes()), (Some(0), Some(u64::from(u32::MAX) - 1)));
        assert_eq!(FutureSize::new(None, None), FutureSize::UNKNOWN);
        assert_eq!((FutureSize::UNKNOWN.bytes(), FutureSize::UNKNOWN.original_bytes()), (None, None));
    }

    #[test]
    fn the_idle_time_of_block_on_is_not_scheduled_time() {
        let stats = TaskStats {
            scheduled_time: Duration::from_secs(7).into(),
            busy_time: Duration::from_secs(1).into(),
            polls: 3,
            last_poll_started: Some(at(3000)),
            last_poll_ended: Some(at(3001)),
            ..TaskStats::default()
        };
        let main = task(stats.corrected(&TaskKind::BlockOn));
        assert_eq!((main.last.scheduled(), main.idle()), (Duration::ZERO, Duration::from_secs(7)));
        let other = task(stats.corrected(&TaskKind::Task));
        assert_eq!((other.last.scheduled(), other.idle()), (Duration::from_secs(7), Duration::ZERO));
    }

    #[test]
    fn the_drop_of_a_future_is_no_poll() {
        let dropped = TaskStats {
            polls: 2,
            first_poll: Some(at(2000)),
            last_poll_started: Some(at(5000)),
            last_poll_ended: Some(at(5000)),
            dropped_at: Some(at(5000)),
            ..TaskStats::default()
        };
        assert_eq!(dropped.corrected(&TaskKind::Blocking).polls, 1);
        let alive = TaskStats { dropped_at: None, ..dropped };
        assert_eq!(alive.corrected(&TaskKind::Blocking).polls, 2);
        let long_last_poll = TaskStats { last_poll_started: Some(at(4000)), ..dropped };
        assert_eq!(long_last_poll.corrected(&TaskKind::Task).polls, 2, "a real poll in which the task ended");
        let cancelled = TaskStats { polls: 1, first_poll: Some(at(5000)), ..dropped }.corrected(&TaskKind::Task);
        assert_eq!((cancelled.polls, task(cancelled).first_poll_latency()), (0, Duration::from_secs(4)));
    }

    #[test]
    fn latency_of_the_first_poll_runs_until_there_is_one() {
        assert_eq!(task(TaskStats::default()).first_poll_latency(), Duration::from_secs(8));
        let polled = TaskStats { polls: 1, first_poll: Some(at(1500)), ..TaskStats::default() };
        assert_eq!(task(polled).first_poll_latency(), Duration::from_millis(500));
    }

    #[test]
    fn the_first_sample_is_kept_where_it_differs() {
        let mut task = task(TaskStats { polls: 1, ..TaskStats::default() });
        let later =
            |second: i64, polls| Sample { at: at(second * 1000), stats: TaskStats { polls, ..task.last.stats } };
        let (same, two, three) = (later(10, 1), later(11, 2), later(12, 3));
        task.observe(same);
        assert!(task.earlier.is_none());
        task.observe(two);
        task.observe(three);
        let first = task.first();
        assert_eq!((first.at, first.stats.polls, task.last.stats.polls), (at(9000), 1, 3));
        assert_eq!(task.activity(Some(at(9000))).polls, 2);
    }

    #[test]
    fn what_is_neither_busy_nor_scheduled_is_idle_and_only_inside_the_window() {
        let stats = TaskStats { polls: 1, busy_time: Duration::from_secs(1).into(), ..TaskStats::default() };
        let mut task = task(stats);
        task.observe(Sample {
            at: at(12_000),
            stats: TaskStats { polls: 2, busy_time: Duration::from_secs(2).into(), ..stats },
        });
        let idle = |start| task.activity(Some(at(start))).idle;
        assert_eq!(idle(9000), Duration::from_secs(2), "three seconds, one of them busy");
        assert_eq!(idle(500), Duration::from_secs(9), "born at the first second, busy for two");
        assert_eq!(task.activity(None).idle, Duration::from_secs(2));
    }
}
