//! Memory that is alive at once, per task and per target: `cargo bench --bench memory`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod streams;

use fleetdiag::diagnose::Fleet;
use fleetdiag::model::{Frame, Observation};
use fleetdiag::playbook;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

fn main() {
    per_task("10,000 tasks, recorded", &streams::recorded());
    per_task("1,000,000 tasks, made up, of which a tenth moves", &streams::made(1_000_000, 10));
    per_task("1,000,000 tasks, made up, of which all move", &streams::made(1_000_000, 1));
    per_target(&streams::made(10_000, 10));
}

/// Bytes per task: at the worst moment of decoding and profiling, and of what decoding makes.
fn per_task(what: &str, (frames, observation): &(Vec<Frame>, Observation)) {
    let playbook = playbook::built_in();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let snapshot = streams::decode(frames, observation);
    let kept = MEMORY.current_usage() - before;
    let tasks = snapshot.tasks.len();
    let mut fleet = Fleet::new(&playbook);
    fleet.observed(&streams::target(0), snapshot);
    let most = MEMORY.peak_usage() - before;
    println!("{what}: {} bytes per task at most, {} when decoded", most / tasks, kept / tasks);
}

/// What each further target that was profiled leaves, beside the tasks that it had.
fn per_target((frames, observation): &(Vec<Frame>, Observation)) {
    let playbook = playbook::built_in();
    let mut fleet = Fleet::new(&playbook);
    let before = MEMORY.current_usage();
    let mut last = (0, before);
    let mut peaks = Vec::new();
    for count in [1, 10, 50] {
        MEMORY.reset_peak_usage();
        for number in last.0..count {
            fleet.observed(&streams::target(number), streams::decode(frames, observation));
        }
        let now = MEMORY.current_usage();
        let each = (now - last.1) / (count - last.0);
        peaks.push(MEMORY.peak_usage() - now);
        println!(
            "targets 1 to {count}, 10,000 tasks each: {} bytes kept, {each} for each that was added",
            now - before
        );
        last = (count, now);
    }
    println!("beside what is kept, at most {peaks:?} bytes: those of one target");
}
