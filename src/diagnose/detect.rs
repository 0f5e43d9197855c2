//! tokio-console's lints on one task. Exact definitions, on the target's clock, over two samples.

use crate::model::{Sample, Task, TaskKind};
use crate::playbook::{Confidence, Detector};

/// A task that a detector has recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub confidence: Confidence,
    /// Why not surer.
    pub cap: Option<&'static str>,
    /// How much, in the detector's own unit: the larger, the worse.
    pub magnitude: u64,
    /// A second figure for the evidence.
    pub beside: u64,
}

const ONE_SAMPLE: &str = "seen in one sample only; a longer `--window` confirms it or not";
const NEVER_CLONED: &str = "no waker was ever made: a task parked on purpose (`pending()`) looks the same";
const LARGER: &str = "the spawned future is the larger one, as with tokio's `taskdump`: it may not be boxed at all";

impl Detector {
    /// Whether it concerns completed tasks too.
    pub(super) fn counts_completed(self) -> bool {
        matches!(self, Self::SelfWakes { .. } | Self::AutoBoxedFuture | Self::LargeFuture { .. })
    }

    /// Looks at one task.
    pub(super) fn detect(self, task: &Task, kind: &TaskKind) -> Option<Hit> {
        match self {
            Self::AutoBoxedFuture => auto_boxed(task),
            // tokio-console skips these since 0.1.11: they do not poll and wake as tasks do.
            _ if kind.is_blocking() => None,
            Self::LargeFuture { size_bytes } => {
                let size = task.size_bytes.filter(|&size| size >= size_bytes)?;
                Some(Hit { confidence: Confidence::High, cap: None, magnitude: size, beside: 0 })
            }
            Self::SelfWakes { self_wake_percent } => {
                let holds = |sample: &Sample| sample.self_wake_percent() > self_wake_percent;
                let percent = task.last.self_wake_percent();
                sampled(task, holds, percent, task.last.stats.wakes)
            }
            Self::NeverYielded { busy } => {
                let holds = |sample: &Sample| sample.is_running() && sample.stats.polls <= 1 && sample.busy() >= busy;
                let nanos = u64::try_from(task.last.busy().as_nanos()).unwrap_or(u64::MAX);
                sampled(task, holds, nanos, 0)
            }
            Self::LostWaker => lost_waker(task, kind),
        }
    }
}

/// A lint that holds in the last sample: surely when it held in the first one too, as a lead when there is only one.
fn sampled(task: &Task, holds: impl Fn(&Sample) -> bool, magnitude: u64, beside: u64) -> Option<Hit> {
    if !holds(&task.last) {
        return None;
    }
    let hit = |confidence, cap| Some(Hit { confidence, cap, magnitude, beside });
    if task.first_at == task.last.at {
        return hit(Confidence::Low, Some(ONE_SAMPLE));
    }
    if holds(&task.first()) { hit(Confidence::High, None) } else { None }
}

fn lost_waker(task: &Task, kind: &TaskKind) -> Option<Hit> {
    // Kinds that are not known may wake in ways that leave no trace.
    if !matches!(kind, TaskKind::Task | TaskKind::Local) {
        return None;
    }
    let holds = |sample: &Sample| {
        sample.stats.dropped_at.is_none() && sample.waker_count() == 0 && !sample.is_running() && !sample.is_awakened()
    };
    let idle_since = task.last.stats.last_poll_ended.or(task.last.stats.last_poll_started);
    let idle = idle_since.map_or(0, |since| u64::try_from(task.last.at.since(since).as_nanos()).unwrap_or(u64::MAX));
    let hit = sampled(task, holds, idle, task.last.stats.waker_clones)?;
    // Whoever was polled or woken in between has a waker somewhere.
    if task.first().stats != task.last.stats {
        return None;
    }
    if task.last.stats.waker_clones == 0 {
        return Some(Hit { confidence: Confidence::Low, cap: Some(NEVER_CLONED), ..hit });
    }
    Some(hit)
}

