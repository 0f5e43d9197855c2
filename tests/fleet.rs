//! Whole fleets over real ssh: two hundred hosts at once, servers that shed, what happens in mid-stream, early ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use harness::relay::{Then, relay};
use harness::{
    Daemon, Lab, Program, closed_port, descendants, listen, report, says, signal, silent, sshd_on_a_port, survivors,
    target, watch,
};
use rustix::process::Signal;
use serde_json::Value;

/// Post-quantum key exchange is four fifths of what a handshake costs an older client, and no matter of ours.
const CHEAP: &str = "KexAlgorithms=curve25519-sha256";

/// A program whose state does not grow while it is visited.
const QUIET: &str = "jobs-deadlocked";

/// A snapshot of a whole laboratory.
fn fleet(lab: &Lab, args: &[&str]) -> Command {
    let mut command = lab.snapshot(&["all", "--fail-on", "never", "--ssh-option", CHEAP]);
    command.args(args);
    command
}

fn port(address: &str) -> &str {
    address.rsplit(':').next().unwrap()
}

/// How a target fared: `complete`, `seen once` where that was asked for, `partial: why`, or `stage/reason`.
fn fate(target: &Value) -> String {
    let text = |name: &str| target[name].as_str().unwrap();
    match text("status") {
        "failed" => {
            assert!(!text("hint").is_empty());
            format!("{}/{}", text("stage"), text("reason"))
        }
        "partial" => {
            assert!(target["tasks"]["alive"].as_u64().unwrap() > 0, "what came is used: {target:#}");
            let anomalies = target["anomalies"].as_array().unwrap();
            match anomalies.iter().find(|anomaly| anomaly["kind"] == "ended-early") {
                Some(ended) => format!("partial: {}", ended["why"].as_str().unwrap()),
                None => {
                    assert_eq!(target["updates"], 1, "{target:#}");
                    "seen once".to_owned()
                }
            }
        }
        status => status.to_owned(),
    }
}

/// Programs of the same kind, started side by side.
fn programs(count: usize) -> Vec<Program> {
    let started: Vec<_> = (0..count).map(|_| std::thread::spawn(|| Program::start(QUIET))).collect();
    started.into_iter().map(|program| program.join().unwrap()).collect()
}

/// An address that takes no connection: its queue is full, and those that wait in it are kept.
fn full() -> (String, TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket2::SockRef::from(&listener).listen(0).unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
    let waiting = std::iter::from_fn(connect).collect();
    (address.to_string(), listener, waiting)
}

/// An sshd that sheds every connection while the one that is returned lasts.
fn shedding(lab: &Lab, says: impl FnMut(&str) + Send + 'static) -> (Daemon, TcpStream) {
    lab.sshd_config("sshd_sheds", "MaxStartups 1:100:1\n");
    let daemon = Daemon::start(lab, "sshd_sheds", says);
    let first = TcpStream::connect(&daemon.address).unwrap();
    // It has been let in when it is greeted.
    let mut greeting = String::new();
    BufReader::new(&first).read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("SSH-2.0-"), "{greeting}");
    (daemon, first)
}

