//! Exact definitions, on the target's clock and the window. Each says how sure it is, and why not surer.

mod anomalies;
mod lints;
mod polls;
mod process;
mod resources;
mod sites;

use std::collections::BTreeMap;
use std::time::Duration;

use super::diagnosis::SiteFigures;
use crate::model::{Anomaly, Histograms, Snapshot, SpanId, TargetTime, Task, TaskKind, Vintage};
use crate::playbook::{Confidence, Detector};

pub(super) use process::{failed, observed};
pub(super) use resources::{Queue, queues, site as site_of};
pub(super) use sites::Tally;

/// A task that a detector has recognised, or a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub confidence: Confidence,
    /// Why not surer.
    pub cap: Option<&'static str>,
    /// How much, in the detector's own unit: the larger, the worse.
    pub magnitude: u64,
    /// A second figure for the evidence.
    pub beside: u64,
    pub measure: Measure,
}

/// What a magnitude is, where a detector has several ways to recognise something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    /// The detector's own.
    #[default]
    Own,
    /// What 99 of 100 values stay below.
    P99,
}

impl Hit {
    fn sure(magnitude: u64, beside: u64) -> Self {
        Self { confidence: Confidence::High, cap: None, magnitude, beside, measure: Measure::Own }
    }

    fn capped(self, confidence: Confidence, cap: &'static str) -> Self {
        if confidence < self.confidence { Self { confidence, cap: Some(cap), ..self } } else { self }
    }
}

const RISING_LOAD: &str = "load that rose over all of these sweeps looks the same";

/// Tasks more over so many runs in a row.
pub(super) fn growth(gained: u64, runs: u64) -> Hit {
    Hit::sure(gained, runs).capped(Confidence::Medium, RISING_LOAD)
}

const ONE_SAMPLE: &str = "seen in one sample only; a longer `--window` confirms it or not";

const NO_CPU: &str =
    "the console's own thread was late as well: where a process waits for a CPU, everything in it takes long";

/// A tick is looked at once a second, so that the latest one seen is hardly the worst there was.
const LATER_THAN_SEEN: u32 = 4;

/// What detectors must know of the target beside the task.
#[derive(Clone, Debug)]
pub(super) struct Context<'a> {
    pub start: Option<TargetTime>,
    pub end: Option<TargetTime>,
    pub length: Duration,
    pub has_one_sample: bool,
    pub anomalies: &'a [Anomaly],
    pub vintage: Option<Vintage>,
    /// Major and minor.
    pub tokio: Option<(u32, u32)>,
    /// When the blocking tasks that are alive were started, in order.
    pub blocking: Vec<TargetTime>,
    /// Of the tasks that were looked at closely.
    pub details: &'a BTreeMap<(SpanId, TargetTime), Histograms>,
}

impl<'a> Context<'a> {
    pub fn of(snapshot: &'a Snapshot) -> Self {
        Self {
            start: snapshot.window.first,
            end: snapshot.window.last,
            length: snapshot.window.length(),
            has_one_sample: snapshot.window.updates < 2,
            anomalies: &snapshot.anomalies,
            vintage: snapshot.vintage,
            tokio: snapshot.tokio_version.as_deref().and_then(major_and_minor),
            blocking: blocking(snapshot),
            details: &snapshot.details,
        }
    }

    /// A time that may be no more than the wait of the whole process for a CPU is a lead.
    fn doubt_when_late(&self, hit: Hit) -> Hit {
        let late = self.anomalies.iter().find_map(|anomaly| match anomaly {
            Anomaly::LateTicks { late } => Some(*late),
            _ => None,
        });
        let is_explained = late.is_some_and(|late| hit.magnitude <= nanos(late.saturating_mul(LATER_THAN_SEEN)));
        if is_explained { hit.capped(Confidence::Low, NO_CPU) } else { hit }
    }

