//! What announcements and statistics do to the entities that they are of.

use super::entities::Whose;
use super::message::{self, Part};
use super::{Decoder, value, wire};
use crate::model::{Sample, SpanId, TargetTime, Task, TaskStats};

impl Decoder {
    /// Takes in an announcement. False when it does not say of whom.
    pub(super) fn new_task(&mut self, new: &message::Task<'_>) -> bool {
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
            size: facts.size,
            first_at: unknown,
            earlier: None,
            last: Sample { at: unknown, stats: TaskStats::default() },
        };
        self.counts.full |= !self.tasks.announce(id, task, has_room);
        true
    }

    pub(super) fn new_resource(&mut self, new: message::Resource<'_>) -> bool {
        let Some(id) = new.id else { return false };
        let has_room = self.has_room();
        let resource = new.into_model(SpanId(id), &mut self.words);
        self.counts.full |= !self.resources.announce(id, resource, has_room);
        true
    }

    pub(super) fn new_async_op(&mut self, new: message::AsyncOp<'_>) -> bool {
        let Some(id) = new.id else { return false };
        let has_room = self.has_room();
        let op = new.into_model(SpanId(id), &mut self.words);
        self.counts.full |= !self.async_ops.announce(id, op, has_room);
        true
    }

    /// Takes in statistics. False when they do not say when their entity was created.
    pub(super) fn task_stats(&mut self, id: u64, stats: &message::TaskStats, at: TargetTime) -> bool {
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

    pub(super) fn other_stats(&mut self, part: Part, id: u64, stats: &message::Stats<'_>) -> bool {
        let Some(created_at) = wire::time(stats.created_at.as_ref()) else { return false };
        let dropped_at = wire::time(stats.dropped_at.as_ref());
        self.counts.negative += u64::from(dropped_at.is_some() && dropped_at < Some(created_at));
        let attributes = value::attributes(&stats.attributes, &self.field_names, &mut self.words);
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
