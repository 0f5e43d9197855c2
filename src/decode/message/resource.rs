//! Resources and async ops, whose statistics are alike.

use prost_types::Timestamp;

use super::super::Malformed;
use super::Part;
use super::pieces::{Field, Location, PollStats, each, id, location, poll_stats, timestamp};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::decode) struct Resource<'a> {
    pub id: Option<u64>,
    pub concrete_type: &'a str,
    /// What the target calls it; timers have a number instead.
    pub kind: Option<Result<&'a str, u32>>,
    pub location: Option<Location<'a>>,
    pub parent: Option<u64>,
    pub is_internal: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::decode) struct AsyncOp<'a> {
    pub id: Option<u64>,
    pub source: &'a str,
    pub parent: Option<u64>,
    pub resource: Option<u64>,
}

/// Statistics of a resource or an async op.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::decode) struct Stats<'a> {
    pub created_at: Option<Timestamp>,
    pub dropped_at: Option<Timestamp>,
    pub task: Option<u64>,
    pub poll_stats: Option<PollStats>,
    pub attributes: Vec<Attribute<'a>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::decode) struct Attribute<'a> {
    pub field: Option<Field<'a>>,
    pub unit: Option<&'a str>,
}

impl<'a> Resource<'a> {
    pub(in crate::decode) fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut resource = Self::default();
        each(message, |tag, value| {
            match tag {
                1 => id(&mut resource.id, value)?,
                3 => resource.concrete_type = value.text()?,
                4 => each(value.bytes()?, |tag, value| {
                    match tag {
                        1 => resource.kind = Some(Err(value.short()?)),
                        2 => resource.kind = Some(Ok(value.text()?)),
                        _ => {}
                    }
                    Ok(())
                })?,
                5 => location(&mut resource.location, value)?,
                6 => id(&mut resource.parent, value)?,
                7 => resource.is_internal = value.number()? != 0,
                _ => {}
            }
            Ok(())
        })?;
        Ok(resource)
    }
}

impl<'a> AsyncOp<'a> {
    pub(in crate::decode) fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut op = Self::default();
        each(message, |tag, value| {
            match tag {
                1 => id(&mut op.id, value)?,
                3 => op.source = value.text()?,
                4 => id(&mut op.parent, value)?,
                5 => id(&mut op.resource, value)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(op)
    }
}

impl<'a> Stats<'a> {
    pub(in crate::decode) fn merge(&mut self, message: &'a [u8], part: Part) -> Result<(), Malformed> {
        each(message, |tag, value| match (part, tag) {
            (_, 1) => timestamp(&mut self.created_at, value),
            (_, 2) => timestamp(&mut self.dropped_at, value),
            (Part::AsyncOps, 4) => id(&mut self.task, value),
            (Part::AsyncOps, 5) => poll_stats(&mut self.poll_stats, value),
            (Part::AsyncOps, 6) | (Part::Resources, 3) => {
                self.attributes.push(Attribute::read(value.bytes()?)?);
                Ok(())
            }
            _ => Ok(()),
        })
    }
}

impl<'a> Attribute<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut attribute = Self::default();
        each(message, |tag, value| {
            match tag {
                1 => attribute.field.get_or_insert_default().merge(value.bytes()?)?,
                2 => attribute.unit = Some(value.text()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(attribute)
    }
}
