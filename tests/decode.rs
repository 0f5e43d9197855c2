//! Decoding of update streams: right on ordinary ones, and calm on any.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::time::Duration;

use console_api::async_ops::AsyncOpUpdate;
use console_api::instrument::{State, Temporality, Update};
use console_api::resources::ResourceUpdate;
use console_api::tasks::task_details::PollTimesHistogram;
use console_api::tasks::{self, TaskDetails, TaskUpdate};
use console_api::{Field, Id, Location, MetaId, Metadata, PollStats, RegisterMetadata, field, register_metadata};
use fleetdiag::decode::{Decoder, Limits, normalize};
use fleetdiag::diagnose::{Fleet, Gate, RunFacts};
use fleetdiag::model::{
    Anomaly, Ended, Endpoint, Frame, Observation, Origin, Received, Route, Service, Snapshot, SpanId, Stream, Target,
    TargetId, TaskKind, TaskState, Vintage,
};
use fleetdiag::playbook::{self, Severity};
use proptest::prelude::*;
use prost::Message;
use prost_types::Timestamp;

fn observation() -> Observation {
    Observation {
        ended: Ended::WindowOver,
        serves_state: Some(true),
        first_update_after: Duration::ZERO,
        bytes: 0,
        catch_up_calls: 0,
    }
}

fn at(second: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1000 + second, nanos: 0 })
}

fn text(name: &str, value: &str) -> Field {
    Field {
        metadata_id: None,
        name: Some(field::Name::StrName(name.to_owned())),
        value: Some(field::Value::DebugVal(value.to_owned())),
    }
}

fn task(id: u64, name: &str) -> tasks::Task {
    tasks::Task {
        id: Some(Id { id }),
        fields: vec![text("kind", "task"), text("task.name", name)],
        location: Some(Location {
            file: Some("src/main.rs".into()),
            module_path: None,
            line: Some(7),
            column: Some(5),
        }),
        ..tasks::Task::default()
    }
}

fn stats(created: i64, polls: u64) -> tasks::Stats {
    tasks::Stats {
        created_at: at(created),
        wakes: polls,
        poll_stats: Some(PollStats {
            polls,
            first_poll: at(created),
            last_poll_started: at(created),
            last_poll_ended: at(created + 1),
            busy_time: None,
        }),
        ..tasks::Stats::default()
    }
}

fn update(now: i64, new: Vec<tasks::Task>, stats: Vec<(u64, tasks::Stats)>) -> Update {
    Update {
        now: at(now),
        task_update: Some(TaskUpdate { new_tasks: new, stats_update: stats.into_iter().collect(), dropped_events: 0 }),
        ..Update::default()
    }
}

/// The first message of a console: with call sites.
fn first(mut update: Update) -> Update {
    let new = register_metadata::NewMetadata::default();
    update.new_metadata = Some(RegisterMetadata { metadata: vec![new] });
    update
}

fn decode(updates: &[Update]) -> Snapshot {
    let mut decoder = Decoder::new(Limits::default());
    for update in updates {
        let received = update.now.map_or(0, |now| now.seconds.saturating_mul(1_000_000_000));
        decoder.update(Received(received), &update.encode_to_vec()).unwrap();
    }
    decoder.finish(&observation())
}

#[test]
fn the_first_and_the_last_statistics_of_a_task_are_kept() {
    let snapshot = decode(&[
        first(update(10, vec![task(1, "conn-17"), task(2, "conn-4711")], vec![(1, stats(1, 5)), (2, stats(2, 1))])),
        update(11, vec![], vec![(1, stats(1, 8))]),
        update(12, vec![], vec![(1, stats(1, 9))]),
    ]);
    assert!(snapshot.anomalies.is_empty(), "{:?}", snapshot.anomalies);
    assert_eq!((snapshot.window.updates, snapshot.window.length()), (3, Duration::from_secs(2)));
    assert_eq!(snapshot.window.publish_interval, Some(Duration::from_secs(1)));
    let [one, two] = snapshot.tasks.as_slice() else { panic!("{:?}", snapshot.tasks) };
    assert_eq!((one.first().stats.polls, one.last.stats.polls), (5, 9), "statistics replace, they never add");
    assert_eq!((two.first_at, two.last.at), (one.first_at, one.last.at), "what is not repeated has not changed");
    assert_eq!(two.last.state(), TaskState::Idle);
    assert_eq!(one.site, two.site, "numbered names are one site");
    let site = &snapshot.sites[0];
    assert_eq!((site.kind.clone(), site.name.as_deref()), (TaskKind::Task, Some("conn-#")));
    assert_eq!(snapshot.names, ["conn-17", "conn-4711"]);
}

