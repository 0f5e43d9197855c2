//! Decoding and profiling of update streams, beside bare prost decoding of the same bytes: `cargo bench --bench decode`.
//!
//! `max alloc` is what was alive at once: divided by the number of tasks it is the memory that a task takes.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::OnceLock;
use std::time::Duration;

use console_api::instrument::Update;
use console_api::tasks::{self, TaskUpdate};
use console_api::{Field, Id, Location, MetaId, Metadata, PollStats, RegisterMetadata, field, register_metadata};
use fleetdiag::decode::{Decoder, Limits};
use fleetdiag::diagnose::Fleet;
use fleetdiag::model::{Ended, Endpoint, Observation, Received, Route, Service, Snapshot, Target, TargetId};
use fleetdiag::playbook;
use prost::Message;
use prost_types::Timestamp;

#[global_allocator]
static ALLOC: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

const REGISTRY: &str = "/usr/local/cargo/registry/src/index-1949cf8c6b5b557f/";

fn at(millis: u64) -> Option<Timestamp> {
    let nanos = i32::try_from(millis % 1000).unwrap() * 1_000_000;
    Some(Timestamp { seconds: 1_700_000_000 + i64::try_from(millis / 1000).unwrap(), nanos })
}

fn text(name: &str, value: String) -> Field {
    let name = Some(field::Name::StrName(name.to_owned()));
    Field { metadata_id: Some(MetaId { id: 7 }), name, value: Some(field::Value::DebugVal(value)) }
}

/// Of ten tasks, seven are spawned by the application, two by a dependency, and one blocks.
fn task(id: u64) -> tasks::Task {
    let (kind, file) = match id % 10 {
        0 => ("blocking", format!("{REGISTRY}tokio-1.54.1/src/fs/mod.rs")),
        1 | 2 => ("task", format!("{REGISTRY}hyper-util-0.1.20/src/rt/tokio.rs")),
        _ => ("task", "crates/relay/src/session.rs".to_owned()),
    };
    let mut fields = vec![text("kind", kind.to_owned())];
    if kind == "blocking" {
        fields.push(text("fn", "relay::store::Store::load::{{closure}}".to_owned()));
    }
    let number = |name, value| Field { value: Some(field::Value::U64Val(value)), ..text(name, String::new()) };
    fields.extend([number("task.id", id + 20), number("size.bytes", 256 + id % 7 * 128)]);
    let line = Some(u32::try_from(40 + id % 20 * 10).unwrap());
    let location = Some(Location { file: Some(file), line, column: Some(9), ..Location::default() });
    tasks::Task { id: Some(Id { id }), metadata: Some(MetaId { id: 7 }), fields, location, ..tasks::Task::default() }
}

fn stats(id: u64, more: u64) -> tasks::Stats {
    let polls = 1 + id % 50 + more;
    let span = |millis| Some(prost_types::Duration { seconds: 0, nanos: i32::try_from(millis).unwrap() * 1_000_000 });
    tasks::Stats {
        created_at: at(id % 5000),
        wakes: polls,
        waker_clones: polls + 1,
        waker_drops: polls,
        last_wake: at(6000 + id % 1000),
        poll_stats: Some(PollStats {
            polls,
            first_poll: at(1 + id % 5000),
            last_poll_started: at(7000 + more),
            last_poll_ended: at(7001 + more),
            busy_time: span(polls),
        }),
        scheduled_time: span(id % 40),
        ..tasks::Stats::default()
    }
}

fn update(second: u64, new: Vec<u64>, changed: Vec<u64>, more: u64) -> Update {
    let tasks = TaskUpdate {
        new_tasks: new.into_iter().map(task).collect(),
        stats_update: changed.into_iter().map(|id| (id, stats(id, more))).collect(),
        dropped_events: 0,
    };
    Update { now: at(8000 + second * 1000), task_update: Some(tasks), ..Update::default() }
}

/// The full state, its repetition of which a console's second message consists in part, and a tick in which one task in
/// ten moved.
fn stream(count: u64, repeated: u64) -> Vec<Vec<u8>> {
    let all = || (1..=count).collect::<Vec<_>>();
    let mut first = update(0, all(), all(), 0);
    let call_site = register_metadata::NewMetadata {
        id: Some(MetaId { id: 7 }),
        metadata: Some(Metadata { name: "runtime.spawn".to_owned(), ..Metadata::default() }),
    };
    first.new_metadata = Some(RegisterMetadata { metadata: vec![call_site] });
    let again: Vec<_> = (1..=repeated).collect();
    let second = update(1, again.clone(), again, 0);
    let third = update(2, Vec::new(), (1..=count).step_by(10).collect(), 3);
    [first, second, third].iter().map(Message::encode_to_vec).collect()
}

fn bytes(count: u64) -> &'static [Vec<u8>] {
    static SMALL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    static LARGE: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    match count {
        10_000 => SMALL.get_or_init(|| stream(10_000, 8_196)),
        _ => LARGE.get_or_init(|| stream(1_000_000, 8_196)),
    }
}

fn observation() -> Observation {
    serde_json::from_value(serde_json::json!({
        "ended": Ended::WindowOver, "serves_state": true, "first_update_after": Duration::ZERO, "bytes": 0,
    }))
    .unwrap()
}

fn target(number: usize) -> Target {
    Target {
        id: TargetId { host: format!("relay-{number}").parse().unwrap(), console: None },
        service: Service("relay".to_owned()),
        route: Route::Direct,
        endpoint: Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: 6669 },
        attributes: Default::default(),
    }
}

fn decode(updates: &[Vec<u8>]) -> Snapshot {
    let mut decoder = Decoder::new(Limits::default());
    for update in updates {
        decoder.update(Received(0), update).unwrap();
    }
    decoder.finish(&observation())
}

#[divan::bench(args = [10_000, 1_000_000], sample_count = 10, sample_size = 1)]
fn prost_alone(bencher: divan::Bencher<'_, '_>, tasks: u64) {
    let updates = bytes(tasks);
    bencher.bench(|| updates.iter().map(|bytes| Update::decode(bytes.as_slice()).unwrap().now).next_back());
}

#[divan::bench(args = [10_000, 1_000_000], sample_count = 10, sample_size = 1)]
fn decode_alone(bencher: divan::Bencher<'_, '_>, tasks: u64) {
    let updates = bytes(tasks);
    bencher.bench(|| decode(updates).tasks.len());
}

#[divan::bench(args = [10_000, 1_000_000], sample_count = 10, sample_size = 1)]
fn decode_and_profile(bencher: divan::Bencher<'_, '_>, tasks: u64) {
    let (updates, playbook) = (bytes(tasks), playbook::built_in());
    bencher.bench(|| {
        let mut fleet = Fleet::new(&playbook);
        fleet.observed(&target(0), decode(updates));
    });
}

/// What is alive at once must not grow with the number of targets.
#[divan::bench(args = [1, 8], sample_count = 5, sample_size = 1)]
fn targets_of_10000_tasks(bencher: divan::Bencher<'_, '_>, targets: usize) {
    let (updates, playbook) = (bytes(10_000), playbook::built_in());
    bencher.bench(|| {
        let mut fleet = Fleet::new(&playbook);
        (0..targets).for_each(|number| fleet.observed(&target(number), decode(updates)));
    });
}