#[test]
fn of_two_hundred_hosts_each_is_collected_or_says_why_not() {
    let mut lab = Lab::new();
    let consoles = programs(7);
    let (frozen, killed) = (Program::start(QUIET), programs(3));
    signal(frozen.id(), Signal::STOP);
    let (silent, _connections) = silent();
    let (silent_sshd, _unheard) = self::silent();
    let (full, _listener, _waiting) = full();
    let (sheds, _first) = shedding(&lab, |_| {});
    let banner = says("SSH-2.0-OpenSSH_9.9\r\n");
    let page = says("HTTP/1.1 400 Bad Request\r\n\r\n");
    let hangs_up = listen(drop);
    let elsewhere = TcpListener::bind(("127.0.0.2", 0)).unwrap();
    let elsewhere = format!("127.0.0.1:{}", elsewhere.local_addr().unwrap().port());
    let stalls = relay(&consoles[0].address, |_| Then::Stall);
    let cut = relay(&consoles[0].address, |_| Then::Close);
    lab.sshd_config("sshd_no_forward", "AllowTcpForwarding no\n");
    lab.sshd_config("sshd_knows_nobody", "AuthorizedKeysFile none\n");
    let [sshd, no_forward, knows_nobody] = ["sshd_config", "sshd_no_forward", "sshd_knows_nobody"].map(|c| lab.sshd(c));
    let console = &consoles[0].address;
    let at = |address: &str| format!("Port {}", port(address));
    let through = |jump: &str, address: &str| format!("ProxyJump {jump}\nPort {}", port(address));
    let nowhere = closed_port();
    let ways = [
        ("HostName no-such-name.invalid".to_owned(), console, "resolve/host-not-found"),
        (at(&nowhere), console, "connect/connection-refused"),
        (at(&full), console, "connect/connect-timeout"),
        (at(&silent_sshd), console, "connect/silent-server"),
        ("ProxyCommand false".to_owned(), console, "connect/closed-before-auth"),
        (at(&sheds.address), console, "connect/closed-before-auth"),
        (format!("{sshd}\nHostKeyAlias nobody"), console, "connect/host-key-unknown"),
        (format!("{sshd}\nHostKeyAlias changed"), console, "connect/host-key-changed"),
        (knows_nobody, console, "authenticate/permission-denied"),
        (through("jump-down", &nowhere), console, "connect/jump-host-failed"),
        (through("jump-forbids", &nowhere), console, "connect/jump-host-failed"),
        (through("jump", &nowhere), console, "connect/unreachable-from-jump-host"),
        (no_forward.clone(), console, "forward/forwarding-prohibited"),
        (sshd.clone(), &nowhere, "forward/nothing-listening"),
        (sshd.clone(), &elsewhere, "forward/bound-elsewhere"),
        (sshd.clone(), &"no-such-name.invalid:6669".to_owned(), "forward/endpoint-unreachable"),
        (sshd.clone(), &banner, "console/not-grpc"),
        (sshd.clone(), &page, "console/not-grpc"),
        (sshd.clone(), &hangs_up, "console/closed-at-once"),
        (sshd.clone(), &silent, "console/silent-endpoint"),
        (sshd.clone(), &frozen.address, "console/silent-endpoint"),
        (sshd.clone(), &stalls, "partial: updates stopped coming"),
        (sshd.clone(), &cut, "partial: the stream broke"),
    ];
    let killed: Vec<_> = killed.iter().map(|program| (program.id(), program.address.clone())).collect();
    let mut mortal = killed.iter().map(|(id, address)| {
        let id = *id;
        relay(address, move |_| {
            signal(id, Signal::KILL);
            Then::Go
        })
    });
    let mut broken = 0;
    let mut expected = Vec::new();
    for number in 0..200 {
        let name = format!("host-{number:03}");
        let fate = if ![2, 5, 8].contains(&(number % 10)) {
            lab.good_host(&name, &consoles[number % consoles.len()].address);
            "complete"
        } else {
            broken += 1;
            match (broken, &ways[broken % ways.len()]) {
                (1 | 30 | 60, _) => {
                    lab.good_host(&name, &mortal.next().unwrap());
                    "partial: the stream broke"
                }
                (_, (ssh, console, fate)) => {
                    lab.host(&name, ssh, console);
                    fate
                }
            }
        };
        expected.push((name, fate.to_owned()));
    }
    let counted = |start: &str| expected.iter().filter(|(_, fate)| fate.starts_with(start)).count();
    assert_eq!((broken, counted("complete")), (60, 140));
    for (jump, ssh) in [("jump", &sshd), ("jump-forbids", &no_forward), ("jump-down", &at(&nowhere))] {
        lab.host(jump, ssh, &nowhere);
    }
    // All servers are one machine here, and reading two hundred programs' surroundings at once would be its whole load.
    let args =
        ["--window", "1s", "--exclude", "jump*", "--connect-timeout", "8s", "--max-unreachable", "100", "--no-context"];
    let (report, _) = report(&mut fleet(&lab, &args));
    let found: Vec<_> = expected.iter().map(|(id, _)| (id.clone(), fate(target(&report, id)))).collect();
    let wrong: Vec<_> = found.iter().zip(&expected).filter(|(found, expected)| found != expected).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let coverage = &report["coverage"];
    assert_eq!((&coverage["planned"], &coverage["complete"]), (&200.into(), &140.into()));
    assert_eq!(coverage["partial"].as_u64(), Some(counted("partial") as u64));
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
    assert_eq!(lab.strays(), Vec::<String>::new());
}