#[test]
fn a_first_message_without_call_sites_is_part_of_the_truth() {
    let snapshot = decode(&[update(10, vec![], vec![(9, stats(1, 5))]), update(11, vec![], vec![])]);
    assert!(snapshot.anomalies.contains(&Anomaly::PartialInitialState { unknown: 1 }), "{:?}", snapshot.anomalies);
    assert!(!snapshot.anomalies.contains(&Anomaly::NoTasks), "it has tasks, only none that was told");
}

#[test]
fn a_new_call_site_makes_no_full_state_of_changes() {
    let mut changes = update(10, vec![], vec![]);
    changes.new_metadata = Some(call_sites(0x1000));
    let of_changes = decode(&[changes, update(11, vec![], vec![])]);
    assert_eq!(of_changes.anomalies, [Anomaly::PartialInitialState { unknown: 0 }]);
    let uninstrumented = decode(&[first(update(10, vec![], vec![])), update(11, vec![], vec![])]);
    assert_eq!(uninstrumented.anomalies, [Anomaly::NoTasks], "no call site of tokio: it is not instrumented");
}

#[test]
fn a_late_tick_is_a_tick_where_it_was_waited_for() {
    let mut changes = update(10, vec![], vec![]);
    changes.new_metadata = Some(call_sites(0x1000));
    changes.now.as_mut().unwrap().nanos = 60_000_000;
    let updates = [changes, update(11, vec![], vec![]), update(12, vec![], vec![])];
    for (waited, anomaly) in [(5, Anomaly::NoTasks), (400, Anomaly::PartialInitialState { unknown: 0 })] {
        let mut decoder = Decoder::new(Limits::default());
        for update in &updates {
            decoder.update(Received(0), &update.encode_to_vec()).unwrap();
        }
        let observation = Observation { first_update_after: Duration::from_millis(waited), ..observation() };
        let found = decoder.finish(&observation).anomalies;
        assert!(found.contains(&anomaly), "after {waited} ms: {found:?}");
    }
}

#[test]
fn an_id_that_is_used_again_is_another_task() {
    let snapshot = decode(&[
        first(update(10, vec![task(1, "a")], vec![(1, stats(1, 5))])),
        update(11, vec![task(1, "b")], vec![(1, stats(11, 1))]),
    ]);
    assert_eq!(snapshot.tasks.len(), 2);
    assert_eq!(snapshot.anomalies, [Anomaly::IdReused { count: 1 }]);
}

#[test]
fn what_is_announced_after_its_statistics_is_no_orphan() {
    let announced_late = decode(&[
        first(update(10, vec![task(2, "b")], vec![(1, stats(1, 5)), (2, stats(1, 1))])),
        update(11, vec![task(1, "a")], vec![(1, stats(1, 6))]),
    ]);
    assert_eq!((announced_late.tasks.len(), announced_late.anomalies.len()), (2, 0), "{:?}", announced_late.anomalies);
    let never = decode(&[
        first(update(10, vec![task(2, "b")], vec![(1, stats(1, 5)), (2, stats(1, 1))])),
        update(11, vec![], vec![]),
    ]);
    assert_eq!(never.anomalies, [Anomaly::Orphans { count: 1 }]);
}

#[test]
fn a_flood_is_cut_off_and_told() {
    let many: Vec<_> = (1..=50).map(|id| task(id, "x")).collect();
    let mut decoder = Decoder::new(Limits { entities: 10, ..Limits::default() });
    let stats = (1..=50).map(|id| (id, stats(1, 1))).collect();
    decoder.update(Received(0), &first(update(10, many, stats)).encode_to_vec()).unwrap();
    let snapshot = decoder.finish(&observation());
    assert_eq!(snapshot.tasks.len(), 10);
    assert!(
        snapshot.anomalies.contains(&Anomaly::BoundHit { bound: "10 entities".into() }),
        "{:?}",
        snapshot.anomalies
    );
}

