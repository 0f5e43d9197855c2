//! Real programs with real consoles of every vintage, in every state that makes observing them hard.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::instrument_server::{Instrument, InstrumentServer};
use console_api::instrument::{
    InstrumentRequest, PauseRequest, PauseResponse, ResumeRequest, ResumeResponse, State, StateRequest,
    TaskDetailsRequest, Temporality, Update,
};
use console_api::tasks::{Stats, Task, TaskDetails, TaskUpdate};
use fleetdiag::capture::{Capture, Limits};
use fleetdiag::decode::{self, Decoder};
use fleetdiag::model::{Outcome, Site, Stream};
use harness::{Lab, Program, rebuilt, report, target};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio_stream::{Stream as Messages, StreamExt, iter};
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};
use tonic::{Request, Response, Status};

/// A laboratory with one host whose console is `program`'s.
fn lab_with(release: &str, program: &str) -> (Lab, Program) {
    let mut lab = Lab::new();
    let program = Program::vintage(&lab, release, program, &[]);
    lab.good_host("host", &program.address);
    (lab, program)
}

/// What a snapshot of the one host reports of it, and its exit code, which says nothing of findings here.
fn snapshot(lab: &Lab, args: &[&str]) -> (Value, i32) {
    let capture = lab.path("run.fdcap");
    let mut command = lab.snapshot(&["all", "-w", "1s", "--fail-on", "never", "--save"]);
    let (report, code) = report(command.arg(&capture).args(args));
    (target(&report, "host").clone(), code)
}

/// A fleet of two builds: on the one host with the newer one all lines are further down, and a call blocks.
#[test]
fn a_release_that_blocks_is_named_and_its_moved_places_are_shown_once() {
    const FURTHER_DOWN: usize = 7;
    let newer = rebuilt("relay-1-4-2", |programs| {
        let blocking = "fn flush() {\n    std::thread::sleep(Duration::from_millis(300));\n}\n";
        let above = format!("{}use std::future::pending;", "// Of the newer release.\n".repeat(FURTHER_DOWN));
        assert!(programs.contains("fn flush() {}\n"));
        programs.replace("fn flush() {}\n", blocking).replace("use std::future::pending;", &above)
    });
    let mut lab = Lab::new();
    let older = ["relay-1", "relay-2"].map(|host| (host, Program::vintage(&lab, "0.5.0", "relay", &[])));
    let newer = Program::of_build(&newer, &lab, "relay");
    for (host, program) in older.iter().map(|(host, program)| (*host, program)).chain([("relay-3", &newer)]) {
        lab.good_host(host, &program.address);
    }
    let facts = "all:\n  vars: {service: relay, version: 1.4.1}\n  hosts:\n    relay-3: {version: 1.4.2}\n";
    std::fs::write(lab.path("facts.yaml"), facts).unwrap();
    let (report, _) = report(lab.snapshot(&["all", "-w", "4s"]).arg("-i").arg(lab.path("facts.yaml")));

    let places: Vec<_> = report["sites"].as_array().unwrap().iter().filter(|site| is_of_programs(site)).collect();
    assert_eq!(places.len(), 2, "each of the two places once: {places:#?}");
    assert!(places.iter().all(|place| place["targets"].as_object().unwrap().len() == 3), "{places:#?}");
    let worst = &report["hotspots"][0];
    assert_eq!(worst["findings"][0]["name"], "long-poll", "{worst:#}");
    assert_eq!(worst["findings"][0]["targets"], serde_json::json!({"relay-3": 1}), "{worst:#}");
    let line = places.iter().filter_map(|place| place["location"]["line"].as_u64()).min().unwrap();
    assert_eq!(worst["subject"]["location"]["line"], line, "{worst:#}");
    let related = worst["related"].to_string();
    let moved = format!("in the build on relay-3 this place is src/programs.rs:{}", line + FURTHER_DOWN as u64);
    for told in ["relay-3 is the only host with version 1.4.2 (the others have 1.4.1)", &moved] {
        assert!(related.contains(told), "{told}: {related}");
    }
}

