//! Real programs with known faults, and healthy ones: each fault must be found at its place, by the right rule, first in
//! rank; a healthy program must stay without warning. `tests/zoo.sh` prints the table.

#![cfg(tokio_unstable)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod faults;
mod healthy;
mod program;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use program::Keep;
use serde_json::Value;
use tempfile::TempDir;

/// Starts a program.
type Run = fn() -> Keep;

/// What must be found: how many tasks, at least, by which rule. The rule's name is the mark in the source.
struct Fault {
    program: &'static str,
    run: Run,
    rule: &'static str,
    severity: &'static str,
    affected: u64,
}

const fn fault(program: &'static str, run: Run, rule: &'static str, severity: &'static str, affected: u64) -> Fault {
    Fault { program, run, rule, severity, affected }
}

/// Faults that take little CPU, so that they can be watched together.
const CALM: &[Fault] = &[
    fault("self-wakes", faults::self_wakes, "self-wakes", "warning", 1),
    fault("lost-waker", faults::lost_waker, "lost-waker", "critical", 3),
    fault("never-yielded", faults::never_yielded, "never-yielded", "critical", 1),
    fault("auto-boxed", faults::auto_boxed, "auto-boxed-future", "info", 1),
    fault("large-future", faults::large_future, "large-future", "info", 1),
    fault("long-poll", faults::long_poll, "long-poll", "warning", 1),
    fault("stuck-poll", faults::stuck_poll, "stuck-poll", "critical", 2),
    fault("slow-first-poll", faults::slow_first_poll, "slow-first-poll", "warning", 2),
    fault("blocking-pool", faults::blocking_pool_queue, "blocking-pool-queue", "warning", 3),
    fault("task-leak", faults::task_leak, "task-leak", "warning", 50),
    fault("cancelled", faults::cancelled_while_woken, "cancelled-while-woken", "warning", 50),
    fault("waker-churn", faults::waker_churn, "waker-churn", "info", 1),
    fault("contention", faults::lock_contention, "lock-contention", "warning", 4),
    fault("deadlock", faults::deadlock, "deadlock", "critical", 2),
    fault("channel-backlog", faults::channel_backlog, "channel-backlog", "warning", 3),
    fault("permits", faults::permits_exhausted, "permits-exhausted", "warning", 3),
    fault("uninstrumented", faults::nothing_instrumented, "nothing-instrumented", "warning", 1),
];

/// Faults that eat a CPU.
const HUNGRY: &[Fault] = &[
    fault("spinning", faults::spinning, "spinning", "warning", 1),
    fault("starved", faults::starved, "starved", "warning", 40),
    fault("busy", faults::busy, "busy", "info", 1),
];

const HEALTHY: &[(&str, Run)] = &[
    ("idle-server", healthy::idle_server),
    ("busy-server", healthy::busy_server),
    ("many-short-tasks", healthy::many_short_tasks),
    ("select-with-timeouts", healthy::select_with_timeouts),
    ("long-lived-parked", healthy::long_lived_parked),
    ("intentional-pending", healthy::intentional_pending),
    ("spawn-blocking", healthy::spawn_blocking_workers),
    ("local-set", healthy::local_set),
    ("several-runtimes", healthy::several_runtimes),
    ("short-locks", healthy::short_locks),
    ("pool-behind-a-lock", healthy::pool_behind_a_lock),
];

fn programs() -> impl Iterator<Item = (&'static str, Run)> {
    let faults = CALM.iter().chain(HUNGRY).map(|fault| (fault.program, fault.run));
    faults.chain(HEALTHY.iter().copied())
}

/// The children of the other tests: this same executable, as one of the programs.
#[test]
#[ignore = "is a program of the zoo when the other tests start it"]
fn be_a_program() {
    let (Ok(name), Some(socket)) = (std::env::var("ZOO_PROGRAM"), std::env::var_os("ZOO_SOCKET")) else { return };
    let (_, run) = programs().find(|(program, _)| *program == name).unwrap();
    program::be(run, socket.into());
}

/// A child that ends when its standard input closes.
struct Running(Child);

