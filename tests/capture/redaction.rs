//! A redacted capture names nobody, and is judged as the original.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use console_api::async_ops::{self, AsyncOp, AsyncOpUpdate};
use console_api::instrument::Update;
use console_api::resources::{self, PollOp, Resource, ResourceUpdate, resource};
use console_api::tasks::{self, Task, TaskUpdate};
use console_api::{
    Attribute, Field, Id, Location, MetaId, Metadata, PollStats, RegisterMetadata, field,
    register_metadata::NewMetadata,
};
use fleetdiag::capture::{Capture, End, Writer, redact};
use fleetdiag::decode::{self, Decoder, normalize};
use fleetdiag::diagnose::{Diagnosis, Fleet, Gate, RunFacts, Status, Subject};
use fleetdiag::model::{
    ContainerSelector, Ended, Endpoint, Engine, Failure, Frame, Outcome, Reason, Received, Route, SshDestination,
    Stream, Target,
};
use fleetdiag::playbook::{self, Playbook};
use proptest::prelude::*;
use prost::Message;
use prost_types::Timestamp;

use super::{observed, open, run};

static RULES: LazyLock<Playbook> = LazyLock::new(playbook::built_in);

/// Stands in every text of the capture, and may stand nowhere in the copy.
const SECRET: &str = "Zsecretq";

/// Texts as programs give them: names, numbers, addresses, types.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(SECRET.to_owned()),
        (0..3u8).prop_map(|number| format!("conn-{number} of {SECRET}@relay-1 from 10.1.2.{number}")),
        Just(format!("tokio::{SECRET}::{{{{closure}}}}")),
        Just(format!("\"{SECRET}\"")),
        Just(format!("Semaphore<{SECRET}>")),
        Just(format!("\"/home/{SECRET}/relay/src/net.rs:17:5\"")),
        Just(format!("/home/{SECRET}/x.rs: failed for {SECRET}\u{1b}[0m\u{2192}")),
        Just(format!("src/main.rs {SECRET}.rs:1:2 ")),
    ]
}

/// Paths whose part within the project, if any, is not secret.
fn file() -> impl Strategy<Value = String> {
    let forms = [
        "/home/@/code/relay/src/net.rs",
        "/home/@/src/net.rs",
        "C:\\Users\\@\\relay\\src\\net.rs",
        "/@/build/crates/net/src/net.rs",
        "/home/@/.cargo/registry/src/@-1949cf8c6b5b557f/hyper-1.2.3/src/a.rs",
        "/@/.cargo/git/checkouts/quic-00ff00ff00ff00ff/abc1234/src/lib.rs",
        "/rustc/@/library/std/src/thread.rs",
        "/@/lib/rustlib/src/rust/library/std/src/thread.rs",
        "../../@/relay/src/net.rs",
        "home/@/relay/src/net.rs",
        "/srv/@/out/gen.rs",
        "/@/vendor/serde/src/lib.rs",
        "/@/deps/h2-0.4.0/src/client.rs",
        "@",
        "src/main.rs",
    ];
    proptest::sample::select(forms.to_vec()).prop_map(|form| form.replace('@', SECRET))
}

fn value_of(value: String, is_text: bool) -> field::Value {
    if is_text { field::Value::StrVal(value) } else { field::Value::DebugVal(value) }
}

prop_compose! {
    fn a_field()(name in prop_oneof![Just("task.name".to_owned()), Just("fn".to_owned()), Just("spawn.location".to_owned()), Just("task.id".to_owned()), text()], value in text(), is_text: bool) -> Field {
        Field { name: Some(field::Name::StrName(name)), value: Some(value_of(value, is_text)), metadata_id: None }
    }
}

prop_compose! {
    fn location()(file in file(), module in text(), line in 1..4u32) -> Location {
        Location { file: Some(file), module_path: Some(module), line: Some(line), column: Some(1) }
    }
}

fn at(second: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1000 + second, nanos: 0 })
}

