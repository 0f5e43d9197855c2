//! Entities by span id, in a console's two steps: an announcement says what an entity is, statistics say when it was
//! created. Only both together are an entity, and a span id that comes with another creation time is another one.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::model::{AsyncOp, Resource, SpanId, TargetTime, Task};

/// A task, resource or async op.
pub(super) trait Entity: Clone {
    fn id(&self) -> SpanId;

    fn created_at(&self) -> TargetTime;

    /// Whether an announcement says the same as the one that `self` was made of.
    fn is_announced_as(&self, announced: &Self) -> bool;

    /// Takes over what an announcement says.
    fn adopt(&mut self, announced: Self);
}

#[derive(Debug)]
pub(super) struct Entities<T> {
    /// The place of the youngest entity of each id, which stands there.
    places: HashTable<u32>,
    /// Ids are hostile, so the hash is seeded.
    hash: RandomState,
    all: Vec<T>,
    stages: Vec<Stage>,
    /// What was announced of ids that are in use, where it is not what was announced before.
    renewed: HashMap<u64, T, RandomState>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No statistics yet.
    Announced,
    Known,
    /// Announced once more: a repetition, or a younger entity with the same id.
    AnnouncedAgain,
}

/// Whom statistics are of.
pub(super) enum Whose<'a, T> {
    /// An entity that has had statistics before.
    Known(&'a mut T),
    /// One that has them for the first time; `is_reused` when its id belonged to another.
    New { entity: &'a mut T, is_reused: bool },
    /// None that was announced.
    Nobody,
}

impl<T> Default for Entities<T> {
    fn default() -> Self {
        Self {
            places: HashTable::new(),
            hash: RandomState::default(),
            all: Vec::new(),
            stages: Vec::new(),
            renewed: HashMap::default(),
        }
    }
}

impl<T: Entity> Entities<T> {
    pub(super) fn len(&self) -> usize {
        self.all.len() + self.renewed.len()
    }

    /// Makes room for so many more: just for these at first, since most targets announce everything at once; where
    /// more come later still more will, so that there is a quarter to spare then.
    pub(super) fn reserve(&mut self, more: usize) {
        let Self { places, hash, all, stages, .. } = self;
        if more > all.capacity() - all.len() {
            let more = if all.is_empty() { more } else { more + (all.len() + more) / 4 };
            places.reserve(more, |place| all.get(*place as usize).map_or(0, |entity| hash.hash_one(entity.id().0)));
            all.reserve_exact(more);
            stages.reserve_exact(more);
        }
    }

    fn place(&self, id: u64) -> Option<usize> {
        let is_it = |place: &u32| self.all.get(*place as usize).is_some_and(|entity| entity.id().0 == id);
        self.places.find(self.hash.hash_one(id), is_it).map(|place| *place as usize)
    }

    /// The entity that has this id now.
    pub(super) fn get(&self, id: u64) -> Option<&T> {
        let place = self.place(id)?;
        self.all.get(place).filter(|_| self.stages.get(place) != Some(&Stage::Announced))
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.place(id).is_some()
    }

    /// Takes in an announcement. False when that needs room and there is none.
    pub(super) fn announce(&mut self, id: u64, announced: T, has_room: bool) -> bool {
        let Some(place) = self.place(id) else {
            return has_room && self.push(id, announced, Stage::Announced);
        };
        let (Some(known), Some(stage)) = (self.all.get_mut(place), self.stages.get_mut(place)) else { return true };
        if *stage == Stage::Announced {
            *known = announced;
        } else if known.is_announced_as(&announced) {
            *stage = Stage::AnnouncedAgain;
            self.renewed.remove(&id);
        } else if has_room {
            *stage = Stage::AnnouncedAgain;
            self.renewed.insert(id, announced);
        } else {
            return false;
        }
        true
    }

    fn push(&mut self, id: u64, entity: T, stage: Stage) -> bool {
        let Ok(place) = u32::try_from(self.all.len()) else { return false };
        self.reserve(1);
        let Self { places, hash, all, .. } = self;
        let id_at = |place: &u32| all.get(*place as usize).map(|entity| entity.id().0);
        let slot = places.entry(
            hash.hash_one(id),
            |place| id_at(place) == Some(id),
            |place| id_at(place).map_or(0, |id| hash.hash_one(id)),
        );
        match slot {
            Entry::Occupied(mut older) => *older.get_mut() = place,
            Entry::Vacant(free) => drop(free.insert(place)),
        }
        all.push(entity);
        self.stages.push(stage);
        true
    }

    /// Finds whom statistics with this creation time are of.
    pub(super) fn whose(&mut self, id: u64, created_at: TargetTime) -> Whose<'_, T> {
        let Some(place) = self.place(id) else { return Whose::Nobody };
        let (Some(known), Some(stage)) = (self.all.get_mut(place), self.stages.get_mut(place)) else {
            return Whose::Nobody;
        };
        match *stage {
            Stage::Announced => {
                *stage = Stage::Known;
                return self.at(place, false);
            }
            Stage::Known if known.created_at() != created_at => return Whose::Nobody,
            Stage::Known => {}
            Stage::AnnouncedAgain => {
                *stage = Stage::Known;
                let announced = self.renewed.remove(&id);
                if known.created_at() != created_at {
                    let younger = announced.unwrap_or_else(|| known.clone());
                    let place = self.all.len();
                    self.push(id, younger, Stage::Known);
                    return self.at(place, true);
                }
                if let Some(announced) = announced {
                    known.adopt(announced);
                }
            }
        }
        self.all.get_mut(place).map_or(Whose::Nobody, Whose::Known)
    }

    fn at(&mut self, place: usize, is_reused: bool) -> Whose<'_, T> {
        self.all.get_mut(place).map_or(Whose::Nobody, |entity| Whose::New { entity, is_reused })
    }

    /// Every entity that has had statistics, and how many have had none.
    pub(super) fn into_known(self) -> (Vec<T>, u64) {
        let Self { mut all, stages, .. } = self;
        let before = all.len();
        let mut stages = stages.iter();
        all.retain(|_| stages.next().is_none_or(|stage| *stage != Stage::Announced));
        let incomplete = (before - all.len()) as u64;
        (all, incomplete)
    }
}