fn auto_boxed(task: &Task) -> Option<Hit> {
    let (size, original) = (task.size_bytes?, task.original_size_bytes?);
    let hit = |confidence, cap| Hit { confidence, cap, magnitude: original, beside: size };
    match size.cmp(&original) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(hit(Confidence::High, None)),
        std::cmp::Ordering::Greater => Some(hit(Confidence::Low, Some(LARGER))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SiteIndex, SpanId, TargetTime, TaskStats};
    use std::time::Duration;

    const SECOND: i64 = 1_000_000_000;

    fn at(seconds: i64) -> TargetTime {
        TargetTime::from_nanos(seconds * SECOND)
    }

    fn task(first: TaskStats, last: TaskStats) -> Task {
        Task {
            id: SpanId(1),
            created_at: at(1),
            site: SiteIndex(0),
            task_id: None,
            name: None,
            size_bytes: None,
            original_size_bytes: None,
            first_at: at(10),
            earlier: Some(Box::new(first)),
            last: Sample { at: at(13), stats: last },
        }
    }

    fn polled() -> TaskStats {
        TaskStats { polls: 1, last_poll_started: Some(at(2)), last_poll_ended: Some(at(3)), ..TaskStats::default() }
    }

    fn confidence(detector: Detector, task: &Task) -> Option<Confidence> {
        detector.detect(task, &TaskKind::Task).map(|hit| hit.confidence)
    }

    #[test]
    fn a_lost_waker_was_there_and_is_gone_in_both_samples() {
        let lost = TaskStats { waker_clones: 1, waker_drops: 1, ..polled() };
        let found = Detector::LostWaker.detect(&task(lost, lost), &TaskKind::Task).unwrap();
        assert_eq!((found.confidence, found.magnitude), (Confidence::High, 10 * SECOND as u64));
        let held = TaskStats { waker_clones: 2, ..lost };
        let woken = TaskStats { last_wake: Some(at(4)), ..lost };
        let running = TaskStats { last_poll_started: Some(at(9)), ..lost };
        let done = TaskStats { dropped_at: Some(at(9)), ..lost };
        let unpolled = TaskStats { polls: 0, ..lost };
        for alive in [held, woken, running, done, unpolled] {
            assert_eq!(confidence(Detector::LostWaker, &task(lost, alive)), None, "{alive:?}");
        }
        assert_eq!(confidence(Detector::LostWaker, &task(TaskStats { polls: 0, ..lost }, lost)), None, "it moved");
        assert_eq!(Detector::LostWaker.detect(&task(lost, lost), &TaskKind::Blocking), None);
        assert_eq!(Detector::LostWaker.detect(&task(lost, lost), &TaskKind::Other("new".into())), None);
    }

    #[test]
    fn a_parked_task_is_a_lead_at_most() {
        assert_eq!(confidence(Detector::LostWaker, &task(polled(), polled())), Some(Confidence::Low));
    }

    #[test]
    fn one_sample_is_a_lead_at_most() {
        let lost = TaskStats { waker_clones: 1, waker_drops: 1, ..polled() };
        let mut once = task(lost, lost);
        once.first_at = once.last.at;
        assert_eq!(confidence(Detector::LostWaker, &once), Some(Confidence::Low));
    }

    #[test]
    fn self_wakes_are_more_than_half_not_half() {
        let detector = Detector::SelfWakes { self_wake_percent: 50 };
        let stats = |wakes, self_wakes| TaskStats { wakes, self_wakes, ..polled() };
        assert_eq!(confidence(detector, &task(stats(10, 5), stats(100, 50))), None);
        assert_eq!(confidence(detector, &task(stats(10, 6), stats(100, 51))), Some(Confidence::High));
        assert_eq!(confidence(detector, &task(stats(10, 1), stats(100, 51))), None, "did not hold at first");
        assert_eq!(
            confidence(detector, &task(stats(1, 2), stats(1, 2))),
            Some(Confidence::High),
            "torn counters are clamped"
        );
        assert_eq!(detector.detect(&task(stats(9, 9), stats(9, 9)), &TaskKind::BlockOn), None);
    }

    #[test]
    fn never_yielded_is_one_long_first_poll() {
        let detector = Detector::NeverYielded { busy: Duration::from_secs(1) };
        let running =
            |polls, started| TaskStats { polls, last_poll_started: Some(at(started)), ..TaskStats::default() };
        let found = detector.detect(&task(running(1, 3), running(1, 3)), &TaskKind::Task).unwrap();
        assert_eq!((found.confidence, found.magnitude), (Confidence::High, 10 * SECOND as u64));
        assert_eq!(confidence(detector, &task(running(2, 3), running(2, 3))), None, "it came back once");
        assert_eq!(confidence(detector, &task(running(1, 10), running(1, 10))), None, "not long at the first sample");
        assert_eq!(confidence(detector, &task(polled(), polled())), None);
        assert_eq!(detector.detect(&task(running(1, 3), running(1, 3)), &TaskKind::Blocking), None);
    }

    #[test]
    fn sizes_are_compared_as_tokio_console_does() {
        let sized =
            |size, original| Task { size_bytes: size, original_size_bytes: original, ..task(polled(), polled()) };
        let large = Detector::LargeFuture { size_bytes: 1024 };
        assert_eq!(confidence(large, &sized(Some(1023), None)), None);
        assert_eq!(confidence(large, &sized(Some(1024), None)), Some(Confidence::High));
        assert_eq!(large.detect(&sized(Some(4096), None), &TaskKind::BlockOn), None);
        assert_eq!(confidence(Detector::AutoBoxedFuture, &sized(Some(8), Some(20_000))), Some(Confidence::High));
        assert_eq!(confidence(Detector::AutoBoxedFuture, &sized(Some(20_000), Some(8))), Some(Confidence::Low));
        assert_eq!(confidence(Detector::AutoBoxedFuture, &sized(Some(8), None)), None);
        assert!(Detector::AutoBoxedFuture.detect(&sized(Some(8), Some(20_000)), &TaskKind::BlockOn).is_some());
    }
}