fn kind() -> Field {
    Field {
        name: Some(field::Name::StrName("kind".to_owned())),
        value: Some(field::Value::DebugVal("task".to_owned())),
        metadata_id: None,
    }
}

prop_compose! {
    fn a_task()(location in location(), fields in proptest::collection::vec(a_field(), 0..3), polls in 1..400u64, busy in 0..9i64, dropped: bool)
        -> (Task, tasks::Stats) {
        let mut fields = fields;
        fields.push(kind());
        let poll_stats = PollStats {
            polls, first_poll: at(1), last_poll_started: at(8), last_poll_ended: (busy < 8).then(|| at(9)).flatten(),
            busy_time: Some(prost_types::Duration { seconds: busy, nanos: 0 }),
        };
        let stats = tasks::Stats {
            created_at: at(1), dropped_at: dropped.then(|| at(9)).flatten(), wakes: polls, self_wakes: polls / 2,
            poll_stats: Some(poll_stats), scheduled_time: Some(prost_types::Duration::default()), ..tasks::Stats::default()
        };
        (Task { location: Some(location), fields, ..Task::default() }, stats)
    }
}

prop_compose! {
    fn others()(texts in proptest::collection::vec(text(), 12), location in location(), field in a_field()) -> Update {
        let [name, target, module, known, concrete, kind, unit, source, poll, ..] = &texts[..] else { panic!() };
        let attribute = Attribute { field: Some(field), unit: Some(unit.clone()) };
        let metadata = Metadata {
            name: name.clone(), target: target.clone(), module_path: module.clone(), location: Some(location.clone()),
            field_names: vec![known.clone(), "task.name".to_owned()], ..Metadata::default()
        };
        let resource = Resource {
            id: Some(Id { id: 900 }), concrete_type: concrete.clone(), location: Some(location),
            kind: Some(resource::Kind { kind: Some(resource::kind::Kind::Other(kind.clone())) }), ..Resource::default()
        };
        let op = AsyncOp { id: Some(Id { id: 901 }), source: source.clone(), resource_id: Some(Id { id: 900 }), ..AsyncOp::default() };
        let resource_stats = resources::Stats { created_at: at(1), attributes: vec![attribute.clone()], ..Default::default() };
        let op_stats = async_ops::Stats { created_at: at(2), attributes: vec![attribute], task_id: Some(Id { id: 1 }), ..Default::default() };
        Update {
            new_metadata: Some(RegisterMetadata {
                metadata: vec![NewMetadata { id: Some(MetaId { id: 7 }), metadata: Some(metadata) }],
            }),
            resource_update: Some(ResourceUpdate {
                new_resources: vec![resource],
                stats_update: [(900, resource_stats)].into(),
                new_poll_ops: vec![PollOp { name: poll.clone(), ..PollOp::default() }],
                dropped_events: 0,
            }),
            async_op_update: Some(AsyncOpUpdate { new_async_ops: vec![op], stats_update: [(901, op_stats)].into(), dropped_events: 0 }),
            ..Update::default()
        }
    }
}

/// A field that no version of the console has, inside a message.
fn unknown() -> Vec<u8> {
    let mut bytes = vec![0xda, 0x0c, u8::try_from(SECRET.len()).unwrap()];
    bytes.extend(SECRET.as_bytes());
    bytes
}