impl Running {
    fn start(name: &str, directory: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["be_a_program", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env("ZOO_PROGRAM", name)
            .env("ZOO_SOCKET", directory.join(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn wait_until_ripe(&mut self, name: &str) {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "ripe"), "{name} ended before it was ready");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// The report over some programs, each a service and a host of its own.
fn watch(names: &[&str], silent: Option<&str>) -> Value {
    let directory = tempfile::Builder::new().prefix("zoo").tempdir().unwrap();
    let mut running: Vec<_> = names.iter().map(|name| Running::start(name, directory.path())).collect();
    running.iter_mut().zip(names).for_each(|(running, name)| running.wait_until_ripe(name));
    let _listener = silent.map(|name| UnixListener::bind(directory.path().join(name)).unwrap());
    snapshot(&directory, names.iter().copied().chain(silent))
}

fn snapshot<'a>(directory: &TempDir, names: impl Iterator<Item = &'a str>) -> Value {
    let mut inventory = "all:\n  vars: {transport: direct}\n  hosts:\n".to_owned();
    for name in names {
        let socket = directory.path().join(name);
        writeln!(inventory, "    {name}: {{service: {name}, console: 'unix:{}'}}", socket.display()).unwrap();
    }
    let path = directory.path().join("zoo.yaml");
    std::fs::write(&path, inventory).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
    let output = command
        .args(["snapshot", "all", "-o", "json", "-w", "4s", "--connect-timeout", "5s", "-i"])
        .arg(&path)
        .env("XDG_STATE_HOME", directory.path())
        .env("XDG_RUNTIME_DIR", directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// The findings on one host, in the report's order, each with the place it is at.
fn findings<'r>(report: &'r Value, host: &str) -> Vec<(&'r Value, &'r Value)> {
    let hotspots = report["hotspots"].as_array().unwrap().iter();
    let all = hotspots.flat_map(|hotspot| {
        hotspot["findings"].as_array().unwrap().iter().map(move |finding| (&hotspot["subject"], finding))
    });
    all.filter(|(_, finding)| finding["targets"].get(host).is_some()).collect()
}

/// The line after the fault's mark.
fn marked_line(rule: &str) -> u64 {
    let mark = format!("// FAULT: {rule}");
    let marked = include_str!("faults.rs").lines().position(|line| line.trim() == mark);
    marked.unwrap_or_else(|| panic!("no line is marked {mark}")) as u64 + 2
}

/// What is wrong with how a fault was reported; nothing when all is well.
fn misjudged(fault: &Fault, report: &Value) -> Option<String> {
    let Some((subject, first)) = findings(report, fault.program).into_iter().next() else {
        return Some("nothing was found".to_owned());
    };
    let place = &subject["location"];
    let is_here = match fault.rule {
        "nothing-instrumented" => place.is_null(),
        rule => {
            let line = place["line"].as_u64().unwrap_or(0);
            // A statement of several lines is at the line of its call.
            place["file"] == "tests/zoo/faults.rs" && (marked_line(rule)..=marked_line(rule)).contains(&line)
        }
    };
    let is_right = first["name"] == fault.rule && first["severity"] == fault.severity;
    let is_counted = first["affected"].as_u64() >= Some(fault.affected);
    (!is_here || !is_right || !is_counted).then(|| format!("first is {first:#} at {subject}"))
}

fn table(faults: &[Fault], report: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    for fault in faults {
        let found = findings(report, fault.program);
        let first = found.first().map_or("-".to_owned(), |(subject, finding)| {
            let line = &subject["location"]["line"];
            format!(
                "{} {} ({} of {}) at line {line}",
                finding["severity"], finding["name"], finding["affected"], finding["of"]
            )
        });
        let misjudged = misjudged(fault, report);
        let verdict = if misjudged.is_none() { "found" } else { "WRONG" };
        println!("{verdict}  {:<18} {}", fault.program, first.replace('"', ""));
        wrong.extend(misjudged.map(|why| format!("{}: {why}", fault.program)));
    }
    wrong
}

#[test]
fn every_calm_fault_is_found_first_where_it_is() {
    let names: Vec<_> = CALM.iter().map(|fault| fault.program).collect();
    let report = watch(&names, Some("runtime-down"));
    let wrong = table(CALM, &report);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let silent = findings(&report, "runtime-down");
    assert_eq!(silent.first().map(|(_, finding)| &finding["name"]), Some(&"runtime-down".into()), "{silent:#?}");
}

#[test]
fn every_hungry_fault_is_found_first_where_it_is() {
    let mut wrong = Vec::new();
    // One after the other: together they would starve each other, and the report would say so.
    for fault in HUNGRY {
        let report = watch(&[fault.program], None);
        wrong.extend(table(std::slice::from_ref(fault), &report));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_healthy_is_accused() {
    let names: Vec<_> = HEALTHY.iter().map(|(name, _)| *name).collect();
    let report = watch(&names, None);
    assert_eq!(report["coverage"]["complete"], names.len(), "{}", report["targets"]);
    let mut accused = Vec::new();
    for name in names {
        let found = findings(&report, name);
        let bad = found.iter().filter(|(_, finding)| finding["severity"] != "info").count();
        let leads: Vec<_> = found.iter().map(|(_, finding)| finding["name"].as_str().unwrap()).collect();
        println!("{}  {name:<22} {}", if bad == 0 { "quiet" } else { "WRONG" }, leads.join(", "));
        if bad > 0 {
            accused.push(format!("{name}: {found:#?}"));
        }
    }
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}
