//! What whoever is still collecting must know of the updates that came so far.

use std::collections::HashSet;
use std::time::Duration;

use console_api::instrument::{State, Temporality};
use prost::Message;

use super::lag::Lag;
use super::message::{AsyncOp, Entry, Part, Resource, Stats, Task, TaskStats, Update, map_entry};
use super::suspects::Suspects;
use super::{Malformed, wire};
use crate::model::{SpanId, TargetTime};

/// Reads a target's updates as they come, without keeping them: a few dozen bytes a task stay.
#[derive(Debug)]
pub struct Glance {
    lag: Lag,
    suspects: Suspects,
    entities: usize,
    first_now: Option<TargetTime>,
    last_now: Option<TargetTime>,
    tick: Duration,
}

impl Glance {
    /// Nothing seen yet; at most `suspects` tasks will be named.
    #[must_use]
    pub fn new(suspects: usize) -> Self {
        Self {
            lag: Lag::default(),
            suspects: Suspects::new(suspects),
            entities: 0,
            first_now: None,
            last_now: None,
            tick: Duration::ZERO,
        }
    }

    /// Looks at one `Update` message.
    ///
    /// # Errors
    /// When the bytes are no such message.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let update = Update::read(bytes)?;
        let now = wire::time(update.now.as_ref());
        self.first_now = self.first_now.or(now);
        self.tick = now.zip(self.last_now).map_or(Duration::ZERO, |(now, last)| now.since(last));
        self.last_now = self.last_now.max(now);
        self.lag.begin(now);
        self.tasks(&update);
        self.others(Part::Resources, &update.resources);
        self.others(Part::AsyncOps, &update.async_ops);
        self.lag.end();
        Ok(())
    }

    fn tasks(&mut self, update: &Update<'_>) {
        let mut task = Task::default();
        let mut announced = HashSet::new();
        let entries = || Part::Tasks.entries(&update.tasks).filter_map(Result::ok);
        for entry in entries() {
            if let Entry::New(bytes) = entry {
                self.entities = self.entities.saturating_add(1);
                if task.read(bytes).is_ok() {
                    announced.extend(task.id);
                    self.suspects.announced(&task);
                }
            }
        }
        for entry in entries() {
            let Entry::Stats(bytes) = entry else { continue };
            let Ok((id, stats)) = map_entry(bytes, |stats: &mut TaskStats, bytes| stats.merge(bytes)) else { continue };
            if let Some(created_at) = wire::time(stats.created_at.as_ref()) {
                // Statistics of who was never announced tell nothing about the queue.
                if announced.contains(&id) {
                    self.lag.created(created_at);
                }
                self.suspects.learn(id, created_at, &stats);
            }
        }
        self.suspects.update_over();
    }

    fn others(&mut self, part: Part, pieces: &[&[u8]]) {
        let entries = || part.entries(pieces).filter_map(Result::ok);
        let mut announced = HashSet::new();
        for entry in entries() {
            match entry {
                Entry::New(bytes) => {
                    self.entities = self.entities.saturating_add(1);
                    let id = match part {
                        Part::Resources => Resource::read(bytes).map(|new| new.id),
                        _ => AsyncOp::read(bytes).map(|new| new.id),
                    };
                    announced.extend(id.ok().flatten());
                }
                Entry::PollOp(_) => self.lag.poll(),
                Entry::Stats(_) | Entry::Dropped(_) => {}
            }
        }
        for entry in entries().filter(|_| !announced.is_empty()) {
            let Entry::Stats(bytes) = entry else { continue };
            let read = map_entry(bytes, |stats: &mut Stats<'_>, bytes| stats.merge(bytes, part)).ok();
            let created = read.filter(|(id, _)| announced.contains(id)).and_then(|(_, stats)| stats.created_at);
            if let Some(created_at) = wire::time(created.as_ref()) {
                self.lag.created(created_at);
            }
        }
    }

    /// How much of the target's time has been seen.
    #[must_use]
    pub fn seen(&self) -> Duration {
        self.last_now.zip(self.first_now).map_or(Duration::ZERO, |(last, first)| last.since(first))
    }

    /// The target's time between the last two updates.
    #[must_use]
    pub fn tick(&self) -> Duration {
        self.tick
    }

    /// Age of the youngest entity that the last update announced, where younger ones are waiting to be taken in.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        self.lag.now()
    }

    /// Tasks, resources and async ops announced so far, those that were repeated included.
    #[must_use]
    pub fn entities(&self) -> usize {
        self.entities
    }

    /// The tasks that are worth a closer look.
    #[must_use]
    pub fn suspects(&self) -> Vec<SpanId> {
        self.last_now.map(|now| self.suspects.choose(now)).unwrap_or_default()
    }
}

/// Whether a `State` message says that somebody paused the console.
#[must_use]
pub fn is_paused(bytes: &[u8]) -> bool {
    State::decode(bytes).is_ok_and(|state| state.temporality() == Temporality::Paused)
}
