//! How the limits of the evidence cap what may be concluded from it.

use crate::model::Anomaly;
use crate::playbook::{Confidence, Detector, Scope};

/// Whether the target lost the announcements of tasks.
pub(super) fn tasks_were_dropped(anomalies: &[Anomaly]) -> bool {
    anomalies.iter().any(|anomaly| matches!(anomaly, Anomaly::DroppedEvents { tasks: 1.., .. }))
}

impl Detector {
    /// How sure a finding can be at most with these anomalies, and why.
    pub(in super::super) fn cap(self, anomalies: &[Anomaly]) -> Option<(Confidence, String)> {
        anomalies.iter().filter_map(|anomaly| self.cap_by(anomaly)).min()
    }

    fn cap_by(self, anomaly: &Anomaly) -> Option<(Confidence, String)> {
        let is_of_resources = matches!(
            self,
            Self::LockContention { .. } | Self::Deadlock | Self::ChannelBacklog { .. } | Self::PermitsExhausted { .. }
        );
        let cap = |confidence, why: String| Some((confidence, why));
        match (self, anomaly) {
            (Self::TaskLeak { .. }, Anomaly::DroppedEvents { tasks: tasks @ 1.., .. }) => cap(
                Confidence::Low,
                format!("the console lost {tasks} tasks: births and ends cannot be told apart from losses"),
            ),
            (Self::TaskLeak { .. }, Anomaly::PartialInitialState { .. }) => cap(
                Confidence::Low,
                "the console sent no full state: ends of tasks from before are not seen".to_owned(),
            ),
            (Self::TaskLeak { .. }, Anomaly::IdReused { .. }) => cap(
                Confidence::Medium,
                "span ids were used again: some tasks that ended are not seen any more".to_owned(),
            ),
            (Self::TaskLeak { .. }, Anomaly::IngestLag { lag }) => {
                cap(Confidence::Medium, format!("the console is {lag:.1?} behind with new tasks"))
            }
            (
                Self::CancelledWhileWoken { .. } | Self::WakerChurn { .. } | Self::SelfWakes { .. } | Self::LostWaker,
                Anomaly::TornCounters { .. },
            ) => cap(Confidence::Medium, "some counters contradicted each other when they were read".to_owned()),
            (_, Anomaly::NegativeInterval { count }) if self.rests_on_times() => {
                cap(Confidence::Medium, format!("{count} times of the console ended before they began"))
            }
            (Self::LostWaker | Self::NeverYielded { .. } | Self::Starved { .. }, Anomaly::UnknownKind { count }) => {
                cap(Confidence::Medium, format!("{count} tasks are of a kind that is not known"))
            }
            (_, Anomaly::Paused) if self.entry().scope != Scope::Targets => {
                cap(Confidence::Medium, "somebody paused the console: nothing newer than that is seen".to_owned())
            }
            (_, Anomaly::DroppedEvents { resources, async_ops, .. })
                if is_of_resources && resources + async_ops > 0 =>
            {
                let lost = resources.saturating_add(*async_ops);
                cap(
                    Confidence::Medium,
                    format!("the console lost {lost} resources and operations: who holds and waits is incomplete"),
                )
            }
            (_, Anomaly::PartialInitialState { .. }) if is_of_resources => {
                cap(Confidence::Medium, "the console sent no full state: who holds and waits is incomplete".to_owned())
            }
            (_, Anomaly::Restarted) if self != Self::RuntimeDown => {
                cap(Confidence::Medium, "the process restarted inside the window".to_owned())
            }
            _ => None,
        }
    }

    fn rests_on_times(self) -> bool {
        matches!(
            self,
            Self::NeverYielded { .. }
                | Self::LongPoll { .. }
                | Self::StuckPoll { .. }
                | Self::Spinning { .. }
                | Self::Starved { .. }
                | Self::SlowFirstPoll { .. }
                | Self::BlockingPoolQueue { .. }
                | Self::Busy { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_cap_what_they_touch() {
        let leak = Detector::TaskLeak { born: 10, ended_percent: 10 };
        let dropped = |tasks, async_ops| [Anomaly::DroppedEvents { tasks, resources: 0, async_ops }];
        assert_eq!(leak.cap(&dropped(5, 0)).unwrap().0, Confidence::Low);
        assert_eq!(leak.cap(&dropped(0, 5)), None);
        assert_eq!(Detector::Deadlock.cap(&dropped(0, 5)).unwrap().0, Confidence::Medium);
        assert_eq!(Detector::LostWaker.cap(&dropped(5, 5)), None, "its samples are whole");
    }

    /// Every detector, with some thresholds.
    fn all() -> Vec<Detector> {
        let rules = crate::playbook::catalogue().iter();
        rules.filter_map(crate::playbook::Rule::detector).collect()
    }

    #[test]
    fn each_contradiction_caps_what_it_touches_and_nothing_else() {
        let capped = |anomaly: Anomaly| -> Vec<&str> {
            let touched =
                |of: &Detector| of.cap(std::slice::from_ref(&anomaly)).is_some_and(|(cap, _)| cap < Confidence::High);
            let mut names: Vec<_> = all().into_iter().filter(touched).map(Detector::name).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        assert_eq!(
            capped(Anomaly::TornCounters { count: 1 }),
            ["cancelled-while-woken", "lost-waker", "self-wakes", "waker-churn"]
        );
        let times = capped(Anomaly::NegativeInterval { count: 1 });
        assert!(
            ["long-poll", "stuck-poll", "starved", "slow-first-poll"].iter().all(|name| times.contains(name)),
            "{times:?}"
        );
        assert!(!times.contains(&"deadlock") && !times.contains(&"lost-waker"));
        assert_eq!(capped(Anomaly::IdReused { count: 1 }), ["task-leak"]);
        assert_eq!(capped(Anomaly::UnknownKind { count: 1 }), ["lost-waker", "never-yielded", "starved"]);
        let paused = capped(Anomaly::Paused);
        assert!(paused.contains(&"task-leak") && paused.contains(&"deadlock") && !paused.contains(&"runtime-down"));
        assert!(capped(Anomaly::Restarted).contains(&"busy"));
        // Times are compared on the target's own clock only.
        assert_eq!(capped(Anomaly::ClockOffset { offset_ms: 9000 }), Vec::<&str>::new());
    }
}
