//! The guide says nothing that is not so: its commands exist, and those that need no server are run.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod variants;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use fleetdiag::cli::{Cli, Command};
use fleetdiag::model::{Endpoint, Failure, Reason, Route, Service, SshDestination, Target, TargetId};
use variants::{FLEET, command};

const GUIDE: &str = "docs/guide";

fn pages() -> BTreeMap<String, String> {
    let files = fs::read_dir(GUIDE).unwrap().map(|file| file.unwrap().path());
    let pages = files.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap()))
        .collect()
}

/// The fenced blocks of a page in one of these languages.
fn blocks(page: &str, languages: &[&str]) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in page.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(block.take().filter(|text| !text.is_empty())),
            (None, Some(language)) if languages.contains(&language) => block = Some(String::new()),
            (Some(text), None) => *text += &format!("{line}\n"),
            _ => {}
        }
    }
    blocks
}

/// The words of every call of the program in a text: at the beginning of a line, after a list's dash, or in a unit or a
/// crontab.
fn calls(text: &str) -> Vec<Vec<String>> {
    let call = |line: &str| {
        let at = line.find("fleetdiag ").filter(|&at| {
            let before = line[..at].trim_start_matches("ExecStart=/usr/local/bin/").trim();
            before.chars().all(|c| "-*$ ".contains(c) || c.is_ascii_digit()) || before == "-"
        })?;
        let words = shlex::split(&line[at..])?;
        Some(words.into_iter().take_while(|word| !word.starts_with(['#', '>', '|', '&'])).collect::<Vec<_>>())
    };
    text.lines().filter_map(call).filter(|words| words.len() > 1).collect()
}

/// The page about failures, from the failures themselves.
fn no_data() -> String {
    let host: fleetdiag::model::HostName = "relay-1".parse().unwrap();
    let plain = SshDestination { host: host.clone(), user: None, port: None, identity_file: None, extra_args: vec![] };
    let target = Target {
        id: TargetId { host, console: None },
        service: Service::default(),
        route: Route::Ssh(plain),
        endpoint: Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: 6669 },
        attributes: BTreeMap::new(),
        thresholds: BTreeMap::new(),
        health_url: None,
        log: None,
    };
    let mut page =
        "# Why there is no data\n\nA host that cannot be observed ends at one of six stages, for one of these \
                    reasons. The report names both, shows the evidence for it, and says what to do; [`fleetdiag doctor HOST`](doctor.md) walks the way there step by step. Here for a host \
                    `relay-1` with its console at `127.0.0.1:6669`.\n"
            .to_owned();
    for reasons in Reason::ALL.chunk_by(|a, b| a.stage() == b.stage()) {
        page += &format!(
            "\n## At {}\n\n| reason | what happened | what to do |\n| --- | --- | --- |\n",
            reasons[0].stage()
        );
        for reason in reasons {
            let hint = Failure::new(*reason, "").hint(&target).replace('|', "\\|");
            page += &format!("| `{reason}` | {} | {hint} |\n", reason.summary());
        }
    }
    page
}

#[test]
fn every_failure_is_explained() {
    let path = Path::new(GUIDE).join("no-data.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, no_data()).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), no_data(), "UPDATE_DOCS=1 cargo test --test guide writes it again");
}

fn every_call() -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for (page, text) in pages() {
        for block in blocks(&text, &["sh", "yaml", "ini", "text", "console"]) {
            all.extend(calls(&block).into_iter().map(|call| (page.clone(), call)));
        }
    }
    all
}

#[test]
fn every_command_exists() {
    let calls = every_call();
    assert!(calls.len() >= 30, "{} commands found", calls.len());
    for (page, words) in calls {
        if let Err(error) = Cli::try_parse_from(&words) {
            panic!("{page}: {}: {error}", words.join(" "));
        }
    }
}