fn is_of_programs(site: &Value) -> bool {
    site["location"]["file"] == "src/programs.rs"
}

/// How the last snapshot ended, and how many messages came on each stream.
fn evidence(lab: &Lab) -> (Outcome, BTreeMap<&'static str, usize>) {
    let mut capture = Capture::open(&lab.path("run.fdcap"), Limits::default()).unwrap();
    let outcome = capture.targets().next().unwrap().1.clone();
    let mut frames = BTreeMap::new();
    for frame in capture.frames(0).unwrap() {
        let stream = match frame.unwrap().stream {
            Stream::Updates => "updates",
            Stream::State => "state",
            Stream::Details(_) => "details",
        };
        *frames.entry(stream).or_default() += 1;
    }
    (outcome, frames)
}

/// How many tasks of each site a target showed.
fn sites(capture: &mut Capture, target: usize) -> BTreeMap<Site, usize> {
    let Outcome::Observed(observation) = capture.targets().nth(target).unwrap().1.clone() else { panic!("failed") };
    let mut decoder = Decoder::new(decode::Limits::default());
    for frame in capture.frames(target).unwrap() {
        decoder.frame(&frame.unwrap());
    }
    let snapshot = decoder.finish(&observation);
    let mut sites = BTreeMap::new();
    for task in &snapshot.tasks {
        *sites.entry(snapshot.sites[task.site.0 as usize].clone()).or_default() += 1;
    }
    sites
}

fn anomaly<'a>(target: &'a Value, kind: &str) -> Option<&'a Value> {
    target["anomalies"].as_array().unwrap().iter().find(|anomaly| anomaly["kind"] == kind)
}

fn lag(target: &Value) -> Option<u64> {
    anomaly(target, "ingest-lag").map(|anomaly| anomaly["lag"]["secs"].as_u64().unwrap())
}

fn catch_up_calls(lab: &Lab) -> u32 {
    match evidence(lab).0 {
        Outcome::Observed(observation) => observation.catch_up_calls,
        Outcome::Failed(failure) => panic!("{failure:?}"),
    }
}

/// Runs what talks to a console itself.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

async fn client(program: &Program) -> InstrumentClient<Channel> {
    let path = program.address.trim_start_matches("unix:").to_owned();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    InstrumentClient::new(Endpoint::from_static("http://console").connect_with_connector(connector).await.unwrap())
}

/// The console's state, and the polls that it has kept for somebody else than us. They are kept only while somebody
/// watches, and these programs have hundreds a second.
async fn polls_kept(client: &mut InstrumentClient<Channel>) -> (Temporality, usize) {
    let mut states = client.watch_state(StateRequest {}).await.unwrap().into_inner();
    let mut state = states.message().await.unwrap().unwrap();
    // A watcher that went away is noticed when it is to be told something: at the next tick.
    for _ in 0..3 {
        state = states.message().await.unwrap().unwrap();
    }
    let mut updates = client.watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
    let first = updates.message().await.unwrap().unwrap();
    (state.temporality(), first.resource_update.unwrap().new_poll_ops.len())
}

#[test]
fn every_vintage_is_observed_whole_and_named() {
    const VINTAGES: [(&str, &str); 5] = [
        ("0.1.10", "console-subscriber 0.1.9–0.2"),
        ("0.2.0", "console-subscriber 0.1.9–0.2"),
        ("0.3.0", "console-subscriber before 0.5"),
        ("0.4.1", "console-subscriber before 0.5"),
        ("0.5.0", "console-subscriber 0.5 or newer"),
    ];
    let mut lab = Lab::new();
    let programs = VINTAGES.map(|(release, _)| Program::vintage(&lab, release, "small", &[]));
    for ((release, _), program) in VINTAGES.iter().zip(&programs) {
        lab.good_host(release, &program.address);
    }
    let (report, code) = report(lab.snapshot(&["all", "--fail-on", "never", "--save"]).arg(lab.path("run.fdcap")));
    assert_eq!(code, 0, "{report:#}");
    let mut capture = Capture::open(&lab.path("run.fdcap"), Limits::default()).unwrap();
    let sites: Vec<_> = (0..VINTAGES.len()).map(|target| sites(&mut capture, target)).collect();
    assert!(sites.iter().all(|same| *same == sites[0]), "{sites:#?}");
    for (release, name) in VINTAGES {
        let target = target(&report, release);
        assert_eq!(target["status"], "complete", "{target:#}");
        assert_eq!(target["console"], name, "{target:#}");
        assert_eq!((&target["tasks"]["alive"], &target["tasks"]["completed"]), (&16.into(), &2.into()), "{target:#}");
        assert_eq!((&target["tasks"]["born"], &target["tasks"]["died"]), (&0.into(), &0.into()), "{target:#}");
    }
}

