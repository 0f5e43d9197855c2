//! What was odd about a target's messages, counted while they are folded and told at the end.

use std::collections::HashSet;
use std::time::Duration;

use super::message::Part;
use super::{Decoder, ticks};
use crate::model::{Anomaly, Ended, Observation, Vintage};

/// A console since 0.3 whose full state reaches 4 MiB halves its own retention until the state fits, and keeps it halved.
/// What is left after that is smaller, so that a state well on the way there counts too.
const LARGE_STATE: u64 = 3 << 20;

/// A clock that differs by more than this from ours is worth a word.
const NOTABLE_CLOCK_OFFSET_MS: i64 = 1000;

#[derive(Debug, Default)]
pub(super) struct Counts {
    orphans: HashSet<(Part, u64), foldhash::fast::RandomState>,
    reused: u64,
    pub negative: u64,
    pub torn: u64,
    pub unknown_kind: u64,
    pub malformed: u64,
    /// There was no room for an entity.
    pub full: bool,
    pub details_full: bool,
    pub restarted: bool,
}

impl Counts {
    /// The process restarted: what was odd before stays told, but who was missing is gone.
    pub(super) fn of_another_life(self) -> Self {
        Self { restarted: true, orphans: HashSet::default(), ..self }
    }

    /// An entity is complete. Its id may have been used before.
    pub(super) fn arrived(&mut self, part: Part, id: u64, is_reused: bool) {
        self.reused += u64::from(is_reused);
        if !self.orphans.is_empty() {
            self.orphans.remove(&(part, id));
        }
    }

    /// Something came for an entity that was never announced.
    pub(super) fn orphan(&mut self, part: Part, id: u64, most: usize) {
        if self.orphans.len() < most {
            self.orphans.insert((part, id));
        } else {
            self.full = true;
        }
    }
}

/// A tick brings no more new call sites than this; a program of any size has dozens.
const FEW: usize = 8;

/// A state that is sent without waiting for a tick is there sooner.
const NOT_AT_ONCE: Duration = Duration::from_millis(100);

/// console-subscriber's publish interval where nobody set another.
const DEFAULT_TICK: Duration = Duration::from_secs(1);

/// A thread that is later than this has waited for a CPU; where a machine is merely busy, it is some milliseconds.
const NOTABLE_LATENESS: Duration = Duration::from_millis(100);

impl Decoder {
    pub(super) fn vintage(&self, observation: &Observation, has_tasks: bool) -> Option<Vintage> {
        match observation.serves_state {
            Some(true) => Some(Vintage::Since05),
            Some(false) if self.legacy_histograms => Some(Vintage::UpTo015),
            Some(false) if has_tasks && !self.scheduled_time_seen => Some(Vintage::UpTo018),
            // Since 0.3, polls are kept while somebody watches, until the next tick.
            Some(false) if self.oldest_poll_op.is_some_and(|age| age > self.longest_tick().saturating_mul(2)) => {
                Some(Vintage::UpTo02)
            }
            Some(false) => Some(Vintage::Before05),
            None => None,
        }
    }

    /// Whether the first message was the full state. A client that comes too late for a state that does not fit gets
    /// changes only, from the next tick on. They can hold a call site that is new, but announce nothing that was there.
    fn first_is_full(&self, observation: &Observation) -> bool {
        let is_like_changes = !self.first_announces && self.tokio_version.is_some() && self.first_call_sites <= FEW;
        self.first_call_sites > 0 && !(is_like_changes && self.first_came_at_a_tick(observation))
    }

    /// A full state comes at once, somewhere between two ticks; changes come a whole tick before the next ones, or a little
    /// less where their own tick was late, as after a state that took long to send.
    fn first_came_at_a_tick(&self, observation: &Observation) -> bool {
        let Some(first) = self.intervals.first() else { return false };
        let tick = self.intervals.get(1).copied().unwrap_or(DEFAULT_TICK);
        let late = if observation.first_update_after >= NOT_AT_ONCE { tick / 4 } else { tick / 50 };
        first.saturating_add(late) >= tick
    }

