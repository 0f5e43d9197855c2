//! Reports from recorded and made-up evidence.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod variants;

use std::num::NonZeroU64;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use fleetdiag::capture::{Capture, Limits};
use fleetdiag::decode::{self, Decoder};
use fleetdiag::diagnose::{Diagnosis, Explanation, Fleet, Gate, RunFacts};
use fleetdiag::model::{
    Anomaly, AsyncOp, Endpoint, Failure, FutureSize, Histograms, NameIndex, ObservationWindow, Outcome, Reason,
    Resource, Route, Sample, Service, Site, SiteIndex, Snapshot, SpanId, SpawnLocation, Target, TargetId, TargetTime,
    Task, TaskKind, TaskStats, TimeHistogram,
};
use fleetdiag::playbook::{self, Playbook};
use fleetdiag::report::{Format, Options, render};
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;
use variants::Variant;

/// The demo fleet with two hosts more, one that does not resolve and one without a console.
const FLEET: &str = "tests/fixtures/fleet.fdcap";

static RULES: LazyLock<Playbook> = LazyLock::new(playbook::built_in);

const PLAIN: Options = Options { width: 100, color: false, unicode: true, top: None, verbose: false, links: None };

enum Seen {
    Observed(Target, Box<Snapshot>),
    Failed(Target, Failure),
}

impl Seen {
    fn id(&self) -> &TargetId {
        match self {
            Self::Observed(target, _) | Self::Failed(target, _) => &target.id,
        }
    }
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
    diagnose_by(&RULES, seen)
}

