//! The whole line over real ssh: what works, and every way in which a host can fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use std::io::Write;

use harness::{Lab, Program, closed_port, listen, report, silent, sshd_on_a_port, target};

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
    let banner = listen(|mut stream| drop(stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n")));
    let page = listen(|mut stream| drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")));
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
