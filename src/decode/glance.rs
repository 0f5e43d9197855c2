//! A look at one update without folding it, for whoever is still collecting.

use std::time::Duration;

use console_api::instrument::{State, Temporality, Update};
use prost::Message;

use super::{Malformed, wire};
use crate::model::TargetTime;

/// What one update tells at first sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// The target's clock.
    pub now: Option<TargetTime>,
    /// Call sites came with it: a first message with them is a full state.
    pub has_metadata: bool,
    /// Creation events that the console took in for it: tasks, resources, async ops, their polls, call sites.
    pub events: usize,
    /// Age of the youngest task that it announces.
    pub youngest_task: Option<Duration>,
}

/// Looks at one `Update` message.
///
/// # Errors
/// When the bytes are no such message.
pub fn glance(bytes: &[u8]) -> Result<Glance, Malformed> {
    Ok(Glance::of(&Update::decode(bytes)?))
}

/// Whether a `State` message says that somebody paused the console.
#[must_use]
pub fn is_paused(bytes: &[u8]) -> bool {
    State::decode(bytes).is_ok_and(|state| state.temporality() == Temporality::Paused)
}

impl Glance {
    pub(super) fn of(update: &Update) -> Self {
        let now = wire::time(update.now.as_ref());
        let metadata = update.new_metadata.as_ref().map_or(0, |new| new.metadata.len());
        let mut glance = Self { now, has_metadata: metadata > 0, events: metadata, youngest_task: None };
        if let Some(tasks) = &update.task_update {
            glance.events += tasks.new_tasks.len();
            let created = tasks.new_tasks.iter().filter_map(|task| {
                let stats = tasks.stats_update.get(&task.id.as_ref()?.id)?;
                wire::time(stats.created_at.as_ref())
            });
            glance.youngest_task = created.max().zip(now).map(|(created, now)| now.since(created));
        }
        if let Some(resources) = &update.resource_update {
            glance.events += resources.new_resources.len() + resources.new_poll_ops.len();
        }
        if let Some(ops) = &update.async_op_update {
            glance.events += ops.new_async_ops.len();
        }
        glance
    }
}
