//! Consoles in containers, on real engines that these tests start for themselves: their own data, sockets and networks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod docker;
#[path = "../harness/mod.rs"]
mod harness;
mod image;
mod podman;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{Lab, report, target};
use serde_json::Value;

/// A directory for `PATH` with only some programs in it.
fn programs(lab: &Lab, name: &str, programs: &[&str]) -> PathBuf {
    let directory = lab.path(name);
    fs::create_dir(&directory).unwrap();
    for program in programs {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|path| path.join(program))
            .find(|path| path.exists())
            .unwrap_or_else(|| panic!("no {program}: run tests/setup.sh"));
        symlink(found, directory.join(program)).unwrap();
    }
    directory
}

/// The first line that a command prints on its piped stdout; then it is ended.
fn first_line(command: &mut Command) -> String {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    line.trim().to_owned()
}

/// Waits until the program serves its console whose log `logs` follows.
fn serves(name: &str, logs: &mut Command) {
    let line = first_line(logs);
    assert!(line.contains(':'), "{name} does not start: {line}");
}

/// How targets ended: `stage/reason`, or `seen`.
fn assert_ends(report: &Value, expected: &[(&str, &str)]) {
    let ended = |id: &str| {
        let target = target(report, id);
        match target["status"].as_str().unwrap() {
            "failed" => format!("{}/{}", target["stage"].as_str().unwrap(), target["reason"].as_str().unwrap()),
            _ => "seen".to_owned(),
        }
    };
    let ends: Vec<_> = expected.iter().map(|(id, _)| (*id, ended(id))).collect();
    let expected: Vec<_> = expected.iter().map(|(id, end)| (*id, (*end).to_owned())).collect();
    assert_eq!(ends, expected, "{report:#}");
}

/// Which targets there are.
fn ids(report: &Value) -> Vec<&str> {
    let mut ids: Vec<_> =
        report["targets"].as_array().unwrap().iter().map(|target| target["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// The mark and the text of what the doctor tells of one step.
fn step<'a>(checkup: &'a Value, id: &str, kind: &str) -> Option<(&'a str, &'a str)> {
    let steps = target(checkup, id)["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["kind"] == kind)?;
    Some((step["mark"].as_str().unwrap(), step["text"].as_str().unwrap()))
}

/// `fleetdiag` with hosts of this laboratory, as `inventory` says where their consoles are.
fn with_inventory(lab: &Lab, args: &[&str], inventory: &Path) -> Command {
    let mut command = lab.fleetdiag(args);
    command.arg("--ssh-config").arg(lab.path("ssh_config")).arg("-i").arg(inventory);
    command
}

/// Runs `fleetdiag console`, and visits the console at the address that it prints; then it leaves nothing behind.
fn assert_holds_open(lab: &Lab, name: &str, command: &mut Command) {
    let mut child = command.spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let address = address.trim().replace("file://localhost", "unix:");
    // Twice: the way is there for whoever comes.
    for _ in 0..2 {
        let (seen, _) = report(&mut lab.fleetdiag(&["snapshot", &address, "-w", "0s", "--no-save"]));
        assert_eq!(seen["coverage"]["failed"], 0, "{name}: {address}: {seen:#}");
    }
    let below = harness::watch(&harness::descendants(child.id()));
    harness::signal(child.id(), rustix::process::Signal::INT);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{name}");
    assert_eq!(harness::survivors(below), Vec::<String>::new(), "{name}");
    assert!(lab.leftovers().is_empty(), "{name}: {:?}", lab.leftovers());
}
