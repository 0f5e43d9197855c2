//! The two clocks: the target's own, and the one of the machine that collected.

use std::num::NonZeroI64;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const EPOCH_STAND_IN: NonZeroI64 = NonZeroI64::new(1).unwrap();

/// A moment on the **target's** clock, in nanoseconds since the Unix epoch as the target saw it.
///
/// Only differences between moments of the same process mean anything: the console anchors its
/// clock once at start and then counts monotonic time, so it can be hours off after a suspend.
/// All arithmetic saturates. `Option<TargetTime>` takes eight bytes, and an absent moment orders
/// before every present one, as tokio-console's definitions require.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TargetTime(NonZeroI64);

impl TargetTime {
    /// From nanoseconds since the epoch; the epoch itself becomes the nanosecond after it.
    #[must_use]
    pub fn from_nanos(nanos: i64) -> Self {
        Self(NonZeroI64::new(nanos).unwrap_or(EPOCH_STAND_IN))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub fn as_nanos(self) -> i64 {
        self.0.get()
    }

    /// The time from `earlier` to `self`; zero when `earlier` is in fact later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let nanos = self.as_nanos().saturating_sub(earlier.as_nanos());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
    }
}

/// A length of time in nanoseconds, up to 584 years: half as large as a [`Duration`], of which millions are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl From<Duration> for Nanos {
    /// Saturates.
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for Duration {
    fn from(nanos: Nanos) -> Self {
        Self::from_nanos(nanos.0)
    }
}

/// When bytes arrived, on the **collecting** machine's clock: nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Received(pub i64);

#[cfg(test)]
mod tests {
    use super::{Nanos, TargetTime};
    use std::time::Duration;

    #[test]
    fn subtraction_saturates_and_absence_is_earliest() {
        let early = TargetTime::from_nanos(5);
        let late = TargetTime::from_nanos(9);
        assert_eq!(late.since(early), Duration::from_nanos(4));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(
            TargetTime::from_nanos(i64::MAX).since(TargetTime::from_nanos(i64::MIN)),
            Duration::from_nanos(i64::MAX as u64)
        );
        assert!(None < Some(TargetTime::from_nanos(i64::MIN)));
    }

    #[test]
    fn an_optional_moment_takes_eight_bytes() {
        assert_eq!(size_of::<Option<TargetTime>>(), 8);
        assert_eq!(TargetTime::from_nanos(0).as_nanos(), 1);
    }

    #[test]
    fn lengths_survive_in_half_the_room() {
        assert_eq!(size_of::<Nanos>() * 2, size_of::<Duration>());
        assert_eq!(Duration::from(Nanos::from(Duration::new(7, 1))), Duration::new(7, 1));
        assert_eq!(Nanos::from(Duration::MAX), Nanos(u64::MAX));
    }
}
