//! What keeps growing over many runs, as findings.

use std::collections::BTreeMap;

use super::compare::{Growth, Least, Point, Trends, growths};
use super::detect;
use super::diagnosis::Subject;
use super::hits::Hits;
use super::profile::{Places, detectors};
use crate::model::{TargetId, Thresholds};
use crate::playbook::{Detector, Playbook};

/// The trends over `points`, the last of which is now, and what the rules make of them.
pub(super) fn judged(
    playbook: &Playbook,
    points: &[Point],
    thresholds: &BTreeMap<TargetId, Thresholds>,
) -> (Trends, Places) {
    let mut places = Places::new();
    let mut shown = None;
    for (index, detector) in detectors(&playbook.rules) {
        let Some(usual) = least(detector) else { continue };
        let of = |target: &TargetId| {
            let rules = thresholds.get(target).map(|thresholds| playbook.rules_for(thresholds));
            let detector = rules.and_then(|rules| rules.get(index)?.detector()).unwrap_or(detector);
            (detector, least(detector).unwrap_or(usual))
        };
        let growths = growths(points, &|target| of(target).1);
        for growth in &growths {
            let place = places.entry(Subject::Site(growth.site.clone())).or_default();
            for (target, counts) in &growth.targets {
                place.entry(index).or_default().merge(hits(target, counts).by(of(target).0));
            }
        }
        shown.get_or_insert(growths);
    }
    // A playbook without such a rule still shows what grows.
    let growths: Vec<Growth> = shown.unwrap_or_else(|| growths(points, &|_| Least::default()));
    (Trends { runs: points.len(), growths }, places)
}

fn least(detector: Detector) -> Option<Least> {
    match detector {
        Detector::TaskGrowth { sweeps, tasks, percent } => Some(Least { runs: sweeps, tasks, percent }),
        _ => None,
    }
}

fn hits(target: &TargetId, counts: &[u64]) -> Hits {
    let (first, last) = (counts.first().copied().unwrap_or(0), counts.last().copied().unwrap_or(0));
    let gained = last.saturating_sub(first);
    let shown: Vec<_> = counts.iter().map(ToString::to_string).collect();
    let words = format!("{} tasks alive, sweep by sweep", shown.join(", "));
    Hits::of_place(detect::growth(gained, counts.len() as u64), target, gained, 0, Some(words))
}
