//! The way to a console, walked aloud by `fleetdiag doctor` and held open by `fleetdiag console`: with real consoles behind
//! a real ssh, and a stand-in for tokio-console on the `PATH`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use harness::{FLEETDIAG, Lab, Program, closed_port, descendants, report, signal, silent, survivors, target, watch};
use rustix::process::Signal;
use serde_json::Value;

/// `fleetdiag console` in the laboratory; `tokio-console` is `script`, where there is one.
fn console(lab: &Lab, script: Option<&str>, args: &[&str]) -> Command {
    let bin = lab.path("bin");
    fs::create_dir_all(&bin).unwrap();
    if let Some(script) = script {
        let program = bin.join("tokio-console");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = lab.fleetdiag(&["console"]);
    command.arg("--ssh-config").arg(lab.path("ssh_config")).arg("-i").arg(lab.path("hosts.yaml")).args(args);
    command.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    command
}

#[test]
fn tokio_console_speaks_through_the_tunnel() {
    let program = Program::start("web");
    let mut lab = Lab::new();
    lab.good_host("web1", &program.address);
    // It asks for a whole update, as tokio-console does, at the address that it was given.
    let report = lab.path("report.json");
    let script = format!(
        "case \"$1\" in file://localhost/*) ;; *) echo \"no socket: $1\"; exit 9 ;; esac\n[ \"$2\" = --lang ] || exit 8\n\
         stat -c %a \"$(dirname \"${{1#file://localhost}}\")\" >{}\n\
         {FLEETDIAG} snapshot \"unix:${{1#file://localhost}}\" --no-save -w 0s -o json={} >/dev/null || true\nexit 7",
        lab.path("mode").display(),
        report.display(),
    );
    let output = console(&lab, Some(&script), &["web1", "--", "--lang"]).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "its exit code is ours: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(lab.path("mode")).unwrap().trim(), "700", "nobody else can enter");
    let report: serde_json::Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    assert_eq!(report["coverage"]["failed"], 0, "{report:#}");
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
}

#[test]
fn without_tokio_console_the_way_stays_open_until_the_signal() {
    let program = Program::start("web");
    let mut lab = Lab::new();
    lab.good_host("web1", &program.address);
    for sent in [Signal::INT, Signal::TERM] {
        let mut child = console(&lab, None, &["web1"]).spawn().unwrap();
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let socket = address.trim().strip_prefix("file://localhost").unwrap_or_else(|| panic!("{address}"));
        std::os::unix::net::UnixStream::connect(socket).unwrap();
        let below = watch(&descendants(child.id()));
        assert!(!below.is_empty());
        signal(child.id(), sent);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(survivors(below), Vec::<String>::new());
        assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
    }
}

#[test]
fn a_signal_ends_tokio_console_too() {
    let program = Program::start("web");
    let mut lab = Lab::new();
    lab.good_host("web1", &program.address);
    let mut child = console(&lab, Some("echo here\nexec sleep 600"), &["web1"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "here\n");
    let below = watch(&descendants(child.id()));
    signal(child.id(), Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(survivors(below), Vec::<String>::new());
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
}

#[test]
fn a_console_that_is_not_there_is_told_before_anything_starts() {
    let mut lab = Lab::new();
    let closed = closed_port();
    lab.good_host("web1", &closed).good_host("web2", &closed);
    let said = |args: &[&str]| {
        let output = console(&lab, Some("echo never"), args).output().unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = said(&["web1"]);
    assert_eq!(code, Some(4));
    assert!(stderr.contains("nothing listens"), "{stderr}");
    let (code, stderr) = said(&["all"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("`all` means 2 consoles; name one of `web1`, `web2`"), "{stderr}");
    let (code, stderr) = said(&["web1/api"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("no such console; there are `web1`"), "{stderr}");
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
}

/// The steps of a checkup, as `stage/mark/kind`.
fn steps(report: &Value, id: &str) -> Vec<String> {
    let text = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    let steps = target(report, id)["steps"].as_array().unwrap().iter();
    steps.map(|step| format!("{}/{}/{}", text(step, "stage"), text(step, "mark"), text(step, "kind"))).collect()
}

fn said<'a>(report: &'a Value, id: &str, kind: &str) -> &'a str {
    let steps = target(report, id)["steps"].as_array().unwrap();
    let step =
        steps.iter().find(|step| step["kind"] == kind).unwrap_or_else(|| panic!("{id} has no {kind}: {report:#}"));
    step["text"].as_str().unwrap()
}

#[test]
fn the_doctor_tells_every_step_to_a_healthy_console() {
    let program = Program::start("web");
    let mut lab = Lab::new();
    lab.good_host("web1", &program.address);
    let (report, code) = report(&mut lab.doctor(&["web1", "-w", "1s"]));
    let expected = [
        "resolve/ok/ssh-config",
        "resolve/ok/ssh-client",
        "connect/ok/ssh-server",
        "connect/ok/host-key",
        "authenticate/ok/authentication",
        "forward/ok/way",
        "forward/ok/bound",
        "console/ok/vintage",
        "console/ok/tokio",
        "observe/ok/tasks",
        "observe/ok/updates",
        "observe/ok/ruled-out",
    ];
    assert_eq!((steps(&report, "web1"), code), (expected.map(str::to_owned).to_vec(), 0), "{report:#}");
    assert!(said(&report, "web1", "ssh-client").contains("OpenSSH_"), "{report:#}");
    assert!(said(&report, "web1", "ssh-server").contains("OpenSSH_"), "{report:#}");
    assert!(said(&report, "web1", "host-key").contains(&format!("{}:1", lab.path("known_hosts").display())));
    assert!(said(&report, "web1", "authentication").contains("user_key ED25519"), "{report:#}");
    assert!(said(&report, "web1", "bound").contains(&program.address), "{report:#}");
    assert_eq!(said(&report, "web1", "ruled-out"), "no ingest lag, retention not at risk, not paused, no events lost");
    assert!(target(&report, "web1")["todo"].as_array().unwrap().is_empty());
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
    // Nothing was kept: `@last` is still what the user observed.
    assert!(!lab.path("state").exists());
}

#[test]
fn the_doctor_ends_where_the_way_ends_and_says_what_to_do() {
    let mut lab = Lab::new();
    // A port that is free on every address, for a console that is open to the world.
    let port = closed_port().rsplit(':').next().unwrap().to_owned();
    let (program, open) = (Program::start("web"), Program::start_at("web", &format!("0.0.0.0:{port}")));
    let (mute, _connections) = silent();
    let console = program.address.clone();
    let banner = harness::says("SSH-2.0-\x1b[31mred\r\n");
    lab.sshd_config("sshd_no_forward", "AllowTcpForwarding no\n");
    lab.sshd_config("sshd_no_commands", "MaxSessions 0\n");
    lab.sshd_config("sshd_denies", "AuthorizedKeysFile none\n");
    let [sshd, no_forward, no_commands, denies] =
        ["sshd_config", "sshd_no_forward", "sshd_no_commands", "sshd_denies"].map(|config| lab.sshd(config));
    let port_of = |address: &str| address.rsplit(':').next().unwrap().to_owned();
    lab.host("refused", &format!("Port {}", port_of(&closed_port())), &console)
        .host("unknown-key", &format!("{sshd}\nHostKeyAlias nobody"), &console)
        .host("denied", &denies, &console)
        .host("behind", "ProxyJump refused", &console)
        .host("no-forward", &no_forward, &console)
        .host("no-commands", &no_commands, &console)
        .good_host("closed", &closed_port())
        .good_host("wrong", &banner)
        .good_host("mute", &mute)
        .good_host("elsewhere", &format!("127.0.0.1:{port}"))
        .good_host("fine", &console);
    let (found, code) = report(&mut lab.doctor(&["all", "-w", "0s"]));
    assert_eq!(code, 4, "{found:#}");
    let ends = [
        ("refused", "connect/fail/connection-refused", "ssh -v refused"),
        ("unknown-key", "connect/fail/host-key-unknown", "ssh unknown-key"),
        ("denied", "authenticate/fail/permission-denied", "ssh-add"),
        ("behind", "connect/fail/jump-host-failed", "jump host"),
        ("no-forward", "forward/fail/forwarding-prohibited", "AllowTcpForwarding local"),
        ("closed", "forward/fail/nothing-listening", "ss -ltn"),
        ("wrong", "console/fail/not-grpc", "TOKIO_CONSOLE_BIND"),
        ("mute", "console/fail/silent-endpoint", "frozen"),
        ("elsewhere", "forward/warn/exposed", &format!("TOKIO_CONSOLE_BIND=127.0.0.1:{port}")),
        ("fine", "observe/ok/ruled-out", ""),
    ];
    for (id, end, todo) in ends {
        assert!(steps(&found, id).contains(&end.to_owned()), "{id}: {:#?}", steps(&found, id));
        let told = target(&found, id)["todo"].to_string();
        assert!(told.contains(todo), "{id}: {told}");
    }
    // What lies beyond the end is said not to have been seen, and what lies before it is told.
    let after = ["authenticate", "forward", "console", "observe"].map(|stage| format!("{stage}/unseen/beyond"));
    let unknown = steps(&found, "unknown-key");
    assert_eq!(unknown[unknown.len() - 4..], after);
    assert!(said(&found, "unknown-key", "host-key").contains("SHA256:"), "the fingerprint to compare");
    assert!(said(&found, "no-forward", "bound").contains(&console), "commands run where forwards do not");
    assert!(steps(&found, "no-commands").contains(&"forward/note/bound-unseen".to_owned()));
    assert!(said(&found, "behind", "ssh-config").contains("through refused"));
    // In the plan's order, and harmless for a terminal.
    let order: Vec<_> =
        found["targets"].as_array().unwrap().iter().map(|target| target["id"].as_str().unwrap()).collect();
    let mut sorted = order.clone();
    sorted.sort_unstable();
    assert_eq!(order, sorted);
    let text = lab.doctor(&["wrong:fine", "-w", "0s", "--width", "80", "--color", "never"]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(text.contains("FAIL    console") && text.contains("1 of 2 consoles gave data"), "{text}");
    assert!(lab.leftovers().is_empty(), "{:?}", lab.leftovers());
    drop(open);
}

#[test]
fn the_doctor_needs_no_inventory_and_no_ssh() {
    let program = Program::start("web");
    let lab = Lab::new();
    let url = format!("http://{}", program.address);
    let (direct, code) = report(&mut lab.fleetdiag(&["doctor", &url, "-w", "1s"]));
    assert_eq!(code, 0, "{direct:#}");
    let id = direct["targets"][0]["id"].as_str().unwrap().to_owned();
    let steps = steps(&direct, &id);
    let expected = ["resolve/ok/no-ssh", "connect/ok/way", "connect/ok/bound", "console/ok/vintage"];
    assert_eq!(steps[..4], expected.map(str::to_owned));
    let gone = format!("http://{}", closed_port());
    let (gone, code) = report(&mut lab.fleetdiag(&["doctor", &gone]));
    assert_eq!((code, gone["targets"][0]["reason"].as_str()), (4, Some("nothing-listening")));
    let nobody = lab.fleetdiag(&["doctor"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(2));
}

#[test]
fn a_console_on_the_other_loopback_is_reached_and_said_to_be() {
    let program = Program::start_at("web", "[::1]:0");
    let port = program.address.rsplit(':').next().unwrap();
    let mut lab = Lab::new();
    lab.good_host("six", &program.address).good_host("four", &format!("127.0.0.1:{port}"));
    let (found, code) = report(&mut lab.doctor(&["all", "-w", "1s"]));
    assert_eq!(code, 4, "{found:#}");
    assert_eq!(said(&found, "six", "bound"), format!("listening: [::1]:{port}"));
    assert_eq!(target(&found, "six")["mark"], "ok");
    let text = said(&found, "four", "bound-elsewhere");
    assert!(text.contains(&format!("port {port} is bound to ::1, not to 127.0.0.1")), "{text}");
    let url = format!("http://[::1]:{port}");
    let (direct, code) = report(&mut lab.fleetdiag(&["doctor", &url, "-w", "1s"]));
    assert_eq!((code, &direct["targets"][0]["mark"]), (0, &"ok".into()), "{direct:#}");
}

#[test]
fn quiet_says_nothing_beside_the_result_but_errors() {
    let program = Program::start("web");
    let mut lab = Lab::new();
    lab.good_host("web1", &program.address);
    // A file that others may write to is passed over with a word.
    fs::write(lab.path("fleetdiag.yaml"), "window: 1s\n").unwrap();
    fs::set_permissions(lab.path("fleetdiag.yaml"), fs::Permissions::from_mode(0o666)).unwrap();
    let stderr = |args: &[&str]| {
        let output = lab.snapshot(args).current_dir(lab.directory.path()).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(stderr(&["web1", "-w", "0s"]).contains("ignoring"));
    assert_eq!(stderr(&["web1", "-w", "0s", "-q"]), "");
    assert!(stderr(&["wbe1", "-q"]).starts_with("error: "));
}
