//! Playbooks as a user meets them: the commands, the shipped files, and the pages and the schema that are made from them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fleetdiag::playbook::{METRICS, catalogue, schema, shipped};
use fleetdiag::report::reference;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn fleetdiag(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fleetdiag")).args(args).current_dir(ROOT).env("NO_COLOR", "1").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn printed(args: &[&str]) -> String {
    let output = fleetdiag(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The file must hold `made`; `UPDATE_DOCS=1` writes it.
fn is_kept(path: &str, made: &str) {
    let path = Path::new(ROOT).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, made).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "{} is not what the catalogue says: run this test once with UPDATE_DOCS=1", path.display());
}

#[test]
fn the_pages_and_the_schema_are_made_from_the_catalogue() {
    is_kept("docs/guide/rules.md", &reference::rules_page(catalogue(), shipped()));
    is_kept("docs/guide/metrics.md", &reference::metrics_page());
    is_kept("docs/playbook.schema.json", &schema());
    assert_eq!(printed(&["playbook", "schema"]), schema());
}

#[test]
fn ids_and_names_are_stable_and_unique() {
    let ids: Vec<_> =
        catalogue().iter().map(|rule| format!("{} {} {}", rule.id, rule.name, rule.worst().as_str())).collect();
    insta::assert_snapshot!(ids.join("\n"));
    let unique: BTreeSet<_> = catalogue().iter().flat_map(|rule| [rule.id.0.clone(), rule.name.clone()]).collect();
    assert_eq!(unique.len(), 2 * catalogue().len());
}

#[test]
fn every_rule_says_everything_and_belongs_to_a_playbook() {
    for rule in catalogue() {
        assert!(rule.do_not_conclude.is_some(), "{} says what not to conclude", rule.id);
        assert!(!rule.next_checks.is_empty(), "{} says what to look at next", rule.id);
        let used =
            shipped().iter().filter(|playbook| playbook.name != "default" && playbook.rule(&rule.id.0).is_some());
        assert!(used.count() > 0, "{} is in a playbook", rule.id);
    }
    for playbook in shipped() {
        assert!(!playbook.summary.is_empty() && !playbook.about.is_empty(), "{}", playbook.name);
    }
}

