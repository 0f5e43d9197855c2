//! Words and places that come again and again, kept once.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::message::Location;
use super::sites;
use crate::model::SpawnLocation;

/// Of one target. There are no more than its entities have, which are bounded.
#[derive(Debug, Default)]
pub(super) struct Words {
    texts: HashSet<Arc<str>, RandomState>,
    places: HashSet<Arc<SpawnLocation>, RandomState>,
}

impl Words {
    pub(super) fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(kept) = self.texts.get(text) {
            return Arc::clone(kept);
        }
        let kept: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&kept));
        kept
    }

    pub(super) fn place(&mut self, location: Location<'_>) -> Option<Arc<SpawnLocation>> {
        let place = sites::spawn_location(location)?;
        if let Some(kept) = self.places.get(&place) {
            return Some(Arc::clone(kept));
        }
        let kept = Arc::new(place);
        self.places.insert(Arc::clone(&kept));
        Some(kept)
    }
}
