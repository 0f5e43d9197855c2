//! The fold: update after update into what will be a snapshot.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use console_api::instrument::{State, Temporality, Update};
use console_api::{RegisterMetadata, async_ops, resources, tasks};
use indexmap::IndexSet;
use prost::Message;

use super::{Glance, details, location, wire};
use crate::model::{
    Anomaly, AsyncOp, Ended, Frame, Histograms, Observation, ObservationWindow, Origin, Received, Resource, Sample,
    Site, SiteIndex, Snapshot, SpanId, SpawnLocation, Stream, TargetTime, Task, TaskKind, TaskStats, Vintage,
};

/// A clock that differs by more than this from ours is worth a word.
const NOTABLE_CLOCK_OFFSET_MS: i64 = 1000;

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
pub struct Malformed(#[from] prost::DecodeError);

/// Folds the messages of one target.
#[derive(Debug, Default)]
pub struct Decoder {
    limits: Limits,
    window: ObservationWindow,
    intervals: Vec<Duration>,
    first_has_metadata: bool,
    /// Age of the youngest task that the last update announced.
    youngest_task: Option<Duration>,
    clock_offset_ms: Option<i64>,
    sites: IndexSet<Site>,
    names: IndexSet<String>,
    tasks: Entities<Task, TaskFacts>,
    resources: Entities<Resource, Resource>,
    async_ops: Entities<AsyncOp, AsyncOp>,
    details: BTreeMap<(SpanId, TargetTime), Histograms>,
    dropped: (u64, u64, u64),
    tokio_version: Option<String>,
    paused: bool,
    legacy_histograms: bool,
    scheduled_time_seen: bool,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    orphans: HashSet<(u8, u64)>,
    reused: u64,
    negative: u64,
    torn: u64,
    unknown_kind: u64,
    malformed: u64,
    full: bool,
    details_full: bool,
}

/// What a task's announcement says, before its statistics tell when it was created.
#[derive(Clone, Debug)]
struct TaskFacts {
    site: SiteIndex,
    task_id: Option<u64>,
    name: Option<u32>,
    size_bytes: Option<u64>,
    original_size_bytes: Option<u64>,
}

/// Entities by span id; an id that is used again for a younger entity leaves the older one in `past`.
#[derive(Debug)]
struct Entities<T, A> {
    current: HashMap<u64, T>,
    past: Vec<T>,
    announced: HashMap<u64, A>,
}

impl<T, A> Default for Entities<T, A> {
    fn default() -> Self {
        Self { current: HashMap::new(), past: Vec::new(), announced: HashMap::new() }
    }
}

impl<T, A> Entities<T, A> {
    fn len(&self) -> usize {
        self.current.len() + self.past.len() + self.announced.len()
    }

    fn into_all(self) -> impl Iterator<Item = T> {
        self.past.into_iter().chain(self.current.into_values())
    }
}

/// Gives each value a place.
fn intern<T: std::hash::Hash + Eq>(values: &mut IndexSet<T>, value: T) -> u32 {
    u32::try_from(values.insert_full(value).0).unwrap_or(u32::MAX)
}

impl Decoder {
    /// An empty fold.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes in one message of any stream. One that cannot be read is counted; the others still are.
    pub fn frame(&mut self, frame: &Frame) {
        match frame.stream {
            Stream::Updates => drop(self.update(frame.received, &frame.bytes)),
            Stream::State => self.state(&frame.bytes),
            Stream::Details(id) => self.details(id, &frame.bytes),
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
        let Some(created_at) = self.tasks.current.get(&id.0).map(|task| task.created_at) else {
            self.counts.orphans.insert((0, id.0));
            return;
        };
        let key = (id, created_at);
        if self.details.len() < self.limits.details || self.details.contains_key(&key) {
            self.details.insert(key, details.histograms);
        } else {
            self.counts.details_full = true;
        }
    }

    /// Takes in one `Update` message, received at `received`.
    ///
    /// # Errors
    /// When the bytes are no such message; they change nothing then.
    pub fn update(&mut self, received: Received, bytes: &[u8]) -> Result<(), Malformed> {
        let update = Update::decode(bytes).inspect_err(|_| self.counts.malformed += 1)?;
        let glance = Glance::of(&update);
        self.clock(glance.now, received);
        if self.window.updates == 1 {
            self.first_has_metadata = glance.has_metadata;
        } else {
            self.youngest_task = glance.youngest_task;
        }
        if let Some(metadata) = &update.new_metadata {
            self.metadata(metadata);
        }
        let at = glance.now.or(self.window.last).unwrap_or(TargetTime::from_nanos(0));
        if let Some(resources) = update.resource_update {
            self.resources(resources);
        }
        if let Some(tasks) = update.task_update {
            self.tasks(tasks, at);
        }
        if let Some(ops) = update.async_op_update {
            self.async_ops(ops);
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

    fn entities(&self) -> usize {
        self.tasks.len() + self.resources.len() + self.async_ops.len()
    }

    fn has_room(&mut self) -> bool {
        let room = self.entities() < self.limits.entities;
        self.counts.full |= !room;
        room
    }

    fn clock(&mut self, now: Option<TargetTime>, received: Received) {
        self.window.updates += 1;
        let Some(now) = now else {
            self.counts.malformed += 1;
            return;
        };
        self.window.first.get_or_insert(now);
        if let Some(last) = self.window.last {
            self.intervals.push(now.since(last));
        }
        self.window.last = self.window.last.max(Some(now));
        let offset_ms = received.0.saturating_sub(now.as_nanos()) / 1_000_000;
        self.clock_offset_ms.get_or_insert(offset_ms);
    }

    fn metadata(&mut self, new: &RegisterMetadata) {
        let files = new.metadata.iter().filter_map(|new| new.metadata.as_ref()?.location.as_ref()?.file.as_deref());
        for file in files {
            if let Origin::Runtime { version } = location::normalize(file, 0, 0).origin {
                self.tokio_version.get_or_insert(version);
            }
        }
    }

    fn tasks(&mut self, update: tasks::TaskUpdate, at: TargetTime) {
        self.dropped.0 = self.dropped.0.saturating_add(update.dropped_events);
        for task in update.new_tasks {
            let Some(id) = task.id.as_ref().map(|id| id.id) else {
                self.counts.malformed += 1;
                continue;
            };
            if self.has_room() {
                let facts = self.task_facts(&task);
                self.tasks.announced.insert(id, facts);
            }
        }
        for (id, stats) in update.stats_update {
            let Some(created_at) = wire::time(stats.created_at.as_ref()) else {
                self.counts.malformed += 1;
                continue;
            };
            let stats = self.task_stats(&stats);
            self.task_sample(id, created_at, at, stats);
        }
    }

    fn task_sample(&mut self, id: u64, created_at: TargetTime, at: TargetTime, stats: TaskStats) {
        let announced = self.tasks.announced.remove(&id);
        let site = announced.as_ref().map(|facts| facts.site);
        let site = site.or_else(|| self.tasks.current.get(&id).map(|task| task.site));
        let kind = site.and_then(|site| self.sites.get_index(site.0 as usize)).map(|site| &site.kind);
        let sample = Sample { at, stats: kind.map_or(stats, |kind| stats.corrected(kind)) };
        let known = self.tasks.current.get_mut(&id);
        match (known, announced) {
            (Some(task), facts) if task.created_at == created_at => {
                task.observe(sample);
                if let Some(facts) = facts {
                    task.site = facts.site;
                }
            }
            (known, Some(facts)) => {
                if known.is_some() {
                    self.counts.reused += 1;
                    self.tasks.past.extend(self.tasks.current.remove(&id));
                }
                let TaskFacts { site, task_id, name, size_bytes, original_size_bytes } = facts;
                let task = Task {
                    id: SpanId(id),
                    created_at,
                    site,
                    task_id,
                    name,
                    size_bytes,
                    original_size_bytes,
                    first_at: sample.at,
                    earlier: None,
                    last: sample,
                };
                self.tasks.current.insert(id, task);
                self.counts.orphans.remove(&(0, id));
            }
            (_, None) => drop(self.counts.orphans.insert((0, id))),
        }
    }

    fn task_facts(&mut self, task: &tasks::Task) -> TaskFacts {
        let mut kind = None;
        let mut name = None;
        let mut fn_name = None;
        let mut spawned_at = task.location.as_ref().and_then(spawn_location);
        let mut facts =
            TaskFacts { site: SiteIndex(0), task_id: None, name: None, size_bytes: None, original_size_bytes: None };
        for field in &task.fields {
            match wire::field_name(field, &[]) {
                Some("kind") => kind = wire::text(field).map(wire::kind),
                Some("task.name") => name = wire::text(field),
                Some("fn") => fn_name = wire::text(field),
                Some("task.id") => facts.task_id = wire::unsigned(field),
                Some("size.bytes") => facts.size_bytes = wire::unsigned(field),
                Some("original_size.bytes") => facts.original_size_bytes = wire::unsigned(field),
                // Tokio before 1.13 has one field for the whole location.
                Some("spawn.location") if spawned_at.is_none() => {
                    spawned_at = wire::text(field).and_then(parse_location)
                }
                _ => {}
            }
        }
        let kind = kind.unwrap_or(TaskKind::Other(String::new()));
        if matches!(kind, TaskKind::Other(_)) {
            self.counts.unknown_kind += 1;
        }
        let site = Site {
            location: spawned_at,
            kind,
            fn_name: fn_name.map(ToOwned::to_owned),
            name: name.map(wire::fold_digits),
        };
        facts.site = SiteIndex(intern(&mut self.sites, site));
        facts.name = name.map(|name| intern(&mut self.names, name.to_owned()));
        facts
    }

    fn task_stats(&mut self, stats: &tasks::Stats) -> TaskStats {
        let polls = wire::polls(stats.poll_stats.as_ref());
        self.scheduled_time_seen |= stats.scheduled_time.is_some();
        if wire::is_torn(stats.wakes, stats.self_wakes, stats.waker_clones, stats.waker_drops) {
            self.counts.torn += 1;
        }
        let dropped_at = wire::time(stats.dropped_at.as_ref());
        if dropped_at.is_some() && dropped_at < wire::time(stats.created_at.as_ref()) {
            self.counts.negative += 1;
        }
        TaskStats {
            dropped_at,
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
        }
    }

    fn resources(&mut self, update: resources::ResourceUpdate) {
        self.dropped.1 = self.dropped.1.saturating_add(update.dropped_events);
        for new in update.new_resources {
            let Some(id) = new.id.as_ref().map(|id| id.id) else {
                self.counts.malformed += 1;
                continue;
            };
            if self.has_room() {
                self.resources.announced.insert(id, resource_facts(&new, id));
            }
        }
        for (id, stats) in update.stats_update {
            let Some(created_at) = wire::time(stats.created_at.as_ref()) else {
                self.counts.malformed += 1;
                continue;
            };
            let announced = self.resources.announced.remove(&id);
            let known = self.resources.current.get_mut(&id);
            let is_same = known.as_ref().is_some_and(|known| known.created_at == created_at);
            let fill = |resource: &mut Resource| {
                resource.created_at = created_at;
                resource.dropped_at = wire::time(stats.dropped_at.as_ref());
                resource.attributes = wire::attributes(&stats.attributes);
            };
            match (known, announced) {
                (Some(known), _) if is_same => fill(known),
                (known, Some(mut new)) => {
                    self.counts.reused += u64::from(known.is_some());
                    fill(&mut new);
                    self.resources.past.extend(self.resources.current.insert(id, new));
                }
                (_, None) => drop(self.counts.orphans.insert((1, id))),
            }
        }
    }

    fn async_ops(&mut self, update: async_ops::AsyncOpUpdate) {
        self.dropped.2 = self.dropped.2.saturating_add(update.dropped_events);
        for new in update.new_async_ops {
            let Some(id) = new.id.as_ref().map(|id| id.id) else {
                self.counts.malformed += 1;
                continue;
            };
            if self.has_room() {
                self.async_ops.announced.insert(id, op_facts(&new, id));
            }
        }
        for (id, stats) in update.stats_update {
            let Some(created_at) = wire::time(stats.created_at.as_ref()) else {
                self.counts.malformed += 1;
                continue;
            };
            let announced = self.async_ops.announced.remove(&id);
            let known = self.async_ops.current.get_mut(&id);
            let is_same = known.as_ref().is_some_and(|known| known.created_at == created_at);
            let polls = wire::polls(stats.poll_stats.as_ref());
            let fill = |op: &mut AsyncOp| {
                op.created_at = created_at;
                op.dropped_at = wire::time(stats.dropped_at.as_ref());
                op.task = stats.task_id.as_ref().map(|task| SpanId(task.id));
                op.polls = polls.polls;
                op.last_poll_started = polls.started;
                op.last_poll_ended = polls.ended;
                op.attributes = wire::attributes(&stats.attributes);
            };
            match (known, announced) {
                (Some(known), _) if is_same => fill(known),
                (known, Some(mut new)) => {
                    self.counts.reused += u64::from(known.is_some());
                    fill(&mut new);
                    self.async_ops.past.extend(self.async_ops.current.insert(id, new));
                }
                (_, None) => drop(self.counts.orphans.insert((2, id))),
            }
        }
    }

    /// Ends the fold. Tasks whose statistics an update did not repeat have not changed, so their last sample
    /// holds until the end of the window.
    #[must_use]
    pub fn finish(mut self, observation: &Observation) -> Snapshot {
        let anomalies = self.anomalies(observation);
        self.intervals.sort();
        self.window.publish_interval = self.intervals.get(self.intervals.len() / 2).copied();
        let vintage = self.vintage(observation);
        let end = self.window.last;
        let mut tasks: Vec<Task> = self.tasks.into_all().collect();
        for task in &mut tasks {
            task.last.at = end.unwrap_or(task.last.at);
        }
        tasks.sort_by_key(|task| (task.created_at, task.id));
        let mut resources: Vec<_> = self.resources.into_all().collect();
        resources.sort_by_key(|resource| (resource.created_at, resource.id));
        let mut async_ops: Vec<_> = self.async_ops.into_all().collect();
        async_ops.sort_by_key(|op| (op.created_at, op.id));
        let mut snapshot = Snapshot {
            window: self.window,
            vintage,
            tokio_version: self.tokio_version,
            sites: self.sites.into_iter().collect(),
            names: self.names.into_iter().collect(),
            tasks,
            resources,
            async_ops,
            details: self.details,
            workers: None,
            spawn_rate: None,
            anomalies,
        };
        snapshot.workers = snapshot.visible_workers();
        snapshot.spawn_rate = snapshot.measured_spawn_rate(Duration::ZERO);
        snapshot
    }

    fn vintage(&self, observation: &Observation) -> Option<Vintage> {
        match observation.serves_state {
            Some(true) => Some(Vintage::Since05),
            Some(false) if self.legacy_histograms => Some(Vintage::UpTo015),
            Some(false) if !self.tasks.current.is_empty() && !self.scheduled_time_seen => Some(Vintage::UpTo018),
            Some(false) => Some(Vintage::Before05),
            None => None,
        }
    }

    fn anomalies(&self, observation: &Observation) -> Vec<Anomaly> {
        let mut found = Vec::new();
        let orphans = self.counts.orphans.len() as u64;
        if !self.first_has_metadata && self.window.updates > 0 {
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
        if self.window.updates < 2 {
            found.push(Anomaly::SingleSample);
        }
        if self.tasks.current.is_empty() {
            found.push(Anomaly::NoTasks);
        }
        let (tasks, resources, async_ops) = self.dropped;
        if tasks + resources + async_ops > 0 {
            found.push(Anomaly::DroppedEvents { tasks, resources, async_ops });
        }
        if self.paused {
            found.push(Anomaly::Paused);
        }
        if let Some(offset_ms) = self.clock_offset_ms.filter(|offset| offset.abs() > NOTABLE_CLOCK_OFFSET_MS) {
            found.push(Anomaly::ClockOffset { offset_ms });
        }
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

fn spawn_location(from: &console_api::Location) -> Option<SpawnLocation> {
    let file = from.file.as_deref()?;
    Some(location::normalize(file, from.line.unwrap_or(0), from.column.unwrap_or(0)))
}

/// `file:line:column` in one text.
fn parse_location(text: &str) -> Option<SpawnLocation> {
    let mut parts = text.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some(location::normalize(parts.next()?, line, column))
}

fn resource_facts(new: &resources::Resource, id: u64) -> Resource {
    use resources::resource::kind::Kind;
    let kind = match new.kind.as_ref().and_then(|kind| kind.kind.as_ref()) {
        Some(Kind::Known(_)) => "Timer".to_owned(),
        Some(Kind::Other(kind)) => kind.clone(),
        None => String::new(),
    };
    Resource {
        id: SpanId(id),
        created_at: TargetTime::from_nanos(0),
        dropped_at: None,
        parent: new.parent_resource_id.as_ref().map(|parent| SpanId(parent.id)),
        concrete_type: new.concrete_type.clone(),
        kind,
        location: new.location.as_ref().and_then(spawn_location),
        is_internal: new.is_internal,
        attributes: Vec::new(),
    }
}

fn op_facts(new: &async_ops::AsyncOp, id: u64) -> AsyncOp {
    AsyncOp {
        id: SpanId(id),
        created_at: TargetTime::from_nanos(0),
        dropped_at: None,
        source: new.source.clone(),
        resource: new.resource_id.as_ref().map(|resource| SpanId(resource.id)),
        task: None,
        parent: new.parent_async_op_id.as_ref().map(|parent| SpanId(parent.id)),
        polls: 0,
        last_poll_started: None,
        last_poll_ended: None,
        attributes: Vec::new(),
    }
}
