//! Facts in words, without layout.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fold::fold;
use crate::diagnose::{Counts, Coverage, Diagnosis, FleetSite, Status, Subject, Unjudged, Verdict};
use crate::model::{Anomaly, Origin, TaskKind};

pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// `1 host`, `2 hosts`.
pub(super) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", grouped(number as u64)) }
}

/// Digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Where a hotspot is, as `path:line:col` where that is known.
pub(super) fn place(subject: &Subject) -> String {
    if let Subject::Target { .. } = subject {
        return "the process as a whole".to_owned();
    }
    subject.location().map_or_else(|| "unknown location".to_owned(), ToString::to_string)
}

/// Whether the place is a file of the application's own repository, by a path within it.
pub(super) fn is_ours(subject: &Subject) -> bool {
    subject.location().is_some_and(|location| {
        let inside = |file: &str| !file.starts_with('/') && !file.split('/').any(|part| part == "..");
        location.origin == Origin::App && inside(&location.file)
    })
}

/// Why the verdict is what it is.
pub(super) fn why(diagnosis: &Diagnosis) -> String {
    if diagnosis.verdict == Verdict::Pass && diagnosis.verdict_reasons.is_empty() {
        "nothing at or above the gate was found".to_owned()
    } else {
        diagnosis.verdict_reasons.join("; ")
    }
}

/// How much was seen of the plan.
pub(super) fn coverage(coverage: &Coverage) -> String {
    let mut seen = vec![format!("{} of {} seen whole", coverage.complete, count(coverage.planned, "host"))];
    if coverage.partial > 0 {
        seen.push(format!("{} in part", coverage.partial));
    }
    if coverage.failed > 0 {
        seen.push(format!("{} failed", coverage.failed));
    }
    seen.join(", ")
}

/// Data-quality facts in words, with the targets that they are about.
pub(super) fn anomalies(diagnosis: &Diagnosis) -> BTreeMap<String, Vec<String>> {
    let mut by_text: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for target in &diagnosis.targets {
        if let Status::Observed { anomalies, .. } = &target.status {
            for anomaly in anomalies {
                by_text.entry(self::anomaly(anomaly)).or_default().push(target.id.to_string());
            }
        }
    }
    by_text
}

/// Why a rule could not be judged, and where.
pub(super) fn unjudged(rule: &Unjudged) -> String {
    let targets: Vec<_> = rule.targets.iter().map(ToString::to_string).collect();
    let on = fold(targets.iter().map(String::as_str));
    let why = if rule.of_surroundings {
        "what it looks at could not be read (it does not count)".to_owned()
    } else if rule.missing.is_empty() {
        "its calculation has no result".to_owned()
    } else {
        format!("the evidence does not tell {}", rule.missing.join(", "))
    };
    format!("{why}, on {on}")
}

/// What beside its place tells a hotspot from others: service, kind, name, function.
pub(super) fn beside(subject: &Subject) -> Vec<String> {
    let mut beside = Vec::new();
    let service = subject.service();
    if !service.0.is_empty() {
        beside.push(format!("service {}", service.0));
    }
    match subject {
        Subject::Site(FleetSite { site, .. }) => {
            if site.kind != TaskKind::Task {
                beside.push(format!("kind {}", site.kind.as_str()));
            }
            beside.extend(site.name.as_ref().map(|name| format!("task {name}")));
            beside.extend(site.fn_name.as_ref().map(|name| format!("fn {name}")));
        }
        Subject::Resource { concrete_type, .. } => beside.push(concrete_type.clone()),
        Subject::Target { .. } => {}
    }
    beside
}

/// A target's tasks by state.
pub(super) fn tasks(counts: &Counts) -> String {
    let states = [
        (counts.running, "running"),
        (counts.scheduled, "scheduled"),
        (counts.idle, "idle"),
        (counts.never_polled, "never polled"),
        (counts.completed, "completed"),
    ];
    let shown: Vec<_> = states
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{} {name}", grouped(*count)))
        .collect();
    let alive = count(usize::try_from(counts.alive).unwrap_or(usize::MAX), "task");
    if shown.is_empty() { alive } else { format!("{alive}: {}", shown.join(", ")) }
}

/// A data-quality fact, and what to do where something can be done.
pub(super) fn anomaly(anomaly: &Anomaly) -> String {
    match anomaly {
        Anomaly::PartialInitialState { unknown } => format!(
            "its full state was not sent, counts are lower bounds ({} entities unknown): restart it with a lower TOKIO_CONSOLE_RETENTION",
            grouped(*unknown)
        ),
        Anomaly::EndedEarly { why } => format!("its window ended early: {why}"),
        Anomaly::BoundHit { bound } => format!("cut off at {bound}"),
        Anomaly::SingleSample => "one sample only: no rates, nothing is confirmed; use a longer `--window`".to_owned(),
        Anomaly::NoTasks => {
            "no task was seen: was it built with `--cfg tokio_unstable` and tokio's `tracing` feature?".to_owned()
        }
        Anomaly::RetentionShrunk { state_bytes } => format!(
            "its state of {} bytes is so large that attaching shrinks its retention: lower TOKIO_CONSOLE_RETENTION",
            grouped(*state_bytes)
        ),
        Anomaly::DroppedEvents { tasks, resources, async_ops } => format!(
            "its event buffer overflowed, invisible for ever: {} tasks, {} resources, {} async ops; raise TOKIO_CONSOLE_BUFFER_CAPACITY",
            grouped(*tasks),
            grouped(*resources),
            grouped(*async_ops)
        ),
        Anomaly::IngestLag { lag } => format!("its console lags {:.1?} behind: the newest tasks are missing", lag),
        Anomaly::LateTicks { late } => {
            format!("its console was {late:.1?} late: the process waits for a CPU, and everything in it takes longer")
        }
        Anomaly::Paused => "somebody paused its console: resume it there".to_owned(),
        Anomaly::ClockOffset { offset_ms } => {
            format!(
                "its clock is {} {} ours",
                milliseconds(*offset_ms),
                if *offset_ms > 0 { "behind" } else { "ahead of" }
            )
        }
        Anomaly::Restarted => "it restarted while it was watched; only its last life is counted".to_owned(),
        Anomaly::Orphans { count } => format!("statistics of {} entities that it never announced", grouped(*count)),
        Anomaly::IdReused { count } => format!("it reused {} ids: its older completed tasks are gone", grouped(*count)),
        Anomaly::NegativeInterval { count } => {
            format!("{} intervals ended before they began, taken as zero", grouped(*count))
        }
        Anomaly::TornCounters { count } => format!("{} counters contradicted each other for a moment", grouped(*count)),
        Anomaly::UnknownKind { count } => format!("{} tasks of an unknown kind", grouped(*count)),
        Anomaly::Malformed { count } => format!("{} records without what they must have, left out", grouped(*count)),
        Anomaly::OldVintage => "its console-subscriber is so old that some figures do not exist".to_owned(),
    }
}

fn milliseconds(offset: i64) -> String {
    format!("{:.1?}", Duration::from_millis(offset.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::{count, grouped};

    #[test]
    fn numbers_read_well() {
        assert_eq!([1, 999, 1000, 1_234_567].map(grouped), ["1", "999", "1,000", "1,234,567"]);
        assert_eq!([count(1, "host"), count(1200, "host")], ["1 host", "1,200 hosts"]);
    }
}
