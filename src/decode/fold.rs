//! The fold: update after update into what will be a snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use console_api::RegisterMetadata;
use console_api::instrument::{State, Temporality};
use prost::Message;

use super::entities::Entities;
use super::lag::Lag;
use super::message::{self, Entry, Part};
use super::sites::Sites;
use super::value::FieldNames;
use super::words::Words;
use super::{Malformed, details, epoch::Epoch, location, odd::Counts, poll_ops, wire};
use crate::model::{
    AsyncOp, Frame, Histograms, ObservationWindow, Origin, Received, Resource, SpanId, Stream, TargetTime, Task,
};

/// Bounds of one target's snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most tasks, resources and async ops together.
    pub entities: usize,
    /// Most tasks whose histograms are kept; each takes 16 bytes for each time that differs, at most 240 kB.
    pub details: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entities: 2_000_000, details: 256 }
    }
}

/// Folds the messages of one target.
#[derive(Debug, Default)]
pub struct Decoder {
    pub(super) limits: Limits,
    pub(super) window: ObservationWindow,
    pub(super) intervals: Vec<Duration>,
    /// Call sites that came with the first message.
    pub(super) first_call_sites: usize,
    /// The first message announced something.
    pub(super) first_announces: bool,
    pub(super) lag: Lag,
    /// Bytes of the larger of the first two updates: where the first is no full state, the second is.
    pub(super) state_bytes: u64,
    /// How long before the first update an op had ended of which a poll came with it.
    pub(super) oldest_poll_op: Option<Duration>,
    pub(super) clock_offset_ms: Option<i64>,
    pub(super) sites: Sites,
    pub(super) field_names: FieldNames,
    pub(super) words: Words,
    epoch: Epoch,
    pub(super) tasks: Entities<Task>,
    pub(super) resources: Entities<Resource>,
    pub(super) async_ops: Entities<AsyncOp>,
    pub(super) details: BTreeMap<(SpanId, TargetTime), Histograms>,
    /// Events that the target lost: tasks, resources, async ops.
    pub(super) dropped: [u64; 3],
    pub(super) tokio_version: Option<String>,
    pub(super) paused: bool,
    pub(super) legacy_histograms: bool,
    pub(super) scheduled_time_seen: bool,
    pub(super) counts: Counts,
}

impl Decoder {
    /// An empty fold.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes in one message of any stream. What of it cannot be read is counted; the rest still is.
    pub fn frame(&mut self, frame: &Frame) {
        match frame.stream {
            Stream::Updates => drop(self.update(frame.received, &frame.bytes)),
            Stream::State => self.state(&frame.bytes),
            Stream::Details(id) => self.details(id, &frame.bytes),
        }
    }

    /// Takes in one `Update` message, received at `received`. Records in it that cannot be read are counted and left out.
    ///
    /// # Errors
    /// When the bytes are no such message; they change nothing then.
    pub fn update(&mut self, received: Received, bytes: &[u8]) -> Result<(), Malformed> {
        let update = message::Update::read(bytes).inspect_err(|_| self.counts.malformed += 1)?;
        let mut call_sites = 0;
        for piece in &update.metadata {
            match RegisterMetadata::decode(*piece) {
                Ok(metadata) => call_sites += self.metadata(metadata),
                Err(_) => self.counts.malformed += 1,
            }
        }
        let now = wire::time(update.now.as_ref());
        self.clock(now, received);
        if self.window.updates == 1 {
            self.first_call_sites = call_sites;
            self.oldest_poll_op = now.and_then(|now| poll_ops::oldest(&update, now));
        }
        if self.window.updates <= 2 {
            self.state_bytes = self.state_bytes.max(bytes.len() as u64);
        }
        self.lag.begin(now);
        let at = now.or(self.window.last).unwrap_or(TargetTime::from_nanos(0));
        self.part(Part::Resources, &update.resources, at);
        self.part(Part::Tasks, &update.tasks, at);
        self.part(Part::AsyncOps, &update.async_ops, at);
        self.lag.end();
        if self.window.updates == 1 {
            self.first_announces = self.entities() > 0;
        }
        Ok(())
    }

    /// Takes in one `State` message.
    pub fn state(&mut self, bytes: &[u8]) {
        match State::decode(bytes) {
            Ok(state) => self.paused = state.temporality() == Temporality::Paused,
            Err(_) => self.counts.malformed += 1,
        }
    }

    /// Takes in one `TaskDetails` message of the task `id`; a later one of the same task replaces it.
    pub fn details(&mut self, id: SpanId, bytes: &[u8]) {
        let Ok(details) = details::details(bytes) else {
            self.counts.malformed += 1;
            return;
        };
        self.counts.malformed += details.unreadable;
        self.legacy_histograms |= details.is_legacy;
        // Who they are of is the task that has the id now: ids are used again.
        let Some(created_at) = self.tasks.get(id.0).map(|task| task.created_at) else {
            self.counts.orphan(Part::Tasks, id.0, self.limits.entities);
            return;
        };
        let key = (id, created_at);
        if self.details.len() < self.limits.details || self.details.contains_key(&key) {
            self.details.insert(key, details.histograms);
        } else {
            self.counts.details_full = true;
        }
    }

