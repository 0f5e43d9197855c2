//! Locks, channels and semaphores, and who waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Context, Hit, ONE_SAMPLE, nanos};
use crate::diagnose::words::{duration, place};
use crate::model::{Resource, Site, Snapshot, SpanId, TargetTime, Task, Wait, WaitKind};
use crate::playbook::{Confidence, Detector};

const CAME_LATER: &str = "the wait began inside the window; a longer `--window` tells whether it ends";
const TRIED: &str = "whoever took it with `try_lock` leaves no trace, and would look the same";

/// A task or resource: span id and creation.
type Identity = (SpanId, TargetTime);

/// Everybody who waits for one resource.
pub(in super::super) struct Queue<'a> {
    pub kind: WaitKind,
    pub resource: Option<&'a Resource>,
    /// The longest wait first.
    pub waits: Vec<&'a Wait<'a>>,
}

/// What was found at a resource.
pub(in super::super) struct Contended<'q> {
    pub queue: &'q Queue<'q>,
    pub hit: Hit,
    pub affected: u64,
    pub words: String,
}

fn of_task(task: &Task) -> Identity {
    (task.id, task.created_at)
}

/// Waiting tasks by what they wait for, as far as tasks compete for it; oldest resource first.
pub(in super::super) fn queues<'a>(waits: &'a [Wait<'a>]) -> Vec<Queue<'a>> {
    let mut by_resource: BTreeMap<_, Queue<'a>> = BTreeMap::new();
    for wait in waits.iter().filter(|wait| wait.kind.is_contention() || wait.kind == WaitKind::Barrier) {
        // A resource that was never announced still is one, by its id.
        let key = wait.resource.map(|resource| (resource.created_at, resource.id));
        let key = (key, wait.op.resource.filter(|_| key.is_none()), wait.kind.concrete_type());
        let queue = by_resource.entry(key);
        let new = || Queue { kind: wait.kind, resource: wait.resource, waits: Vec::new() };
        queue.or_insert_with(new).waits.push(wait);
    }
    let mut queues: Vec<_> = by_resource.into_values().collect();
    for queue in &mut queues {
        queue.waits.sort_by_key(|wait| (wait.since, of_task(wait.task)));
    }
    queues
}

impl Detector {
    /// Looks at everybody who waits.
    pub(in super::super) fn detect_queues<'q>(
        self,
        queues: &'q [Queue<'q>],
        snapshot: &Snapshot,
        context: &Context<'_>,
    ) -> Vec<Contended<'q>> {
        let long = |wanted: fn(WaitKind) -> bool, waiters: u64, wait: Duration| {
            let queues = queues.iter().filter(|queue| wanted(queue.kind));
            queues.filter_map(|queue| waiting(queue, snapshot, context, waiters, wait)).collect()
        };
        match self {
            Self::LockContention { waiters, wait } => long(is_lock, waiters, wait),
            Self::ChannelBacklog { waiters, wait } => long(|kind| kind == WaitKind::Mpsc, waiters, wait),
            Self::PermitsExhausted { waiters, wait } => long(|kind| kind == WaitKind::Semaphore, waiters, wait),
            Self::Deadlock => deadlocks(queues, snapshot, context),
            _ => Vec::new(),
        }
    }
}

fn is_lock(kind: WaitKind) -> bool {
    matches!(kind, WaitKind::Mutex | WaitKind::RwLockRead | WaitKind::RwLockWrite)
}

fn waiting<'q>(
    queue: &'q Queue<'q>,
    snapshot: &Snapshot,
    context: &Context<'_>,
    waiters: u64,
    wait: Duration,
) -> Option<Contended<'q>> {
    let longest = queue.waits.first()?;
    let affected = queue.waits.len() as u64;
    if affected < waiters || longest.age() < wait {
        return None;
    }
    let hit = Hit::sure(nanos(longest.age()), affected);
    let hit = if context.has_one_sample {
        hit.capped(Confidence::Low, ONE_SAMPLE)
    } else if Some(longest.since) > context.start {
        hit.capped(Confidence::Medium, CAME_LATER)
    } else {
        hit
    };
    let hit = context.doubt_when_late(hit);
    let mut words = format!("waiting for {}", duration(nanos(longest.age())));
    if let Some(site) = longest.probable_holder.and_then(|holder| site(snapshot, holder)) {
        words.push_str(&format!("; probably held by a task of {}", place(site)));
    }
    Some(Contended { queue, hit, affected, words })
}

