//! The figures behind a finding, in one line.

use std::time::Duration;

use super::detect::Measure;
use super::hits::Worst;
use crate::model::Site;
use crate::playbook::Detector;

/// A spawn site in a sentence.
pub(super) fn place(site: &Site) -> String {
    let mut place = match (&site.location, &site.fn_name) {
        (Some(location), _) => location.to_string(),
        (None, Some(name)) => name.clone(),
        (None, None) => "a place that is not known".to_owned(),
    };
    if let Some(name) = &site.name {
        place.push_str(&format!(" ({name})"));
    }
    place
}

/// The worst case in one line of figures.
pub(super) fn evidence(detector: Detector, worst: &Worst) -> String {
    let figures = figures(detector, worst);
    let figures = match &worst.words {
        Some(words) if figures.is_empty() => words.clone(),
        Some(words) => format!("{figures}; {words}"),
        None => figures,
    };
    let task = worst.task_id.map(|id| format!(", task {id}")).unwrap_or_default();
    format!("worst on {}{task}: {figures}", worst.target.0)
}

fn figures(detector: Detector, worst: &Worst) -> String {
    let Worst { magnitude, beside, .. } = *worst;
    let time = || duration(magnitude);
    match detector {
        Detector::SelfWakes { .. } => format!("{magnitude}% of {beside} wakes are its own"),
        Detector::LostWaker if beside == 0 => format!("idle for {}, and it never made a waker", time()),
        Detector::LostWaker => {
            let wakers = if beside == 1 { "its only waker" } else { "its wakers" };
            format!("idle for {}, {wakers} dropped ({beside} made)", time())
        }
        Detector::NeverYielded { .. } => format!("inside its first poll for {}", time()),
        Detector::AutoBoxedFuture => format!("{magnitude} bytes, boxed to {beside}"),
        Detector::LargeFuture { .. } => format!("{magnitude} bytes"),
        Detector::LongPoll { .. } if worst.measure == Measure::P99 => {
            format!("1 of 100 polls took {} or longer, over its {beside} polls", time())
        }
        Detector::LongPoll { .. } if beside > 0 => format!("{} a poll on average, over {beside} polls", time()),
        Detector::LongPoll { .. } | Detector::StuckPoll { .. } => format!("inside one poll for {}", time()),
        Detector::Spinning { .. } => format!("{magnitude} polls per second, {beside}% of its wakes its own"),
        Detector::Starved { .. } if beside > 0 => {
            format!("{} from wake to poll on average, over {beside} polls", time())
        }
        Detector::Starved { .. } => format!("woken {} ago and not polled", time()),
        Detector::SlowFirstPoll { .. } if beside > 0 => format!("spawned {} ago and never polled", time()),
        Detector::SlowFirstPoll { .. } => format!("first polled {} after it was spawned", time()),
        Detector::BlockingPoolQueue { .. } if beside > 0 => format!("in the queue for {} now", time()),
        Detector::BlockingPoolQueue { .. } => format!("{} in the queue", time()),
        Detector::Busy { .. } => format!("{magnitude}% of the window inside polls ({})", duration(beside)),
        Detector::TaskLeak { .. } => format!("{magnitude} more in the window, {beside} alive"),
        Detector::CancelledWhileWoken { .. } => format!("{magnitude}% of {beside} that ended"),
        Detector::WakerChurn { .. } if magnitude > beside => format!("{magnitude} wakers dropped for {beside} wakes"),
        Detector::WakerChurn { .. } => format!("{beside} wakes for {magnitude} polls"),
        Detector::LockContention { .. }
        | Detector::Deadlock
        | Detector::TaskGrowth { .. }
        | Detector::ChannelBacklog { .. }
        | Detector::PermitsExhausted { .. }
        | Detector::ConsoleMemory { .. }
        | Detector::ExposedConsole
        | Detector::NothingInstrumented
        | Detector::RuntimeDown => String::new(),
    }
}

/// Nanoseconds with three digits that mean something.
pub(super) fn duration(nanos: u64) -> String {
    let duration = Duration::from_nanos(nanos);
    match duration.as_secs() {
        0 => format!("{:.0?}", duration),
        1..60 => format!("{:.1?}", duration),
        60..3600 => format!("{}m{:02}s", duration.as_secs() / 60, duration.as_secs() % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_are_short() {
        let shown: Vec<_> = [250_000_000, 12_340_000_000, 3_723_000_000_000, 61_000_000_000].map(duration).into();
        assert_eq!(shown, ["250ms", "12.3s", "1h02m", "1m01s"]);
    }
}
