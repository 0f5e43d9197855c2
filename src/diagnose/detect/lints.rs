//! tokio-console's lints on one task, over two samples.

use std::time::Duration;

use super::{Context, Hit, ONE_SAMPLE, nanos};
use crate::model::{Sample, Task, TaskKind, Vintage};
use crate::playbook::Confidence;

const NEVER_CLONED: &str = "no waker was ever made: a task parked on purpose (`pending()`) looks the same";
const ALL_USED: &str =
    "every waker that it made was used to wake it, and its last poll made none: `pending()` looks the same";
const WAITED_BEFORE: &str = "it was woken before: a task that went on to `pending()` after other waits looks the same";
const OLD_TOKIO: &str = "tokio before 1.35 keeps tasks that have completed in sight while spans made inside them live";
const OLD_EVENTS: &str = "console-subscriber before 0.1.6 with dropped events: what woke the task may have been lost";
const LOCAL: &str = "tasks of a `LocalSet` have been reported without reason (tokio-console issue 237)";
const KEPT_BY_BLOCKING: &str =
    "it may have ended: a blocking task that it started and that still lives keeps it in sight";
const LARGER: &str = "the spawned future is the larger one, as with tokio's `taskdump`: it may not be boxed at all";

pub(super) fn large(task: &Task, size_bytes: u64) -> Option<Hit> {
    task.size.bytes().filter(|&size| size >= size_bytes).map(|size| Hit::sure(size, 0))
}

pub(super) fn self_wakes(task: &Task, self_wake_percent: u64, wakes: u64) -> Option<Hit> {
    let holds = |sample: &Sample| sample.stats.wakes >= wakes && sample.self_wake_percent() > self_wake_percent;
    sampled(task, holds, task.last.self_wake_percent(), task.last.stats.wakes)
}

pub(super) fn never_yielded(task: &Task, busy: Duration) -> Option<Hit> {
    let holds = |sample: &Sample| sample.is_running() && sample.stats.polls <= 1 && sample.busy() >= busy;
    sampled(task, holds, nanos(task.last.busy()), 0)
}

/// A lint that holds in the last sample: surely when it held in the first one too, as a lead when there is only one.
fn sampled(task: &Task, holds: impl Fn(&Sample) -> bool, magnitude: u64, beside: u64) -> Option<Hit> {
    if !holds(&task.last) {
        return None;
    }
    let hit = |confidence, cap| Some(Hit { confidence, cap, ..Hit::sure(magnitude, beside) });
    if task.first_at == task.last.at {
        return hit(Confidence::Low, Some(ONE_SAMPLE));
    }
    if holds(&task.first()) { hit(Confidence::High, None) } else { None }
}

pub(super) fn lost_waker(task: &Task, kind: &TaskKind, context: &Context<'_>) -> Option<Hit> {
    // Kinds that are not known may wake in ways that leave no trace.
    if !matches!(kind, TaskKind::Task | TaskKind::Local) {
        return None;
    }
    let holds = |sample: &Sample| {
        sample.stats.dropped_at.is_none() && sample.waker_count() == 0 && !sample.is_running() && !sample.is_awakened()
    };
    let stats = &task.last.stats;
    let idle_since = stats.last_poll_ended.or(stats.last_poll_started);
    let idle = idle_since.map_or(0, |since| nanos(task.last.at.since(since)));
    let hit = sampled(task, holds, idle, stats.waker_clones)?;
    // Whoever was polled or woken in between has a waker somewhere.
    if task.first().stats != *stats {
        return None;
    }
    let hit = if stats.waker_clones == 0 {
        hit.capped(Confidence::Low, NEVER_CLONED)
    } else if stats.waker_drops <= stats.wakes {
        hit.capped(Confidence::Low, ALL_USED)
    } else if stats.wakes > 0 {
        hit.capped(Confidence::Low, WAITED_BEFORE)
    } else {
        hit
    };
    let hit = if may_have_ended(task, context) { hit.capped(Confidence::Low, KEPT_BY_BLOCKING) } else { hit };
    Some(known_false_alarms(hit, kind, context))
}

/// A blocking task's span is a child of the task that started it, and keeps it in sight for as long as it lives: what
/// tokio-console's issues 345 and 380 were about, which tokio 1.35 cured for other tasks only.
fn may_have_ended(task: &Task, context: &Context<'_>) -> bool {
    let (first, last) = (task.last.stats.first_poll, task.last.stats.last_poll_ended);
    let started_before = context.blocking.partition_point(|started| Some(*started) < first);
    context.blocking.get(started_before).is_some_and(|started| Some(*started) <= last)
}

