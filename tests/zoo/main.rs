//! Real programs with known faults, and healthy ones: each fault must be found at its place, by the right rule, first in
//! rank; a healthy program must stay without warning. `tests/zoo.sh` prints the table.

#![cfg(tokio_unstable)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::exit)]

mod examples;
mod false_alarms;
mod faults;
mod healthy;
mod program;
mod services;
mod watch;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use fleetdiag::playbook::{DETECTORS, Rule, built_in};
use program::Keep;
use serde_json::Value;
use watch::{Zoo, findings, has, leads, target, waited_for_a_cpu};

/// Starts a program.
type Run = fn() -> Keep;

/// What must be found: how many tasks, at least, by which rule. The program's name or the rule's is the mark in the source.
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
    fault("blocking-handlers", faults::blocking_handlers, "long-poll", "warning", 3),
    fault("long-tail", faults::long_tail, "long-poll", "warning", 1),
    fault("stuck-poll", faults::stuck_poll, "stuck-poll", "critical", 2),
    fault("slow-first-poll", faults::slow_first_poll, "slow-first-poll", "warning", 2),
    fault("blocking-pool", faults::blocking_pool_queue, "blocking-pool-queue", "warning", 3),
    fault("polled-for-nothing", faults::polled_for_nothing, "polled-for-nothing", "info", 1),
    fault("task-leak", faults::task_leak, "task-leak", "warning", 50),
    fault("cancelled", faults::cancelled_while_woken, "cancelled-while-woken", "warning", 50),
    fault("waker-churn", faults::waker_churn, "waker-churn", "info", 1),
    fault("contention", faults::lock_contention, "lock-contention", "warning", 4),
    fault("deadlock", faults::deadlock, "deadlock", "critical", 2),
    fault("channel-backlog", faults::channel_backlog, "channel-backlog", "warning", 3),
    fault("permits", faults::permits_exhausted, "permits-exhausted", "warning", 3),
    fault("console-memory", faults::console_memory, "console-memory", "warning", 1),
    fault("uninstrumented", faults::nothing_instrumented, "nothing-instrumented", "warning", 1),
];

/// Faults that eat a CPU.
const HUNGRY: &[Fault] = &[
    fault("spinning", faults::spinning, "spinning", "warning", 1),
    fault("starved", faults::starved, "starved", "warning", 40),
    fault("busy", faults::busy, "busy", "info", 1),
];

const MANY: Fault = fault("many-tasks", faults::many_tasks, "many-tasks", "info", 10_500);

const EXPOSED: Fault = fault("exposed", faults::exposed_console, "exposed-console", "warning", 1);

/// A console that accepts connections and says nothing is no program: a socket of the test.
const SILENT: &str = "runtime-down";

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

const SERVICES: &[(&str, Run)] = &[
    ("web-server", services::web_server),
    ("grpc-server", services::grpc_server),
    ("connection-pool", services::connection_pool),
    ("broadcast-fan-out", services::broadcast_fan_out),
    ("shutdown-watchers", services::shutdown_watchers),
    ("join-set-batches", services::join_set_batches),
    ("interval-tickers", services::interval_tickers),
    ("pipeline", services::pipeline),
    ("actor-with-replies", services::actor_with_replies),
    ("retries", services::retries),
];

const FALSE_ALARMS: &[(&str, Run)] = &[
    ("237-local-set-in-turns", false_alarms::local_set_in_turns),
    ("345-ended-with-a-blocking-child", false_alarms::ended_with_a_blocking_child),
    ("380-ended-and-left-resources", false_alarms::ended_and_left_resources),
    ("516-main-future-that-yields", false_alarms::main_future_that_yields),
    ("block-on-that-waits", false_alarms::block_on_that_waits),
    ("drop-as-poll", false_alarms::dropped_without_a_poll),
    ("wakers-in-other-hands", false_alarms::wakers_in_other_hands),
];

/// What an example of console-subscriber's kind must show first, nothing else being worse than information but `may`.
struct Example {
    program: &'static str,
    run: Run,
    first: Option<&'static str>,
    may: &'static [&'static str],
}

const fn example(
    program: &'static str,
    run: Run,
    first: Option<&'static str>,
    may: &'static [&'static str],
) -> Example {
    Example { program, run, first, may }
}

const EXAMPLES: &[Example] = &[
    example("app", examples::app, None, &[]),
    example("app-blocks", examples::app_blocks, Some("warning long-poll"), &[]),
    example("app-coma", examples::app_coma, Some("info lost-waker"), &[]),
    example("app-burn", examples::app_burn, Some("warning self-wakes"), &[]),
    example("app-noyield", examples::app_noyield, Some("critical never-yielded"), &["critical stuck-poll"]),
    example("app-blocking", examples::app_blocking, None, &[]),
    example("app-large", examples::app_large, Some("info auto-boxed-future"), &[]),
    example("barrier", examples::barrier, None, &[]),
    example("local", examples::local, Some("info busy"), &[]),
    example(
        "long-scheduled",
        examples::long_scheduled,
        Some("critical stuck-poll"),
        &["warning long-poll", "warning starved"],
    ),
    example("long-sleep", examples::long_sleep, Some("critical never-yielded"), &["critical stuck-poll"]),
    example("mutex", examples::mutex, Some("warning lock-contention"), &[]),
    example("rwlock", examples::rwlock, Some("warning lock-contention"), &[]),
    example("semaphore", examples::semaphore, Some("warning permits-exhausted"), &[]),
    example("uds", examples::uds, None, &[]),
];