#[test]
fn a_burst_that_the_console_has_not_taken_in_is_caught_up_with() {
    let (lab, _program) = lab_with("0.5.0", "burst");
    // A request for details makes the console catch up a little too.
    let (lagging, _) = snapshot(&lab, &["--no-catch-up", "--max-details", "0"]);
    assert!(anomaly(&lagging, "ingest-lag").is_some(), "{lagging:#}");
    assert!(lagging["tasks"]["alive"].as_u64().unwrap() < 2002, "{lagging:#}");
    assert_eq!(catch_up_calls(&lab), 0);
    let (whole, code) = snapshot(&lab, &[]);
    assert_eq!((code, &whole["tasks"]["alive"]), (0, &2002.into()), "{whole:#}");
    assert!(anomaly(&whole, "ingest-lag").is_none(), "{whole:#}");
    assert!((1..=500).contains(&catch_up_calls(&lab)));
}

#[test]
fn five_thousand_tasks_a_second_are_seen_late_and_said_to_be() {
    let mut lab = Lab::new();
    let retention = [("TOKIO_CONSOLE_RETENTION", "2s")];
    let program = Program::vintage(&lab, "0.5.0", "five-thousand-a-second", &retention);
    lab.good_host("host", &program.address);
    let (lagging, _) = snapshot(&lab, &["--no-catch-up"]);
    let late = lag(&lagging).unwrap_or_else(|| panic!("no lag: {lagging:#}"));
    assert!(late >= 1, "{lagging:#}");
    assert!(anomaly(&lagging, "ingest-lag").unwrap()["text"].as_str().unwrap().contains("newest tasks"));
    let (helped, _) = snapshot(&lab, &[]);
    assert!(lag(&helped).unwrap_or(0) < late, "{lagging:#}\n{helped:#}");
    assert!((1..=500).contains(&catch_up_calls(&lab)));
}

#[test]
fn a_state_that_is_too_large_is_sent_to_the_first_client_alone() {
    let (lab, program) = lab_with("0.5.0", "thirty-thousand");
    // Whatever wakes the console lets it take in some 127 of the tasks.
    run(async {
        let mut client = client(&program).await;
        let nobody = TaskDetailsRequest { id: Some(console_api::Id { id: u64::MAX }) };
        for _ in 0..30_000 / 100 {
            client.watch_task_details(nobody).await.unwrap_err();
        }
    });
    let (first, code) = snapshot(&lab, &[]);
    assert_eq!((code, &first["status"]), (0, &"complete".into()), "{first:#}");
    assert_eq!((&first["tasks"]["alive"], &first["tasks"]["born"]), (&30_002.into(), &0.into()), "{first:#}");
    let shrunk = anomaly(&first, "retention-shrunk").unwrap();
    assert!(shrunk["state_bytes"].as_u64().unwrap() > 4 << 20, "{shrunk:#}");
    let (second, code) = snapshot(&lab, &[]);
    assert_eq!((code, &second["status"]), (3, &"partial".into()), "{second:#}");
    let partial = anomaly(&second, "partial-initial-state").unwrap_or_else(|| panic!("{second:#}"));
    assert!(partial["text"].as_str().unwrap().contains("TOKIO_CONSOLE_RETENTION"), "{partial:#}");
    assert!(anomaly(&second, "no-tasks").is_none(), "{second:#}");
}

