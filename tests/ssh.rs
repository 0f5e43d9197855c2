//! The whole line over real ssh: what works, and every way in which a host can fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use std::io::Write;

use harness::{Lab, Program, closed_port, listen, report, says, silent, sshd_on_a_port, target};

/// The failure of each host that is not well, as `stage/reason`.
fn failure(report: &serde_json::Value, id: &str) -> String {
    let target = target(report, id);
    assert_eq!(target["status"], "failed", "{target:#}");
    assert!(!target["hint"].as_str().unwrap().is_empty());
    format!("{}/{}", target["stage"].as_str().unwrap(), target["reason"].as_str().unwrap())
}

#[test]
fn a_fleet_of_healthy_and_faulty_hosts_becomes_one_report() {
    let mut lab = Lab::new();
    let programs = [
        ("web-1", "web"),
        ("web-2", "web"),
        ("relay-1", "relay"),
        ("relay-2", "relay-losing-wakers"),
        ("relay-3", "relay-losing-wakers"),
        ("jobs-1", "jobs"),
        ("jobs-2", "jobs-blocking"),
        ("jobs-3", "jobs-spinning"),
    ]
    .map(|(host, program)| (host, Program::start(program)));
    for (host, program) in &programs {
        lab.good_host(host, &program.address);
    }
    let (report, code) = report(&mut lab.snapshot(&["all"]));
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(report["coverage"]["complete"], 8, "{report:#}");
    let found: Vec<_> = report["hotspots"].as_array().unwrap().iter().map(|hotspot| &hotspot["findings"][0]).collect();
    let names: Vec<_> = found.iter().map(|finding| finding["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["lost-waker", "never-yielded", "spinning", "large-future"], "{report:#}");
    let (lost, blocking) = (found[0], found[1]);
    assert_eq!((&lost["affected"], &lost["of"]), (&6.into(), &6.into()));
    assert_eq!(lost["targets"].as_object().unwrap().keys().collect::<Vec<_>>(), ["relay-2", "relay-3"]);
    assert_eq!(blocking["targets"].as_object().unwrap().keys().collect::<Vec<_>>(), ["jobs-2"]);
    assert_eq!(report["hotspots"][0]["subject"]["location"]["file"], "src/demo/programs.rs");
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
}

#[test]
fn a_saved_run_gives_the_same_bytes_again() {
    let mut lab = Lab::new();
    let program = Program::start("relay-losing-wakers");
    lab.good_host("relay", &program.address).good_host("closed", &closed_port());
    for format in ["human", "json"] {
        let live = lab.snapshot(&["all", "-w", "1s", "-o", format]).output().unwrap();
        let again = lab.fleetdiag(&["analyze", "@last", "-o", format]).output().unwrap();
        assert_eq!(String::from_utf8(live.stdout).unwrap(), String::from_utf8(again.stdout).unwrap());
        assert_eq!(live.status.code(), again.status.code());
    }
}

#[test]
fn each_host_fails_for_its_own_reason_while_the_others_are_reported() {
    let mut lab = Lab::new();
    let healthy = Program::start("relay");
    let frozen = Program::start("relay");
    harness::signal(frozen.id(), rustix::process::Signal::STOP);
    let console = healthy.address.clone();
    let (silent, _connections) = silent();
    let (silent_sshd, _unheard) = self::silent();
    let banner = says("SSH-2.0-OpenSSH_9.9\r\n");
    let page = says("HTTP/1.1 400 Bad Request\r\n\r\n");
    let hangs_up = listen(drop);
    lab.sshd_config("sshd_no_forward", "AllowTcpForwarding no\n");
    let sshd = lab.sshd("sshd_config");
    let no_forward = lab.sshd("sshd_no_forward");
    lab.sshd_config("sshd_knows_nobody", "AuthorizedKeysFile none\n");
    let knows_nobody = lab.sshd("sshd_knows_nobody");
    let no_socket = format!("unix:{}", lab.path("none.sock").display());
    let port = |address: &str| address.rsplit(':').next().unwrap().to_owned();
    lab.good_host("healthy", &console)
        .host("no-such-name", "HostName no-such-name.invalid", &console)
        .host("refused", &format!("Port {}", port(&closed_port())), &console)
        .host("silent-server", &format!("Port {}", port(&silent_sshd)), &console)
        .host("closed", "ProxyCommand false", &console)
        .host("denied", &knows_nobody, &console)
        .host("unknown-key", &format!("{sshd}\nHostKeyAlias nobody"), &console)
        .host("changed-key", &format!("{sshd}\nHostKeyAlias changed"), &console)
        .host("no-forward", &no_forward, &console)
        .good_host("nothing", &closed_port())
        .good_host("elsewhere", "no-such-name.invalid:6669")
        .good_host("no-socket", &no_socket)
        .good_host("banner", &banner)
        .good_host("page", &page)
        .good_host("hangs-up", &hangs_up)
        .good_host("silent", &silent)
        .good_host("frozen", &frozen.address)
        .host("jump-refused", &format!("ProxyJump refused\nPort {}", port(&console)), &console)
        .host("behind-jump", &format!("ProxyJump healthy\nPort {}", port(&closed_port())), &console)
        .host("jump-forbids", &format!("ProxyJump no-forward\nPort {}", port(&console)), &console);
    let args = ["all", "-w", "1s", "--connect-timeout", "6s", "--max-unreachable", "30"];
    let (report, code) = report(&mut lab.snapshot(&args));
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(target(&report, "healthy")["status"], "complete");
    let expected = [
        ("no-such-name", "resolve/host-not-found"),
        ("refused", "connect/connection-refused"),
        ("silent-server", "connect/silent-server"),
        ("closed", "connect/closed-before-auth"),
        ("denied", "authenticate/permission-denied"),
        ("unknown-key", "connect/host-key-unknown"),
        ("changed-key", "connect/host-key-changed"),
        ("no-forward", "forward/forwarding-prohibited"),
        ("nothing", "forward/nothing-listening"),
        ("elsewhere", "forward/endpoint-unreachable"),
        ("no-socket", "forward/nothing-listening"),
        ("banner", "console/not-grpc"),
        ("page", "console/not-grpc"),
        ("hangs-up", "console/closed-at-once"),
        ("silent", "console/silent-endpoint"),
        ("frozen", "console/silent-endpoint"),
        ("jump-refused", "connect/jump-host-failed"),
        ("behind-jump", "connect/unreachable-from-jump-host"),
        ("jump-forbids", "connect/jump-host-failed"),
    ];
    let found: Vec<_> = expected.iter().map(|(id, _)| (*id, failure(&report, id))).collect();
    let expected: Vec<_> = expected.iter().map(|(id, reason)| (*id, (*reason).to_owned())).collect();
    assert_eq!(found, expected, "{report:#}");
    assert!(lab.leftovers().is_empty());
}

#[test]
fn a_broken_ssh_config_is_named_with_its_line() {
    let mut lab = Lab::new();
    lab.host("relay", "Nonsense yes", "1");
    let (report, code) = report(&mut lab.snapshot(&["relay"]));
    assert_eq!((failure(&report, "relay").as_str(), code), ("resolve/ssh-config-invalid", 3));
    assert!(
        target(&report, "relay")["detail"].as_str().unwrap().contains("line 2: Bad configuration option: nonsense")
    );
}

#[test]
fn a_jump_host_leads_to_the_console() {
    let mut lab = Lab::new();
    let program = Program::start("relay");
    let (address, _sshds) = sshd_on_a_port(lab.path("sshd_config"));
    let port = address.rsplit(':').next().unwrap().to_owned();
    lab.good_host("jump", &closed_port());
    lab.host("inside", &format!("ProxyJump jump\nPort {port}"), &program.address);
    let (report, code) = report(&mut lab.snapshot(&["inside", "-w", "1s"]));
    assert_eq!((code, &target(&report, "inside")["status"]), (0, &"complete".into()), "{report:#}");
}

#[test]
fn several_consoles_share_one_session() {
    let mut lab = Lab::new();
    let (good, bad) = (Program::start("relay"), Program::start("jobs-blocking"));
    let logins = lab.path("logins");
    let counted = format!(
        "ProxyCommand sh -c 'echo >> {}; exec /usr/sbin/sshd -i -f {}'",
        logins.display(),
        lab.path("sshd_config").display()
    );
    lab.host("server", &counted, "1");
    let inventory = lab.path("several.yaml");
    let text = format!(
        "all:\n  hosts:\n    server:\n      consoles: {{good: '{}', bad: '{}', none: '{}'}}\n",
        good.address,
        bad.address,
        closed_port()
    );
    std::fs::write(&inventory, text).unwrap();
    let mut command = lab.fleetdiag(&["snapshot", "all"]);
    command.arg("--ssh-config").arg(lab.path("ssh_config")).arg("-i").arg(&inventory);
    let (report, code) = report(&mut command);
    assert_eq!(code, 1, "{report:#}");
    assert_eq!(target(&report, "server/good")["status"], "complete");
    assert_eq!(target(&report, "server/bad")["findings"]["critical"], 2);
    assert_eq!(failure(&report, "server/none"), "forward/nothing-listening");
    assert_eq!(std::fs::read_to_string(logins).unwrap().lines().count(), 1);
}

#[test]
fn aliases_of_the_ssh_config_need_no_inventory() {
    let mut lab = Lab::new();
    lab.host("relay-2", "ProxyCommand false", "1");
    let mut command = lab.fleetdiag(&["snapshot", "relay-2"]);
    let (report, code) = report(command.arg("--ssh-config").arg(lab.path("ssh_config")));
    assert_eq!((failure(&report, "relay-2").as_str(), code), ("connect/closed-before-auth", 3));
}

#[test]
fn names_that_ssh_would_obey_never_reach_it() {
    let lab = Lab::new();
    let marker = lab.path("obeyed");
    for name in [
        format!("-oProxyCommand=touch${{IFS}}{}", marker.display()),
        "a\nb".into(),
        format!("$(touch {})", marker.display()),
    ] {
        let output = lab.snapshot(&["--", &name]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(complaint.starts_with("error: ") && complaint.lines().count() == 1, "{complaint}");
        assert!(output.stdout.is_empty());
    }
    assert!(!marker.exists());
}

#[test]
fn what_failed_can_be_run_again_alone() {
    let program = Program::start("web");
    let mut lab = Lab::new();
    lab.good_host("good", &program.address).good_host("bad", &closed_port()).good_host("worse", &closed_port());
    let ids = |report: &serde_json::Value| -> Vec<String> {
        let targets = report["targets"].as_array().unwrap();
        let mut ids: Vec<_> = targets.iter().map(|target| target["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let (first, _) = report(&mut lab.snapshot(&["all", "-w", "0s"]));
    assert_eq!(ids(&first), ["bad", "good", "worse"]);
    // As they were planned, without any inventory; then with one, narrowed.
    let mut again = lab.fleetdiag(&["snapshot", "--rerun", "failed", "-w", "0s"]);
    let (again, _) = report(again.arg("--ssh-config").arg(lab.path("ssh_config")));
    assert_eq!(ids(&again), ["bad", "worse"]);
    let (narrowed, _) = report(&mut lab.snapshot(&["--rerun", "failed=@prev", "--exclude", "bad", "-w", "0s"]));
    assert_eq!(ids(&narrowed), ["worse"]);
    let refused = lab.snapshot(&["good", "--rerun", "failed"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

/// The names of a report's findings about one target, with their severities.
fn found_on(report: &serde_json::Value, id: &str) -> Vec<String> {
    let findings =
        report["hotspots"].as_array().unwrap().iter().flat_map(|place| place["findings"].as_array().unwrap());
    let on = findings.filter(|finding| finding["targets"].as_object().unwrap().contains_key(id));
    let mut names: Vec<_> =
        on.map(|f| format!("{} {}", f["severity"].as_str().unwrap(), f["name"].as_str().unwrap())).collect();
    names.sort();
    names
}

/// Threads that do nothing until the test's process ends.
fn threads(count: usize) {
    let (started, ready) = std::sync::mpsc::channel();
    for _ in 0..count {
        let started = started.clone();
        std::thread::spawn(move || {
            started.send(()).unwrap();
            loop {
                std::thread::park();
            }
        });
    }
    ready.iter().take(count).for_each(drop);
}

#[test]
fn what_surrounds_a_program_is_read_and_judged_whether_its_console_answers_or_not() {
    let mut lab = Lab::new();
    let well = Program::start("relay");
    // 250 of 256 descriptors, most of them inherited.
    let full = Program::start_in("ulimit -n 256; for i in {20..249}; do eval \"exec $i</dev/null\"; done", "relay");
    // This process listens, accepts, and never closes what its clients have closed.
    let (silent, _connections) = silent();
    threads(120 + std::thread::available_parallelism().unwrap().get());
    (0..110).for_each(|_| drop(std::net::TcpStream::connect(&silent).unwrap()));
    let health = listen(|mut stream| {
        let mut request = [0; 512];
        let _ = std::io::Read::read(&mut stream, &mut request);
        drop(stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    });
    let log = lab.path("relay.log");
    std::fs::write(&log, "INFO up\n\u{1b}[31mERROR\u{1b}[0m broken \u{1b}]0;owned\u{7}\nWARN slow\n").unwrap();
    for name in ["well", "full", "silent", "closed"] {
        lab.good_host(name, "1");
    }
    lab.fleetdiag(&[]);
    let inventory = lab.path("surroundings.yaml");
    let text = format!(
        "all:\n  hosts:\n    well: {{console: '{}', health_url: 'http://{health}/health?key=secret', log: '{}'}}\n    full: {{console: '{}'}}\n    \
         silent: {{console: '{silent}', log: /no/such.log}}\n    closed: {{console: '{}'}}\n",
        well.address,
        log.display(),
        full.address,
        closed_port()
    );
    std::fs::write(&inventory, text).unwrap();
    let snapshot = |args: &[&str]| {
        let mut command = lab.fleetdiag(&["snapshot", "all"]);
        command.arg("--ssh-config").arg(lab.path("ssh_config")).arg("-i").arg(&inventory).args(args);
        command
    };
    let args = ["-w", "2s", "--max-unreachable", "4"];
    let (seen, code) = report(&mut snapshot(&args));
    assert_eq!(code, 1, "critical findings fail the run although their host was not seen: {seen:#}");

    let process = &target(&seen, "well")["context"]["process"];
    assert_eq!(process["pid"], well.id(), "{process}");
    assert!(process["fds"].as_u64().unwrap() > 5 && process["cpu_percent"].is_number(), "{process}");
    let around = &target(&seen, "well")["context"];
    assert_eq!(around["health"]["status"], 503, "{around:#}");
    assert!(around["health"]["url"].as_str().unwrap().ends_with("/health"), "no query: {around:#}");
    assert_eq!((&around["log"]["errors"], &around["log"]["warnings"]), (&1.into(), &1.into()));
    assert!(around["machine"]["memory_bytes"].as_u64().unwrap() > 0);
    assert_eq!(found_on(&seen, "well"), ["critical health-failing"]);
    assert_eq!(found_on(&seen, "full"), ["critical fd-usage"]);
    assert_eq!(target(&seen, "full")["context"]["process"]["fd_limit"], 256);

    assert_eq!(failure(&seen, "silent"), "console/silent-endpoint");
    let around = &target(&seen, "silent")["context"];
    assert!(around["tcp"]["close_wait"].as_u64().unwrap() >= 110, "{around:#}");
    assert_eq!(around["tcp"]["of"], "process", "{around:#}");
    let found = found_on(&seen, "silent");
    assert!(found.contains(&"critical close-wait".to_owned()), "{found:?}");
    assert!(found.contains(&"warning thread-count".to_owned()), "{found:?}");
    let unseen = around["unseen"].as_array().unwrap();
    assert!(unseen.iter().any(|unseen| unseen["what"] == "log"), "{unseen:?}");
    // Nobody listens there; the machine can be looked at all the same, and nothing is made up.
    let around = &target(&seen, "closed")["context"];
    assert!(around["process"].is_null() && around["machine"]["cpus"].is_number(), "{around:#}");
    assert_eq!(found_on(&seen, "closed"), [""; 0]);

    let human = lab.fleetdiag(&["analyze", "@last", "-v", "--width", "200"]).output().unwrap();
    let human = String::from_utf8(human.stdout).unwrap();
    assert!(human.contains("/256 (") && human.contains("CLOSE_WAIT 11"), "{human}");
    assert!(human.contains("log: ERROR broken") && !human.contains('\u{7}'), "{human}");
    let live = snapshot(&[args.as_slice(), &["-o", "human"]].concat()).output().unwrap();
    let again = lab.fleetdiag(&["analyze", "@last", "--max-unreachable", "4", "-o", "human"]).output().unwrap();
    assert_eq!(String::from_utf8(live.stdout).unwrap(), String::from_utf8(again.stdout).unwrap());
    let shared = lab.path("shared.fdcap");
    let merged = lab.fleetdiag(&["merge", "@last", "--redact", "-o", shared.to_str().unwrap()]).output().unwrap();
    assert!(merged.status.success(), "{}", String::from_utf8_lossy(&merged.stderr));
    let (redacted, _) = report(&mut lab.fleetdiag(&["analyze", shared.to_str().unwrap()]));
    let text = redacted["targets"].to_string();
    assert!(text.contains("\"fd_limit\":256") && !text.contains("relay.log") && !text.contains("broken"), "{text}");
    assert!(lab.leftovers().is_empty());
}

#[test]
fn no_command_runs_on_a_server_without_a_context() {
    let mut lab = Lab::new();
    let program = Program::start("relay");
    let (log, script) = (lab.path("commands"), lab.path("forced"));
    let text = format!("echo \"$SSH_ORIGINAL_COMMAND\" >> {}\nexec sh -c \"$SSH_ORIGINAL_COMMAND\"\n", log.display());
    std::fs::write(&script, text).unwrap();
    lab.sshd_config("sshd_forced", &format!("ForceCommand sh {}\n", script.display()));
    let forced = lab.sshd("sshd_forced");
    lab.host("relay", &forced, &program.address);
    for args in [["-w", "1s", "--no-context"].as_slice(), &["-w", "0s"]] {
        let (seen, _) = report(&mut lab.snapshot(&[&["relay"], args].concat()));
        assert!(target(&seen, "relay")["context"].is_null(), "{seen:#}");
        assert!(!log.exists(), "{}", std::fs::read_to_string(&log).unwrap());
    }
    let (seen, _) = report(&mut lab.snapshot(&["relay", "-w", "1s"]));
    assert_eq!(target(&seen, "relay")["context"]["process"]["pid"], program.id(), "{seen:#}");
    assert!(std::fs::read_to_string(&log).unwrap().contains("fleetdiag-host"), "one command, and it is ours");
}
