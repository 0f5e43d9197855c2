//! Small readings of the wire's types: times, fields, attributes. What is out of range becomes absent or zero.

use crate::model::{Nanos, TargetTime, TaskKind};

/// A timestamp, unless its nanoseconds or the sum are out of range.
pub(super) fn time(at: Option<&prost_types::Timestamp>) -> Option<TargetTime> {
    let at = at?;
    if !(0..1_000_000_000).contains(&at.nanos) {
        return None;
    }
    let nanos = at.seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(at.nanos))?;
    Some(TargetTime::from_nanos(nanos))
}

/// A duration; absent, negative and impossible ones are zero, as the server itself sends where it cannot convert.
pub(super) fn span(of: Option<&prost_types::Duration>) -> Nanos {
    let Some(of) = of else { return Nanos(0) };
    match (u64::try_from(of.seconds), u64::try_from(of.nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => {
            Nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
        }
        _ => Nanos(0),
    }
}

/// The kind as tokio writes it into the span.
pub(super) fn kind(text: &str) -> TaskKind {
    match text {
        "task" => TaskKind::Task,
        "local" => TaskKind::Local,
        "block_on" => TaskKind::BlockOn,
        "blocking" => TaskKind::Blocking,
        other => TaskKind::Other(other.to_owned()),
    }
}

/// Whether a poll ended before it began although a later one is not running: a contradiction of the target.
pub(super) fn is_torn(wakes: u64, self_wakes: u64, clones: u64, drops: u64) -> bool {
    self_wakes > wakes || drops > clones
}
