//! Locks, channels, semaphores, timers, and the operations waiting on them. There are many of each and few different
//! words among them, so that equal words are kept once.

use std::sync::Arc;

use super::{SpanId, SpawnLocation, TargetTime};

/// A synchronization primitive or timer of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its span id; with `created_at`, its identity.
    pub id: SpanId,
    /// When it was created.
    pub created_at: TargetTime,
    /// When it was dropped.
    pub dropped_at: Option<TargetTime>,
    /// The enclosing resource, for internal ones (the semaphore inside a mutex).
    pub parent: Option<SpanId>,
    /// `Mutex`, `Semaphore`, `Sleep` …
    pub concrete_type: Arc<str>,
    /// `Sync`, `Timer` or what the target called it.
    pub kind: Arc<str>,
    /// Where it was created; internal ones have none.
    pub location: Option<Arc<SpawnLocation>>,
    /// Part of another resource, not made by the application.
    pub is_internal: bool,
    /// Its state attributes (`locked`, `permits` …), sorted by name.
    pub attributes: Box<[Attribute]>,
}

/// A named value of a resource or async op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its name.
    pub name: Arc<str>,
    /// Its value.
    pub value: AttributeValue,
    /// Its unit, where the target gave one (`ms`).
    pub unit: Option<Arc<str>>,
}

/// A value as the wire types it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A flag.
    Bool(bool),
    /// An unsigned number.
    Unsigned(u64),
    /// A signed number.
    Signed(i64),
    /// Text, hostile.
    Text(String),
}

/// One operation on a resource: a `lock()`, an `acquire()`, a `tick()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsyncOp {
    /// Its span id; with `created_at`, its identity.
    pub id: SpanId,
    /// When it was created.
    pub created_at: TargetTime,
    /// When it ended or was cancelled.
    pub dropped_at: Option<TargetTime>,
    /// `Mutex::lock`, `Acquire::new` …
    pub source: Arc<str>,
    /// The resource it is on.
    pub resource: Option<SpanId>,
    /// The task that polled it last; absent until a task did.
    pub task: Option<SpanId>,
    /// The operation it is part of.
    pub parent: Option<SpanId>,
    /// Times it was polled.
    pub polls: u64,
    /// Start of its last poll.
    pub last_poll_started: Option<TargetTime>,
    /// End of its last finished poll.
    pub last_poll_ended: Option<TargetTime>,
    /// Its attributes (`permits_requested` …), sorted by name.
    pub attributes: Box<[Attribute]>,
}
