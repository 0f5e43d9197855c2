//! Small readings of the wire's types: times, fields, attributes. What is out of range becomes absent or zero.

use std::time::Duration;

use console_api::field::{Name, Value};
use console_api::{Field, PollStats};

use crate::model::{Attribute, AttributeValue, TargetTime, TaskKind};

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
pub(super) fn span(of: Option<&prost_types::Duration>) -> Duration {
    let Some(of) = of else { return Duration::ZERO };
    match (u64::try_from(of.seconds), u32::try_from(of.nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Duration::new(seconds, nanos),
        _ => Duration::ZERO,
    }
}

/// A field's name; `names` are those of its call site, for fields that give an index only.
pub(super) fn field_name<'a>(field: &'a Field, names: &'a [String]) -> Option<&'a str> {
    match field.name.as_ref()? {
        Name::StrName(name) => Some(name),
        Name::NameIdx(index) => names.get(usize::try_from(*index).ok()?).map(String::as_str),
    }
}

/// A text value. `debug_val` of a string carries quotes where the target formatted it with `{:?}`.
pub(super) fn text(field: &Field) -> Option<&str> {
    match field.value.as_ref()? {
        Value::DebugVal(text) | Value::StrVal(text) => {
            let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
            (!bare.is_empty()).then_some(bare)
        }
        _ => None,
    }
}

/// An unsigned value, also where an old target sent it as text.
pub(super) fn unsigned(field: &Field) -> Option<u64> {
    match field.value.as_ref()? {
        Value::U64Val(value) => Some(*value),
        Value::I64Val(value) => u64::try_from(*value).ok(),
        Value::DebugVal(text) | Value::StrVal(text) => text.parse().ok(),
        Value::BoolVal(_) => None,
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

/// Attributes sorted by name.
pub(super) fn attributes(from: &[console_api::Attribute]) -> Vec<Attribute> {
    let read = |attribute: &console_api::Attribute| {
        let field = attribute.field.as_ref()?;
        let value = match field.value.as_ref()? {
            Value::BoolVal(value) => AttributeValue::Bool(*value),
            Value::U64Val(value) => AttributeValue::Unsigned(*value),
            Value::I64Val(value) => AttributeValue::Signed(*value),
            Value::DebugVal(text) | Value::StrVal(text) => AttributeValue::Text(text.clone()),
        };
        Some(Attribute { name: field_name(field, &[])?.to_owned(), value, unit: attribute.unit.clone() })
    };
    let mut attributes: Vec<_> = from.iter().filter_map(read).collect();
    attributes.sort_by(|a, b| a.name.cmp(&b.name));
    attributes
}

/// Every run of digits as one `#`, so that numbered names are one name.
pub(super) fn fold_digits(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '0'..='9' if folded.ends_with('#') => {}
            '0'..='9' => folded.push('#'),
            c => folded.push(c),
        }
    }
    folded
}

/// Whether a poll ended before it began although a later one is not running: a contradiction of the target.
pub(super) fn is_torn(wakes: u64, self_wakes: u64, clones: u64, drops: u64) -> bool {
    self_wakes > wakes || drops > clones
}

/// Poll times of a task or async op.
pub(super) struct Polls {
    pub polls: u64,
    pub first: Option<TargetTime>,
    pub started: Option<TargetTime>,
    pub ended: Option<TargetTime>,
    pub busy: Duration,
}

pub(super) fn polls(of: Option<&PollStats>) -> Polls {
    let Some(of) = of else { return Polls { polls: 0, first: None, started: None, ended: None, busy: Duration::ZERO } };
    Polls {
        polls: of.polls,
        first: time(of.first_poll.as_ref()),
        started: time(of.last_poll_started.as_ref()),
        ended: time(of.last_poll_ended.as_ref()),
        busy: span(of.busy_time.as_ref()),
    }
}
