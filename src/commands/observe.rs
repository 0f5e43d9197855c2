//! From a plan to a capture on disk: the part of a command that touches the network.

use std::path::PathBuf;

use anyhow::Context;

use super::emit::note;
use super::live::Live;
use super::store::store;
use crate::capture::{Capture, End, KEEP, Limits, Run, Writer};
use crate::cli::{CollectArgs, Display};
use crate::collect::{self, CollectError, Event, Progress, Summary, collect};
use crate::model::Sightings;
use crate::plan::Plan;

/// A finished collection: the capture, and where it stays.
pub(super) struct Collected {
    pub capture: Capture,
    /// Removes an unsaved capture when it is dropped.
    _unsaved: Option<tempfile::TempDir>,
}

/// Observes every target of `plan`, with progress on stderr, into a capture; `live` is told of every target that ends.
///
/// Judging always reads that capture, so a live report and one made of the saved file cannot differ.
pub(super) fn observe(
    plan: &Plan,
    patterns: &[String],
    args: &CollectArgs,
    quiet: bool,
    live: &Live,
) -> anyhow::Result<Collected> {
    let (collected, ()) =
        kept(plan, patterns, args, quiet, live, &|plan, writer, on_event| Ok((collect(plan, writer, on_event)?, ())))?;
    Ok(collected)
}

/// As [`observe`], with what was seen on the way to each console.
pub(super) fn examine(
    plan: &Plan,
    patterns: &[String],
    args: &CollectArgs,
    quiet: bool,
) -> anyhow::Result<(Collected, Sightings)> {
    kept(plan, patterns, args, quiet, &Live::default(), &collect::examine)
}

/// A way to collect, and what it tells beside the evidence.
type Collect<T> = dyn Fn(&Plan, &mut Writer, &dyn Fn(Event)) -> Result<(Summary, T), CollectError>;

fn kept<T>(
    plan: &Plan,
    patterns: &[String],
    args: &CollectArgs,
    quiet: bool,
    live: &Live,
    collect: &Collect<T>,
) -> anyhow::Result<(Collected, T)> {
    let run = Run {
        started: now(),
        collected_by: env!("CARGO_PKG_VERSION").to_owned(),
        patterns: patterns.to_vec(),
        window: plan.budget.window,
        targets: plan.targets.clone(),
    };
    let (path, unsaved) = destination(&run, args)?;
    let mut writer = Writer::create(&path, &run)?;
    if unsaved.is_some() {
        writer = writer.uncompressed();
    }
    let display = Display::new(plan.targets.iter().map(|target| target.id.to_string()).collect(), quiet);
    let ended = collect(plan, &mut writer, &|event| {
        display.show(&event);
        if let (Progress::Done { failed }, Some(target)) = (event.progress, plan.targets.get(event.target)) {
            live.ended(&target.id, failed);
        }
    });
    display.clear();
    let (summary, told) = ended.context("collecting failed")?;
    let path = writer.finish(End { interrupted: summary.interrupted })?;
    if unsaved.is_none() && args.save.is_none() {
        // What was seen is worth more than tidiness.
        if let Err(error) = store()?.prune(KEEP) {
            note(&format!("old captures were not removed: {error}"));
        }
    }
    if unsaved.is_none() && !quiet {
        note(&format!("evidence saved in {}", path.display()));
    }
    let capture = Capture::open(&path, limits(plan))?;
    Ok((Collected { capture, _unsaved: unsaved }, told))
}

fn destination(run: &Run, args: &CollectArgs) -> anyhow::Result<(PathBuf, Option<tempfile::TempDir>)> {
    if let Some(path) = &args.save {
        return Ok((path.clone(), None));
    }
    if args.no_save {
        let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
        return Ok((directory.path().join("unsaved.fdcap"), Some(directory)));
    }
    Ok((store()?.new_path(&run.patterns.join("-"), run.started)?, None))
}

/// What was collected under the plan's bounds is read under the same.
fn limits(plan: &Plan) -> Limits {
    let message_bytes = (plan.budget.max_message_bytes as u64).saturating_add(1 << 10);
    Limits {
        message_bytes,
        target_bytes: plan.budget.max_target_bytes.saturating_add(message_bytes),
        targets: usize::MAX,
        ..Limits::default()
    }
}

/// The time, to the second: what a person tells runs apart by.
fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}
