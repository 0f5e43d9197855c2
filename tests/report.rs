//! Reports from recorded and made-up evidence.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::num::NonZeroU64;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use fleetdiag::capture::{Capture, Limits};
use fleetdiag::decode::{self, Decoder};
use fleetdiag::diagnose::{Diagnosis, Fleet, Gate, RunFacts};
use fleetdiag::model::{
    Anomaly, Endpoint, Failure, FutureSize, NameIndex, ObservationWindow, Outcome, Reason, Route, Sample, Service,
    Site, SiteIndex, Snapshot, SpanId, SpawnLocation, Target, TargetId, TargetTime, Task, TaskKind, TaskStats,
};
use fleetdiag::playbook::{self, Playbook};
use fleetdiag::report::{Format, Options, render};
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

/// The demo fleet with two hosts more, one that does not resolve and one without a console.
const FLEET: &str = "tests/fixtures/fleet.fdcap";

static RULES: LazyLock<Playbook> = LazyLock::new(playbook::built_in);

const PLAIN: Options = Options { width: 100, color: false, unicode: true, top: None, verbose: false, links: None };

enum Seen {
    Observed(Target, Box<Snapshot>),
    Failed(Target, Failure),
}

fn recorded() -> Vec<Seen> {
    let mut capture = Capture::open(Path::new(FLEET), Limits::default()).unwrap();
    let targets: Vec<_> = capture.targets().map(|(target, outcome)| (target.clone(), outcome.clone())).collect();
    let read = |(index, (target, outcome)): (usize, (Target, Outcome))| match outcome {
        Outcome::Failed(failure) => Seen::Failed(target, failure),
        Outcome::Observed(observation) => {
            let mut decoder = Decoder::new(decode::Limits::default());
            capture.frames(index).unwrap().for_each(|frame| decoder.frame(&frame.unwrap()));
            Seen::Observed(target, Box::new(decoder.finish(&observation)))
        }
    };
    targets.into_iter().enumerate().map(read).collect()
}

fn diagnose<'a>(seen: impl IntoIterator<Item = &'a Seen>) -> Diagnosis {
    let mut fleet = Fleet::new(&RULES);
    for seen in seen {
        match seen {
            Seen::Observed(target, snapshot) => fleet.observed(target, Snapshot::clone(snapshot)),
            Seen::Failed(target, failure) => fleet.failed(target, failure),
        }
    }
    let run =
        RunFacts { started: "2026-11-24T15:03:14Z".into(), window: Duration::from_secs(3), ..RunFacts::default() };
    fleet.diagnose(run, &Gate::default())
}

