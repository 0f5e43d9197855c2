//! Sweeps over real programs: what changed, what grows, and what happens when things go wrong in between.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;
mod variants;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{Program, closed_port, signal};
use variants::{FLEET, command, fleetdiag};

/// An inventory of programs on this machine.
fn inventory(home: &Path, hosts: &[(&str, &str)]) -> String {
    let mut text = "jobs:\n  vars: {service: jobs, transport: direct}\n  hosts:\n".to_owned();
    for (host, address) in hosts {
        writeln!(text, "    {host}: {{console: '{address}'}}").unwrap();
    }
    let path = home.join("hosts.yaml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn captures(home: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(home.join("state/fleetdiag/captures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "fdcap"))
        .collect();
    found.sort();
    found
}

#[test]
fn a_leak_that_no_window_shows_shows_over_sweeps() {
    let home = tempfile::tempdir().unwrap();
    let (leaking, healthy) = (Program::start("jobs-leaking"), Program::start("jobs"));
    let hosts = inventory(home.path(), &[("jobs-01", &leaking.address), ("jobs-02", &healthy.address)]);
    let metrics = home.path().join("fleetdiag.prom");
    let every = ["--every", "0s", "--rounds", "5", "-w", "200ms", "--fail-on", "never"];
    let args = [&["sweep", "-i", &hosts, "--openmetrics", metrics.to_str().unwrap()], every.as_slice()].concat();
    let (code, out, err) = fleetdiag(home.path(), &args);
    assert_eq!(code, 0, "{out}{err}");
    let sweeps: Vec<_> = out.split("PASS").skip(1).collect();
    assert_eq!(sweeps.len(), 5, "{out}");
    assert!(sweeps[0].contains("The first sweep"), "{out}");
    assert!(sweeps[1].contains("Since 20"), "{out}");
    assert!(!sweeps[2].contains("LEAK?"), "three are a coincidence: {out}");
    let found: Vec<_> = sweeps[4].lines().skip_while(|line| !line.contains("LEAK?")).collect();
    assert!(found[0].contains("src/demo/programs.rs:"), "{out}");
    assert!(found[1].contains("tasks more, in every sweep more than before, on jobs-01"), "{out}");
    assert_eq!(found[2].matches('→').count(), 4, "{out}");
    assert_eq!(out.matches("LEAK?").count(), 2, "in the fourth and the fifth, and nothing else leaks: {out}");
    assert_eq!(captures(home.path()).len(), 5);
    let metrics = fs::read_to_string(&metrics).unwrap();
    assert!(metrics.contains("fleetdiag_trend_sweeps 5\n") && metrics.ends_with("# EOF\n"), "{metrics}");
    assert!(metrics.contains("fleetdiag_growing_places{service=\"jobs\"} 1\n"), "{metrics}");

    // The same as a finding, for programs, and judged by limits of one's own.
    let document = |set: &str| -> serde_json::Value {
        let once = ["sweep", "-i", &hosts, "-w", "200ms", "--fail-on", "never", "-o", "json", "--set", set];
        let (code, out, err) = fleetdiag(home.path(), &once);
        assert_eq!(code, 0, "{out}{err}");
        serde_json::from_str(&out).unwrap()
    };
    let growth = |json: &serde_json::Value| -> Vec<String> {
        let findings =
            json["hotspots"].as_array().unwrap().iter().flat_map(|place| place["findings"].as_array().unwrap());
        let growing = findings.filter(|finding| finding["rule"] == "FD205");
        growing.flat_map(|finding| finding["targets"].as_object().unwrap().keys().cloned()).collect()
    };
    let json = document("task-growth.sweeps=6");
    assert_eq!((&json["trends"]["sweeps"], growth(&json)), (&6.into(), vec!["jobs-01".to_owned()]));
    let counts = json["trends"]["growing"][0]["targets"]["jobs-01"].as_array().unwrap();
    assert_eq!(counts.len(), 6, "{json}");
    assert_eq!(growth(&document("task-growth.sweeps=100")), Vec::<String>::new());
}

