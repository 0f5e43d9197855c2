//! Programs as processes of their own, the report over them, and what in it concerns one of them.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A child that ends when its standard input closes.
struct Running(Child);

impl Running {
    /// Starts a program with its console at `place`.
    fn start(name: &str, place: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["be_a_program", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env("ZOO_PROGRAM", name)
            .env("ZOO_CONSOLE", place)
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

    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// Programs that run, each a service and a host of its own.
pub struct Zoo {
    directory: TempDir,
    running: Vec<Running>,
    names: Vec<String>,
    /// A line of the inventory for each.
    hosts: String,
}

impl Zoo {
    pub fn start(names: &[&str]) -> Self {
        let mut zoo = Self {
            directory: tempfile::Builder::new().prefix("zoo").tempdir().unwrap(),
            running: Vec::new(),
            names: names.iter().map(ToString::to_string).collect(),
            hosts: String::new(),
        };
        for name in names {
            let place = zoo.directory.path().join(name);
            zoo.running.push(Running::start(name, &place));
            zoo.add(name, &format!("unix:{}", place.display()));
        }
        zoo.running.iter_mut().zip(names).for_each(|(running, name)| running.wait_until_ripe(name));
        zoo
    }

    /// Adds a program whose console is at a TCP address.
    pub fn start_at(&mut self, name: &str, address: &str) {
        let mut running = Running::start(name, Path::new(address));
        running.wait_until_ripe(name);
        self.running.push(running);
        self.names.push(name.to_owned());
        self.add(name, address);
    }

    fn add(&mut self, name: &str, console: &str) {
        writeln!(self.hosts, "    {name}: {{service: {name}, console: '{console}'}}").unwrap();
    }

    /// How much memory a program has now, in bytes.
    pub fn memory(&self, name: &str) -> u64 {
        let at = self.names.iter().position(|running| running == name).unwrap();
        self.running[at].memory()
    }

    /// The report over all of them, and over a console that accepts and says nothing, where there is one.
    pub fn report(&mut self, silent: Option<&str>, args: &[&str]) -> Value {
        let _listener = silent.map(|name| {
            let place = self.directory.path().join(name);
            self.add(name, &format!("unix:{}", place.display()));
            UnixListener::bind(place).unwrap()
        });
        let inventory = self.directory.path().join("zoo.yaml");
        std::fs::write(&inventory, format!("all:\n  vars: {{transport: direct}}\n  hosts:\n{}", self.hosts)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
        let output = command
            .args(["snapshot", "all", "-o", "json", "-w", "4s", "--connect-timeout", "5s", "-i"])
            .arg(&inventory)
            .args(args)
            .env("XDG_STATE_HOME", self.directory.path())
            .env("XDG_RUNTIME_DIR", self.directory.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// The findings on one host, in the report's order, each with the place it is at.
pub fn findings<'r>(report: &'r Value, host: &str) -> Vec<(&'r Value, &'r Value)> {
    let hotspots = report["hotspots"].as_array().unwrap().iter();
    let all = hotspots.flat_map(|hotspot| {
        hotspot["findings"].as_array().unwrap().iter().map(move |finding| (&hotspot["subject"], finding))
    });
    all.filter(|(_, finding)| finding["targets"].get(host).is_some()).collect()
}

/// What is known of one host.
pub fn target<'r>(report: &'r Value, host: &str) -> &'r Value {
    let mut targets = report["targets"].as_array().unwrap().iter();
    targets.find(|target| target["id"] == host).unwrap()
}

/// Whether the report tells of such an anomaly on one host.
pub fn has(report: &Value, host: &str, anomaly: &str) -> bool {
    target(report, host)["anomalies"].as_array().is_some_and(|found| found.iter().any(|one| one["kind"] == anomaly))
}

/// Whether the machine had so little CPU for a program that the report says so, and doubts what takes long.
pub fn waited_for_a_cpu(report: &Value, host: &str) -> bool {
    has(report, host, "late-ticks")
}

/// The worst findings of each rule on one host, as `severity rule`, in the report's order.
pub fn leads(report: &Value, host: &str) -> Vec<String> {
    let mut leads = Vec::new();
    for (_, finding) in findings(report, host) {
        let lead = format!("{} {}", finding["severity"].as_str().unwrap(), finding["name"].as_str().unwrap());
        if !leads.contains(&lead) {
            leads.push(lead);
        }
    }
    leads
}
