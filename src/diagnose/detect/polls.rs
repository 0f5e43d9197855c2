//! Polls and the time before them, task by task.

use std::time::Duration;

use super::{Context, Hit, Measure, ONE_SAMPLE, nanos};
use crate::model::{Sample, Task, TaskKind, TaskState};
use crate::playbook::Confidence;

const ONE_POLL: &str = "one poll at the end of the window; a longer `--window` tells whether it ends";
const NEVER_WAITS: &str =
    "it never waited in the window, without waking itself: a loop that yields between pieces of work looks the same";
const NO_DRIVER: &str = "a task on a `LocalSet` or a runtime that nobody drives yet looks the same";

const WHOLE_LIFE: &str =
    "a histogram is of the task's whole life: its long polls may be over, and a program that is starting has some";

/// A rate over less than this is a burst.
const SHORTEST_RATE: Duration = Duration::from_millis(500);

/// A mean of fewer polls is none.
pub(super) const FEWEST_POLLS: u64 = 3;

/// 1 of 100 polls needs a hundred.
const FEWEST_FOR_P99: u64 = 100;

pub(super) fn long(
    task: &Task,
    context: &Context<'_>,
    typical: Duration,
    p99: Duration,
    current: Duration,
) -> Option<Hit> {
    let running = task.last.current_poll();
    // The first poll is the business of `never-yielded`.
    if running >= current && task.last.stats.polls > 1 {
        return Some(lasting(task, context, running));
    }
    let activity = task.activity(context.start);
    let finished = activity.busy.saturating_sub(running);
    // Who was not polled in the window did nothing in it that could be judged.
    let mean = finished.checked_div(u32::try_from(activity.polls).ok()?)?;
    // The drop of its future is a poll too short to count; a task that runs is in a poll that has not ended.
    if mean >= typical && activity.polls >= FEWEST_POLLS {
        return Some(Hit::sure(nanos(mean), activity.polls));
    }
    long_tail(task, context, p99)
}

/// The histogram of a task that was polled in the window, where it was read: an average hides that 1 of 100 is long.
fn long_tail(task: &Task, context: &Context<'_>, p99: Duration) -> Option<Hit> {
    let polls = context.details.get(&(task.id, task.created_at))?.polls.as_ref()?;
    let (count, value) = (polls.count(), polls.percentile(99));
    let is_long = count >= FEWEST_FOR_P99 && value >= nanos(p99);
    let hit = Hit { measure: Measure::P99, ..Hit::sure(value, count) };
    is_long.then(|| hit.capped(Confidence::Medium, WHOLE_LIFE))
}

pub(super) fn stuck(task: &Task, context: &Context<'_>, age: Duration) -> Option<Hit> {
    let running = task.last.current_poll();
    (running >= age).then(|| lasting(task, context, running))
}

/// A poll that runs: surely when the first sample saw the same poll, or when it is older than the window.
fn lasting(task: &Task, context: &Context<'_>, running: Duration) -> Hit {
    let hit = Hit::sure(nanos(running), 0);
    let is_the_same = task.first().stats.last_poll_started == task.last.stats.last_poll_started;
    if context.has_one_sample {
        hit.capped(Confidence::Low, ONE_SAMPLE)
    } else if is_the_same {
        hit
    } else {
        hit.capped(Confidence::Medium, ONE_POLL)
    }
}

/// Never lifetime polls: a healthy task that is a week old has millions.
pub(super) fn spinning(
    task: &Task,
    context: &Context<'_>,
    polls_per_second: u64,
    self_wake_percent: u64,
) -> Option<Hit> {
    let span = context.span(task);
    if task.last.state() == TaskState::Done || span < SHORTEST_RATE {
        return None;
    }
    let activity = task.activity(context.start);
    let rate = u64::try_from(u128::from(activity.polls) * 1_000_000_000 / span.as_nanos().max(1)).unwrap_or(u64::MAX);
    if rate < polls_per_second {
        return None;
    }
    let own = (u128::from(activity.self_wakes) * 100).checked_div(u128::from(activity.wakes)).unwrap_or(0).min(100);
    let own = u64::try_from(own).unwrap_or(100);
    if own > self_wake_percent {
        return Some(Hit::sure(rate, own));
    }
    // `yield_now` wakes from outside the task, so a loop around it has no self-wakes; but it never waits.
    let waiting = span.saturating_sub(activity.busy.saturating_add(activity.scheduled));
    (waiting.saturating_mul(20) < span).then(|| Hit::sure(rate, own).capped(Confidence::Low, NEVER_WAITS))
}

