//! Tasks and their statistics.

use prost_types::{Duration, Timestamp};

use super::super::Malformed;
use super::pieces::{Field, Location, PollStats, duration, each, id, location, poll_stats, timestamp};

#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::decode) struct Task<'a> {
    pub id: Option<u64>,
    pub metadata: Option<u64>,
    pub fields: Vec<Field<'a>>,
    pub location: Option<Location<'a>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::decode) struct TaskStats {
    pub created_at: Option<Timestamp>,
    pub dropped_at: Option<Timestamp>,
    pub wakes: u64,
    pub waker_clones: u64,
    pub waker_drops: u64,
    pub last_wake: Option<Timestamp>,
    pub poll_stats: Option<PollStats>,
    pub self_wakes: u64,
    pub scheduled_time: Option<Duration>,
}

impl<'a> Task<'a> {
    /// Reads a task into `self`, which keeps its room for fields from task to task.
    pub(in crate::decode) fn read(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        self.fields.clear();
        (self.id, self.metadata, self.location) = (None, None, None);
        each(message, |tag, value| {
            match tag {
                1 => id(&mut self.id, value)?,
                2 => id(&mut self.metadata, value)?,
                4 => {
                    let mut field = Field::default();
                    field.merge(value.bytes()?)?;
                    self.fields.push(field);
                }
                6 => location(&mut self.location, value)?,
                _ => {}
            }
            Ok(())
        })
    }
}

impl TaskStats {
    pub(in crate::decode) fn merge(&mut self, message: &[u8]) -> Result<(), Malformed> {
        each(message, |tag, value| match tag {
            1 => timestamp(&mut self.created_at, value),
            2 => timestamp(&mut self.dropped_at, value),
            3 => value.number().map(|wakes| self.wakes = wakes),
            4 => value.number().map(|clones| self.waker_clones = clones),
            5 => value.number().map(|drops| self.waker_drops = drops),
            6 => timestamp(&mut self.last_wake, value),
            7 => poll_stats(&mut self.poll_stats, value),
            8 => value.number().map(|wakes| self.self_wakes = wakes),
            9 => duration(&mut self.scheduled_time, value),
            _ => Ok(()),
        })
    }
}
