//! Who waits on what, since when, and who probably holds it.
//!
//! The wire tells it through async ops: an operation that a task has polled and that has not ended is a wait. Most
//! operations come in pairs (`Mutex::lock` and the semaphore's `Acquire::new` inside it), of which only the outer counts.

use std::collections::HashMap;

use super::by_id::ById;
use super::{AsyncOp, AttributeValue, Resource, Snapshot, SpanId, TargetTime, Task, TaskState};

/// What kind of thing a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitKind {
    /// `Mutex::lock`.
    Mutex,
    /// `RwLock::read`.
    RwLockRead,
    /// `RwLock::write`.
    RwLockWrite,
    /// `Semaphore::acquire` and its relatives.
    Semaphore,
    /// `send` or `reserve` on a bounded mpsc channel that is full: tokio shows only the semaphore inside it.
    Mpsc,
    /// `Barrier::wait`.
    Barrier,
    /// The receiver of a oneshot channel.
    OneshotReceive,
    /// `closed` of a oneshot's sender.
    OneshotClosed,
    /// A sleep, timeout or interval.
    Timer,
    /// An operation that is not known.
    Other,
}

impl WaitKind {
    /// What is waited for, in tokio's own words.
    #[must_use]
    pub fn concrete_type(self) -> &'static str {
        match self {
            Self::Mutex => "Mutex",
            Self::RwLockRead | Self::RwLockWrite => "RwLock",
            Self::Semaphore => "Semaphore",
            Self::Mpsc => "mpsc",
            Self::Barrier => "Barrier",
            Self::OneshotReceive | Self::OneshotClosed => "oneshot",
            Self::Timer => "timer",
            Self::Other => "other",
        }
    }

    /// Whether tasks compete for it: a lock, permits, or room in a channel. Not so for timers, oneshots and barriers.
    #[must_use]
    pub fn is_contention(self) -> bool {
        matches!(self, Self::Mutex | Self::RwLockRead | Self::RwLockWrite | Self::Semaphore | Self::Mpsc)
    }

    /// Lock operations are created by their first poll; the others may exist long before somebody awaits them.
    fn begins_when_created(self) -> bool {
        self.is_contention() || self == Self::Barrier
    }

    fn of_source(source: &str) -> Self {
        let (of, call) = source.split_once("::").unwrap_or((source, ""));
        match (of, call) {
            ("Mutex", _) => Self::Mutex,
            ("RwLock", call) if call.starts_with("write") => Self::RwLockWrite,
            ("RwLock", _) => Self::RwLockRead,
            ("Semaphore", _) => Self::Semaphore,
            ("Barrier", _) => Self::Barrier,
            ("Receiver", _) => Self::OneshotReceive,
            ("Sender", _) => Self::OneshotClosed,
            ("Sleep" | "Interval", _) => Self::Timer,
            _ => Self::Other,
        }
    }
}

/// One task that waits for one thing at the end of the window.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// Who waits.
    pub task: &'a Task,
    /// The operation it waits in.
    pub op: &'a AsyncOp,
    /// For what kind of thing.
    pub kind: WaitKind,
    /// The thing; for a mutex the mutex, not the semaphore inside it. Absent where the target never announced it.
    pub resource: Option<&'a Resource>,
    /// Since when, or since when at the latest.
    pub since: TargetTime,
    /// Whether it waits since `since`; otherwise it may wait longer.
    pub since_is_exact: bool,
    /// Who probably holds it: the last task known to have obtained it and still alive. The wire names no holders.
    pub probable_holder: Option<&'a Task>,
}

impl Wait<'_> {
    /// How long the task has waited, at least.
    #[must_use]
    pub fn age(&self) -> std::time::Duration {
        self.task.last.at.since(self.since)
    }
}

impl Snapshot {
    /// Every task that waits at the end of the window, ordered as the async ops are.
    #[must_use]
    pub fn waits(&self) -> Vec<Wait<'_>> {
        let index = Index::new(self);
        let holders = index.holders();
        self.async_ops.iter().filter_map(|op| index.wait(op, &holders)).collect()
    }
}

