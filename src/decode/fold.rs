//! The fold: update after update into what will be a snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use console_api::RegisterMetadata;
use console_api::instrument::{State, Temporality};
use prost::Message;

use super::entities::{Entities, Whose};
use super::lag::Lag;
use super::message::{self, Entry, Part};
use super::sites::Sites;
use super::value::FieldNames;
use super::{details, epoch::Epoch, location, odd::Counts, poll_ops, value, wire};
use crate::model::{
    AsyncOp, Frame, Histograms, Observation, ObservationWindow, Origin, Received, Resource, Sample, Snapshot, SpanId,
    Stream, TargetTime, Task, TaskKind, TaskStats,
};

/// Bounds of one target's snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most tasks, resources and async ops together.
    pub entities: usize,
    /// Most tasks whose histograms are kept; each takes some 25 to 500 kB.
    pub details: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entities: 2_000_000, details: 256 }
    }
}

/// A message that is not what its stream promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message cannot be decoded: {0}")]
pub struct Malformed(String);

impl From<prost::DecodeError> for Malformed {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

impl Malformed {
    pub(super) fn cut_off() -> Self {
        Self("it ends inside a field".to_owned())
    }

    pub(super) fn wrong_type() -> Self {
        Self("a field has another type than it should".to_owned())
    }