fn diagnose_by<'a>(playbook: &Playbook, seen: impl IntoIterator<Item = &'a Seen>) -> Diagnosis {
    let mut fleet = Fleet::new(playbook);
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
fn what_a_place_explains_stands_beneath_it() {
    let mut diagnosis = diagnose(&recorded());
    let places = |diagnosis: &Diagnosis, options: &Options| -> Vec<String> {
        let text = render(Format::Human, diagnosis, options);
        let is_place =
            |line: &&str| line.trim_start().split_once('.').is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        text.lines().filter(is_place).map(|line| line.split(". ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(places(&diagnosis, &PLAIN)[..4], ["1", "2", "3", "4"]);
    diagnosis.hotspots[2].explained_by = Some(Explanation { cause: diagnosis.hotspots[0].subject.clone(), steps: 1 });
    assert_eq!(places(&diagnosis, &PLAIN)[..4], ["1", "    3", "2", "4"]);
    assert_eq!(places(&diagnosis, &Options { verbose: true, ..PLAIN })[..4], ["1", "2", "3", "4"]);
    assert_eq!(places(&diagnosis, &Options { top: Some(2), ..PLAIN }), ["1", "2"]);
    // A cause that ranks behind what it explains takes nothing away from its place.
    diagnosis.hotspots[2].explained_by = Some(Explanation { cause: diagnosis.hotspots[3].subject.clone(), steps: 1 });
    assert_eq!(places(&diagnosis, &PLAIN)[..4], ["1", "2", "3", "4"]);
}

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
                let is_address = line.trim_start().starts_with("https://");
                assert!(line.width() <= width || is_address, "{width}: {line}");
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
        thresholds: [(HOSTILE.to_owned(), [(HOSTILE.to_owned(), HOSTILE.to_owned())].into())].into(),
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

#[test]
fn thresholds_of_the_inventory_hold_for_their_hosts_and_flags_beat_them() {
    // The limits of one rule on single hosts, and what it then says.
    let found = |playbook: &Playbook, rule: &str, limits: &[(&str, &str)]| {
        let mut seen = recorded();
        for seen in &mut seen {
            let Seen::Observed(target, _) = seen else { continue };
            for (host, limit) in limits.iter().filter(|(host, _)| target.id.host.as_str() == *host) {
                let (name, value) = limit.split_once('=').unwrap();
                let limits = [(name.to_owned(), value.to_owned())].into();
                assert!(target.thresholds.insert(rule.to_owned(), limits).is_none(), "{host}");
            }
        }
        let diagnosis = diagnose_by(playbook, &seen);
        let findings = diagnosis.hotspots.into_iter().flat_map(|hotspot| hotspot.findings);
        let found = findings.filter(|finding| finding.rule.0 == rule);
        found.map(|finding| (finding.message, finding.targets.into_keys().collect::<Vec<_>>())).collect::<Vec<_>>()
    };
    assert_eq!(found(&RULES, "FD102", &[]).len(), 1);
    assert_eq!(found(&RULES, "FD102", &[("jobs-02", "age=1h")]), []);
    assert_eq!(found(&RULES, "FD102", &[("jobs-01", "age=1h")]).len(), 1, "of another host");
    assert_eq!(found(&RULES, "FD102", &[("jobs-02", "age=soon")]).len(), 1, "a capture may hold anything");
    let mut pinned = RULES.clone();
    pinned.set("stuck-poll.age=2s").unwrap();
    assert_eq!(found(&pinned, "FD102", &[("jobs-02", "age=1h")]).len(), 1, "the command line counts more");

    let one = found(&RULES, "FD005", &[("relay-02", "size_bytes=1")]);
    let is_told =
        |(message, targets): &(String, Vec<TargetId>)| targets.len() == 1 && message.contains("take 1 bytes or");
    assert!(one.iter().any(is_told), "{one:?}");
    let two = found(&RULES, "FD005", &[("relay-02", "size_bytes=1"), ("relay-03", "size_bytes=2")]);
    assert!(two.iter().any(|(message, _)| message.contains("take 1 bytes to 2 bytes or more")), "{two:?}");
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

/// A host of a made fleet: tasks that wait for a lock, whose histograms were read, and of which it has as many more
/// as `load` says.
fn made(number: usize, load: u64, held: bool) -> Seen {
    let at = |second: i64| TargetTime::from_nanos(second * 1_000_000_000);
    let location = |line| SpawnLocation { column: 5, ..decode::normalize("src/main.rs", line, 5) };
    let task = |id: u64| {
        let stats = |polls| TaskStats { polls, wakes: polls, last_poll_ended: Some(at(9)), ..TaskStats::default() };
        Task {
            id: SpanId(id),
            created_at: at(1 + i64::try_from(id % 7).unwrap()),
            site: SiteIndex(u32::from(id % 2 == 1)),
            task_id: NonZeroU64::new(id),
            name: None,
            size: FutureSize::UNKNOWN,
            first_at: at(10),
            earlier: Some(Box::new(stats(10))),
            last: Sample { at: at(20), stats: stats(10 + load * id) },
        }
    };
    let mut tasks: Vec<_> = (1..=5 + load * 5).map(task).collect();
    tasks.sort_by_key(|task| (task.created_at, task.id));
    let histogram = |task: &Task| {
        let mut values = hdrhistogram::Histogram::<u64>::new(2).unwrap();
        (1..=load * 7).for_each(|time| values.record(time * 100_000 * task.id.0).unwrap());
        Some(TimeHistogram { outliers: load % 2, ..TimeHistogram::of(&values) })
    };
    let close = tasks
        .iter()
        .take(4)
        .map(|task| ((task.id, task.created_at), Histograms { polls: histogram(task), scheduled: histogram(task) }));
    let lock = Resource {
        id: SpanId(100),
        created_at: at(1),
        dropped_at: None,
        parent: None,
        concrete_type: "Mutex".into(),
        kind: "Sync".into(),
        location: Some(location(3).into()),
        is_internal: false,
        attributes: Box::default(),
    };
    let wait = |task: u64| AsyncOp {
        id: SpanId(200 + task),
        created_at: at(9),
        dropped_at: None,
        source: "Mutex::lock".into(),
        resource: Some(SpanId(100)),
        task: Some(SpanId(task)),
        parent: None,
        polls: 1,
        last_poll_started: Some(at(9)),
        last_poll_ended: Some(at(9)),
        attributes: Box::default(),
    };
    let site = |line| Site {
        location: Some(location(line)),
        kind: TaskKind::Task,
        fn_name: None,
        name: Some("conn-#".into()),
    };
    let snapshot = Snapshot {
        window: ObservationWindow { first: Some(at(10)), last: Some(at(20)), updates: 11, publish_interval: None },
        tokio_version: Some(format!("1.{}.0", 50 + load % 3)),
        sites: vec![site(7), site(8)],
        details: close.collect(),
        resources: vec![lock],
        async_ops: if held { (1..=3).map(wait).collect() } else { Vec::new() },
        tasks,
        ..Snapshot::default()
    };
    let target = Target {
        id: TargetId { host: format!("relay-{number}").parse().unwrap(), console: None },
        service: Service("relay".into()),
        route: Route::Direct,
        endpoint: Endpoint::Tcp { host: "127.0.0.1".into(), port: 1 },
        attributes: [("version".to_owned(), load.to_string())].into(),
        thresholds: Default::default(),
        health_url: None,
        log: None,
    };
    Seen::Observed(target, Box::new(snapshot))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn waits_distributions_and_odd_hosts_do_not_depend_on_order(
        (loads, order) in proptest::collection::vec((0u64..8, any::<bool>()), 1..8)
            .prop_flat_map(|loads| { let hosts = (0..loads.len()).collect::<Vec<_>>(); (Just(loads), Just(hosts).prop_shuffle()) })
    ) {
        let fleet: Vec<_> = loads.iter().enumerate().map(|(number, (load, held))| made(number, *load, *held)).collect();
        let (whole, shuffled) = (diagnose(&fleet), diagnose(order.iter().map(|&host| &fleet[host])));
        for format in [Format::Json, Format::Human, Format::Markdown] {
            prop_assert_eq!(render(format, &shuffled, &PLAIN), render(format, &whole, &PLAIN));
        }
        prop_assert_eq!((whole.verdict, whole.exit_code), (shuffled.verdict, shuffled.exit_code));
    }
}

/// The property above says nothing of what is not there.
#[test]
fn the_made_fleet_has_waits_distributions_and_odd_hosts() {
    let whole = diagnose(&[made(0, 1, true), made(1, 1, true), made(2, 1, false), made(3, 7, true)]);
    assert_eq!((whole.waits.len(), whole.waits[0].targets.len()), (1, 3), "{:#?}", whole.waits);
    assert!(whole.sites.iter().all(|site| site.polls.is_some() && site.scheduled.is_some()), "{:#?}", whole.sites);
    let odd = |outlier: &fleetdiag::diagnose::Outlier| outlier.targets.keys().any(|id| id.to_string() == "relay-3");
    assert!(whole.outliers.iter().any(odd), "{:#?}", whole.outliers);
}

/// Three shards of the recorded fleet, merged in both ways.
#[test]
fn merging_shards_is_associative_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    let hosts: Vec<String> = recorded().iter().map(|seen| seen.id().to_string()).collect();
    let shard = |number: usize| {
        let mine = hosts.iter().enumerate().filter(|(at, _)| at % 3 == number);
        let targets: Vec<_> = mine.map(|(_, host)| (host.as_str(), host.as_str())).collect();
        let variant = Variant { targets: &targets, ..Variant::default() };
        variants::variant(directory.path(), &format!("{number}.fdcap"), &variant)
    };
    let shards = [0, 1, 2].map(shard);
    let merged = |name: &str, parts: &[&Path]| {
        let parts = parts.iter().map(|part| Capture::open(part, Limits::default()).unwrap()).collect();
        fleetdiag::capture::merge(parts, &directory.path().join(name)).unwrap()
    };
    let [a, b, c] = shards.each_ref().map(std::path::PathBuf::as_path);
    let left = merged("left.fdcap", &[&merged("ab.fdcap", &[a, b]), c]);
    let right = merged("right.fdcap", &[a, &merged("bc.fdcap", &[c, b])]);
    let at_once = merged("at-once.fdcap", &[c, a, b]);
    let read =
        |path: &Path, format| variants::fleetdiag(directory.path(), &["analyze", path.to_str().unwrap(), "-o", format]);
    for format in ["json", "human", "junit"] {
        let whole = read(&at_once, format);
        assert_eq!(whole.0, 1, "{}", whole.2);
        assert_eq!(read(&left, format), whole);
        assert_eq!(read(&right, format), whole);
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
