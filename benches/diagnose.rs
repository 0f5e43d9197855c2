//! The whole way from a capture to a diagnosis, beside only reading and decoding it: `cargo bench --bench diagnose`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod beside;
mod streams;

use std::path::Path;

use beside::compare;
use fleetdiag::capture::{Capture, Limits};
use fleetdiag::decode::{self, Decoder};
use fleetdiag::diagnose::{Diagnosis, Fleet, Gate, RunFacts};
use fleetdiag::model::{Outcome, Snapshot, Target};
use fleetdiag::playbook;

fn main() {
    let path = streams::made_fleet(200, 5_000);
    let diagnosing = || diagnose(&path).hotspots.len();
    let decoding = || each_target(&path, |_, snapshot| drop(snapshot));
    compare("200 targets of 5,000 tasks: diagnosing beside reading and decoding", 7, diagnosing, decoding);
}

fn each_target(path: &Path, mut with: impl FnMut(&Target, Snapshot)) {
    let mut capture = Capture::open(path, Limits::default()).unwrap();
    let targets: Vec<_> = capture.targets().map(|(target, outcome)| (target.clone(), outcome.clone())).collect();
    for (index, (target, outcome)) in targets.iter().enumerate() {
        let Outcome::Observed(observation) = outcome else { panic!("a target was not observed") };
        let mut decoder = Decoder::new(decode::Limits::default());
        capture.frames(index).unwrap().for_each(|frame| decoder.frame(&frame.unwrap()));
        with(target, decoder.finish(observation));
    }
}

fn diagnose(path: &Path) -> Diagnosis {
    let playbook = playbook::built_in();
    let mut fleet = Fleet::new(&playbook);
    each_target(path, |target, snapshot| fleet.observed(target, snapshot));
    let facts = RunFacts {
        started: String::new(),
        collected_by: String::new(),
        judged_by: String::new(),
        window: std::time::Duration::from_secs(2),
        playbooks: Vec::new(),
        interrupted: false,
    };
    fleet.diagnose(facts, &Gate::default())
}