#[test]
fn a_jump_host_with_the_usual_limit_passes_sixty() {
    let mut lab = Lab::new();
    let consoles = programs(4);
    lab.sshd_config("sshd_jump", "MaxStartups 10:30:100\n");
    let jump = Daemon::start(&lab, "sshd_jump", |_| {});
    // Each is a server of its own, so that nothing but the jump host holds them back.
    let servers: Vec<_> = (0..60).map(|_| sshd_on_a_port(lab.path("sshd_config"))).collect();
    for (number, (address, _)) in servers.iter().enumerate() {
        lab.host(
            &format!("host-{number}"),
            &format!("ProxyJump jump\nPort {}", port(address)),
            &consoles[number % consoles.len()].address,
        );
    }
    lab.host("jump", &format!("Port {}\nKexAlgorithms curve25519-sha256", port(&jump.address)), "1");
    let (report, _) = report(&mut fleet(&lab, &["--exclude", "jump", "--window", "0s", "--connect-timeout", "40s"]));
    assert_eq!(report["coverage"]["failed"], 0, "{report:#}");
    let log = jump.end();
    assert_eq!((log.matches("drop connection").count(), log.matches("Accepted publickey").count()), (0, 60), "{log}");
}

#[test]
fn a_connection_that_was_shed_is_named_and_tried_again() {
    let mut lab = Lab::new();
    let console = Program::start(QUIET);
    let (stays_full, stays) = shedding(&lab, |_| {});
    // The other one has room as soon as it has shed somebody.
    let held: Arc<Mutex<Option<TcpStream>>> = Arc::default();
    let leaving = Arc::clone(&held);
    let (gets_room, first) = shedding(&lab, move |line| {
        if line.starts_with("drop connection") {
            leaving.lock().unwrap().take();
        }
    });
    *held.lock().unwrap() = Some(first);
    lab.host("full", &format!("Port {}", port(&stays_full.address)), &console.address);
    lab.host("heals", &format!("Port {}", port(&gets_room.address)), &console.address);
    let (report, _) = report(&mut fleet(&lab, &["--window", "0s"]));
    assert_eq!(fate(target(&report, "full")), "connect/closed-before-auth");
    assert!(target(&report, "full")["hint"].as_str().unwrap().contains("MaxStartups"));
    assert_eq!(fate(target(&report, "heals")), "seen once", "{report:#}");
    drop(stays);
    let dropped = |log: String| log.matches("drop connection").count();
    assert_eq!(dropped(stays_full.end()), 3, "as many as there are attempts");
    assert!((1..3).contains(&dropped(gets_room.end())));
}

