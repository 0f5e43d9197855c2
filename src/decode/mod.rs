//! The console's messages become a `Snapshot`. Pure, and nothing a target sends can make it panic.
//!
//! Facts about the wire that shape this stage: updates repeat entities and are merged idempotently by
//! (span id, creation time); statistics replace, they never add; counters are only ever compared with the
//! target's own clock; an entity that is absent from an update has not changed.
//!
//! Updates are read in place (`proto`, `message`) and folded (`fold`, `arrive`, `finish`, over `entities` and `sites`); what
//! is odd about them is counted on the way and told at the end (`odd`, with `ticks`).

mod arrive;
mod details;
mod entities;
mod epoch;
mod finish;
mod fold;
mod glance;
mod host_context;
mod lag;
mod location;
mod message;
mod odd;
mod poll_ops;
mod proto;
mod sites;
mod suspects;
mod ticks;
mod value;
mod wire;
mod words;

pub use fold::{Decoder, Limits};
pub use glance::{Glance, is_paused};
pub use host_context::{forwards, health, log_tail, process_facts};
pub use location::normalize;
pub use proto::Malformed;
