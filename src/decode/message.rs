//! The console's messages as they stand in the bytes, without copies. Field numbers are those of the `console-api` crate's
//! `.proto` files; a field that comes twice is merged as protobuf prescribes.

use prost_types::{Duration, Timestamp};

use super::Malformed;
use super::proto::{Fields, Wire};

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

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct PollStats {
    pub polls: u64,
    pub first_poll: Option<Timestamp>,
    pub last_poll_started: Option<Timestamp>,
    pub last_poll_ended: Option<Timestamp>,
    pub busy_time: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct TaskStats {
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

/// Statistics of a resource or an async op.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stats<'a> {
    pub created_at: Option<Timestamp>,
    pub dropped_at: Option<Timestamp>,
    pub task: Option<u64>,
    pub poll_stats: Option<PollStats>,
    pub attributes: Vec<Attribute<'a>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Attribute<'a> {
    pub field: Option<Field<'a>>,
    pub unit: Option<&'a str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Name<'a> {
    Text(&'a str),
    Index(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Unsigned(u64),
    Signed(i64),
    Bool(bool),
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Field<'a> {
    pub name: Option<Name<'a>>,
    pub value: Option<Value<'a>>,
    pub metadata: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Location<'a> {
    pub file: Option<&'a str>,
    pub line: Option<u32>,
    pub column: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Task<'a> {
    pub id: Option<u64>,
    pub metadata: Option<u64>,
    pub fields: Vec<Field<'a>>,
    pub location: Option<Location<'a>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Resource<'a> {
    pub id: Option<u64>,
    pub concrete_type: &'a str,
    /// What the target calls it; timers have a number instead.
    pub kind: Option<Result<&'a str, u32>>,
    pub location: Option<Location<'a>>,
    pub parent: Option<u64>,
    pub is_internal: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct AsyncOp<'a> {
    pub id: Option<u64>,
    pub source: &'a str,
    pub parent: Option<u64>,
    pub resource: Option<u64>,
}

/// Calls `each` with every field of a message.
fn each<'a>(message: &'a [u8], mut each: impl FnMut(u32, Wire<'a>) -> Result<(), Malformed>) -> Result<(), Malformed> {
    Fields::of(message).try_for_each(|field| field.and_then(|(tag, value)| each(tag, value)))
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

/// An entry of a map from ids to statistics.
pub(super) fn map_entry<'a, T: Default>(
    entry: &'a [u8],
    merge: impl Fn(&mut T, &'a [u8]) -> Result<(), Malformed>,
) -> Result<(u64, T), Malformed> {
    let (mut id, mut stats) = (0, T::default());
    each(entry, |tag, value| {
        match tag {
            1 => id = value.number()?,
            2 => merge(&mut stats, value.bytes()?)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((id, stats))
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

fn timestamp(into: &mut Option<Timestamp>, value: Wire<'_>) -> Result<(), Malformed> {
    let into = into.get_or_insert_default();
    seconds_and_nanos(&mut into.seconds, &mut into.nanos, value)
}

fn duration(into: &mut Option<Duration>, value: Wire<'_>) -> Result<(), Malformed> {
    let into = into.get_or_insert_default();
    seconds_and_nanos(&mut into.seconds, &mut into.nanos, value)
}

/// An `Id`, `MetaId` or `SpanId`.
fn id(into: &mut Option<u64>, value: Wire<'_>) -> Result<(), Malformed> {
    let into = into.get_or_insert_default();
    each(value.bytes()?, |tag, value| {
        if tag == 1 {
            *into = value.number()?;
        }
        Ok(())
    })
}

fn poll_stats(into: &mut Option<PollStats>, value: Wire<'_>) -> Result<(), Malformed> {
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

fn location<'a>(into: &mut Option<Location<'a>>, value: Wire<'a>) -> Result<(), Malformed> {
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

impl TaskStats {
    pub(super) fn merge(&mut self, message: &[u8]) -> Result<(), Malformed> {
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

impl<'a> Stats<'a> {
    pub(super) fn merge(&mut self, message: &'a [u8], part: Part) -> Result<(), Malformed> {
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

impl<'a> Field<'a> {
    fn merge(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
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

impl<'a> Task<'a> {
    /// Reads a task into `self`, which keeps its room for fields from task to task.
    pub(super) fn read(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
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

impl<'a> Resource<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Malformed> {
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
    pub(super) fn read(message: &'a [u8]) -> Result<Self, Malformed> {
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use console_api::{async_ops, field, instrument, resources, tasks};
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    // What prost has decoded, in the terms of this file.

    fn field_of(of: &console_api::Field) -> Field<'_> {
        let name = of.name.as_ref().map(|name| match name {
            field::Name::StrName(name) => Name::Text(name),
            field::Name::NameIdx(index) => Name::Index(*index),
        });
        let value = of.value.as_ref().map(|value| match value {
            field::Value::DebugVal(text) | field::Value::StrVal(text) => Value::Text(text),
            field::Value::U64Val(value) => Value::Unsigned(*value),
            field::Value::I64Val(value) => Value::Signed(*value),
            field::Value::BoolVal(value) => Value::Bool(*value),
        });
        Field { name, value, metadata: of.metadata_id.map(|id| id.id) }
    }

    fn location_of(of: &console_api::Location) -> Location<'_> {
        Location { file: of.file.as_deref(), line: of.line, column: of.column }
    }

    fn task_of(of: &tasks::Task) -> Task<'_> {
        Task {
            id: of.id.map(|id| id.id),
            metadata: of.metadata.map(|id| id.id),
            fields: of.fields.iter().map(field_of).collect(),
            location: of.location.as_ref().map(location_of),
        }
    }

    fn polls_of(of: &console_api::PollStats) -> PollStats {
        let console_api::PollStats { polls, first_poll, last_poll_started, last_poll_ended, busy_time } = *of;
        PollStats { polls, first_poll, last_poll_started, last_poll_ended, busy_time }
    }

    fn task_stats_of(of: &tasks::Stats) -> TaskStats {
        TaskStats {
            created_at: of.created_at,
            dropped_at: of.dropped_at,
            wakes: of.wakes,
            waker_clones: of.waker_clones,
            waker_drops: of.waker_drops,
            last_wake: of.last_wake,
            poll_stats: of.poll_stats.as_ref().map(polls_of),
            self_wakes: of.self_wakes,
            scheduled_time: of.scheduled_time,
        }
    }

    fn attributes_of(of: &[console_api::Attribute]) -> Vec<Attribute<'_>> {
        of.iter().map(|of| Attribute { field: of.field.as_ref().map(field_of), unit: of.unit.as_deref() }).collect()
    }

    fn resource_of(of: &resources::Resource) -> Resource<'_> {
        use resources::resource::kind::Kind;
        let kind = of.kind.as_ref().and_then(|kind| kind.kind.as_ref()).map(|kind| match kind {
            Kind::Known(known) => Err(*known as u32),
            Kind::Other(other) => Ok(other.as_str()),
        });
        Resource {
            id: of.id.map(|id| id.id),
            concrete_type: &of.concrete_type,
            kind,
            location: of.location.as_ref().map(location_of),
            parent: of.parent_resource_id.map(|id| id.id),
            is_internal: of.is_internal,
        }
    }

    fn op_of(of: &async_ops::AsyncOp) -> AsyncOp<'_> {
        AsyncOp {
            id: of.id.map(|id| id.id),
            source: &of.source,
            parent: of.parent_async_op_id.map(|id| id.id),
            resource: of.resource_id.map(|id| id.id),
        }
    }

    fn of_part<'a>(part: Part, pieces: &[&'a [u8]]) -> (Vec<&'a [u8]>, Vec<&'a [u8]>, u64) {
        let (mut new, mut stats, mut dropped) = (Vec::new(), Vec::new(), 0);
        for entry in part.entries(pieces) {
            match entry.unwrap() {
                Entry::New(bytes) => new.push(bytes),
                Entry::Stats(bytes) => stats.push(bytes),
                Entry::Dropped(count) => dropped = count,
                Entry::PollOp(_) => {}
            }
        }
        (new, stats, dropped)
    }

    /// Holds what is read in place against what prost decodes.
    fn check(bytes: &[u8]) {
        let expected = instrument::Update::decode(bytes).unwrap();
        let read = Update::read(bytes).unwrap();
        assert_eq!(read.now, expected.now);

        let (new, stats, dropped) = of_part(Part::Tasks, &read.tasks);
        let part = expected.task_update.unwrap_or_default();
        let mut task = Task::default();
        for (read, expected) in new.iter().zip(&part.new_tasks) {
            task.read(read).unwrap();
            assert_eq!(task, task_of(expected));
        }
        let stats: HashMap<_, _> = stats
            .into_iter()
            .map(|entry| map_entry(entry, |stats: &mut TaskStats, bytes| stats.merge(bytes)).unwrap())
            .collect();
        let expected_stats: HashMap<_, _> =
            part.stats_update.iter().map(|(id, stats)| (*id, task_stats_of(stats))).collect();
        assert_eq!((new.len(), stats, dropped), (part.new_tasks.len(), expected_stats, part.dropped_events));

        let (new, stats, dropped) = of_part(Part::Resources, &read.resources);
        let part = expected.resource_update.unwrap_or_default();
        for (read, expected) in new.iter().zip(&part.new_resources) {
            assert_eq!(Resource::read(read).unwrap(), resource_of(expected));
        }
        assert_eq!((new.len(), dropped), (part.new_resources.len(), part.dropped_events));
        let expected_stats = part.stats_update.iter().map(|(id, of)| {
            let attributes = attributes_of(&of.attributes);
            (*id, Stats { created_at: of.created_at, dropped_at: of.dropped_at, attributes, ..Stats::default() })
        });
        check_stats(Part::Resources, stats, expected_stats.collect());

        let (new, stats, dropped) = of_part(Part::AsyncOps, &read.async_ops);
        let part = expected.async_op_update.unwrap_or_default();
        for (read, expected) in new.iter().zip(&part.new_async_ops) {
            assert_eq!(AsyncOp::read(read).unwrap(), op_of(expected));
        }
        assert_eq!((new.len(), dropped), (part.new_async_ops.len(), part.dropped_events));
        let expected_stats = part.stats_update.iter().map(|(id, of)| {
            let stats = Stats {
                created_at: of.created_at,
                dropped_at: of.dropped_at,
                task: of.task_id.map(|id| id.id),
                poll_stats: of.poll_stats.as_ref().map(polls_of),
                attributes: attributes_of(&of.attributes),
            };
            (*id, stats)
        });
        check_stats(Part::AsyncOps, stats, expected_stats.collect());
    }

    fn check_stats(part: Part, read: Vec<&[u8]>, expected: HashMap<u64, Stats<'_>>) {
        let read: HashMap<_, _> = read
            .into_iter()
            .map(|entry| map_entry(entry, |stats: &mut Stats<'_>, bytes| stats.merge(bytes, part)).unwrap())
            .collect();
        assert_eq!(read, expected);
    }

    fn time() -> impl Strategy<Value = Option<Timestamp>> {
        proptest::option::of((any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }))
    }

    fn id() -> impl Strategy<Value = Option<console_api::Id>> {
        proptest::option::of(any::<u64>().prop_map(|id| console_api::Id { id }))
    }

    prop_compose! {
        fn a_field()(
            name in proptest::option::of(prop_oneof![
                ".{0,6}".prop_map(field::Name::StrName), any::<u64>().prop_map(field::Name::NameIdx),
            ]),
            value in proptest::option::of(prop_oneof![
                ".{0,6}".prop_map(field::Value::DebugVal), ".{0,6}".prop_map(field::Value::StrVal),
                any::<u64>().prop_map(field::Value::U64Val), any::<i64>().prop_map(field::Value::I64Val),
                any::<bool>().prop_map(field::Value::BoolVal),
            ]),
            metadata in proptest::option::of(any::<u64>()),
        ) -> console_api::Field {
            console_api::Field { name, value, metadata_id: metadata.map(|id| console_api::MetaId { id }) }
        }
    }

    prop_compose! {
        fn a_location()(
            file in proptest::option::of(".{0,9}"), module_path in proptest::option::of(".{0,3}"),
            line in proptest::option::of(any::<u32>()), column in proptest::option::of(any::<u32>()),
        ) -> console_api::Location {
            console_api::Location { file, module_path, line, column }
        }
    }

    prop_compose! {
        fn poll_stats()(times in [time(), time(), time()], polls: u64, busy in time()) -> console_api::PollStats {
            let [first_poll, last_poll_started, last_poll_ended] = times;
            let busy_time = busy.map(|Timestamp { seconds, nanos }| Duration { seconds, nanos });
            console_api::PollStats { polls, first_poll, last_poll_started, last_poll_ended, busy_time }
        }
    }

    prop_compose! {
        fn tasks_part()(
            new in proptest::collection::vec(
                (id(), id(), proptest::collection::vec(a_field(), 0..3), proptest::option::of(a_location())), 0..3),
            stats in proptest::collection::hash_map(any::<u64>(),
                ([time(), time(), time(), time()], any::<[u64; 4]>(), proptest::option::of(poll_stats())), 0..3),
            dropped_events: u64,
        ) -> tasks::TaskUpdate {
            let new = new.into_iter().map(|(id, metadata, fields, location)| tasks::Task {
                id, metadata: metadata.map(|id| console_api::MetaId { id: id.id }), fields, location,
                ..Default::default()
            });
            let stats = stats.into_iter().map(|(id, (times, counts, poll_stats))| {
                let [created_at, dropped_at, last_wake, scheduled] = times;
                let [wakes, waker_clones, waker_drops, self_wakes] = counts;
                let scheduled_time = scheduled.map(|Timestamp { seconds, nanos }| Duration { seconds, nanos });
                (id, tasks::Stats {
                    created_at, dropped_at, wakes, waker_clones, waker_drops, last_wake, poll_stats, self_wakes,
                    scheduled_time,
                })
            });
            tasks::TaskUpdate { new_tasks: new.collect(), stats_update: stats.collect(), dropped_events }
        }
    }

    fn attributes() -> impl Strategy<Value = Vec<console_api::Attribute>> {
        let attribute = (proptest::option::of(a_field()), proptest::option::of(".{0,3}"));
        proptest::collection::vec(attribute.prop_map(|(field, unit)| console_api::Attribute { field, unit }), 0..3)
    }

    prop_compose! {
        fn resources_part()(
            new in proptest::collection::vec(
                (id(), id(), ".{0,4}", proptest::option::of(a_location()), any::<bool>(),
                 proptest::option::of(proptest::option::of(".{0,4}"))), 0..3),
            stats in proptest::collection::hash_map(any::<u64>(), (time(), time(), attributes()), 0..3),
            dropped_events: u64, polls in 0usize..3,
        ) -> resources::ResourceUpdate {
            use resources::resource::{Kind, kind};
            let new = new.into_iter().map(|(id, parent_resource_id, concrete_type, location, is_internal, named)| {
                let named = named.map(|named| named.map_or(kind::Kind::Known(0), kind::Kind::Other));
                let kind = Some(Kind { kind: named });
                resources::Resource { id, parent_resource_id, concrete_type, location, is_internal, kind, ..Default::default() }
            });
            let stats = stats.into_iter().map(|(id, (created_at, dropped_at, attributes))| {
                (id, resources::Stats { created_at, dropped_at, attributes })
            });
            resources::ResourceUpdate {
                new_resources: new.collect(), stats_update: stats.collect(), dropped_events,
                new_poll_ops: vec![resources::PollOp { name: "poll".into(), ..Default::default() }; polls],
            }
        }
    }

    prop_compose! {
        fn ops_part()(
            new in proptest::collection::vec((id(), id(), id(), ".{0,4}"), 0..3),
            stats in proptest::collection::hash_map(any::<u64>(),
                (time(), time(), id(), proptest::option::of(poll_stats()), attributes()), 0..3),
            dropped_events: u64,
        ) -> async_ops::AsyncOpUpdate {
            let new = new.into_iter().map(|(id, resource_id, parent_async_op_id, source)| async_ops::AsyncOp {
                id, resource_id, parent_async_op_id, source, ..Default::default()
            });
            let stats = stats.into_iter().map(|(id, (created_at, dropped_at, task_id, poll_stats, attributes))| {
                (id, async_ops::Stats { created_at, dropped_at, task_id, poll_stats, attributes })
            });
            async_ops::AsyncOpUpdate { new_async_ops: new.collect(), stats_update: stats.collect(), dropped_events }
        }
    }

    prop_compose! {
        fn update()(
            now in time(), task_update in proptest::option::of(tasks_part()),
            resource_update in proptest::option::of(resources_part()),
            async_op_update in proptest::option::of(ops_part()),
        ) -> instrument::Update {
            instrument::Update { now, task_update, resource_update, async_op_update, new_metadata: None }
        }
    }

    proptest! {
        #[test]
        fn what_is_read_in_place_is_what_prost_decodes(first in update(), second in update()) {
            check(&first.encode_to_vec());
            // Messages that stand one after the other are one message, in which fields come twice.
            let mut both = first.encode_to_vec();
            both.extend(second.encode_to_vec());
            check(&both);
        }

        #[test]
        fn what_prost_decodes_is_read_whatever_the_bytes(mut bytes in update().prop_map(|update| update.encode_to_vec()), at: usize, flip: u8) {
            if let Some(length) = std::num::NonZeroUsize::new(bytes.len()) {
                bytes[at % length] ^= flip;
            }
            if instrument::Update::decode(bytes.as_slice()).is_ok() {
                check(&bytes);
            } else {
                let _ = Update::read(&bytes);
            }
        }
    }
}
