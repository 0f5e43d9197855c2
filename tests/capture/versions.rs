//! The promise of `docs/capture-format.md`: every version that was ever written stays readable, to the same content.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use fleetdiag::capture::{Capture, FORMAT_VERSION};
use fleetdiag::decode::{Decoder, Limits};
use fleetdiag::diagnose::{Distribution, Fleet, Gate, RunFacts};
use fleetdiag::model::{Outcome, Snapshot};
use fleetdiag::playbook::built_in;

use super::hostile::read_entry;
use super::{open, write, zip_with};

const KEPT: &str = "tests/fixtures/captures";

fn kept() -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(KEPT).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn snapshots(capture: &mut Capture) -> Vec<Option<Snapshot>> {
    let outcomes: Vec<_> = capture.targets().map(|(_, outcome)| outcome.clone()).collect();
    let read = |(index, outcome): (usize, &Outcome)| match outcome {
        Outcome::Failed(_) => None,
        Outcome::Observed(observation) => {
            let mut decoder = Decoder::new(Limits::default());
            capture.frames(index).unwrap().for_each(|frame| decoder.frame(&frame.unwrap()));
            Some(decoder.finish(observation))
        }
    };
    outcomes.iter().enumerate().map(read).collect()
}

fn json(of: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(of).unwrap()
}

/// What is in a capture, and what comes of it.
fn content(path: &Path) -> String {
    let mut capture = open(path).unwrap();
    let mut told = format!("{}\ninterrupted: {}\n", json(capture.run()), capture.interrupted());
    let targets: Vec<_> = capture.targets().map(|(target, outcome)| (target.clone(), outcome.clone())).collect();
    let playbook = built_in();
    let mut fleet = Fleet::new(&playbook);
    for ((target, outcome), snapshot) in targets.iter().zip(snapshots(&mut capture)) {
        writeln!(told, "{}: {}", target.id, json(outcome)).unwrap();
        match (outcome, snapshot) {
            (Outcome::Failed(failure), _) => fleet.failed(target, failure),
            (Outcome::Observed(_), None) => unreachable!("what was observed has a snapshot"),
            (Outcome::Observed(_), Some(snapshot)) => {
                tell(&mut told, &snapshot);
                fleet.observed(target, snapshot);
            }
        }
    }
    let diagnosis = fleet.diagnose(RunFacts::default(), &Gate::default());
    for site in &diagnosis.sites {
        let place = site.site.site.location.as_ref().map_or_else(String::new, ToString::to_string);
        for (what, of) in [("polls", &site.polls), ("scheduled", &site.scheduled)] {
            if let Some(Distribution { tasks, count, p50, p90, p99, max, outliers, .. }) = of {
                writeln!(
                    told,
                    "{place} {what} of {tasks} tasks: {count}, p50 {p50:?}, p90 {p90:?}, p99 {p99:?}, max {max:?}, {outliers} beyond"
                )
                .unwrap();
            }
        }
    }
    let coverage = diagnosis.coverage;
    writeln!(
        told,
        "{:?}: {} of {} complete, {} failed",
        diagnosis.verdict, coverage.complete, coverage.planned, coverage.failed
    )
    .unwrap();
    told
}

fn tell(told: &mut String, snapshot: &Snapshot) {
    let Snapshot { window, vintage, tokio_version, sites, tasks, resources, async_ops, details, anomalies, .. } =
        snapshot;
    writeln!(told, "  {:?} tokio {tokio_version:?} {:?} {} updates", vintage, window.length(), window.updates).unwrap();
    writeln!(
        told,
        "  {} resources, {} async ops, {} histograms, {anomalies:?}",
        resources.len(),
        async_ops.len(),
        details.len()
    )
    .unwrap();
    for task in tasks {
        let site = &sites[task.site.0 as usize];
        let place = site.location.as_ref().map_or_else(String::new, ToString::to_string);
        let (stats, state) = (task.last.stats, task.last.state());
        writeln!(
            told,
            "  task {} {:?} at {place}: {state:?}, {} polls, {} wakes",
            task.id.0, site.kind, stats.polls, stats.wakes
        )
        .unwrap();
    }
}

