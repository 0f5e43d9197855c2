//! A small fleet of real tokio programs on this machine, some of them with faults that are known.
//!
//! Each program is a child of ours, running this same executable. It ends when its standard input closes, so none
//! outlives us, however we end.

#[cfg(all(feature = "demo", tokio_unstable))]
mod console;
#[cfg(all(feature = "demo", tokio_unstable))]
mod programs;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// The fleet: host, its group and service, and the program that it runs.
const HOSTS: &[(&str, &str, &str)] = &[
    ("web-01", "web", "web"),
    ("web-02", "web", "web"),
    ("web-03", "web", "web-leaking"),
    ("relay-01", "relay", "relay"),
    ("relay-02", "relay", "relay-losing-wakers"),
    ("relay-03", "relay", "relay-losing-wakers"),
    ("relay-04", "relay", "relay-losing-wakers"),
    ("jobs-01", "jobs", "jobs"),
    ("jobs-02", "jobs", "jobs-blocking"),
    ("jobs-03", "jobs", "jobs-spinning"),
    ("jobs-04", "jobs", "jobs-deadlocked"),
];

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Not in this build.
    #[error("this build has no demo fleet: its programs need {0}")]
    NotBuilt(&'static str),
    /// No program of this name.
    #[error("the demo fleet has no program `{0}`")]
    UnknownProgram(String),
    /// A program did not start.
    #[error("cannot start a program of the demo fleet: {0}")]
    Io(#[from] std::io::Error),
    /// A program ended before it was ready.
    #[error("the demo's program `{0}` ended before it was ready")]
    NotReady(&'static str),
}

/// Programs that are running. They end when this is dropped.
#[derive(Debug)]
pub struct Fleet {
    hosts: Vec<(&'static str, &'static str, SocketAddr)>,
    _programs: Vec<Program>,
}

#[derive(Debug)]
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // It ends by itself now; waiting only keeps it from staying a zombie.
        let _ = self.0.wait();
    }
}

impl Fleet {
    /// Starts every program and waits until their consoles listen and their faults can be seen.
    ///
    /// # Errors
    /// When this build has no programs, or one does not start.
    pub fn start() -> Result<Self, DemoError> {
        if let Some(missing) = missing() {
            return Err(DemoError::NotBuilt(missing));
        }
        let executable = std::env::current_exe()?;
        let mut started = Vec::new();
        for &(host, service, program) in HOSTS {
            let mut command = Command::new(&executable);
            command.args(["demo-program", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
            started.push((host, service, program, Program(command.spawn()?)));
        }
        let mut fleet = Self { hosts: Vec::new(), _programs: Vec::new() };
        for (host, service, name, mut program) in started {
            let mut line = String::new();
            if let Some(stdout) = program.0.stdout.take() {
                BufReader::new(stdout).read_line(&mut line)?;
            }
            let address = line.trim().parse().map_err(|_| DemoError::NotReady(name))?;
            fleet.hosts.push((host, service, address));
            fleet._programs.push(program);
        }
        Ok(fleet)
    }

    /// The fleet as an inventory.
    #[must_use]
    pub fn inventory(&self) -> String {
        type Hosts = BTreeMap<&'static str, BTreeMap<&'static str, String>>;
        #[derive(Default, serde::Serialize)]
        struct Group {
            hosts: Hosts,
            vars: BTreeMap<&'static str, &'static str>,
        }
        let mut groups: BTreeMap<_, Group> = BTreeMap::new();
        for (host, service, address) in &self.hosts {
            let group = groups.entry(*service).or_default();
            let version = if host.starts_with("relay") && *host != "relay-01" { "1.4.2" } else { "1.4.1" };
            let settings = BTreeMap::from([("console", address.to_string()), ("version", version.to_owned())]);
            group.hosts.insert(host, settings);
            group.vars = BTreeMap::from([("service", *service), ("transport", "direct")]);
        }
        // Maps of strings always serialize.
        serde_yaml::to_string(&groups).unwrap_or_default()
    }
}

/// What this build lacks to run the programs.
fn missing() -> Option<&'static str> {
    if !cfg!(feature = "demo") {
        Some("the feature `demo` (`cargo build --features demo`)")
    } else if !cfg!(tokio_unstable) {
        Some("tokio's instrumentation; build with `RUSTFLAGS=\"--cfg tokio_unstable\"`")
    } else {
        None
    }
}

/// Is one of the programs, until standard input closes.
///
/// # Errors
/// When there is no such program, in this build or at all, or its console cannot listen.
#[cfg(all(feature = "demo", tokio_unstable))]
pub fn run_program(name: &str, console: SocketAddr) -> Result<(), DemoError> {
    let program = programs::find(name).ok_or_else(|| DemoError::UnknownProgram(name.to_owned()))?;
    console::run(program, console)
}

/// Says what this build lacks.
///
/// # Errors
/// Always.
#[cfg(not(all(feature = "demo", tokio_unstable)))]
pub fn run_program(name: &str, _console: SocketAddr) -> Result<(), DemoError> {
    Err(missing().map_or_else(|| DemoError::UnknownProgram(name.to_owned()), DemoError::NotBuilt))
}