#[test]
fn hosts_that_come_and_go_are_told_and_other_runs_do_not_mix_in() {
    let home = tempfile::tempdir().unwrap();
    let first = Program::start("jobs");
    let sweep = |hosts: &str| fleetdiag(home.path(), &["sweep", "-i", hosts, "-w", "100ms"]);
    let hosts = inventory(home.path(), &[("jobs-01", &first.address)]);
    assert_eq!(sweep(&hosts).0, 0);
    fs::copy(FLEET, home.path().join("state/fleetdiag/captures/all-20991231T235959Z.fdcap")).unwrap();
    let hosts = inventory(home.path(), &[("jobs-01", &first.address), ("jobs-02", &closed_port())]);
    let (code, out, _) = sweep(&hosts);
    assert_eq!(code, 4, "{out}");
    assert!(out.contains("jobs-02   failed at forward: nothing listens"), "{out}");
    drop(first);
    let hosts = inventory(home.path(), &[("jobs-01", &closed_port())]);
    let (code, out, _) = sweep(&hosts);
    assert_eq!((code, out.contains("GONE")), (3, false), "what cannot be seen is not gone: {out}");
}

#[test]
fn a_clock_that_was_set_back_and_a_damaged_file_are_said() {
    let home = tempfile::tempdir().unwrap();
    let program = Program::start("jobs");
    let hosts = inventory(home.path(), &[("jobs-01", &program.address)]);
    let store = home.path().join("state/fleetdiag/captures");
    fs::create_dir_all(&store).unwrap();
    fs::copy(FLEET, store.join("sweep-all-20991231T235959Z.fdcap")).unwrap();
    fs::write(store.join("sweep-all-20200101T000000Z.fdcap"), "PK\u{3}\u{4}").unwrap();
    let (code, out, err) = fleetdiag(home.path(), &["sweep", "-i", &hosts, "-w", "100ms"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("1 earlier sweeps are later than this one by the clock"), "{err}");
    assert!(err.contains("an earlier sweep is left out"), "{err}");
    assert!(out.contains("The first sweep"), "{out}");
}

#[test]
fn a_full_disk_is_said_and_costs_nothing_that_was_there() {
    let home = tempfile::tempdir().unwrap();
    let program = Program::start("jobs");
    let hosts = inventory(home.path(), &[("jobs-01", &program.address)]);
    assert_eq!(fleetdiag(home.path(), &["sweep", "-i", &hosts, "-w", "100ms"]).0, 0);
    let before: Vec<_> = captures(home.path()).iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();

    // A limit on the size of files stands for the disk: the same write fails, with another word for it.
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_fleetdiag")])
        .args(["sweep", "-i", &hosts, "-w", "100ms"])
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path().join("state"));
    let output = limited.output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(70), "{err}");
    assert!(err.contains("File too large"), "{err}");
    for (path, bytes) in &before {
        assert!(fs::read(path).unwrap() == *bytes, "the history is as it was");
    }

    let (code, out, err) =
        fleetdiag(home.path(), &["sweep", "-i", &hosts, "-w", "100ms", "--openmetrics", "/dev/full"]);
    assert_eq!((code, err.contains("cannot write `/dev/full`")), (70, true), "{err}");
    assert!(out.contains("Since"), "the sweep itself is told: {out}");
}

#[test]
fn a_schedule_ends_with_a_signal_while_it_waits() {
    let home = tempfile::tempdir().unwrap();
    let program = Program::start("jobs");
    let hosts = inventory(home.path(), &[("jobs-01", &program.address)]);
    let mut sweep = command(home.path(), &["sweep", "-i", &hosts, "-w", "100ms", "--every", "1h"]);
    let mut child = sweep.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let line = lines.find_map(|line| line.ok().filter(|line| line.contains("the next sweep is in"))).unwrap();
    assert!(line.starts_with("exit code 0"), "{line}");
    signal(child.id(), rustix::process::Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let home = tempfile::tempdir().unwrap();
    for args in
        [&["sweep", "--no-save"] as &[_], &["sweep", "--rounds", "2"], &["sweep", "-i", "/no/such.yaml"], &["sweep"]]
    {
        assert_eq!(fleetdiag(home.path(), args).0, 2, "{args:?}");
    }
}
