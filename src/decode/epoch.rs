//! Whether an update still comes from the process that the updates before it came from.
//!
//! The wire names no process. But a console's first message repeats every call site, and a call site's id is the address of
//! its static description, which differs from start to start: the same call sites with other ids are another process.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use console_api::RegisterMetadata;
use console_api::register_metadata::NewMetadata;

/// The call sites of one process.
#[derive(Debug, Default)]
pub(super) struct Epoch {
    ids: HashSet<u64>,
    places: HashSet<u64>,
}

impl Epoch {
    /// Whether these are the call sites of another process: at least half of what is known, all under other ids.
    pub(super) fn is_another(&self, new: &RegisterMetadata) -> bool {
        let mut known = HashSet::new();
        for (id, place) in new.metadata.iter().filter_map(call_site) {
            if self.ids.contains(&id) {
                return false;
            }
            if self.places.contains(&place) {
                known.insert(place);
            }
        }
        !known.is_empty() && known.len() >= self.places.len().div_ceil(2)
    }

    pub(super) fn learn(&mut self, new: &RegisterMetadata, most: usize) {
        for (id, place) in new.metadata.iter().filter_map(call_site) {
            if self.ids.len() < most && self.ids.insert(id) {
                self.places.insert(place);
            }
        }
    }
}

/// A call site's id, and a fingerprint of its place in the code.
fn call_site(new: &NewMetadata) -> Option<(u64, u64)> {
    let metadata = new.metadata.as_ref()?;
    let location = metadata.location.as_ref();
    let mut place = DefaultHasher::new();
    metadata.name.hash(&mut place);
    location.and_then(|location| location.file.as_deref()).hash(&mut place);
    location.map(|location| (location.line, location.column)).hash(&mut place);
    Some((new.id?.id, place.finish()))
}