/// What is told of one task's statistics.
fn odd(kind: &str, stats: tasks::Stats) -> Vec<Anomaly> {
    let task = tasks::Task { fields: vec![text("kind", kind)], ..task(1, "a") };
    decode(&[first(update(10, vec![task], vec![(1, stats)])), update(11, vec![], vec![])]).anomalies
}

#[test]
fn contradictions_are_counted_and_never_more_than_that() {
    assert_eq!(odd("task", stats(1, 5)), []);
    assert_eq!(odd("fibre", stats(1, 5)), [Anomaly::UnknownKind { count: 1 }]);
    assert_eq!(odd("task", tasks::Stats { self_wakes: 6, ..stats(1, 5) }), [Anomaly::TornCounters { count: 1 }]);
    assert_eq!(odd("task", tasks::Stats { waker_drops: 1, ..stats(1, 5) }), [Anomaly::TornCounters { count: 1 }]);
    let negative = prost_types::Duration { seconds: -1, nanos: 0 };
    let backwards = [
        tasks::Stats { dropped_at: at(0), ..stats(1, 5) },
        tasks::Stats { last_wake: at(0), ..stats(1, 5) },
        tasks::Stats { scheduled_time: Some(negative), ..stats(1, 5) },
        tasks::Stats { created_at: at(3), ..stats(1, 5) },
    ];
    for stats in backwards {
        assert_eq!(odd("task", stats), [Anomaly::NegativeInterval { count: 1 }], "{stats:?}");
    }
    assert_eq!(
        odd("task", tasks::Stats { created_at: None, ..stats(1, 5) }),
        [Anomaly::NoTasks, Anomaly::Malformed { count: 2 }],
        "the statistics, and the task that never had any"
    );
}

#[test]
fn losses_a_pause_and_another_clock_are_told() {
    let mut lossy = first(update(10, vec![task(1, "a")], vec![(1, stats(1, 5))]));
    lossy.task_update.as_mut().unwrap().dropped_events = 3;
    lossy.resource_update = Some(ResourceUpdate { dropped_events: 4, ..Default::default() });
    let mut decoder = Decoder::new(Limits::default());
    let received = Received((1000 + 10 - 7) * 1_000_000_000);
    decoder.update(received, &lossy.encode_to_vec()).unwrap();
    let mut again = update(11, vec![], vec![]);
    again.async_op_update = Some(AsyncOpUpdate { dropped_events: 5, ..Default::default() });
    again.task_update.as_mut().unwrap().dropped_events = 6;
    decoder.update(received, &again.encode_to_vec()).unwrap();
    decoder.state(&State { temporality: Temporality::Paused as i32 }.encode_to_vec());
    assert_eq!(
        decoder.finish(&observation()).anomalies,
        [
            Anomaly::DroppedEvents { tasks: 9, resources: 4, async_ops: 5 },
            Anomaly::Paused,
            Anomaly::ClockOffset { offset_ms: -7000 }
        ]
    );
}

/// The call sites of a process: their addresses differ from start to start.
#[test]
fn ticks_that_come_late_tell_that_the_process_waits_for_a_cpu() {
    let ticks = |milliseconds: &[i32]| {
        let tick = |(number, &late): (usize, &i32)| {
            let mut tick = update(10 + number as i64, vec![], vec![]);
            tick.now = tick.now.map(|now| Timestamp { nanos: late * 1_000_000, ..now });
            if number == 0 { first(tick) } else { tick }
        };
        let updates: Vec<_> = milliseconds.iter().enumerate().map(tick).collect();
        let late = |anomaly| match anomaly {
            Anomaly::LateTicks { late } => Some(late.as_millis()),
            _ => None,
        };
        decode(&updates).anomalies.into_iter().find_map(late)
    };
    assert_eq!(ticks(&[0, 5, 0, 20, 3]), None, "a busy machine");
    assert_eq!(ticks(&[700, 5, 0, 7, 3]), None, "we attached between two ticks");
    assert_eq!(ticks(&[0, 0, 900, 0, 0]), Some(900), "and made up for it");
    assert_eq!(ticks(&[0, 0, 0, 900]), Some(900), "at the end of the window, where nothing makes up for it");
    assert_eq!(ticks(&[0, 0, 0, 0, 0, 150]), Some(150));
    assert_eq!(ticks(&[0, 900, 0, 0, 0]), Some(900), "while we attached");
    assert_eq!(ticks(&[0, 900]), None, "nobody knows how long a tick is");
}