fn faults() -> impl Iterator<Item = &'static Fault> {
    CALM.iter().chain(HUNGRY).chain([&MANY, &EXPOSED])
}

fn programs() -> impl Iterator<Item = (&'static str, Run)> {
    let faults = faults().map(|fault| (fault.program, fault.run));
    let examples = EXAMPLES.iter().map(|example| (example.program, example.run));
    faults.chain(examples).chain([HEALTHY, SERVICES, FALSE_ALARMS].concat())
}

/// The children of the other tests: this same executable, as one of the programs.
#[test]
#[ignore = "is a program of the zoo when the other tests start it"]
fn be_a_program() {
    let (Ok(name), Ok(place)) = (std::env::var("ZOO_PROGRAM"), std::env::var("ZOO_CONSOLE")) else { return };
    let (_, run) = programs().find(|(program, _)| *program == name).unwrap();
    program::be(run, &place, name == "many-tasks");
}

/// The line after a fault's mark.
fn marked_line(fault: &Fault) -> u64 {
    let marked = |name: &str| {
        let mark = format!("// FAULT: {name}");
        include_str!("faults.rs").lines().position(|line| line.trim() == mark)
    };
    let line = marked(fault.program).or_else(|| marked(fault.rule));
    line.unwrap_or_else(|| panic!("no line is marked for {}", fault.program)) as u64 + 2
}

/// What is wrong with how a fault was reported; nothing when all is well. Where the machine kept a program waiting for a
/// CPU, and the report says so, it need not be sure, nor have the fault first.
fn misjudged(fault: &Fault, report: &Value) -> Option<String> {
    let found = findings(report, fault.program);
    let of_rule = found.iter().find(|(_, finding)| finding["name"] == fault.rule);
    let doubted = of_rule.filter(|(_, finding)| finding["severity"] == "info");
    let doubted = doubted.filter(|_| waited_for_a_cpu(report, fault.program));
    let Some((subject, first)) = doubted.or_else(|| found.first()) else {
        return Some(format!("nothing was found: {}", target(report, fault.program)));
    };
    let severity = if doubted.is_some() { "info" } else { fault.severity };
    let place = &subject["location"];
    let is_here = match fault.rule {
        "nothing-instrumented" | "console-memory" | "exposed-console" => place.is_null(),
        _ => place["file"] == "tests/zoo/faults.rs" && place["line"].as_u64() == Some(marked_line(fault)),
    };
    let is_right = first["name"] == fault.rule && first["severity"] == severity;
    let is_counted = first["affected"].as_u64() >= Some(fault.affected);
    (!is_here || !is_right || !is_counted).then(|| format!("first is {first:#} at {subject}"))
}

fn table<'f>(faults: impl IntoIterator<Item = &'f Fault>, report: &Value) -> Vec<String> {
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
        println!("{verdict}  {:<32} {}", fault.program, first.replace('"', ""));
        wrong.extend(misjudged.map(|why| format!("{}: {why}", fault.program)));
    }
    wrong
}

#[test]
fn every_rule_has_a_program() {
    let with_program: BTreeSet<_> = faults().map(|fault| fault.rule).chain([SILENT]).collect();
    let rules = built_in();
    // What surrounds a program is held by `tests/ssh.rs` and `tests/containers/`, growth over sweeps by `tests/sweep.rs`.
    let is_of_one_program = |rule: &&Rule| !rule.id.0.starts_with("FD6") && rule.name != "task-growth";
    let rules: BTreeSet<_> = rules.rules.iter().filter(is_of_one_program).map(|rule| rule.name.as_str()).collect();
    assert_eq!(with_program, rules);
    let of_one_run = DETECTORS.iter().map(|entry| entry.name).filter(|name| *name != "task-growth");
    let detectors: BTreeSet<_> = of_one_run.collect();
    assert!(detectors.is_subset(&with_program), "{detectors:?}");
}

#[test]
fn every_calm_fault_is_found_first_where_it_is() {
    let names: Vec<_> = CALM.iter().map(|fault| fault.program).collect();
    let mut zoo = Zoo::start(&names);
    // As much as a program of the zoo can afford.
    let report = zoo.report(Some(SILENT), &["--set", "console-memory.memory=48MiB"]);
    let wrong = table(CALM, &report);
    let (_, estimated) = findings(&report, "console-memory")[0];
    println!("       {}; the process has {} MB", estimated["evidence"], zoo.memory("console-memory") / 1_000_000);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let silent = findings(&report, SILENT);
    assert_eq!(silent.first().map(|(_, finding)| &finding["name"]), Some(&SILENT.into()), "{silent:#?}");
}