pub(super) fn starved(task: &Task, context: &Context<'_>, wait: Duration, delay: Duration) -> Option<Hit> {
    let scheduled_since = |sample: &Sample| (sample.state() == TaskState::Scheduled).then_some(sample.stats.last_wake);
    if let Some(Some(wake)) = scheduled_since(&task.last) {
        let waited = task.last.at.since(wake);
        if waited >= wait {
            let hit = Hit::sure(nanos(waited), 0);
            return Some(if context.has_one_sample { hit.capped(Confidence::Low, ONE_SAMPLE) } else { hit });
        }
    }
    // The idle time of a task that was cancelled is booked as scheduled, so only living ones have a mean.
    let activity = task.activity(context.start);
    if task.last.state() == TaskState::Done || activity.polls < FEWEST_POLLS || activity.wakes < activity.polls / 2 {
        return None;
    }
    let mean = activity.scheduled.checked_div(u32::try_from(activity.polls).ok()?)?;
    (mean >= delay).then(|| Hit::sure(nanos(mean), activity.polls))
}

/// From spawn to the first poll, of tasks for which some of that lies inside the window.
fn first_poll_delay(task: &Task, context: &Context<'_>) -> Option<Duration> {
    let polled = task.last.stats.first_poll;
    if polled.is_some_and(|polled| Some(polled) < context.start) {
        return None;
    }
    // Nobody knows how long a task that was cancelled before its first poll would have waited.
    if task.last.stats.dropped_at.is_some() && task.last.stats.polls == 0 {
        return None;
    }
    Some(polled.unwrap_or(task.last.at).since(task.created_at))
}

pub(super) fn slow_first(task: &Task, context: &Context<'_>, delay: Duration) -> Option<Hit> {
    let delayed = first_poll_delay(task, context).filter(|delayed| *delayed >= delay)?;
    let still = task.last.stats.first_poll.is_none();
    let hit = Hit::sure(nanos(delayed), u64::from(still));
    if !still {
        return Some(hit);
    }
    Some(if context.has_one_sample {
        hit.capped(Confidence::Low, ONE_SAMPLE)
    } else {
        hit.capped(Confidence::Medium, NO_DRIVER)
    })
}

pub(super) fn blocking_pool_queue(task: &Task, kind: &TaskKind, context: &Context<'_>, delay: Duration) -> Option<Hit> {
    if *kind != TaskKind::Blocking {
        return None;
    }
    let delayed = first_poll_delay(task, context).filter(|delayed| *delayed >= delay)?;
    Some(Hit::sure(nanos(delayed), u64::from(task.last.stats.first_poll.is_none())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hdrhistogram::Histogram;

    use super::*;
    use crate::model::{FutureSize, Histograms, SiteIndex, SpanId, TargetTime, TaskStats, TimeHistogram};
    use crate::playbook::Detector;

    const LONG: Detector = Detector::LongPoll {
        typical: Duration::from_millis(100),
        p99: Duration::from_millis(250),
        current: Duration::from_secs(1),
    };

    fn at(seconds: i64) -> TargetTime {
        TargetTime::from_nanos(seconds * 1_000_000_000)
    }

    /// Whether a task is recognised that had so many short polls and so many of the given length in its life.
    fn judged(short: u64, long: u64, length: Duration) -> Option<Hit> {
        let mut values = Histogram::new_with_max(1_000_000_000, 2).unwrap();
        values.record_n(50_000, short).unwrap();
        values.record_n(nanos(length), long).unwrap();
        let polls = Some(TimeHistogram::of(&values));
        let details = BTreeMap::from([((SpanId(1), at(1)), Histograms { polls, scheduled: None })]);
        let stats = TaskStats { polls: short + long, ..TaskStats::default() };
        let task = Task {
            id: SpanId(1),
            created_at: at(1),
            site: SiteIndex(0),
            task_id: None,
            name: None,
            size: FutureSize::UNKNOWN,
            first_at: at(10),
            earlier: Some(Box::new(TaskStats { polls: short / 2, ..TaskStats::default() })),
            last: Sample { at: at(13), stats },
        };
        let context = Context {
            start: Some(at(10)),
            end: Some(at(13)),
            length: Duration::from_secs(3),
            has_one_sample: false,
            anomalies: &[],
            vintage: None,
            tokio: None,
            blocking: Vec::new(),
            details: &details,
        };
        LONG.detect(&task, &TaskKind::Task, &context)
    }

    #[test]
    fn an_average_hides_one_long_poll_of_a_hundred_and_the_histogram_does_not() {
        let found = judged(980, 20, Duration::from_millis(400)).unwrap();
        assert_eq!((found.confidence, found.measure, found.beside), (Confidence::Medium, Measure::P99, 1000));
        assert!(Duration::from_nanos(found.magnitude) >= Duration::from_millis(395), "{found:?}");
        assert_eq!(judged(999, 1, Duration::from_millis(900)), None, "one of a thousand");
        assert_eq!(judged(60, 20, Duration::from_millis(400)), None, "too few polls to speak of 1 of 100");
        assert_eq!(judged(980, 20, Duration::from_millis(40)), None, "not long");
    }
}