fn frames_of(new: Vec<(Task, tasks::Stats)>, others: Update) -> Vec<Frame> {
    let numbered = || new.iter().zip(1u64..);
    let first = Update {
        now: at(10),
        task_update: Some(TaskUpdate {
            new_tasks: numbered().map(|((task, _), id)| Task { id: Some(Id { id }), ..task.clone() }).collect(),
            stats_update: numbered().map(|((_, stats), id)| (id, *stats)).collect(),
            dropped_events: 0,
        }),
        ..others
    };
    let second = Update {
        now: at(13),
        task_update: Some(TaskUpdate {
            stats_update: numbered()
                .map(|((_, stats), id)| (id, tasks::Stats { wakes: stats.wakes + 5, ..*stats }))
                .collect(),
            ..TaskUpdate::default()
        }),
        ..Update::default()
    };
    let mut bytes = first.encode_to_vec();
    bytes.extend(unknown());
    // The part of the tasks once more, with nothing but what is unknown in it.
    bytes.extend([0x12, u8::try_from(unknown().len()).unwrap()]);
    bytes.extend(unknown());
    let frame = |stream, bytes: Vec<u8>| Frame { stream, received: Received(1), bytes: bytes.into() };
    let mut garbage = second.encode_to_vec();
    garbage.extend(b"\xff\xff\xff");
    garbage.extend(SECRET.as_bytes());
    vec![
        frame(Stream::State, unknown()),
        frame(Stream::Updates, bytes),
        frame(Stream::Updates, garbage),
        frame(Stream::Updates, second.encode_to_vec()),
        frame(Stream::Details(fleetdiag::model::SpanId(1)), unknown()),
    ]
}

/// Everything that a manifest can say, with the secret in it.
fn targets() -> Vec<Target> {
    let secret = || SECRET.to_owned();
    let name = |suffix: &str| format!("{SECRET}-{suffix}").parse().unwrap();
    let destination = SshDestination {
        host: name("address"),
        user: Some(name("user")),
        port: Some(2222),
        identity_file: Some(format!("/home/{SECRET}/id").into()),
        extra_args: vec![secret()],
    };
    let selectors = [
        ContainerSelector::Name(secret()),
        ContainerSelector::Label(secret()),
        ContainerSelector::Image(secret()),
        ContainerSelector::Compose { project: Some(secret()), service: secret() },
    ];
    let container =
        |selector| Endpoint::Container { engine: Engine::Docker, selector, port: 1, network: Some(secret()) };
    let mut endpoints = vec![
        Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: 6669 },
        Endpoint::Tcp { host: secret(), port: 6669 },
        Endpoint::Unix(format!("/run/{SECRET}.sock").into()),
    ];
    endpoints.extend(selectors.map(container));
    let targets = endpoints.into_iter().zip(10..).map(|(endpoint, number): (_, u32)| {
        let mut target = super::target(&format!("{SECRET}-{number}"));
        target.id.console = Some(secret());
        target.service.0 = secret();
        target.attributes = [(secret(), secret()), ("version".to_owned(), secret())].into();
        target.route = Route::Ssh(destination.clone());
        Target { endpoint, ..target }
    });
    targets.collect()
}

fn write(path: &Path, frames: &[Frame]) -> Capture {
    let targets = targets();
    let count = targets.len();
    let all = fleetdiag::capture::Run {
        targets,
        patterns: vec![SECRET.to_owned()],
        collected_by: format!("0.1.0-{SECRET}"),
        ..run(&[])
    };
    let mut writer = Writer::create(path, &all).unwrap();
    let broken = || Failure::new(Reason::StreamBroken, SECRET);
    let ends = [Ended::WindowOver, Ended::BoundHit { bound: SECRET.to_owned() }, Ended::Broken(broken())];
    for (index, ended) in ends.into_iter().enumerate() {
        let mut spool = writer.spool().unwrap();
        frames.iter().for_each(|frame| spool.push(frame).unwrap());
        let Outcome::Observed(observation) = observed(1) else { panic!() };
        writer
            .finish_target(
                index,
                Some(spool),
                &Outcome::Observed(fleetdiag::model::Observation { ended, ..observation }),
            )
            .unwrap();
    }
    (3..count).for_each(|index| writer.finish_target(index, None, &Outcome::Failed(broken())).unwrap());
    open(&writer.finish(End { interrupted: false }).unwrap()).unwrap()
}

fn unpacked(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let count = archive.len();
    let entry = |index| {
        let mut file = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        (file.name().unwrap().into_owned(), bytes)
    };
    (0..count).map(entry).collect()
}