#[test]
fn only_what_can_heal_is_tried_again() {
    let mut lab = Lab::new();
    let console = Program::start(QUIET);
    let tries = |lab: &Lab, name: &str, then: &str| {
        format!("ProxyCommand sh -c 'echo >> {}; {then}'", lab.path(&format!("tries-{name}")).display())
    };
    let server = |config: &str| format!("exec /usr/sbin/sshd -i -f {}", lab.path(config).display());
    lab.sshd_config("sshd_knows_nobody", "AuthorizedKeysFile none\n");
    lab.sshd_config("sshd_no_forward", "AllowTcpForwarding no\n");
    let (good, knows_nobody, no_forward) =
        (server("sshd_config"), server("sshd_knows_nobody"), server("sshd_no_forward"));
    let later = format!("mkdir {} 2>/dev/null && exit; {good}", lab.path("failed-once").display());
    let hosts = [
        ("closed", "false", "", "connect/closed-before-auth", 3),
        ("heals", &later, "", "seen once", 2),
        ("silent", "exec sleep 60", "", "connect/silent-server", 2),
        ("denied", &knows_nobody, "", "authenticate/permission-denied", 1),
        ("unknown", &good, "HostKeyAlias nobody", "connect/host-key-unknown", 1),
        ("changed", &good, "HostKeyAlias changed", "connect/host-key-changed", 1),
        ("forbids", &no_forward, "", "forward/forwarding-prohibited", 1),
    ];
    for (name, then, more, ..) in hosts {
        let ssh = tries(&lab, name, then);
        lab.host(name, &format!("{ssh}\n{more}"), &console.address);
    }
    let (report, _) = report(&mut fleet(&lab, &["--window", "0s", "--connect-timeout", "3s"]));
    for (name, _, _, expected, attempts) in hosts {
        assert_eq!(fate(target(&report, name)), expected, "{name}: {report:#}");
        let tried = fs::read_to_string(lab.path(&format!("tries-{name}"))).unwrap();
        assert_eq!(tried.lines().count(), attempts, "{name}");
    }
}

#[test]
fn what_happens_in_mid_stream_costs_one_host_the_rest_of_its_window() {
    let mut lab = Lab::new();
    let (healthy, killed, restarted, frozen, on_lost) = {
        let mut programs = programs(5).into_iter();
        let mut next = || programs.next().unwrap();
        (next(), next(), next(), next(), next())
    };
    let at_second = |program: &Program, happens: Box<dyn Fn() + Send + Sync>| {
        relay(&program.address, move |updates| {
            if updates == 2 {
                happens();
            }
            Then::Go
        })
    };
    let sends = |id: u32, sent: Signal| Box::new(move || signal(id, sent));
    let again: Arc<Mutex<Option<Program>>> = Arc::default();
    let (id, address, replacement) = (restarted.id(), restarted.address.clone(), Arc::clone(&again));
    let restart = Box::new(move || {
        signal(id, Signal::KILL);
        *replacement.lock().unwrap() = Some(Program::start_at(QUIET, &address));
    });
    let (lost, session_to_end) = mpsc::channel();
    lab.good_host("healthy", &healthy.address)
        .good_host("killed", &at_second(&killed, sends(killed.id(), Signal::KILL)))
        .good_host("restarted", &at_second(&restarted, restart))
        .good_host("frozen", &at_second(&frozen, sends(frozen.id(), Signal::STOP)))
        .good_host(
            "lost",
            &at_second(
                &on_lost,
                Box::new(move || {
                    let _ = lost.send(());
                }),
            ),
        );
    let mut command = fleet(&lab, &["--window", "3s", "-o", "json"]);
    let fleetdiag = command.spawn().unwrap();
    session_to_end.recv().unwrap();
    let masters: Vec<_> = descendants(fleetdiag.id()).into_iter().filter(|&id| is_ssh_to(id, "lost")).collect();
    let [master] = masters[..] else { panic!("{masters:?}") };
    signal(master, Signal::KILL);
    let output = fleetdiag.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = [
        ("healthy", "complete"),
        ("killed", "partial: the stream broke"),
        ("restarted", "partial: the stream broke"),
        ("frozen", "partial: updates stopped coming"),
        ("lost", "partial: the SSH session ended"),
    ];
    let found = expected.map(|(id, _)| (id, fate(target(&report, id))));
    assert_eq!(found, expected.map(|(id, fate)| (id, fate.to_owned())), "{report:#}");
    assert!(again.lock().unwrap().is_some());
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
}

fn is_ssh_to(process: u32, host: &str) -> bool {
    let words = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let words: Vec<_> = words.split(|byte| *byte == 0).filter(|word| !word.is_empty()).collect();
    words.first() == Some(&&b"ssh"[..]) && words.last() == Some(&host.as_bytes())
}