/// What the program prints of the recorded fleet.
fn analyze(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
    let output = command.args(["analyze", FLEET]).args(args).env("LC_ALL", "C.UTF-8").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_human_report() {
    insta::assert_snapshot!("human-100", analyze(&[]));
    insta::assert_snapshot!("human-80-verbose", analyze(&["--width", "80", "--verbose"]));
    insta::assert_snapshot!("human-top", analyze(&["--top", "1"]));
}

/// The demo fleet, recorded with everything that is collected: a deadlock, a leak, histograms, what is waited for.
const FAULTS: &str = "tests/fixtures/faults.fdcap";

#[test]
fn contention_and_distributions_of_a_recorded_fleet_are_in_every_format() {
    let print = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
        command.args(["analyze", FAULTS]).args(args).env("LC_ALL", "C.UTF-8");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let human = print(&[]);
    assert!(human.contains("Contention") && human.contains("CRITICAL deadlock"), "{human}");
    assert!(human.contains("polls    ") && human.contains("p99"), "{human}");
    let json: serde_json::Value = serde_json::from_str(&print(&["-o", "json"])).unwrap();
    assert!(json["waits"].as_array().unwrap().len() >= 2, "both locks of the deadlock");
    assert!(json["sites"].as_array().unwrap().iter().filter(|site| site["polls"].is_object()).count() >= 4);
    let names = |document: &serde_json::Value| -> Vec<String> {
        let places = document["hotspots"].as_array().unwrap().iter();
        let found = places.flat_map(|place| place["findings"].as_array().unwrap());
        found.map(|finding| finding["name"].as_str().unwrap().to_owned()).collect()
    };
    let found = names(&json);
    let formats = ["markdown", "html", "sarif", "junit", "github", "openmetrics", "ndjson"];
    let texts = formats.map(|format| print(&["-o", format]));
    for rule in ["lost-waker", "never-yielded", "stuck-poll", "deadlock", "spinning", "task-leak"] {
        assert!(found.iter().any(|name| name == rule), "{rule} is not in {found:?}");
        for (format, text) in formats.iter().zip(&texts) {
            assert!(text.contains(rule), "{rule} is not in {format}");
        }
    }
    assert!(texts[1].contains("h-waits"), "the wait graph is drawn");
}

#[test]
fn the_json_report() {
    let text = analyze(&["-o", "json"]);
    // One site stands for all of them.
    let (head, sites) = text.split_once("  \"sites\": [").unwrap();
    let (first, _) = sites.split_once("\n    },").unwrap();
    insta::assert_snapshot!("json", format!("{head}  \"sites\": [{first}\n    }}, ..."));
}

#[test]
fn a_report_fits_its_columns_with_and_without_colour_and_unicode() {
    let diagnosis = diagnose(&recorded());
    for width in [60, 72, 80, 100, 132, 200] {
        for (unicode, verbose) in [(true, false), (false, false), (false, true)] {
            let options = Options { width, unicode, verbose, ..PLAIN };
            let plain = render(Format::Human, &diagnosis, &options);
            for line in plain.lines() {
                assert!(line.width() <= width, "{width}: {line}");
                assert!(unicode || line.is_ascii(), "{line}");
            }
            let colored = render(Format::Human, &diagnosis, &Options { color: true, ..options });
            assert_ne!(colored, plain);
            assert_eq!(anstyle_free(&colored), plain, "colour adds nothing but colour");
        }
    }
}

fn anstyle_free(text: &str) -> String {
    regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap().replace_all(text, "").into_owned()
}

#[test]
fn the_format_does_not_change_the_verdict() {
    let diagnosis = diagnose(&recorded());
    let json: serde_json::Value = serde_json::from_str(&render(Format::Json, &diagnosis, &PLAIN)).unwrap();
    assert_eq!((&json["verdict"], &json["exit_code"]), (&"fail".into(), &1.into()));
    assert!(render(Format::Human, &diagnosis, &PLAIN).starts_with("FAIL"));
    let coverage = &json["coverage"];
    let sum = ["complete", "partial", "failed"].map(|part| coverage[part].as_u64().unwrap()).iter().sum::<u64>();
    assert_eq!((sum, json["targets"].as_array().unwrap().len()), (coverage["planned"].as_u64().unwrap(), 12));
}

/// A text that would move the cursor, set the title, end a line and turn the reading order around.
const HOSTILE: &str = "x\u{1b}]0;owned\u{7}\u{9b}31m\r\n\u{202e}\u{200b}\u{7f}";

fn hostile() -> Diagnosis {
    let target = |host: &str| Target {
        id: TargetId { host: host.parse().unwrap(), console: Some(HOSTILE.into()) },
        service: Service(HOSTILE.into()),
        route: Route::Direct,
        endpoint: Endpoint::Tcp { host: HOSTILE.into(), port: 1 },
        attributes: [(HOSTILE.to_owned(), HOSTILE.to_owned())].into(),
        health_url: None,
        log: None,
    };
    let at = TargetTime::from_nanos;
    let lost =
        TaskStats { waker_clones: 1, waker_drops: 1, polls: 1, last_poll_ended: Some(at(1)), ..TaskStats::default() };
    let task = Task {
        id: SpanId(1),
        created_at: at(1),
        site: SiteIndex(0),
        task_id: NonZeroU64::new(1),
        name: NameIndex::new(0),
        size: FutureSize::new(Some(1 << 20), None),
        first_at: at(10),
        earlier: None,
        last: Sample { at: at(20), stats: lost },
    };
    let location =
        SpawnLocation { origin: decode::normalize(HOSTILE, 1, 1).origin, file: HOSTILE.into(), line: 1, column: 1 };
    let site = Site {
        location: Some(location),
        kind: TaskKind::Task,
        fn_name: Some(HOSTILE.into()),
        name: Some(HOSTILE.into()),
    };
    let snapshot = Snapshot {
        window: ObservationWindow { first: Some(at(10)), last: Some(at(20)), updates: 2, publish_interval: None },
        tokio_version: Some(HOSTILE.into()),
        sites: vec![site],
        names: vec![HOSTILE.into()],
        tasks: vec![task],
        anomalies: vec![Anomaly::EndedEarly { why: HOSTILE.into() }, Anomaly::BoundHit { bound: HOSTILE.into() }],
        ..Snapshot::default()
    };
    let failure = Failure::new(Reason::NotGrpc, HOSTILE);
    diagnose(&[Seen::Observed(target("a"), Box::new(snapshot)), Seen::Failed(target("b"), failure)])
}

#[test]
fn nothing_that_a_target_says_reaches_the_terminal_as_control() {
    let diagnosis = hostile();
    assert_eq!(diagnosis.hotspots.len(), 2, "the site, and its console beyond loopback: {diagnosis:#?}");
    for format in [Format::Human, Format::Json] {
        for verbose in [false, true] {
            let text = render(format, &diagnosis, &Options { verbose, ..PLAIN });
            assert!(text.contains("owned"), "the text itself is shown");
            let bad = text.chars().find(|&c| (c.is_control() && c != '\n') || matches!(c, '\u{200b}' | '\u{202e}'));
            assert_eq!(bad, None, "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_order_in_which_hosts_answer_never_shows(order in Just((0..12).collect::<Vec<usize>>()).prop_shuffle()) {
        static RECORDED: LazyLock<Vec<Seen>> = LazyLock::new(recorded);
        static IN_ORDER: LazyLock<Diagnosis> = LazyLock::new(|| diagnose(&*RECORDED));
        let shuffled = diagnose(order.iter().map(|&index| &RECORDED[index]));
        prop_assert!(shuffled == *IN_ORDER);
        prop_assert_eq!(render(Format::Json, &shuffled, &PLAIN), render(Format::Json, &IN_ORDER, &PLAIN));
    }
}

#[test]
fn shards_add_up_to_the_whole() {
    let directory = tempfile::tempdir().unwrap();
    let fleetdiag = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_fleetdiag")).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let again = directory.path().join("again.fdcap");
    let again = again.to_str().unwrap();
    assert_eq!(fleetdiag(&["merge", FLEET, FLEET, "-o", again]).0, Some(0));
    assert_eq!(fleetdiag(&["analyze", again]), fleetdiag(&["analyze", FLEET]));
}