    fn longest_tick(&self) -> Duration {
        self.intervals.iter().max().copied().unwrap_or(Duration::MAX)
    }

    /// How late the latest tick was. The first interval begins when we attached, not at a tick. The window ends with a tick,
    /// however late that one comes.
    fn late_ticks(&self) -> Option<Duration> {
        let late = self.intervals.get(1..).filter(|_| !self.paused).and_then(ticks::latest)?;
        (late >= NOTABLE_LATENESS).then_some(late)
    }

    pub(super) fn anomalies(
        &self,
        observation: &Observation,
        vintage: Option<Vintage>,
        no_tasks: bool,
    ) -> Vec<Anomaly> {
        let mut found = Vec::new();
        let orphans = self.counts.orphans.len() as u64;
        let is_full = self.first_is_full(observation);
        if !is_full && self.window.updates > 0 {
            found.push(Anomaly::PartialInitialState { unknown: orphans });
        } else if orphans > 0 {
            found.push(Anomaly::Orphans { count: orphans });
        }
        match &observation.ended {
            Ended::WindowOver => {}
            Ended::BoundHit { bound } => found.push(Anomaly::BoundHit { bound: bound.clone() }),
            Ended::Broken(failure) => found.push(Anomaly::EndedEarly { why: failure.reason.summary().to_owned() }),
        }
        if self.counts.full {
            found.push(Anomaly::BoundHit { bound: format!("{} entities", self.limits.entities) });
        }
        if self.counts.details_full {
            found.push(Anomaly::BoundHit { bound: format!("histograms of {} tasks", self.limits.details) });
        }
        let [tasks, resources, async_ops] = self.dropped;
        let dropped = tasks.max(resources).max(async_ops) > 0;
        let clock_offset = self.clock_offset_ms.filter(|offset| offset.abs() > NOTABLE_CLOCK_OFFSET_MS);
        let shrinks = !matches!(vintage, Some(Vintage::UpTo015 | Vintage::UpTo018 | Vintage::UpTo02));
        let shrunk = shrinks && self.state_bytes >= LARGE_STATE;
        let lag = self.lag.now();
        let late = self.late_ticks();
        let plain = [
            (self.window.updates < 2, Anomaly::SingleSample),
            // A state that was not sent has tasks, only none that we know of.
            (no_tasks && is_full, Anomaly::NoTasks),
            (dropped, Anomaly::DroppedEvents { tasks, resources, async_ops }),
            (shrunk, Anomaly::RetentionShrunk { state_bytes: self.state_bytes }),
            (lag.is_some(), Anomaly::IngestLag { lag: lag.unwrap_or_default() }),
            (late.is_some(), Anomaly::LateTicks { late: late.unwrap_or_default() }),
            (self.paused, Anomaly::Paused),
            (self.counts.restarted, Anomaly::Restarted),
            (matches!(vintage, Some(Vintage::UpTo015 | Vintage::UpTo018)), Anomaly::OldVintage),
            (clock_offset.is_some(), Anomaly::ClockOffset { offset_ms: clock_offset.unwrap_or(0) }),
        ];
        found.extend(plain.into_iter().filter(|(is_so, _)| *is_so).map(|(_, anomaly)| anomaly));
        type Counted = (u64, fn(u64) -> Anomaly);
        let counted: [Counted; 5] = [
            (self.counts.reused, |count| Anomaly::IdReused { count }),
            (self.counts.negative, |count| Anomaly::NegativeInterval { count }),
            (self.counts.torn, |count| Anomaly::TornCounters { count }),
            (self.counts.unknown_kind, |count| Anomaly::UnknownKind { count }),
            (self.counts.malformed, |count| Anomaly::Malformed { count }),
        ];
        found.extend(counted.into_iter().filter(|(count, _)| *count > 0).map(|(count, make)| make(count)));
        found.sort();
        found
    }
}
