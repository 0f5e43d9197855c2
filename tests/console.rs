//! `fleetdiag console` with a real console behind a real ssh, and a stand-in for tokio-console on the `PATH`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod harness;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use harness::{FLEETDIAG, Lab, Program, closed_port, descendants, signal, survivors, watch};
use rustix::process::Signal;

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
