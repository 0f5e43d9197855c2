//! Histograms as numbers for the template.

#![allow(clippy::cast_precision_loss)] // Shapes on a screen.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::super::words;
use crate::diagnose::Distribution;

/// Height of the tallest bar.
const HEIGHT: f64 = 100.0;

/// Width of all bars together.
const WIDTH: f64 = 440.0;

/// Widest slot of one bar.
const SLOT: f64 = 40.0;

/// Bars of powers of two, from the first that is not empty to the last.
#[derive(Serialize)]
pub(super) struct Bars {
    width: f64,
    slot: f64,
    bars: Vec<Bar>,
    p50: String,
    p99: String,
    max: String,
    count: String,
    tasks: String,
}

#[derive(Serialize)]
struct Bar {
    x: f64,
    y: f64,
    height: f64,
    up_to: String,
    count: String,
    /// Whether there is room for its label.
    labelled: bool,
}

/// Distributions added up. Percentiles of a sum are read off its bars, so they are upper bounds.
pub(super) fn merged<'a>(distributions: impl Iterator<Item = &'a Distribution>) -> Option<Bars> {
    let mut sum: BTreeMap<Duration, u64> = BTreeMap::new();
    let (mut tasks, mut max, mut parts) = (0, Duration::ZERO, Vec::new());
    for distribution in distributions {
        for (bound, count) in &distribution.bars {
            *sum.entry(*bound).or_default() += count;
        }
        tasks += distribution.tasks;
        max = max.max(distribution.max);
        parts.push(distribution);
    }
    let count: u64 = sum.values().sum();
    if count == 0 {
        return None;
    }
    let exact = |of: fn(&Distribution) -> Duration| match parts.as_slice() {
        [one] => Some(format!("{:.1?}", of(one))),
        _ => None,
    };
    let at_most = |share| format!("≤ {:.1?}", quantile(&sum, count, share));
    Some(Bars {
        width: slot(sum.len()) * sum.len() as f64,
        slot: slot(sum.len()),
        p50: exact(|one| one.p50).unwrap_or_else(|| at_most(50)),
        p99: exact(|one| one.p99).unwrap_or_else(|| at_most(99)),
        max: format!("{max:.1?}"),
        count: words::grouped(count),
        tasks: words::grouped(tasks),
        bars: bars(&sum),
    })
}

fn slot(bars: usize) -> f64 {
    (WIDTH / bars.max(1) as f64).min(SLOT)
}

fn bars(sum: &BTreeMap<Duration, u64>) -> Vec<Bar> {
    let tallest = sum.values().copied().max().unwrap_or(1).max(1) as f64;
    let every = sum.len().div_ceil(8).max(1);
    let bar = |(at, (bound, count)): (usize, (&Duration, &u64))| {
        // The root keeps rare long polls visible beside many short ones.
        let height = (*count as f64 / tallest).sqrt() * HEIGHT;
        Bar {
            x: at as f64 * slot(sum.len()),
            y: HEIGHT - height,
            height,
            up_to: format!("{bound:.0?}"),
            count: words::grouped(*count),
            labelled: at % every == 0,
        }
    };
    sum.iter().enumerate().map(bar).collect()
}

/// The bound under which `share` of 100 values lie.
fn quantile(sum: &BTreeMap<Duration, u64>, count: u64, share: u64) -> Duration {
    let wanted = (count * share).div_ceil(100);
    let mut below = 0;
    let reached = sum.iter().find(|(_, count)| {
        below += **count;
        below >= wanted
    });
    reached.map_or(Duration::ZERO, |(bound, _)| *bound)
}

#[cfg(test)]
mod tests {
    use super::quantile;
    use std::time::Duration;

    #[test]
    fn quantiles_are_read_off_the_bars() {
        let bars = [(1, 90), (2, 9), (4, 1)].map(|(ms, count)| (Duration::from_millis(ms), count)).into();
        assert_eq!([50, 90, 91, 99, 100].map(|share| quantile(&bars, 100, share).as_millis()), [1, 1, 2, 2, 4]);
    }
}