#[test]
fn a_runtime_whose_workers_are_all_blocked_is_observed() {
    let (lab, _program) = lab_with("0.5.0", "blocked");
    let (target, _) = snapshot(&lab, &[]);
    assert_eq!(target["status"], "complete", "{target:#}");
    assert_eq!((&target["tasks"]["running"], &target["tasks"]["never_polled"]), (&4.into(), &10.into()), "{target:#}");
}

#[test]
fn a_paused_console_is_observed_and_stays_paused() {
    let (lab, program) = lab_with("0.5.0", "small");
    run(async { client(&program).await.pause(PauseRequest {}).await.unwrap() });
    let (target, code) = snapshot(&lab, &[]);
    assert_eq!((code, &target["status"]), (3, &"partial".into()), "{target:#}");
    assert!(anomaly(&target, "paused").is_some(), "{target:#}");
    assert_eq!(&target["tasks"]["alive"], 16, "{target:#}");
    let state = run(async {
        let mut states = client(&program).await.watch_state(StateRequest {}).await.unwrap().into_inner();
        states.message().await.unwrap().unwrap().temporality()
    });
    assert_eq!(state, Temporality::Paused, "it was not ours to resume");
}

#[test]
fn nobody_is_listed_at_the_console_once_we_have_gone() {
    let (lab, program) = lab_with("0.5.0", "small");
    let (target, code) = snapshot(&lab, &[]);
    assert_eq!(code, 0, "{target:#}");
    let (state, polls) = run(async { polls_kept(&mut client(&program).await).await });
    assert_eq!(state, Temporality::Live);
    assert_eq!(polls, 0);
}

#[test]
fn the_histograms_of_a_few_suspects_are_fetched() {
    let (lab, _program) = lab_with("0.5.0", "small");
    let of_details = |args: &[&str]| {
        let (target, code) = snapshot(&lab, args);
        assert_eq!(code, 0, "{target:#}");
        evidence(&lab).1.get("details").copied().unwrap_or(0)
    };
    // The 8 that meet at a lock do something; nobody holds a waker of the one that waits for ever.
    assert_eq!(of_details(&[]), 9);
    assert_eq!(of_details(&["--max-details", "2"]), 2);
    assert_eq!(of_details(&["--max-details", "0"]), 0);
}

#[test]
fn a_program_that_ends_in_the_window_is_reported_as_far_as_it_was_seen() {
    let (lab, program) = lab_with("0.5.0", "small");
    let observing = lab.snapshot(&["all", "-w", "60s", "--fail-on", "never", "-o", "json"]).spawn().unwrap();
    run(async {
        let mut client = client(&program).await;
        while polls_kept(&mut client).await.1 == 0 {}
    });
    drop(program);
    let output = observing.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let target = target(&report, "host");
    assert_eq!((output.status.code(), &target["status"]), (Some(3), &"partial".into()), "{target:#}");
    assert!(anomaly(target, "ended-early").is_some(), "{target:#}");
    assert_eq!(target["tasks"]["alive"], 16, "{target:#}");
}

/// A console that says what it is told to.
struct Scripted {
    /// The update of each number, until it has no more; then it says nothing.
    update: fn(i64) -> Option<Update>,
    /// Its state, where it serves that.
    state: Option<Temporality>,
    /// The time between two updates.
    pace: Duration,
}

impl Scripted {
    /// Serves it until the test's process ends.
    fn serve(self) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            run(async {
                let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap());
                Server::builder().add_service(InstrumentServer::new(self)).serve_with_incoming(incoming).await
            })
        });
        address
    }
}

fn at(seconds: i64, nanos: i32) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 1_700_000_000 + seconds, nanos })
}

/// The update of a console that never ceases to announce tasks.
fn flood(number: i64) -> Option<Update> {
    let ids = || (0..1000).map(move |task| u64::try_from(number * 1000 + task + 1).unwrap());
    let task = |id| Task { id: Some(console_api::Id { id }), ..Task::default() };
    let stats = |id| (id, Stats { created_at: at(0, 0), ..Stats::default() });
    let tasks = TaskUpdate {
        new_tasks: ids().map(task).collect(),
        stats_update: ids().map(stats).collect(),
        dropped_events: 0,
    };
    Some(Update { now: at(0, 1), task_update: Some(tasks), ..Update::default() })
}

