//! The console's messages as they stand in the bytes, without copies. Field numbers are those of the `console-api` crate's
//! `.proto` files; a field that comes twice is merged as protobuf prescribes.

mod pieces;
mod resource;
mod task;
#[cfg(test)]
mod tests;

use prost_types::Timestamp;

pub(super) use pieces::{Field, Location, Name, PollStats, Value};
pub(super) use resource::{AsyncOp, Attribute, Resource, Stats};
pub(super) use task::{Task, TaskStats};

use super::Malformed;
use super::proto::{Fields, Wire};
use pieces::{each, id, timestamp};

/// One `instrument.Update`. Its parts may come in pieces, which together are the part.
#[derive(Debug, Default)]
pub(super) struct Update<'a> {
    pub now: Option<Timestamp>,
    pub tasks: Vec<&'a [u8]>,
    pub resources: Vec<&'a [u8]>,
    pub async_ops: Vec<&'a [u8]>,
    pub metadata: Vec<&'a [u8]>,
}

/// What stands in a part of an update.
#[derive(Clone, Copy)]
pub(super) enum Entry<'a> {
    /// A new task, resource or async op.
    New(&'a [u8]),
    /// An entry of the map from ids to statistics.
    Stats(&'a [u8]),
    /// A poll of an async op.
    PollOp(&'a [u8]),
    /// Events that the target lost.
    Dropped(u64),
}

/// The three parts of an update, which number their entries differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Tasks,
    Resources,
    AsyncOps,
}

impl<'a> Update<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut update = Self::default();
        each(message, |tag, value| {
            match tag {
                1 => timestamp(&mut update.now, value)?,
                2 => update.tasks.push(value.bytes()?),
                3 => update.resources.push(value.bytes()?),
                4 => update.async_ops.push(value.bytes()?),
                5 => update.metadata.push(value.bytes()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(update)
    }
}

impl Part {
    /// The entries of a part, and an error where it cannot be read further.
    pub(super) fn entries<'a>(self, pieces: &[&'a [u8]]) -> impl Iterator<Item = Result<Entry<'a>, Malformed>> {
        let fields = pieces.iter().flat_map(|piece| Fields::of(piece));
        fields.filter_map(move |field| field.and_then(|(tag, value)| self.entry(tag, value)).transpose())
    }

    fn entry<'a>(self, tag: u32, value: Wire<'a>) -> Result<Option<Entry<'a>>, Malformed> {
        Ok(Some(match (self, tag) {
            (_, 1) => Entry::New(value.bytes()?),
            (Self::Tasks, 3) | (Self::Resources | Self::AsyncOps, 2) => Entry::Stats(value.bytes()?),
            (Self::Resources, 3) => Entry::PollOp(value.bytes()?),
            (Self::Tasks | Self::Resources, 4) | (Self::AsyncOps, 3) => Entry::Dropped(value.number()?),
            _ => return Ok(None),
        }))
    }
}

/// The id in an announcement of any part, whose other fields are skipped.
pub(super) fn announced_id(message: &[u8]) -> Option<u64> {
    let mut found = None;
    each(message, |tag, value| if tag == 1 { id(&mut found, value) } else { Ok(()) }).ok()?;
    found
}

/// An entry of a map from ids to statistics.
pub(super) fn map_entry<'a, T: Default>(
    entry: &'a [u8],
    merge: impl Fn(&mut T, &'a [u8]) -> Result<(), Malformed>,
) -> Result<(u64, T), Malformed> {
    let (mut key, mut stats) = (0, T::default());
    each(entry, |tag, value| {
        match tag {
            1 => key = value.number()?,
            2 => merge(&mut stats, value.bytes()?)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((key, stats))
}
