//! Decoding and profiling, beside prost decoding the same bytes: `cargo bench --bench decode`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod beside;
mod streams;

use beside::compare;
use fleetdiag::diagnose::Fleet;
use fleetdiag::model::{Frame, Observation};
use fleetdiag::playbook;

fn main() {
    bench("10,000 tasks, recorded", &streams::recorded(), 30);
    bench("10,000 tasks, made up", &streams::made(10_000, 10), 30);
    bench("1,000,000 tasks, made up", &streams::made(1_000_000, 10), 7);
}

fn bench(what: &str, (frames, observation): &(Vec<Frame>, Observation), rounds: usize) {
    let playbook = playbook::built_in();
    let target = streams::target(0);
    let by_prost = || streams::decode_by_prost(frames);
    compare(&format!("{what}: decoding beside prost"), rounds, || streams::decode(frames, observation), by_prost);
    let profile = || {
        let mut fleet = Fleet::new(&playbook);
        fleet.observed(&target, streams::decode(frames, observation));
    };
    compare(&format!("{what}: decoding and profiling beside prost"), rounds, profile, by_prost);
}
