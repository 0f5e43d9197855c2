//! What the benches read: a recording of a real program, and streams that are made up.

#![allow(dead_code, reason = "each bench uses some of it")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use console_api::async_ops::{self, AsyncOpUpdate};
use console_api::instrument::Update;
use console_api::resources::{self, ResourceUpdate, resource};
use console_api::tasks::{self, TaskUpdate};
use console_api::{Attribute, Field, Id, Location, MetaId, Metadata, PollStats, RegisterMetadata};
use console_api::{field, register_metadata};
use fleetdiag::capture::{Capture, End, Limits, Run, Writer};
use fleetdiag::decode::{self, Decoder};
use fleetdiag::model::{
    Ended, Endpoint, Frame, Observation, Outcome, Received, Route, Service, Snapshot, Stream, Target, TargetId,
};
use prost::Message;
use prost_types::Timestamp;

const REGISTRY: &str = "/usr/local/cargo/registry/src/index-1949cf8c6b5b557f/";
/// The only call site: its fields carry their names.
const CALL_SITE: Option<MetaId> = Some(MetaId { id: 7 });
/// How many entities a console's second message repeats at least.
const REPEATED: u64 = 8_196;

/// Where what the benches read stays.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/benches").join(name)
}

/// What a real program with 10,000 tasks sent, recorded now where it has not been before.
pub fn recorded() -> (Vec<Frame>, Observation) {
    let path = kept("ten-thousand.fdcap");
    if !path.exists() {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/record.sh");
        // What cargo tells a bench's process is not meant for another build.
        let mut record = Command::new(script);
        record.arg(&path).env_remove("CARGO_ENCODED_RUSTFLAGS");
        assert!(record.status().unwrap().success(), "benches/record.sh failed");
    }
    let mut capture = Capture::open(&path, Limits::default()).unwrap();
    let Outcome::Observed(observation) = capture.targets().next().unwrap().1.clone() else { panic!("not observed") };
    (capture.frames(0).unwrap().map(Result::unwrap).collect(), observation)
}

/// What a console with so many tasks sends: the full state, its partial repetition, and a tick in which every
/// `moving`th task moved. One task in ten waits for one of a hundred locks.
pub fn made(tasks: u64, moving: usize) -> (Vec<Frame>, Observation) {
    let mut first = update(0, tasks, (1..=tasks).step_by(1), 0);
    let call_site = register_metadata::NewMetadata {
        id: CALL_SITE,
        metadata: Some(Metadata { name: "runtime.spawn".to_owned(), ..Metadata::default() }),
    };
    first.new_metadata = Some(RegisterMetadata { metadata: vec![call_site] });
    let repeated = REPEATED.min(tasks);
    let second = update(1, repeated, (1..=repeated).step_by(1), 0);
    let third = update(2, 0, (1..=tasks).step_by(moving), 3);
    let frames = [first, second, third].into_iter().map(|update| Frame {
        stream: Stream::Updates,
        received: Received(0),
        bytes: update.encode_to_vec().into(),
    });
    let observation = Observation {
        ended: Ended::WindowOver,
        serves_state: Some(true),
        first_update_after: Duration::ZERO,
        bytes: 0,
        catch_up_calls: 0,
    };
    (frames.collect(), observation)
}

/// A capture of so many targets with so many tasks each, made now where it was not before.
pub fn made_fleet(targets: usize, tasks: u64) -> PathBuf {
    let path = kept(&format!("{targets}-times-{tasks}.fdcap"));
    if path.exists() {
        return path;
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let all = (0..targets).map(target).collect::<Vec<_>>();
    let run = Run {
        started: "2026-01-01T00:00:00Z".parse().unwrap(),
        collected_by: "bench".to_owned(),
        patterns: Vec::new(),
        window: Duration::from_secs(2),
        targets: all.clone(),
    };
    let mut writer = Writer::create(&path, &run).unwrap();
    let (frames, observation) = made(tasks, 10);
    let outcome = Outcome::Observed(observation);
    for number in 0..targets {
        let mut spool = writer.spool().unwrap();
        frames.iter().for_each(|frame| spool.push(frame).unwrap());
        writer.finish_target(number, Some(spool), &outcome).unwrap();
    }
    writer.finish(End { interrupted: false }).unwrap()
}

/// The target of this number; their order is that of the numbers.
pub fn target(number: usize) -> Target {
    Target {
        id: TargetId { host: format!("relay-{number:05}").parse().unwrap(), console: None },
        service: Service("relay".to_owned()),
        route: Route::Direct,
        endpoint: Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: 6669 },
        attributes: Default::default(),
        thresholds: Default::default(),
        health_url: None,
        log: None,
    }
}

/// As the product decodes.
pub fn decode(frames: &[Frame], observation: &Observation) -> Snapshot {
    let mut decoder = Decoder::new(decode::Limits::default());
    frames.iter().for_each(|frame| decoder.frame(frame));
    decoder.finish(observation)
}

/// As prost decodes, which then keeps nothing.
pub fn decode_by_prost(frames: &[Frame]) {
    for frame in frames {
        match frame.stream {
            Stream::Updates => drop(std::hint::black_box(Update::decode(&*frame.bytes).unwrap())),
            Stream::State => {}
            Stream::Details(_) => drop(std::hint::black_box(tasks::TaskDetails::decode(&*frame.bytes).unwrap())),
        }
    }
}

fn at(millis: u64) -> Option<Timestamp> {
    let nanos = i32::try_from(millis % 1000).unwrap() * 1_000_000 + 123_457;
    Some(Timestamp { seconds: 1_700_000_000 + i64::try_from(millis / 1000).unwrap(), nanos })
}

