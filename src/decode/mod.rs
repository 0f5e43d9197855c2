//! The console's messages become a `Snapshot`. Pure, and nothing a target sends can make it panic.
//!
//! Facts about the wire that shape this stage: updates repeat entities and are merged idempotently by
//! (span id, creation time); statistics replace, they never add; counters are only ever compared with the
//! target's own clock; an entity that is absent from an update has not changed.

mod details;
mod fold;
mod glance;
mod location;
mod wire;

pub use fold::{Decoder, Limits, Malformed};
pub use glance::{Glance, glance, is_paused};
pub use location::normalize;
