//! How much a figure of a site changed: sizes, least counts and agreement between hosts. No p-values: with a handful of
//! hosts and a window of seconds they would claim more than anybody knows.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::diagnose::SiteFigures;
use crate::model::TargetId;

/// A figure must change by this factor.
const FACTOR: f64 = 1.5;

/// Of the hosts (or pairs of hosts), so many of a hundred must agree on the direction.
const AGREEMENT: usize = 80;

/// A site's figures on one target, and how long that target was watched.
pub(super) type ByTarget = BTreeMap<TargetId, (SiteFigures, Duration)>;

/// A figure before and after, as the mean over the targets that run the service.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Which figure, with its unit.
    pub figure: &'static str,
    /// The mean before.
    pub before: f64,
    /// The mean after.
    pub after: f64,
    /// Hosts that moved in the direction of the mean; pairs of a host before and a host after where they share none.
    pub agree: usize,
    /// Of how many.
    pub of: usize,
    /// Whether the same hosts were seen on both sides.
    pub paired: bool,
}

/// The figures that are compared: name, value, and the change below which nothing is said.
type Figure = (&'static str, fn(&SiteFigures, f64) -> f64, f64);

const FIGURES: [Figure; 5] = [
    ("tasks alive", |figures, _| figures.alive as f64, 3.0),
    ("tasks spawned per second", |figures, seconds| rate(figures.born as f64, seconds), 1.0),
    ("polls per second", |figures, seconds| rate(figures.polls as f64, seconds), 20.0),
    ("% of the time inside polls", |figures, seconds| 100.0 * rate(figures.busy.as_secs_f64(), seconds), 2.0),
    (
        "% of the time woken and not polled",
        |figures, seconds| 100.0 * rate(figures.scheduled.as_secs_f64(), seconds),
        2.0,
    ),
];

fn rate(sum: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { sum / seconds } else { 0.0 }
}

impl Effect {
    /// More than before.
    #[must_use]
    pub fn grew(&self) -> bool {
        self.after > self.before
    }
}

/// The figures that changed enough, on enough of the hosts.
pub(super) fn effects(before: &ByTarget, after: &ByTarget) -> Vec<Effect> {
    FIGURES.iter().filter_map(|figure| effect(figure, before, after)).collect()
}

fn effect(&(figure, value, least): &Figure, before: &ByTarget, after: &ByTarget) -> Option<Effect> {
    let values = |side: &ByTarget| -> BTreeMap<TargetId, f64> {
        side.iter().map(|(target, (figures, window))| (target.clone(), value(figures, window.as_secs_f64()))).collect()
    };
    let (before, after) = (values(before), values(after));
    let shared: Vec<_> = before.iter().filter_map(|(target, was)| Some((*was, *after.get(target)?))).collect();
    let paired = 2 * shared.len() >= before.len().max(after.len());
    let pairs = if paired {
        shared
    } else {
        before.values().flat_map(|was| after.values().map(|is| (*was, *is))).take(MOST_PAIRS).collect()
    };
    let (was, is) = (mean(before.values())?, mean(after.values())?);
    let large = (is - was).abs() >= least && is.max(was) >= FACTOR * is.min(was);
    let agree = pairs.iter().filter(|(was_here, is_here)| (is_here > was_here) == (is > was) && is_here != was_here);
    let (agree, of) = (agree.count(), pairs.len());
    let effect = Effect { figure, before: was, after: is, agree, of, paired };
    (large && of > 0 && agree * 100 >= AGREEMENT * of).then_some(effect)
}

/// Pairs of hosts that are looked at when two fleets share none.
const MOST_PAIRS: usize = 1_000_000;

fn mean<'a>(values: impl ExactSizeIterator<Item = &'a f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

#[cfg(test)]
mod tests {
    use super::{ByTarget, effects};
    use crate::diagnose::SiteFigures;
    use crate::model::TargetId;
    use std::time::Duration;

    fn alive(hosts: &[(&str, u64)]) -> ByTarget {
        let entry = |(host, alive): &(&str, u64)| {
            let figures = SiteFigures { alive: *alive, ..SiteFigures::default() };
            (TargetId { host: host.parse().unwrap(), console: None }, (figures, Duration::from_secs(2)))
        };
        hosts.iter().map(entry).collect()
    }

    #[test]
    fn a_change_counts_when_it_is_large_and_the_hosts_agree() {
        let before = alive(&[("a", 10), ("b", 10), ("c", 12)]);
        let effect = effects(&before, &alive(&[("a", 20), ("b", 30), ("c", 22)])).remove(0);
        assert_eq!((effect.figure, effect.agree, effect.of, effect.paired), ("tasks alive", 3, 3, true));
        assert!(effect.grew() && effect.after == 24.0);
        for same in [[("a", 13), ("b", 12), ("c", 15)], [("a", 90), ("b", 9), ("c", 10)]] {
            assert_eq!(effects(&before, &alive(&same)), [], "too small, or one host only: {same:?}");
        }
        assert_eq!(effects(&alive(&[("a", 1)]), &alive(&[("a", 3)])), [], "a factor of three, of nearly nothing");
    }

    #[test]
    fn other_hosts_are_compared_by_pairs() {
        let effect = effects(&alive(&[("a", 10), ("b", 11)]), &alive(&[("c", 30), ("d", 40)])).remove(0);
        assert_eq!((effect.agree, effect.of, effect.paired), (4, 4, false));
        assert_eq!(effects(&alive(&[]), &alive(&[("a", 9)])), [], "nothing to compare with");
    }
}
