//! What makes two runs hard to compare, or impossible.

use std::collections::BTreeSet;

use crate::diagnose::{Diagnosis, Status};
use crate::model::{Service, TargetId};

/// Windows that differ by more than this factor see different things: what happens every ten seconds shows in one only.
const WINDOW_FACTOR: u32 = 2;

/// Something to keep in mind when reading a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caution {
    /// What.
    pub text: String,
    /// Nothing can be concluded from the comparison.
    pub forbids: bool,
}

pub(super) fn cautions(before: &Diagnosis, after: &Diagnosis) -> Vec<Caution> {
    let mut cautions = Vec::new();
    let mut add = |forbids, text: String| cautions.push(Caution { text, forbids });
    let (was, is) = (observed(before), observed(after));
    for (side, seen) in [("before", &was), ("after", &is)] {
        if seen.is_empty() {
            add(true, format!("nothing was seen {side}"));
        }
    }
    let services = |seen: &BTreeSet<(&TargetId, &Service, bool)>| {
        seen.iter().map(|(_, service, _)| (*service).clone()).collect::<BTreeSet<_>>()
    };
    if !was.is_empty() && !is.is_empty() && services(&was).is_disjoint(&services(&is)) {
        add(true, "the two runs have no service in common".to_owned());
    }
    windows(before, after, &mut add);
    let ids = |seen: &BTreeSet<(&TargetId, &Service, bool)>| {
        seen.iter().map(|(id, ..)| (*id).clone()).collect::<BTreeSet<_>>()
    };
    let (was_ids, is_ids) = (ids(&was), ids(&is));
    let (left, came) = (was_ids.difference(&is_ids).count(), is_ids.difference(&was_ids).count());
    if left + came > 0 && !was_ids.is_empty() && !is_ids.is_empty() {
        let shared = was_ids.intersection(&is_ids).count();
        add(false, format!("other hosts: {shared} were seen in both runs, {left} only before, {came} only after"));
    }
    for (side, seen, diagnosis) in [("before", &was, before), ("after", &is, after)] {
        let partial = seen.iter().filter(|(.., partial)| *partial).count();
        if partial > 0 {
            add(
                false,
                format!("{partial} of {} targets were seen in part {side}: counts are lower bounds", seen.len()),
            );
        }
        if diagnosis.run.interrupted {
            add(false, format!("the run {side} was interrupted"));
        }
    }
    if before.run.started > after.run.started {
        add(false, "the run given first is the later one".to_owned());
    }
    cautions
}

fn windows(before: &Diagnosis, after: &Diagnosis, add: &mut impl FnMut(bool, String)) {
    let (was, is) = (before.run.window, after.run.window);
    if was.is_zero() != is.is_zero() {
        add(true, format!("a window of {was:?} against one of {is:?}: one of the runs has no rates"));
    } else if was.max(is) > was.min(is).saturating_mul(WINDOW_FACTOR) {
        add(false, format!("a window of {was:?} against one of {is:?}: the longer one sees more that comes and goes"));
    }
}

fn observed(diagnosis: &Diagnosis) -> BTreeSet<(&TargetId, &Service, bool)> {
    let seen = diagnosis.targets.iter().filter_map(|target| match &target.status {
        Status::Observed { partial, .. } => Some((&target.id, &target.service, *partial)),
        Status::Failed { .. } => None,
    });
    seen.collect()
}
