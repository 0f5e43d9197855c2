//! What one target looked like during its window: the result of decoding its evidence.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Anomaly, AsyncOp, Resource, Site, SpanId, TargetTime, Task};

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
#[derive(Clone, Debug, PartialEq)]
pub struct Histograms {
    /// Time inside finished polls.
    pub polls: Option<TimeHistogram>,
    /// Time between wake and poll.
    pub scheduled: Option<TimeHistogram>,
}

/// A histogram with what lay beyond its range.
#[derive(Clone, Debug, PartialEq)]
pub struct TimeHistogram {
    /// Values up to the target's limit (1 s by default); larger ones are recorded as the limit.
    pub values: Histogram<u64>,
    /// How many values were beyond the limit.
    pub outliers: u64,
    /// The largest of them.
    pub highest_outlier: Option<Duration>,
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