/// Forty hosts that are well, ten whose console does not speak, and a hundred and fifty whose sshd does not.
struct Stuck {
    lab: Lab,
    _programs: Vec<Program>,
    _consoles: mpsc::Receiver<TcpStream>,
    sshds: mpsc::Receiver<TcpStream>,
}

impl Stuck {
    const WELL: usize = 40;
    const HOSTS: usize = 200;
    const FORKS: usize = 64;

    fn new() -> Self {
        let mut lab = Lab::new();
        let programs = programs(4);
        let console = |number: usize| &programs[number % programs.len()].address;
        let ((silent, consoles), (sender, sshds)) = (silent(), mpsc::channel());
        // Few hosts on each, so that no server's own limit is asked.
        let silent_sshds: Vec<_> = (0..Self::HOSTS / 4)
            .map(|_| {
                let sender = sender.clone();
                listen(move |stream| drop(sender.send(stream)))
            })
            .collect();
        for number in 0..Self::HOSTS {
            let name = format!("host-{number:03}");
            match number {
                ..Self::WELL => lab.good_host(&name, console(number)),
                40..50 => lab.good_host(&name, &silent),
                _ => {
                    let sshd = &silent_sshds[number % silent_sshds.len()];
                    lab.host(&name, &format!("Port {}", port(sshd)), console(number))
                }
            };
        }
        Self { lab, _programs: programs, _consoles: consoles, sshds }
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = fleet(&self.lab, &["--window", "0s", "--connect-timeout", "50s", "-o", "json"]);
        command.args(more);
        command
    }

    /// Starts a run, and sends it signals once every place is taken by a host that does not answer.
    fn ended_by(&self, signals: &[Signal]) -> (Output, Vec<String>) {
        let fleetdiag = self.command(&[]).spawn().unwrap();
        let _held: Vec<_> = self.sshds.iter().take(Self::FORKS).collect();
        let processes = descendants(fleetdiag.id());
        assert!(processes.len() >= Self::FORKS, "{processes:?}");
        let processes = watch(&processes);
        for sent in signals {
            signal(fleetdiag.id(), *sent);
        }
        let output = fleetdiag.wait_with_output().unwrap();
        (output, survivors(processes))
    }
}

#[test]
fn a_large_run_that_is_ended_reports_what_is_there_and_names_the_rest() {
    let stuck = Stuck::new();
    for signals in [&[Signal::INT][..], &[Signal::INT, Signal::INT]] {
        let (output, survivors) = stuck.ended_by(signals);
        assert_eq!((output.status.code(), survivors), (Some(130), vec![]));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["coverage"]["planned"], Stuck::HOSTS);
        for number in 0..Stuck::HOSTS {
            let fate = fate(target(&report, &format!("host-{number:03}")));
            match number {
                ..Stuck::WELL => assert_eq!(fate, "seen once"),
                40..50 => assert_eq!(fate, "console/silent-endpoint"),
                _ => assert!(fate.ends_with("/interrupted"), "{fate}"),
            }
        }
        assert!(stuck.lab.leftovers().is_empty(), "{:?}", stuck.lab.leftovers());
        assert_eq!(stuck.lab.strays(), Vec::<String>::new());
    }
}

#[test]
fn at_its_deadline_a_large_run_ends_by_itself() {
    let stuck = Stuck::new();
    let output = stuck.command(&["--deadline", "6s"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let fates: Vec<_> = (0..Stuck::HOSTS).map(|number| fate(target(&report, &format!("host-{number:03}")))).collect();
    let of = |wanted: &str| fates.iter().filter(|fate| fate.ends_with(wanted)).count();
    assert!(of("/deadline-exceeded") >= 150, "{fates:?}");
    assert_eq!(of("/deadline-exceeded") + of("seen once") + of("/silent-endpoint"), Stuck::HOSTS, "{fates:?}");
    assert_eq!(report["run"]["interrupted"], false);
    assert_eq!(output.status.code(), Some(3), "most of the fleet was not seen");
    assert!(stuck.lab.leftovers().is_empty(), "{:?}", stuck.lab.leftovers());
}