fn call_sites(address: u64) -> RegisterMetadata {
    let call_site = |line| register_metadata::NewMetadata {
        id: Some(MetaId { id: address + u64::from(line) }),
        metadata: Some(Metadata {
            name: "runtime.spawn".to_owned(),
            location: Some(Location {
                file: Some("/x/registry/src/i/tokio-1.54.1/src/a.rs".into()),
                line: Some(line),
                ..Default::default()
            }),
            field_names: vec!["kind".to_owned(), "task.name".to_owned()],
            ..Default::default()
        }),
    };
    RegisterMetadata { metadata: (1..=4).map(call_site).collect() }
}

#[test]
fn of_a_process_that_restarted_only_the_last_life_is_told() {
    let with = |address, mut update: Update| {
        update.new_metadata = Some(call_sites(address));
        update
    };
    let before = with(0x1000, update(10, vec![task(1, "a"), task(2, "b")], vec![(1, stats(1, 5)), (2, stats(1, 1))]));
    let after = with(0x9000, update(21, vec![task(1, "c")], vec![(1, stats(20, 1))]));
    let snapshot = decode(&[before.clone(), after, update(22, vec![], vec![(1, stats(20, 2))])]);
    assert_eq!(snapshot.anomalies, [Anomaly::Restarted]);
    assert_eq!((snapshot.tasks.len(), snapshot.names.as_slice()), (1, ["c".to_owned()].as_slice()));
    assert_eq!((snapshot.window.updates, snapshot.window.length()), (2, Duration::from_secs(1)));

    let again = with(0x1000, update(11, vec![], vec![]));
    assert_eq!(decode(&[before, again]).anomalies, [], "call sites that are sent twice are the same process");
}

#[test]
fn fields_that_give_an_index_have_the_name_of_their_call_site() {
    let by_index = |index, value: &str, metadata_id| Field {
        metadata_id,
        name: Some(field::Name::NameIdx(index)),
        value: Some(field::Value::StrVal(value.to_owned())),
    };
    let id = Some(MetaId { id: 0x1002 });
    let task = tasks::Task {
        metadata: id,
        fields: vec![by_index(0, "local", None), by_index(1, "writer", id), by_index(9, "nothing", id)],
        ..task(1, "a")
    };
    let mut update = update(10, vec![task], vec![(1, stats(1, 5))]);
    update.new_metadata = Some(call_sites(0x1000));
    let snapshot = decode(&[update]);
    assert_eq!(
        (&snapshot.sites[0].kind, snapshot.names.as_slice()),
        (&TaskKind::Local, ["writer".to_owned()].as_slice())
    );
    assert_eq!(snapshot.tokio_version.as_deref(), Some("1.54.1"));
}

#[test]
fn what_the_second_update_repeats_is_no_birth() {
    let all = || update(11, vec![task(1, "a"), task(2, "b")], vec![(1, stats(1, 5)), (2, stats(1, 1))]);
    let snapshot = decode(&[first(Update { now: at(10), ..all() }), all()]);
    assert_eq!((snapshot.tasks.len(), snapshot.anomalies.len()), (2, 0), "{:?}", snapshot.anomalies);
    assert!(snapshot.tasks.iter().all(|task| Some(task.created_at) < snapshot.window.first && task.earlier.is_none()));
}

#[test]
fn an_announcement_that_differs_counts_for_the_same_task_and_for_a_younger_one_with_its_id() {
    let snapshot = decode(&[
        first(update(10, vec![task(1, "a"), task(2, "b")], vec![(1, stats(1, 5)), (2, stats(1, 5))])),
        update(11, vec![task(1, "renamed"), task(2, "b")], vec![(1, stats(1, 6)), (2, stats(11, 1))]),
    ]);
    let names: Vec<_> = snapshot.tasks.iter().map(|task| &*snapshot.names[task.name.unwrap().get()]).collect();
    assert_eq!(names, ["renamed", "b", "b"]);
    assert_eq!(snapshot.anomalies, [Anomaly::IdReused { count: 1 }]);
}

