//! From captures to a diagnosis.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::playbook::Judging;
use super::store::resolve;
use crate::capture::{Capture, CaptureError, Limits, merge};
use crate::decode::{self, Decoder};
use crate::diagnose::{Diagnosis, Fleet, Point, RunFacts};
use crate::model::{Observation, Outcome, Snapshot};

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

/// Judges a capture target by target, so that memory holds one of them at a time.
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
    for (index, (target, outcome)) in targets.iter().enumerate() {
        if let Some(context) = capture.context(index) {
            fleet.surrounded(target, context.clone());
        }
        match outcome {
            Outcome::Failed(failure) => fleet.failed(target, failure),
            Outcome::Observed(observation) => fleet.observed(target, snapshot(capture, index, observation)?),
        }
    }
    Ok(fleet.diagnose(facts, gate))
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