/// What async ops and resources name.
struct Index<'a> {
    snapshot: &'a Snapshot,
    tasks: ById<'a, Task>,
    resources: ById<'a, Resource>,
    ops: ById<'a, AsyncOp>,
}

impl<'a> Index<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let (ops, resources) = (&snapshot.async_ops, &snapshot.resources);
        let wholes = resources.iter().filter_map(|resource| resource.parent);
        let waited_for = ops.iter().filter_map(|op| op.resource).chain(wholes);
        Self {
            snapshot,
            tasks: ById::new(&snapshot.tasks, ops.iter().filter_map(|op| op.task), |task| (task.id, task.created_at)),
            resources: ById::new(resources, waited_for, |resource| (resource.id, resource.created_at)),
            ops: ById::new(ops, ops.iter().filter_map(|op| op.parent), |op| (op.id, op.created_at)),
        }
    }

    /// The task that polled the operation last. It may be younger than the operation, but not than its last poll.
    fn task(&self, op: &AsyncOp) -> Option<&'a Task> {
        self.tasks.there(op.task?, op.last_poll_started.max(Some(op.created_at))?)
    }

    fn parent(&self, op: &AsyncOp) -> Option<&'a AsyncOp> {
        self.ops.there(op.parent?, op.created_at)
    }

    fn resource(&self, id: SpanId, at: TargetTime) -> Option<&'a Resource> {
        self.resources.there(id, at)
    }

    /// What an operation is on: where it is on a part (the semaphore inside a mutex), the whole.
    fn whole(&self, op: &AsyncOp) -> Option<&'a Resource> {
        let mut resource = self.resource(op.resource?, op.created_at)?;
        // Nothing in tokio is nested deeper; a hostile cycle ends here.
        for _ in 0..4 {
            match resource.parent.and_then(|parent| self.resource(parent, resource.created_at)) {
                Some(parent) => resource = parent,
                None => break,
            }
        }
        Some(resource)
    }

    fn wait(&self, op: &'a AsyncOp, holders: &Holders<'a>) -> Option<Wait<'a>> {
        if op.dropped_at.is_some() || self.parent(op).is_some() {
            return None;
        }
        let task = self.task(op).filter(|task| task.last.state() != TaskState::Done)?;
        let resource = self.whole(op);
        let kind = kind(op, resource);
        let polled = op.last_poll_started.unwrap_or(op.created_at);
        // A oneshot's operation is created, and counted as polled once, together with the channel.
        let (since, since_is_exact) = match kind {
            _ if kind.begins_when_created() => (op.created_at, true),
            WaitKind::OneshotReceive => (polled, op.polls <= 2),
            _ => (polled, false),
        };
        let holder = resource.and_then(|resource| holders.get(&(resource.id, resource.created_at)));
        let probable_holder = holder.map(|(_, holder)| *holder).filter(|_| kind.is_contention());
        Some(Wait { task, op, kind, resource, since, since_is_exact, probable_holder })
    }

    /// For each resource the living task that obtained it last, as far as the target still remembers.
    fn holders(&self) -> Holders<'a> {
        let acquired = self.snapshot.async_ops.iter().filter(|op| &*op.source == "Acquire::new" && has_obtained(op));
        let mut holders = Holders::new();
        for acquire in acquired {
            // The lock call around it is what a task awaited; a bounded channel's has none, and permits sent are gone.
            let Some(call) = self.parent(acquire) else { continue };
            let (Some(at), Some(resource)) = (call.dropped_at.or(acquire.dropped_at), self.whole(call)) else {
                continue;
            };
            let Some(task) = self.task(call).or_else(|| self.task(acquire)) else { continue };
            let slot = holders.entry((resource.id, resource.created_at)).or_insert((at, task));
            if slot.0 < at {
                *slot = (at, task);
            }
        }
        holders.retain(|_, (_, task)| task.last.state() != TaskState::Done);
        holders
    }
}

type Holders<'a> = HashMap<(SpanId, TargetTime), (TargetTime, &'a Task)>;