pub(in super::super) fn site<'s>(snapshot: &'s Snapshot, task: &Task) -> Option<&'s Site> {
    snapshot.sites.get(task.site.0 as usize)
}

/// Circles of tasks each of which waits for a lock that the next one probably holds, and none of which has moved.
fn deadlocks<'q>(queues: &'q [Queue<'q>], snapshot: &Snapshot, context: &Context<'_>) -> Vec<Contended<'q>> {
    // A waiting task leads to the probable holder, by way of a queue.
    let mut edges: BTreeMap<Identity, (&'q Queue<'q>, &'q Wait<'q>, &'q Task)> = BTreeMap::new();
    for queue in queues.iter().filter(|queue| is_lock(queue.kind)) {
        for wait in &queue.waits {
            let is_still = Some(wait.since) <= context.start && wait.task.earlier.is_none();
            if let Some(holder) = wait.probable_holder.filter(|_| is_still || context.has_one_sample) {
                edges.insert(of_task(wait.task), (queue, wait, holder));
            }
        }
    }
    let mut seen: BTreeSet<Identity> = BTreeSet::new();
    let mut found = Vec::new();
    for start in edges.keys() {
        let mut path: Vec<Identity> = Vec::new();
        let mut at = *start;
        while let Some((_, _, holder)) = edges.get(&at) {
            if let Some(from) = path.iter().position(|task| *task == at) {
                found.extend(circle(&path[from..], &edges, snapshot, context));
                break;
            }
            if !seen.insert(at) {
                break;
            }
            path.push(at);
            at = of_task(holder);
        }
    }
    found
}

fn circle<'q>(
    tasks: &[Identity],
    edges: &BTreeMap<Identity, (&'q Queue<'q>, &'q Wait<'q>, &'q Task)>,
    snapshot: &Snapshot,
    context: &Context<'_>,
) -> Option<Contended<'q>> {
    let mut circle: Vec<_> = tasks.iter().filter_map(|task| edges.get(task)).collect();
    // The circle begins at the resource that was created first, wherever it was entered.
    let first = circle
        .iter()
        .enumerate()
        .min_by_key(|(_, (queue, _, _))| queue.resource.map(|resource| (resource.created_at, resource.id)))?
        .0;
    circle.rotate_left(first);
    let longest = circle.iter().map(|(_, wait, _)| wait.age()).min()?;
    let hit = Hit::sure(nanos(longest), circle.len() as u64);
    let hit = if context.has_one_sample {
        hit.capped(Confidence::Low, ONE_SAMPLE)
    } else if circle.len() == 1 {
        hit.capped(Confidence::Medium, TRIED)
    } else {
        hit
    };
    let step = |(index, (queue, wait, _)): (usize, &&(&Queue<'_>, &Wait<'_>, &Task))| {
        let waiter = site(snapshot, wait.task).map_or_else(|| "a task".to_owned(), place);
        let created = queue.resource.and_then(|resource| resource.location.as_ref());
        let created = created.map_or_else(String::new, |location| format!(" of {location}"));
        let which = if index == 0 { "" } else { ", which" };
        format!("{waiter}{which} waits for the {}{created}", queue.kind.concrete_type())
    };
    let mut words = circle.iter().enumerate().map(step).collect::<Vec<_>>().join(", held by ");
    words.push_str(if circle.len() == 1 { ", which it holds itself" } else { ", held by the first" });
    words.push_str(&format!("; nothing moved for {}", duration(nanos(longest))));
    Some(Contended { queue: circle.first()?.0, hit, affected: circle.len() as u64, words })
}