    pub(super) fn no_text() -> Self {
        Self("a text is not UTF-8".to_owned())
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
    sites: Sites,
    field_names: FieldNames,
    epoch: Epoch,
    pub(super) tasks: Entities<Task>,
    resources: Entities<Resource>,
    async_ops: Entities<AsyncOp>,
    details: BTreeMap<(SpanId, TargetTime), Histograms>,
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
                Ok(Entry::New(_)) => new += 1,
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

    fn entities(&self) -> usize {
        self.tasks.len() + self.resources.len() + self.async_ops.len()
    }

    fn has_room(&self) -> bool {
        self.entities() < self.limits.entities
    }

    /// Takes in an announcement. False when it does not say of whom.
    fn new_task(&mut self, new: &message::Task<'_>) -> bool {
        let Some(id) = new.id else { return false };
        let has_room = self.has_room();
        if !has_room && !self.tasks.contains(id) {
            self.counts.full = true;
            return true;
        }
        let facts = self.sites.task(new, &self.field_names);
        let unknown = TargetTime::from_nanos(0);
        let task = Task {
            id: SpanId(id),
            created_at: unknown,
            site: facts.site,
            task_id: facts.task_id,
            name: facts.name,
            size_bytes: facts.size_bytes,
            original_size_bytes: facts.original_size_bytes,
            first_at: unknown,
            earlier: None,
            last: Sample { at: unknown, stats: TaskStats::default() },
        };
        self.counts.full |= !self.tasks.announce(id, task, has_room);
        true
    }

    fn new_resource(&mut self, new: message::Resource<'_>) -> bool {
        let Some(id) = new.id else { return false };
        let has_room = self.has_room();
        self.counts.full |= !self.resources.announce(id, new.into_model(SpanId(id)), has_room);
        true
    }

    fn new_async_op(&mut self, new: message::AsyncOp<'_>) -> bool {
        let Some(id) = new.id else { return false };
        let has_room = self.has_room();
        self.counts.full |= !self.async_ops.announce(id, new.into_model(SpanId(id)), has_room);
        true
    }

    /// Takes in statistics. False when they do not say when their entity was created.
    fn task_stats(&mut self, id: u64, stats: &message::TaskStats, at: TargetTime) -> bool {
        let Some(created_at) = wire::time(stats.created_at.as_ref()) else { return false };
        let polls = value::polls(stats.poll_stats.as_ref());
        self.scheduled_time_seen |= stats.scheduled_time.is_some();
        self.counts.torn +=
            u64::from(wire::is_torn(stats.wakes, stats.self_wakes, stats.waker_clones, stats.waker_drops));
        let read = TaskStats {
            dropped_at: wire::time(stats.dropped_at.as_ref()),
            wakes: stats.wakes,
            self_wakes: stats.self_wakes,
            waker_clones: stats.waker_clones,
            waker_drops: stats.waker_drops,
            last_wake: wire::time(stats.last_wake.as_ref()),
            scheduled_time: wire::span(stats.scheduled_time.as_ref()),
            polls: polls.polls,
            first_poll: polls.first,
            last_poll_started: polls.started,
            last_poll_ended: polls.ended,
            busy_time: polls.busy,
        };
        self.counts.negative += u64::from(value::is_backwards(stats, created_at, &read));
        match self.tasks.whose(id, created_at) {
            Whose::Known(task) => {
                let stats = self.sites.kind(task.site).map_or(read, |kind| read.corrected(kind));
                task.observe(Sample { at, stats });
            }
            Whose::New { entity: task, is_reused } => {
                let stats = self.sites.kind(task.site).map_or(read, |kind| read.corrected(kind));
                task.created_at = created_at;
                task.first_at = at;
                task.earlier = None;
                task.last = Sample { at, stats };
                self.lag.created(created_at);
                self.counts.arrived(Part::Tasks, id, is_reused);
            }
            Whose::Nobody => self.counts.orphan(Part::Tasks, id, self.limits.entities),
        }
        true
    }

    fn other_stats(&mut self, part: Part, id: u64, stats: &message::Stats<'_>) -> bool {
        let Some(created_at) = wire::time(stats.created_at.as_ref()) else { return false };
        let dropped_at = wire::time(stats.dropped_at.as_ref());
        self.counts.negative += u64::from(dropped_at.is_some() && dropped_at < Some(created_at));
        let attributes = value::attributes(&stats.attributes, &self.field_names);
        let arrived = if part == Part::Resources {
            fill(self.resources.whose(id, created_at), |resource| {
                (resource.created_at, resource.dropped_at, resource.attributes) = (created_at, dropped_at, attributes);
            })
        } else {
            let polls = value::polls(stats.poll_stats.as_ref());
            fill(self.async_ops.whose(id, created_at), |op| {
                (op.created_at, op.dropped_at, op.attributes) = (created_at, dropped_at, attributes);
                op.task = stats.task.map(SpanId);
                (op.polls, op.last_poll_started, op.last_poll_ended) = (polls.polls, polls.started, polls.ended);
            })
        };
        match arrived {
            Some(Some(is_reused)) => {
                self.lag.created(created_at);
                self.counts.arrived(part, id, is_reused);
            }
            Some(None) => {}
            None => self.counts.orphan(part, id, self.limits.entities),
        }
        true
    }

    /// Ends the fold. Tasks whose statistics an update did not repeat have not changed, so their last sample
    /// holds until the end of the window.
    #[must_use]
    pub fn finish(mut self, observation: &Observation) -> Snapshot {
        let (mut tasks, incomplete_tasks) = std::mem::take(&mut self.tasks).into_known();
        let (mut resources, incomplete_resources) = std::mem::take(&mut self.resources).into_known();
        let (mut async_ops, incomplete_ops) = std::mem::take(&mut self.async_ops).into_known();
        self.counts.malformed += incomplete_tasks + incomplete_resources + incomplete_ops;
        let unknown = tasks
            .iter()
            .filter(|task| self.sites.kind(task.site).is_some_and(|kind| matches!(kind, TaskKind::Other(_))));
        self.counts.unknown_kind = unknown.count() as u64;

        let vintage = self.vintage(observation, !tasks.is_empty());
        let anomalies = self.anomalies(observation, vintage, tasks.is_empty());
        self.intervals.sort();
        self.window.publish_interval = self.intervals.get(self.intervals.len() / 2).copied();
        if let Some(end) = self.window.last {
            tasks.iter_mut().for_each(|task| task.last.at = end);
        }
        tasks.sort_unstable_by_key(|task| (task.created_at, task.id));
        resources.sort_unstable_by_key(|resource| (resource.created_at, resource.id));
        async_ops.sort_unstable_by_key(|op| (op.created_at, op.id));
        let (sites, names) = self.sites.into_sites_and_names();
        let mut snapshot = Snapshot {
            window: self.window,
            vintage,
            tokio_version: self.tokio_version,
            sites,
            names,
            tasks,
            resources,
            async_ops,
            details: self.details,
            workers: None,
            spawn_rate: None,
            anomalies,
        };
        snapshot.workers = snapshot.visible_workers();
        snapshot.spawn_rate = snapshot.measured_spawn_rate(self.lag.now().unwrap_or_default());
        snapshot
    }
}

/// Fills in an entity's statistics. Returns, for one that is new, whether its id was used before; nothing for nobody.
fn fill<T>(whose: Whose<'_, T>, fill: impl FnOnce(&mut T)) -> Option<Option<bool>> {
    match whose {
        Whose::Known(entity) => {
            fill(entity);
            Some(None)
        }
        Whose::New { entity, is_reused } => {
            fill(entity);
            Some(Some(is_reused))
        }
        Whose::Nobody => None,
    }
}