/// What a validator that is not ours has against the document.
fn errors(document: &serde_json::Value) -> String {
    let mut reader = Command::new("target/tools/python/bin/python")
        .args(["tests/readers/read.py", "document", "docs/playbook.schema.json"])
        .current_dir(ROOT)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("tests/setup.sh installs the readers");
    reader.stdin.take().unwrap().write_all(document.to_string().as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    assert!(output.status.success());
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["errors"].to_string()
}

/// The schema is held against the loader by a validator that is not ours: what loads is valid, what does not load is not.
#[test]
fn the_schema_says_what_the_loader_says() {
    let value = |text: &str| serde_yaml::from_str::<serde_json::Value>(text).unwrap();
    let mut files: Vec<_> = Vec::new();
    for directory in ["playbooks", "playbooks/rules"] {
        let entries = fs::read_dir(Path::new(ROOT).join(directory)).unwrap().map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")));
    }
    assert!(files.len() >= 16, "{files:?}");
    for path in files {
        let errors = errors(&value(&fs::read_to_string(&path).unwrap()));
        assert_eq!(errors, "[]", "{}", path.display());
    }
    let head = "apiVersion: fleetdiag/v1\nkind: Playbook\nname: x\n";
    let rest = "id: A\n    name: n\n    why: w\n    remedy: r\n    outcomes: [{severity: info, message: m}]\n";
    for wrong in [
        "rules: 1\n".to_owned(),
        "use: [FD999]\n".to_owned(),
        "use: [{rule: FD003, thresholds: {bussy: 1s}}]\n".to_owned(),
        "colour: red\nuse: all\n".to_owned(),
        String::new(),
        format!("rules:\n  - detect: lost-wakr\n    {rest}"),
        format!("rules:\n  - detect: never-yielded\n    thresholds: {{size_bytes: 1}}\n    {rest}"),
        format!("rules:\n  - detect: lost-waker\n    when: fleet.alive > 1\n    {rest}"),
    ] {
        let text = format!("{head}{wrong}");
        assert_ne!(errors(&value(&text)), "[]", "{text}");
        assert!(fleetdiag::playbook::load(Path::new("x.yaml"), &text, catalogue()).is_err(), "{text}");
    }
}

#[test]
fn a_rule_is_explained_whole_by_id_or_name() {
    let by_id = printed(&["explain", "fd104"]);
    assert_eq!(by_id, printed(&["explain", "starved"]));
    insta::assert_snapshot!(by_id);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for rule in catalogue() {
        let page = words(&printed(&["explain", &rule.name]));
        let lists = rule.next_checks.iter().chain(&rule.false_positives);
        let parts: Vec<_> = [&rule.why, &rule.remedy].into_iter().chain(&rule.do_not_conclude).chain(lists).collect();
        assert!(parts.len() >= 5 && !rule.false_positives.is_empty(), "{} says too little: {parts:?}", rule.id);
        assert!(rule.do_not_conclude.is_some() && !rule.next_checks.is_empty(), "{}", rule.id);
        for part in parts {
            assert!(page.contains(&words(part)), "{page}");
        }
        if let Some(detector) = rule.detector() {
            let entry = detector.entry();
            assert!(page.contains(&words(entry.definition)) && page.contains(&words(entry.source)), "{page}");
        }
    }
    let changed = words(&printed(&["explain", "-p", "performance", "long-poll"]));
    assert!(changed.contains("typical: 10ms") && changed.contains("100ms by default"), "{changed}");
    assert_eq!(printed(&["explain", "-p", "performance", "fd104"]).lines().next(), by_id.lines().next());
    assert!(printed(&["explain", "-p", "tokio-console", "deadlock"]).contains("FD302"), "from the catalogue");
    let unknown = fleetdiag(&["explain", "lost-wakr"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("did you mean `lost-waker`?"));
}

#[test]
fn playbooks_are_listed_shown_and_explained() {
    insta::assert_snapshot!(printed(&["playbook", "list"]));
    insta::assert_snapshot!(printed(&["playbook", "explain", "pre-deploy"]));
    let shown = printed(&["playbook", "show", "server-hang"]);
    assert_eq!(shown, fs::read_to_string(Path::new(ROOT).join("playbooks/server-hang.yaml")).unwrap());
    let metrics = printed(&["playbook", "metrics"]);
    assert!(METRICS.iter().all(|metric| metrics.contains(metric.name)));
}

#[test]
fn lint_tells_everything_at_once_and_fails() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("own.yaml");
    fs::write(&path, "apiVersion: fleetdiag/v2\nkind: Playbook\nname: own\nuse: [FD001, FD909]\n").unwrap();
    let output = fleetdiag(&["playbook", "lint", path.to_str().unwrap(), "playbooks/default.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let stdout = text(&output.stdout);
    assert!(stdout.contains("own.yaml:1:13") && stdout.contains("own.yaml:4:14"), "{stdout}");
    assert!(fleetdiag(&["playbook", "lint", "playbooks/default.yaml"]).status.success());
}

#[test]
fn a_capture_is_judged_with_the_playbooks_that_are_named() {
    let rules = |args: &[&str]| -> BTreeSet<String> {
        let all = [&["analyze", "tests/fixtures/fleet.fdcap", "-o", "json"], args].concat();
        let document: serde_json::Value = serde_json::from_slice(&fleetdiag(&all).stdout).unwrap();
        let findings =
            document["hotspots"].as_array().unwrap().iter().flat_map(|place| place["findings"].as_array().unwrap());
        findings.map(|finding| finding["name"].as_str().unwrap().to_owned()).collect()
    };
    let lints = rules(&["-p", "tokio-console"]);
    assert!(lints.contains("lost-waker") && !lints.contains("stuck-poll"), "{lints:?}");
    let strict = rules(&["-p", "tokio-console", "--set", "never-yielded.busy=23h"]);
    assert!(lints.contains("never-yielded") && !strict.contains("never-yielded"), "{strict:?}");
    assert!(rules(&["-p", "tokio-console", "-p", "contention"]).is_superset(&lints));
    for (wrong, says) in [
        (["-p", "tokio-consol"], "did you mean `tokio-console`?"),
        (["-p", "none.yaml"], "cannot read `none.yaml`"),
        (["--set", "never-yielded.busi=1s"], "did you mean `busy`?"),
    ] {
        let output = fleetdiag(&[&["analyze", "tests/fixtures/fleet.fdcap"], &wrong[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(text(&output.stderr).contains(says), "{}", text(&output.stderr));
    }
}

#[test]
fn conditions_find_dry_runs_do_not_count_and_what_is_not_known_is_inconclusive() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("own.yaml");
    let judged = |when: &str, more: &str| {
        let rule = format!(
            "apiVersion: fleetdiag/v1\nkind: Playbook\nname: own\nrules:\n  - id: TEAM001\n    name: team\n    when: {when}\n    \
             why: w\n    remedy: r\n    {more}\n    outcomes:\n      - {{severity: critical, message: '{{affected}} of {{of}}'}}\n"
        );
        fs::write(&path, rule).unwrap();
        let output = fleetdiag(&[
            "analyze",
            "tests/fixtures/fleet.fdcap",
            "--max-unreachable",
            "9",
            "-p",
            path.to_str().unwrap(),
            "-o",
            "json",
        ]);
        let document: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        (output.status.code().unwrap(), document)
    };
    let (code, found) = judged("site.alive > 0 && site.origin == \"app\"", "dry_run: false");
    assert_eq!((code, found["hotspots"][0]["findings"][0]["rule"].as_str()), (1, Some("TEAM001")));
    let (code, hosts) = judged("host.alive > 0", "dry_run: false");
    assert_eq!((code, hosts["hotspots"][0]["subject"]["type"].as_str()), (1, Some("process")));
    let (_, fleet) = judged("fleet.planned > 0", "dry_run: false");
    assert_eq!(fleet["hotspots"].as_array().unwrap().len(), 1);
    let (code, trial) = judged("host.alive > 0", "dry_run: true");
    assert_ne!(code, 1);
    assert_eq!((trial["hotspots"].as_array().unwrap().len(), trial["set_aside"][0]["because"].is_null()), (0, false));
    let (code, unknown) = judged("1 / (fleet.planned - fleet.planned) > 0", "dry_run: false");
    assert_eq!((code, unknown["unjudged"][0]["rule"].as_str()), (3, Some("TEAM001")), "{unknown}");
}

#[test]
fn playbooks_are_tested_against_captures() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("case.yaml");
    let capture = Path::new(ROOT).join("tests/fixtures/fleet.fdcap");
    let run = |expectations: &str| {
        fs::write(&path, format!("playbook: tokio-console\ncapture: {}\n{expectations}", capture.display())).unwrap();
        let output = fleetdiag(&["playbook", "test", path.to_str().unwrap()]);
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) =
        run("expect: [{rule: lost-waker, severity: critical}]\nabsent: [{rule: stuck-poll}]\nverdict: fail\n");
    assert_eq!(code, 0, "{said}");
    let (code, said) = run("expect: [{rule: deadlock}]\nabsent: [{rule: FD002}]\nverdict: pass\nnothing_else: true\n");
    assert_eq!(code, 1);
    for line in
        ["the verdict is fail, not pass", "not found: deadlock", "must not be: critical lost-waker", "found besides"]
    {
        assert!(said.contains(line), "{said}");
    }
    let (code, said) = run("expct: []\n");
    assert_eq!(code, 2);
    assert!(said.contains("did you mean `expect`?") && said.contains("nothing is expected"), "{said}");
}

#[test]
fn the_examples_of_the_guide_load() {
    let guide = fs::read_to_string(Path::new(ROOT).join("docs/guide/playbooks.md")).unwrap();
    let blocks = guide.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let playbooks: Vec<_> = blocks.filter(|block| block.contains("kind: Playbook")).collect();
    assert_eq!(playbooks.len(), 2);
    for text in playbooks {
        fleetdiag::playbook::load(Path::new("guide.yaml"), text, catalogue())
            .unwrap_or_else(|complaints| panic!("{complaints}"));
    }
    for playbook in shipped().iter().filter(|playbook| playbook.name != "default") {
        assert!(guide.contains(&format!("| `{}` |", playbook.name)), "{} is in the table", playbook.name);
    }
}
