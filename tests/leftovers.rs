//! Nothing is left behind: no process, socket or directory, however a run ends and whatever the server does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use std::net::TcpStream;
use std::process::{Child, Output};
use std::sync::mpsc::Receiver;

use harness::{Lab, descendants, freeze, signal, silent, sshd_on_a_port, survivors, watch};
use rustix::process::Signal;

const TUNNELS: usize = 4;

/// A run that has four tunnels open to consoles that do not speak yet.
struct Run {
    lab: Lab,
    fleetdiag: Child,
    /// The connections as the console sees them, held so that they stay open.
    _consoles: Vec<TcpStream>,
    sshds: Receiver<Child>,
}

#[derive(Clone, Copy)]
enum Way {
    Straight,
    ThroughJumpHost,
}

impl Run {
    /// Starts it and waits until each tunnel has reached its console.
    fn start(way: Way) -> Self {
        let mut lab = Lab::new();
        let (console, accepted) = silent();
        let (address, sshds) = sshd_on_a_port(lab.path("sshd_config"));
        let port = address.rsplit(':').next().unwrap();
        let jump = match way {
            Way::Straight => String::new(),
            Way::ThroughJumpHost => "ProxyJump jump\n".to_owned(),
        };
        lab.host("jump", &format!("Port {port}"), "1");
        for number in 1..=TUNNELS {
            lab.host(&format!("host-{number}"), &format!("{jump}Port {port}"), &console);
        }
        let fleetdiag = lab.snapshot(&["host*"]).spawn().unwrap();
        let consoles = (0..TUNNELS).map(|_| accepted.recv().unwrap()).collect();
        Self { lab, fleetdiag, _consoles: consoles, sshds }
    }

    /// Everything that it has started: at least an `ssh` for each tunnel.
    fn processes(&self) -> Vec<u32> {
        let processes = descendants(self.fleetdiag.id());
        assert!(processes.len() >= TUNNELS, "{processes:?}");
        processes
    }

    /// Stops every sshd that serves it, as a server that hangs.
    fn freeze_servers(&self) -> Vec<Child> {
        let sshds: Vec<_> = self.sshds.try_iter().collect();
        sshds.iter().for_each(|sshd| freeze(sshd.id()));
        sshds
    }

    fn signal(&self, sent: Signal) {
        signal(self.fleetdiag.id(), sent);
    }

    /// Waits for its end; what it printed, and what of its processes is still there.
    fn end(mut self, processes: &[u32], send: impl FnOnce(&Self)) -> (Output, Vec<String>, Lab) {
        let processes = watch(processes);
        send(&self);
        let stdout = self.fleetdiag.stdout.take();
        let status = self.fleetdiag.wait().unwrap();
        let mut output = Output { status, stdout: Vec::new(), stderr: Vec::new() };
        std::io::Read::read_to_end(&mut stdout.unwrap(), &mut output.stdout).unwrap();
        (output, survivors(processes), self.lab)
    }
}

/// Ends frozen servers, the lowest first: what loses its parent ends by itself.
fn end_all(sshds: Vec<Child>) {
    for mut sshd in sshds {
        for process in descendants(sshd.id()).into_iter().rev() {
            signal(process, Signal::KILL);
        }
        sshd.kill().unwrap();
        sshd.wait().unwrap();
    }
}

#[test]
fn an_orderly_end_leaves_nothing() {
    for way in [Way::Straight, Way::ThroughJumpHost] {
        let run = Run::start(way);
        let processes = run.processes();
        let (output, survivors, lab) = run.end(&processes, |_| {});
        assert_eq!((output.status.code(), survivors), (Some(3), vec![]));
        assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
    }
}

