//! How late a console's ticks came.
//!
//! Ticks have a fixed distance, which nobody tells us, and none comes before its time. Drawn over their numbers, all of them
//! therefore lie on or above a line, whose slope is the distance. Of the lines without a tick below them we take the one
//! that the ticks are nearest to, all in all: the side of their lower convex hull that is under the middle. The mean
//! distance is no such line. A tick that is late at either end of the window makes it longer, and itself look less late.

use std::time::Duration;

/// A tick: its number, and when it came, in nanoseconds since the first.
type Tick = (i128, i128);

/// How late the latest tick was, of ticks at these distances. Nothing of fewer than three ticks: they are always on a line.
pub(super) fn latest(distances: &[Duration]) -> Option<Duration> {
    if distances.len() < 2 {
        return None;
    }
    let mut at = 0;
    let came = distances.iter().map(|distance| {
        at += i128::from(u64::try_from(distance.as_nanos()).unwrap_or(u64::MAX));
        at
    });
    let ticks: Vec<Tick> = (0..).zip(std::iter::once(0).chain(came)).collect();
    let last = i128::try_from(distances.len()).ok()?;
    let hull = lower_hull(&ticks);
    let (from, to) = hull.iter().zip(hull.iter().skip(1)).find(|(_, to)| to.0 * 2 >= last)?;
    let run = to.0 - from.0;
    let late = ticks.iter().map(|tick| above(*from, *to, *tick)).max()?.checked_div(run)?;
    u64::try_from(late).ok().map(Duration::from_nanos)
}

/// The corners of the lower convex hull, of points in the order of their numbers.
fn lower_hull(ticks: &[Tick]) -> Vec<Tick> {
    let mut hull: Vec<Tick> = Vec::new();
    for &tick in ticks {
        while let [.., before, corner] = hull[..]
            && above(before, tick, corner) >= 0
        {
            hull.pop();
        }
        hull.push(tick);
    }
    hull
}

/// How far a tick is above the line from one to another, times their distance in numbers.
fn above(from: Tick, to: Tick, tick: Tick) -> i128 {
    (tick.1 - from.1) * (to.0 - from.0) - (to.1 - from.1) * (tick.0 - from.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The distances of ticks that are `late` by so many milliseconds, one every `tick`.
    fn distances(tick: u64, late: &[u64]) -> Vec<Duration> {
        let came: Vec<_> = (0..).zip(late).map(|(number, late)| number * tick + late).collect();
        came.windows(2).map(|pair| Duration::from_millis(pair[1] - pair[0])).collect()
    }

    proptest! {
        #[test]
        fn a_tick_that_alone_is_late_is_as_late_as_it_is(
            tick in 100u64..2000,
            (count, which) in (3usize..40).prop_flat_map(|count| (Just(count), 0..count)),
            share in 0u64..=100,
        ) {
            let late = tick * share / 100;
            let mut all = vec![0; count];
            all[which] = late;
            prop_assert_eq!(latest(&distances(tick, &all)), Some(Duration::from_millis(late)));
        }

        #[test]
        fn ticks_are_told_to_be_at_most_twice_as_late_as_they_were(
            late in proptest::collection::vec(0u64..1000, 3..20),
        ) {
            let told = latest(&distances(1000, &late)).unwrap();
            // The line may turn about the middle: by what the first tick was late, at the last.
            prop_assert!(told <= Duration::from_millis(late.iter().max().unwrap() * 2));
        }

        #[test]
        fn whatever_comes_is_no_panic(distances: Vec<Duration>) {
            latest(&distances);
        }
    }

    #[test]
    fn a_tick_that_is_late_by_several_is_followed_by_those_that_it_held_up() {
        assert_eq!(latest(&distances(1000, &[0, 0, 2300, 1300, 300, 0, 0])), Some(Duration::from_millis(2300)));
    }

    #[test]
    fn two_ticks_tell_nothing() {
        assert_eq!(latest(&[Duration::from_secs(1)]), None);
        assert_eq!(latest(&[]), None);
    }
}