impl Entity for Task {
    fn id(&self) -> SpanId {
        self.id
    }

    fn created_at(&self) -> TargetTime {
        self.created_at
    }

    fn is_announced_as(&self, other: &Self) -> bool {
        let facts = |task: &Self| (task.site, task.task_id, task.name, task.size);
        facts(self) == facts(other)
    }

    fn adopt(&mut self, announced: Self) {
        let Self { site, task_id, name, size, .. } = announced;
        (self.site, self.task_id, self.name, self.size) = (site, task_id, name, size);
    }
}

impl Entity for Resource {
    fn id(&self) -> SpanId {
        self.id
    }

    fn created_at(&self) -> TargetTime {
        self.created_at
    }

    fn is_announced_as(&self, other: &Self) -> bool {
        (self.parent, self.is_internal, &self.concrete_type, &self.kind, &self.location)
            == (other.parent, other.is_internal, &other.concrete_type, &other.kind, &other.location)
    }

    fn adopt(&mut self, announced: Self) {
        let Self { created_at, dropped_at, .. } = *self;
        let attributes = std::mem::take(&mut self.attributes);
        *self = Self { created_at, dropped_at, attributes, ..announced };
    }
}

impl Entity for AsyncOp {
    fn id(&self) -> SpanId {
        self.id
    }

    fn created_at(&self) -> TargetTime {
        self.created_at
    }

    fn is_announced_as(&self, other: &Self) -> bool {
        self.source == other.source && (self.resource, self.parent) == (other.resource, other.parent)
    }

    fn adopt(&mut self, announced: Self) {
        let Self { source, resource, parent, .. } = announced;
        (self.source, self.resource, self.parent) = (source, resource, parent);
    }
}

#[cfg(test)]
mod tests {
    use super::Entities;
    use crate::decode::message;
    use crate::decode::words::Words;
    use crate::model::{AsyncOp, SpanId};

    fn announce(entities: &mut Entities<AsyncOp>, ids: std::ops::Range<u64>) {
        let op = |id| message::AsyncOp::default().into_model(SpanId(id), &mut Words::default());
        ids.for_each(|id| assert!(entities.announce(id, op(id), true)));
    }

    #[test]
    fn what_comes_at_once_fits_and_what_comes_later_does_not_double_the_room() {
        let mut entities = Entities::default();
        entities.reserve(1000);
        announce(&mut entities, 0..1000);
        assert_eq!(entities.all.capacity(), 1000);
        announce(&mut entities, 1000..1001);
        let room = entities.all.capacity();
        assert!((1100..1300).contains(&room), "{room}");
        announce(&mut entities, 0..1001);
        assert_eq!((entities.len(), entities.all.capacity()), (1001, room), "repetitions need none");
        assert!((0..1001).all(|id| entities.contains(id)));
    }
}