#[test]
fn a_signal_ends_it_in_order_with_a_report() {
    for way in [Way::Straight, Way::ThroughJumpHost] {
        for sent in [Signal::INT, Signal::TERM, Signal::HUP] {
            let run = Run::start(way);
            let processes = run.processes();
            let (output, survivors, lab) = run.end(&processes, |run| run.signal(sent));
            assert_eq!((output.status.code(), survivors), (Some(130), vec![]));
            assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
            let report = String::from_utf8(output.stdout).unwrap();
            assert_eq!(report.matches("interrupted").count(), TUNNELS + 1, "{report}");
        }
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_still_leaves_nothing() {
    let run = Run::start(Way::ThroughJumpHost);
    let processes = run.processes();
    let sshds = run.freeze_servers();
    let (output, survivors, lab) = run.end(&processes, |run| {
        run.signal(Signal::INT);
        run.signal(Signal::TERM);
    });
    assert_eq!((output.status.code(), survivors), (Some(130), vec![]));
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
    end_all(sshds);
}

#[test]
fn servers_that_hang_hold_nothing_back() {
    for way in [Way::Straight, Way::ThroughJumpHost] {
        let run = Run::start(way);
        let processes = run.processes();
        let sshds = run.freeze_servers();
        let (output, survivors, lab) = run.end(&processes, |run| run.signal(Signal::TERM));
        assert_eq!((output.status.code(), survivors), (Some(130), vec![]));
        assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
        end_all(sshds);
    }
}

#[test]
fn a_killed_run_takes_its_processes_along_and_the_next_one_sweeps() {
    for way in [Way::Straight, Way::ThroughJumpHost] {
        for hang in [false, true] {
            let run = Run::start(way);
            let processes = run.processes();
            let sshds = if hang { run.freeze_servers() } else { Vec::new() };
            let (output, survivors, lab) = run.end(&processes, |run| run.signal(Signal::KILL));
            assert_eq!((output.status.code(), survivors), (None, vec![]));
            assert_eq!(lab.leftovers().len(), 1, "a directory is all that a killed run can leave");
            end_all(sshds);
            let next = lab.snapshot(&["jump", "--ssh-option", "ProxyCommand=false"]).output().unwrap();
            assert_eq!(next.status.code(), Some(3));
            assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
        }
    }
}

/// A server whose `docker` never answers; the ids of its processes are lines of a file.
fn stalled_engine(lab: &mut Lab) -> std::path::PathBuf {
    let (bin, asked) = (lab.path("bin"), lab.path("asked"));
    std::fs::create_dir(&bin).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &asked, 0o600.into()).unwrap();
    let docker = bin.join("docker");
    std::fs::write(&docker, format!("#!/bin/sh\necho $$ >{}\nexec sleep 600\n", asked.display())).unwrap();
    std::fs::set_permissions(&docker, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    lab.sshd_config("sshd_stalled", &format!("SetEnv PATH={}:/usr/bin:/bin\n", bin.display()));
    let sshd = lab.sshd("sshd_stalled");
    lab.host("host", &sshd, "docker:app");
    asked
}

#[test]
fn a_lookup_of_containers_ends_with_the_run_here_and_on_the_server() {
    for deadline in [None, Some("5s")] {
        let mut lab = Lab::new();
        let asked = stalled_engine(&mut lab);
        let mut command = lab.snapshot(&["host", "-o", "json"]);
        command.args(deadline.map(|deadline| ["--deadline", deadline]).into_iter().flatten());
        let fleetdiag = command.spawn().unwrap();
        let engine: u32 = std::fs::read_to_string(asked).unwrap().trim().parse().unwrap();
        let processes = [descendants(fleetdiag.id()), vec![engine]].concat();
        let processes = watch(&processes);
        if deadline.is_none() {
            signal(fleetdiag.id(), Signal::INT);
        }
        let output = fleetdiag.wait_with_output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let host = harness::target(&report, "host");
        let (code, reason) = if deadline.is_none() { (130, "interrupted") } else { (3, "deadline-exceeded") };
        assert_eq!((output.status.code(), &host["stage"]), (Some(code), &"resolve".into()), "{report:#}");
        assert_eq!(host["reason"], reason, "{report:#}");
        assert_eq!(survivors(processes), Vec::<String>::new());
        assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
    }
}
