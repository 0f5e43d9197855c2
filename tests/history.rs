//! Several runs: compared, kept, named.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod variants;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use variants::{FLEET, Variant, fleetdiag, variant};

const RELAYS: [(&str, &str); 4] =
    [("relay-01", "relay-01"), ("relay-02", "relay-01"), ("relay-03", "relay-01"), ("relay-04", "relay-01")];
const SICK: [(&str, &str); 4] =
    [("relay-01", "relay-01"), ("relay-02", "relay-02"), ("relay-03", "relay-03"), ("relay-04", "relay-04")];

fn made(directory: &Path, name: &str, targets: &[(&str, &str)], shift: u32) -> String {
    let started = if name.starts_with("before") { "2026-11-24T15:00:00Z" } else { "2026-11-24T16:00:00Z" };
    variant(directory, name, &Variant { targets, started, shift }).to_str().unwrap().to_owned()
}

fn diff(home: &Path, args: &[&str]) -> (i32, Value) {
    let (code, out, err) = fleetdiag(home, &[&["diff", "-o", "json"], args].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {err}")))
}

/// What changed, as `kind place`.
fn changes(comparison: &Value) -> Vec<String> {
    let line = |change: &Value| {
        format!("{} {}", change["kind"].as_str().unwrap(), change["subject"]["location"]["display"].as_str().unwrap())
    };
    comparison["changes"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn a_run_does_not_differ_from_itself() {
    let home = tempfile::tempdir().unwrap();
    let (code, comparison) = diff(home.path(), &[FLEET, FLEET, "--fail-on", "worse,new"]);
    assert_eq!((code, changes(&comparison).len()), (0, 0));
    assert!(comparison["unchanged"].as_u64().unwrap() > 5);
}

#[test]
fn what_a_release_broke_is_named_although_its_lines_moved() {
    let home = tempfile::tempdir().unwrap();
    let before = made(home.path(), "before.fdcap", &RELAYS, 0);
    let after = made(home.path(), "after.fdcap", &SICK, 7);
    let (code, comparison) = diff(home.path(), &[&before, &after]);
    assert_eq!(code, 0, "nothing was asked to fail");
    let changes = changes(&comparison);
    assert_eq!(changes[0], "new src/demo/programs.rs:78:9", "{changes:?}");
    assert!(changes[1..].iter().all(|change| change.starts_with("moved src/demo/")), "{changes:?}");
    assert!(changes.len() >= 3, "{changes:?}");
    let new = &comparison["changes"][0];
    assert_eq!((&new["findings"][0]["name"], &new["findings"][0]["kind"]), (&"lost-waker".into(), &"new".into()));
    let of_host = &new["targets"]["relay-03"];
    assert_eq!((&of_host["before"]["alive"], &of_host["after"]["alive"]), (&0.into(), &3.into()));
    assert_eq!(diff(home.path(), &[&before, &after, "--fail-on", "worse"]).0, 1);
    assert_eq!(diff(home.path(), &[&before, &after, "--fail-on", "new"]).0, 1);
    let (code, back) = diff(home.path(), &[&after, &before, "--fail-on", "worse,new"]);
    assert_eq!((code, back["changes"][0]["kind"].as_str()), (0, Some("gone")));
    assert_eq!(back["cautions"][0]["text"], "the run given first is the later one");
}

#[test]
fn figures_that_grew_on_every_host_are_worse() {
    let home = tempfile::tempdir().unwrap();
    let before = made(home.path(), "before.fdcap", &[("jobs-01", "jobs-01"), ("jobs-02", "jobs-02")], 0);
    let after = made(home.path(), "after.fdcap", &[("jobs-01", "jobs-02"), ("jobs-02", "jobs-02")], 0);
    let (code, comparison) = diff(home.path(), &[&before, &after, "--fail-on", "worse"]);
    assert_eq!((code, comparison["changes"][0]["kind"].as_str()), (1, Some("worse")));
    let finding = &comparison["changes"][0]["findings"][0];
    assert_eq!((&finding["kind"], &finding["name"]), (&"worse".into(), &"never-yielded".into()));
    assert_eq!((&finding["before"]["affected"], &finding["after"]["affected"]), (&1.into(), &2.into()));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let relays = made(home.path(), "before.fdcap", &RELAYS, 0);
    let jobs = made(home.path(), "after.fdcap", &[("jobs-01", "jobs-01")], 0);
    let nothing = made(home.path(), "after-nothing.fdcap", &[("relay-01", "web-04")], 0);
    for (other, why) in [(&jobs, "no service in common"), (&nothing, "nothing was seen after")] {
        let (code, _, err) = fleetdiag(home.path(), &["diff", &relays, other]);
        assert_eq!((code, err.contains(why)), (2, true), "{err}");
        let (code, comparison) = diff(home.path(), &[&relays, other, "--force"]);
        assert_eq!((code, changes(&comparison)), (0, vec![]), "a service that was not seen is not gone");
    }
}

#[test]
fn both_sides_are_judged_by_the_same_rules_into_several_files_at_once() {
    let home = tempfile::tempdir().unwrap();
    let before = made(home.path(), "before.fdcap", &RELAYS, 0);
    let after = made(home.path(), "after.fdcap", &SICK, 0);
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let mut arguments = vec!["diff".to_owned(), before.clone(), after.clone(), "--fail-on".into(), "new".into()];
    let names: Vec<_> = fleetdiag::report::Format::names().collect();
    for name in &names {
        arguments.extend(["-o".to_owned(), format!("{name}={}", path(name))]);
    }
    let (code, out, err) = fleetdiag(home.path(), &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    for name in names {
        let text = fs::read_to_string(path(name)).unwrap();
        assert!(name == "openmetrics" || text.contains("programs.rs"), "{name}: {text}");
    }
    // A playbook without the rule that finds them leaves nothing but the place itself.
    let (_, comparison) = diff(home.path(), &[&before, &after, "--playbook", "contention"]);
    assert_eq!(comparison["changes"][0]["findings"], serde_json::json!([]), "{comparison}");
    let (code, _, err) = fleetdiag(home.path(), &["diff", &before, &after, "--set", "nonsense.x=1"]);
    assert!(code == 2 && err.contains("nonsense"), "{err}");
}

#[test]
fn people_read_it_too() {
    let home = tempfile::tempdir().unwrap();
    let before = made(home.path(), "before.fdcap", &RELAYS, 0);
    let after = made(home.path(), "after.fdcap", &SICK[..3], 7);
    let print = |args: &[&str]| fleetdiag(home.path(), &[&["diff", &before, &after], args].concat()).1;
    insta::assert_snapshot!("diff-human", print(&[]));
    insta::assert_snapshot!("diff-markdown", print(&["-o", "markdown"]));
    assert!(print(&["--top", "1"]).contains("not shown, by --top"));
    for line in print(&["--width", "60", "-v"]).lines() {
        assert!(unicode_width::UnicodeWidthStr::width(line) <= 60, "{line}");
    }
}

/// Puts the recorded run into the store under several names.
fn stored(home: &Path, names: &[&str]) -> PathBuf {
    let store = home.join("state/fleetdiag/captures");
    fs::create_dir_all(&store).unwrap();
    for name in names {
        fs::copy(FLEET, store.join(name)).unwrap();
    }
    store
}

#[test]
fn captures_are_listed_tagged_and_pruned() {
    let home = tempfile::tempdir().unwrap();
    let names = ["all-20261122T100000Z.fdcap", "all-20261123T100000Z.fdcap", "all-20261124T100000Z.fdcap"];
    let store = stored(home.path(), &names);
    let run = |args: &[&str]| fleetdiag(home.path(), args);
    assert_eq!(run(&["captures", "tag", "before", "@2026-11-22"]).0, 0);
    let list = run(&["captures", "list"]).1;
    assert_eq!(list.lines().count(), 3);
    assert!(list.lines().next().unwrap().starts_with("2026-11-24T10:00:00Z     10 of 12 seen"), "{list}");
    assert!(list.lines().last().unwrap().ends_with("all-20261122T100000Z.fdcap @tag:before"), "{list}");
    let json: Value = serde_json::from_str(&run(&["captures", "list", "--json"]).1).unwrap();
    assert_eq!((&json[2]["tags"], &json[2]["observed"]), (&serde_json::json!(["before"]), &10.into()));
    let shown = run(&["captures", "show", "@tag:before"]).1;
    assert!(shown.contains("web-04  failed at forward: nothing listens"), "{shown}");
    assert_eq!(run(&["diff", "@tag:before"]).0, 0);
    assert_eq!(run(&["captures", "prune", "--keep", "1"]).0, 0);
    let left: Vec<_> = names.iter().filter(|name| store.join(name).exists()).collect();
    assert_eq!(left, [&names[0], &names[2]]);
    assert_eq!(
        run(&["captures", "untag", "after"]),
        (2, String::new(), "error: there is no tag `after`; there are: before\n".into())
    );
    assert_eq!((run(&["captures", "untag", "before"]).0, run(&["captures", "show", "@tag:before"]).0), (0, 2));
    assert_eq!(run(&["captures", "tag", "x", FLEET]).0, 2, "only what is in the store");
}
