//! Several captures made one: shards of a run, or a run and the repeat of its failed hosts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Capture, CaptureError, End, OutcomeFile, Run, Writer};
use crate::model::{Ended, Outcome, Target, TargetId};

/// Why captures cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// One of them cannot be read, or the result not be written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The result cannot be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The result.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Nothing to merge.
    #[error("there is nothing to merge: name at least one capture")]
    Nothing,
}

/// One target of the result: which capture it is taken from, and its place there.
struct Pick<'a> {
    rank: Rank,
    from: usize,
    index: usize,
    target: &'a Target,
}

/// Which of two observations of one target is kept: a whole one before a broken one before none, then the later run.
type Rank = (u8, jiff::Timestamp, String);

/// Writes the union of `captures` to `path`. The result does not depend on their order or on how they were
/// merged before: of a target that several hold, the best and then latest observation is kept.
///
/// # Errors
/// When a capture cannot be read or the result not be written.
pub fn merge(mut captures: Vec<Capture>, path: &Path) -> Result<PathBuf, MergeError> {
    let run = merged_run(&captures).ok_or(MergeError::Nothing)?;
    let mut picks: BTreeMap<TargetId, Pick<'_>> = BTreeMap::new();
    for (from, capture) in captures.iter().enumerate() {
        for (index, (target, file)) in capture.run().targets.iter().zip(capture.outcome_files()).enumerate() {
            let pick = Pick { rank: rank(file), from, index, target };
            match picks.get_mut(&target.id) {
                Some(kept) if kept.rank >= pick.rank => {}
                Some(kept) => *kept = pick,
                None => drop(picks.insert(target.id.clone(), pick)),
            }
        }
    }
    let run = Run { targets: picks.values().map(|pick| pick.target.clone()).collect(), ..run };
    let places: Vec<_> = picks.into_values().map(|pick| (pick.from, pick.index)).collect();
    let interrupted = captures.iter().any(Capture::interrupted);

    let mut writer = Writer::create(path, &run)?;
    let failed = |source| MergeError::Write { path: path.to_owned(), source };
    for (place, (from, index)) in places.into_iter().enumerate() {
        let capture = &mut captures[from];
        // The manifest of the result holds what was found.
        let file = OutcomeFile { found: None, ..capture.outcome_files()[index].clone() };
        let spool = match file.outcome {
            Outcome::Observed(_) => {
                let mut spool = writer.spool().map_err(failed)?;
                for frame in capture.frames(index)? {
                    spool.push(&frame?).map_err(failed)?;
                }
                Some(spool)
            }
            Outcome::Failed(_) => None,
        };
        writer.add_target(place, spool, &file).map_err(failed)?;
    }
    Ok(writer.finish(End { interrupted })?)
}

/// The facts of a merged run, each chosen so that the order of merging does not show.
fn merged_run(captures: &[Capture]) -> Option<Run> {
    let runs = || captures.iter().map(Capture::run);
    let mut patterns: Vec<String> = runs().flat_map(|run| run.patterns.iter().cloned()).collect();
    patterns.sort();
    patterns.dedup();
    Some(Run {
        started: runs().map(|run| run.started).min()?,
        collected_by: runs().map(|run| run.collected_by.clone()).max()?,
        patterns,
        window: runs().map(|run| run.window).min()?,
        targets: Vec::new(),
    })
}

fn rank(file: &OutcomeFile) -> Rank {
    let quality = match &file.outcome {
        Outcome::Failed(_) => 0,
        Outcome::Observed(observation) => match observation.ended {
            Ended::Broken(_) => 1,
            Ended::BoundHit { .. } => 2,
            Ended::WindowOver => 3,
        },
    };
    let tie = serde_json::to_string(&file.outcome).unwrap_or_default();
    (quality, file.finished, tie)
}