    fn clock(&mut self, now: Option<TargetTime>, received: Received) {
        self.window.updates += 1;
        let Some(now) = now else {
            self.counts.malformed += 1;
            return;
        };
        self.window.first.get_or_insert(now);
        if let Some(last) = self.window.last {
            self.counts.negative += u64::from(now < last);
            self.intervals.push(now.since(last));
        }
        self.window.last = self.window.last.max(Some(now));
        let offset_ms = received.0.saturating_sub(now.as_nanos()) / 1_000_000;
        self.clock_offset_ms.get_or_insert(offset_ms);
    }

    /// Takes in call sites. Returns how many there were.
    fn metadata(&mut self, new: RegisterMetadata) -> usize {
        let call_sites = new.metadata.len();
        if self.window.updates > 0 && self.epoch.is_another(&new) {
            self.begin_another_life();
        }
        self.epoch.learn(&new, self.limits.entities);
        for new in new.metadata {
            let Some(metadata) = new.metadata else { continue };
            let file = metadata.location.as_ref().and_then(|location| location.file.as_deref());
            if let Some(Origin::Runtime { version }) = file.map(|file| location::normalize(file, 0, 0).origin)
                && !version.is_empty()
            {
                self.tokio_version.get_or_insert(version);
            }
            if let Some(id) = new.id.filter(|_| self.field_names.len() < self.limits.entities) {
                self.field_names.insert(id.id, metadata.field_names);
            }
        }
        call_sites
    }

    /// The process is another one: nothing that was learnt of the one before is true of it.
    fn begin_another_life(&mut self) {
        let counts = std::mem::take(&mut self.counts).of_another_life();
        let Self { limits, clock_offset_ms, paused, .. } = *self;
        *self = Self { limits, clock_offset_ms, counts, paused, ..Self::default() };
    }

    fn part(&mut self, part: Part, pieces: &[&[u8]], at: TargetTime) {
        // Announcements first, wherever they stand: statistics mean nothing without.
        let mut new = 0;
        let mut dropped = 0;
        for entry in part.entries(pieces) {
            match entry {
                Ok(Entry::New(bytes)) => new += usize::from(!self.is_known(part, bytes)),
                Ok(Entry::Dropped(count)) => dropped = count,
                Ok(Entry::PollOp(_)) => self.lag.poll(),
                Ok(Entry::Stats(_)) => {}
                Err(_) => self.counts.malformed += 1,
            }
        }
        if let Some(sum) = self.dropped.get_mut(part as usize) {
            *sum = sum.saturating_add(dropped);
        }
        self.reserve(part, new);
        let mut task = message::Task::default();
        for entry in part.entries(pieces).filter_map(Result::ok) {
            if let Entry::New(bytes) = entry {
                let announced = match part {
                    Part::Tasks => task.read(bytes).map(|()| self.new_task(&task)),
                    Part::Resources => message::Resource::read(bytes).map(|new| self.new_resource(new)),
                    Part::AsyncOps => message::AsyncOp::read(bytes).map(|new| self.new_async_op(new)),
                };
                self.counts.malformed += u64::from(announced != Ok(true));
            }
        }
        for entry in part.entries(pieces).filter_map(Result::ok) {
            if let Entry::Stats(bytes) = entry {
                let read = match part {
                    Part::Tasks => {
                        message::map_entry(bytes, |stats: &mut message::TaskStats, bytes| stats.merge(bytes))
                            .map(|(id, stats)| self.task_stats(id, &stats, at))
                    }
                    Part::Resources | Part::AsyncOps => {
                        message::map_entry(bytes, |stats: &mut message::Stats<'_>, bytes| stats.merge(bytes, part))
                            .map(|(id, stats)| self.other_stats(part, id, &stats))
                    }
                };
                self.counts.malformed += u64::from(read != Ok(true));
            }
        }
    }

    fn reserve(&mut self, part: Part, new: usize) {
        let new = new.min(self.limits.entities.saturating_sub(self.entities()));
        match part {
            Part::Tasks => self.tasks.reserve(new),
            Part::Resources => self.resources.reserve(new),
            Part::AsyncOps => self.async_ops.reserve(new),
        }
    }

    /// Whether an announcement repeats what is known.
    fn is_known(&self, part: Part, announced: &[u8]) -> bool {
        let id = || message::announced_id(announced);
        match part {
            Part::Tasks => self.tasks.len() > 0 && id().is_some_and(|id| self.tasks.contains(id)),
            Part::Resources => self.resources.len() > 0 && id().is_some_and(|id| self.resources.contains(id)),
            Part::AsyncOps => self.async_ops.len() > 0 && id().is_some_and(|id| self.async_ops.contains(id)),
        }
    }

    fn entities(&self) -> usize {
        self.tasks.len() + self.resources.len() + self.async_ops.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.entities() < self.limits.entities
    }
}
