//! `fleetdiag.yaml`: found upwards, checked whole, and weaker than what is typed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

fn project(settings: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir_all(directory.path().join("deep/er")).unwrap();
    fs::write(directory.path().join("fleetdiag.yaml"), settings).unwrap();
    fs::write(directory.path().join("hosts.yaml"), "web: {hosts: {web1: , web2: }}\n").unwrap();
    directory
}

fn fleetdiag(directory: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleetdiag"));
    command.current_dir(directory).args(args).stdin(Stdio::null()).env("XDG_STATE_HOME", directory.join("state"));
    command.output().unwrap()
}

fn targets(output: &Output) -> usize {
    let list: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    list["_meta"]["fleetdiag"]["targets"].as_array().unwrap().len()
}

#[test]
fn the_nearest_file_above_counts_and_what_is_typed_counts_more() {
    let project = project("inventory: hosts.yaml\n");
    let deep = project.path().join("deep/er");
    assert_eq!(targets(&fleetdiag(&deep, &["inventory", "--json"])), 2);
    assert_eq!(targets(&fleetdiag(&deep, &["inventory", "--json", "-i", "other,"])), 1);
    assert_eq!(fleetdiag(&deep, &["inventory", "--json", "--no-settings"]).status.code(), Some(2));
    fs::write(project.path().join("deep/fleetdiag.yaml"), "inventory: [a, 'b,c,d']\n").unwrap();
    fs::write(project.path().join("deep/a"), "[x]\nhost[1:3]\n").unwrap();
    assert_eq!(targets(&fleetdiag(&deep, &["inventory", "--json"])), 6);
    let outer = project.path().join("fleetdiag.yaml");
    assert_eq!(targets(&fleetdiag(&deep, &["inventory", "--json", "--settings", outer.to_str().unwrap()])), 2);
}

#[test]
fn settings_reach_a_run() {
    // Nothing listens there: the run is over at once, and says what it was asked for.
    let project = project("window: 1500ms\nfail_on: never\nmax_unreachable: 3\noutput: [json=out/report.json]\n");
    fs::create_dir(project.path().join("out")).unwrap();
    let run = |args: &[&str]| {
        let mut all = vec!["snapshot", "http://127.0.0.1:1", "--no-save", "-q"];
        all.extend(args);
        fleetdiag(&project.path().join("deep"), &all)
    };
    let written = run(&[]);
    assert!(written.stdout.is_empty(), "{}", String::from_utf8_lossy(&written.stderr));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(project.path().join("out/report.json")).unwrap()).unwrap();
    assert_eq!(report["run"]["window_seconds"], 1.5, "{report:#}");
    let typed = run(&["-w", "0s", "-o", "json"]);
    let report: Value = serde_json::from_slice(&typed.stdout).unwrap();
    assert_eq!(report["run"]["window_seconds"], 0.0);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let project = project("inventroy: x\nwindow: 3\nforks: 0\nfail_on: [a, b]\noutput: [json, jsn]\nssh_options: x\n");
    let refused = fleetdiag(project.path(), &["inventory"]);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    for expected in [
        "fleetdiag.yaml:1:1: unknown key `inventroy`",
        "did you mean `inventory`?",
        "fleetdiag.yaml:2:9: `window`: invalid value '3' for '--window <TIME>': give a time such as",
        "fleetdiag.yaml:3:8: `forks`: invalid value '0'",
        "fleetdiag.yaml:4:10: `fail_on` must be text, and is a list",
        "fleetdiag.yaml:5:16: `output`: invalid value 'jsn'",
    ] {
        assert!(said.contains(expected), "{expected}\n---\n{said}");
    }
}

#[test]
fn a_file_that_others_may_write_is_passed_over_unless_it_is_named() {
    let project = project("inventory: hosts.yaml\n");
    let file = project.path().join("fleetdiag.yaml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let passed = fleetdiag(project.path(), &["inventory", "--json"]);
    assert_eq!(passed.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&passed.stderr).contains("which somebody else may write"));
    assert_eq!(targets(&fleetdiag(project.path(), &["inventory", "--json", "--settings", "fleetdiag.yaml"])), 2);
}
