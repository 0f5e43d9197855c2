//! The HTML report in a real headless browser. `tests/setup.sh` installs it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod made;

use std::fs;
use std::process::Command;

use fleetdiag::diagnose::{Diagnosis, Kind};
use fleetdiag::report::{Format, Options, comparison, render};
use made::HOSTILE;
use serde_json::{Value, json};

const PLAIN: Options = Options { width: 100, color: false, unicode: true, top: None, verbose: false, links: None };

/// Opens and uses the report of `diagnosis`, filtering for `words`. With `FLEETDIAG_PICTURES=DIR`, pictures stay there.
fn browse(name: &str, diagnosis: &Diagnosis, words: &str) -> Value {
    browse_text(name, &render(Format::Html, diagnosis, &PLAIN), words)
}

fn browse_text(name: &str, html: &str, words: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("report.html");
    fs::write(&page, html).unwrap();
    let mut browser = Command::new("target/tools/python/bin/python");
    browser.arg("tests/readers/browse.py").arg(&page).arg(words);
    if let Some(pictures) = std::env::var_os("FLEETDIAG_PICTURES") {
        browser.arg(std::path::Path::new(&pictures).join(name));
    }
    let output = browser.output().expect("tests/setup.sh installs the browser");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_person_can_filter_sort_and_open_with_the_keyboard_and_hostile_names_stay_text() {
    let diagnosis = made::fleet(14, 40, HOSTILE);
    let seen = browse("hostile", &diagnosis, "part_03 OWNED");
    assert_eq!(seen["console"], json!([]), "the browser complains");
    assert_eq!(seen["title"], "fleetdiag: fail, 2026-11-24T15:03:14Z", "no script ran");
    assert_eq!((&seen["verdict"], &seen["places"], &seen["hosts"]), (&"fail".into(), &40.into(), &14.into()));
    assert_eq!((&seen["filtered"], &seen["said"]), (&2.into(), &"2 of 40".into()));
    assert_eq!(seen["without_critical"], 26);
    assert_eq!((&seen["up"], &seen["down"]), (&json!(["1", "2", "3"]), &json!(["40", "39", "38"])));
    assert_eq!((&seen["opened"], &seen["layers"]), (&1.into(), &1.into()));
    // The page has one script of its own and no image; nothing was fetched.
    assert_eq!((&seen["scripts"], &seen["images"], &seen["bold"]), (&1.into(), &0.into(), &0.into()));
    assert_eq!(seen["requests"], 0);
}

#[test]
fn two_hundred_hosts_and_five_hundred_sites_fit_a_page() {
    let diagnosis = made::fleet(200, 500, "site");
    let text = render(Format::Html, &diagnosis, &PLAIN);
    assert!(text.len() < 8 << 20, "{} bytes", text.len());
    let seen = browse("large", &diagnosis, "part_03");
    assert_eq!(seen["console"], json!([]));
    assert_eq!((&seen["hosts"], &seen["filtered"]), (&200.into(), &2.into()));
}

#[test]
fn a_comparison_filters_and_opens_and_hostile_names_stay_text() {
    let mut after = made::fleet(14, 40, HOSTILE);
    for target in &mut after.targets {
        target.service = fleetdiag::model::Service("relay".into());
    }
    let mut before = after.clone();
    before.hotspots.drain(..12);
    before.sites.drain(..4);
    let comparison = fleetdiag::diagnose::compare(&before, &after);
    let changes = comparison.changes.len();
    let seen = browse_text("comparison", &comparison::render(Format::Html, &comparison, &PLAIN), "part_03 OWNED");
    assert_eq!(seen["console"], json!([]), "the browser complains");
    assert!(seen["title"].as_str().unwrap().starts_with("fleetdiag diff: "), "no script ran");
    assert_eq!((&seen["places"], &seen["verdict"]), (&changes.into(), &"compared".into()));
    assert!(seen["filtered"].as_u64().unwrap() < changes as u64);
    assert_eq!(seen["without_new"], changes - comparison.count(Kind::New));
    assert_eq!(
        (&seen["opened"], &seen["scripts"], &seen["images"], &seen["bold"]),
        (&1.into(), &1.into(), &0.into(), &0.into())
    );
}

#[test]
fn nothing_seen_is_a_page_too() {
    let mut diagnosis = made::fleet(2, 0, "x");
    diagnosis.waits.clear();
    diagnosis.outliers.clear();
    let text = render(Format::Html, &diagnosis, &PLAIN);
    assert!(text.contains("Nothing was found."));
    assert!(text.trim_end().ends_with("</html>"), "{text}");
}