fn named(name: &str, value: field::Value) -> Field {
    Field { metadata_id: CALL_SITE, name: Some(field::Name::StrName(name.to_owned())), value: Some(value) }
}

fn text(name: &str, value: &str) -> Field {
    named(name, field::Value::DebugVal(value.to_owned()))
}

fn number(name: &str, value: u64) -> Field {
    named(name, field::Value::U64Val(value))
}

fn location(file: String, line: u64) -> Option<Location> {
    Some(Location {
        file: Some(file),
        line: Some(u32::try_from(line).unwrap()),
        column: Some(9),
        ..Location::default()
    })
}

/// Of ten tasks, seven are spawned by the application, two by a dependency, and one blocks.
fn task(id: u64) -> tasks::Task {
    let (kind, file) = match id % 10 {
        0 => ("blocking", format!("{REGISTRY}tokio-1.54.1/src/fs/mod.rs")),
        1 | 2 => ("task", format!("{REGISTRY}hyper-util-0.1.20/src/rt/tokio.rs")),
        _ => ("task", "crates/relay/src/session.rs".to_owned()),
    };
    let mut fields = vec![text("kind", kind)];
    if kind == "blocking" {
        fields.push(text("fn", "relay::store::Store::load::{{closure}}"));
    }
    fields.extend([number("task.id", id + 20), number("size.bytes", 256 + id % 7 * 128)]);
    let location = location(file, 40 + id % 20 * 10);
    tasks::Task { id: Some(Id { id }), metadata: CALL_SITE, fields, location, ..tasks::Task::default() }
}

fn poll_stats(id: u64, polls: u64, more: u64) -> PollStats {
    PollStats {
        polls,
        first_poll: at(1 + id % 5000),
        last_poll_started: at(7000 + more),
        last_poll_ended: at(7001 + more),
        busy_time: span(polls),
    }
}

fn span(millis: u64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: 0, nanos: i32::try_from(millis).unwrap() * 1_000_000 + 4711 })
}

fn stats(id: u64, more: u64) -> tasks::Stats {
    let polls = 1 + id % 50 + more;
    tasks::Stats {
        created_at: at(id % 5000),
        wakes: polls,
        waker_clones: polls + 1,
        waker_drops: polls,
        last_wake: at(6000 + id % 1000),
        poll_stats: Some(poll_stats(id, polls, more)),
        scheduled_time: span(id % 40),
        ..tasks::Stats::default()
    }
}

/// The span ids of locks, and of the operations that wait for them, beside those of tasks.
const LOCKS: u64 = 1 << 40;
const WAITS: u64 = 1 << 41;

fn lock(id: u64) -> resources::Resource {
    let kind = resource::kind::Kind::Known(resource::kind::Known::Timer as i32);
    resources::Resource {
        id: Some(Id { id }),
        metadata: CALL_SITE,
        concrete_type: "Mutex".to_owned(),
        kind: Some(resource::Kind { kind: Some(kind) }),
        location: location("crates/relay/src/store.rs".to_owned(), 1 + id % 5),
        ..resources::Resource::default()
    }
}

fn lock_stats(attribute: &str) -> resources::Stats {
    let field = Some(named(attribute, field::Value::BoolVal(true)));
    resources::Stats { created_at: at(1), dropped_at: None, attributes: vec![Attribute { field, unit: None }] }
}

fn wait(task: u64) -> async_ops::AsyncOp {
    async_ops::AsyncOp {
        id: Some(Id { id: WAITS + task }),
        metadata: CALL_SITE,
        source: "Mutex::lock".to_owned(),
        resource_id: Some(Id { id: LOCKS + task / 10 % 100 }),
        parent_async_op_id: None,
    }
}

fn wait_stats(task: u64) -> async_ops::Stats {
    async_ops::Stats {
        created_at: at(task % 5000),
        dropped_at: None,
        poll_stats: Some(poll_stats(task, 1, 0)),
        task_id: Some(Id { id: task }),
        attributes: Vec::new(),
    }
}

/// The update of a `second`: announces the first `new` tasks, with what they wait for, and tells of those that `changed`.
fn update(second: u64, new: u64, changed: impl Iterator<Item = u64>, more: u64) -> Update {
    let waiting: Vec<_> = (1..=new).filter(|task| task % 10 == 3).collect();
    let locks = if waiting.is_empty() { 0..0 } else { 0..100 };
    let async_op_update = AsyncOpUpdate {
        new_async_ops: waiting.iter().map(|task| wait(*task)).collect(),
        stats_update: waiting.iter().map(|task| (WAITS + task, wait_stats(*task))).collect(),
        dropped_events: 0,
    };
    let resource_update = ResourceUpdate {
        new_resources: locks.clone().map(|lock_number| lock(LOCKS + lock_number)).collect(),
        stats_update: locks.map(|lock_number| (LOCKS + lock_number, lock_stats("locked"))).collect(),
        new_poll_ops: Vec::new(),
        dropped_events: 0,
    };
    let task_update = TaskUpdate {
        new_tasks: (1..=new).map(task).collect(),
        stats_update: changed.map(|id| (id, stats(id, more))).collect::<HashMap<_, _>>(),
        dropped_events: 0,
    };
    Update {
        now: at(8000 + second * 1000),
        task_update: Some(task_update),
        resource_update: Some(resource_update),
        async_op_update: Some(async_op_update),
        new_metadata: None,
    }
}
