//! From captures to a diagnosis.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::thread::{self, Scope};

use anyhow::Context;

use super::playbook::Judging;
use super::store::resolve;
use crate::capture::{Capture, CaptureError, Limits, merge};
use crate::decode::{self, Decoder};
use crate::diagnose::{Diagnosis, Fleet, Point, RunFacts, Seen, look};
use crate::model::{Observation, Outcome, Snapshot, Target};
use crate::playbook::Playbook;

/// Most targets that are looked at at once: memory holds the tasks of so many.
const LOOKERS: usize = 4;

/// Opens captures by path or by their names in the store.
pub(super) fn open_all(names: &[PathBuf]) -> anyhow::Result<Vec<Capture>> {
    names.iter().map(|name| open(name)).collect()
}

fn open(name: &Path) -> anyhow::Result<Capture> {
    let path = resolve(name)?;
    Ok(Capture::open(&path, Limits::default())?)
}

/// One capture of several: itself when there is one, else their union in a temporary file.
pub(super) fn open_merged(names: &[PathBuf]) -> anyhow::Result<Capture> {
    let mut captures = open_all(names)?;
    if captures.len() == 1 {
        return Ok(captures.remove(0));
    }
    let directory = tempfile::tempdir().context("cannot make a temporary directory")?;
    let merged = merge(captures, &directory.path().join("merged.fdcap"))?;
    // The open file outlives its name.
    Ok(Capture::open(&merged, Limits::default())?)
}

/// Judges a capture target by target, so that memory holds few of them at a time.
pub(super) fn judge(capture: &mut Capture, judging: &Judging) -> anyhow::Result<Diagnosis> {
    judge_after(capture, judging, Vec::new())
}

/// As [`judge`], after earlier runs, oldest first.
pub(super) fn judge_after(capture: &mut Capture, judging: &Judging, history: Vec<Point>) -> anyhow::Result<Diagnosis> {
    let Judging { playbook, gate } = judging;
    let facts = RunFacts {
        started: capture.run().started.to_string(),
        collected_by: capture.run().collected_by.clone(),
        judged_by: env!("CARGO_PKG_VERSION").to_owned(),
        window: capture.run().window,
        playbooks: playbook.name.split(' ').map(str::to_owned).collect(),
        interrupted: capture.interrupted(),
    };
    let targets: Vec<_> = capture.targets().map(|(target, outcome)| (target.clone(), outcome.clone())).collect();
    let mut fleet = Fleet::after(playbook, history);
    let observed = (0..).zip(&targets).filter_map(|(index, (target, outcome))| match outcome {
        Outcome::Observed(observation) => Some((index, target, observation)),
        Outcome::Failed(_) => None,
    });
    let observed: Vec<Observed<'_>> = observed.collect();
    thread::scope(|scope| {
        let mut seen = look_at(scope, capture, playbook, &observed);
        for (index, (target, outcome)) in targets.iter().enumerate() {
            if let Some(context) = capture.context(index) {
                fleet.surrounded(target, context.clone());
            }
            match outcome {
                Outcome::Failed(failure) => fleet.failed(target, failure),
                Outcome::Observed(_) => fleet.looked_at(target, seen.next().context("a thread has ended too early")??),
            }
        }
        anyhow::Ok(())
    })?;
    Ok(fleet.diagnose(facts, gate))
}

/// A target that was observed, and its number in the capture.
type Observed<'a> = (usize, &'a Target, &'a Observation);

/// What is seen of each target, in their order. Each thread looks at every so-manieth, and is at most one ahead of what
/// is taken.
fn look_at<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    capture: &Capture,
    playbook: &'env Playbook,
    observed: &'env [Observed<'env>],
) -> impl Iterator<Item = Result<Seen, CaptureError>> + use<> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(LOOKERS).min(observed.len());
    let mut seen = Vec::new();
    for first in 0..threads {
        let (sender, receiver) = sync_channel(0);
        let mut capture = capture.clone();
        scope.spawn(move || {
            for (index, target, observation) in observed.iter().skip(first).step_by(threads) {
                let seen = snapshot(&mut capture, *index, observation).map(|seen| look(playbook, target, seen));
                // After an error nobody asks for the others.
                if sender.send(seen).is_err() {
                    break;
                }
            }
        });
        seen.push(receiver);
    }
    let mut turn = (0..threads).cycle();
    std::iter::from_fn(move || seen.get(turn.next()?)?.recv().ok())
}

/// What one target of a capture looked like.
pub(super) fn snapshot(
    capture: &mut Capture,
    index: usize,
    observation: &Observation,
) -> Result<Snapshot, CaptureError> {
    let mut decoder = Decoder::new(decode::Limits::default());
    for frame in capture.frames(index)? {
        decoder.frame(&frame?);
    }
    Ok(decoder.finish(observation))
}
