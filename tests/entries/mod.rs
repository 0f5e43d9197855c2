//! Everything that reads what a target, a file or a person sends, as functions of bytes. Tests and the fuzz targets of
//! `fuzz/` share them: none may panic, whatever the bytes are.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use fleetdiag::capture::{self, Capture, redact};
use fleetdiag::decode::{self, Decoder, Glance, is_paused};
use fleetdiag::diagnose::{Fleet, Gate, RunFacts};
use fleetdiag::inventory::{Inventory, Pattern};
use fleetdiag::model::{
    Ended, Endpoint, Frame, HostContext, Observation, Outcome, Received, Route, Snapshot, SpanId, Stream, Target,
    TargetId,
};
use fleetdiag::plan::{Budget, Selection, SshSettings, plan};
use fleetdiag::playbook::{self, Playbook, catalogue};
use fleetdiag::report::{Format, Options, render};

/// Stands between the messages of a stream.
pub const BETWEEN: &[u8] = b"\xff\n\xff";

/// Less than what is taken in from a console, so that bounds are hit too.
const ENTITIES: usize = 4000;

static RULES: LazyLock<Playbook> = LazyLock::new(playbook::built_in);

/// A place of this process's own.
static PLACE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
});

fn place(name: &str) -> PathBuf {
    PLACE.path().join(format!("{:?}-{name}", std::thread::current().id()))
}

pub fn messages(bytes: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        messages.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    messages.push(rest);
    messages
}

fn observation() -> Observation {
    Observation {
        ended: Ended::WindowOver,
        serves_state: Some(true),
        first_update_after: Duration::ZERO,
        bytes: 0,
        catch_up_calls: 0,
    }
}

fn target() -> Target {
    Target {
        id: TargetId { host: "relay-1".parse().unwrap(), console: None },
        service: Default::default(),
        route: Route::Direct,
        endpoint: Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: 6669 },
        attributes: Default::default(),
        thresholds: Default::default(),
        health_url: None,
        log: None,
    }
}

fn limits() -> decode::Limits {
    decode::Limits { entities: ENTITIES, details: 16 }
}

/// A stream of updates: looked at as while collecting, folded, judged and reported.
pub fn updates(bytes: &[u8]) {
    let mut glance = Glance::new(16);
    let mut decoder = Decoder::new(limits());
    for (at, message) in messages(bytes).into_iter().enumerate() {
        let (glanced, folded) = (glance.update(message), decoder.update(Received(at as i64), message));
        assert_eq!(glanced.is_ok(), folded.is_ok(), "collecting and judging disagree about what an update is");
        let _ = (glance.lag(), glance.tick(), glance.seen(), glance.suspects(), is_paused(message));
    }
    assert!(glance.suspects().len() <= 16);
    whole(decoder.finish(&observation()), bytes.len());
}

/// A full state, followed by the histograms of its tasks, one after the other.
pub fn details(bytes: &[u8]) {
    let mut decoder = Decoder::new(limits());
    let mut messages = messages(bytes).into_iter();
    let _ = decoder.update(Received(0), messages.next().unwrap_or_default());
    for (at, message) in messages.enumerate() {
        let frame = Frame {
            stream: Stream::Details(SpanId(1 + at as u64)),
            received: Received(0),
            bytes: message.to_vec().into(),
        };
        decoder.frame(&frame);
        decoder.state(message);
    }
    whole(decoder.finish(&observation()), bytes.len());
}

/// What is made of a snapshot: a diagnosis, and one of the formats of its report.
fn whole(snapshot: Snapshot, choice: usize) {
    assert!(snapshot.tasks.len() + snapshot.resources.len() + snapshot.async_ops.len() <= ENTITIES);
    let mut fleet = Fleet::new(&RULES);
    fleet.observed(&target(), snapshot);
    let diagnosis = fleet.diagnose(RunFacts::default(), &Gate::default());
    let name = Format::names().nth(choice % Format::names().count()).unwrap();
    let options = Options { width: 80, color: false, unicode: true, top: None, verbose: true, links: None };
    assert!(!render(name.parse().unwrap(), &diagnosis, &options).is_empty());
}