/// The update of a console that announces some tasks, and then only says that it is there.
fn drip(number: i64) -> Option<Update> {
    if number == 0 { flood(number) } else { Some(Update { now: at(0, 1), ..Update::default() }) }
}

/// The address of such a console, of which no window is ever over.
fn dripping() -> String {
    Scripted { update: drip, state: None, pace: Duration::from_millis(50) }.serve()
}

/// The update of a console that knows call sites, and not one task.
fn without_tasks(number: i64) -> Option<Update> {
    let metadata = console_api::Metadata { name: "event".to_owned(), target: "app".to_owned(), ..Default::default() };
    let site = console_api::register_metadata::NewMetadata {
        id: Some(console_api::MetaId { id: 0x1000 }),
        metadata: Some(metadata),
    };
    let known = (number == 0).then(|| console_api::RegisterMetadata { metadata: vec![site] });
    Some(Update { now: at(number, 0), new_metadata: known, ..Update::default() })
}

/// One update with one task, which has no scheduled time; then silence.
fn one_of_old(number: i64) -> Option<Update> {
    let mut update = without_tasks(number).filter(|_| number < 3)?;
    let task = Task { id: Some(console_api::Id { id: 1 }), ..Task::default() };
    let stats = (1, Stats { created_at: at(-9, 0), ..Stats::default() });
    let new_tasks = if number == 0 { vec![task] } else { Vec::new() };
    update.task_update = Some(TaskUpdate { new_tasks, stats_update: [stats].into(), dropped_events: 0 });
    Some(update)
}

type Sent<T> = std::pin::Pin<Box<dyn Messages<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Instrument for Scripted {
    type WatchUpdatesStream = Sent<Update>;
    type WatchTaskDetailsStream = Sent<TaskDetails>;
    type WatchStateStream = Sent<State>;

    async fn watch_updates(&self, _: Request<InstrumentRequest>) -> Result<Response<Sent<Update>>, Status> {
        let pace = self.pace;
        let updates = iter((0..).map_while(self.update)).then(move |update| async move {
            tokio::time::sleep(pace).await;
            Ok(update)
        });
        Ok(Response::new(Box::pin(updates.chain(tokio_stream::pending()))))
    }

    async fn watch_task_details(&self, _: Request<TaskDetailsRequest>) -> Result<Response<Sent<TaskDetails>>, Status> {
        Err(Status::invalid_argument("missing task_id"))
    }

    async fn watch_state(&self, _: Request<StateRequest>) -> Result<Response<Sent<State>>, Status> {
        let state = self.state.ok_or_else(|| Status::unimplemented(""))?;
        let state = State { temporality: state.into() };
        Ok(Response::new(Box::pin(iter([Ok(state)]).chain(tokio_stream::pending()))))
    }

    async fn pause(&self, _: Request<PauseRequest>) -> Result<Response<PauseResponse>, Status> {
        panic!("nobody pauses a console");
    }

    async fn resume(&self, _: Request<ResumeRequest>) -> Result<Response<ResumeResponse>, Status> {
        panic!("nobody resumes a console");
    }
}

#[test]
fn a_console_that_floods_is_cut_off_and_what_came_is_used() {
    let address = Scripted { update: flood, state: None, pace: Duration::ZERO }.serve();
    let mut lab = Lab::new();
    lab.good_host("host", &address);
    for (bound, words) in [(["--max-bytes", "1MiB"], "1048576 bytes"), (["--max-entities", "5000"], "5000 entities")] {
        let (target, code) = snapshot(&lab, &bound);
        assert_eq!((code, &target["status"]), (3, &"partial".into()), "{target:#}");
        assert!(anomaly(&target, "bound-hit").unwrap()["text"].as_str().unwrap().contains(words), "{target:#}");
        assert!(target["tasks"]["alive"].as_u64().unwrap() >= 5000, "{target:#}");
    }
}