fn diagnosis(capture: &mut Capture) -> Diagnosis {
    let targets: Vec<_> = capture.targets().map(|(target, outcome)| (target.clone(), outcome.clone())).collect();
    let mut fleet = Fleet::new(&RULES);
    for (index, (target, outcome)) in targets.iter().enumerate() {
        match outcome {
            Outcome::Failed(failure) => fleet.failed(target, failure),
            Outcome::Observed(observation) => {
                let mut decoder = Decoder::new(decode::Limits::default());
                capture.frames(index).unwrap().for_each(|frame| decoder.frame(&frame.unwrap()));
                fleet.observed(target, decoder.finish(observation));
            }
        }
    }
    fleet.diagnose(RunFacts { window: Duration::from_secs(3), ..RunFacts::default() }, &Gate::default())
}

/// What a diagnosis says, without the names in it.
fn nameless(diagnosis: &Diagnosis) -> Vec<String> {
    let finding = |at: &str, finding: &fleetdiag::diagnose::Finding| {
        let fleetdiag::diagnose::Finding { rule, severity, confidence, caps, affected, of, .. } = finding;
        format!("{rule:?} {severity:?} {confidence:?} {caps:?} {affected}/{of} on {} at {at}", finding.targets.len())
    };
    let place = |location: &Option<fleetdiag::model::SpawnLocation>| {
        location.as_ref().map_or_else(String::new, |location| format!("{:?}:{}", location.origin, location.line))
    };
    let mut said: Vec<_> = diagnosis
        .hotspots
        .iter()
        .flat_map(|hotspot| {
            let at = match &hotspot.subject {
                Subject::Site(site) => place(&site.site.location),
                _ => String::new(),
            };
            hotspot.findings.iter().map(move |of| finding(&at, of)).collect::<Vec<_>>()
        })
        .collect();
    said.extend(diagnosis.sites.iter().map(|site| format!("{} {:?}", place(&site.site.site.location), site.figures)));
    for target in &diagnosis.targets {
        said.push(match &target.status {
            Status::Failed { failure, .. } => failure.reason.to_string(),
            Status::Observed { partial, counts, window, vintage, tokio_version, anomalies, findings } => {
                let kinds: Vec<_> = anomalies.iter().map(fleetdiag::model::Anomaly::kind).collect();
                format!("{partial} {counts:?} {window:?} {vintage:?} {tokio_version:?} {kinds:?} {findings:?}")
            }
        });
    }
    said.extend(diagnosis.waits.iter().map(|wait| {
        let waiters: u64 = wait.waiters.values().sum();
        format!("{waiters} wait {:?} at {}", wait.longest, place(&wait.location))
    }));
    said.extend(
        diagnosis
            .outliers
            .iter()
            .map(|outlier| format!("{} {} {}", outlier.metric, outlier.usual, outlier.explained_by.len())),
    );
    said.push(format!("{:?} {:?}", diagnosis.verdict, diagnosis.coverage));
    said.sort();
    said
}

