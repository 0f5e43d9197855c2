//! What tasks, resources and async ops have in common.

use prost_types::{Duration, Timestamp};

use super::super::Malformed;
use super::super::proto::{Fields, Wire};

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::decode) struct PollStats {
    pub polls: u64,
    pub first_poll: Option<Timestamp>,
    pub last_poll_started: Option<Timestamp>,
    pub last_poll_ended: Option<Timestamp>,
    pub busy_time: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::decode) enum Name<'a> {
    Text(&'a str),
    Index(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::decode) enum Value<'a> {
    Text(&'a str),
    Unsigned(u64),
    Signed(i64),
    Bool(bool),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::decode) struct Field<'a> {
    pub name: Option<Name<'a>>,
    pub value: Option<Value<'a>>,
    pub metadata: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::decode) struct Location<'a> {
    pub file: Option<&'a str>,
    pub line: Option<u32>,
    pub column: Option<u32>,
}

/// Calls `each` with every field of a message.
pub(super) fn each<'a>(
    message: &'a [u8],
    mut each: impl FnMut(u32, Wire<'a>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    Fields::of(message).try_for_each(|field| field.and_then(|(tag, value)| each(tag, value)))
}

/// The two numbers that timestamps and durations consist of.
#[expect(clippy::cast_possible_wrap, reason = "protobuf sends negative numbers as large ones")]
fn seconds_and_nanos(seconds: &mut i64, nanos: &mut i32, value: Wire<'_>) -> Result<(), Malformed> {
    each(value.bytes()?, |tag, value| {
        match tag {
            1 => *seconds = value.number()? as i64,
            2 => *nanos = value.short()? as i32,
            _ => {}
        }
        Ok(())
    })
}

pub(super) fn timestamp(into: &mut Option<Timestamp>, value: Wire<'_>) -> Result<(), Malformed> {
    let into = into.get_or_insert_default();
    seconds_and_nanos(&mut into.seconds, &mut into.nanos, value)
}

pub(super) fn duration(into: &mut Option<Duration>, value: Wire<'_>) -> Result<(), Malformed> {
    let into = into.get_or_insert_default();
    seconds_and_nanos(&mut into.seconds, &mut into.nanos, value)
}

/// An `Id`, `MetaId` or `SpanId`.
pub(super) fn id(into: &mut Option<u64>, value: Wire<'_>) -> Result<(), Malformed> {
    let into = into.get_or_insert_default();
    each(value.bytes()?, |tag, value| {
        if tag == 1 {
            *into = value.number()?;
        }
        Ok(())
    })
}

pub(super) fn poll_stats(into: &mut Option<PollStats>, value: Wire<'_>) -> Result<(), Malformed> {
    let into = into.get_or_insert_default();
    each(value.bytes()?, |tag, value| match tag {
        1 => value.number().map(|polls| into.polls = polls),
        3 => timestamp(&mut into.first_poll, value),
        4 => timestamp(&mut into.last_poll_started, value),
        5 => timestamp(&mut into.last_poll_ended, value),
        6 => duration(&mut into.busy_time, value),
        _ => Ok(()),
    })
}

pub(super) fn location<'a>(into: &mut Option<Location<'a>>, value: Wire<'a>) -> Result<(), Malformed> {
    let into = into.get_or_insert_default();
    each(value.bytes()?, |tag, value| {
        match tag {
            1 => into.file = Some(value.text()?),
            3 => into.line = Some(value.short()?),
            4 => into.column = Some(value.short()?),
            _ => {}
        }
        Ok(())
    })
}

impl<'a> Field<'a> {
    pub(super) fn merge(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        each(message, |tag, value| {
            match tag {
                1 => self.name = Some(Name::Text(value.text()?)),
                2 => self.name = Some(Name::Index(value.number()?)),
                3 | 4 => self.value = Some(Value::Text(value.text()?)),
                5 => self.value = Some(Value::Unsigned(value.number()?)),
                6 => self.value = Some(Value::Signed(zigzag(value.number()?))),
                7 => self.value = Some(Value::Bool(value.number()? != 0)),
                8 => id(&mut self.metadata, value)?,
                _ => {}
            }
            Ok(())
        })
    }
}

#[expect(clippy::cast_possible_wrap, reason = "as protobuf prescribes")]
fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
