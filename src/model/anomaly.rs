//! Facts that make evidence less than complete. They never fail a target; they cap what may be concluded.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One data-quality fact about one target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))] // For the schema of the JSON report.
pub enum Anomaly {
    /// The first message was no full state: what was there before is invisible, counts are lower bounds.
    PartialInitialState {
        /// Entities whose statistics came although they were never announced.
        unknown: u64,
    },
    /// The console never had a look at the whole window: it ended early.
    EndedEarly {
        /// Why, in words.
        why: String,
    },
    /// A bound of ours was hit; what came before it is used.
    BoundHit {
        /// Which, in words.
        bound: String,
    },
    /// Fewer than two updates: no rates, and nothing could be confirmed.
    SingleSample,
    /// Not one task was announced.
    NoTasks,
    /// Attaching made the target halve its retention, or is about to.
    RetentionShrunk {
        /// Size of the full state, in bytes.
        state_bytes: u64,
    },
    /// The target's event buffer overflowed: these entities are invisible for ever.
    DroppedEvents {
        /// Tasks lost.
        tasks: u64,
        /// Resources lost.
        resources: u64,
        /// Async ops and their polls lost.
        async_ops: u64,
    },
    /// The console takes in new entities late: the newest are missing.
    IngestLag {
        /// Age of the youngest task that was visible at the end.
        lag: Duration,
    },
    /// The console's own ticks came late: its process, or the machine, is short of CPU.
    LateTicks {
        /// How late the latest one was.
        late: Duration,
    },
    /// Somebody paused the console; it publishes nothing until resumed.
    Paused,
    /// The target's clock differs from ours by more than a second.
    ClockOffset {
        /// Ours minus the target's, in milliseconds.
        offset_ms: i64,
    },
    /// The process restarted inside the window; only its last life is reported.
    Restarted,
    /// Statistics for entities that were never announced.
    Orphans {
        /// How many.
        count: u64,
    },
    /// A span id that was used again for another entity.
    IdReused {
        /// How many times.
        count: u64,
    },
    /// Intervals that ended before they began; taken as zero.
    NegativeInterval {
        /// How many.
        count: u64,
    },
    /// Counters that contradict each other for a moment.
    TornCounters {
        /// How many.
        count: u64,
    },
    /// Tasks of a kind that is not known.
    UnknownKind {
        /// How many.
        count: u64,
    },
    /// Records without what they must have; left out.
    Malformed {
        /// How many.
        count: u64,
    },
    /// A console-subscriber so old that some figures do not exist.
    OldVintage,
}

/// The name of an anomaly without its figures.
pub type AnomalyKind = &'static str;

impl Anomaly {
    /// Its stable name.
    #[must_use]
    pub fn kind(&self) -> AnomalyKind {
        match self {
            Self::PartialInitialState { .. } => "partial-initial-state",
            Self::EndedEarly { .. } => "ended-early",
            Self::BoundHit { .. } => "bound-hit",
            Self::SingleSample => "single-sample",
            Self::NoTasks => "no-tasks",
            Self::RetentionShrunk { .. } => "retention-shrunk",
            Self::DroppedEvents { .. } => "dropped-events",
            Self::IngestLag { .. } => "ingest-lag",
            Self::LateTicks { .. } => "late-ticks",
            Self::Paused => "paused",
            Self::ClockOffset { .. } => "clock-offset",
            Self::Restarted => "restarted",
            Self::Orphans { .. } => "orphans",
            Self::IdReused { .. } => "id-reused",
            Self::NegativeInterval { .. } => "negative-interval",
            Self::TornCounters { .. } => "torn-counters",
            Self::UnknownKind { .. } => "unknown-kind",
            Self::Malformed { .. } => "malformed",
            Self::OldVintage => "old-vintage",
        }
    }

    /// Whether part of the target was not seen, so that its counts are lower bounds.
    #[must_use]
    pub fn makes_partial(&self) -> bool {
        matches!(
            self,
            Self::PartialInitialState { .. }
                | Self::EndedEarly { .. }
                | Self::BoundHit { .. }
                | Self::SingleSample
                | Self::NoTasks
                | Self::Paused
                | Self::Restarted
        )
    }
}
