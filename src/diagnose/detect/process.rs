//! The process and its console as a whole.

use std::net::IpAddr;
use std::time::Duration;

use super::{Context, Hit};
use crate::model::{Anomaly, Endpoint, Failure, Reason, Route, Snapshot, Target};
use crate::playbook::{Confidence, Detector};

/// Two histograms for each task that the console keeps: 2 × 24.6 kB.
const BYTES_PER_TASK: u64 = 49_000;

const STILL_FILLING: &str =
    "the console may keep completed tasks for longer than was seen: an hour, if nothing else was set";
const FROM_THERE: &str = "the address is not a loopback address; who can reach it is for the firewall to say";
const OTHER_PROGRAM: &str = "another program on the port, or a server that is too busy to answer, looks the same";
const NO_TASKS_YET: &str = "a program that has not spawned a task yet looks the same";

/// What a detector finds of a target that was observed: the hit, and its figures in words.
pub(in super::super) fn observed(detector: Detector, target: &Target, snapshot: &Snapshot) -> Option<(Hit, String)> {
    match detector {
        Detector::ConsoleMemory { memory } => console_memory(snapshot, memory),
        Detector::ExposedConsole => exposed(target),
        Detector::NothingInstrumented => {
            let is_empty = snapshot.anomalies.contains(&Anomaly::NoTasks);
            let hit = Hit::sure(0, 0).capped(Confidence::Medium, NO_TASKS_YET);
            is_empty.then(|| (hit, "the console answered and announced no task".to_owned()))
        }
        _ => None,
    }
}

/// What a detector finds of a target that was not observed.
pub(in super::super) fn failed(detector: Detector, target: &Target, failure: &Failure) -> Option<(Hit, String)> {
    match detector {
        Detector::RuntimeDown if failure.reason == Reason::SilentEndpoint => {
            let hit = Hit::sure(0, 0).capped(Confidence::Medium, OTHER_PROGRAM);
            Some((hit, format!("{} accepts connections, and no console answers", target.endpoint)))
        }
        _ => None,
    }
}

fn console_memory(snapshot: &Snapshot, memory: u64) -> Option<(Hit, String)> {
    let now = (snapshot.tasks.len() as u64).saturating_mul(BYTES_PER_TASK);
    let context = Context::of(snapshot);
    let oldest = snapshot.tasks.iter().filter_map(|task| task.last.stats.dropped_at).min();
    let retention = context.end.zip(oldest).map_or(Duration::ZERO, |(end, oldest)| end.since(oldest));
    let rate = snapshot.spawn_rate.unwrap_or(0.0).max(0.0);
    // Tasks that the console has not taken in yet, or forgot for a reused id, have had their histograms all the same.
    let by_rate = (rate * retention.as_secs_f64() * BYTES_PER_TASK as f64) as u64;
    let estimate = now.max(by_rate);
    let words = format!(
        "about {} MB: {} tasks kept, {rate:.0} spawned per second, the oldest completed one ended {:.0?} ago",
        estimate / 1_000_000,
        snapshot.tasks.len(),
        Duration::from_secs(retention.as_secs())
    );
    (estimate >= memory).then(|| (Hit::sure(estimate, 0).capped(Confidence::Medium, STILL_FILLING), words))
}

fn exposed(target: &Target) -> Option<(Hit, String)> {
    let Endpoint::Tcp { host, .. } = &target.endpoint else { return None };
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_loopback {
        return None;
    }
    let hit = Hit::sure(0, 0);
    Some(match target.route {
        Route::Direct => (hit, format!("{} answered this machine without ssh", target.endpoint)),
        Route::Ssh(_) => (
            hit.capped(Confidence::Medium, FROM_THERE),
            format!("listens on {}, as seen from the server", target.endpoint),
        ),
    })
}
