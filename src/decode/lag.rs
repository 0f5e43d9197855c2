//! Whether a console takes in its own events late.
//!
//! The console drains its event queue whenever something wakes it, but tokio's cooperative budget ends that after about
//! 127 events. A process that creates more than that per publishing tick is shown late, up to minutes.

use std::time::Duration;

use crate::model::TargetTime;

/// A tick that announces this much may have been cut off by the console's own bound.
const BUSY_TICK: usize = 100;

/// Follows the creation times in a target's updates.
#[derive(Debug, Default)]
pub(super) struct Lag {
    updates: u32,
    last_now: Option<TargetTime>,
    /// Creation time of the youngest entity of the updates before this one. Events are taken in in their order, so that
    /// whatever is older has been seen before: the second update repeats the first.
    newest: Option<TargetTime>,
    current: Tick,
    lag: Option<Duration>,
}

/// The update that is being read.
#[derive(Debug, Default)]
struct Tick {
    now: Option<TargetTime>,
    newest: Option<TargetTime>,
    events: usize,
}

impl Lag {
    /// An update follows, of this time.
    pub(super) fn begin(&mut self, now: Option<TargetTime>) {
        self.current = Tick { now, ..Tick::default() };
    }

    /// The update announces an entity that was created then.
    pub(super) fn created(&mut self, at: TargetTime) {
        if self.newest.is_none_or(|newest| at > newest) {
            self.current.events += 1;
            self.current.newest = self.current.newest.max(Some(at));
        }
    }

    /// The update has a poll of a resource, which goes through the same queue.
    pub(super) fn poll(&mut self) {
        self.current.events += 1;
    }

    /// The update is over.
    pub(super) fn end(&mut self) {
        let Tick { now, newest, events } = std::mem::take(&mut self.current);
        let tick = now.zip(self.last_now).map_or(Duration::MAX, |(now, last)| now.since(last));
        let age = now.zip(newest).map(|(now, newest)| now.since(newest));
        self.updates += 1;
        // The first update tells everything that there is, however old.
        self.lag = age.filter(|age| self.updates > 1 && events >= BUSY_TICK && *age > tick);
        self.newest = self.newest.max(newest);
        self.last_now = now.or(self.last_now);
    }

    /// Age of the youngest entity of the last update, when it was busy and nothing in it was as young as the tick.
    pub(super) fn now(&self) -> Option<Duration> {
        self.lag
    }
}

#[cfg(test)]
mod tests {
    use super::Lag;
    use crate::model::TargetTime;
    use std::time::Duration;

    fn at(second: i64) -> TargetTime {
        TargetTime::from_nanos(second * 1_000_000_000)
    }

    /// Reads an update at `now` with this many entities that were created then.
    fn update(lag: &mut Lag, now: i64, created: i64, entities: usize) -> Option<Duration> {
        lag.begin(Some(at(now)));
        (0..entities).for_each(|_| lag.created(at(created)));
        lag.end();
        lag.now()
    }

    #[test]
    fn only_a_busy_tick_of_old_entities_is_lag() {
        let mut lag = Lag::default();
        assert_eq!(update(&mut lag, 100, 40, 5000), None, "a full state is as old as it is");
        assert_eq!(update(&mut lag, 101, 40, 5000), None, "and is repeated once");
        assert_eq!(update(&mut lag, 102, 93, 127), Some(Duration::from_secs(9)));
        assert_eq!(update(&mut lag, 103, 103, 127), None, "it has caught up");
        assert_eq!(update(&mut lag, 104, 50, 3), None, "a quiet process creates little");
    }

    #[test]
    fn a_burst_is_seen_in_the_second_update() {
        let mut lag = Lag::default();
        update(&mut lag, 103, 100, 300);
        assert_eq!(update(&mut lag, 104, 101, 127), Some(Duration::from_secs(3)));
    }

    #[test]
    fn polls_of_resources_take_their_place_in_the_queue() {
        let mut lag = Lag::default();
        update(&mut lag, 103, 100, 300);
        lag.begin(Some(at(104)));
        (0..126).for_each(|_| lag.poll());
        lag.created(at(101));
        lag.end();
        assert_eq!(lag.now(), Some(Duration::from_secs(3)));
    }
}