fn number(op: &AsyncOp, name: &str) -> Option<u64> {
    let attribute = op.attributes.iter().find(|attribute| *attribute.name == *name)?;
    match attribute.value {
        AttributeValue::Unsigned(value) => Some(value),
        AttributeValue::Signed(value) => u64::try_from(value).ok(),
        _ => None,
    }
}

/// Cancelled acquires end with fewer permits than they asked for.
fn has_obtained(op: &AsyncOp) -> bool {
    number(op, "permits_requested").is_some_and(|requested| number(op, "permits_obtained") >= Some(requested))
}

fn kind(op: &AsyncOp, resource: Option<&Resource>) -> WaitKind {
    let named = WaitKind::of_source(&op.source);
    let Some(resource) = resource.filter(|_| named == WaitKind::Other && &*op.source == "Acquire::new") else {
        return named;
    };
    // The call around this acquire is not known any more, so the resource tells.
    let asks_for_all = number(op, "permits_requested") > Some(1);
    match &*resource.concrete_type {
        "Semaphore" if resource.is_internal => WaitKind::Mpsc,
        "Semaphore" => WaitKind::Semaphore,
        "Mutex" => WaitKind::Mutex,
        "RwLock" if asks_for_all => WaitKind::RwLockWrite,
        "RwLock" => WaitKind::RwLockRead,
        _ => WaitKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Attribute, FutureSize, Sample, SiteIndex, TaskStats};

    fn at(second: i64) -> TargetTime {
        TargetTime::from_nanos(second * 1_000_000_000)
    }

    fn task(id: u64, created: i64) -> Task {
        Task {
            id: SpanId(id),
            created_at: at(created),
            site: SiteIndex(0),
            task_id: None,
            name: None,
            size: FutureSize::UNKNOWN,
            first_at: at(100),
            earlier: None,
            last: Sample { at: at(100), stats: TaskStats { polls: 1, ..TaskStats::default() } },
        }
    }

    fn resource(id: u64, concrete_type: &str, parent: Option<u64>) -> Resource {
        Resource {
            id: SpanId(id),
            created_at: at(1),
            dropped_at: None,
            parent: parent.map(SpanId),
            concrete_type: concrete_type.into(),
            kind: "Sync".into(),
            location: None,
            is_internal: concrete_type == "Semaphore",
            attributes: [].into(),
        }
    }

    fn op(id: u64, source: &str, on: u64, by: u64, created: i64) -> AsyncOp {
        AsyncOp {
            id: SpanId(id),
            created_at: at(created),
            dropped_at: None,
            source: source.into(),
            resource: Some(SpanId(on)),
            task: Some(SpanId(by)),
            parent: None,
            polls: 3,
            last_poll_started: Some(at(created + 5)),
            last_poll_ended: Some(at(created + 5)),
            attributes: [].into(),
        }
    }

    /// The acquire inside another operation, with how many of one permit it has.
    fn inside(id: u64, outer: &AsyncOp, on: u64, obtained: u64) -> AsyncOp {
        let attribute =
            |name: &str, value| Attribute { name: name.into(), value: AttributeValue::Unsigned(value), unit: None };
        AsyncOp {
            id: SpanId(id),
            source: "Acquire::new".into(),
            resource: Some(SpanId(on)),
            parent: Some(outer.id),
            attributes: [attribute("permits_obtained", obtained), attribute("permits_requested", 1)].into(),
            ..outer.clone()
        }
    }

    fn snapshot(tasks: Vec<Task>, resources: Vec<Resource>, ops: Vec<AsyncOp>) -> Snapshot {
        Snapshot { tasks, resources, async_ops: ops, ..Snapshot::default() }
    }

    #[test]
    fn a_waiter_counts_once_and_the_holder_is_the_last_who_obtained() {
        let ended = |op: AsyncOp, second| AsyncOp { dropped_at: Some(at(second)), ..op };
        let early = ended(op(20, "Mutex::lock", 10, 1, 20), 21);
        let holder = ended(op(22, "Mutex::lock", 10, 2, 30), 31);
        let cancelled = ended(op(24, "Mutex::lock", 10, 3, 40), 50);
        let waiter = op(26, "Mutex::lock", 10, 4, 60);
        let ops = vec![
            inside(21, &early, 11, 1),
            inside(23, &holder, 11, 1),
            inside(25, &cancelled, 11, 0),
            inside(27, &waiter, 11, 0),
            early,
            holder,
            cancelled,
            waiter,
        ];
        let tasks = vec![task(1, 1), task(2, 1), task(3, 1), task(4, 1)];
        let mut snapshot = snapshot(tasks, vec![resource(10, "Mutex", None), resource(11, "Semaphore", Some(10))], ops);
        {
            let waits = snapshot.waits();
            let [wait] = waits.as_slice() else { panic!("{waits:?}") };
            assert_eq!((wait.kind, wait.task.id, wait.resource.unwrap().id), (WaitKind::Mutex, SpanId(4), SpanId(10)));
            assert_eq!((wait.since, wait.since_is_exact, wait.age().as_secs()), (at(60), true, 40));
            assert_eq!(wait.probable_holder.map(|task| task.id), Some(SpanId(2)));
        }
        snapshot.tasks[1].last.stats.dropped_at = Some(at(70));
        assert!(snapshot.waits()[0].probable_holder.is_none(), "the dead hold nothing");
    }

    #[test]
    fn a_full_channel_is_told_from_a_semaphore_and_readers_from_writers() {
        let send = AsyncOp { source: "Acquire::new".into(), ..op(20, "", 11, 1, 10) };
        let ops = vec![
            send,
            op(21, "Semaphore::acquire_many", 12, 1, 10),
            op(22, "RwLock::write_owned", 13, 1, 10),
            op(23, "RwLock::read", 13, 1, 10),
        ];
        let public = Resource { is_internal: false, ..resource(12, "Semaphore", None) };
        let resources = vec![resource(11, "Semaphore", None), public, resource(13, "RwLock", None)];
        let snapshot = snapshot(vec![task(1, 1)], resources, ops);
        let kinds: Vec<_> = snapshot.waits().iter().map(|wait| wait.kind).collect();
        assert_eq!(kinds, [WaitKind::Mpsc, WaitKind::Semaphore, WaitKind::RwLockWrite, WaitKind::RwLockRead]);
    }

    #[test]
    fn an_inner_acquire_whose_lock_call_is_forgotten_still_leads_to_the_mutex() {
        let outer = op(20, "Mutex::lock", 10, 1, 10);
        let resources = vec![resource(10, "Mutex", None), resource(11, "Semaphore", Some(10))];
        let snapshot = snapshot(vec![task(1, 1)], resources, vec![inside(21, &outer, 11, 0)]);
        let waits = snapshot.waits();
        assert_eq!((waits[0].kind, waits[0].resource.unwrap().id), (WaitKind::Mutex, SpanId(10)));
    }

    #[test]
    fn a_oneshot_is_awaited_since_its_second_poll_and_what_nobody_polls_waits_for_nobody() {
        let resources = vec![resource(10, "Sender|Receiver", None)];
        let awaited = AsyncOp { polls: 2, ..op(20, "Receiver::await", 10, 1, 10) };
        let often = AsyncOp { polls: 7, ..op(21, "Receiver::await", 10, 1, 10) };
        let never = AsyncOp { task: None, polls: 1, ..op(22, "Receiver::await", 10, 1, 10) };
        let snapshot = snapshot(vec![task(1, 12)], resources, vec![awaited, often, never]);
        let waits: Vec<_> = snapshot.waits().iter().map(|wait| (wait.since, wait.since_is_exact)).collect();
        assert_eq!(waits, [(at(15), true), (at(15), false)], "its task may be younger than the channel");
    }

    #[test]
    fn an_id_that_was_used_again_does_not_lead_to_the_younger_one() {
        let resources =
            vec![resource(10, "Mutex", None), Resource { created_at: at(90), ..resource(10, "Barrier", None) }];
        let ops = vec![op(20, "Mutex::lock", 10, 1, 10)];
        let snapshot = snapshot(vec![task(1, 1), task(1, 50)], resources, ops);
        let waits = snapshot.waits();
        assert_eq!(waits[0].task.created_at, at(1));
        assert_eq!(&*waits[0].resource.unwrap().concrete_type, "Mutex");
    }
}
