//! The description in `docs/` is enough to write a reader: one made of Python's zipfile and `protoc` finds the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use fleetdiag::decode::{Decoder, Limits, normalize};
use fleetdiag::model::Outcome;
use serde_json::Value;

use super::open;

const FLEET: &str = "tests/fixtures/fleet.fdcap";

/// The `.proto` files of the console, out of the package that we link.
fn console_protos() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--offline", "--format-version", "1"])
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "console-api").unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("proto")
}

fn read_elsewhere(capture: &str) -> Value {
    let output =
        Command::new("python3").arg("tests/readers/capture.py").arg(capture).arg(console_protos()).output().unwrap();
    assert!(output.status.success(), "run tests/setup.sh: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_reader_made_from_the_description_finds_what_ours_finds() {
    let read = read_elsewhere(FLEET);
    let mut capture = open(Path::new(FLEET)).unwrap();
    let targets: Vec<_> = capture.targets().map(|(target, outcome)| (target.id.to_string(), outcome.clone())).collect();
    assert_eq!(read["targets"].as_array().unwrap().len(), targets.len());
    assert_eq!((&read["started"], &read["interrupted"]), (&"2026-11-24T15:03:14Z".into(), &false.into()));
    let mut tasks = 0;
    for (index, (id, outcome)) in targets.iter().enumerate() {
        let theirs = &read["targets"][index];
        assert_eq!(theirs["id"], id.as_str());
        match outcome {
            Outcome::Failed(failure) => assert_eq!(theirs["failed"], failure.reason.as_str()),
            Outcome::Observed(observation) => {
                let mut decoder = Decoder::new(Limits::default());
                let frames: Vec<_> = capture.frames(index).unwrap().map(Result::unwrap).collect();
                frames.iter().for_each(|frame| decoder.frame(frame));
                let snapshot = decoder.finish(observation);
                assert_eq!(theirs["records"], frames.len());
                assert_eq!(theirs["tasks"], snapshot.tasks.len(), "{id}");
                tasks += snapshot.tasks.len();
                let mut ours: Vec<_> =
                    snapshot.sites.iter().filter_map(|site| site.location.as_ref()?.to_string().into()).collect();
                let place = |place: &Value| {
                    normalize(
                        place[0].as_str().unwrap(),
                        place[1].as_u64().unwrap() as u32,
                        place[2].as_u64().unwrap() as u32,
                    )
                    .to_string()
                };
                let mut theirs: Vec<_> = theirs["locations"].as_array().unwrap().iter().map(place).collect();
                for places in [&mut ours, &mut theirs] {
                    places.sort();
                    places.dedup();
                }
                assert_eq!(theirs, ours, "{id}");
            }
        }
    }
    assert!(tasks > 100, "{tasks} tasks");
    assert!(read.to_string().contains("src/demo/programs.rs"));
}
