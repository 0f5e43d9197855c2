//! Histograms of many tasks added up.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::diagnosis::Distribution;
use crate::model::TimeHistogram;

/// Times of some tasks, added up. Adding is associative and commutative.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    tasks: u64,
    values: Option<Histogram<u64>>,
    outliers: u64,
    highest_outlier: Option<Duration>,
}

/// Percentiles of the tasks of one site on one target, or on several: what is left of their histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tails {
    /// Tasks whose histograms were read.
    pub tasks: u64,
    pub polls: Option<Tail>,
    pub scheduled: Option<Tail>,
}

/// Percentiles, and the largest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tail {
    pub p50: Duration,
    pub p90: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl Tails {
    pub(super) fn of(polls: &Times, scheduled: &Times) -> Self {
        let tail = |times: &Times| {
            times.distribution().map(|Distribution { p50, p90, p99, max, .. }| Tail { p50, p90, p99, max })
        };
        Self { tasks: polls.tasks.max(scheduled.tasks), polls: tail(polls), scheduled: tail(scheduled) }
    }

    /// Of a site that one target has at two places: the slower of each. Associative and commutative.
    pub(super) fn merge(&mut self, other: Self) {
        self.tasks = self.tasks.saturating_add(other.tasks);
        self.polls = slower(self.polls, other.polls);
        self.scheduled = slower(self.scheduled, other.scheduled);
    }
}

fn slower(one: Option<Tail>, other: Option<Tail>) -> Option<Tail> {
    let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
    Some(Tail {
        p50: one.p50.max(other.p50),
        p90: one.p90.max(other.p90),
        p99: one.p99.max(other.p99),
        max: one.max.max(other.max),
    })
}

impl Times {
    /// Adds one task's.
    pub(super) fn add(&mut self, histogram: Option<&TimeHistogram>) {
        let Some(histogram) = histogram else { return };
        self.tasks += 1;
        self.outliers = self.outliers.saturating_add(histogram.outliers);
        self.highest_outlier = self.highest_outlier.max(histogram.highest_outlier);
        let Some(sum) = self.values_to_change() else { return };
        // The longest first, so that the sum grows at once to what it must hold. Nothing is beyond what it can.
        for (time, count) in histogram.recorded.iter().rev() {
            let _ = sum.record_n(*time, *count);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.tasks = self.tasks.saturating_add(other.tasks);
        self.outliers = self.outliers.saturating_add(other.outliers);
        self.highest_outlier = self.highest_outlier.max(other.highest_outlier);
        let Some(values) = &other.values else { return };
        if let Some(sum) = self.values_to_change() {
            let _ = sum.add(values);
        }
    }

    /// With two digits, as the console keeps. Targets may have different limits, so it grows by itself.
    fn values_to_change(&mut self) -> Option<&mut Histogram<u64>> {
        if self.values.is_none() {
            self.values = Histogram::new(2).ok();
        }
        self.values.as_mut()
    }

    /// Percentiles and bars; nothing when no task was looked at closely.
    pub(super) fn distribution(&self) -> Option<Distribution> {
        let values = self.values.as_ref().filter(|values| !values.is_empty())?;
        let at = |quantile| Duration::from_nanos(values.value_at_quantile(quantile));
        Some(Distribution {
            tasks: self.tasks,
            count: values.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: self.highest_outlier.max(Some(Duration::from_nanos(values.max()))).unwrap_or_default(),
            outliers: self.outliers,
            bars: bars(values),
        })
    }
}

fn bars(values: &Histogram<u64>) -> Vec<(Duration, u64)> {
    let mut bars: BTreeMap<u64, u64> = BTreeMap::new();
    for value in values.iter_recorded() {
        let micros = value.value_iterated_to().div_ceil(1000).max(1);
        let bound = micros.checked_next_power_of_two().unwrap_or(u64::MAX);
        *bars.entry(bound).or_default() += value.count_at_value();
    }
    bars.into_iter().map(|(bound, count)| (Duration::from_micros(bound), count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(limit: u64, values: &[u64]) -> TimeHistogram {
        let mut histogram = Histogram::new_with_max(limit, 2).unwrap();
        values.iter().for_each(|value| histogram.record(*value).unwrap());
        TimeHistogram::of(&histogram)
    }

    #[test]
    fn histograms_with_different_limits_add_up_in_any_order() {
        let short = histogram(1_000_000, &[1_000, 3_000, 900_000]);
        let mut long = histogram(10_000_000_000, &[5_000_000_000]);
        (long.outliers, long.highest_outlier) = (1, Some(Duration::from_secs(60)));
        let sum = |order: [&TimeHistogram; 2]| {
            let mut sum = Times::default();
            for histogram in order {
                let mut one = Times::default();
                one.add(Some(histogram));
                sum.merge(&one);
            }
            sum.distribution().unwrap()
        };
        let distribution = sum([&short, &long]);
        assert_eq!(distribution, sum([&long, &short]));
        assert_eq!((distribution.tasks, distribution.count, distribution.outliers), (2, 4, 1));
        assert_eq!(distribution.max, Duration::from_secs(60));
        assert_eq!(distribution.bars.iter().map(|(_, count)| count).sum::<u64>(), 4);
        assert_eq!(distribution.bars[0], (Duration::from_micros(2), 1), "{:?}", distribution.bars);
        assert!((2900..3100).contains(&(distribution.p50.as_nanos() as u64)), "{distribution:?}");
        assert_eq!(Times::default().distribution(), None);
    }

    #[test]
    fn times_beyond_all_measure_are_held() {
        let mut sum = Times::default();
        let recorded = [(0, 1), (u64::MAX, 1)].into();
        sum.add(Some(&TimeHistogram { recorded, ..histogram(1_000, &[]) }));
        let distribution = sum.distribution().unwrap();
        assert_eq!((distribution.count, distribution.max), (2, Duration::from_nanos(u64::MAX)));
    }

    #[test]
    fn where_no_histogram_was_read_none_is_kept() {
        let mut sum = Times::default();
        sum.merge(&Times::default());
        sum.add(None);
        assert!(sum.values.is_none());
    }
}