/// A home with a store of two runs, one of them tagged, and the files that the pages name.
fn home() -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let store = home.path().join("state/fleetdiag/captures");
    fs::create_dir_all(store.join("tags")).unwrap();
    for name in ["relay-20261123T100000Z.fdcap", "relay-20261124T100000Z.fdcap"] {
        fs::copy(FLEET, store.join(name)).unwrap();
    }
    fs::write(store.join("tags/incident-7"), "relay-20261123T100000Z.fdcap").unwrap();
    let work = home.path().join("work");
    fs::create_dir(&work).unwrap();
    fs::copy(FLEET, work.join("baseline.fdcap")).unwrap();
    // As much of a repository as there must be.
    fs::create_dir_all(work.join("relay/.git")).unwrap();
    let list = blocks(&fs::read_to_string(Path::new(GUIDE).join("pipeline.md")).unwrap(), &["yaml"]);
    let list = list.iter().find(|block| block.starts_with("suppressions:")).unwrap();
    fs::write(work.join("fleetdiag-suppressions.yaml"), list).unwrap();
    (home, work)
}

#[test]
fn every_command_that_needs_no_server_runs() {
    let offline = |words: &[String]| match Cli::try_parse_from(words).unwrap().command {
        Command::Check(args) => !args.capture.is_empty(),
        Command::Analyze(_) | Command::Diff(_) | Command::Captures(_) | Command::Merge(_) => true,
        _ => false,
    };
    let mut run = 0;
    for page in ["hung-server.md", "pipeline.md", "weekly-sweep.md", "reading.md"] {
        let (home, work) = home();
        for (_, words) in every_call().iter().filter(|(of, words)| of == page && offline(words)) {
            let words: Vec<_> = words.iter().skip(1).map(String::as_str).collect();
            let output = command(home.path(), &words).current_dir(&work).output().unwrap();
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(0 | 1 | 3 | 4)), "{page}: {}: {err}", words.join(" "));
            run += 1;
        }
    }
    assert!(run >= 15, "{run} commands run");
}

#[test]
fn what_the_guide_says_of_suppressions_is_so() {
    let (home, work) = home();
    let check = |args: &[&str]| {
        let args = [&["check", "--capture", "@last", "-o", "json"], args].concat();
        let output = command(home.path(), &args).current_dir(&work).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    assert_eq!(check(&[])["set_aside"][0]["owner"], "relay team");
    assert_eq!(check(&["--no-suppressions"])["set_aside"].as_array().unwrap().len(), 0);
}

#[test]
fn systemd_takes_the_units_as_they_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(Path::new(GUIDE).join("weekly-sweep.md")).unwrap();
    let units = blocks(&page, &["ini"]);
    let names = ["fleetdiag-sweep.service", "fleetdiag-sweep.timer"];
    assert_eq!(units.len(), names.len());
    let verify = |change: (&str, &str)| {
        for (name, unit) in names.iter().zip(&units) {
            // systemd looks for the program.
            let unit = unit.replace("/usr/local/bin/fleetdiag", env!("CARGO_BIN_EXE_fleetdiag"));
            fs::write(
                directory.path().join(name),
                if change.0.is_empty() { unit } else { unit.replace(change.0, change.1) },
            )
            .unwrap();
        }
        let mut systemd = std::process::Command::new("systemd-analyze");
        systemd.args(["verify", "--man=no"]).args(names).current_dir(directory.path());
        let output = systemd.output().expect("tests/setup.sh installs it");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(verify(("", "")), (true, String::new()));
    assert!(!verify(("Type=oneshot", "Type=sometimes")).1.is_empty(), "it is not one that accepts anything");
}

#[test]
fn pipelines_are_yaml_and_every_link_leads_somewhere() {
    let pages = pages();
    for block in blocks(&pages["pipeline.md"], &["yaml"]) {
        serde_yaml::from_str::<serde_yaml::Value>(&block).unwrap();
    }
    let link = regex::Regex::new(r"\]\(([^)#]+)").unwrap();
    for (page, text) in &pages {
        for found in link.captures_iter(text).filter(|found| !found[1].contains("://")) {
            assert!(Path::new(GUIDE).join(&found[1]).exists(), "{page}: {}", &found[1]);
        }
    }
    for page in pages.keys().filter(|page| *page != "SUMMARY.md") {
        assert!(pages["SUMMARY.md"].contains(&format!("({page})")), "{page} is in no table of contents");
    }
}