#[test]
fn every_hungry_fault_is_found_first_where_it_is() {
    let mut wrong = Vec::new();
    // One after the other: together they would starve each other, and the report would say so.
    for fault in HUNGRY {
        let report = Zoo::start(&[fault.program]).report(None, &[]);
        wrong.extend(table([fault], &report));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn many_tasks_are_found() {
    let mut zoo = Zoo::start(&[MANY.program]);
    // On a busy machine their console is behind. Each run has it take in more of them, until there is no more to take.
    let mut reports = (0..5).map(|_| zoo.report(None, &[]));
    let report = reports.find(|report| !has(report, MANY.program, "ingest-lag")).expect("its console catches up");
    let wrong = table([&MANY], &report);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The programs' place is a network of their own with one address beside the loopback, which this machine alone has.
#[test]
fn an_exposed_console_is_found_at_its_address() {
    let inside = std::env::current_exe().unwrap();
    let script = "ip link set lo up && ip address add 198.51.100.7/32 dev lo && exec \"$@\"";
    let is_root = rustix::process::geteuid().is_root();
    let output = Command::new("unshare")
        .args(if is_root { ["--net"].as_slice() } else { ["--user", "--map-root-user", "--net"].as_slice() })
        .args(["sh", "-c", script, "sh"])
        .arg(inside)
        .args(["inside_a_network", "--exact", "--ignored", "--nocapture"])
        .env("ZOO_INSIDE", "1")
        .stdin(Stdio::null())
        .output()
        .expect("`unshare` of util-linux is needed");
    let printed = String::from_utf8_lossy(&output.stdout);
    print!("{}", printed.lines().filter(|line| line.starts_with("found")).collect::<Vec<_>>().join("\n") + "\n");
    assert!(
        output.status.success() && printed.contains("found  exposed"),
        "needs a network namespace (root, or user namespaces) and `ip`: {printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
#[ignore = "is started inside a network of its own by the test above"]
fn inside_a_network() {
    if std::env::var_os("ZOO_INSIDE").is_none() {
        return;
    }
    let mut zoo = Zoo::start(&[]);
    zoo.start_at(EXPOSED.program, "198.51.100.7:6669");
    let report = zoo.report(None, &[]);
    let wrong = table([&EXPOSED], &report);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Prints what was found on `programs`, and returns what is worse than information.
fn accused(programs: &[(&str, Run)], report: &Value) -> Vec<String> {
    assert_eq!(report["coverage"]["complete"], programs.len(), "{:#}", report["targets"]);
    let mut accused = Vec::new();
    for (name, _) in programs {
        let found = findings(report, name);
        let bad: Vec<_> = found.iter().filter(|(_, finding)| finding["severity"] != "info").collect();
        println!("{}  {name:<32} {}", if bad.is_empty() { "quiet" } else { "WRONG" }, leads(report, name).join(", "));
        if !bad.is_empty() {
            accused.push(format!("{name}: {bad:#?}"));
        }
    }
    accused
}

fn watched(programs: &[(&str, Run)]) -> Value {
    Zoo::start(&programs.iter().map(|(name, _)| *name).collect::<Vec<_>>()).report(None, &[])
}

#[test]
fn nothing_healthy_is_accused() {
    let accused = accused(HEALTHY, &watched(HEALTHY));
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

#[test]
fn no_service_under_load_is_accused() {
    let accused = accused(SERVICES, &watched(SERVICES));
    assert!(accused.is_empty(), "{}", accused.join("\n"));
}

#[test]
fn known_false_alarms_stay_silent_or_say_why_they_cannot_tell() {
    let report = watched(FALSE_ALARMS);
    let mut wrong = accused(FALSE_ALARMS, &report);
    for (name, _) in FALSE_ALARMS {
        for (subject, finding) in findings(&report, name) {
            // What holds for sure is no lead: `busy` is.
            let caps = finding["confidence_limits"].as_array().unwrap();
            if finding["confidence"] != "high" && caps.is_empty() {
                wrong.push(format!("{name}: no reason at {subject}: {finding:#}"));
            }
            caps.iter().for_each(|cap| println!("       {} because {cap}", finding["name"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn examples_of_console_subscribers_kind_give_sensible_results() {
    let names: Vec<_> = EXAMPLES.iter().map(|example| example.program).collect();
    let report = Zoo::start(&names).report(None, &[]);
    let mut wrong = Vec::new();
    for Example { program, first, may, .. } in EXAMPLES {
        let leads = leads(&report, program);
        let is_allowed =
            |lead: &String| lead.starts_with("info") || first.iter().chain(*may).any(|known| lead == known);
        let is_doubted = waited_for_a_cpu(&report, program);
        let is_right = leads.iter().all(is_allowed)
            && (is_doubted || first.is_none_or(|first| leads.first().is_some_and(|lead| lead == first)));
        println!("{}  {program:<32} {}", if is_right { "as is" } else { "WRONG" }, leads.join(", "));
        if !is_right {
            wrong.push(format!("{program}: {:#?}", findings(&report, program)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
