//! Polls of resources, of which only their age is of use: consoles before 0.3 pile them up while nobody watches.

use std::collections::HashSet;
use std::time::Duration;

use console_api::resources::PollOp;
use prost::Message;

use super::message::{Entry, Part, Stats, Update, map_entry};
use super::wire;
use crate::model::TargetTime;

/// How long before `now` the oldest async op had ended of which a poll comes with this update.
pub(super) fn oldest(update: &Update<'_>, now: TargetTime) -> Option<Duration> {
    let polls = Part::Resources.entries(&update.resources).filter_map(|entry| match entry {
        Ok(Entry::PollOp(bytes)) => PollOp::decode(bytes).ok()?.async_op_id,
        _ => None,
    });
    let polled: HashSet<u64> = polls.map(|id| id.id).collect();
    if polled.is_empty() {
        return None;
    }
    let ended = Part::AsyncOps.entries(&update.async_ops).filter_map(|entry| {
        let Ok(Entry::Stats(bytes)) = entry else { return None };
        let read = map_entry(bytes, |stats: &mut Stats<'_>, bytes| stats.merge(bytes, Part::AsyncOps));
        let (id, stats) = read.ok()?;
        wire::time(stats.dropped_at.as_ref()).filter(|_| polled.contains(&id))
    });
    ended.min().map(|ended| now.since(ended))
}
