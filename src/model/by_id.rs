//! From span ids to what they lead to.

use std::collections::HashSet;

use foldhash::fast::RandomState;

use super::{SpanId, TargetTime};

/// Entities to which a span id leads, sorted by id and age: ids are used again. Only those that others name, and a
/// list instead of a table, since there may be millions.
pub(super) struct ById<'a, T>(Vec<(SpanId, TargetTime, &'a T)>);

impl<'a, T> ById<'a, T> {
    pub(super) fn new(
        all: &'a [T],
        named: impl Iterator<Item = SpanId>,
        identity: impl Fn(&T) -> (SpanId, TargetTime),
    ) -> Self {
        let named: HashSet<_, RandomState> = named.collect();
        let mut sorted = Vec::with_capacity(named.len().min(all.len()));
        for entity in all {
            let (id, created_at) = identity(entity);
            if named.contains(&id) {
                sorted.push((id, created_at, entity));
            }
        }
        sorted.sort_unstable_by_key(|(id, created_at, _)| (*id, *created_at));
        Self(sorted)
    }

    /// The one that was there at `at`.
    pub(super) fn there(&self, id: SpanId, at: TargetTime) -> Option<&'a T> {
        let younger = self.0.partition_point(|(other, created_at, _)| (*other, *created_at) <= (id, at));
        let (other, _, entity) = self.0.get(younger.checked_sub(1)?)?;
        (*other == id).then_some(*entity)
    }
}