/// What tokio-console's issues 149, 237, 345 and 380 are about.
fn known_false_alarms(hit: Hit, kind: &TaskKind, context: &Context<'_>) -> Hit {
    let hit = if *kind == TaskKind::Local { hit.capped(Confidence::Medium, LOCAL) } else { hit };
    let is_old = context.tokio.is_some_and(|version| version < (1, 35));
    let hit = if is_old { hit.capped(Confidence::Low, OLD_TOKIO) } else { hit };
    if context.vintage == Some(Vintage::UpTo015) && super::anomalies::tasks_were_dropped(context.anomalies) {
        return hit.capped(Confidence::Low, OLD_EVENTS);
    }
    hit
}

pub(super) fn auto_boxed(task: &Task) -> Option<Hit> {
    let (size, original) = (task.size.bytes()?, task.size.original_bytes()?);
    let hit = |confidence, cap| Hit { confidence, cap, ..Hit::sure(original, size) };
    match size.cmp(&original) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(hit(Confidence::High, None)),
        std::cmp::Ordering::Greater => Some(hit(Confidence::Low, Some(LARGER))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Anomaly, FutureSize, SiteIndex, SpanId, TargetTime, TaskStats};
    use crate::playbook::Detector;
    use std::collections::BTreeMap;

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
            size: FutureSize::UNKNOWN,
            first_at: at(10),
            earlier: Some(Box::new(first)),
            last: Sample { at: at(13), stats: last },
        }
    }

    fn polled() -> TaskStats {
        TaskStats { polls: 1, last_poll_started: Some(at(2)), last_poll_ended: Some(at(3)), ..TaskStats::default() }
    }

    const NEW: Context<'_> = Context {
        start: None,
        end: None,
        length: Duration::ZERO,
        has_one_sample: false,
        anomalies: &[],
        vintage: Some(Vintage::Since05),
        tokio: Some((1, 54)),
        blocking: Vec::new(),
        details: &BTreeMap::new(),
    };

    fn detect(detector: Detector, task: &Task, kind: &TaskKind) -> Option<Hit> {
        detector.detect(task, kind, &NEW)
    }

    fn confidence(detector: Detector, task: &Task) -> Option<Confidence> {
        detect(detector, task, &TaskKind::Task).map(|hit| hit.confidence)
    }

    #[test]
    fn a_lost_waker_was_there_and_is_gone_in_both_samples() {
        let lost = TaskStats { waker_clones: 1, waker_drops: 1, ..polled() };
        let found = detect(Detector::LostWaker, &task(lost, lost), &TaskKind::Task).unwrap();
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
        assert_eq!(detect(Detector::LostWaker, &task(lost, lost), &TaskKind::Blocking), None);
        assert_eq!(detect(Detector::LostWaker, &task(lost, lost), &TaskKind::Other("new".into())), None);
    }

    #[test]
    fn a_parked_task_is_a_lead_at_most() {
        assert_eq!(confidence(Detector::LostWaker, &task(polled(), polled())), Some(Confidence::Low));
    }

    #[test]
    fn what_may_be_pending_on_purpose_says_so() {
        let stats = |wakes, clones, drops| TaskStats {
            wakes,
            waker_clones: clones,
            waker_drops: drops,
            last_wake: (wakes > 0).then(|| at(1)),
            ..polled()
        };
        let slept_then_pending = stats(1, 1, 1);
        let raced_then_pending = stats(1, 2, 2);
        let judged = |stats| confidence(Detector::LostWaker, &task(stats, stats));
        assert_eq!(judged(slept_then_pending), Some(Confidence::Low), "its only waker was used");
        assert_eq!(judged(raced_then_pending), Some(Confidence::Low), "a sleep makes two wakers and uses one");
        assert_eq!(judged(stats(0, 1, 1)), Some(Confidence::High));
    }

    /// tokio-console's issues 149, 237, 345 and 380.
    #[test]
    fn known_false_alarms_say_why_they_cannot_tell() {
        let lost = TaskStats { waker_clones: 1, waker_drops: 1, ..polled() };
        let task = task(lost, lost);
        let judged = |kind, context: &Context<'_>| {
            let hit = Detector::LostWaker.detect(&task, &kind, context).unwrap();
            (hit.confidence, hit.cap)
        };
        let old_tokio = Context { tokio: Some((1, 34)), ..NEW };
        assert_eq!(judged(TaskKind::Task, &old_tokio), (Confidence::Low, Some(OLD_TOKIO)));
        assert_eq!(judged(TaskKind::Local, &NEW), (Confidence::Medium, Some(LOCAL)));
        let blocking = |started| Context { blocking: vec![at(started)], ..NEW };
        assert_eq!(judged(TaskKind::Task, &blocking(2)), (Confidence::Low, Some(KEPT_BY_BLOCKING)));
        assert_eq!(judged(TaskKind::Task, &blocking(8)), (Confidence::High, None), "somebody else started that one");
        let dropped = [Anomaly::DroppedEvents { tasks: 1, resources: 0, async_ops: 0 }];
        let old_events = Context { vintage: Some(Vintage::UpTo015), anomalies: &dropped, ..NEW };
        assert_eq!(judged(TaskKind::Task, &old_events), (Confidence::Low, Some(OLD_EVENTS)));
        assert_eq!(judged(TaskKind::Task, &Context { anomalies: &dropped, ..NEW }), (Confidence::High, None));
    }

    #[test]
    fn a_time_that_the_machine_explains_is_a_lead() {
        let running = TaskStats { polls: 1, last_poll_started: Some(at(3)), ..TaskStats::default() };
        let (task, detector) = (task(running, running), Detector::StuckPoll { age: Duration::from_secs(2) });
        let judged = |late| {
            let anomalies = [Anomaly::LateTicks { late: Duration::from_millis(late) }];
            let context = Context { anomalies: &anomalies, ..NEW };
            detector.detect(&task, &TaskKind::Task, &context).map(|hit| hit.confidence)
        };
        assert_eq!(judged(2400), Some(Confidence::High), "a poll of ten seconds is more than that");
        assert_eq!(judged(2500), Some(Confidence::Low));
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
        let detector = Detector::SelfWakes { self_wake_percent: 50, wakes: 1 };
        let stats = |wakes, self_wakes| TaskStats { wakes, self_wakes, ..polled() };
        assert_eq!(confidence(detector, &task(stats(10, 5), stats(100, 50))), None);
        assert_eq!(confidence(detector, &task(stats(10, 6), stats(100, 51))), Some(Confidence::High));
        assert_eq!(confidence(detector, &task(stats(10, 1), stats(100, 51))), None, "did not hold at first");
        assert_eq!(
            confidence(detector, &task(stats(1, 2), stats(1, 2))),
            Some(Confidence::High),
            "torn counters are clamped"
        );
        assert_eq!(detect(detector, &task(stats(9, 9), stats(9, 9)), &TaskKind::BlockOn), None);
        let some = Detector::SelfWakes { self_wake_percent: 50, wakes: 10 };
        assert_eq!(confidence(some, &task(stats(9, 9), stats(9, 9))), None, "too few for a share");
        assert_eq!(confidence(some, &task(stats(10, 9), stats(10, 9))), Some(Confidence::High));
    }

    #[test]
    fn never_yielded_is_one_long_first_poll() {
        let detector = Detector::NeverYielded { busy: Duration::from_secs(1) };
        let running =
            |polls, started| TaskStats { polls, last_poll_started: Some(at(started)), ..TaskStats::default() };
        let found = detect(detector, &task(running(1, 3), running(1, 3)), &TaskKind::Task).unwrap();
        assert_eq!((found.confidence, found.magnitude), (Confidence::High, 10 * SECOND as u64));
        assert_eq!(confidence(detector, &task(running(2, 3), running(2, 3))), None, "it came back once");
        assert_eq!(confidence(detector, &task(running(1, 10), running(1, 10))), None, "not long at the first sample");
        assert_eq!(confidence(detector, &task(polled(), polled())), None);
        assert_eq!(detect(detector, &task(running(1, 3), running(1, 3)), &TaskKind::Blocking), None);
    }

    #[test]
    fn sizes_are_compared_as_tokio_console_does() {
        let sized = |size, original| Task { size: FutureSize::new(size, original), ..task(polled(), polled()) };
        let large = Detector::LargeFuture { size_bytes: 1024 };
        assert_eq!(confidence(large, &sized(Some(1023), None)), None);
        assert_eq!(confidence(large, &sized(Some(1024), None)), Some(Confidence::High));
        assert_eq!(detect(large, &sized(Some(4096), None), &TaskKind::BlockOn), None);
        assert_eq!(confidence(Detector::AutoBoxedFuture, &sized(Some(8), Some(20_000))), Some(Confidence::High));
        assert_eq!(confidence(Detector::AutoBoxedFuture, &sized(Some(20_000), Some(8))), Some(Confidence::Low));
        assert_eq!(confidence(Detector::AutoBoxedFuture, &sized(Some(8), None)), None);
        assert!(detect(Detector::AutoBoxedFuture, &sized(Some(8), Some(20_000)), &TaskKind::BlockOn).is_some());
    }
}