#[test]
fn a_console_without_scheduled_time_is_old() {
    let updates = [first(update(10, vec![task(1, "a")], vec![(1, stats(1, 5))])), update(11, vec![], vec![])];
    let vintage = |scheduled_time| {
        let mut decoder = Decoder::new(Limits::default());
        let mut updates = updates.clone();
        let stats = updates[0].task_update.as_mut().unwrap().stats_update.get_mut(&1).unwrap();
        stats.scheduled_time = scheduled_time;
        for update in &updates {
            decoder.update(Received(1_010_000_000_000), &update.encode_to_vec()).unwrap();
        }
        let snapshot = decoder.finish(&Observation { serves_state: Some(false), ..observation() });
        (snapshot.vintage, snapshot.anomalies)
    };
    assert_eq!(vintage(None), (Some(Vintage::UpTo018), vec![Anomaly::OldVintage]));
    assert_eq!(vintage(Some(prost_types::Duration::default())), (Some(Vintage::Before05), vec![]));
}

fn number(name: &str, value: u64) -> Field {
    Field { value: Some(field::Value::U64Val(value)), ..text(name, "") }
}

#[test]
fn the_spawn_rate_comes_from_tokios_counter_and_workers_from_their_launch() {
    let spawned = |id, task_id| {
        let mut task = task(id, "a");
        task.fields.push(number("task.id", task_id));
        task
    };
    let worker = |id| tasks::Task {
        fields: vec![
            text("kind", "blocking"),
            text("fn", "tokio::runtime::scheduler::multi_thread::worker::Launch::launch::{{closure}}"),
        ],
        ..task(id, "")
    };
    let alive = (1..=3).map(|id| (id, stats(1, 1)));
    let snapshot = decode(&[
        first(update(10, vec![spawned(1, 40), worker(2), worker(3)], alive.collect())),
        // Only one of thirty was ever announced, and one older than the window came late.
        update(13, vec![spawned(4, 100), spawned(5, 70)], vec![(4, stats(12, 1)), (5, stats(9, 1))]),
    ]);
    assert_eq!(snapshot.workers, Some(2));
    assert_eq!(snapshot.spawn_rate, Some(10.0));
}

#[test]
fn histograms_are_of_the_task_that_has_the_id_and_only_so_many_are_kept() {
    let mut decoder = Decoder::new(Limits { details: 1, ..Limits::default() });
    let announced = first(update(10, vec![task(1, "a"), task(2, "b")], vec![(1, stats(1, 5)), (2, stats(2, 1))]));
    decoder.update(Received(1_010_000_000_000), &announced.encode_to_vec()).unwrap();
    let details = |id| Frame {
        stream: Stream::Details(SpanId(id)),
        received: Received(0),
        bytes: tasks::TaskDetails::default().encode_to_vec().into(),
    };
    for id in [1, 1, 2, 77] {
        decoder.frame(&details(id));
    }
    let snapshot = decoder.finish(&observation());
    let keys: Vec<_> = snapshot.details.keys().map(|(id, created_at)| (id.0, created_at.as_nanos())).collect();
    assert_eq!(keys, [(1, 1_001_000_000_000)]);
    assert!(snapshot.anomalies.contains(&Anomaly::BoundHit { bound: "histograms of 1 tasks".into() }));
    assert!(snapshot.anomalies.contains(&Anomaly::Orphans { count: 1 }));
}

