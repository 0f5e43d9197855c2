//! Fields, attributes and poll times as the model has them.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::message::{AsyncOp, Attribute, Field, Name, PollStats, Resource, TaskStats, Value};
use super::wire;
use super::words::Words;
use crate::model::{self, AttributeValue, Nanos, SpanId, TargetTime};

/// The field names of a target's call sites, for fields that give an index only.
#[derive(Debug, Default)]
pub(super) struct FieldNames {
    by_call_site: HashMap<u64, Vec<String>, RandomState>,
}

impl FieldNames {
    pub(super) fn insert(&mut self, call_site: u64, names: Vec<String>) {
        self.by_call_site.insert(call_site, names);
    }

    pub(super) fn len(&self) -> usize {
        self.by_call_site.len()
    }

    /// A field's name. Its call site is its own or, where it names none, that of the entity it belongs to.
    pub(super) fn name<'a>(&'a self, field: &Field<'a>, call_site: Option<u64>) -> Option<&'a str> {
        match field.name? {
            Name::Text(name) => Some(name),
            Name::Index(index) => {
                let names = self.by_call_site.get(&field.metadata.or(call_site)?)?;
                names.get(usize::try_from(index).ok()?).map(String::as_str)
            }
        }
    }
}

/// A text value. That of a `{:?}` carries quotes.
pub(super) fn text(value: Option<Value<'_>>) -> Option<&str> {
    let Some(Value::Text(text)) = value else { return None };
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    (!bare.is_empty()).then_some(bare)
}

/// An unsigned value, also where an old target sent it as text.
pub(super) fn unsigned(value: Option<Value<'_>>) -> Option<u64> {
    match value? {
        Value::Unsigned(value) => Some(value),
        Value::Signed(value) => u64::try_from(value).ok(),
        Value::Text(text) => text.parse().ok(),
        Value::Bool(_) => None,
    }
}

/// Attributes sorted by name.
pub(super) fn attributes(from: &[Attribute<'_>], names: &FieldNames, words: &mut Words) -> Box<[model::Attribute]> {
    let read = |attribute: &Attribute<'_>| {
        let field = attribute.field.as_ref()?;
        let value = match field.value? {
            Value::Bool(value) => AttributeValue::Bool(value),
            Value::Unsigned(value) => AttributeValue::Unsigned(value),
            Value::Signed(value) => AttributeValue::Signed(value),
            Value::Text(text) => AttributeValue::Text(text.to_owned()),
        };
        let name = words.text(names.name(field, None)?);
        Some(model::Attribute { name, value, unit: attribute.unit.map(|unit| words.text(unit)) })
    };
    let mut attributes: Box<[_]> = from.iter().filter_map(read).collect();
    attributes.sort_by(|a, b| a.name.cmp(&b.name));
    attributes
}

/// Poll times of a task or async op.
#[derive(Default)]
pub(super) struct Polls {
    pub polls: u64,
    pub first: Option<TargetTime>,
    pub started: Option<TargetTime>,
    pub ended: Option<TargetTime>,
    pub busy: Nanos,
}

pub(super) fn polls(of: Option<&PollStats>) -> Polls {
    let Some(of) = of else { return Polls::default() };
    Polls {
        polls: of.polls,
        first: wire::time(of.first_poll.as_ref()),
        started: wire::time(of.last_poll_started.as_ref()),
        ended: wire::time(of.last_poll_ended.as_ref()),
        busy: wire::span(of.busy_time.as_ref()),
    }
}

/// Every run of digits as one `#`, so that numbered names are one name.
pub(super) fn fold_digits(name: &str, folded: &mut String) {
    folded.clear();
    let mut rest = name;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, digits) = rest.split_at(at);
        folded.push_str(before);
        folded.push('#');
        rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    folded.push_str(rest);
}

/// Whether something of a task ended before it began, or took a negative time.
pub(super) fn is_backwards(sent: &TaskStats, created_at: TargetTime, read: &model::TaskStats) -> bool {
    let is_before = |end: Option<TargetTime>, begin| end.is_some() && end < begin;
    let busy_time = sent.poll_stats.and_then(|polls| polls.busy_time);
    let is_negative = |of: Option<prost_types::Duration>| of.is_some_and(|of| of.seconds < 0 || of.nanos < 0);
    is_before(read.dropped_at, Some(created_at))
        || is_before(read.first_poll, Some(created_at))
        || is_before(read.last_wake, Some(created_at))
        || is_before(read.last_poll_ended, read.first_poll)
        || is_negative(busy_time)
        || is_negative(sent.scheduled_time)
}

impl Resource<'_> {
    pub(super) fn into_model(self, id: SpanId, words: &mut Words) -> model::Resource {
        let kind = match self.kind {
            Some(Ok(kind)) => kind,
            // The only kind that has a number.
            Some(Err(_)) => "Timer",
            None => "",
        };
        model::Resource {
            id,
            created_at: TargetTime::from_nanos(0),
            dropped_at: None,
            parent: self.parent.map(SpanId),
            concrete_type: words.text(self.concrete_type),
            kind: words.text(kind),
            location: self.location.and_then(|location| words.place(location)),
            is_internal: self.is_internal,
            attributes: Box::default(),
        }
    }
}

impl AsyncOp<'_> {
    pub(super) fn into_model(self, id: SpanId, words: &mut Words) -> model::AsyncOp {
        model::AsyncOp {
            id,
            created_at: TargetTime::from_nanos(0),
            dropped_at: None,
            source: words.text(self.source),
            resource: self.resource.map(SpanId),
            task: None,
            parent: self.parent.map(SpanId),
            polls: 0,
            last_poll_started: None,
            last_poll_ended: None,
            attributes: Box::default(),
        }
    }
}