/// A whole capture: opened, read, merged with itself and redacted.
pub fn capture(bytes: &[u8]) {
    let path = place("a.fdcap");
    fs::write(&path, bytes).unwrap();
    let limits = capture::Limits {
        json_bytes: 1 << 20,
        all_json_bytes: 4 << 20,
        message_bytes: 1 << 20,
        target_bytes: 4 << 20,
        targets: 200,
    };
    let open = || Capture::open(&path, limits);
    let mut opened = match open() {
        Ok(opened) => opened,
        Err(error) => return assert!(error.to_string().contains("a.fdcap")),
    };
    let outcomes: Vec<Outcome> = opened.targets().map(|(_, outcome)| outcome.clone()).collect();
    for (index, outcome) in outcomes.iter().enumerate() {
        let Outcome::Observed(observation) = outcome else { continue };
        let mut decoder = Decoder::new(self::limits());
        for frame in opened.frames(index).into_iter().flatten().map_while(Result::ok) {
            decoder.frame(&frame);
        }
        whole(decoder.finish(observation), index);
    }
    type Copying<'a> = &'a dyn Fn(&Path) -> bool;
    let copies: [(&str, Copying<'_>); 2] = [
        ("redacted.fdcap", &|path| redact(&mut open().unwrap(), path).is_ok()),
        ("merged.fdcap", &|path| capture::merge(vec![open().unwrap(), open().unwrap()], path).is_ok()),
    ];
    for (name, copy) in copies {
        let path = place(name);
        if copy(&path) {
            let copy = Capture::open(&path, capture::Limits::default()).unwrap();
            assert_eq!(copy.targets().len(), outcomes.len(), "{name}");
        }
    }
}

/// An inventory file, as YAML and as INI: every host is resolved and planned.
pub fn inventory(bytes: &[u8]) {
    for name in ["hosts.yaml", "hosts"] {
        let path = place(name);
        fs::write(&path, bytes).unwrap();
        let inventory = match Inventory::load(&[path.display().to_string()]) {
            Ok(inventory) => inventory,
            Err(errors) => {
                assert!(!errors.to_string().is_empty());
                continue;
            }
        };
        for host in inventory.hosts().take(100) {
            let resolved = inventory.resolve(host);
            let _ = (resolved.variables().count(), resolved.vars().is_ok());
        }
        let selection = Selection { patterns: vec![Pattern::parse("all").unwrap()], ..Selection::default() };
        let _ = plan(Some(&inventory), &selection, Budget::default(), SshSettings::default());
    }
}

/// What our commands on a server print: of its processes, of a health URL, and the end of a log.
pub fn server(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut context = HostContext::default();
    decode::process_facts(&mut context, &text);
    if let Some(process) = &context.process {
        let _ = decode::forwards(process);
    }
    context.health = decode::health("http://localhost/health", &text, &text).ok();
    context.log = Some(decode::log_tail("/var/log/relay.log", &text, bytes.len().is_multiple_of(2)));
    let mut fleet = Fleet::new(&RULES);
    fleet.surrounded(&target(), context);
    let mut decoder = Decoder::new(limits());
    let _ = decoder.update(Received(0), &[]);
    fleet.observed(&target(), decoder.finish(&observation()));
    let diagnosis = fleet.diagnose(RunFacts::default(), &Gate::default());
    let options = Options { width: 80, color: false, unicode: true, top: None, verbose: true, links: None };
    assert!(!render("human".parse().unwrap(), &diagnosis, &options).is_empty());
}

/// A playbook file.
pub fn playbook(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match playbook::load(Path::new("playbook.yaml"), text, catalogue()) {
        Ok(playbook) => {
            let fleet = Fleet::new(&playbook);
            let _ = fleet.diagnose(RunFacts::default(), &Gate::default());
        }
        Err(complaints) => assert!(!complaints.to_string().is_empty()),
    }
}