#[test]
fn locations_are_equal_across_machines() {
    let cases = [
        ("src/main.rs", "src/main.rs"),
        ("src\\net\\conn.rs", "src/net/conn.rs"),
        ("/home/ci/app/src/net/conn.rs", "app/src/net/conn.rs"),
        ("/build/crates/net/src/conn.rs", "crates/net/src/conn.rs"),
        ("C:\\work\\crates\\net\\src\\conn.rs", "crates/net/src/conn.rs"),
        ("/root/.cargo/registry/src/index-6f17d22bba15001f/hyper-util-0.1.2/src/rt.rs", "hyper-util-0.1.2/src/rt.rs"),
        (
            "/usr/local/cargo/registry/src/index-1949cf8c6b5b557f/hyper-util-0.1.2/src/rt.rs",
            "hyper-util-0.1.2/src/rt.rs",
        ),
        (
            "C:\\Users\\x\\.cargo\\registry\\src\\index-1949cf8c6b5b557f\\hyper-util-0.1.2\\src\\rt.rs",
            "hyper-util-0.1.2/src/rt.rs",
        ),
        ("/x/.cargo/registry/src/index-1/tokio-1.54.1/src/task/spawn.rs", "tokio-1.54.1/src/task/spawn.rs"),
        ("/x/.cargo/git/checkouts/quic-0a1b2c3d4e5f6071/abc1234/src/lib.rs", "quic-abc1234/src/lib.rs"),
        ("/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/x.rs", "std/core/src/x.rs"),
        ("/app/vendor/serde-1.0.0-rc.1/src/lib.rs", "serde-1.0.0-rc.1/src/lib.rs"),
    ];
    for (given, expected) in cases {
        assert_eq!(normalize(given, 0, 0).to_string(), expected, "{given}");
    }
    assert_eq!(
        normalize("/x/registry/src/i/tokio-1.54.1/src/a.rs", 1, 1).origin,
        Origin::Runtime { version: "1.54.1".into() }
    );
    assert_eq!(normalize("src/main.rs", 7, 5).to_string(), "src/main.rs:7:5");
}

fn arbitrary_time() -> impl Strategy<Value = Option<Timestamp>> {
    prop_oneof![
        4 => (0i64..40).prop_map(at),
        1 => Just(None),
        1 => (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| Some(Timestamp { seconds, nanos })),
    ]
}

prop_compose! {
    fn arbitrary_stats()(
        created_at in arbitrary_time(), dropped_at in arbitrary_time(), last_wake in arbitrary_time(),
        started in arbitrary_time(), ended in arbitrary_time(), counters in any::<[u64; 5]>(),
        seconds in any::<i64>(), nanos in any::<i32>(), polled in any::<bool>(),
    ) -> tasks::Stats {
        let [wakes, waker_clones, waker_drops, self_wakes, polls] = counters;
        let span = Some(prost_types::Duration { seconds, nanos });
        let poll_stats = polled.then_some(PollStats {
            polls, first_poll: started, last_poll_started: started, last_poll_ended: ended, busy_time: span,
        });
        tasks::Stats { created_at, dropped_at, last_wake, wakes, waker_clones, waker_drops, self_wakes, poll_stats, scheduled_time: span }
    }
}

fn arbitrary_update() -> impl Strategy<Value = Update> {
    let new = proptest::collection::vec((0u64..6, "[a-z0-9\u{1b}]{0,4}", any::<bool>()), 0..4);
    let stats = proptest::collection::vec((0u64..6, arbitrary_stats()), 0..4);
    (arbitrary_time(), new, stats, any::<bool>()).prop_map(|(now, new, stats, has_metadata)| {
        let new = new.into_iter().map(|(id, name, known)| {
            let task = task(id, &name);
            if known { task } else { tasks::Task { id: None, ..task } }
        });
        let stats: HashMap<_, _> = stats.into_iter().collect();
        let update = Update { now, ..update(0, new.collect(), stats.into_iter().collect()) };
        if has_metadata { first(update) } else { update }
    })
}

/// Uses every figure that reports are made of.
fn exercise(snapshot: &Snapshot) {
    for task in &snapshot.tasks {
        for sample in [task.first(), task.last] {
            let _ = (sample.state(), sample.busy(), sample.scheduled(), sample.current_poll(), sample.waker_count());
            assert!(sample.self_wake_percent() <= 100);
        }
        let _ = task.total();
        assert!(snapshot.sites.get(task.site.0 as usize).is_some());
    }
    assert!(snapshot.tasks.windows(2).all(|pair| (pair[0].created_at, pair[0].id) <= (pair[1].created_at, pair[1].id)));
}

