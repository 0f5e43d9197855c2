//! Many runs in a row: what keeps growing, although no single window shows it.

use std::collections::{BTreeMap, BTreeSet};

use crate::diagnose::{Diagnosis, FleetSite, Status};
use crate::model::TargetId;

/// What makes a growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Least {
    /// So many runs in a row each have more tasks than the one before.
    pub runs: u64,
    /// And so many more over all of them: a handful of tasks more is a busy hour.
    pub tasks: u64,
    /// And so many percent more, unless there are twice as many runs: ups and downs of a busy place look like growth for a while.
    pub percent: u64,
}

impl Default for Least {
    fn default() -> Self {
        Self { runs: 4, tasks: 10, percent: 20 }
    }
}

/// What many runs in a row show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trends {
    /// Runs that were looked at, this one included; zero where there was no history to look at.
    pub runs: usize,
    /// What keeps growing, the steepest first.
    pub growths: Vec<Growth>,
}

/// What of one run matters for a trend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// The targets that were seen whole.
    seen: BTreeSet<TargetId>,
    /// Tasks alive by site and target.
    alive: BTreeMap<FleetSite, BTreeMap<TargetId, u64>>,
}

/// A site whose tasks grow in number on some targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The site.
    pub site: FleetSite,
    /// The targets on which it grows, with the number of tasks alive in each run since growing began, oldest first.
    pub targets: BTreeMap<TargetId, Vec<u64>>,
}

impl Point {
    /// What of `diagnosis` matters.
    #[must_use]
    pub fn of(diagnosis: &Diagnosis) -> Self {
        let whole =
            diagnosis.targets.iter().filter(|target| matches!(target.status, Status::Observed { partial: false, .. }));
        let seen: BTreeSet<_> = whole.map(|target| target.id.clone()).collect();
        let alive = diagnosis.sites.iter().map(|site| {
            let by_target = site.by_target.iter().map(|(target, figures)| (target.clone(), figures.alive));
            (site.site.clone(), by_target.collect())
        });
        Self { alive: alive.collect(), seen }
    }

    /// What of the run that is being judged matters.
    pub(in super::super) fn now(
        sites: &BTreeMap<FleetSite, super::super::profile::SiteProfile>,
        targets: &BTreeMap<TargetId, super::super::diagnosis::TargetReport>,
    ) -> Self {
        let whole = targets.values().filter(|target| matches!(target.status, Status::Observed { partial: false, .. }));
        let alive = sites.iter().map(|(site, profile)| {
            let by_target = profile.by_target.iter().map(|(target, figures)| (target.clone(), figures.alive));
            (site.clone(), by_target.collect())
        });
        Self { seen: whole.map(|target| target.id.clone()).collect(), alive: alive.collect() }
    }

    fn at(&self, site: &FleetSite, target: &TargetId) -> u64 {
        self.alive.get(site).and_then(|targets| targets.get(target)).copied().unwrap_or(0)
    }
}

/// The sites that grew in each of the last runs, on targets that were seen whole; runs that did not see a target are
/// passed over. A restart ends a growth. The steepest first.
#[must_use]
pub fn growths(points: &[Point], least: &dyn Fn(&TargetId) -> Least) -> Vec<Growth> {
    let Some(last) = points.last() else { return Vec::new() };
    let mut growths: Vec<_> = last
        .alive
        .iter()
        .filter_map(|(site, targets)| {
            let growing = targets
                .keys()
                .filter_map(|target| Some((target.clone(), growing(points, site, target, least(target))?)));
            let targets: BTreeMap<_, _> = growing.collect();
            (!targets.is_empty()).then(|| Growth { site: site.clone(), targets })
        })
        .collect();
    growths.sort_by_cached_key(|growth| (std::cmp::Reverse(growth.gained()), growth.site.clone()));
    growths
}

impl Growth {
    /// Tasks more than when growing began, on all its targets.
    #[must_use]
    pub fn gained(&self) -> u64 {
        self.targets.values().filter_map(|counts| Some(counts.last()?.saturating_sub(*counts.first()?))).sum()
    }
}

fn growing(points: &[Point], site: &FleetSite, target: &TargetId, least: Least) -> Option<Vec<u64>> {
    if !points.last()?.seen.contains(target) {
        return None;
    }
    let mut counts = Vec::new();
    for point in points.iter().rev().filter(|point| point.seen.contains(target)) {
        let alive = point.at(site, target);
        if counts.last().is_some_and(|later| alive >= *later) {
            break;
        }
        counts.push(alive);
    }
    counts.reverse();
    let (first, runs) = (*counts.first()?, counts.len() as u64);
    let gained = counts.last()?.saturating_sub(first);
    let is_steep = u128::from(gained) * 100 >= u128::from(first) * u128::from(least.percent);
    let is_growth = gained >= least.tasks && (is_steep || runs >= least.runs.saturating_mul(2));
    (runs >= least.runs && is_growth).then_some(counts)
}

#[cfg(test)]
mod tests {
    use super::{Least, Point, growths};
    use crate::diagnose::Subject;
    use crate::diagnose::compare::matching::tests::site;
    use crate::model::TargetId;

    /// Runs in each of which host `a` had so many tasks, or was not seen.
    fn points(counts: &[Option<u64>]) -> Vec<Point> {
        let Subject::Site(site) = site("a.rs", 1, 1) else { unreachable!() };
        let target = TargetId { host: "a".parse().unwrap(), console: None };
        let point = |count: &Option<u64>| Point {
            seen: count.iter().map(|_| target.clone()).collect(),
            alive: count.iter().map(|count| (site.clone(), [(target.clone(), *count)].into())).collect(),
        };
        counts.iter().map(point).collect()
    }

    fn grown(counts: &[Option<u64>]) -> Option<Vec<u64>> {
        growths(&points(counts), &|_| Least::default()).pop().and_then(|growth| growth.targets.into_values().next())
    }

    #[test]
    fn a_slow_leak_shows_over_four_runs() {
        assert_eq!(grown(&[Some(9), Some(3), Some(6), Some(9), Some(14)]), Some(vec![3, 6, 9, 14]));
        assert_eq!(grown(&[Some(3), Some(6), Some(14)]), None, "three runs are a coincidence");
        assert_eq!(grown(&[Some(3), Some(4), Some(5), Some(6)]), None, "three tasks more are no leak");
        assert_eq!(grown(&[Some(3), Some(20), Some(20), Some(40)]), None, "it stood still");
        assert_eq!(grown(&[Some(10), Some(20), Some(30), Some(1)]), None, "a restart ends it");
    }

    /// Of four numbers that go up and down by chance, one in 24 goes up all the time.
    #[test]
    fn ups_and_downs_of_a_busy_place_are_no_leak_until_they_last() {
        let busy = [1000, 1010, 1013, 1030, 1034, 1041, 1047, 1060].map(Some);
        assert_eq!(grown(&busy[..4]), None);
        assert_eq!(grown(&busy).map(|counts| counts.len()), Some(8));
    }

    #[test]
    fn hosts_come_and_go() {
        assert_eq!(grown(&[Some(1), None, Some(6), Some(9), None, Some(20)]), Some(vec![1, 6, 9, 20]));
        assert_eq!(grown(&[Some(1), Some(6), Some(9), Some(20), None]), None, "nothing is known of it now");
        assert_eq!(growths(&[], &|_| Least::default()), []);
    }
}
