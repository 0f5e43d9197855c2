//! The gate: what passes, what fails, and what says nothing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod harness;
mod variants;

use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Program, listen};
use tempfile::TempDir;
use variants::{FLEET, Variant, fleetdiag, variant};

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn capture(&self, name: &str, targets: &[(&str, &str)], started: &str) -> String {
        let made = variant(self.path(), name, &Variant { targets, started, ..Variant::default() });
        made.to_str().unwrap().to_owned()
    }

    /// The exit code and the JSON report of `check`.
    fn check(&self, args: &[&str]) -> (i32, serde_json::Value) {
        let all = [&["check", "-o", "json"], args].concat();
        let (code, out, err) = fleetdiag(self.path(), &all);
        let report = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {err}"));
        (code, report)
    }
}

const DAY: &str = "2026-11-24T16:00:00Z";

fn reasons(report: &serde_json::Value) -> String {
    report["verdict_reasons"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_sick_fleet_fails_a_healthy_one_passes_and_an_unseen_one_is_inconclusive() {
    let place = Place::new();
    let sick = place.capture("sick.fdcap", &[("relay-02", "relay-02")], DAY);
    let healthy = place.capture("healthy.fdcap", &[("relay-01", "relay-01"), ("jobs-01", "jobs-01")], DAY);
    let unseen = place.capture("unseen.fdcap", &[("web-04", "web-04")], DAY);
    let mixed = place.capture("mixed.fdcap", &[("relay-01", "relay-01"), ("web-04", "web-04")], DAY);
    for (arguments, code, verdict) in [
        (vec![sick.as_str()], 1, "fail"),
        (vec![&sick, "--fail-on", "never"], 0, "pass"),
        (vec![&healthy], 0, "pass"),
        (vec![&healthy, "--require-hosts", "2"], 0, "pass"),
        (vec![&healthy, "--require-hosts", "3"], 3, "inconclusive"),
        (vec![&unseen, "--max-unreachable", "100%", "--fail-on", "never"], 3, "inconclusive"),
        (vec![&mixed], 4, "inconclusive"),
        (vec![&mixed, "--max-unreachable", "50%"], 0, "pass"),
    ] {
        let (exit, report) = place.check(&[&["--capture"], arguments.as_slice()].concat());
        assert_eq!((exit, report["verdict"].as_str().unwrap()), (code, verdict), "{arguments:?}");
        assert_eq!(report["exit_code"], code);
    }
}

fn suppressions(place: &Place, expires: &str) -> String {
    let path = place.path().join("accepted.yaml");
    let text = format!(
        "suppressions:\n  - {{rule: lost-waker, site: src/demo/programs.rs, hosts: ['relay-02', 'communities*'], \
         reason: parked on purpose, owner: relay team, expires: {expires}}}\n\
         \x20 - {{rule: nothing-of-that-name, site: '*', reason: gone, owner: nobody, expires: 2030-01-01}}\n"
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_is_accepted_does_not_count_until_it_expires_and_stays_in_the_counts() {
    let place = Place::new();
    let sick = place.capture("sick.fdcap", &[("relay-01", "relay-01"), ("relay-02", "relay-02")], DAY);
    let last_day = suppressions(&place, "2026-11-24");
    let (code, report) = place.check(&["--capture", &sick, "--suppressions", &last_day]);
    assert_eq!(code, 0, "{}", reasons(&report));
    let aside = &report["set_aside"][0];
    assert_eq!((&aside["name"], &aside["because"]), (&"lost-waker".into(), &"suppressed".into()));
    assert_eq!((&aside["owner"], &aside["affected"]), (&"relay team".into(), &3.into()));
    assert!(reasons(&report).contains("set aside: 1 suppressed"));
    assert!(reasons(&report).contains("suppresses nothing: \"gone\" (nobody)"));

    let expired = suppressions(&place, "2026-11-23");
    let (code, report) = place.check(&["--capture", &sick, "--suppressions", &expired]);
    assert_eq!(code, 1);
    assert!(reasons(&report).contains("expired on 2026-11-23: \"parked on purpose\" (relay team)"));
}

#[test]
fn a_suppression_for_some_hosts_leaves_the_others() {
    let place = Place::new();
    let sick = place.capture("sick.fdcap", &[("relay-02", "relay-02"), ("relay-03", "relay-03")], DAY);
    let accepted = suppressions(&place, "2026-12-31");
    let (code, report) = place.check(&["--capture", &sick, "--suppressions", &accepted]);
    assert_eq!(code, 1);
    let finding = &report["hotspots"][0]["findings"][0];
    assert_eq!((&finding["affected"], &finding["targets"]), (&3.into(), &serde_json::json!({"relay-03": 3})));
    assert_eq!(report["set_aside"][0]["targets"], serde_json::json!(["relay-02"]));
    let quiet = report["targets"].as_array().unwrap().iter().find(|target| target["id"] == "relay-02").unwrap();
    assert_eq!(quiet["findings"], serde_json::json!({}));
}

#[test]
fn the_nearest_list_upwards_is_taken_and_a_wrong_one_is_refused_before_anything_else() {
    let place = Place::new();
    let sick = place.capture("sick.fdcap", &[("relay-02", "relay-02")], DAY);
    let below = place.path().join("a/b");
    fs::create_dir_all(&below).unwrap();
    fs::rename(suppressions(&place, "2026-12-31"), place.path().join("fleetdiag-suppressions.yaml")).unwrap();
    let code = |args: &[&str]| {
        let all = [&["check", "--capture", sick.as_str()], args].concat();
        variants::command(place.path(), &all).current_dir(&below).output().unwrap().status.code()
    };
    assert_eq!((code(&[]), code(&["--no-suppressions"])), (Some(0), Some(1)));
    fs::write(place.path().join("fleetdiag-suppressions.yaml"), "suppressions:\n  - rule: lost-waker\n").unwrap();
    assert_eq!(code(&[]), Some(2));
}

#[test]
fn a_baseline_leaves_what_is_new_or_worse() {
    let place = Place::new();
    let hosts = |second: &'static str| [("relay-01", "relay-01"), ("relay-05x", second)];
    let before = place.capture("before.fdcap", &[("relay-01", "relay-02"), ("relay-05x", "relay-01")], DAY);
    let after = |name: &str, second| place.capture(name, &hosts(second), "2026-11-25T16:00:00Z");
    let (code, report) =
        place.check(&["--capture", &after("fewer.fdcap", "relay-02"), "--baseline", &before, "--max-unreachable", "1"]);
    assert_eq!((code, &report["set_aside"][0]["because"]), (0, &"in-baseline".into()), "as many, on another host");
    let worse = place.capture("worse.fdcap", &[("relay-01", "relay-02"), ("relay-05x", "relay-03")], DAY);
    assert_eq!(place.check(&["--capture", &worse, "--baseline", &before]).0, 1, "on both hosts now");
    let new = place.capture("new.fdcap", &[("relay-01", "relay-02"), ("jobs-02", "jobs-02")], DAY);
    let (code, report) = place.check(&["--capture", &new, "--baseline", &before]);
    assert_eq!((code, report["hotspots"].as_array().unwrap().len()), (1, 1));
    assert_eq!(report["hotspots"][0]["findings"][0]["name"], "never-yielded");
    assert!(reasons(&report).contains("compared with the baseline: other hosts: 1 were seen in both runs"));
}

#[test]
fn only_what_is_found_every_time_is_confirmed() {
    let place = Place::new();
    let sick = place.capture("sick.fdcap", &[("relay-01", "relay-02")], DAY);
    let healthy = place.capture("healthy.fdcap", &[("relay-01", "relay-01")], DAY);
    let unseen = place.capture("unseen.fdcap", &[("relay-01", "web-04")], DAY);
    let check =
        |captures: [&str; 2]| place.check(&["--confirm", "2", "--capture", captures[0], "--capture", captures[1]]);
    assert_eq!(check([&sick, &sick]).0, 1);
    let (code, report) = check([&healthy, &sick]);
    assert_eq!((code, &report["set_aside"][0]["reason"]), (0, &"it held in 1 of 2 observations".into()));
    let (code, report) = check([&unseen, &sick]);
    assert_eq!((code, report["verdict"].as_str()), (3, Some("inconclusive")), "one look is no confirmation");
    assert!(reasons(&report).contains("in observation 1, no target was seen whole"));
    let (code, _, err) = fleetdiag(place.path(), &["check", "--confirm", "2", "--capture", FLEET]);
    assert_eq!((code, err.contains("needs as many observations, 1 given")), (2, true), "{err}");
}

/// A console that is the first program's until a connection to it has ended, and the second one's from then on.
fn first_then(first: &str, second: &str) -> String {
    static ENDED: AtomicBool = AtomicBool::new(false);
    let addresses = [first.to_owned(), second.to_owned()];
    listen(move |client| {
        let server = TcpStream::connect(&addresses[usize::from(ENDED.load(Ordering::SeqCst))]).unwrap();
        let pairs = [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)];
        for (mut from, mut to) in pairs {
            std::thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                ENDED.store(true, Ordering::SeqCst);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
        }
    })
}

#[test]
fn a_fault_that_is_gone_at_the_second_look_is_no_alarm_and_one_that_stays_is() {
    let place = Place::new();
    let (sick, healthy) = (Program::start("relay-losing-wakers"), Program::start("relay"));
    let passing = first_then(&sick.address, &healthy.address);
    let inventory = place.path().join("hosts.yaml");
    for (console, code, stays) in [(&sick.address, 1, true), (&passing, 0, false)] {
        let text = format!("relay:\n  vars: {{transport: direct}}\n  hosts: {{relay-01: {{console: '{console}'}}}}\n");
        fs::write(&inventory, text).unwrap();
        let confirm = |times| {
            place.check(&["relay", "-i", inventory.to_str().unwrap(), "-w", "500ms", "--no-save", "--confirm", times])
        };
        let (exit, report) = confirm("2");
        assert_eq!(exit, code, "{report:#}");
        let found = report["hotspots"].to_string();
        assert_eq!(found.contains("lost-waker"), stays, "{found}");
    }
}

#[test]
fn what_is_accepted_holds_for_every_command_that_judges() {
    let place = Place::new();
    let sick = place.capture("sick.fdcap", &[("relay-02", "relay-02")], DAY);
    let list = place.path().join("project/fleetdiag-suppressions.yaml");
    fs::create_dir(place.path().join("project")).unwrap();
    fs::write(place.path().join("project/fleetdiag.yaml"), "top: 5\n").unwrap();
    fs::rename(suppressions(&place, "2026-12-31"), &list).unwrap();
    let settings = place.path().join("project/fleetdiag.yaml");
    let settings = ["--settings", settings.to_str().unwrap()];
    let analyze = |args: &[&str]| fleetdiag(place.path(), &[&["analyze", &sick], args].concat());
    assert_eq!(analyze(&[]).0, 1, "nothing is accepted here");
    let (code, out, err) = analyze(&settings);
    assert_eq!(code, 0, "beside the settings: {err}");
    assert!(out.contains("set aside: 1 suppressed") && out.contains("parked on purpose (relay team"), "{out}");
    assert_eq!(analyze(&[&settings[..], &["--no-suppressions"]].concat()).0, 1);
    for format in ["markdown", "html"] {
        let (_, out, _) = analyze(&[&settings[..], &["-o", format]].concat());
        assert!(out.contains("Set aside") && out.contains("parked on purpose"), "{format}: {out}");
    }
    fs::rename(suppressions(&place, "2026-11-23"), &list).unwrap();
    let (code, out, _) = analyze(&settings);
    assert!(code == 1 && out.contains("expired on 2026-11-23"), "it comes back: {out}");
    // Whoever may write the list could hide anything.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(&list, open).unwrap();
    let below =
        variants::command(place.path(), &["analyze", &sick]).current_dir(list.parent().unwrap()).output().unwrap();
    let err = String::from_utf8(below.stderr).unwrap();
    assert!(err.contains("which somebody else may write"), "{err}");
}

/// The shell of a pipeline's example, with what installs things replaced by words that do nothing.
fn pipeline(place: &Place, name: &str, script: &str) -> (i32, String) {
    let work = place.path().join(name);
    let bin = work.join("bin");
    for directory in [&bin, &work.join("deploy"), &work.join("fleetdiag")] {
        fs::create_dir_all(directory).unwrap();
    }
    for stub in ["cargo", "apt-get", "git"] {
        let path = bin.join(stub);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    std::os::unix::fs::symlink(harness::FLEETDIAG, bin.join("fleetdiag")).unwrap();
    fs::copy(place.path().join("hosts.yaml"), work.join("hosts.yaml")).unwrap();
    fs::write(work.join("deploy/known_hosts"), "").unwrap();
    fs::write(work.join("key"), "a key\n").unwrap();
    let mut shell = std::process::Command::new("bash");
    shell
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(&work)
        .env("HOME", &work)
        .env("XDG_STATE_HOME", work.join(".local/state"))
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .envs([
            ("KEY", "a key"),
            ("CANARY_SSH_KEY", work.join("key").to_str().unwrap()),
            ("FLEETDIAG_REPOSITORY", "x"),
        ]);
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code().unwrap(), said)
}

#[test]
fn the_pipelines_of_the_guide_are_valid_and_run_as_they_are_written() {
    let place = Place::new();
    let (one, two) = (Program::start("relay"), Program::start("web"));
    let hosts = format!(
        "canary:\n  vars: {{transport: direct}}\n  hosts: {{a: {{console: '{}'}}, b: {{console: '{}'}}}}\n",
        one.address, two.address
    );
    fs::write(place.path().join("hosts.yaml"), hosts).unwrap();
    let guide = fs::read_to_string("docs/guide/pipeline.md").unwrap();
    let example = |section: &str| {
        let rest = guide.split_once(section).unwrap().1.split_once("```yaml\n").unwrap().1;
        rest.split_once("```").unwrap().0.to_owned()
    };
    let [github, gitlab] = ["## GitHub Actions", "## GitLab"].map(example);
    for (name, text, schema) in
        [("github.yaml", &github, "vendor.github-workflows"), ("gitlab.yaml", &gitlab, "vendor.gitlab-ci")]
    {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        let mut check = std::process::Command::new("target/tools/python/bin/python");
        check.args(["-m", "check_jsonschema", "--builtin-schema", schema, "--data-transform", "gitlab-ci"]).arg(&path);
        let output = check.output().expect("tests/setup.sh installs it");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
    }
    let texts = |node: &serde_yaml::Value, key: &str| -> Vec<String> {
        let node = &node[key];
        node.as_sequence().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
    };
    let github: serde_yaml::Value = serde_yaml::from_str(&github).unwrap();
    let steps = github["jobs"]["check"]["steps"].as_sequence().unwrap();
    let script: Vec<_> = steps.iter().filter_map(|step| step["run"].as_str()).map(|run| format!("({run})")).collect();
    let (code, said) = pipeline(&place, "github", &script.join("\n"));
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("fleetdiag: pass"), "{said}");
    let kept = steps.last().unwrap()["with"]["path"].as_str().unwrap();
    let found = format!("for path in {}; do ls $path >/dev/null; done", kept.replace('\n', " "));
    let found = std::process::Command::new("bash")
        .args(["-ec", &found])
        .current_dir(place.path().join("github"))
        .env("HOME", place.path().join("github"))
        .output()
        .unwrap();
    assert!(found.status.success(), "{kept}: {}", String::from_utf8_lossy(&found.stderr));

    let gitlab: serde_yaml::Value = serde_yaml::from_str(&gitlab).unwrap();
    let job = &gitlab["canary health"];
    let script = [texts(job, "before_script"), texts(job, "script")].concat().join("\n");
    let (code, said) = pipeline(&place, "gitlab", &script);
    assert_eq!(code, 0, "{said}");
    for file in texts(&job["artifacts"], "paths").into_iter().chain(["fleetdiag.xml".to_owned()]) {
        assert!(place.path().join("gitlab").join(&file).exists(), "{file}");
    }
}