proptest! {
    #[test]
    fn no_update_stream_makes_it_panic(updates in proptest::collection::vec(arbitrary_update(), 0..6)) {
        exercise(&decode(&updates));
    }

    #[test]
    fn no_bytes_make_it_panic(messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..4)) {
        let mut decoder = Decoder::new(Limits::default());
        for message in &messages {
            let _ = decoder.update(Received(0), message);
            decoder.state(message);
        }
        exercise(&decoder.finish(&observation()));
    }

    #[test]
    fn an_update_that_comes_twice_changes_nothing(updates in proptest::collection::vec(arbitrary_update(), 1..5)) {
        // Ids that are used again within the same update have no order that would be right.
        let once = decode(&updates);
        let doubled: Vec<_> = updates.iter().flat_map(|update| [update.clone(), update.clone()]).collect();
        let twice = decode(&doubled);
        let facts = |snapshot: &Snapshot| {
            snapshot.tasks.iter().map(|task| (task.id, task.created_at, task.last.stats)).collect::<Vec<_>>()
        };
        prop_assert_eq!(facts(&once), facts(&twice));
    }
}

/// What is found on a target that sends these updates, each with its severity and the reasons why it is not surer.
fn found(updates: &[Update], is_old: bool) -> Vec<(String, Severity, Vec<String>)> {
    let mut decoder = Decoder::new(Limits::default());
    for update in updates {
        decoder.update(Received(0), &update.encode_to_vec()).unwrap();
    }
    if is_old {
        // Histograms as bytes were sent before 0.1.6.
        let histogram = Some(PollTimesHistogram::LegacyHistogram(vec![]));
        let details = TaskDetails { poll_times_histogram: histogram, ..TaskDetails::default() };
        decoder.details(SpanId(1), &details.encode_to_vec());
    }
    let snapshot = decoder.finish(&Observation { serves_state: Some(!is_old), ..observation() });
    let target = Target {
        id: TargetId { host: "host".parse().unwrap(), console: None },
        service: Service("service".into()),
        route: Route::Direct,
        endpoint: Endpoint::Unix("/run/console".into()),
        attributes: [].into(),
        thresholds: Default::default(),
        health_url: None,
        log: None,
    };
    let rules = playbook::built_in();
    let mut fleet = Fleet::new(&rules);
    fleet.observed(&target, snapshot);
    let findings = fleet.diagnose(RunFacts::default(), &Gate::default()).hotspots.into_iter();
    let findings = findings.flat_map(|hotspot| hotspot.findings);
    findings.map(|finding| (finding.name, finding.severity, finding.caps)).collect()
}

/// A task that waits, polled once, with these counts of wakes, own wakes, clones and drops of wakers.
fn waiting([wakes, self_wakes, waker_clones, waker_drops]: [u64; 4]) -> tasks::Stats {
    let last_wake = (wakes > 0).then_some(at(1)).flatten();
    tasks::Stats { wakes, self_wakes, waker_clones, waker_drops, last_wake, ..stats(1, wakes + 1) }
}

fn twice(stats: tasks::Stats) -> [Update; 2] {
    [first(update(10, vec![task(1, "a")], vec![(1, stats)])), update(13, vec![], vec![(1, stats)])]
}

/// The case that the ones below differ from in one thing each.
#[test]
fn a_lost_waker_is_accused() {
    let found = found(&twice(waiting([0, 0, 1, 1])), false);
    assert_eq!(found, [("lost-waker".to_owned(), Severity::Critical, vec![])]);
}

/// tokio-console's issue 149: an old console with a full buffer forgets what woke a task.
#[test]
fn issue_149_a_waker_that_a_full_buffer_lost_is_a_lead() {
    let mut updates = twice(waiting([0, 0, 1, 1]));
    updates[1].task_update.as_mut().unwrap().dropped_events = 3;
    let found = found(&updates, true);
    let [(name, severity, caps)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((name.as_str(), *severity), ("lost-waker", Severity::Info));
    assert!(caps[0].contains("dropped events"), "{caps:?}");
}

/// Counters are read one after the other: more own wakes than wakes, more drops than clones.
#[test]
fn torn_reads_accuse_nobody() {
    let torn_wakes = tasks::Stats { wakes: 2, self_wakes: 3, ..waiting([2, 0, 4, 2]) };
    assert_eq!(found(&twice(torn_wakes), false), []);
    let mut torn_drops = twice(waiting([5, 0, 6, 5]));
    torn_drops[1] = update(13, vec![], vec![(1, waiting([5, 0, 6, 7]))]);
    assert_eq!(found(&torn_drops, false), [], "seen in the last sample only");
}