#[test]
fn a_capture_of_every_version_is_read_as_it_always_was() {
    for version in 1..=FORMAT_VERSION {
        let prefix = format!("v{version}-");
        let of_version = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&prefix);
        assert!(kept().iter().any(|path| of_version(&path)), "{KEPT} has no file of version {version}");
    }
    for path in kept() {
        insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), content(&path));
    }
}

/// A copy to which a later program of the same version has added what this one does not know.
fn with_more(path: &Path, copy: &Path) {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).unwrap()).unwrap();
    let mut entries = vec![
        ("notes/later.bin".to_owned(), b"later".to_vec()),
        ("targets/00000/extra.json".to_owned(), b"{}".to_vec()),
    ];
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let name = file.name().unwrap().into_owned();
        if name.ends_with(".json") {
            let mut json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            add(&mut json);
            bytes = serde_json::to_vec(&json).unwrap();
        } else {
            // Field 1000 of `Evidence`'s last record, and field 9 of an update.
            bytes = later_evidence(&bytes);
        }
        entries.push((name, bytes));
    }
    let entries: Vec<_> = entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    zip_with(copy, &entries);
}

/// A key more in every object, where objects have names of fields for keys.
fn add(json: &mut serde_json::Value) {
    if let Some(object) = json.as_object_mut() {
        let is_struct = !object.keys().all(|key| {
            ["observed", "failed", "tcp", "unix", "ssh", "container", "broken", "name", "secs", "nanos"]
                .contains(&key.as_str())
        });
        object.iter_mut().filter(|(key, _)| *key != "attributes").for_each(|(_, value)| add(value));
        if is_struct {
            object.insert("later".to_owned(), serde_json::json!({"a": [1]}));
        }
    } else if let Some(list) = json.as_array_mut() {
        list.iter_mut().for_each(add);
    }
}

/// Every record with a field that no record has yet.
fn later_evidence(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((0x0a, rest)) = bytes.split_first() {
        bytes = rest;
        let length = prost::decode_length_delimiter(&mut bytes).unwrap();
        let (record, rest) = bytes.split_at(length);
        bytes = rest;
        let record = [record, b"\xc2\x3e\x05later"].concat();
        out.push(0x0a);
        prost::encode_length_delimiter(record.len(), &mut out).unwrap();
        out.extend(record);
    }
    out
}

#[test]
fn what_a_later_program_adds_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    // What a killed run left has no directory to add to.
    let whole = |path: &PathBuf| zip::ZipArchive::new(fs::File::open(path).unwrap()).is_ok();
    for path in kept().into_iter().filter(whole) {
        let more = directory.path().join("more.fdcap");
        with_more(&path, &more);
        assert_eq!(content(&more), content(&path));
    }
}

#[test]
fn a_reason_that_only_a_later_program_knows_is_refused_with_its_version() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(&directory.path().join("a.fdcap"), &["!relay-1"]);
    let later = directory.path().join("later.fdcap");
    let text = |name: &str| String::from_utf8(read_entry(&good, name)).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(&text("manifest.json")).unwrap();
    manifest["collected_by"] = "99.1.0".into();
    let mut outcome: serde_json::Value = serde_json::from_str(&text("targets/00000/outcome.json")).unwrap();
    outcome["outcome"]["failed"]["reason"] = "swallowed-by-a-whale".into();
    let entries = [("manifest.json", manifest.to_string()), ("targets/00000/outcome.json", outcome.to_string())];
    zip_with(&later, &entries.each_ref().map(|(name, text)| (*name, text.as_bytes())));
    let error = open(&later).unwrap_err().to_string();
    for part in ["later.fdcap", "targets/00000/outcome.json", "swallowed-by-a-whale", "fleetdiag 99.1.0 collected it"] {
        assert!(error.contains(part), "{error}");
    }
}
