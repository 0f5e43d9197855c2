//! What tasks are grouped by, found again for each task without building it again.

use std::hash::{Hash, Hasher};
use std::num::NonZeroU64;

use foldhash::fast::RandomState;
use indexmap::{Equivalent, IndexMap, IndexSet};

use super::message::{Location, Task};
use super::{location, value, wire};
use crate::model::{FutureSize, NameIndex, Site, SiteIndex, SpawnLocation, TaskKind};

/// The texts that make a site, as the target sent them; of the name, with its digits folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Texts<'a> {
    kind: Option<&'a str>,
    fn_name: Option<&'a str>,
    name: Option<&'a str>,
    /// Tokio before 1.13 has one field for the whole location.
    spawned_at: Option<&'a str>,
    location: Option<Location<'a>>,
}

/// The same, kept.
#[derive(Clone, Debug)]
struct OwnedTexts {
    kind: Option<Box<str>>,
    fn_name: Option<Box<str>>,
    name: Option<Box<str>>,
    spawned_at: Option<Box<str>>,
    location: Option<OwnedLocation>,
}

/// File, line and column.
type OwnedLocation = (Option<Box<str>>, Option<u32>, Option<u32>);

impl OwnedTexts {
    fn of(texts: Texts<'_>) -> Self {
        let own = |text: Option<&str>| text.map(Into::into);
        Self {
            kind: own(texts.kind),
            fn_name: own(texts.fn_name),
            name: own(texts.name),
            spawned_at: own(texts.spawned_at),
            location: texts.location.map(|at| (own(at.file), at.line, at.column)),
        }
    }

    fn as_texts(&self) -> Texts<'_> {
        Texts {
            kind: self.kind.as_deref(),
            fn_name: self.fn_name.as_deref(),
            name: self.name.as_deref(),
            spawned_at: self.spawned_at.as_deref(),
            location: self.location.as_ref().map(|(file, line, column)| Location {
                file: file.as_deref(),
                line: *line,
                column: *column,
            }),
        }
    }
}

impl PartialEq for OwnedTexts {
    fn eq(&self, other: &Self) -> bool {
        self.as_texts() == other.as_texts()
    }
}

impl Eq for OwnedTexts {}

impl Hash for OwnedTexts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_texts().hash(state);
    }
}

impl Equivalent<OwnedTexts> for Texts<'_> {
    fn equivalent(&self, key: &OwnedTexts) -> bool {
        *self == key.as_texts()
    }
}

/// The sites and names of one target.
#[derive(Debug, Default)]
pub(super) struct Sites {
    by_texts: IndexMap<OwnedTexts, SiteIndex, RandomState>,
    sites: IndexSet<Site, RandomState>,
    names: IndexSet<Box<str>, RandomState>,
    folded: String,
}

/// What a task's announcement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TaskFacts {
    pub site: SiteIndex,
    pub task_id: Option<NonZeroU64>,
    pub name: Option<NameIndex>,
    pub size: FutureSize,
}

impl Sites {
    /// Reads a task's fields. `names` are those of its call sites, for fields that give an index only.
    pub(super) fn task(&mut self, task: &Task<'_>, names: &value::FieldNames) -> TaskFacts {
        let mut texts = Texts { location: task.location, ..Texts::default() };
        let (mut task_id, mut size, mut original_size) = (None, None, None);
        for field in &task.fields {
            let given = field.value;
            match names.name(field, task.metadata) {
                Some("kind") => texts.kind = value::text(given),
                Some("task.name") => texts.name = value::text(given),
                Some("fn") => texts.fn_name = value::text(given),
                Some("task.id") => task_id = value::unsigned(given).and_then(NonZeroU64::new),
                Some("size.bytes") => size = value::unsigned(given),
                Some("original_size.bytes") => original_size = value::unsigned(given),
                Some("spawn.location") => texts.spawned_at = value::text(given),
                _ => {}
            }
        }
        let name = texts.name.and_then(|name| self.name(name));
        TaskFacts { site: self.site(texts), task_id, name, size: FutureSize::new(size, original_size) }
    }

    /// The place of this name.
    fn name(&mut self, name: &str) -> Option<NameIndex> {
        let place = self.names.get_index_of(name).unwrap_or_else(|| self.names.insert_full(name.into()).0);
        NameIndex::new(place)
    }

    fn site(&mut self, texts: Texts<'_>) -> SiteIndex {
        let mut folded = std::mem::take(&mut self.folded);
        let name = texts.name.map(|name| {
            value::fold_digits(name, &mut folded);
            folded.as_str()
        });
        let texts = Texts { name, ..texts };
        let site = match self.by_texts.get(&texts) {
            Some(site) => *site,
            None => {
                let place = self.sites.insert_full(site(texts)).0;
                let site = SiteIndex(u32::try_from(place).unwrap_or(u32::MAX));
                self.by_texts.insert(OwnedTexts::of(texts), site);
                site
            }
        };
        self.folded = folded;
        site
    }

    /// The kind of a site's tasks.
    pub(super) fn kind(&self, site: SiteIndex) -> Option<&TaskKind> {
        self.sites.get_index(site.0 as usize).map(|site| &site.kind)
    }

    pub(super) fn into_sites_and_names(self) -> (Vec<Site>, Vec<String>) {
        (self.sites.into_iter().collect(), self.names.into_iter().map(Into::into).collect())
    }
}

fn site(texts: Texts<'_>) -> Site {
    Site {
        location: texts.location.and_then(spawn_location).or_else(|| texts.spawned_at.and_then(parse_location)),
        kind: texts.kind.map_or(TaskKind::Other(String::new()), wire::kind),
        fn_name: texts.fn_name.map(ToOwned::to_owned),
        name: texts.name.map(ToOwned::to_owned),
    }
}

pub(super) fn spawn_location(from: Location<'_>) -> Option<SpawnLocation> {
    Some(location::normalize(from.file?, from.line.unwrap_or(0), from.column.unwrap_or(0)))
}

/// `file:line:column` in one text.
fn parse_location(text: &str) -> Option<SpawnLocation> {
    let mut parts = text.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some(location::normalize(parts.next()?, line, column))
}