    /// How much of the window the task was there for.
    fn span(&self, task: &Task) -> Duration {
        let since = self.start.max(Some(task.created_at)).unwrap_or(task.created_at);
        task.last.at.since(since)
    }
}

/// Tasks are ordered by age, so these are too.
fn blocking(snapshot: &Snapshot) -> Vec<TargetTime> {
    let is_blocking = |task: &&Task| {
        let site = snapshot.sites.get(task.site.0 as usize);
        task.last.stats.dropped_at.is_none() && site.is_some_and(|site| site.kind == TaskKind::Blocking)
    };
    snapshot.tasks.iter().filter(is_blocking).map(|task| task.created_at).collect()
}

fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Detector {
    /// How many of a site's tasks it looks at.
    pub(super) fn population(self, figures: &SiteFigures) -> u64 {
        match self {
            Self::SelfWakes { .. }
            | Self::AutoBoxedFuture
            | Self::LargeFuture { .. }
            | Self::SlowFirstPoll { .. }
            | Self::BlockingPoolQueue { .. }
            | Self::CancelledWhileWoken { .. } => figures.alive.saturating_add(figures.completed),
            Self::LongPoll { .. } => figures.alive.saturating_add(figures.died),
            _ => figures.alive,
        }
    }

    /// Whether it judges a task's whole life, so that what judges the window says more.
    pub(super) fn judges_lifetimes(self) -> bool {
        matches!(self, Self::SelfWakes { .. })
    }

    /// Whether its magnitude is a time that the system's scheduler can make longer.
    fn measures_time(self) -> bool {
        matches!(
            self,
            Self::NeverYielded { .. }
                | Self::LongPoll { .. }
                | Self::StuckPoll { .. }
                | Self::Starved { .. }
                | Self::SlowFirstPoll { .. }
                | Self::BlockingPoolQueue { .. }
        )
    }

    /// Looks at one task.
    pub(super) fn detect(self, task: &Task, kind: &TaskKind, context: &Context<'_>) -> Option<Hit> {
        let hit = self.recognise(task, kind, context)?;
        Some(if self.measures_time() { context.doubt_when_late(hit) } else { hit })
    }

    fn recognise(self, task: &Task, kind: &TaskKind, context: &Context<'_>) -> Option<Hit> {
        match self {
            Self::AutoBoxedFuture => lints::auto_boxed(task),
            Self::BlockingPoolQueue { delay } => polls::blocking_pool_queue(task, kind, context, delay),
            // tokio-console skips these since 0.1.11: they do not poll and wake as tasks do.
            _ if kind.is_blocking() => None,
            Self::LargeFuture { size_bytes } => lints::large(task, size_bytes),
            Self::SelfWakes { self_wake_percent, wakes } => lints::self_wakes(task, self_wake_percent, wakes),
            Self::NeverYielded { busy } => lints::never_yielded(task, busy),
            Self::LostWaker => lints::lost_waker(task, kind, context),
            Self::LongPoll { typical, p99, current } => polls::long(task, context, typical, p99, current),
            Self::StuckPoll { age } => polls::stuck(task, context, age),
            Self::Spinning { polls_per_second, self_wake_percent } => {
                polls::spinning(task, context, polls_per_second, self_wake_percent)
            }
            Self::Starved { wait, delay } => polls::starved(task, context, wait, delay),
            Self::SlowFirstPoll { delay } => polls::slow_first(task, context, delay),
            // These look at places, resources or the process, in their own time.
            Self::Busy { .. }
            | Self::TaskLeak { .. }
            | Self::TaskGrowth { .. }
            | Self::CancelledWhileWoken { .. }
            | Self::WakerChurn { .. }
            | Self::LockContention { .. }
            | Self::Deadlock
            | Self::ChannelBacklog { .. }
            | Self::PermitsExhausted { .. }
            | Self::ConsoleMemory { .. }
            | Self::ExposedConsole
            | Self::NothingInstrumented
            | Self::RuntimeDown => None,
        }
    }
}