fn position(bytes: &[u8]) -> Option<usize> {
    bytes.windows(SECRET.len()).position(|window| window.eq_ignore_ascii_case(SECRET.as_bytes()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn a_secret_in_every_text_is_nowhere_in_the_copy(new in proptest::collection::vec(a_task(), 1..6), others in others()) {
        let directory = tempfile::tempdir().unwrap();
        let frames = frames_of(new, others);
        let mut original = write(&directory.path().join("a.fdcap"), &frames);
        let copy = redact(&mut original, &directory.path().join("b.fdcap")).unwrap();
        for (name, bytes) in unpacked(&copy) {
            let found = position(name.as_bytes()).or_else(|| position(&bytes));
            prop_assert_eq!(found.map(|at| String::from_utf8_lossy(&bytes[at.saturating_sub(40)..]).into_owned()), None, "{}", name);
        }
        prop_assert_eq!(nameless(&diagnosis(&mut open(&copy).unwrap())), nameless(&diagnosis(&mut original)));
    }

    #[test]
    fn a_path_keeps_the_place_that_it_stands_for(file in file()) {
        // Nothing but the secret may differ between the two places.
        let mut original = write(&tempfile::tempdir().unwrap().path().join("a.fdcap"), &[located(&file)]);
        let copy = tempfile::tempdir().unwrap();
        let copy = redact(&mut original, &copy.path().join("b.fdcap")).unwrap();
        let before = normalize(&file, 1, 1);
        let after = location_of(&mut open(&copy).unwrap());
        let after = normalize(&after, 1, 1);
        prop_assert_eq!(&after.origin, &before.origin);
        if !before.file.contains(SECRET) {
            prop_assert_eq!(after.file, before.file);
        }
    }
}

fn located(file: &str) -> Frame {
    let location = Some(Location { file: Some(file.to_owned()), ..Location::default() });
    let new_tasks = vec![Task { location, ..Task::default() }];
    let update = Update { task_update: Some(TaskUpdate { new_tasks, ..TaskUpdate::default() }), ..Update::default() };
    Frame { stream: Stream::Updates, received: Received(1), bytes: update.encode_to_vec().into() }
}

fn location_of(capture: &mut Capture) -> String {
    let frame = capture.frames(0).unwrap().next().unwrap().unwrap();
    let update = Update::decode(frame.bytes).unwrap();
    update.task_update.unwrap().new_tasks.remove(0).location.unwrap().file.unwrap()
}

#[test]
fn a_real_fleet_is_judged_the_same_when_it_is_redacted() {
    let directory = tempfile::tempdir().unwrap();
    let mut original = open(Path::new("tests/fixtures/fleet.fdcap")).unwrap();
    let copy = redact(&mut original, &directory.path().join("b.fdcap")).unwrap();
    let before = diagnosis(&mut original);
    let after = diagnosis(&mut open(&copy).unwrap());
    assert_eq!(nameless(&after), nameless(&before));
    assert!(before.hotspots.len() > 1 && before.sites.len() > 5, "there is much to be found in it");
    // Places in the project are the same in both, so that whoever has the code can follow.
    let places = |diagnosis: &Diagnosis| -> BTreeMap<String, u64> {
        let located = diagnosis
            .sites
            .iter()
            .filter_map(|site| Some((site.site.site.location.as_ref()?.to_string(), site.figures.alive)));
        located.collect()
    };
    assert_eq!(places(&after), places(&before));
    let hosts = |diagnosis: &Diagnosis| -> Vec<String> {
        diagnosis.targets.iter().map(|target| target.id.to_string()).collect()
    };
    let ranks = |hosts: &[String]| -> Vec<usize> {
        hosts.iter().map(|host| hosts.iter().filter(|other| *other < host).count()).collect()
    };
    assert_eq!(ranks(&hosts(&after)), ranks(&hosts(&before)), "lists of hosts keep their order");
    assert!(hosts(&after).iter().all(|host| host.starts_with("host-")));
}

#[test]
fn a_message_beyond_a_mebibyte_keeps_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let mut large = located(&format!("/home/{SECRET}/src/main.rs"));
    let update = Update::decode(large.bytes.clone()).unwrap();
    let task = update.task_update.unwrap().new_tasks.remove(0);
    let new_tasks = vec![task; 30_000];
    let update = Update { task_update: Some(TaskUpdate { new_tasks, ..TaskUpdate::default() }), ..Update::default() };
    large.bytes = update.encode_to_vec().into();
    let mut original = write(&directory.path().join("a.fdcap"), &[large.clone()]);
    let copy = redact(&mut original, &directory.path().join("b.fdcap")).unwrap();
    let frame = open(&copy).unwrap().frames(0).unwrap().next().unwrap().unwrap();
    assert!(large.bytes.len().abs_diff(frame.bytes.len()) < 8, "{} {}", large.bytes.len(), frame.bytes.len());
    assert_eq!(Update::decode(frame.bytes).unwrap().task_update.unwrap().new_tasks.len(), 30_000);
}
