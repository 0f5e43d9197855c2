//! A plan becomes evidence. The only network and the only async of the whole program.
//!
//! ```text
//! server ─ ssh master (one child of ours) ─ forward to a private unix socket ─┐
//! container ─ its published port, address, or a process in its network ─────────┤
//! direct address ──────────────────────────────────────────────────────────────┴─ console client ─ frames
//! ```
//!
//! Targets with equal destinations share one ssh session. A target that fails is an [`Outcome`], never an
//! error of the run; and whatever happens, no process, socket or directory of ours stays behind.

mod child;
mod classify;
mod client;
mod codec;
mod command;
mod container;
mod docker;
mod door;
mod examine;
mod host_context;
mod journey;
mod ledger;
mod limits;
mod listening;
mod observe;
mod opening;
mod pipe;
mod private;
mod ssh;
mod stderr;
mod stop;
mod tap;
mod tunnel;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::capture::{Spool, Writer};
use crate::model::{Failure, HostContext, Outcome, Reason, Route, Sightings, Stage, Target, TargetId};
use crate::plan::Plan;

use journey::{Assignment, Collector};
use ledger::Ledger;
use stop::Stop;
pub use stop::pause;

pub use tunnel::{TunnelError, Visit, Visitor, tunnel};

/// Something that a person who waits may want to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The target's place in the plan.
    pub target: usize,
    /// How far it came.
    pub progress: Progress,
}

/// How far a target came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is at this stage.
    Stage(Stage),
    /// Its first update came, and its window runs.
    Watching,
    /// It has its outcome.
    Done {
        /// Why nothing was observed, if so.
        failed: Option<Reason>,
    },
}

/// How a collection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// A signal ended it early.
    pub interrupted: bool,
}

/// Why nothing could be collected at all. What concerns one target is its outcome instead.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The runtime, its signals or its private directory could not be set up.
    #[error("cannot prepare {what}: {source}")]
    Setup {
        /// What was prepared.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// The evidence could not be kept.
    #[error("cannot write the evidence: {0}")]
    Evidence(#[from] std::io::Error),
    /// A defect of ours.
    #[error("observing a server ended in a panic: {0}")]
    Panicked(String),
}

/// What the tasks tell the loop that owns the capture.
enum Message {
    Event(Event),
    /// Something on the way to a console.
    Seen(Box<examine::Seen>),
    /// The planned target at `index` is these.
    Found {
        index: usize,
        targets: Vec<Target>,
    },
    Done {
        index: usize,
        id: TargetId,
        spool: Option<Box<Spool>>,
        outcome: Outcome,
        /// What the server told beside the console, where it was asked.
        context: Option<Box<HostContext>>,
    },
}

/// Observes every target of `plan` into `capture`, at most `budget.forks` servers at once. The first signal (Ctrl-C,
/// TERM or HUP) ends the run in order, keeping what has come; a second one ends it at once.
///
/// # Errors
/// When the run as a whole cannot go on. Every process that it started is gone then too.
pub fn collect(plan: &Plan, capture: &mut Writer, on_event: &dyn Fn(Event)) -> Result<Summary, CollectError> {
    begin(plan, capture, on_event, Curiosity::Data).map(|(summary, _)| summary)
}

/// As [`collect`], and tells what was seen on the way to each console. It goes the same ways: one session per server, one
/// attach per console.
///
/// # Errors
/// As [`collect`].
pub fn examine(
    plan: &Plan,
    capture: &mut Writer,
    on_event: &dyn Fn(Event),
) -> Result<(Summary, Sightings), CollectError> {
    begin(plan, capture, on_event, Curiosity::Ways)
}

/// What a run wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curiosity {
    /// What the consoles say.
    Data,
    /// What there is on the ways to them, too.
    Ways,
}

fn begin(
    plan: &Plan,
    capture: &mut Writer,
    on_event: &dyn Fn(Event),
    curiosity: Curiosity,
) -> Result<(Summary, Sightings), CollectError> {
    child::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|source| CollectError::Setup { what: "the runtime", source })?;
    let result = runtime.block_on(run(plan, capture, on_event, curiosity));
    // Tasks that a second signal aborted are dropped here, and with them their processes.
    drop(runtime);
    result
}

async fn run(
    plan: &Plan,
    capture: &mut Writer,
    on_event: &dyn Fn(Event),
    curiosity: Curiosity,
) -> Result<(Summary, Sightings), CollectError> {
    let setup = |what| move |source| CollectError::Setup { what, source };
    let stop = Stop::listen(plan.budget.deadline).map_err(setup("the signal handlers"))?;
    let directory = private::Directory::create().map_err(setup("a private directory"))?;
    let (sender, mut messages) = mpsc::unbounded_channel();
    let servers = servers(plan);
    let collector =
        Arc::new(Collector::new(plan, servers.len(), curiosity, directory, capture.spools(), stop.clone(), sender));
    let mut waiting = servers.into_iter();
    let mut ledger = Ledger::new(capture, on_event);
    let mut tasks = JoinSet::new();
    let mut open = true;
    loop {
        while open && tasks.len() < plan.budget.forks && !stop.is_stopped() {
            let Some(server) = waiting.next() else { break };
            tasks.spawn(Arc::clone(&collector).server(assign(plan, server)));
        }
        tokio::select! {
            biased;
            Some(message) = messages.recv() => ledger.take(message)?,
            joined = tasks.join_next(), if !tasks.is_empty() => joined.map_or(Ok(()), finished)?,
            () = stop.stopped(), if open => open = false,
            () = stop.at_once() => break,
            else => break,
        }
        if tasks.is_empty() && (!open || waiting.len() == 0) {
            break;
        }
    }
    tasks.shutdown().await;
    while let Ok(message) = messages.try_recv() {
        ledger.take(message)?;
    }
    // Whatever was never begun, or was dropped by a second signal, ends as what stopped the run.
    ledger.fail_the_rest(&Failure::new(stop.reason(), "").at(Stage::Resolve))?;
    Ok((Summary { interrupted: stop.is_interrupted() }, ledger.sightings))
}

/// Targets by server, in the plan's order of their first.
fn servers(plan: &Plan) -> Vec<Vec<usize>> {
    let mut by_destination = BTreeMap::new();
    let mut servers: Vec<Vec<usize>> = Vec::new();
    for (index, target) in plan.targets.iter().enumerate() {
        match &target.route {
            Route::Direct => servers.push(vec![index]),
            Route::Ssh(destination) => match by_destination.get(destination) {
                Some(&at) => {
                    let server: &mut Vec<usize> = &mut servers[at];
                    server.push(index);
                }
                None => {
                    by_destination.insert(destination, servers.len());
                    servers.push(vec![index]);
                }
            },
        }
    }
    servers
}

fn assign(plan: &Plan, server: Vec<usize>) -> Vec<Assignment> {
    let on_server = server.len();
    let assignment = |index: usize| Assignment { index, target: plan.targets[index].clone(), on_server };
    server.into_iter().map(assignment).collect()
}

fn finished(joined: Result<(), tokio::task::JoinError>) -> Result<(), CollectError> {
    joined.map_err(|error| CollectError::Panicked(error.to_string()))
}