#[test]
fn a_console_without_an_end_is_cut_off_by_its_time() {
    let mut lab = Lab::new();
    lab.good_host("host", &dripping());
    let (target, code) = snapshot(&lab, &["--host-timeout", "8s"]);
    assert_eq!((code, &target["status"]), (3, &"partial".into()), "{target:#}");
    assert!(anomaly(&target, "bound-hit").unwrap()["text"].as_str().unwrap().contains("8s for one host"), "{target:#}");
    assert_eq!(target["tasks"]["alive"], 1000, "{target:#}");
}

#[test]
fn a_killed_run_leaves_what_was_finished_and_that_is_judged() {
    let mut lab = Lab::new();
    let program = Program::vintage(&lab, "0.5.0", "small", &[]);
    lab.good_host("done", &program.address);
    lab.good_host("endless", &dripping());
    let partial = lab.path("run.fdcap.partial");
    let mut command = lab.snapshot(&["all", "-w", "1s", "--save"]);
    let mut observing = command.arg(lab.path("run.fdcap")).spawn().unwrap();
    let is_done = || {
        let capture = Capture::open(&partial, Limits::default()).ok()?;
        capture.targets().any(|(_, outcome)| matches!(outcome, Outcome::Observed(_))).then_some(())
    };
    while is_done().is_none() {
        assert_eq!(observing.try_wait().unwrap(), None, "it ended before it could be killed");
        std::thread::yield_now();
    }
    observing.kill().unwrap();
    observing.wait().unwrap();
    assert!(!lab.path("run.fdcap").exists());
    let (report, code) = report(lab.fleetdiag(&["analyze", "--fail-on", "never"]).arg(&partial));
    let (done, endless) = (target(&report, "done"), target(&report, "endless"));
    assert_eq!((code, &done["status"], &done["tasks"]["alive"]), (130, &"complete".into(), &16.into()), "{report:#}");
    assert_eq!(endless["reason"], "capture-incomplete", "{endless:#}");
}

#[test]
fn the_doctor_says_what_a_console_lacks() {
    let mut lab = Lab::new();
    let old = Program::vintage(&lab, "0.1.10", "small", &[]);
    let older = Scripted { update: one_of_old, state: None, pace: Duration::ZERO }.serve();
    let empty = Scripted { update: without_tasks, state: Some(Temporality::Live), pace: Duration::ZERO }.serve();
    let paused = Scripted {
        update: |number| without_tasks(number).filter(|_| number < 1),
        state: Some(Temporality::Paused),
        pace: Duration::ZERO,
    };
    lab.good_host("empty", &empty)
        .good_host("old", &old.address)
        .good_host("older", &older)
        .good_host("paused", &paused.serve());
    let (report, code) = report(&mut lab.doctor(&["all", "-w", "1s"]));
    assert_eq!(code, 1, "{report:#}");
    let warned = |id: &str| -> Vec<_> {
        let steps = target(&report, id)["steps"].as_array().unwrap().iter();
        steps.filter(|step| step["mark"] == "warn").map(|step| step["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(warned("old"), Vec::<String>::new(), "{report:#}");
    assert_eq!(warned("older"), ["old-vintage"], "{report:#}");
    assert_eq!(warned("empty"), ["no-tasks"], "{report:#}");
    assert_eq!(warned("paused"), ["no-tasks", "paused"], "{report:#}");
    let text = |id: &str, kind: &str| {
        let steps = target(&report, id)["steps"].as_array().unwrap().iter();
        steps.filter(|step| step["kind"] == kind).map(|step| step["text"].as_str().unwrap()).collect::<String>()
    };
    assert_eq!(text("old", "vintage"), "a tokio console answers: console-subscriber 0.1.9–0.2");
    assert_eq!(text("old", "tasks").split(',').next(), Some("16 alive of 18 tasks seen"));
    assert!(text("old", "tokio").starts_with("tokio 1."), "{report:#}");
    assert!(target(&report, "empty")["todo"][0].as_str().unwrap().contains("--cfg tokio_unstable"), "{report:#}");
}
