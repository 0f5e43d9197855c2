//! Held against prost, which decodes the same.

use std::collections::HashMap;

use console_api::{async_ops, field, instrument, resources, tasks};
use proptest::prelude::*;
use prost::Message;

use prost_types::{Duration, Timestamp};

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
        assert_eq!(announced_id(read), task.id);
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
        assert_eq!(announced_id(read), resource_of(expected).id);
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
        assert_eq!(announced_id(read), op_of(expected).id);
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
